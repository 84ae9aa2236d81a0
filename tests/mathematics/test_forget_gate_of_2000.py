"""docs/mathematics.md, chapter "Why a forget gate in 2000", on the cells in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    B,
    F,
    cell_of,
    counting,
    inputs,
    jacobian,
    set_weights,
    sigmoid,
    states_over,
    wide,
)

from lstmlab.diagnostics.common.tracing import trace


def test_without_a_forget_gate_the_state_is_a_random_walk_or_a_drift():
    steps, mean = 10, 0.3
    signs = np.array(
        list(itertools.product([-1.0, 1.0], repeat=steps))
    )  # every sequence there is, each as likely
    s = trace(counting(None), tf.constant(signs[..., None] + mean))["cell_state"].numpy()[..., 0]
    t = np.arange(1, steps + 1)
    np.testing.assert_allclose(s.mean(axis=0), mean * t, rtol=1e-12)
    np.testing.assert_allclose(s.std(axis=0), np.sqrt(t), rtol=1e-12)
    for f in (0.5, 0.9):
        s = trace(counting(f), tf.constant(signs[..., None] + mean))["cell_state"].numpy()[..., 0]
        np.testing.assert_allclose(s.mean(axis=0), mean * (1 - f**t) / (1 - f), rtol=1e-10)
        np.testing.assert_allclose(s.var(axis=0), (1 - f ** (2 * t)) / (1 - f**2), rtol=1e-10)


def test_with_a_forget_gate_below_one_the_state_stays_bounded(rng):
    for f in (0.5, 0.9):
        x = rng.uniform(-1, 1, size=(B, 60, 1))
        s = np.abs(states_over(counting(f), tf.constant(x)))
        assert (s <= np.abs(x).max(axis=1, keepdims=True) / (1 - f)).all()
        s = states_over(counting(f), tf.ones((1, 60, 1), "float64"))[
            0, :, 0
        ]  # a constant input reaches it:
        np.testing.assert_allclose(1 - s * (1 - f), f ** np.arange(1, 61), rtol=1e-9, atol=1e-14)
    cell = cell_of(rng, "lstm2000")  # and where gates change, with the largest of them
    values = trace(cell, inputs(rng, B, 30, F))
    added = np.abs(wide(cell, values["input_gate"]) * values["candidate"]).max(axis=1)
    largest = wide(cell, values["forget_gate"]).max(axis=1)
    assert (np.abs(values["cell_state"]).max(axis=1) <= added / (1 - largest)).all()


def test_what_a_bounded_state_began_with_decays(rng):
    first, t = tf.constant(np.eye(1, 61)[:, :, None]), np.arange(61)
    for f, s_0 in itertools.product((0.5, 0.9), (-40.0, 3.0, 40.0)):
        began = {
            "cell_state": (first, tf.fill((1, 61, 1), tf.constant(s_0, "float64")))
        }  # the state after the first step
        u = np.r_[0.0, rng.uniform(-1, 1, size=60)]
        s = states_over(counting(f), tf.constant(u[None, :, None]), began)[0, :, 0]
        bound = f**t * abs(s_0) + np.abs(u).max() / (1 - f)
        assert (np.abs(s) <= bound).all()
        if abs(s_0) == 40.0:
            assert (np.abs(s) > np.abs(u).max() / (1 - f)).any()  # not without the first term
        s = states_over(counting(f), tf.ones((1, 61, 1), "float64"), began)[0, :, 0]
        np.testing.assert_allclose(s, f**t * s_0 + (1 - f**t) / (1 - f), rtol=1e-9)
        if s_0 > 0:  # as near to the bound as one likes
            np.testing.assert_allclose(
                f**t * s_0 + 1 / (1 - f) - s, f**t / (1 - f), rtol=1e-9, atol=1e-12
            )


def test_a_constant_decay_cannot_keep_and_forget(rng):
    for f in (0.01, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, None):
        _, flow = jacobian(counting(f), tf.zeros((1, 8, 1), "float64"), "cell_state")
        kept = flow[0, ::-1, 0, 0]  # after 0, 1, ... steps
        for q in range(1, 8):
            assert max(kept[1], 1 - kept[q]) >= 0.5 - 1e-12
        assert (max(kept[1], 1 - kept[1]) == pytest.approx(0.5, abs=1e-12)) == (
            f == 0.5
        )  # reached over one step
    cell, x = cell_of(rng, units=1, features=1, feedback="none"), np.zeros((1, 9, 1))
    x[0, -1] = 1.0  # a mark at the last step says: forget
    for a in (0.0, 0.5, 2.0, 5.0, 12.0):
        set_weights(cell, kernel=[[0.0, -2 * a, 0.0, 0.0]], bias=[0.0, a, 0.0, 0.0])
        for q in (1, 2, 7):
            _, keeping = jacobian(cell, tf.constant(x[:, -q - 2 : -1]), "cell_state")
            _, losing = jacobian(cell, tf.constant(x[:, -q - 2 :]), "cell_state")
            lost, left = 1 - keeping[0, 0].item(), losing[0, 0].item()
            assert lost <= q * sigmoid(-a) * (1 + 1e-9)
            assert lost == pytest.approx(1 - sigmoid(a) ** q, rel=1e-9)
            assert 0 < left <= sigmoid(-a)
            assert left == pytest.approx(sigmoid(a) ** q * sigmoid(-a), rel=1e-9)
