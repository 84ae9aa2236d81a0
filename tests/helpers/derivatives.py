"""Cells in float64 with explicit products beside automatic derivatives, for tests/mathematics/."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Gate, GatedCell, variant, variants
from lstmlab.diagnostics.common.tracing import trace

PAGE = (Path(__file__).parents[2] / "docs" / "mathematics.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())  # the same on one line
B, T, F, N = 2, 5, 2, 4
CUT = {"see": tf.stop_gradient}
SLOPES = {
    "g1997": lambda g: 1 - g**2 / 4,
    "h1997": lambda h: (1 - h**2) / 2,
    "tanh": lambda y: 1 - y**2,
    "linear": np.ones_like,
}
COUPLED = ("cifg", "gru", "gru_reset_after", "mgu", "mingru", "minlstm", "ur_lstm")
every_variant = pytest.mark.parametrize("name", variants())


def sigmoid(net):
    return 1 / (1 + np.exp(-np.asarray(net)))


def cell_of(
    rng, name: str | None = None, features: int = F, scale: float = 0.7, **arguments
) -> GatedCell:
    """A built cell with random weights: a variant, or a GatedCell of these arguments."""
    arguments = {"units": N, "dtype": "float64", **arguments}
    cell = variant(name, **arguments) if name else GatedCell(**arguments)
    cell.build((None, features))
    randomize(cell, rng, scale)
    return cell


def inputs(rng, *shape: int):
    return tf.constant(rng.normal(size=shape or (B, T, F)))


def wide(cell, gate) -> np.ndarray:
    """A value per block, one per cell."""
    return np.repeat(np.asarray(gate), cell.block_size, axis=-1)


def factor(cell, values) -> np.ndarray:
    """e_t [B, T, n]: the forget gate as it multiplies, 1 without one, 0 where it is closed."""
    if "forget_gate" in values:
        return wide(cell, values["forget_gate"])
    return np.full(values["cell_state"].shape, 0.0 if cell.forget_gate == "closed" else 1.0)


def jacobian(cell, x, by: str, of: str = "cell_state", clamps=None, **options):
    """Values, and d of_T / d by_t by automatic differentiation [B, T, cells of `of`, size of `by`].

    One way back for all rows of the matrix: the batch is repeated for each of them.
    """
    rows, (batch, steps) = cell.value_sizes[of], x.shape[:2]
    width = cell.nets[by.removeprefix("net_")] if by.startswith("net_") else cell.value_sizes[by]
    tap, row = (
        tf.zeros((rows * batch, steps, width), "float64"),
        np.repeat(np.eye(rows), batch, axis=0),
    )
    x, clamps = tf.nest.map_structure(lambda value: tf.tile(value, [rows, 1, 1]), (x, clamps or {}))
    with tf.GradientTape() as tape:
        tape.watch(tap)
        values = trace(cell, x, taps={by: tap}, clamps=clamps, **options)
        chosen = tf.reduce_sum(values[of][:, -1] * row)
    flow = (
        tape.gradient(chosen, tap, unconnected_gradients="zero")
        .numpy()
        .reshape(rows, batch, steps, width)
    )
    return {name: value.numpy()[:batch] for name, value in values.items()}, np.moveaxis(flow, 0, 2)


def states_over(cell, x, clamps=None) -> np.ndarray:
    """The states [B, T, n] of a long sequence, as one graph."""

    def states():
        return trace(cell, x, clamps=clamps)["cell_state"]

    return tf.function(states, autograph=False)().numpy()


def held(rng, cell, x, low: float = -1.5, high: float = 1.5, **fixed) -> dict:
    """Clamps that hold every gate and the candidate, at random values in [low, high].

    fixed: values [B, T, size] for some of them instead.
    """
    names = [name for name in (*cell.gates, "candidate") if name != "refine_gate"]
    draws = {
        name: rng.uniform(low, high, size=(*x.shape[:2], cell.value_sizes[name])) for name in names
    }
    draws |= {name: value for name, value in fixed.items() if name in draws}
    return {name: (tf.ones((*x.shape[:2], 1)), tf.constant(value)) for name, value in draws.items()}


def diagonal(values) -> np.ndarray:
    return np.asarray(values)[..., None] * np.eye(np.shape(values)[-1])


def norm(matrix) -> np.ndarray:
    """The largest sum of magnitudes in a row."""
    return np.abs(matrix).sum(axis=-1).max(axis=-1)


def blocks_of(cell, matrix) -> dict:
    """{net: [n, columns]}: weights [rows, nets] cut by net, one row per cell it acts on."""
    columns = np.cumsum([0, *cell.nets.values()])
    parts = dict(zip(cell.nets, itertools.pairwise(columns), strict=True))
    return {
        name: wide(cell, matrix[:, a:b]).T if b - a < cell.units else matrix[:, a:b].T
        for name, (a, b) in parts.items()
    }


def read_back(cell) -> dict:
    """{net: R [n, n]} from the outputs of the cells."""
    return blocks_of(cell, cell.recurrent_kernel.numpy()[: cell.units])


def set_weights(cell, **values) -> None:
    """Weights by name, for a cell whose numbers are chosen: an array or a number for all."""
    weights = {weight.name: weight for weight in cell.weights}
    for name, value in values.items():
        weights[name].assign(np.broadcast_to(value, weights[name].shape))


def bare(
    candidate="linear", input_gate=None, output_gate=None, features: int = 2, **weights
) -> GatedCell:
    """One cell that adds up what its input weights let in, and reads nothing back."""
    cell = GatedCell(
        1,
        input_gate,
        None,
        output_gate,
        candidate,
        "linear",
        feedback="none",
        dtype="float64",
        kernel_initializer="zeros",
    )
    cell.build((None, features))
    set_weights(cell, **weights)
    return cell


def one_step_from(cell, x, s) -> np.ndarray:
    """d s_2 / d s_1 [B, n, n], exact, where the state after the first step is s."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(s)
        zeros = [tf.zeros((B, size), "float64") for size in cell.state_size]
        _, states = cell.step(
            x[:, 0], zeros, touch=lambda name, value: s if name == "cell_state" else value
        )
        _, states = cell.step(x[:, 1], states)
        last = [states[1][:, k] for k in range(cell.units)]
    return np.stack([tape.gradient(value, s) for value in last], axis=1)


def counting(forget: float | None) -> GatedCell:
    """One cell that adds its input; a forget gate of this constant value."""
    gate = None if forget is None else Gate(bias=0.0, recurrent="none")
    cell = GatedCell(1, None, gate, None, "linear", "linear", feedback="none", dtype="float64")
    cell.build((None, 1))
    weights = {"kernel": [[1.0]], "bias": [0.0]}
    if forget is not None:
        weights = {"kernel": [[0.0, 1.0]], "bias": [np.log(forget / (1 - forget)), 0.0]}
    set_weights(cell, **weights)
    return cell
