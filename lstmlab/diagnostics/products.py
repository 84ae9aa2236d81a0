"""Products of one-step Jacobians: how what a cell holds at the end depends on what it held so many steps earlier."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import thinned
from lstmlab.unroll import unroll

FLOATS = 12_000_000  # that one call of `one_steps` may make; more steps are taken in pieces
WORK = 200_000_000  # operations on the eigenvalues of one-step Jacobians; larger nets are measured at fewer lags
VALUES = ("cell_state", "output")


class Products(NamedTuple):
    """Derivatives at T*, the last step with an error, by values at t = T* - lag; B sequences, L lags, n cells, S states.

    lags [L]; there bool [B, L]: the sequence is so long. matrices {"cell_state" ds_T*/ds_t, "output" dy_T*/dy_t: [B, L, n, n]},
    row: the value at T*, column: the one at t, to be multiplied by 10^logs {the same: [B, L]}, so that neither decay nor growth
    over any lag leaves the numbers. forget {[B, L, m]}: log10 of |product of the forget activations|, steps t+1 to T*.
    one_step [B, L, S, S]: d(all states)_t / d(all states)_t-1. states [B, T, S]: all states before each step. last [B]: T*.
    """

    lags: np.ndarray
    there: np.ndarray
    matrices: dict[str, np.ndarray]
    logs: dict[str, np.ndarray]
    forget: np.ndarray
    one_step: np.ndarray
    states: np.ndarray
    last: np.ndarray


def one_steps(model, x, *states) -> tuple:
    """From x [B, L, F] and the states before: Jacobians [B, L, S+2n, S+2n], forget [B, L, m], states before [B, L, S], after.

    (1) a Jacobian's rows: all states, s, y after the step; its columns: all states before it, what is added to s, and to y, as
        they arise. s that arises acts on y too.
    Found for all steps as one batch, each row of (1) by its own copy of the step.
    """
    cell, (batch, length, _) = model.cell, x.shape

    def step(x_t, before):
        values, after = cell.step(x_t, before)
        return {
            "before": tf.concat(before, axis=1),
            "forget": cell.state_factor(values)[:, :: cell.block_size],
        }, after

    along, after = unroll(step, list(states), x)
    steps, size = batch * length, sum(cell.state_size) + 2 * cell.units
    before = tf.reshape(along["before"], (steps, -1))
    copies = tf.concat(
        [tf.tile(before, (size, 1)), tf.zeros((size * steps, 2 * cell.units), before.dtype)], axis=1
    )
    with tf.GradientTape() as tape:
        tape.watch(copies)
        out = _values(cell, tf.tile(tf.reshape(x, (steps, -1)), (size, 1)), copies)
        picked = tf.reduce_sum(
            tf.reshape(out, (size, steps, size)) * tf.eye(size, dtype=out.dtype)[:, None, :]
        )
    rows = tf.reshape(tape.gradient(picked, copies), (size, batch, length, size))
    return tf.transpose(rows, (1, 2, 0, 3)), along["forget"], along["before"], after


def _values(cell, x, copies):
    """[rows, S+2n]: all states, s and y after a step; copies [rows, S+2n]: all states before it, and taps on s and y."""
    *before, on_state, on_output = tf.split(
        copies, [*cell.state_size, cell.units, cell.units], axis=1
    )
    taps = dict(zip(VALUES, (on_state, on_output), strict=True))
    values, after = cell.step(
        x, before, touch=lambda name, value: value + taps[name] if name in taps else value
    )
    return tf.concat([*after, values["cell_state"], values["output"]], axis=1)


def products(model, x, w, run: Callable | None = None) -> Products:
    """The Products of a model for x [B, T, F] and w [B, T], the last w > 0 of each sequence being at its T*.

    run: `one_steps` for this model, compiled or not. In float64 from Jacobians of the cell's own precision; what is kept of the
    steps between the lags does not grow with T.
    """
    last = np.where(w > 0, np.arange(w.shape[1]), -1).max(axis=1)
    x = x[:, : last.max() + 1]
    run = run or (lambda x, *states: one_steps(model, x, *states))
    size, n = sum(model.cell.state_size), model.cell.units
    lags = thinned(last.max(), int(np.clip(WORK // (len(x) * size**3), 32, 500)))
    kept = _Kept(model.cell, lags, last)
    states = np.zeros((*x.shape[:2], size), model.cell.variable_dtype)
    for start, jacobians, forget, before in _backwards(model.cell, x, run, size + 2 * n):
        states[:, start : start + before.shape[1]] = before
        for k in reversed(range(before.shape[1])):
            kept.step(start + k, jacobians[:, k], forget[:, k])
    return Products(
        lags, kept.there, kept.matrices, kept.logs, kept.forget, kept.one_step, states, last
    )


def _backwards(cell, x, run: Callable, size: int) -> Iterator[tuple]:
    """(first step, Jacobians, forget, states before) of each piece of x, the last one first; all but the last are run twice."""
    batch, steps, features = x.shape
    length = int(np.clip(FLOATS // (batch * size * (size + 10 * cell.units + features)), 1, steps))
    starts = range(0, steps, length)
    padded = np.concatenate(
        [x, np.zeros((batch, len(starts) * length - steps, features), x.dtype)], axis=1
    )
    entry = {0: cell.get_initial_state(batch_size=batch)}
    for start in starts:
        found = run(tf.constant(padded[:, start : start + length]), *entry[start])
        entry[start + length] = found[-1]
    for start in reversed(starts):
        if start != starts[-1]:
            found = run(tf.constant(padded[:, start : start + length]), *entry[start])
        yield start, *(_numpy(part)[:, : steps - start] for part in found[:3])


def _numpy(value) -> np.ndarray:
    return tf.cast(value, "float64").numpy()


class _Kept:
    """The product as it grows backwards, and what is kept of it."""

    def __init__(self, cell, lags, last):
        batch, size, n = len(last), sum(cell.state_size), cell.units
        self.lags, self.last, self.size, self.n = lags, last, size, n
        self.there = last[:, None] >= lags
        self.product, self.scale = np.zeros((batch, 2, n, size)), np.zeros((batch, 2))
        self.log_forget = np.zeros((batch, cell.blocks))
        self.matrices = {name: np.zeros((batch, len(lags), n, n)) for name in VALUES}
        self.logs = {name: np.zeros((batch, len(lags))) for name in VALUES}
        self.forget = np.zeros((batch, len(lags), cell.blocks))
        self.one_step = np.zeros((batch, len(lags), size, size), cell.variable_dtype)

    def step(self, t: int, jacobian, forget) -> None:
        """Step t, after all later ones: jacobian [B, S+2n, S+2n] and forget [B, m] of it."""
        size, n = self.size, self.n
        begins = (self.last == t)[:, None, None, None]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            rows = np.where(
                begins,
                jacobian[:, size:].reshape(-1, 2, n, size + 2 * n),
                self.product @ jacobian[:, None, :size],
            )
            largest = np.abs(rows).max(axis=(2, 3))
            scale = np.where(largest > 0, largest, 1.0)
            rows /= scale[:, :, None, None]
            self.scale += np.log10(scale)
            self._keep(t, rows, jacobian)
            self.log_forget += np.where(self.last[:, None] >= t, np.log10(np.abs(forget)), 0.0)
        self.product = rows[..., :size]

    def _keep(self, t: int, rows, jacobian) -> None:
        lag = self.last - t
        k = np.searchsorted(self.lags, lag)
        k = np.where(k < len(self.lags), k, 0)
        here = np.flatnonzero(self.lags[k] == lag)
        k = k[here]
        for part, name in enumerate(VALUES):
            first = self.size + part * self.n
            self.matrices[name][here, k] = rows[here, part, :, first : first + self.n]
            self.logs[name][here, k] = self.scale[here, part]
        self.forget[here, k] = self.log_forget[here]
        self.one_step[here, k] = jacobian[here, : self.size, : self.size]


def count(owner: str, argument: str, value) -> int:
    """A positive integer; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{owner}: expected a positive integer. Received: {argument}={value!r}")
    return value


def with_errors(x, w, most: int) -> tuple:
    """Of x [B, T, F] and w [B, T] the first `most` sequences that have an error. Raises ValueError if none has."""
    places = np.flatnonzero((w > 0).any(axis=1))[:most]
    if not len(places):
        raise ValueError(
            "products: expected a sequence with a step of w > 0. Received: w without one"
        )
    return x[places], w[places]


def of_finite(function: Callable, matrices: np.ndarray) -> np.ndarray:
    """function([N, n, n]) -> [N, ...] for matrices [B, L, n, n]: [B, L, ...]; NaN where a matrix has exploded."""
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    found = function(matrices[finite])
    values = np.full((*finite.shape, *found.shape[1:]), np.nan)
    values[finite] = found
    return values


def magnitudes(matrices: np.ndarray) -> np.ndarray:
    """The magnitudes of the eigenvalues [N, n] of matrices [N, n, n], from the smallest up."""
    with tf.device(
        "CPU"
    ):  # not by NumPy, whose threads stand in each other's way where a machine is busy
        return np.sort(np.abs(tf.linalg.eigvals(matrices).numpy()), axis=-1)


def norms(matrices: np.ndarray) -> np.ndarray:
    """The largest singular values [N] of matrices [N, n, n]."""
    with tf.device("CPU"):
        return tf.linalg.svd(matrices, compute_uv=False).numpy().max(axis=-1)


def log10(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log10(values)


def over_sequences(statistic: Callable, there: np.ndarray, values: np.ndarray) -> np.ndarray:
    """statistic (median, max) over the sequences that are so long, of values [B, L]: [L]; NaN where none has a number."""
    columns = (
        column[here & ~np.isnan(column)] for column, here in zip(values.T, there.T, strict=True)
    )
    return np.array([statistic(column) if len(column) else np.nan for column in columns])


def rows(logs: np.ndarray, lags: np.ndarray, **names: str) -> list[pd.DataFrame]:
    """The rows of a curve and of its log10, columns lag, *names, value; names of the latter: log10_<the last of names>.

    A value beyond the numbers has its log10 row alone; one of exactly 0 has no log10 row.
    """
    last = list(names)[-1]
    with np.errstate(over="ignore"):
        curves = {names[last]: 10.0**logs, f"log10_{names[last]}": logs}
    tables = [
        pd.DataFrame({"lag": lags, **names, last: name, "value": values})
        for name, values in curves.items()
    ]
    return [table[np.isfinite(table["value"])] for table in tables]
