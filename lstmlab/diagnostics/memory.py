"""Memory: how long each cell keeps what it holds, against how long the task asks for it, and in what state it is."""

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe, checked_probe
from lstmlab.diagnostics.events import spans
from lstmlab.diagnostics.values import values

FOREVER = (
    1e9  # a half-life in steps that stands for longer ones, so that tables and curves have a number
)
FLAT = 0.1  # a slope is "near 0" below so much of the largest


class Memory(Diagnostic):
    """Per cell, over the valid steps of the probe; e_t: the value by which its state is multiplied at step t.

        (1) retention           exp(mean ln |e_t|): what a step leaves of the state; 1 without a forget gate, 0 if it is closed
        (2) half_life           ln 0.5 / ln retention, in steps; at most 1e9, which also stands for longer, endless and growing
        (3) lag                 of the task: steps from the first event (without one, the first step) to the last error
        (4) retention_over_lag  product of |e_t| over the steps of that lag, the first not counted
        (5) slope               mean of |h'| / max |h'| where h is asked: 1 as steep as it can be, 0 saturated
        (6) saturated           share of steps with |h'| below 0.1 max |h'|
        (7) drift               slope of the straight line through s_t, t = 1, 2, ..., per step, by least squares
        (8) one_way             |s_last - s_first| / sum_t |s_t - s_tm1|: 1 if it only ever grew or fell, 0 if it came back
        (9) largest             max |s_t|
       (10) capacity            share of the cell in the variance of the layer's states, over steps and sequences
       (11) effective_cells     (sum lambda)^2 / sum lambda^2, lambda the eigenvalues of the states' covariance: from 1, all
                                move together, to n, all by themselves; the same in each row, 0 if nothing moves

    (1) and (2) are taken from the mean over all steps of ln e; (3), (4), (7), (8) are means over sequences, (3) and (4) over
    those with an error. e_t is the forget gate behind refine gate and normaliser. With normaliser='state' (sLSTM) s_t is the
    sum beside its normaliser, in the units of the stabiliser; h is asked at s_t / n_t, with layer_normalization at the
    normalised s_t. h': of output_activation, element by element, its largest value looked for in [-20, 20]; 1 if linear.

    Table: one row for each cell (1, 2, ...), its block, and (1) to (11). TensorBoard: shortest, median and longest half_life
    beside the lag; the least and mean retention_over_lag; effective_cells; of the states, the largest, the largest drift,
    and the mean of saturated.
    Source: 1997, section 4 on internal state drift; participation ratio: Gao et al. 2017.
    """

    name = "memory"

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        return _by_cell(model.cell, values(model, probe.x), probe)

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        half_life, retained = table["half_life"], table["retention_over_lag"]
        for tag, value in {
            "memory_half_life/shortest": half_life.min(),
            "memory_half_life/median": half_life.median(),
            "memory_half_life/longest": half_life.max(),
            "memory_half_life/lag_of_task": table["lag"].iloc[0],
            "memory_retention_over_lag/least": retained.min(),
            "memory_retention_over_lag/mean": retained.mean(),
            "memory_cells/effective": table["effective_cells"].iloc[0],
            "memory_states/largest": table["largest"].max(),
            "memory_states/largest_drift": table["drift"].abs().max(),
            "memory_states/saturated": table["saturated"].mean(),
        }.items():
            board.scalar(tag, value, sequences)


def memory(model, probe: Probe) -> pd.DataFrame:
    """The table of Memory.

    Raises ValueError for a model whose cell has no `step`, for what is no Probe, for shapes that do not fit, for a probe
    without a valid step, and for numbers that are not finite.
    """
    probe = checked_probe("memory", model, probe)
    return _by_cell(model.cell, values(model, probe.x), probe)


def _read(cell, found: dict[str, np.ndarray]):
    """What h is asked for: s_t, s_t / n_t or the normalised s_t."""
    s = tf.constant(found["cell_state"])
    if cell.normaliser == "state":
        s = s / tf.repeat(found["normaliser"], cell.block_size, axis=-1)
    if cell.layer_normalization:
        gamma = tf.cast(cell.state_gain, s.dtype)
        s = keras.ops.layer_normalization(s, gamma=gamma, epsilon=1e-5) + tf.cast(
            cell.state_offset, s.dtype
        )
    return s


def _relative_slope(h, at) -> np.ndarray:
    """|h'| at `at` over the largest |h'|; 0 for a constant h."""
    everywhere = tf.cast(tf.linspace(-20.0, 20.0, 4001), at.dtype)
    return _ratio(_slope(h, at).numpy(), _slope(h, everywhere[:, None]).numpy().max())


def _slope(h, at):
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = h(at)
    return tf.abs(tape.gradient(value, at))


def _by_cell(cell, found: dict[str, np.ndarray], probe: Probe) -> pd.DataFrame:
    s, valid = found["cell_state"].astype("float64"), probe.valid
    kept = np.abs(cell.state_factor(found).astype("float64"))
    slope = _relative_slope(cell.output_activation, _read(cell, found))[valid]
    return pd.DataFrame(
        {
            "cell": np.arange(1, cell.units + 1),
            "block": np.arange(cell.units) // cell.block_size + 1,
            **_retention(kept, probe),
            "slope": slope.mean(axis=0),
            "saturated": (slope < FLAT).mean(axis=0),
            **_drift(s, valid),
            "largest": np.abs(s[valid]).max(axis=0),
            **_capacity(s[valid]),
        }
    )


def _retention(kept: np.ndarray, probe: Probe) -> dict:
    """(1) to (4)."""
    with np.errstate(divide="ignore"):  # ln 0, where everything is forgotten
        rate = np.log(kept[probe.valid]).mean(axis=0)
        half_life = np.where(rate < 0, np.log(0.5) / rate, FOREVER)
    first, last = spans(probe)
    steps, asked = np.arange(probe.w.shape[1]), last >= 0
    within = (steps > first[:, None]) & (steps <= last[:, None])
    return {
        "retention": np.exp(rate),
        "half_life": np.minimum(half_life, FOREVER),
        "lag": (last - first)[asked].mean() if asked.any() else 0.0,
        "retention_over_lag": np.prod(kept, axis=1, where=within[..., None])[asked].mean(axis=0)
        if asked.any()
        else 1.0,
    }


def _drift(s: np.ndarray, valid: np.ndarray) -> dict:
    """(7) and (8); valid [B, T] begins each sequence and has no holes."""
    t, steps = np.arange(s.shape[1], dtype="float64"), valid.sum(axis=1)
    centred = np.where(valid, t - ((steps - 1) / 2)[:, None], 0.0)
    slopes = _ratio(np.einsum("bt,btn->bn", centred, s), np.sum(centred**2, axis=1)[:, None])
    path = np.sum(np.abs(np.diff(s, axis=1)), axis=1, where=valid[:, 1:, None])
    ends = np.abs(s[np.arange(len(s)), np.maximum(steps - 1, 0)] - s[:, 0])
    return {"drift": slopes.mean(axis=0), "one_way": _ratio(ends, path).mean(axis=0)}


def _capacity(s: np.ndarray) -> dict:
    """(10) and (11) of states [steps, n]."""
    centred = s - s.mean(axis=0)
    covariance = centred.T @ centred / len(s)
    variance = np.diag(covariance)
    return {
        "capacity": _ratio(variance, variance.sum()),
        "effective_cells": float(_ratio(variance.sum() ** 2, np.sum(covariance**2))),
    }


def _ratio(part, whole) -> np.ndarray:
    """part / whole, and 0 where whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
