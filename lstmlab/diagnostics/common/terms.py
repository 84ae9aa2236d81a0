"""The terms of the one-step Jacobian on the probe, and whether the symbols are the derivative.

No diagnostic of a run: lstmlab.explain asks for it, once. It is here because it needs TensorFlow.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Probe
from lstmlab.diagnostics.common.steps import evenly
from lstmlab.symbolic.jacobian import jacobian
from lstmlab.symbolic.numbers import SLOPES, slope, symbol_values
from lstmlab.unroll import unroll

COLUMNS = ["value", "part", "way", "term", "norm"]


class Measured(NamedTuple):
    """What `terms` finds.

    table: value, part, way, term, norm; norm: the largest singular value of the term, mean over the
        steps.
    steps: How many steps were looked at.
    symbols: Largest difference of ∂s_t/∂(part of the states) in symbols from automatic
        differentiation, over all parts, relative to the largest entry.
    carousel: Largest difference of ∂s_t/∂s_tm1 under see=stop_gradient from the diagonal of the
        forget gate's values (1 where it is absent, 0 where it is closed); None where no s_tm1 is
        kept.
    """

    table: pd.DataFrame
    steps: int
    symbols: float
    carousel: float | None


def terms(model: Any, probe: Probe, most: int = 256) -> Measured:
    """Measure the Jacobian's terms in float64, from states in the cell's own precision.

    First steps of sequences, before which there is nothing, are left out where there are others.

    Args:
        model: A Recurrent with a GatedCell.
        probe: The sequences to look at.
        most: How many of the valid steps are taken at most; they are spread evenly.

    Raises:
        ValueError: As lstmlab.symbolic.jacobian.jacobian.
    """
    blocks = jacobian(model.cell)
    x, states = _steps(model.cell, probe, most)
    cell = _in_double(model.cell, x.shape[-1])
    numbers = symbol_values(cell, x, states, _slope)

    def norm(term: Any) -> float:
        # a term of weights alone is one matrix for all steps
        matrices = term.value(numbers) * np.ones((len(x), 1, 1))
        return float(np.linalg.norm(matrices, 2, axis=(1, 2)).mean())

    rows = [
        (value, part, term.way, term.latex(), norm(term))
        for (value, part), block in blocks.items()
        for term in block.terms
    ]
    exact, cut = (_differentiated(cell, x, states, see) for see in (tf.identity, tf.stop_gradient))
    apart = [
        np.abs(blocks["cell_state", part].value(numbers) - derivative).max()
        for part, derivative in exact.items()
    ]
    largest = max(np.abs(derivative).max() for derivative in exact.values())

    carousel = None
    if "cell_state" in cut:
        carousel = float(np.abs(cut["cell_state"] - _forget(cell, x, states)).max())
    symbols = float(max(apart) / largest)
    return Measured(pd.DataFrame(rows, columns=COLUMNS), len(x), symbols, carousel)


def _steps(cell: Any, probe: Probe, most: int) -> tuple[Any, list]:
    """x [N, F] and the states before, each [N, size]."""

    def step(x_t: Any, before: list) -> tuple:
        return {f"{k}": state for k, state in enumerate(before)}, cell.step(x_t, before)[1]

    zero = list(cell.get_initial_state(batch_size=len(probe.x)))
    before, _ = unroll(step, zero, tf.constant(probe.x))

    later = probe.valid & (np.arange(probe.valid.shape[1]) > 0)
    places = np.argwhere(later if later.any() else probe.valid)
    places = places[evenly(len(places), most)]
    states = [tf.gather_nd(before[f"{k}"], places) for k in range(len(before))]
    x = tf.constant(probe.x[tuple(places.T)], "float64")
    return x, [tf.cast(state, "float64") for state in states]


def _in_double(cell: Any, features: int) -> Any:
    """The cell in float64, in which a saturated slope keeps its digits."""
    drawn = random.getstate()  # building the copy draws; the run's random numbers stay as they are
    try:
        double = type(cell).from_config({**cell.get_config(), "dtype": "float64"})
        double.build((None, features))
    finally:
        random.setstate(drawn)
    double.set_weights(cell.get_weights())
    return double


def _slope(activation: Any, net: np.ndarray) -> np.ndarray:
    """The slope at pre-activations: in closed form, or by automatic differentiation."""
    if activation in SLOPES:
        return slope(activation, net)
    at = tf.constant(net)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = activation(at)
    return tape.gradient(value, at).numpy()


def _differentiated(cell: Any, x: Any, states: list, see: Callable) -> dict[str, np.ndarray]:
    """{part: ∂s_t/∂(part of the states) [N, n, size]}, one cell of s_t at a time."""
    named = dict(zip(cell.state_names, states, strict=True))
    hidden = named.pop("hidden")
    sizes = {"cell_state" if cell.is_own_output else "output": cell.units}
    sizes |= dict.fromkeys(cell.gates if cell.hidden_size > cell.units else (), cell.blocks)
    pieces = dict(zip(sizes, tf.split(hidden, list(sizes.values()), axis=1), strict=True))

    with tf.GradientTape(persistent=True) as tape:
        tape.watch((named, pieces))
        # put together on the tape, so that each piece has a derivative of its own
        old = {**named, "hidden": tf.concat(list(pieces.values()), axis=1)}
        values, _ = cell.step(x, [old[name] for name in cell.state_names], see=see)
        cells = tf.unstack(values["cell_state"], axis=1)

    parts = {**named, **pieces}
    rows = [tape.gradient(value, parts, unconnected_gradients="zero") for value in cells]
    return {part: np.stack([row[part].numpy() for row in rows], axis=1) for part in rows[0]}


def _forget(cell: Any, x: Any, states: list) -> np.ndarray:
    """diag of the value by which the state is multiplied, [N, n, n]."""
    values, _ = cell.step(x, states)
    kept = cell.state_factor(values).numpy()
    return kept[:, :, None] * np.eye(cell.units)
