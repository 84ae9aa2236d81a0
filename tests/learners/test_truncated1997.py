"""Truncated1997, both forms, against the equations of the paper, and where it is and is not the
exact gradient.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from branches import one_per_branch
from oracles import FUNCTIONS, assert_gradients, randomize, weight_differences
from reference1997 import Net, changes
from refusals import DROPOUT
from replayed import with_what_is_seen_held

from lstmlab import Coupled, Gate, GatedCell, Head, variant, variants
from lstmlab.learners import BPTT, Truncated1997, Truncated1997Forward
from lstmlab.model import Recurrent

B, T, F, K = 2, 9, 3, 2
BLOCKS, SIZE = 2, 2
N = BLOCKS * SIZE


def problem(rng, activation: str, **overrides):
    cell = variant("lstm1997", units=N, dtype="float64", **overrides)
    head = Head(K, activation, dtype="float64")
    cell.build((None, F))
    head.build((None, N))
    for layer in (cell, head):
        randomize(layer, rng)
    return (
        cell,
        head,
        rng.normal(size=(B, T, F)),
        rng.normal(size=(B, T, K)),
        rng.uniform(0.2, 2.0, size=(B, T)),
    )


def as_net(kernel, recurrent, bias, head_kernel, head_bias) -> Net:
    """Our matrices in the letters of 1997.

    Columns: input gates, cells, output gates; rows: inputs; cells, both gates; bias.
    """
    columns = np.concatenate([kernel, recurrent, bias[None]]).T
    w_in, w_c, w_out = columns[:BLOCKS], columns[BLOCKS : BLOCKS + N], columns[BLOCKS + N :]
    return Net(
        w_in,
        w_out,
        w_c.reshape(BLOCKS, SIZE, -1),
        head_kernel.T.reshape(K, BLOCKS, SIZE),
        head_bias,
    )


def parts(net: Net) -> list[np.ndarray]:
    return [net.w_in, net.w_out, net.w_c, net.w_k, net.b_k]


@pytest.mark.parametrize("learner", [Truncated1997(), Truncated1997Forward()])
@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_against_equations_3_to_28(activation, learner, rng):
    cell, head, x, y, w = problem(rng, activation)
    net = as_net(*(v.numpy() for v in cell.trainable_variables + head.trainable_variables))
    sequences = [
        changes(net, *one, logistic_outputs=activation == "sigmoid")
        for one in zip(x, y, w, strict=True)
    ]
    expected = [-sum(both) for both in zip(*(parts(total) for _, total in sequences), strict=True)]
    loss, prediction, gradients = learner.gradients(cell, head, *map(tf.constant, (x, y, w)))
    np.testing.assert_allclose(prediction, [answers for answers, _ in sequences], atol=1e-12)
    np.testing.assert_allclose(
        loss, 0.5 * np.sum(w[..., None] * (y - prediction.numpy()) ** 2), rtol=1e-12
    )
    actual = parts(as_net(*(g.numpy() for g in gradients)))
    assert_gradients(actual, expected, rtol=1e-10, atol=1e-10)


def test_is_not_the_exact_gradient_where_something_is_read_back(rng):
    cell, head, *batch = problem(rng, "sigmoid")
    batch = [tf.constant(part) for part in batch]
    exact, cut = (learner.gradients(cell, head, *batch) for learner in (BPTT(), Truncated1997()))
    np.testing.assert_array_equal(exact[1], cut[1])  # the same forward pass
    for one, other in zip(exact[2][:3], cut[2][:3], strict=True):  # cell weights
        assert np.abs(one - other).max() > 1e-2
    for one, other in zip(exact[2][3:], cut[2][3:], strict=True):  # head weights
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("forget_gate", [None, "sigmoid"])
def test_is_exact_where_nothing_is_read_back(forget_gate, rng):
    cell, head, *batch = problem(
        rng, "sigmoid", forget_gate=forget_gate, **Truncated1997().traits.exact_case
    )
    batch = [tf.constant(part) for part in batch]
    exact, cut = (learner.gradients(cell, head, *batch) for learner in (BPTT(), Truncated1997()))
    assert_gradients(cut[2], exact[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", [keras.layers.LSTMCell(4), keras.layers.GRUCell(4)])
def test_a_cell_that_hides_what_it_reads_back_is_refused(cell):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        Truncated1997().check(cell)
    assert str(e.value) == (
        "Truncated1997: expected a cell that lets what it reads back be filtered, a "
        "lstmlab.GatedCell (learner=bptt serves any Keras cell). "
        f"Received: cell={type(cell).__name__}"
    )
    Truncated1997().check(GatedCell(4))


def test_dropout_is_refused():
    with pytest.raises(
        ValueError,
        match=rf"^Truncated1997: {DROPOUT}\. "
        r"Received: dropout=0.1, ",
    ):
        Truncated1997().check(GatedCell(4, dropout=0.1))


# forward, by traces

REFUSED = {"gru", "gru_reset_after", "mgu", "slstm"}
look, none = Gate(peephole="previous"), Gate(bias=None)
CELLS = {
    "blocks, all fed back, peepholes": dict(
        input_gate=look,
        forget_gate=look,
        output_gate=Gate(peephole="current"),
        block_size=2,
        feedback="all",
    ),
    "one block": dict(block_size=4, output_gate=look),
    "gates to gates": dict(block_size=2, feedback="gates_to_gates", refine_gate="sigmoid"),
    "nothing fed back, peepholes": dict(input_gate=look, block_size=2, feedback="none"),
    "refined, coupled": dict(
        refine_gate=look, input_gate="coupled", output_gate=Coupled("forget_gate"), block_size=2
    ),
    "coupled to the output gate": dict(input_gate=Coupled("output_gate"), forget_gate=None),
    "coupled to a shifted gate": dict(
        input_gate=Coupled("forget_gate", shift=0.7), output_gate=Coupled("forget_gate", False)
    ),
    "forget gate follows": dict(forget_gate="coupled", block_size=2, feedback="all"),
    "normalised, output coupled": dict(
        normaliser="gates", output_gate=Coupled("input_gate"), block_size=2, feedback="all"
    ),
    "closed forget gate": dict(forget_gate="closed", block_size=2, feedback="all"),
    "closed input gate": dict(input_gate="closed", output_gate=None),
    "closed output gate": dict(
        output_gate=None, input_gate=None, feedback="all", output_activation="linear"
    ),
    "some biases": dict(input_gate=none, output_gate=none, block_size=2),
    "no biases": dict(input_gate=none, forget_gate=none, output_gate=none, candidate_bias=None),
    "ways to read back": dict(
        input_gate=Gate(recurrent="by_element"),
        forget_gate=Gate(recurrent="block_diagonal", peephole="previous"),
        refine_gate=Gate(recurrent="none"),
        candidate_recurrent="block_diagonal",
        heads=2,
        block_size=2,
    ),
    "cells alone and gates alone": dict(
        input_gate=Gate(recurrent="gates"),
        forget_gate=Gate(recurrent="cells"),
        candidate_recurrent="cells",
        feedback="all",
        block_size=2,
    ),
    "an output that mixes cells": dict(
        output_activation="softmax", output_gate="softmax", block_size=2
    ),
    "exponential gates": dict(
        input_gate="exponential", forget_gate="exponential", normaliser="gates"
    ),
}


def made(name: str, units: int = 4) -> GatedCell:
    return (
        GatedCell(units, **CELLS[name], dtype="float64")
        if name in CELLS
        else variant(name, units=units, dtype="float64")
    )


def set_up(rng, cell, shortcuts: bool = True, batch: int = B, steps: int = 7):
    head = Head(K, "sigmoid", shortcuts=shortcuts, dtype="float64")
    for layer, shapes in ((cell, [(None, F)]), (head, [(None, cell.units), (None, F)])):
        layer.build(*shapes)
        randomize(layer, rng)
    shapes = (batch, steps, F), (batch, steps, K), (batch, steps)
    return head, *(tf.constant(rng.uniform(-1, 1, size=shape)) for shape in shapes)


def assert_same(found, expected, rtol: float = 1e-9) -> None:
    """Loss, prediction and gradients; a weight without effect has the gradient zero in both."""
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)
    assert len(found[2]) == len(expected[2])
    for one, other in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-13)
    assert max(np.abs(other).max() for other in expected[2]) > 1e-2


@pytest.mark.parametrize("name", [*one_per_branch(sorted(set(variants()) - REFUSED)), *CELLS])
def test_traces_against_the_way_back(name, rng):
    cell = made(name)
    head, *batch = set_up(rng, cell)
    traces, see = Truncated1997Forward(), Truncated1997()
    traces.check(cell)
    start = [tf.constant(rng.normal(size=(B, size))) for size in cell.state_size]
    for states in (None, start):
        expected = see.gradients(cell, head, *batch, states)
        assert_same(traces.gradients(cell, head, *batch, states), expected)
    without = {"closed input gate"}  # nothing reaches its state
    assert name in without or min(np.abs(part).max() for part in expected[2]) > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm1997", "peephole", "ways to read back"])
def test_traces_in_xla(name, rng):
    cell = made(name)
    head, *batch = set_up(rng, cell)
    learner = Truncated1997Forward()
    compiled = tf.function(
        lambda *batch: learner.gradients(cell, head, *batch), jit_compile=True, autograph=False
    )
    assert_same(compiled(*batch), Truncated1997().gradients(cell, head, *batch))


@pytest.mark.parametrize("name", ["lstm1997", "peephole"])
def test_traces_go_on_from_piece_to_piece(name, rng):
    """The gradients of a sequence are the sum over pieces with the memory carried on, and are
    not without it.
    """
    cell, learner = made(name), Truncated1997Forward()
    head, *batch = set_up(rng, cell)
    whole = learner.gradients(cell, head, *batch)
    pieces = [[part[:, :3] for part in batch], [part[:, 3:] for part in batch]]
    memory = learner.begin(cell, head, batch[0])
    *first, memory = learner.advance(cell, head, *pieces[0], memory)
    *second, memory = learner.advance(cell, head, *pieces[1], memory)
    gradients = [one + other for one, other in zip(first[2], second[2], strict=True)]
    assert_same(
        (first[0] + second[0], np.concatenate([first[1], second[1]], axis=1), gradients),
        whole,
        rtol=1e-10,
    )
    anew = learner.gradients(cell, head, *pieces[1])[2]
    assert np.abs(anew[0] - second[2][0]).max() > 1e-3


@pytest.mark.parametrize("name", ["lstm2000", "peephole"])
def test_steps_without_error_after_the_last_one_add_nothing(name, rng):
    cell, learner = made(name), Truncated1997Forward()
    head, x, y, w = set_up(rng, cell)
    w = tf.concat([w[:, :4], tf.zeros_like(w[:, 4:])], axis=1)
    padded, short = (learner.gradients(cell, head, x[:, :t], y[:, :t], w[:, :t]) for t in (7, 4))
    for one, other in zip(padded[2], short[2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_step_is_kept(rng):
    """Of all that a step computes only the prediction is stacked.

    No other tensor of the graph has an axis of T steps.
    """
    cell, steps = made("lstm2000"), 1013
    head, *_ = set_up(rng, cell)
    shapes = (B, steps, F), (B, steps, K), (B, steps)
    learn = tf.function(
        lambda *batch: Truncated1997Forward().gradients(cell, head, *batch), autograph=False
    )
    graph = learn.get_concrete_function(
        *(tf.TensorSpec(shape, "float64") for shape in shapes)
    ).graph
    tensors = [
        tuple(out.shape)
        for op in graph.get_operations()
        for out in op.outputs
        if out.shape.rank is not None
    ]
    assert {shape for shape in tensors if steps in shape} == {*shapes, (steps, B, K)} | {
        (steps, *shape[:1], *shape[2:]) for shape in shapes
    }
    kept = [
        op
        for op in graph.get_operations()
        if op.type == "While"
        for out in op.outputs
        if out.dtype == tf.variant
    ]
    assert len(kept) == 1, "the predictions, and nothing for a way back"


def test_the_memory_is_as_large_as_said(rng):
    """nets that act on the state * n * (inputs + hidden + 1); the output gate has no trace.

    N more with a peephole.
    """
    for name, columns in (
        ("lstm1997", F + 4 + 2 * 2 + 1),
        ("peephole", F + 4 + 4 + 1),
        ("minlstm", F + 1),
    ):
        cell = made(name)
        head, x, *_ = set_up(rng, cell)
        nets = len(cell.nets) - ("output_gate" in cell.nets)
        assert Truncated1997Forward().begin(cell, head, x)["traces"].shape == (
            B,
            nets * 4,
            columns,
        )


def model_of(cell, head, learner, rate: float) -> Recurrent:
    model = Recurrent(cell, head, learner, F)
    model.compile(optimizer=keras.optimizers.SGD(rate), run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def on_line(weights, x, y, w, rate: float) -> list[np.ndarray]:
    """Return the weights after a sequence, changed at each step by eqs. 19-28.

    The traces are those of the weights of their time.

    A net of lstm1997, all nets in one matrix: columns input gates, cells, output gates; rows
    inputs, cells, gates, constant.
    """
    sigma, g, h = (FUNCTIONS[name] for name in ("sigmoid", "g1997", "h1997"))
    kernel, recurrent, bias, v, c = weights
    matrix, of_block = (
        np.concatenate([kernel, recurrent, bias[None]]),
        np.repeat(np.eye(BLOCKS), SIZE, axis=0),
    )
    hidden, s = np.zeros(len(recurrent)), np.zeros(N)
    d_in = d_c = np.zeros((N, len(matrix)))
    for t in range(len(x)):
        z = np.concatenate([x[t], hidden, [1.0]])
        net_in, net_c, net_out = np.split(z @ matrix, [BLOCKS, BLOCKS + N])
        i, o, candidate = sigma(net_in), sigma(net_out), g(net_c)
        s = s + (of_block @ i) * candidate
        out = (of_block @ o) * h(s)
        d_in = d_in + np.outer(candidate * (of_block @ (i * (1 - i))), z)
        d_c = d_c + np.outer((of_block @ i) * (4 - candidate**2) / 4, z)
        answer = sigma(out @ v + c)
        error = w[t] * (answer - y[t]) * answer * (1 - answer)
        back = v @ error
        e_s = (of_block @ o) * (1 - h(s) ** 2) / 2 * back
        e_out = (of_block.T @ (h(s) * back)) * o * (1 - o)
        slopes = [
            (of_block.T @ (e_s[:, None] * d_in)).T,
            (e_s[:, None] * d_c).T,
            np.outer(z, e_out),
        ]
        matrix = matrix - rate * np.concatenate(slopes, axis=1)
        v, c = v - rate * np.outer(out, error), c - rate * error
        hidden = np.concatenate([out, i, o])
    return [*np.split(matrix[:-1], [F]), matrix[-1], v, c]


def test_weights_that_change_at_each_step_against_a_loop(rng):
    cell, rate = made("lstm1997"), 2.0
    head, x, y, w = set_up(rng, cell, shortcuts=False, batch=1)
    w = w * [[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]]
    before = [weight.numpy() for weight in cell.trainable_variables + head.trainable_variables]
    expected = on_line(before, *(part[0].numpy() for part in (x, y, w)), rate)
    ends = []
    for every in (1, None):
        for weight, value in zip(
            cell.trainable_variables + head.trainable_variables, before, strict=True
        ):
            weight.assign(value)
        learner = Truncated1997Forward(update_every=every)
        model_of(cell, head, learner, rate).learn(x, y, w)
        ends.append(
            [weight.numpy() for weight in cell.trainable_variables + head.trainable_variables]
        )
    for one, other in zip(ends[0], expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    assert max(np.abs(one - other).max() for one, other in zip(*ends, strict=True)) > 1e-3


def counter(limit: float):
    """One cell that adds its input.

    Its trace is the sum of what it has seen, of magnitude 2 t for inputs of 1.
    """
    cell = GatedCell(1, None, None, None, "linear", "linear", feedback="none", dtype="float64")
    head, learner = Head(1, dtype="float64"), Truncated1997Forward(max_trace=limit)
    model = Recurrent(cell, head, learner, 1)
    model.compile(optimizer=keras.optimizers.SGD(1e-9), run_eagerly=True)
    return model


@pytest.mark.parametrize("compiled", [False, True])
def test_an_exploding_trace_is_told_with_its_step_net_and_norm(compiled):
    model = counter(9.5)
    learn = tf.function(lambda x: model.learn(x, x, x[..., 0]), jit_compile=True, autograph=False)

    def train(x):
        x = tf.constant(x, "float64")
        (learn if compiled else lambda x: model.learn(x, x, x[..., 0]))(x)
        model.report()

    train(np.ones((2, 4, 1)))
    slow, fast = (
        np.ones((1, 6, 1)),
        np.full((1, 6, 1), 1.5),
    )  # 2.5 t: past the limit at step 4, with 10
    with pytest.raises(FloatingPointError) as e:
        train(np.concatenate([slow, fast]))
    assert str(e.value) == (
        "Truncated1997Forward: the trace of the candidate exploded at step 4 of a sequence; "
        "expected a norm of at most learner.max_trace=9.5, which a smaller rate may give. "
        "Received: norm=10"
    )
    with pytest.raises(FloatingPointError, match="at step 4 of"):
        train(np.ones((2, 1, 1)))


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf")])
def test_a_trace_that_is_not_finite_is_told(bad, shown):
    model = counter(1e30)
    x = tf.constant([[[1.0], [1.0], [bad], [1.0]]], "float64")
    model.learn(x, tf.ones_like(x), tf.ones((1, 4), "float64"))
    with pytest.raises(
        FloatingPointError, match=rf"candidate exploded at step 3 of a .* Received: norm={shown}$"
    ):
        model.report()
    quiet = Truncated1997()
    assert Recurrent(made("lstm1997"), Head(K, dtype="float64"), quiet, F).report().row == {}


def test_streams_need_the_traces():
    forward, back = (
        Recurrent(variant("lstm1997", units=4), Head(K), learner, F)
        for learner in (Truncated1997Forward(), Truncated1997())
    )
    forward.carry(B, 6)
    with pytest.raises(
        ValueError, match=r"^Truncated1997: .* goes back .* Received: trainer.chunk=6$"
    ):
        back.carry(B, 6)


# scope

SEEN = ["lstm1997", "vanilla", "peephole", "gru", "gru_reset_after", "ur_lstm", "slstm"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_scope_gates_against_finite_differences_with_what_gates_see_held_fixed(name, rng):
    cell = made(name)
    head, x, y, w = set_up(rng, cell, shortcuts=False, steps=4)
    replayed = with_what_is_seen_held(cell, head, x, y, w, see_candidate=tf.identity)
    weights = cell.trainable_variables + head.trainable_variables
    gradients = {
        scope: Truncated1997(scope).gradients(cell, head, x, y, w)[2]
        for scope in ("all", "gates", "none")
    }
    expected = weight_differences(tf.function(replayed, autograph=False), weights)
    assert_gradients(gradients["gates"], expected, rtol=1e-6, atol=1e-9)
    for other in ("all", "none"):
        assert (
            max(
                np.abs(a - b).max()
                for a, b in zip(gradients["gates"], gradients[other], strict=True)
            )
            > 1e-4
        )


@pytest.mark.parametrize("name", SEEN)
def test_scope_none_is_bptt(name, rng):
    cell = made(name)
    head, *batch = set_up(rng, cell)
    assert_same(
        Truncated1997("none").gradients(cell, head, *batch),
        BPTT().gradients(cell, head, *batch),
        rtol=1e-12,
    )
    assert Truncated1997("none").traits.exact_case == {}


@pytest.mark.parametrize(
    ("learner", "settings", "said"),
    [
        (
            Truncated1997,
            {"scope": "cells"},
            r"expected one of \('all', 'gates', 'none'\). Received: learner.scope='cells'",
        ),
        (
            Truncated1997Forward,
            {"update_every": 0},
            "expected a positive integer or null. Received: learner.update_every=0",
        ),
        (
            Truncated1997Forward,
            {"max_trace": 0},
            "expected a number > 0. Received: learner.max_trace=0",
        ),
    ],
)
def test_settings_that_are_refused(learner, settings, said):
    with pytest.raises(ValueError, match=rf"^{learner.__name__}: .*{said}$"):
        learner(**settings)


@pytest.mark.parametrize(
    ("cell", "received"),
    [
        *(
            (lambda name=name: variant(name, units=4), "cell.reset_gate=")
            for name in ("gru", "gru_reset_after", "mgu")
        ),
        (lambda: variant("slstm", units=4), "cell.normaliser='state'"),
        (lambda: GatedCell(4, layer_normalization=True), "cell.layer_normalization=True"),
    ],
)
def test_cells_that_have_no_traces_are_refused(cell, received):
    with pytest.raises(
        ValueError,
        match=rf"^Truncated1997Forward: expected .* or learner=truncated1997. Received: {received}",
    ):
        Truncated1997Forward().check(cell())
    Truncated1997().check(cell())


def test_an_activation_that_mixes_cells_has_no_traces():
    """The slopes of a step are taken unit by unit.

    A softmax over the candidates would need more than one number for each.
    """
    mixed = [
        {"candidate_activation": "softmax"},
        {"input_gate": "softmax"},
        {"forget_gate": "log_softmax"},
    ]
    for arguments in mixed:
        with pytest.raises(
            ValueError,
            match=r"or learner=truncated1997. Received: cell\.[a-z_.]+activation=.*softmax",
        ):
            Truncated1997Forward().check(GatedCell(4, **arguments))
    for arguments in (
        {"candidate_activation": "g1997"},
        {"input_gate": "hard_sigmoid"},
        {"output_activation": "softmax"},
    ):
        Truncated1997Forward().check(GatedCell(4, **arguments))


def test_stacked_cells_are_refused():
    stacked = keras.layers.StackedRNNCells([GatedCell(2), GatedCell(2)])
    with pytest.raises(
        ValueError, match=r"^Truncated1997Forward: .* Received: cell=StackedRNNCells"
    ):
        Truncated1997Forward().check(stacked)
