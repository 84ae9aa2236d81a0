"""The terms of the one-step Jacobian on the probe: how much each path carries, and whether the symbols are the derivative."""

import random
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Probe
from lstmlab.symbolic.jacobian import jacobian
from lstmlab.symbolic.numbers import SLOPES, slope, symbol_values
from lstmlab.unroll import unroll


class Measured(NamedTuple):
    """table: value, part, way, term, norm: of each term the largest singular value, mean over the steps. steps: how many.

    symbols: largest difference of ds_t/d(all states) in symbols from automatic differentiation, relative to its largest entry.
    carousel: largest difference of ds_t/ds_tm1 under see=stop_gradient from the diagonal of the forget gate's values (1 where
    it is absent, 0 where it is closed); None where no s_tm1 is kept.
    """

    table: pd.DataFrame
    steps: int
    symbols: float
    carousel: float | None


def terms(model, probe: Probe, most: int = 256) -> Measured:
    """The Jacobian's terms of a model with a GatedCell, at `most` steps that lie evenly among the valid ones of the probe.

    In float64, from states in the cell's own precision.
    First steps of sequences, before which there is nothing, are left out where there are others.
    Raises ValueError as lstmlab.symbolic.jacobian.jacobian.
    """
    blocks = jacobian(model.cell)
    x, states = _steps(model.cell, probe, most)
    cell = _in_double(model.cell, x.shape[-1])
    numbers = symbol_values(cell, x, states, _slope)
    rows = [
        {
            "value": value, "part": part, "way": term.way, "term": term.latex(),
            "norm": float(np.linalg.norm(term.value(numbers) * np.ones((len(x), 1, 1)), 2, axis=(1, 2)).mean()),
        }
        for (value, part), block in blocks.items()
        for term in block.terms
    ]  # fmt: skip
    exact, cut = (_differentiated(cell, x, states, see) for see in (tf.identity, tf.stop_gradient))
    apart = [
        np.abs(blocks["cell_state", part].value(numbers) - derivative).max()
        for part, derivative in exact.items()
    ]
    largest = max(np.abs(derivative).max() for derivative in exact.values())
    carousel = (
        np.abs(cut["cell_state"] - _forget(cell, x, states)).max() if "cell_state" in cut else None
    )
    table = pd.DataFrame(rows, columns=["value", "part", "way", "term", "norm"])
    return Measured(
        table, len(x), float(max(apart) / largest), None if carousel is None else float(carousel)
    )


def _steps(cell, probe: Probe, most: int):
    """x [N, F] and the states before, each [N, size]."""

    def step(x_t, before):
        return {f"{k}": state for k, state in enumerate(before)}, cell.step(x_t, before)[1]

    before, _ = unroll(
        step, list(cell.get_initial_state(batch_size=len(probe.x))), tf.constant(probe.x)
    )
    later = probe.valid & (np.arange(probe.valid.shape[1]) > 0)
    places = np.argwhere(later if later.any() else probe.valid)
    places = places[
        np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int))
    ]
    states = [tf.gather_nd(before[f"{k}"], places) for k in range(len(before))]
    return tf.constant(probe.x[tuple(places.T)], "float64"), [
        tf.cast(state, "float64") for state in states
    ]


def _in_double(cell, features: int):
    """The cell in float64, in which a saturated slope keeps its digits; random numbers stay where they are."""
    drawn = random.getstate()
    try:
        double = type(cell).from_config({**cell.get_config(), "dtype": "float64"})
        double.build((None, features))
    finally:
        random.setstate(drawn)
    double.set_weights(cell.get_weights())
    return double


def _slope(activation, net: np.ndarray) -> np.ndarray:
    """By its closed form, or by automatic differentiation."""
    if activation in SLOPES:
        return slope(activation, net)
    at = tf.constant(net)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = activation(at)
    return tape.gradient(value, at).numpy()


def _differentiated(cell, x, states, see) -> dict[str, np.ndarray]:
    """ds_t/d(part of the states) [N, n, size], {part: ...}, one cell of s_t at a time."""
    named = dict(zip(cell.state_names, states, strict=True))
    hidden, sizes = (
        named.pop("hidden"),
        {"cell_state" if cell.is_own_output else "output": cell.units},
    )
    sizes |= dict.fromkeys(cell.gates if cell.hidden_size > cell.units else (), cell.blocks)
    pieces = dict(zip(sizes, tf.split(hidden, list(sizes.values()), axis=1), strict=True))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((named, pieces))
        old = {**named, "hidden": tf.concat(list(pieces.values()), axis=1)}
        values, _ = cell.step(x, [old[name] for name in cell.state_names], see=see)
        cells = tf.unstack(values["cell_state"], axis=1)
    rows = [
        tape.gradient(value, {**named, **pieces}, unconnected_gradients="zero") for value in cells
    ]
    return {part: np.stack([row[part].numpy() for row in rows], axis=1) for part in rows[0]}


def _forget(cell, x, states) -> np.ndarray:
    """diag of the value by which the state is multiplied, [N, n, n]."""
    values, _ = cell.step(x, states)
    kept = cell.state_factor(values).numpy()
    return kept[:, :, None] * np.eye(cell.units)
