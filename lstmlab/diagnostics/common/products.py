"""Products of one-step Jacobians: how the last values depend on those some steps earlier."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab import checks
from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.common.steps import last_steps, thinned
from lstmlab.errors import refusal
from lstmlab.unroll import unroll

FLOATS = 12_000_000  # numbers that one call of `one_steps` may make; more steps come in pieces
WORK = 200_000_000  # operations on eigenvalues; larger networks are measured at fewer lags
VALUES = ("cell_state", "output")


class Products(NamedTuple):
    """Derivatives of values at T*, the last step with an error, by values at t = T* - lag.

    B sequences, L lags, n cells, m blocks, S states.

    lags: [L].
    there: bool [B, L], whether the sequence reaches back so far.
    matrices: {"cell_state": ds_T*/ds_t, "output": dy_T*/dy_t}, each [B, L, n, n]; row: the value at
        T*, column: the one at t. To be multiplied by 10^logs.
    logs: {the same: [B, L]}, so that decay and growth over any lag can be represented.
    forget: [B, L, m], log10 of |product of the forget activations|, steps t+1 to T*.
    one_step: [B, L, S, S], d(all states)_t / d(all states)_t-1.
    states: [B, T, S], all states before each step.
    last: [B], T*.
    """

    lags: np.ndarray
    there: np.ndarray
    matrices: dict[str, np.ndarray]
    logs: dict[str, np.ndarray]
    forget: np.ndarray
    one_step: np.ndarray
    states: np.ndarray
    last: np.ndarray


class OfProducts(Diagnostic):
    """A measure made from the Products of some sequences of the probe.

    Args:
        every: See Diagnostic.
        sequences: How many sequences are taken: the first that have an error.

    Raises:
        ValueError: For `sequences` that is not a positive integer.
    """

    every = "doubling"
    wide = True

    def __init__(self, every: int | str | None = None, sequences: int = 8):
        super().__init__(every)
        self.sequences = checks.integer(type(self).__name__, "sequences", sequences)

    def products(self, model: Any, probe: Probe) -> tuple[np.ndarray, Products]:
        """The inputs of these sequences and their Products."""
        x, w = _with_errors(probe.x, probe.w, self.sequences)
        return x, products(model, x, w, self.compiled(model, one_steps))


def _with_errors(x: np.ndarray, w: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `most` sequences of x [B, T, F] and w [B, T] that have an error."""
    places = np.flatnonzero((w > 0).any(axis=1))[:most]
    if not len(places):
        raise refusal("products", "a sequence with a step of w > 0", "w without one")
    return x[places], w[places]


# ---- one step


def one_steps(model: Any, x: Any, *states: Any) -> tuple:
    """Jacobians of single steps, found for all steps as one batch.

        (1) rows: all states, s and y after the step; columns: all states before it, what is added
            to s, and what is added to y, as they arise. An s that arises acts on y too.

    Each row of (1) is found by its own copy of the step.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, L, F].
        *states: The states before the first step, each [B, size].

    Returns:
        (1) [B, L, S+2n, S+2n], the forget activations [B, L, m], all states before each step
        [B, L, S], and the states after the last one.
    """
    cell, (batch, length, _) = model.cell, x.shape

    def step(x_t: Any, before: list) -> tuple:
        values, after = cell.step(x_t, before)
        forget = cell.state_factor(values)[:, :: cell.block_size]
        return {"before": tf.concat(before, axis=1), "forget": forget}, after

    along, after = unroll(step, list(states), x)
    steps, size = batch * length, sum(cell.state_size) + 2 * cell.units
    before = tf.reshape(along["before"], (steps, -1))
    taps = tf.zeros([size * steps, 2 * cell.units], before.dtype)
    copies = tf.concat([tf.tile(before, (size, 1)), taps], axis=1)

    with tf.GradientTape() as tape:
        tape.watch(copies)
        out = _values(cell, tf.tile(tf.reshape(x, (steps, -1)), (size, 1)), copies)
        # copy k contributes only its value k, so that one derivative gives all rows
        own = tf.eye(size, dtype=out.dtype)[:, None, :]
        picked = tf.reduce_sum(tf.reshape(out, (size, steps, size)) * own)
    rows = tf.reshape(tape.gradient(picked, copies), (size, batch, length, size))
    return tf.transpose(rows, (1, 2, 0, 3)), along["forget"], along["before"], after


def _values(cell: Any, x: Any, copies: Any) -> Any:
    """[rows, S+2n]: all states, s and y after a step.

    copies [rows, S+2n]: all states before it, and taps on s and y.
    """
    sizes = [*cell.state_size, cell.units, cell.units]
    *before, on_state, on_output = tf.split(copies, sizes, axis=1)
    taps = dict(zip(VALUES, (on_state, on_output), strict=True))

    def touch(name: str, value: Any) -> Any:
        return value + taps[name] if name in taps else value

    values, after = cell.step(x, before, touch=touch)
    return tf.concat([*after, values["cell_state"], values["output"]], axis=1)


# ---- along the sequence


def products(model: Any, x: np.ndarray, w: np.ndarray, run: Callable | None = None) -> Products:
    """The Products of a model.

    They are taken in float64, from Jacobians of the cell's own precision. What is kept of the steps
    between the lags does not grow with T.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        w: Weight of the error [B, T]; the last w > 0 of each sequence is at its T*.
        run: `one_steps` for this model, compiled; None: not compiled.
    """
    last = last_steps(w > 0)
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
    return kept.products(states)


def _backwards(cell: Any, x: np.ndarray, run: Callable, size: int) -> Iterator[tuple]:
    """(first step, Jacobians, forget, states before) of each piece of x, the last one first.

    All pieces but the last are run twice: forwards for the states in which each begins, then
    backwards, as not all Jacobians may fit into memory.
    """
    batch, steps, features = x.shape
    length = int(np.clip(FLOATS // (batch * size * (size + 10 * cell.units + features)), 1, steps))
    starts = range(0, steps, length)
    rest = np.zeros((batch, len(starts) * length - steps, features), x.dtype)
    padded = np.concatenate([x, rest], axis=1)

    entry = {0: cell.get_initial_state(batch_size=batch)}
    for start in starts:
        found = run(tf.constant(padded[:, start : start + length]), *entry[start])
        entry[start + length] = found[-1]

    for start in reversed(starts):
        if start != starts[-1]:
            found = run(tf.constant(padded[:, start : start + length]), *entry[start])
        yield start, *(_numpy(part)[:, : steps - start] for part in found[:3])


def _numpy(value: Any) -> np.ndarray:
    return tf.cast(value, "float64").numpy()


class _Kept:
    """The product as it grows backwards, and what is kept of it."""

    def __init__(self, cell: Any, lags: np.ndarray, last: np.ndarray):
        batch, size, n = len(last), sum(cell.state_size), cell.units
        self.lags, self.last, self.size, self.n = lags, last, size, n
        self.there = last[:, None] >= lags
        self.product, self.scale = np.zeros((batch, 2, n, size)), np.zeros((batch, 2))
        self.log_forget = np.zeros((batch, cell.blocks))
        self.matrices = {name: np.zeros((batch, len(lags), n, n)) for name in VALUES}
        self.logs = {name: np.zeros((batch, len(lags))) for name in VALUES}
        self.forget = np.zeros((batch, len(lags), cell.blocks))
        self.one_step = np.zeros((batch, len(lags), size, size), cell.variable_dtype)

    def step(self, t: int, jacobian: np.ndarray, forget: np.ndarray) -> None:
        """Go on to step t, after all later ones: its jacobian [B, S+2n, S+2n] and forget [B, m]."""
        size, n = self.size, self.n
        begins = (self.last == t)[:, None, None, None]

        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            # [B, 2n, S+2n] -> [B, 2, n, S+2n]: s and y, whose product begins at T*
            first = jacobian[:, size:].reshape(-1, 2, n, size + 2 * n)
            rows = np.where(begins, first, self.product @ jacobian[:, None, :size])

            # the largest entry is kept at 1 and the scale as a logarithm
            largest = np.abs(rows).max(axis=(2, 3))
            scale = np.where(largest > 0, largest, 1.0)
            rows /= scale[:, :, None, None]
            self.scale += np.log10(scale)

            self._keep(t, rows, jacobian)
            self.log_forget += np.where(self.last[:, None] >= t, np.log10(np.abs(forget)), 0.0)
        self.product = rows[..., :size]

    def _keep(self, t: int, rows: np.ndarray, jacobian: np.ndarray) -> None:
        """Keep what belongs to step t in those sequences for which it lies at one of the lags."""
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

    def products(self, states: np.ndarray) -> Products:
        matrices, logs, forget = self.matrices, self.logs, self.forget
        return Products(
            self.lags, self.there, matrices, logs, forget, self.one_step, states, self.last
        )


# ---- numbers about matrices, and their rows in a table


def of_finite(function: Callable, matrices: np.ndarray) -> np.ndarray:
    """[B, L, ...]: function([N, n, n]) -> [N, ...] for matrices [B, L, n, n].

    NaN where a matrix has exploded.
    """
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    found = function(matrices[finite])
    values = np.full((*finite.shape, *found.shape[1:]), np.nan)
    values[finite] = found
    return values


def magnitudes(matrices: np.ndarray) -> np.ndarray:
    """The magnitudes of the eigenvalues [N, n] of matrices [N, n, n], from the smallest up."""
    # not by NumPy, whose threads get in each other's way where a machine is busy
    with tf.device("CPU"):
        return np.sort(np.abs(tf.linalg.eigvals(matrices).numpy()), axis=-1)


def norms(matrices: np.ndarray) -> np.ndarray:
    """The largest singular values [N] of matrices [N, n, n]."""
    with tf.device("CPU"):
        return tf.linalg.svd(matrices, compute_uv=False).numpy().max(axis=-1)


def log10(values: Any) -> Any:
    """log10 with -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log10(values)


def over_sequences(statistic: Callable, there: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[L]: a statistic (median, max) over the sequences that reach back so far, of values [B, L].

    NaN where none has a number.
    """
    columns = (
        column[here & ~np.isnan(column)] for column, here in zip(values.T, there.T, strict=True)
    )
    return np.array([statistic(column) if len(column) else np.nan for column in columns])


def rows(logs: np.ndarray, lags: np.ndarray, **names: str) -> list[pd.DataFrame]:
    """The rows of a curve and of its log10, columns lag, *names, value.

    The log10 goes under the name log10_<the last of names>. A value too large for a number has only
    its log10 row, a value of exactly 0 has no log10 row.
    """
    last = list(names)[-1]
    with np.errstate(over="ignore"):
        curves = {names[last]: 10.0**logs, f"log10_{names[last]}": logs}
    tables = [
        pd.DataFrame({"lag": lags, **names, last: name, "value": values})
        for name, values in curves.items()
    ]
    return [table[np.isfinite(table["value"])] for table in tables]
