"""The one loop over time, against a Python loop."""

import numpy as np
import pytest
import tensorflow as tf

from lstmlab.unroll import unroll

B = 2


def step(inputs, states):
    """A step with two inputs, a nest of values, and two states of different shapes."""
    a, b = inputs
    total, product = states
    total = total + a
    product = tf.tanh(product * b + total[:, :1])
    return {"total": total, "both": (total * product, product)}, [total, product]


def data(rng, steps):
    xs = tf.constant(rng.normal(size=(B, steps, 3))), tf.constant(rng.normal(size=(B, steps, 1)))
    return xs, [tf.constant(rng.normal(size=(B, 3))), tf.constant(rng.normal(size=(B, 1)))]


def by_hand(xs, states):
    rows = []
    for t in range(xs[0].shape[1]):
        values, states = step((xs[0][:, t], xs[1][:, t]), states)
        rows.append(values)
    return tf.nest.map_structure(lambda *v: tf.stack(v, axis=1), *rows), states


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_values_states_and_gradients_against_a_python_loop(steps, rng):
    xs, states = data(rng, steps)
    answers = []
    for loop in (lambda: unroll(step, states, xs), lambda: by_hand(xs, states)):
        with tf.GradientTape() as tape:
            tape.watch([*xs, *states])
            values, last = loop()
            flat = tf.nest.flatten([values, last])
            scalar = sum(tf.reduce_sum(value * (k + 1) ** value) for k, value in enumerate(flat))
        answers.append([*flat, *tape.gradient(scalar, [*xs, *states])])
    assert [v.shape for v in answers[0][:3]] == [(B, steps, 3), (B, steps, 1), (B, steps, 3)]
    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
        assert np.abs(other).max() > 1e-3


def test_xla_against_eager(rng):
    xs, states = data(rng, 4)

    def gradients(xs, states):
        with tf.GradientTape() as tape:
            tape.watch([*xs, *states])
            values, _ = unroll(step, states, xs)
            scalar = tf.reduce_sum(values["both"][0] ** 2)
        return tape.gradient(scalar, [*xs, *states])

    compiled = tf.function(gradients, jit_compile=True, autograph=False)(xs, states)
    for one, other in zip(compiled, gradients(xs, states), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
