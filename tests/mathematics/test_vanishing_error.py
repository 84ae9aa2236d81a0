"""docs/mathematics.md, chapter "1991: error that vanishes", on the cells in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    PAGE,
    B,
    F,
    T,
    cell_of,
    inputs,
    jacobian,
    norm,
    set_weights,
    sigmoid,
)
from scipy.optimize import brentq


def net_flow(cell, x) -> np.ndarray:
    """d net_u(T) / d net_v(t), [B, T, u, v], of logistic units that read one another."""
    values, flow = jacobian(cell, x, "net_candidate", "output")
    slope = values["output"] * (1 - values["output"])
    return values, flow / slope[:, -1, None, :, None]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_back_flow_is_the_sum_over_all_paths(n, rng):
    cell = cell_of(rng, "elman", units=n, candidate_activation="sigmoid", scale=1.5)
    values, flow = net_flow(cell, inputs(rng))
    slope, weight = (
        values["output"] * (1 - values["output"]),
        cell.recurrent_kernel.numpy(),
    )  # weight[v, u]: from v to u
    for q in range(1, T):
        expected = np.zeros((B, n, n))
        for u, v in itertools.product(range(n), repeat=2):
            for between in itertools.product(range(n), repeat=q - 1):
                units = (u, *between, v)
                steps = [
                    slope[:, T - 1 - m, units[m]] * weight[units[m], units[m - 1]]
                    for m in range(1, q + 1)
                ]
                expected[:, u, v] += np.prod(steps, axis=0)
        np.testing.assert_allclose(flow[:, T - 1 - q], expected, rtol=1e-10, atol=1e-14)
        assert np.abs(expected).min() > 0


@pytest.mark.parametrize("n", [2, 4, 7])
def test_back_flow_is_below_the_bound_and_below_four_over_n_it_vanishes(n, rng):
    q = np.arange(11, -1, -1)[None, :]
    for share in (0.3, 0.9, 0.999):
        for _ in range(3):
            cell = cell_of(rng, "elman", units=n, candidate_activation="sigmoid")
            cell.recurrent_kernel.assign(rng.uniform(-1, 1, size=(n, n)) * share * 4 / n)
            _, flow = net_flow(cell, inputs(rng, 2, 12, F))
            row = norm(cell.recurrent_kernel.numpy().T) / 4
            total = np.abs(flow).sum(axis=2).max(axis=-1)  # over all units u, the worst v
            assert (np.abs(flow).max(axis=(2, 3)) <= row**q * (1 + 1e-12)).all()
            assert (total <= n * row**q * (1 + 1e-12)).all()
            assert row <= share
    assert (total > 0).all()


@pytest.mark.parametrize("tau", [0.5, 0.9, 1.0, 1.5])
def test_the_bound_is_reached_up_to_n_and_above_four_over_n_the_flow_can_explode(tau, rng):
    n, q = 5, 10
    cell = cell_of(rng, "elman", units=n, features=1, candidate_activation="sigmoid")
    w = (
        4 * tau / n
    )  # every unit reads every unit by w; the bias takes n w / 2 away, an input makes up for the first step
    set_weights(cell, kernel=1.0, recurrent_kernel=w, bias=-n * w / 2)
    x = np.zeros((1, q + 1, 1))
    x[0, 0] = n * w / 2
    values, flow = net_flow(cell, tf.constant(x))
    np.testing.assert_allclose(values["output"], 0.5, rtol=1e-14)
    np.testing.assert_allclose(flow[0, 0], np.full((n, n), tau**q / n), rtol=1e-11)
    np.testing.assert_allclose(flow[0, 0].sum(axis=0), tau**q, rtol=1e-11)


def one_step(cell, y: float):
    """(d y_t / d y_tm1, its derivative to the weight) of one logistic unit that reads itself."""
    y_tm1 = tf.constant([[y]], "float64")
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(y_tm1)
            values, _ = cell.step(tf.zeros((1, 1), "float64"), [y_tm1])
        flow = inner.gradient(values["output"], y_tm1)
    return flow.numpy().item(), outer.gradient(flow, [cell.recurrent_kernel.value])[
        0
    ].numpy().item()


def test_a_larger_weight_does_not_help(rng):
    cell = cell_of(rng, "elman", units=1, features=1, candidate_activation="sigmoid")
    best = brentq(lambda net: net * np.tanh(net / 2) - 1, 1, 2, xtol=1e-15)
    assert f"{best:.4f}" in PAGE
    assert f"{best * sigmoid(best) * sigmoid(-best):.4f}" in PAGE
    for y in (0.1, 0.5, 1.0):
        flows = {}
        for w in (*np.linspace(0.01, 40 / y, 60), best / y):
            set_weights(cell, kernel=0.0, bias=0.0, recurrent_kernel=w)
            flows[w], slope = one_step(cell, y)
            assert flows[w] < 1 or w >= 4
        assert max(flows, key=flows.get) == best / y
        assert abs(slope) < 1e-10  # of the last, w = coth(net / 2) / y
        assert best / y == pytest.approx(1 / (y * np.tanh(best / 2)), rel=1e-12)
        assert flows[best / y] * y == pytest.approx(
            best * sigmoid(best) * sigmoid(-best), rel=1e-12
        )
        assert flows[40 / y] < 1e-12
    for w in rng.uniform(-4, 4, size=40):  # with any other net input
        set_weights(cell, recurrent_kernel=w, bias=rng.normal(scale=3))
        assert abs(one_step(cell, 0.7)[0]) < 1


@pytest.mark.parametrize("weights", [31, pytest.param(121, marks=pytest.mark.slow)])
def test_the_best_weight_with_any_other_input_is_a_hyperbolic_cotangent(weights, rng):
    cell = cell_of(rng, "elman", units=1, features=1, candidate_activation="sigmoid")
    for y, a in itertools.product((0.2, 0.7, 1.0), (-4.0, -1.3, 0.4, 3.0)):
        set_weights(cell, kernel=0.0, bias=a)

        def at(w, y=y):
            set_weights(cell, recurrent_kernel=w)
            return one_step(cell, y)

        best = brentq(
            lambda w, at=at: at(w)[1], max(0.0, -a) / y + 0.1, 12 / y, xtol=1e-13
        )  # where the slope of the factor is 0
        net = best * y + a
        assert best == pytest.approx(1 / (y * np.tanh(net / 2)), rel=1e-9)
        others = [at(w)[0] for w in np.linspace(-30, 30, weights) / y]
        assert max(others) < at(best)[0] < 2 * max(others)
        assert max(abs(at(w)[0]) for w in (-60 / y, 60 / y)) < 1e-12
