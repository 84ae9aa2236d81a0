"""Weights that change within a sequence, and memories that go on over pieces.

Against loops written out in NumPy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize, weight_differences

from lstmlab import Head, OutputUnits, Recurrent, variant
from lstmlab.learners import BPTT, RTRL, Elman, Truncated1997, TruncatedBPTT
from lstmlab.learners.base import forward

B, T, F, N, K = 2, 7, 3, 4, 2
RATE = 0.25  # exact in single precision, in which Keras keeps it


def sigmoid(net):
    return 1 / (1 + np.exp(-net))


def net(learner, rng, units=N, head=None, **arguments):
    """A fully recurrent net of logistic units with plain gradient descent."""
    cell = variant("elman", units, candidate_activation="sigmoid", dtype="float64", **arguments)
    model = Recurrent(cell, head or Head(K, "sigmoid", dtype="float64"), learner, F)
    randomize(model.cell, rng)
    randomize(model.head, rng)
    model.compile(keras.optimizers.SGD(RATE))
    model.optimizer.build(model.trainable_variables)
    return model


def batch(rng, rows=1, steps=T):
    x, y = (rng.uniform(size=(rows, steps, size)) for size in (F, K))
    w = np.ones((rows, steps))
    w[:, steps // 3] = 0
    return x, y, w


def learn(model, x, y, w):
    step = tf.function(model.learn, jit_compile=True, autograph=False)
    return [value.numpy() for value in step(*(tf.constant(part) for part in (x, y, w)))]


@pytest.mark.parametrize("forced", [False, True])
def test_on_line_rtrl_is_that_of_williams_and_zipser(forced, rng):
    """Eqs.

    6-9 of the paper: p_kij of every unit and weight, weights that change at every step, the outputs
    among the units.
    """
    model = net(
        RTRL(update_every=1, teacher_forcing=forced),
        rng,
        head=OutputUnits(K, "sigmoid", dtype="float64"),
        candidate_bias=None,
    )
    weights = np.concatenate(
        [w.numpy() for w in model.cell.trainable_variables]
    ).T  # [unit, inputs and units]
    x, y, w = batch(rng)
    state, p, answers = np.zeros(N), np.zeros((N, N, F + N)), []
    for t in range(T):
        z = np.concatenate([x[0, t], state])
        after = sigmoid(weights @ z)
        new = np.einsum("kl,lij->kij", weights[:, F:], p)
        for k in range(N):
            new[k, k] += z
        p = (after * (1 - after))[:, None, None] * new
        answers.append(after[-K:])
        e = np.zeros(N)
        e[-K:] = w[0, t] * (y[0, t] - after[-K:])
        weights = weights + RATE * np.einsum("k,kij->ij", e, p)
        state = after
        if forced and w[0, t]:
            state, p = state.copy(), p.copy()
            state[-K:], p[-K:] = y[0, t], 0
    _, prediction = learn(model, x, y, w)
    np.testing.assert_allclose(prediction[0], answers, atol=1e-12)
    np.testing.assert_allclose(
        np.concatenate([w.numpy() for w in model.cell.trainable_variables]).T, weights, atol=1e-12
    )


def test_elman_is_back_propagation_of_one_step_after_every_symbol(rng):
    model = net(Elman(), rng)
    u, v, b = (w.numpy() for w in model.cell.trainable_variables)
    head, bias = (w.numpy() for w in model.head.trainable_variables)
    x, y, w = batch(rng)
    context, answers, error = np.zeros(N), [], 0.0
    for t in range(T):
        h = sigmoid(x[0, t] @ u + context @ v + b)
        out = sigmoid(h @ head + bias)
        e_y = w[0, t] * out * (1 - out) * (y[0, t] - out)
        error += 0.5 * w[0, t] * np.sum((y[0, t] - out) ** 2)
        e_h = h * (1 - h) * (head @ e_y)
        head, bias = head + RATE * np.outer(h, e_y), bias + RATE * e_y
        u, v, b = (
            u + RATE * np.outer(x[0, t], e_h),
            v + RATE * np.outer(context, e_h),
            b + RATE * e_h,
        )
        context = h
        answers.append(out)
    loss, prediction = learn(model, x, y, w)
    np.testing.assert_allclose(loss, error, rtol=1e-12)
    np.testing.assert_allclose(prediction[0], answers, atol=1e-12)
    for weight, expected in zip(model.trainable_variables, (u, v, b, head, bias), strict=True):
        np.testing.assert_allclose(weight.numpy(), expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "update_every"), [(3, 3), (5, 2), (4, 1), (6, 4)])
def test_truncated_bptt_against_finite_differences_with_the_state_held_fixed(
    horizon, update_every, rng
):
    """Each piece's error as a function of the weights, from the recorded state h steps before
    its end on.
    """
    cell, head = variant("vanilla", N, dtype="float64"), Head(K, "sigmoid", dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    x, y, w = (tf.constant(part) for part in batch(rng, B))
    states = [[tf.constant(rng.normal(size=(B, N))) for _ in cell.state_size]]
    for t in range(T):
        states.append(cell(x[:, t], states[-1])[1])
    weights = cell.trainable_variables + head.trainable_variables
    expected = [0] * len(weights)
    for start in range(0, T, update_every):
        end = min(start + update_every, T)
        first = max(
            0, start + update_every - horizon
        )  # a piece that the end cuts short goes back as far as a whole one

        def error(first=first, start=start, end=end):
            outputs = forward(cell, x[:, first:end], states=states[first])
            here = outputs[:, start - first :]
            return tf.reduce_sum(head.error(y[:, start:end], head(here), w[:, start:end]))

        expected = [
            a + b
            for a, b in zip(
                expected,
                weight_differences(tf.function(error, autograph=False), weights),
                strict=True,
            )
        ]
    gradients = TruncatedBPTT(horizon, update_every).gradients(
        cell, head, x, y, w, states=states[0]
    )[2]
    assert_gradients(gradients, expected, rtol=1e-6, atol=1e-9)
    exact = BPTT().gradients(cell, head, x, y, w, states=states[0])[2]
    assert (
        max(np.abs(one - other).max() for one, other in zip(gradients, exact, strict=True)) > 1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "learner",
    [RTRL(), TruncatedBPTT(T, T), TruncatedBPTT(T + 3, T + 1), TruncatedBPTT(T, 2), BPTT()],
)
def test_exact_from_any_state(learner, rng):
    if isinstance(learner, TruncatedBPTT) and learner.update_every < T:
        learner = TruncatedBPTT(T + learner.update_every, learner.update_every)
    cell, head = variant("peephole", N, dtype="float64"), Head(K, "sigmoid", dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    x, y, w = (tf.constant(part) for part in batch(rng, B))
    states = [tf.constant(rng.normal(size=(B, size))) for size in cell.state_size]
    gradients = learner.gradients(cell, head, x, y, w, states=states)[2]
    error = tf.function(
        lambda: tf.reduce_sum(head.error(y, head(forward(cell, x, states=states)), w)),
        autograph=False,
    )
    assert_gradients(
        gradients,
        weight_differences(error, cell.trainable_variables + head.trainable_variables),
        1e-6,
        1e-9,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: RTRL(update_every=3),
        lambda: TruncatedBPTT(4, 2),
        Elman,
        lambda: RTRL(update_every=2, decay=0.5, decay_steps=2),
    ],
)
def test_pieces_of_a_stream_are_the_whole_sequence(make, rng):
    """Two pieces with a carried memory end with the weights of one sequence.

    A row that begins forgets what was before.
    """
    x, y, w = batch(rng, B, steps=12)
    whole = net(make(), np.random.default_rng(1))
    _, prediction = learn(whole, x, y, w)
    streamed = net(make(), np.random.default_rng(1))
    streamed.carry(B, 6)
    step = tf.function(streamed.learn, jit_compile=True, autograph=False)
    parts = []
    for start in (0, 6):
        here = [tf.constant(part[:, start : start + 6]) for part in (x, y, w)]
        parts.append(step(*here, tf.constant([start == 0] * B))[1].numpy())
    np.testing.assert_allclose(np.concatenate(parts, axis=1), prediction, atol=1e-12)
    for one, other in zip(streamed.trainable_variables, whole.trainable_variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-12)
    here = [tf.constant(part[:, :6]) for part in (x, y, w)]
    before = [w.numpy() for w in streamed.trainable_variables]
    again = step(*here, tf.constant([True, False]))[1].numpy()
    for weight, value in zip(streamed.trainable_variables, before, strict=True):
        weight.assign(value)
    fresh = streamed.answers(here[0])
    np.testing.assert_allclose(again[0, 0], fresh[0, 0], atol=1e-6)
    assert np.abs(again[1, 0] - fresh[1, 0]).max() > 1e-3


@pytest.mark.slow
def test_steps_after_the_last_error_change_nothing_and_pieces_without_error_leave_the_weights(rng):
    x, y, w = batch(rng, B, steps=8)
    w[:, 5:] = 0
    w[:, 2:4] = 0
    short, padded = (net(RTRL(update_every=2), np.random.default_rng(1)) for _ in range(2))
    for model in (short, padded):
        model.optimizer = keras.optimizers.Adam(
            0.1
        )  # it would go on where plain descent stands still
        model.optimizer.build(model.trainable_variables)
    learn(short, x[:, :6], y[:, :6], w[:, :6])
    learn(padded, x, y, w)
    assert int(padded.optimizer.iterations) == 2
    for one, other in zip(short.trainable_variables, padded.trainable_variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-12)


@pytest.mark.slow
def test_decay_within_a_sequence(rng):
    """With so small a rate that weights hardly move, every change is the undecayed one times its
    factor.
    """
    x, y, w = batch(rng, steps=6)
    moved = {}
    for decay in (1.0, 0.5):
        changes = []
        for end in range(1, 7):
            model = net(RTRL(update_every=1, decay=decay, decay_steps=2), np.random.default_rng(1))
            model.optimizer.learning_rate = 1e-9
            before = model.cell.kernel.numpy()
            learn(model, x[:, :end], y[:, :end], w[:, :end])
            changes.append((model.cell.kernel.numpy() - before) * 1e9)
        moved[decay] = np.diff(np.array([np.zeros_like(changes[0]), *changes]), axis=0)
    factors = np.array([1, 1, 0.5, 0.5, 0.25, 0.25])
    np.testing.assert_allclose(moved[0.5], moved[1.0] * factors[:, None, None], atol=1e-6)
    assert np.abs(moved[1.0][-1]).max() > 1e-4


@pytest.mark.slow
def test_a_piece_of_a_stream_without_an_error_leaves_the_weights(rng):
    model = net(RTRL(), rng)
    model.optimizer = keras.optimizers.Adam(0.1)
    model.optimizer.build(model.trainable_variables)
    model.carry(1, T)
    x, y, w = (tf.constant(part) for part in batch(rng))
    for weight, begins in ((w, True), (tf.zeros_like(w), False)):
        model.learn(x, y, weight, tf.constant([begins]))
    assert int(model.optimizer.iterations) == 1


def test_what_is_refused(rng):
    assert TruncatedBPTT(3).update_every == 3
    with pytest.raises(
        ValueError,
        match=r"expected a multiple of learner.update_every=4. Received: trainer.chunk=6",
    ):
        net(TruncatedBPTT(4), rng).carry(1, 6)
    for make, text in (
        (
            lambda: RTRL(update_every=0),
            "positive integer or null. Received: learner.update_every=0",
        ),
        (lambda: RTRL(decay=0), r"a number in \(0, 1\]. Received: learner.decay=0"),
        (lambda: RTRL(teacher_forcing=1), "true or false. Received: learner.teacher_forcing=1"),
        (
            lambda: TruncatedBPTT(3, 4),
            "learner.horizon >= learner.update_every=4. Received: learner.horizon=3",
        ),
    ):
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(
        ValueError,
        match=r"expected head=output_units, since .*\. "
        r"Received: learner.teacher_forcing=true, head=Head",
    ):
        learn(net(RTRL(teacher_forcing=True), rng), *batch(rng))
    with pytest.raises(
        ValueError,
        match=r"BPTT: expected trainer.chunk=null, or a learner that goes forward.*. "
        r"Received: trainer.chunk=6",
    ):
        net(BPTT(), rng).carry(1, 6)
    with pytest.raises(
        ValueError,
        match=r"OutputUnits: expected a cell of at least 5 units, one per output. "
        r"Received: units=4",
    ):
        net(BPTT(), rng, head=OutputUnits(5))


def test_truncated_1997_from_a_state_is_that_of_the_rest_of_the_sequence(rng):
    cell, head = variant("lstm1997", N, dtype="float64"), Head(K, "sigmoid", dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    x, y, w = (tf.constant(part) for part in batch(rng, B))
    _, prediction, _ = Truncated1997().gradients(cell, head, x, y, w)
    states = cell.get_initial_state(B)
    for t in range(3):
        states = cell(x[:, t], states)[1]
    _, later, _ = Truncated1997().gradients(cell, head, x[:, 3:], y[:, 3:], w[:, 3:], states=states)
    np.testing.assert_allclose(later, prediction[:, 3:], atol=1e-12)
