"""What each net reads back.

Every kind of recurrence against one full matrix with zeros in place.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize

from lstmlab import Gate, GatedCell, GatedRNN

B, T, F, N = 2, 4, 3, 8
KINDS = ("full", "block_diagonal", "by_element", "none", "cells")
ALIKE = [{"input": k, "forget": k, "candidate": k, "output": k} for k in KINDS]
MIXED = [
    {"input": "by_element", "forget": "full", "candidate": "block_diagonal", "output": "none"},
    {"input": "block_diagonal", "forget": "by_element", "candidate": "none", "output": "full"},
    {"input": "none", "forget": "block_diagonal", "candidate": "full", "output": "by_element"},
    {"input": "full", "forget": "none", "candidate": "by_element", "output": "block_diagonal"},
    {"input": "full", "forget": "cells", "candidate": "cells", "output": "full"},
]
OF_GATES = [
    {"input": "gates", "forget": "gates", "candidate": "gates", "output": "gates"},
    {"input": "gates", "forget": "full", "candidate": "cells", "output": "gates"},
    {"input": "cells", "forget": "by_element", "candidate": "gates", "output": "none"},
]


def built(
    rng, kinds: dict, feedback: str = "cells", block_size: int = 2, heads: int = 2, **more
) -> GatedCell:
    gates = {f"{name}_gate": Gate(recurrent=kinds[name]) for name in ("input", "forget", "output")}
    heads = heads if "block_diagonal" in kinds.values() else 1
    options = {
        "block_size": block_size,
        "heads": heads,
        "candidate_recurrent": kinds["candidate"],
        **gates,
        **more,
    }
    cell = GatedCell(N, feedback=feedback, dtype="float64", **options)
    cell.build((B, F))
    randomize(cell, rng)
    return cell


def as_one_matrix(cell, kinds: dict) -> np.ndarray:
    """[hidden, nets] that does what all recurrent weights of the cell do, written element by
    element.
    """
    m, size, width = cell.blocks, cell.block_size, {"candidate": N}
    fed_back = 3 * m if cell.feedback in ("all", "gates_to_gates") else 0
    whole, left = (
        np.zeros((N + fed_back, 3 * m + N)),
        dict.fromkeys([*KINDS, "gates"], 0),
    )  # left: columns or rows that are used up
    column = 0
    for net in ("input", "forget", "candidate", "output"):
        kind, columns = kinds[net], width.get(net, m)
        for k in range(columns):
            if kind == "full":
                rows = cell.recurrent_kernel.shape[0]
                whole[:rows, column + k] = cell.recurrent_kernel.numpy()[:, left[kind] + k]
            if kind == "cells":
                whole[:N, column + k] = cell.cell_recurrent_kernel.numpy()[:, left[kind] + k]
            if kind == "gates":
                whole[N:, column + k] = cell.gate_recurrent_kernel.numpy()[:, left[kind] + k]
            if kind == "block_diagonal":  # cells of head h drive the nets of head h
                h, place = divmod(k, columns // cell.heads)
                rows = slice(h * N // cell.heads, (h + 1) * N // cell.heads)
                whole[rows, column + k] = cell.recurrent_blocks.numpy()[h, :, left[kind] + place]
            if kind == "by_element":  # a gate reads the cells of its block, a candidate itself
                own = range(k * size, (k + 1) * size) if net != "candidate" else [k]
                for n in own:
                    whole[n, column + k] = cell.recurrent_elements.numpy()[left[kind], n]
        left[kind] += {
            "full": columns,
            "cells": columns,
            "gates": columns,
            "block_diagonal": columns // cell.heads,
            "by_element": 1,
            "none": 0,
        }[kind]
        column += columns
    if cell.feedback == "gates_to_gates":
        gates = [*range(2 * m), *range(2 * m + N, 3 * m + N)]
        whole[N:, gates] = cell.gate_recurrent_kernel.numpy()
    return whole


def as_full(cell, kinds: dict, **more) -> GatedCell:
    """A cell that reads back through one full matrix, with the weights of `cell`."""
    feedback = "cells" if cell.feedback == "cells" else "all"
    full = GatedCell(N, block_size=cell.block_size, feedback=feedback, dtype="float64", **more)
    full.build((B, F))
    full.kernel.assign(cell.kernel)
    full.bias.assign(cell.bias)
    full.recurrent_kernel.assign(as_one_matrix(cell, kinds))
    return full


def label(kinds: dict) -> str:
    return " ".join(kinds.values())


@pytest.mark.parametrize(
    ("kinds", "feedback"),
    [
        *((k, f) for k in (*ALIKE, *MIXED) for f in ("cells", "all", "gates_to_gates")),
        *((kinds, "all") for kinds in OF_GATES),
    ],
    ids=lambda value: label(value) if isinstance(value, dict) else value,
)
def test_outputs_states_and_input_gradients_against_one_full_matrix(kinds, feedback, rng):
    cell = built(rng, kinds, feedback)
    x, states = (
        tf.constant(rng.normal(size=(B, T, F))),
        [tf.constant(rng.normal(size=(B, s))) for s in cell.state_size],
    )
    cotangent, answers = rng.normal(size=(B, T, N)), []
    for one in (cell, as_full(cell, kinds)):
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            y, *last = GatedRNN(one, return_sequences=True, return_state=True, dtype="float64")(
                x, initial_state=states
            )
            scalar = tf.reduce_sum(y * cotangent)
        answers.append(
            [y, *last, *tape.gradient(scalar, [x, *states], unconnected_gradients="zero")]
        )
    nothing_back = set(kinds.values()) == {"none"} and feedback != "gates_to_gates"
    if nothing_back:
        assert not np.any(answers[0].pop(4))  # of the hidden values
        assert not np.any(answers[1].pop(4))
    assert_gradients(*answers, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("block_size", [1, 2])
def test_heads_of_a_block_diagonal_matrix(heads, block_size, rng):
    kinds = ALIKE[1]
    cell = built(rng, kinds, heads=heads, block_size=block_size)
    assert cell.recurrent_blocks.shape == (heads, N // heads, (3 * N // block_size + N) // heads)
    hidden, s = (tf.constant(rng.normal(size=(B, N))) for _ in range(2))
    x = tf.constant(rng.normal(size=(B, F)))
    expected = as_full(cell, kinds).step(x, [hidden, s])[0]
    for name, value in cell.step(x, [hidden, s])[0].items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12, atol=1e-12)
    for k in range(N):  # what a cell gave at the step before moves its own head and no other
        moved = (
            cell.step(x, [hidden + tf.one_hot(k, N, dtype="float64"), s])[0]["candidate"]
            - cell.step(x, [hidden, s])[0]["candidate"]
        )
        per_head = np.abs(moved.numpy()).reshape(B, heads, -1).max(axis=2)
        assert np.all((per_head > 1e-6) == (np.arange(heads) == k // (N // heads)))


def test_weights_and_their_shapes():
    kinds = {
        "input": "by_element",
        "forget": "full",
        "candidate": "block_diagonal",
        "output": "by_element",
    }
    rng = np.random.default_rng(0)
    shapes = {w.name: tuple(w.shape) for w in built(rng, kinds, block_size=1).weights}
    expected = {
        "kernel": (F, 4 * N),
        "recurrent_kernel": (N, N),
        "recurrent_blocks": (2, N // 2, N // 2),
    }
    assert shapes == {**expected, "recurrent_elements": (2, N), "bias": (4 * N,)}
    assert [w.name for w in built(rng, ALIKE[3]).weights] == ["kernel", "bias"]
    shapes = {w.name: tuple(w.shape) for w in built(rng, OF_GATES[1], "all").weights}
    assert shapes == {
        "kernel": (F, 3 * N // 2 + N),
        "recurrent_kernel": (N + 3 * N // 2, N // 2),
        "cell_recurrent_kernel": (N, N),
        "gate_recurrent_kernel": (3 * N // 2, N),
        "bias": (3 * N // 2 + N,),
    }
    names = [w.name for w in built(rng, ALIKE[3], "gates_to_gates").weights]
    assert names == ["kernel", "gate_recurrent_kernel", "bias"]
    assert [w.name for w in built(rng, ALIKE[0], "none").weights] == ["kernel", "bias"]
    behind = built(rng, ALIKE[0], reset_gate="sigmoid", block_size=1)
    shapes = {w.name: tuple(w.shape) for w in behind.weights}
    assert shapes["recurrent_kernel"] == (N, 4 * N)
    assert shapes["candidate_recurrent_kernel"] == (N, N)


@pytest.mark.parametrize("kind", ["full", "block_diagonal", "by_element", "cells"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("block_size", [1, 2])
def test_reset_gate_before_and_after_the_recurrent_product(kind, after, block_size, rng):
    """Against R (q y_tm1), or q (R y_tm1 + c), with R written out as one matrix."""
    kinds = {**MIXED[0], "candidate": kind}
    cell = built(rng, kinds, reset_gate="sigmoid", reset_after=after, block_size=block_size)
    x, y_tm1, s = (rng.normal(size=(B, size)) for size in (F, N, N))
    values, _ = cell.step(tf.constant(x), [tf.constant(y_tm1), tf.constant(s)])
    m, q = cell.blocks, np.repeat(values["reset_gate"], block_size, axis=1)
    columns = slice(3 * m, 3 * m + N)
    net = x @ cell.kernel.numpy()[:, columns] + cell.bias.numpy()[columns]
    prefix = "" if after else "candidate_"
    weight = getattr(
        cell,
        prefix
        + {
            "full": "recurrent_kernel",
            "by_element": "recurrent_elements",
            "cells": "cell_recurrent_kernel",
        }.get(kind, "recurrent_blocks"),
    )
    matrix = weight.numpy()
    if kind == "by_element":
        matrix = np.diag(matrix[1 if after else 0])  # after: beside the row of the input gate
    if kind == "block_diagonal":
        matrix = np.kron(np.eye(2), np.ones((N // 2, N // 2))) * np.tile(
            np.concatenate(list(matrix)), 2
        )
    if kind == "full" and after:
        matrix = matrix[:, 2 * m : 2 * m + N]  # after forget gate and reset gate
    read = q * (y_tm1 @ matrix + cell.recurrent_bias.numpy()) if after else (q * y_tm1) @ matrix
    np.testing.assert_allclose(values["candidate"], np.tanh(net + read), atol=1e-12)
    assert np.abs(read).min() > 1e-6
    assert (cell.recurrent_bias is not None) == after


@pytest.mark.parametrize("kinds", [MIXED[0], *OF_GATES], ids=label)
def test_which_nets_read_cells_and_which_gates(kinds, rng):
    cell = built(rng, kinds, "all", block_size=1)
    hidden, s = (tf.constant(rng.normal(size=(B, size))) for size in cell.state_size)
    x = tf.constant(rng.normal(size=(B, F)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(hidden)
        values, _ = cell.step(x, [hidden, s])
    for name, kind in kinds.items():
        name = name if name == "candidate" else f"{name}_gate"
        slope = tape.gradient(values[name], hidden)
        slope = np.zeros(hidden.shape) if slope is None else slope.numpy()
        assert np.any(slope[:, :N]) == (kind not in ("gates", "none")), name
        assert np.any(slope[:, N:]) == (kind in ("full", "gates")), name


def test_every_head_and_kind_draws_its_own_initial_values():
    keras.utils.set_random_seed(3)
    uniform = keras.initializers.RandomUniform(-1, 1)
    cell = GatedCell(
        N,
        Gate(recurrent="block_diagonal"),
        Gate(recurrent="by_element"),
        heads=4,
        recurrent_initializer=uniform,
    )
    cell.build((None, F))
    drawn = [
        w.numpy().ravel()
        for w in (cell.recurrent_kernel, cell.recurrent_blocks, cell.recurrent_elements)
    ]
    drawn = np.concatenate(drawn)
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("seed", [None, 5, keras.random.SeedGenerator])
def test_every_head_starts_orthogonal_as_if_it_stood_alone(seed):
    keras.utils.set_random_seed(3)
    initializer = keras.initializers.Orthogonal(seed=seed(5) if callable(seed) else seed)
    gates = {"input_gate": None, "forget_gate": None, "output_gate": None}
    options = {"candidate_recurrent": "block_diagonal", "recurrent_initializer": initializer}
    cell = GatedCell(N, **gates, **options, heads=2)
    cell.build((None, F))
    first, second = cell.recurrent_blocks.numpy()
    for head in (first, second):
        np.testing.assert_allclose(head @ head.T, np.eye(N // 2), atol=1e-6)
    assert np.abs(first - second).max() > 0.1


def test_a_function_as_initializer_is_called_once_per_head():
    shapes = []

    def drawn(shape, dtype=None):
        shapes.append(tuple(shape))
        return tf.fill(shape, float(len(shapes)))

    gates = {"input_gate": None, "forget_gate": None, "output_gate": None}
    cell = GatedCell(
        N, **gates, candidate_recurrent="block_diagonal", recurrent_initializer=drawn, heads=4
    )
    cell.build((None, F))
    assert shapes == [(2, 2)] * 4
    np.testing.assert_array_equal(cell.recurrent_blocks.numpy()[:, 0, 0], [1, 2, 3, 4])
