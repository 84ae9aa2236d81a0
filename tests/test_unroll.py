"""The one loop over time, against a Python loop."""

from functools import partial

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


@pytest.mark.parametrize("backwards", [False, True])
def test_backwards_and_the_last_step_alone(backwards, rng):
    xs, states = data(rng, 5)
    order = slice(None, None, -1) if backwards else slice(None)
    expected, last = by_hand(tuple(x[:, order] for x in xs), states)
    for every_step in (True, False):
        values, final = unroll(step, states, xs, every_step, backwards)
        assert list(values) == list(expected)
        for one, other in zip(tf.nest.flatten(values), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(one, other if every_step else other[:, -1], rtol=1e-12)
        for one, other in zip(final, last, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.slow), False])
def test_steps_known_only_at_run_time(compiled, rng):
    signature = [tf.TensorSpec((B, None, 3), "float64"), tf.TensorSpec((B, None, 1), "float64")]
    _, states = data(rng, 1)

    def with_gradients(loop, *xs):
        with tf.GradientTape() as tape:
            tape.watch(xs)
            values = tf.nest.flatten(loop(xs))
            scalar = sum(tf.reduce_sum(value**2) for value in values)
        return [*values, *tape.gradient(scalar, xs)]

    looped = tf.function(
        lambda *xs: with_gradients(lambda xs: unroll(step, states, xs), *xs),
        signature,
        jit_compile=compiled,
        autograph=False,
    )
    for steps in (1, 2, 4):
        xs, _ = data(rng, steps)
        expected = with_gradients(lambda xs: by_hand(xs, states), *xs)
        for one, other in zip(looped(*xs), expected, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=1e-12, atol=1e-12
            )  # XLA sums in another order


def read_or_not(inputs, states):
    """A step that reads the first of its states, and not the second."""
    values, (total, _) = step(inputs, [states[0], inputs[1]])
    return values, [total, values["both"][1]]


def python_loop(one_step, states, xs, every_step):
    rows = []
    for t in range(xs[0].shape[1]):
        values, states = one_step((xs[0][:, t], xs[1][:, t]), states)
        rows.append(values)
    if not every_step:
        return rows[-1], states
    return tf.nest.map_structure(lambda *v: tf.stack(v, axis=1), *rows), states


@pytest.mark.slow
@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize(("one_step", "steps"), [(step, 1), (step, 2), (step, 4), (read_or_not, 3)])
def test_jacobians_in_a_compiled_function(one_step, steps, every_step, rng):
    """Of values and last states, by inputs and first states: vectorized, against a Python loop."""
    xs, states = data(rng, steps)

    def jacobians(loop, *arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            answer = loop(one_step, list(arrays[2:]), arrays[:2], every_step)
            y = tf.concat([tf.reshape(v, (-1,)) for v in tf.nest.flatten(answer)], axis=0)
        return tape.jacobian(y, arrays, unconnected_gradients="zero")

    found, right = (
        tf.function(partial(jacobians, loop), autograph=False)(*xs, *states)
        for loop in (unroll, python_loop)
    )
    for one, other in zip(found, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    read = right[:-1] if one_step is read_or_not else right
    assert all(np.abs(other).max() > 1e-3 for other in read)


def test_gradient_writes_to_no_stack_of_all_steps(rng):
    """Of the loops of the gradient, none sets items of the stacks that it reads.

    XLA would copy them at every step.
    """

    @tf.function(autograph=False)
    def gradients(x, states):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values, _ = unroll(lambda x_t, s: (x_t * s[0], [tf.tanh(x_t + s[0])]), states, x)
            scalar = tf.reduce_sum(values**2)
        return tape.gradient(scalar, x)

    graph = gradients.get_concrete_function(tf.ones((B, 50, 3)), [tf.ones((B, 3))]).graph
    functions = graph.as_graph_def(add_shapes=False).library.function
    backward = [
        f for f in functions if all(part in f.signature.name for part in ("while", "grad", "body"))
    ]
    assert backward
    for function in backward:
        kinds = [node.op for node in function.node_def]
        assert "TensorListGetItem" in kinds
        assert "TensorListSetItem" not in kinds
