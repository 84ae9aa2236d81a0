"""docs/mathematics.md, chapter "Which gate forgets", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    CUT,
    PAGE,
    SLOPES,
    B,
    F,
    N,
    T,
    cell_of,
    diagonal,
    every_variant,
    factor,
    held,
    inputs,
    jacobian,
    norm,
    one_step_from,
    read_back,
    set_weights,
    wide,
)

from lstmlab import Gate
from lstmlab.diagnostics.common.tracing import trace


@every_variant
def test_along_the_carousel_the_old_state_is_multiplied_by_e_alone(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    values, flow = jacobian(cell, x, "cell_state", **CUT)
    e = factor(cell, values)
    np.testing.assert_allclose(flow[:, -2], diagonal(e[:, -1]), atol=1e-12)
    for t in range(T):
        np.testing.assert_allclose(flow[:, t], diagonal(np.prod(e[:, t + 1 :], axis=1)), atol=1e-12)
    _, exact = jacobian(cell, x, "cell_state")
    reads = cell.feedback != "none" or bool(cell.peepholes)
    assert (
        np.abs(exact - flow).max() > 1e-3
    ) == reads  # the rest goes through the nets, where there is anything to go through


@every_variant
def test_with_gates_held_nothing_but_e_changes_the_share_of_the_old_state(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    same = {"forget_gate": rng.uniform(0.2, 1.5, size=(B, T, cell.blocks))}
    for _ in range(2):  # whatever i, g, o and q are
        values, flow = jacobian(cell, x, "cell_state", clamps=held(rng, cell, x, **same))
        e = factor(cell, values)
        np.testing.assert_allclose(
            flow[:, 0], diagonal(np.prod(e[:, 1:], axis=1)), rtol=1e-12, atol=1e-14
        )
        added = (
            wide(cell, values["input_gate"]) * values["candidate"]
            if "input_gate" in values
            else values["candidate"]
        )
        s = np.zeros((B, N))
        for t in range(T):
            s = e[:, t] * s + added[:, t]
        np.testing.assert_allclose(values["cell_state"][:, -1], s, rtol=1e-10)
        for other in set(values) & {
            "input_gate",
            "output_gate",
            "reset_gate",
        }:  # the theorem is not true of them
            assert (
                np.abs(
                    flow[:, 0] - diagonal(np.prod(wide(cell, values[other])[:, 1:], axis=1))
                ).max()
                > 1e-2
            )
    if "forget_gate" in values:
        _, changed = jacobian(cell, x, "cell_state", clamps=held(rng, cell, x))
        assert np.abs(changed - flow)[:, 0].max() > 1e-2


@pytest.mark.parametrize("forget", [None, "sigmoid"])
def test_addition_never_brings_two_states_closer(forget, rng):
    cell = cell_of(rng, forget_gate=forget, feedback="none", scale=2.0)
    x, kept = inputs(rng, 1, 30, F), np.ones((1, N))
    states = [tf.zeros((2, N), "float64"), tf.constant(rng.normal(size=(2, N)))]
    apart = np.diff(states[1], axis=0)
    for t in range(30):
        values, states = cell.step(tf.repeat(x[:, t], 2, axis=0), states)
        kept = kept * (values["forget_gate"].numpy()[:1] if forget else 1.0)
        np.testing.assert_allclose(np.diff(states[1], axis=0), kept * apart, rtol=1e-10, atol=1e-13)
    assert (kept.max() < 0.9) == (forget is not None)


OPEN = tf.ones((B, T, 1)), tf.ones((B, T, 1), "float64")


def split(cell, values) -> tuple[np.ndarray, np.ndarray]:
    """diag(e_t) and N_t of theorems 10 and 11 [B, n, n], at the last step, from the traced values."""
    at = {
        name: wide(cell, value[:, -1]) if value.shape[-1] < cell.units else value[:, -1]
        for name, value in values.items()
    }
    s_tm1, o = values["cell_state"][:, -2], wide(cell, values["output_gate"][:, -2])
    g, h = at["candidate"], cell.output_activation(tf.constant(s_tm1)).numpy()
    weights, looks = (
        read_back(cell),
        dict(zip(cell.peepholes, cell.peephole.numpy(), strict=True)) if cell.peepholes else {},
    )
    slopes = {"candidate": at["input_gate"] * SLOPES[cell.candidate_activation.__name__](g)}
    for name, by in (("input_gate", g), ("forget_gate", s_tm1)):
        if name in at:
            slopes[name] = by * at[name] * (1 - at[name])
    through = sum(slope[..., None] * weights[name] for name, slope in slopes.items())
    shown = o * SLOPES[cell.output_activation.__name__](h) + h * o * (1 - o) * looks.pop(
        "output_gate", 0
    )
    seen = sum((diagonal(slopes[name] * row) for name, row in looks.items()), np.zeros(1))
    return diagonal(factor(cell, values)[:, -1]), through * shown[:, None, :] + seen


@pytest.mark.parametrize("name", ["vanilla", "lstm1997", "lstm2000"])
@pytest.mark.parametrize("units", [2, 4, 8])
def test_one_step_is_e_plus_what_goes_through_the_nets_and_the_bound_on_it(name, units, rng):
    for scale in (0.1, 0.7, 3.0):
        cell = cell_of(rng, name, units=units, scale=scale)
        values, flow = jacobian(cell, inputs(rng), "cell_state")
        carousel, through = split(cell, values)
        np.testing.assert_allclose(flow[:, -2], carousel + through, rtol=1e-9, atol=1e-12)
        size = {net: norm(weight) for net, weight in read_back(cell).items()}
        g, slope_h = (1.0, 1.0) if name == "vanilla" else (2.0, 0.5)
        s = np.abs(values["cell_state"][:, -2]).max(axis=-1)
        bound = slope_h * (
            g * size["input_gate"] / 4 + size["candidate"] + s * size.get("forget_gate", 0) / 4
        )
        assert (norm(through) <= bound).all()
        assert (norm(through) > 0).all()


@pytest.mark.parametrize("name", ["vanilla", "lstm1997"])
def test_a_closed_output_gate_closes_the_second_path(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    closed = {"output_gate": (tf.ones((B, T, 1)), tf.zeros((B, T, 1), "float64"))}
    values, flow = jacobian(cell, x, "cell_state", clamps=closed)
    for t in range(T):
        np.testing.assert_allclose(
            flow[:, t], diagonal(np.prod(factor(cell, values)[:, t + 1 :], axis=1)), atol=1e-14
        )


@pytest.mark.parametrize("name", ["vanilla", "lstm1997", "lstm2000"])
def test_a_closed_input_gate_leaves_what_goes_through_the_forget_gate(name, rng):
    cell, x = cell_of(rng, name), inputs(rng).numpy()
    x[:, :, 0] = np.arange(T) == T - 1  # a mark at the last step closes the input gate
    kernel = cell.kernel.numpy()
    kernel[0] = 0.0
    kernel[0, : cell.blocks] = -800.0
    set_weights(cell, kernel=kernel)
    values, flow = jacobian(cell, tf.constant(x), "cell_state")
    assert (values["input_gate"][:, -1] == 0).all()
    if name == "lstm1997":
        assert (flow[:, -2] == np.eye(N)).all()
        return
    f, o = wide(cell, values["forget_gate"][:, -1]), wide(cell, values["output_gate"][:, -2])
    s_tm1, y_tm1 = values["cell_state"][:, -2], values["output"][:, -2]
    shown = o * SLOPES[cell.output_activation.__name__](y_tm1 / o)
    left = (s_tm1 * f * (1 - f))[..., None] * read_back(cell)["forget_gate"] * shown[:, None, :]
    np.testing.assert_allclose(flow[:, -2], diagonal(f) + left, rtol=1e-9, atol=1e-12)
    assert norm(left).min() > 1e-3


@pytest.mark.parametrize("name", ["peephole", "niaf", "noaf", "nfg"])
def test_peepholes_add_a_second_path_that_no_recurrent_weight_bounds_and_no_output_gate_closes(
    name, rng
):
    cell, x = cell_of(rng, name), inputs(rng)
    values, flow = jacobian(cell, x, "cell_state")
    carousel, through = split(cell, values)
    np.testing.assert_allclose(flow[:, -2], carousel + through, rtol=1e-9, atol=1e-12)
    closed = {"output_gate": (tf.ones((B, T, 1)), tf.zeros((B, T, 1), "float64"))}
    values, flow = jacobian(cell, x, "cell_state", clamps=closed)
    carousel, left = split(cell, values)
    assert norm(left).min() > 1e-2
    np.testing.assert_allclose(flow[:, -2], carousel + left, rtol=1e-9, atol=1e-12)
    set_weights(
        cell, recurrent_kernel=0.0
    )  # the bound of the theorem, for cells without peepholes, is 0
    values, flow = jacobian(cell, x, "cell_state")
    carousel, left = split(cell, values)
    np.testing.assert_allclose(flow[:, -2], carousel + left, rtol=1e-9, atol=1e-12)
    assert norm(left).min() > 1e-2
    assert (left * (1 - np.eye(N)) == 0).all()


@pytest.mark.parametrize("units", [2, 4, 8])
def test_at_the_initial_weights_of_1997_the_second_path_is_narrow(units, rng):
    net = tf.constant(np.linspace(-50, 50, 1001)[:, None])
    cell = cell_of(rng, "lstm1997", units=units)
    g, h = (
        function(net).numpy() for function in (cell.candidate_activation, cell.output_activation)
    )
    slope_h, slope_g = SLOPES["h1997"](h).max(), SLOPES["g1997"](g).max()
    share = slope_h * (np.abs(g).max() / 4 + slope_g) * 0.1
    assert share == pytest.approx(0.075, rel=1e-12)
    assert f"at most ${share:.3f} n$" in PAGE
    for draw in (
        rng.uniform,
        lambda low, high, size: rng.choice([low, high], size=size),
    ):  # within, and at the corners
        cell.recurrent_kernel.assign(draw(-0.1, 0.1, size=cell.recurrent_kernel.shape))
        _, flow = jacobian(cell, inputs(rng), "cell_state")
        assert 0 < norm(flow[:, -2] - np.eye(units)).max() <= share * units
    reads = cell.recurrent_kernel.numpy()
    reads[units:] = 0.0
    set_weights(
        cell, kernel=0.0, bias=0.0, recurrent_kernel=reads
    )  # nets at 0, gates open: the candidate's part is reached
    _, flow = jacobian(cell, inputs(rng), "cell_state", clamps={gate: OPEN for gate in cell.gates})
    np.testing.assert_allclose(
        norm(flow[:, -2] - np.eye(units)), slope_h * slope_g * 0.1 * units, rtol=1e-12
    )


def test_erasing_by_addition_takes_time_in_proportion_to_the_state(rng):
    for scale in (0.7, 3.0, 10.0):
        cell = cell_of(rng, "lstm1997", scale=scale)
        values = trace(cell, inputs(rng, B, 40, F))
        s = np.concatenate([np.zeros((B, 1, N)), values["cell_state"]], axis=1)
        assert (np.abs(np.diff(s, axis=1)) <= 2 * wide(cell, values["input_gate"]) + 1e-12).all()
    for size in (
        3.0,
        8.0,
        21.0,
    ):  # the quickest way: every gate open, the candidate as far down as it goes
        cell, steps = cell_of(rng, "lstm1997", feedback="none"), 0
        set_weights(cell, kernel=0.0, bias=[50.0] * 2 + [-50.0] * N + [50.0] * 2)
        states = [tf.zeros((1, N), "float64"), tf.fill((1, N), tf.constant(size, "float64"))]
        while states[1].numpy().min() > 1e-9:
            _, states = cell.step(tf.zeros((1, F), "float64"), states)
            steps += 1
        assert steps == np.ceil(size / 2)
    cell = cell_of(rng, "lstm2000")
    values, states = cell.step(
        inputs(rng, 1, F), [tf.zeros((1, N), "float64"), tf.fill((1, N), tf.constant(21.0, "float64"))],
        touch=lambda name, value: tf.zeros_like(value) if name == "forget_gate" else value,
    )  # fmt: skip
    np.testing.assert_array_equal(states[1], wide(cell, values["input_gate"]) * values["candidate"])


def test_the_second_path_closes_as_the_state_grows(rng):
    for size in (1.0, 5.0, 15.0):
        cell = cell_of(rng, "lstm1997", scale=2.0)
        s = tf.constant(rng.choice([-1.0, 1.0], size=(B, N)) * size)
        through = one_step_from(cell, inputs(rng, B, 2, F), s) - np.eye(N)
        weights = {net: norm(weight) for net, weight in read_back(cell).items()}
        limit = 2 * np.exp(-size) * (weights["input_gate"] / 2 + weights["candidate"])
        assert (norm(through) > 0).all()
        assert (norm(through) <= limit).all()


def test_a_peephole_of_the_input_gate_keeps_the_second_path_open(rng):
    cell = cell_of(rng, "lstm1997", block_size=1, input_gate=Gate(peephole="previous"))
    set_weights(cell, peephole=rng.uniform(0.05, 0.1, size=(1, N)))
    s = tf.constant(rng.choice([-1.0, 1.0], size=(B, N)) * 15.0)
    x = inputs(rng, B, 2, F)
    through = one_step_from(cell, x, s) - np.eye(N)
    weights = {net: norm(weight) for net, weight in read_back(cell).items()}
    limit = 2 * np.exp(-15.0) * (weights["input_gate"] / 2 + weights["candidate"])
    zeros = [tf.zeros((B, size), "float64") for size in cell.state_size]
    _, states = cell.step(
        x[:, 0], zeros, touch=lambda name, value: s if name == "cell_state" else value
    )
    values, _ = cell.step(x[:, 1], states)
    i, g = values["input_gate"].numpy(), values["candidate"].numpy()
    seen = diagonal(g * i * (1 - i) * cell.peephole.numpy()[0])
    assert (norm(through) > 100 * limit).all()
    assert (norm(through - seen) <= limit).all()
