"""SnAp: RTRL where its pattern is full, the written-out diagonal recursion at order 1, and what
its patterns are.
"""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from carried import B, F, N, T, cells, each_cell, problem
from oracles import assert_gradients

from lstmlab import Gate, GatedCell, variant
from lstmlab.learners import BPTT
from lstmlab.learners.reach import colours, reachable
from lstmlab.learners.snap import SnAp

EXACT_AT_1 = {"indrnn", "mingru", "minlstm"}  # no unit is read by another


def compiled(learner, cell, head, jit_compile=False):
    return tf.function(
        lambda *batch: learner.gradients(cell, head, *batch),
        jit_compile=jit_compile,
        autograph=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), each_cell(), ids=[name for name, _ in cells()])
def test_the_full_pattern_is_exact_and_order_1_is_not(name, make, rng):
    cell = make()
    head, x, y, w = problem(rng, cell)
    before = cell.get_weights()
    loss, prediction, gradients = compiled(SnAp("full"), cell, head)(x, y, w)
    for one, other in zip(cell.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    expected_loss, expected_prediction, exact = compiled(BPTT(), cell, head)(x, y, w)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(prediction, expected_prediction, rtol=1e-12)
    assert_gradients(gradients, exact, rtol=1e-9, atol=1e-12)
    short = compiled(SnAp(1), cell, head)(x, y, w)[2]
    cut = max(np.abs(one - other).max() for one, other in zip(short, exact, strict=True))
    assert cut < 1e-12 if name in EXACT_AT_1 else cut > 1e-4


def diagonal(cell, head, x, y, w):
    """The gradients of kernel, recurrent kernel and bias by SnAp-1, written out.

    E_j <- f'(net_j) (r_jj e_j + input).
    """
    kernel, recurrent, bias = (
        weight.numpy() for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    readout, shortcut, head_bias = (
        weight.numpy() for weight in (head.kernel, head.shortcut_kernel, head.bias)
    )
    sums = [np.zeros_like(kernel), np.zeros_like(recurrent), np.zeros_like(bias)]
    for xs, ys, ws in zip(x.numpy(), y.numpy(), w.numpy(), strict=True):
        state, traces = np.zeros(N), [np.zeros_like(part) for part in sums]
        for x_t, y_t, w_t in zip(xs, ys, ws, strict=True):
            after = np.tanh(x_t @ kernel + state @ recurrent + bias)
            slope, own = 1 - after**2, np.diag(recurrent)
            inputs = x_t[:, None], state[:, None], 1.0
            traces = [
                slope * (own * trace + arrives)
                for trace, arrives in zip(traces, inputs, strict=True)
            ]
            p = 1 / (1 + np.exp(-(after @ readout + x_t @ shortcut + head_bias)))
            error = readout @ (w_t * (p - y_t) * p * (1 - p))
            sums = [total + error * trace for total, trace in zip(sums, traces, strict=True)]
            state = after
    return sums


@pytest.mark.parametrize("jit_compile", [False, True])
def test_order_1_of_an_elman_net_is_its_diagonal_recursion(jit_compile, rng):
    cell = variant("elman", units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    gradients = compiled(SnAp(), cell, head, jit_compile)(*batch)[2]
    assert_gradients(gradients[:3], diagonal(cell, head, *batch), rtol=1e-10, atol=1e-12)


class Chain(keras.Layer):
    """Every unit reads itself and the one before it.

    Y_j = tanh(W x + b + own_j y_j + before_j y_(j-1)).
    """

    state_size = output_size = N

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], N), name="kernel")
        self.own = self.add_weight(shape=(N,), name="own")
        self.before = self.add_weight(shape=(N,), name="before")
        self.bias = self.add_weight(shape=(N,), name="bias")

    def get_initial_state(self, batch_size=None):
        return tf.zeros((batch_size, N), self.dtype)

    def call(self, inputs, states):
        (state,) = states if isinstance(states, list) else (states,)
        shifted = tf.pad(state[:, :-1], [(0, 0), (1, 0)])
        output = tf.tanh(
            inputs @ self.kernel + self.bias + self.own * state + self.before * shifted
        )
        return output, [output]


@pytest.mark.slow
@pytest.mark.parametrize(("order", "kept"), [(1, 4), (2, 7), (3, 9), (4, 10), ("full", 10)])
def test_every_order_is_rtrl_with_the_other_entries_set_to_zero(order, kept, rng):
    cell, learner = Chain(dtype="float64"), SnAp(order)
    head, x, y, w = problem(rng, cell)
    kernel, own, before, bias = (weight.numpy() for weight in cell.weights)
    recurrent, unit = np.diag(own) + np.diag(before[1:], 1), np.tile(np.arange(N), F + 3)
    steps = N if order == "full" else order
    keep = (np.arange(N)[:, None] >= unit) & (np.arange(N)[:, None] < unit + steps)
    assert learner.reach(cell, F).kept == kept * (F + 3) - min(steps, N)
    readout, shortcut, head_bias = (
        weight.numpy() for weight in (head.kernel, head.shortcut_kernel, head.bias)
    )
    xs, ys, ws = (part.numpy() for part in (x, y, w))
    expected = np.zeros(unit.size)
    for b in range(B):
        state, rows = np.zeros(N), np.zeros((N, unit.size))
        for t in range(T):
            seen = np.concatenate([np.repeat(xs[b, t], N), state, [0.0], state[:-1], np.ones(N)])
            state = np.tanh(xs[b, t] @ kernel + state @ recurrent + bias)
            immediate = seen * (np.arange(N)[:, None] == unit)
            rows = keep * (1 - state**2)[:, None] * (recurrent.T @ rows + immediate)
            p = 1 / (1 + np.exp(-(state @ readout + xs[b, t] @ shortcut + head_bias)))
            expected += (readout @ (ws[b, t] * (p - ys[b, t]) * p * (1 - p))) @ rows
    gradients = compiled(learner, cell, head)(x, y, w)[2][:4]
    np.testing.assert_allclose(
        np.concatenate([np.ravel(part) for part in gradients]), expected, rtol=1e-9, atol=1e-12
    )
    cut = np.abs(
        expected
        - np.concatenate([np.ravel(g) for g in compiled(BPTT(), cell, head)(x, y, w)[2][:4]])
    ).max()
    assert cut < 1e-12 if steps == N else cut > 1e-5


def test_patterns(rng):
    """vanilla: the output gate's weights reach y_j alone, the others s_j and y_j.

    At order 2 through R all there is.
    """
    sizes = {}
    for name in ("vanilla", "elman", "indrnn", "gru", "lstm1997"):
        for order in (1, 2, "full"):
            cell = variant(name, units=N, dtype="float64")
            cell.build((None, F))
            reach = SnAp(order).reach(cell, F)
            sizes[name, order] = {
                (bucket.rows.shape, bucket.weights.shape[1]) for bucket in reach.buckets
            }
            assert reach.kept == sum(
                bucket.rows.size * bucket.weights.shape[1] for bucket in reach.buckets
            )
            assert not reach.output_apart
    net = F + N + 1
    assert sizes["vanilla", 1] == {((N, 2), 3 * net), ((N, 1), net)}
    assert sizes["vanilla", 2] == sizes["vanilla", "full"] == {((1, 2 * N), 4 * N * net)}
    assert sizes["elman", 1] == {((N, 1), net)}
    assert sizes["elman", 2] == {((1, N), N * net)}
    assert sizes["indrnn", 1] == sizes["indrnn", "full"] == {((N, 1), F + 2)}
    assert sizes["gru", 1] == {((N, 1), 2 * net), ((1, N), N * net)}, (
        "a reset gate acts on what all candidates read"
    )
    net = F + N + 4 + 1  # cells, two input and two output gates are read back
    assert sizes["lstm1997", 1] == {((N, 2), net), ((2, 5), net), ((2, 3), net)}, (
        "s, y; i, 2 s, 2 y; o, 2 y"
    )


def test_one_way_back_per_colour(rng):
    cell = variant("vanilla", units=N, dtype="float64")
    cell.build((None, F))
    reach = SnAp().reach(cell, F)
    assert (reach.weight_colours.max(), reach.state_colours.max()) == (1, 2 * N - 1)
    pattern = rng.uniform(size=(20, 30)) < 0.1
    found = colours(pattern)
    assert found.max() < 19
    assert all(pattern[found == colour].sum(axis=0).max() <= 1 for colour in range(found.max() + 1))


def test_an_order_by_reachability():
    chain = np.eye(4, dtype=bool) | np.eye(4, k=-1, dtype=bool)
    for order, kept in ((1, 4), (2, 7), (3, 9), (4, 10), (9, 10), ("full", 10)):
        assert reachable(chain, np.eye(4, dtype=bool), order).sum() == kept


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [{}, {"block_size": 2}, {"output_gate": Gate(peephole="current")}]
)
def test_order_1_is_exact_where_no_unit_reads_another(arguments, rng):
    cell = GatedCell(N, dtype="float64", **SnAp().traits.exact_case, **arguments)
    head, *batch = problem(rng, cell)
    exact = compiled(BPTT(), cell, head)(*batch)[2]
    assert_gradients(compiled(SnAp(), cell, head)(*batch)[2], exact, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla", "lstm1997"])
def test_xla_single_precision_a_batch_of_one_and_states_that_are_given(name, rng):
    cell = variant(name, units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    states = [tf.constant(rng.normal(size=(B, size))) for size in cell.state_size]
    exact = BPTT().gradients(cell, head, *batch, states=states)[2]
    learner = SnAp(9)
    learn = tf.function(
        lambda *batch, states: learner.gradients(cell, head, *batch, states=states)[2],
        jit_compile=True,
        autograph=False,
    )
    assert_gradients(learn(*batch, states=states), exact, rtol=1e-9, atol=1e-12)
    alone = [
        learn(*(part[b : b + 1] for part in batch), states=[part[b : b + 1] for part in states])
        for b in range(B)
    ]
    assert_gradients(
        [sum(parts) for parts in zip(*alone, strict=True)], exact, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("order", [1, "full"])
def test_two_pieces_with_the_memory_between_them_are_one_sequence(order, rng):
    cell, learner = variant("vanilla", units=N, dtype="float64"), SnAp(order)
    head, *batch = problem(rng, cell)
    whole = learner.gradients(cell, head, *batch)
    memory = learner.begin(cell, head, batch[0])
    *first, memory = learner.advance(cell, head, *(part[:, :3] for part in batch), memory)
    *second, _ = learner.advance(cell, head, *(part[:, 3:] for part in batch), memory)
    np.testing.assert_allclose(first[0] + second[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(tf.concat([first[1], second[1]], axis=1), whole[1], rtol=1e-12)
    assert_gradients(
        [one + other for one, other in zip(first[2], second[2], strict=True)],
        whole[2],
        rtol=1e-10,
        atol=1e-13,
    )


def test_finding_the_patterns_draws_from_no_generator_of_the_program(rng):
    cell = variant("vanilla", units=N, dtype="float64")
    cell.build((None, F))

    def drawn(between):
        keras.utils.set_random_seed(3)
        between()
        return (
            random.random(),
            np.random.random(),  # noqa: NPY002
            float(tf.random.uniform(())),
            float(keras.random.uniform(())),
        )

    assert drawn(lambda: SnAp().reach(cell, F)) == drawn(lambda: None)


def test_what_it_refuses(rng):
    for order in (0, -1, 1.5, True, "all", None):
        with pytest.raises(
            ValueError,
            match=r"SnAp: expected a positive integer, or 'full'. Received: learner.order=",
        ):
            SnAp(order)
    with pytest.raises(
        ValueError,
        match=r"SnAp: expected a positive integer. Received: learner.max_sensitivities=0",
    ):
        SnAp(max_sensitivities=0)
    cell = variant("vanilla", units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    with pytest.raises(
        ValueError,
        match=r"batch 2 \* 224 kept of states 8 \* weights 128 = 448 numbers with learner.order=1",
    ):
        SnAp(max_sensitivities=447).gradients(cell, head, *batch)
    SnAp(max_sensitivities=448).gradients(cell, head, *batch)
