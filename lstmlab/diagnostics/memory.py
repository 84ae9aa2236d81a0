"""Memory: how long each cell keeps its state, against how long the task asks for it."""

from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import MEMORY, Chart, Diagnostic, Probe
from lstmlab.diagnostics.common.checked import checked_probe
from lstmlab.diagnostics.common.steps import spans
from lstmlab.diagnostics.common.values import values

__all__ = ["memory"]

FOREVER = 1e9  # a half-life in steps, also for longer ones, so that tables and curves have a number
FLAT = 0.1  # a slope is "near 0" below this part of the largest


class Memory(Diagnostic):
    """Per cell, over the valid steps of the probe; e_t multiplies the cell's state at step t.

        (1) retention           exp(mean ln |e_t|): what a step leaves of the state; 1 without a
                                forget gate, 0 if it is closed
        (2) half_life           ln 0.5 / ln retention, in steps; at most 1e9, which is also
                                the value if it is infinite or if the state grows
        (3) lag                 of the task: steps from the first event (without one, the first
                                step) to the last error
        (4) retention_over_lag  product of |e_t| over the steps of that lag, excluding the first
        (5) slope               mean of |h'| / max |h'| where h is evaluated: 1 as steep as it can
                                be, 0 saturated
        (6) saturated           share of steps with |h'| below 0.1 max |h'|
        (7) drift               slope of the straight line through s_t, t = 1, 2, ..., per step, by
                                least squares
        (8) one_way             |s_last - s_first| / sum_t |s_t - s_tm1|: 1 if the state only ever
                                grew or fell, 0 if it came back
        (9) largest             max |s_t|
       (10) capacity            the cell's share of the variance of the layer's states, over steps
                                and sequences
       (11) effective_cells     (sum lambda)^2 / sum lambda^2, lambda the eigenvalues of the states'
                                covariance: from 1 (all cells move together) to n (all move
                                independently); the same in each row, 0 if nothing moves

    (1) and (2) come from the mean of ln e over all steps; (3), (4), (7) and (8) are means over
    sequences, (3) and (4) over those with an error. e_t is the forget gate after refine gate and
    normaliser. With normaliser='state' (sLSTM), s_t is the sum before division by the normaliser,
    in the units of the stabiliser; h is evaluated at s_t / n_t, with layer_normalization at the
    normalised s_t. h' is that of output_activation, element by element, with its maximum searched
    for in [-20, 20]; 1 if linear.

    Table: one row for each cell (1, 2, ...), its block, and (1) to (11).

    TensorBoard: shortest, median and longest half_life beside the lag; the smallest and the mean
    retention_over_lag; effective_cells; the largest state, the largest drift, and the mean of
    saturated.

    References:
        Hochreiter & Schmidhuber 1997, section 4 on internal state drift; Gao et al. 2017 on the
        participation ratio (11).
    """

    name = "memory"
    every = 10_000
    light = True
    charts = (
        Chart(MEMORY, "half-life, in steps", r"memory_half_life\w*/.*", 1),
        Chart(MEMORY, "left of a state over the task's lag", r"memory_retention_over_lag/.*", 2),
        Chart(MEMORY, "states", r"memory_states/.*", 3),
    )

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        return _by_cell(model.cell, values(model, probe.x), probe)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
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


def memory(model: Any, probe: Probe) -> pd.DataFrame:
    """The table of Memory.

    Raises:
        ValueError: For a model whose cell has no `step`, for anything that is not a Probe, for
            shapes that do not fit, for a probe without a valid step, and for numbers that are not
            finite.
    """
    probe = checked_probe("memory", model, probe)
    return _by_cell(model.cell, values(model, probe.x), probe)


def _by_cell(cell: Any, found: dict[str, np.ndarray], probe: Probe) -> pd.DataFrame:
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


def _read(cell: Any, found: dict[str, np.ndarray]) -> Any:
    """Where h is evaluated: s_t, s_t / n_t or the normalised s_t."""
    s = tf.constant(found["cell_state"])
    if cell.normaliser == "state":
        s = s / tf.repeat(found["normaliser"], cell.block_size, axis=-1)
    if cell.layer_normalization:
        gain, offset = (tf.cast(part, s.dtype) for part in (cell.state_gain, cell.state_offset))
        s = keras.ops.layer_normalization(s, gamma=gain, epsilon=1e-5) + offset
    return s


def _relative_slope(h: Any, at: Any) -> np.ndarray:
    """|h'| at `at` over the largest |h'|; 0 for a constant h."""
    everywhere = tf.cast(tf.linspace(-20.0, 20.0, 4001), at.dtype)
    return _ratio(_slope(h, at).numpy(), _slope(h, everywhere[:, None]).numpy().max())


def _slope(h: Any, at: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = h(at)
    return tf.abs(tape.gradient(value, at))


def _retention(kept: np.ndarray, probe: Probe) -> dict[str, Any]:
    """(1) to (4); kept: |e_t| [B, T, n]."""
    with np.errstate(divide="ignore"):  # ln 0, where everything is forgotten
        rate = np.log(kept[probe.valid]).mean(axis=0)
        half_life = np.where(rate < 0, np.log(0.5) / rate, FOREVER)

    first, last = spans(probe)
    lag, over_lag = 0.0, 1.0
    asked = last >= 0
    if asked.any():
        steps = np.arange(probe.w.shape[1])
        within = (steps > first[:, None]) & (steps <= last[:, None])
        lag = (last - first)[asked].mean()
        over_lag = np.prod(kept, axis=1, where=within[..., None])[asked].mean(axis=0)

    return {
        "retention": np.exp(rate),
        "half_life": np.minimum(half_life, FOREVER),
        "lag": lag,
        "retention_over_lag": over_lag,
    }


def _drift(s: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """(7) and (8); valid [B, T] begins each sequence and has no holes."""
    t, steps = np.arange(s.shape[1], dtype="float64"), valid.sum(axis=1)
    # least squares: sum (t - mean t) s / sum (t - mean t)^2
    centred = np.where(valid, t - ((steps - 1) / 2)[:, None], 0.0)
    slopes = _ratio(np.einsum("bt,btn->bn", centred, s), np.sum(centred**2, axis=1)[:, None])

    path = np.sum(np.abs(np.diff(s, axis=1)), axis=1, where=valid[:, 1:, None])
    ends = np.abs(s[np.arange(len(s)), np.maximum(steps - 1, 0)] - s[:, 0])
    return {"drift": slopes.mean(axis=0), "one_way": _ratio(ends, path).mean(axis=0)}


def _capacity(s: np.ndarray) -> dict[str, Any]:
    """(10) and (11) of states [steps, n]."""
    centred = s - s.mean(axis=0)
    covariance = centred.T @ centred / len(s)
    variance = np.diag(covariance)
    # the trace is the sum of the eigenvalues, the sum of squares that of their squares
    effective = _ratio(variance.sum() ** 2, np.sum(covariance**2))
    return {"capacity": _ratio(variance, variance.sum()), "effective_cells": float(effective)}


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """part / whole, and 0 where whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
