"""CascadeCell against its equations in NumPy, weight by weight.

Conformance with Keras is tested with every other cell.
"""

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab.cells import CascadeCell
from lstmlab.learners import grown
from lstmlab.learners.base import forward

B, T, F, N = 3, 6, 2, 4
ACTIVATIONS = {
    "centred": lambda a: 1 / (1 + np.exp(-a)) - 0.5,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
}


def made(rng, activation="centred", units=N):
    cell = CascadeCell(units, activation, dtype="float64")
    cell.build((B, F))
    randomize(cell, rng)
    return cell


def in_numpy(cell, x):
    """Unit after unit, step after step; the weights of `cascade` by a count of their own."""
    n, f = cell.units, ACTIVATIONS[cell.activation]
    kernel, own, bias, installed = (
        w.numpy() for w in (cell.kernel, cell.recurrent, cell.bias, cell.installed)
    )
    between, k = {}, 0
    for source in range(n):
        for target in range(source + 1, n):
            between[source, target] = cell.cascade.numpy()[k]
            k += 1
    y = np.zeros((*x.shape[:2], n))
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            for j in range(n):
                net = bias[j] + x[b, t] @ kernel[:, j] + (own[j] * y[b, t - 1, j] if t else 0.0)
                net += sum(between[i, j] * y[b, t, i] for i in range(j))
                y[b, t, j] = installed[j] * f(net)
    return y


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_against_numpy(activation, rng):
    cell, x = made(rng, activation), rng.normal(size=(B, T, F))
    np.testing.assert_allclose(
        forward(cell, tf.constant(x)), in_numpy(cell, x), rtol=1e-12, atol=1e-12
    )
    single = made(rng, activation, units=1)
    assert single.cascade is None
    single_y = forward(single, tf.constant(x)).numpy()
    assert single_y.shape == (B, T, 1)
    np.testing.assert_allclose(single_y[:, 0, 0], single.installed[0] * ACTIVATIONS[activation](
        single.bias[0] + x[:, 0] @ single.kernel.numpy()[:, 0]), rtol=1e-12)  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slope_is_the_derivative(activation):
    cell, net = CascadeCell(1, activation), np.linspace(-4, 4, 33)
    difference = (cell.f(net + 1e-6) - cell.f(net - 1e-6)) / 2e-6
    np.testing.assert_allclose(cell.slope(cell.f(net)), difference, atol=1e-9)


def test_who_sees_whom(rng):
    """A unit acts on itself and later units, and none on an earlier one.

    Free places say nothing to anybody.
    """
    cell, x = made(rng), rng.normal(size=(B, T, F))
    cell.installed.assign(np.ones(N))
    before = forward(cell, tf.constant(x)).numpy()
    for j in range(N):
        bias = cell.bias.numpy()
        cell.bias.assign(bias + np.eye(N)[j])
        changed = np.abs(forward(cell, tf.constant(x)) - before).max(axis=(0, 1))
        assert (changed[:j] == 0).all()
        assert (changed[j:] > 1e-6).all()
        cell.bias.assign(bias)
    cell.installed.assign([1.0, 1.0, 0.0, 0.0])
    partly = forward(cell, tf.constant(x)).numpy()
    np.testing.assert_allclose(partly[..., :2], before[..., :2], atol=1e-12)
    assert not partly[..., 2:].any()


def test_weights_by_place_and_back(rng):
    """Row j: bias, inputs, units before it, zeros, itself."""
    cell = made(rng)
    net = grown.weights_in(cell).numpy()
    assert net.shape == (N, 1 + F + N + 1)
    np.testing.assert_array_equal(net[:, 0], cell.bias)
    np.testing.assert_array_equal(net[:, 1 : 1 + F].T, cell.kernel)
    np.testing.assert_array_equal(net[:, -1], cell.recurrent)
    assert not np.triu(net[:, 1 + F : -1]).any()
    np.testing.assert_array_equal(net[1:, 1 + F], cell.cascade[: N - 1])
    x = tf.constant(rng.normal(size=(B, T, F)))
    cell.installed.assign([1.0, 1.0, 1.0, 0.0])
    expected = forward(cell, x)
    again = made(np.random.default_rng(5))
    grown.assign_weights_in(again, tf.constant(net), 3)
    np.testing.assert_array_equal(forward(again, x), expected)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"units": 0}, "a positive integer. Received: units=0"),
        ({"units": 2.0}, "units=2.0"),
        ({"units": True}, "units=True"),
        (
            {"units": 2, "activation": "relu"},
            r"one of \('centred', 'sigmoid', 'tanh'\). Received: activation='relu'",
        ),
        (
            {"units": 2, "initializer": "foo"},
            "a Keras initializer or its name. Received: initializer='foo'",
        ),
    ],
)
def test_what_it_refuses(settings, text):
    with pytest.raises(ValueError, match=rf"CascadeCell: expected .*{text}"):
        CascadeCell(**settings)
