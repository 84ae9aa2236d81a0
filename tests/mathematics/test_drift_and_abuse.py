"""docs/mathematics.md, chapter "Drift and abuse", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    PAGE,
    B,
    F,
    N,
    cell_of,
    inputs,
    jacobian,
    set_weights,
    sigmoid,
    states_over,
    wide,
)

from lstmlab import Gate


def test_a_drifting_state_closes_its_own_output(rng):
    cell = cell_of(rng, "lstm1997", feedback="none")
    for size in (0.0, 1.0, 5.0, 20.0):
        with tf.GradientTape() as tape:
            s = tf.constant(rng.choice([-1.0, 1.0], size=(B, N)) * size)
            tape.watch(s)
            values, _ = cell.step(
                inputs(rng, B, F), [tf.zeros((B, N), "float64"), s],
                touch=lambda name, value, s=s: s + 0 * value if name == "cell_state" else value,
            )  # fmt: skip
            total = tf.reduce_sum(values["output"])
        slope = tape.gradient(total, s).numpy() / wide(cell, values["output_gate"])
        assert (slope <= 2 * np.exp(-size)).all()
        if size:
            assert (slope >= 0.5 * np.exp(-size)).all()
        else:
            np.testing.assert_allclose(slope, 0.5, rtol=1e-14)


def test_an_output_peephole_keeps_the_door_of_a_drifting_state_open(rng):
    look = Gate(peephole="current", recurrent="none")
    cell = cell_of(rng, "lstm1997", block_size=1, feedback="none", output_gate=look)
    kernel = cell.kernel.numpy()
    kernel[:, -N:] = 0.0
    size = 20.0
    # the pre-activation is 1 at either state: the bias takes away what the peephole adds
    for sign in (1.0, -1.0):
        bias = cell.bias.numpy()
        u_o = cell.peephole.numpy()[0]
        bias[-N:] = 1.0 - u_o * sign * size
        set_weights(cell, kernel=kernel, bias=bias)
        with tf.GradientTape() as tape:
            s = tf.fill((B, N), tf.constant(sign * size, "float64"))
            tape.watch(s)
            zeros = [tf.zeros((B, width), "float64") for width in cell.state_size]
            values, _ = cell.step(
                inputs(rng, B, F), zeros,
                touch=lambda name, value, s=s: s + 0 * value if name == "cell_state" else value,
            )  # fmt: skip
            total = tf.reduce_sum(values["output"])
        slope = tape.gradient(total, s).numpy()
        o = sigmoid(1.0)
        np.testing.assert_allclose(
            slope, sign * np.broadcast_to(o * (1 - o) * u_o, (B, N)), rtol=1e-6
        )
        assert np.abs(slope).min() > 1e4 * 2 * np.exp(-size)


def test_a_negative_input_gate_bias_slows_the_drift(rng):
    for bias, shown in ((0, "100.00"), (-3, "9.49"), (-6, "0.49")):
        cell = cell_of(rng, "lstm1997", feedback="none", scale=3.0)
        kernel, first = cell.kernel.numpy(), cell.bias.numpy()
        kernel[:, :2], first[:2] = 0.0, bias
        set_weights(cell, kernel=kernel, bias=first)
        s = states_over(cell, inputs(rng, B, 100, F))
        limit = 2 * sigmoid(bias) * np.arange(1, 101)[:, None]
        assert (np.abs(s) <= limit).all()
        first[2 : 2 + N] = 60.0  # a candidate as high as it goes: the limit is reached
        set_weights(cell, kernel=0.0, bias=first)
        s = states_over(cell, inputs(rng, B, 100, F))
        np.testing.assert_allclose(s, np.broadcast_to(limit, s.shape), rtol=1e-10)
        assert f"| {bias} | {s[0, -1, 0]:.2f} |" in PAGE
        assert f"{s[0, -1, 0]:.2f}" == shown
        begun = {
            "cell_state": (
                tf.constant(np.eye(1, 100)[:, :, None].repeat(B, 0)),
                tf.fill((B, 100, 1), np.float64(7)),
            )
        }
        # from 7 after the first step
        s = states_over(cell, inputs(rng, B, 100, F), begun)
        np.testing.assert_allclose(s, np.broadcast_to(7 + limit - limit[0], s.shape), rtol=1e-10)


def test_a_negative_output_gate_bias_keeps_a_cell_from_being_used(rng):
    for bias, shown in ((-2, "0.119"), (-4, "0.018"), (-6, "0.0025")):
        cell = cell_of(rng, "lstm1997", feedback="none", scale=2.0)
        kernel, first = cell.kernel.numpy(), cell.bias.numpy()
        kernel[:, -2:], first[-2:] = 0.0, bias
        set_weights(cell, kernel=kernel, bias=first)
        values, flow = jacobian(cell, inputs(rng), "cell_state", "output")
        assert (np.abs(values["output"]) <= sigmoid(bias)).all()
        assert (np.abs(flow) <= sigmoid(bias) / 2).all()
        assert float(shown) == pytest.approx(sigmoid(bias), rel=0.02)
        assert shown in PAGE
