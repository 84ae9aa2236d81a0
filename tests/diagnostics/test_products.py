"""Products of one-step Jacobians against automatic differentiation, and their helpers by hand.

The whole measure is held against other oracles in test_jacobians.py and test_bound.py.
"""

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics.common.products import log10, magnitudes, norms, over_sequences, products
from lstmlab.learners import BPTT

B, T, F, N = 2, 6, 3, 4


@pytest.fixture
def model(rng):
    cell = variant("vanilla", units=N, dtype="float64")
    made = Recurrent(cell, Head(1, dtype="float64"), BPTT(), F)
    randomize(cell, rng)
    return made


@pytest.mark.slow
def test_products_against_automatic_differentiation(model, rng, eager):
    """ds_T*/ds_t by reverse differentiation through all steps from t to T*."""
    x, w = rng.normal(size=(B, T, F)), np.zeros((B, T))
    w[0, 5], w[1, 3] = 1, 1
    found = products(model, x, w)
    assert found.last.tolist() == [5, 3]
    assert found.there.sum(axis=1).tolist() == [6, 4], "lags 0 .. T*"

    for row, last in enumerate(found.last):
        for place, lag in enumerate(found.lags[: last + 1]):
            exact = by_differentiation(model.cell, x[row : row + 1, : last + 1], last - lag)
            for name, jacobian in exact.items():
                scale = 10.0 ** found.logs[name][row, place]
                product = found.matrices[name][row, place] * scale
                np.testing.assert_allclose(product, jacobian, rtol=1e-9, atol=1e-12)


def by_differentiation(cell, x, at: int) -> dict[str, np.ndarray]:
    """d of the last cell state by a tap on the cell state of step `at`, which y_at sees too."""
    states = [tf.zeros((1, N), "float64")] * 2
    tap = tf.zeros((1, N), "float64")
    with tf.GradientTape() as tape:
        tape.watch(tap)
        for t in range(x.shape[1]):

            def touch(name, value, here=t == at):
                return value + tap if here and name == "cell_state" else value

            values, states = cell.step(x[:, t], states, touch=touch)
        last = values["cell_state"]
    return {"cell_state": tape.jacobian(last, tap)[0, :, 0].numpy()}


def test_magnitudes_and_norms_by_hand():
    matrices = np.array([[[[3.0, 0.0], [0.0, -4.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    np.testing.assert_allclose(norms(matrices), [[4.0], [0.0]])
    assert magnitudes(matrices).max() == 4.0


def test_the_logarithm_of_nothing_is_minus_infinity():
    assert log10(np.array([0.0, 100.0])).tolist() == [-np.inf, 2.0]


def test_a_statistic_is_over_the_sequences_that_reach_back_so_far():
    there = np.array([[True, True], [True, False]])
    values = np.array([[1.0, 2.0], [5.0, 9.0]])
    assert over_sequences(np.max, there, values).tolist() == [5.0, 2.0]
