"""docs/mathematics.md, chapter "Two conflicts", on the cells in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    bare,
    sigmoid,
)

from lstmlab import Gate
from lstmlab.diagnostics.common.tracing import trace

SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))  # x_1, x_2
MARKED = np.stack(
    [SIGNS, np.broadcast_to([1.0, 0.0], SIGNS.shape)], axis=-1
)  # a mark at the first step says: store


def state_after(cell, x) -> np.ndarray:
    return trace(cell, tf.constant(x))["cell_state"].numpy()[:, -1, 0]


def test_one_input_weight_cannot_store_and_protect(rng):
    for squashing in (
        "linear",
        "tanh",
        "sigmoid",
        "g1997",
        "relu",
    ):  # without a mark, whatever the squashing
        for _ in range(5):
            cell = bare(squashing, features=1, kernel=rng.normal(scale=2), bias=rng.normal())
            assert np.mean((state_after(cell, SIGNS[..., None]) - SIGNS[:, 0]) ** 2) >= 0.5 - 1e-12
    for _ in range(30):  # with a mark, linear
        cell = bare(kernel=rng.normal(size=(2, 1)), bias=rng.normal())
        assert np.mean((state_after(cell, MARKED) - SIGNS[:, 0]) ** 2) >= 0.5 - 1e-12
    for mark, bias in ((0.4, -0.2), (1.0, 0.0), (-0.6, 0.1)):  # c_1 + c_2 = mark + 2 bias
        wrong = np.mean(
            (state_after(bare(kernel=[[0.5], [mark]], bias=bias), MARKED) - SIGNS[:, 0]) ** 2
        )
        assert wrong == pytest.approx(0.5 + (mark + 2 * bias) ** 2, rel=1e-12)
    for q in (1, 2, 5):  # values to refuse
        signs = np.array(list(itertools.product([-1.0, 1.0], repeat=q + 1)))
        marked = np.stack([signs, np.broadcast_to(np.arange(q + 1) == 0, signs.shape)], axis=-1)
        for _ in range(10):
            cell = bare(kernel=rng.normal(size=(2, 1)), bias=rng.normal())
            assert np.mean((state_after(cell, marked) - signs[:, 0]) ** 2) >= q / (q + 1) - 1e-12
        for w in (0.9 / (q + 1), 1 / (q + 1), 1.1 / (q + 1)):
            wrong = np.mean(
                (state_after(bare(features=1, kernel=w, bias=0.0), signs[..., None]) - signs[:, 0])
                ** 2
            )
            assert wrong >= q / (q + 1) - 1e-12
            assert (wrong == pytest.approx(q / (q + 1), abs=1e-12)) == (w == 1 / (q + 1))


@pytest.mark.parametrize("squashing", ["linear", "tanh", "g1997", "softsign", "elu"])
def test_a_cell_that_refuses_both_signs_stores_nothing(squashing, rng):
    both, mark = (
        np.array([[[1.0, 0.0]], [[-1.0, 0.0]]]),
        rng.normal(),
    )  # an unmarked step: g(0) = 0, so w x + c = 0 is refused
    for w in (*rng.uniform(0.1, 3, size=4), *rng.uniform(-3, -0.1, size=4)):
        for c in (*rng.normal(size=4), w, -w, 0.0):
            let_in = state_after(bare(squashing, kernel=[[w], [mark]], bias=c), both)
            assert (let_in != 0).any()
            assert (let_in == 0).any() == (abs(c) == abs(w))  # one sign at most
    cell = bare(squashing, kernel=[[0.0], [mark]], bias=0.0)
    assert (state_after(cell, both) == 0).all()
    assert np.ptp(state_after(cell, MARKED)) == 0  # whatever the first value was
    assert np.abs(state_after(cell, MARKED)).min() > 0


def test_a_squashing_flat_at_zero_nearly_refuses_and_loses_the_sign():
    cell = bare(
        "sigmoid", kernel=[[1.0], [20.0]], bias=-20.0
    )  # w = 1; the mark takes the bias away
    stored = state_after(cell, MARKED[:, :1])
    refused = state_after(cell, np.array([[[1.0, 0.0]], [[-1.0, 0.0]]]))
    assert (refused > 0).all()
    assert refused.max() < 1e-8
    np.testing.assert_allclose(stored, sigmoid(SIGNS[:, 0]), rtol=1e-12)


def test_the_two_errors_pull_the_input_weight_in_opposite_directions():
    for w in (0.1, 0.5, 0.9):
        cell = bare(kernel=[[w], [0.0]], bias=0.0)
        with tf.GradientTape(persistent=True) as tape:
            state = trace(cell, tf.constant(MARKED))["cell_state"][..., 0]
            stored = tf.reduce_mean((state[:, 0] - SIGNS[:, 0]) ** 2)
            disturbed = tf.reduce_mean((state[:, 1] - state[:, 0]) ** 2)
        pulls = [
            tape.gradient(error, [cell.kernel.value])[0].numpy()[0, 0]
            for error in (stored, disturbed)
        ]
        np.testing.assert_allclose(pulls, [2 * (w - 1), 2 * w], rtol=1e-12)


def test_an_input_gate_stores_and_protects():
    for a in (1.0, 5.0, 20.0):
        cell = bare(input_gate=Gate(), kernel=[[0.0, 1.0], [2 * a, 0.0]], bias=[-a, 0.0])
        wrong = np.abs(state_after(cell, MARKED) - SIGNS[:, 0])
        np.testing.assert_allclose(wrong.max(), 2 * sigmoid(-a), rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(np.mean(wrong**2), 2 * sigmoid(-a) ** 2, rtol=1e-10, atol=1e-18)
        assert np.mean(wrong**2) < 0.5
    assert wrong.max() < 1e-8


def test_one_output_weight_cannot_retrieve_and_not_disturb(rng):
    x = np.zeros((2, 3, 2))
    x[:, 0, 0], x[:, 2, 1] = (
        (1.0, -1.0),
        1.0,
    )  # a value is stored; two steps later a mark says: retrieve
    y = trace(bare(kernel=[[1.0], [0.0]], bias=0.0), tf.constant(x))["output"].numpy()[:, :, 0]
    for v in (*rng.normal(size=100), 0.5):
        disturbs, retrieves = v * y[:, 1], v * y[:, 2] - x[:, 0, 0]
        assert np.mean(disturbs**2 + retrieves**2) >= 0.5 - 1e-12
    assert np.mean(disturbs**2 + retrieves**2) == pytest.approx(0.5, abs=1e-12)
    for a in (1.0, 5.0, 20.0):
        gated = bare(output_gate=Gate(), kernel=[[1.0, 0.0], [0.0, 2 * a]], bias=[0.0, -a])
        y = trace(gated, tf.constant(x))["output"].numpy()[:, :, 0]
        np.testing.assert_allclose(np.abs(y[:, 1]), sigmoid(-a), rtol=1e-10)
        np.testing.assert_allclose(np.abs(y[:, 2] - x[:, 0, 0]), sigmoid(-a), rtol=1e-6)
        together = np.mean(y[:, 1] ** 2 + (y[:, 2] - x[:, 0, 0]) ** 2)
        np.testing.assert_allclose(together, 2 * sigmoid(-a) ** 2, rtol=1e-6)
