"""docs/mathematics.md, chapter "The constant error carousel", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    CUT,
    PAGE,
    F,
    cell_of,
    inputs,
    jacobian,
    set_weights,
)

from lstmlab.diagnostics.common.tracing import trace


def test_constant_flow_needs_a_linear_unit_of_slope_one_over_w(rng):
    def flow(activation, w):
        cell = cell_of(
            rng,
            "elman",
            features=1,
            candidate_activation=activation,
            candidate_recurrent="by_element",
        )
        set_weights(cell, recurrent_elements=w)
        _, of_output = jacobian(cell, 3 * inputs(rng, 50, 2, 1), "output", "output")
        return np.diagonal(of_output[:, 0], axis1=1, axis2=2)

    for w in (-2.0, 0.5, 1.0, 3.0):
        np.testing.assert_allclose(flow(lambda net, w=w: net / w + 0.3, w), 1, rtol=1e-14)
        assert np.abs(flow(lambda net, w=w: net / (1.01 * w), w) - 1).min() > 0.009
        for squashed in ("sigmoid", "tanh", "relu", "softplus", "softsign", "elu"):
            assert np.ptp(flow(squashed, w)) > 0.1 * abs(w)


def test_what_comes_back_through_another_unit_is_added_to_the_constant_flow(rng):
    for w, v, v_back in ((1.0, 0.5, -0.25), (2.0, 3.0, 0.7), (-0.5, 1.0, 0.2)):
        cell = cell_of(
            rng, "elman", units=2, features=1, candidate_activation=lambda net, w=w: net / w + 0.3
        )
        set_weights(cell, recurrent_kernel=[[w, v_back], [v, w]])
        x = 3 * inputs(rng, 20, 3, 1)
        for q, expected in ((1, 1.0), (2, 1 + v * v_back / w**2)):
            _, flow = jacobian(cell, x, "output", "output")
            np.testing.assert_allclose(flow[:, -1 - q, 0, 0], expected, rtol=1e-12)
        assert abs(expected - 1) > 0.1
        set_weights(cell, recurrent_kernel=[[w, 0.0], [v, w]])  # nothing comes back
        _, flow = jacobian(cell, x, "output", "output")
        np.testing.assert_allclose(flow[:, 0, 0, 0], 1.0, rtol=1e-12)


@pytest.mark.parametrize("units", [2, 4, 6])
def test_the_carousel_of_1997_is_exactly_one(units, rng):
    _, flow = jacobian(
        cell_of(rng, "lstm1997", units=units, scale=2.0), inputs(rng, 4, 40, F), "cell_state", **CUT
    )
    assert (flow == np.eye(units)).all()


def test_a_factor_of_one_plus_epsilon_is_a_power(rng):
    q = 1000
    limits = np.array([2 ** (1 / q) - 1, 2 ** (-1 / q) - 1])
    epsilon = np.array([*limits, 0.0, 0.01, -0.01, *(limits * 0.999), *(limits * 1.001), -2.0])
    assert -limits[1] < np.log(2) / q < limits[0]
    np.testing.assert_allclose(limits, [np.log(2) / q, -np.log(2) / q], rtol=1 / q)
    units = len(epsilon)
    cell = cell_of(
        rng,
        "elman",
        units=units,
        features=1,
        candidate_activation="linear",
        candidate_recurrent="by_element",
        scale=0.1,
    )
    set_weights(cell, recurrent_elements=1 + epsilon)
    tap, x = tf.zeros((1, q + 1, units), "float64"), tf.zeros((1, q + 1, 1), "float64")

    @tf.function(autograph=False)
    def of_last():
        with tf.GradientTape() as tape:
            tape.watch(tap)
            total = tf.reduce_sum(trace(cell, x, taps={"output": tap})["output"][:, -1])
        return tape.gradient(total, tap)

    flow = of_last().numpy()[0]
    np.testing.assert_allclose(flow, (1 + epsilon) ** np.arange(q, -1, -1)[:, None], rtol=1e-10)
    np.testing.assert_allclose(flow[0, :3], [2, 0.5, 1], rtol=1e-10)
    assert [0.5 < left < 2 for left in flow[0, 5:9]] == [True, True, False, False]
    assert (flow[0, -1], flow[1, -1]) == (
        1.0,
        -1.0,
    )  # a factor of -1 over an even number of steps, and over an odd one
    for number in (f"{np.log(2) / q:.5f}", f"{flow[0, 3]:,.0f}", f"{flow[0, 4]:.6f}"):
        assert number in PAGE, number
