"""docs/mathematics.md, chapter "Which gate forgets", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    CUT,
    PAGE,
    SLOPES,
    WORDS,
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

from lstmlab import Gate, GatedCell
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.symbolic.jacobian import handed_on, parts
from lstmlab.symbolic.jacobian import jacobian as partial_derivatives
from lstmlab.symbolic.numbers import symbol_values


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


def partials(cell, values, t: int) -> dict[str, np.ndarray]:
    """A, B, C and D of theorem 10 at step t >= 1 [B, n, n], from traced values, written out.

    A is diag(e_t) and what the peepholes see of s_tm1; B, C and D are as on the page, C with the
    peephole of the output gate.
    """
    at = {
        name: wide(cell, value[:, t]) if value.shape[-1] < cell.units else value[:, t]
        for name, value in values.items()
    }
    s_tm1, o, g = values["cell_state"][:, t - 1], at["output_gate"], at["candidate"]
    h = cell.output_activation(tf.constant(at["cell_state"])).numpy()
    weights = read_back(cell)
    looks = dict(zip(cell.peepholes, cell.peephole.numpy(), strict=True)) if cell.peepholes else {}

    slopes = {"candidate": at["input_gate"] * SLOPES[cell.candidate_activation.__name__](g)}
    for name, by in (("input_gate", g), ("forget_gate", s_tm1)):
        if name in at:
            slopes[name] = by * at[name] * (1 - at[name])
    sees = sum((slopes[name] * looks[name] for name in slopes if name in looks), np.zeros((1, 1)))
    by_gate = h * o * (1 - o)
    shown = o * SLOPES[cell.output_activation.__name__](h) + by_gate * looks.get("output_gate", 0)
    return {
        "A": diagonal(factor(cell, values)[:, t] + sees),
        "B": sum(slope[..., None] * weights[name] for name, slope in slopes.items()),
        "C": diagonal(shown),
        "D": by_gate[..., None] * weights["output_gate"],
    }


def split(cell, values) -> tuple[np.ndarray, np.ndarray]:
    """diag(e_t) and N_t of theorems 10 and 11 [B, n, n], at the last step, from traced values."""
    last, before = partials(cell, values, -1), partials(cell, values, -2)
    carousel = diagonal(factor(cell, values)[:, -1])
    return carousel, last["A"] - carousel + last["B"] @ before["C"]


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


def products(steps: list) -> np.ndarray:
    """The matrices [B, n, n] multiplied, the last step on the left."""
    product = np.eye(steps[0].shape[-1])
    for step in steps:
        product = step @ product
    return product


# the cells of theorem 10's formulas: they read back outputs and nothing else
COMPOSED = {
    "vanilla": {},
    "lstm2000": {"block_size": 1},
    "lstm2000 in blocks": {},
    "lstm1997": {"feedback": "cells"},
    "peephole": {},
    "noaf": {},
    "nfg": {},
}


def composed_cell(rng, name, **more):
    return cell_of(rng, name.removesuffix(" in blocks"), **{**COMPOSED[name], **more})


@pytest.mark.parametrize("name", COMPOSED)
def test_over_several_steps_the_split_has_detours_past_the_states_in_between(name, rng):
    """Theorem 10 (b), term by term, against automatic differentiation over every lag."""
    cell, x = composed_cell(rng, name), inputs(rng)
    values, exact = jacobian(cell, x, "cell_state")
    at = [partials(cell, values, t) for t in range(1, T)]
    at = [{"C": partials(cell, values, 0)["C"]}, *at]
    one_step = [None] + [at[t]["A"] + at[t]["B"] @ at[t - 1]["C"] for t in range(1, T)]

    for r in range(T):
        flow = {r: np.broadcast_to(np.eye(N), (B, N, N))}
        for t in range(r + 1, T):
            flow[t] = one_step[t] @ flow[t - 1]
            for k in range(1, t - r):
                between = products([at[m]["D"] for m in range(t - k, t)])
                flow[t] = flow[t] + at[t]["B"] @ between @ at[t - k - 1]["C"] @ flow[t - k - 1]
        np.testing.assert_allclose(flow[T - 1], exact[:, r], rtol=1e-9, atol=1e-13)

    two = one_step[T - 1] @ one_step[T - 2]
    detour = at[T - 1]["B"] @ at[T - 2]["D"] @ at[T - 3]["C"]
    np.testing.assert_allclose(two + detour, exact[:, T - 3], rtol=1e-9, atol=1e-13)
    missed = np.linalg.norm(two - exact[:, T - 3], axis=(1, 2))
    share = missed / np.linalg.norm(exact[:, T - 3], axis=(1, 2))
    assert share.max() > 1e-3
    if name == "vanilla":
        assert " and ".join(f"{part:.1%}".replace("%", " %") for part in share) in WORDS


@every_variant
def test_all_that_a_step_hands_on_multiplies_in_every_cell(name, rng):
    """The matrices J of theorem 10 (b) from the symbols, against automatic differentiation."""
    cell, x = cell_of(rng, name), inputs(rng)
    sizes, blocks, others = parts(cell), partial_derivatives(cell), handed_on(cell)
    _, exact = jacobian(cell, x, "cell_state")

    states, numbers = list(cell.get_initial_state(batch_size=B)), []
    for t in range(T):
        numbers.append(symbol_values(cell, x[:, t], states))
        _, states = cell.step(x[:, t], states)

    def whole(t):
        rows = [[blocks[row, column].value(numbers[t]) for column in sizes] for row in sizes]
        return np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)

    def of_new_state(t):  # the column (1, C_t)
        found = {"cell_state": np.broadcast_to(np.eye(N), (B, N, N))}
        for part, by in others.items():
            zero = np.zeros((B, sizes[part], N))
            found[part] = sum(
                (term.value(numbers[t]) for term in by.get("new cell_state", ())), zero
            )
        return np.concatenate([found[part] for part in sizes], axis=1)

    for r in range(T - 1):
        whole_flow = products([of_new_state(r), *(whole(t) for t in range(r + 1, T))])
        first = blocks["cell_state", next(iter(sizes))].shape[0]
        rows = whole_flow[:, :first]
        if "cell_state" not in sizes:  # elman: the state is not handed on, only what it makes
            rows = products([of_new_state(r), *(whole(t) for t in range(r + 1, T - 1))])
            by = [blocks["cell_state", part].value(numbers[T - 1]) for part in sizes]
            rows = np.concatenate(by, axis=2) @ rows
        np.testing.assert_allclose(rows, exact[:, r], rtol=1e-9, atol=1e-13)


def by_hand() -> GatedCell:
    """s_t = s_tm1 - y_tm1 / 2, o_t = 1/2 + y_tm1 / 4, y_t = o_t s_t."""
    cell = GatedCell(
        1, Gate("linear", recurrent="none"), None, "linear", "linear", "linear", dtype="float64"
    )
    cell.build((None, 1))
    set_weights(
        cell,
        kernel=[[0.0, 1.0, 0.0]],
        bias=[0.5, 0.0, 0.5],
        recurrent_kernel=[[-1.0, 0.25]],  # candidate, output gate
    )
    return cell


def test_the_split_by_hand():
    """The table under theorem 10."""
    cell = by_hand()
    x = tf.constant([[[4.0], [0.0], [0.0]]], "float64")  # writes 0.5 * 4 = 2 at the first step
    values, flow = jacobian(cell, x, "cell_state")
    o, s, y = (values[name][0, :, 0] for name in ("output_gate", "cell_state", "output"))
    np.testing.assert_array_equal(s, [2.0, 1.5, 0.9375])
    np.testing.assert_array_equal(o[:2], [0.5, 0.75])
    np.testing.assert_array_equal(y[:2], [1.0, 1.125])
    one = [jacobian(cell, x[:, : t + 1], "cell_state")[1][0, t - 1, 0, 0] for t in (1, 2)]
    assert one == [0.75, 0.625]
    detour = -0.5 * (1.5 * 0.25) * 0.5
    assert flow[0, 0, 0, 0] == one[0] * one[1] + detour == 0.375
    for number in (*s, *o[:2], *y[:2], *one, one[0] * one[1], detour, 0.375):
        assert f"{number:g}" in PAGE
    # begun at 2.001
    more, _ = jacobian(cell, x + tf.constant([[[0.002], [0.0], [0.0]]], "float64"), "cell_state")
    o_1 = more["output_gate"][0, 0, 0]
    assert (more["cell_state"][0, 0, 0], o_1) == (pytest.approx(2.001), 0.5)
    assert more["cell_state"][0, -1, 0] - s[-1] == pytest.approx(0.000375, rel=1e-3)


@pytest.mark.parametrize("name", ["vanilla", "lstm2000", "lstm1997"])
def test_a_detour_is_narrower_by_a_factor_for_each_state_it_passes(name, rng):
    for scale in (0.1, 0.7, 3.0):
        cell = composed_cell(rng, name, scale=scale)
        values, _ = jacobian(cell, inputs(rng), "cell_state")
        at = [partials(cell, values, t) for t in range(T)]
        size = {net: norm(weight) for net, weight in read_back(cell).items()}
        g, slope_h = (1.0, 1.0) if name == "vanilla" else (2.0, 0.5)
        s = np.abs(values["cell_state"][:, -2]).max(axis=-1)
        bound = slope_h * (
            g * size["input_gate"] / 4 + size["candidate"] + s * size.get("forget_gate", 0) / 4
        )
        for k in range(1, T - 1):
            between = products([at[m]["D"] for m in range(T - 1 - k, T - 1)])
            detour = norm(at[T - 1]["B"] @ between @ at[T - 2 - k]["C"])
            assert (detour > 0).all()
            assert (detour <= bound * (size["output_gate"] / 4) ** k).all()


def past_the_step_before(cell, x) -> float:
    """How far d s_T / d s_r is from e_T d s_T-1 / d s_r, for all r < T - 1."""
    values, exact = jacobian(cell, x, "cell_state")
    _, until = jacobian(cell, x[:, :-1], "cell_state")
    through_e = factor(cell, values)[:, -1, :, None]
    return max(np.abs(exact[:, r] - through_e * until[:, r]).max() for r in range(T - 2))


@pytest.mark.parametrize("name", ["vanilla", "lstm2000"])
def test_an_output_gate_that_closes_for_one_step_lets_nothing_past(name, rng):
    """A logistic gate that is shut is flat too; a gate that is 0 on a slope is not."""
    cell, x = cell_of(rng, name), inputs(rng).numpy()
    x[:, :, 0] = np.arange(T) == T - 2  # a mark at the last step but one
    assert past_the_step_before(cell, tf.constant(x)) > 1e-3
    kernel = cell.kernel.numpy()
    kernel[0] = 0.0
    kernel[0, -cell.blocks :] = -800.0
    set_weights(cell, kernel=kernel)
    assert (trace(cell, tf.constant(x))["output_gate"].numpy()[:, -2] == 0).all()
    assert past_the_step_before(cell, tf.constant(x)) < 1e-14

    sloping = cell_of(rng, "vanilla", units=1, output_gate=Gate("tanh"))
    w, r, b = (
        weight.numpy()[..., -1]
        for weight in (sloping.kernel, sloping.recurrent_kernel, sloping.bias)
    )
    y = trace(sloping, tf.constant(x))["output"].numpy()[:, -3]
    x[:, -2, 0] = -(x[:, -2, 1] * w[1] + y[:, 0] * r[0] + b) / w[0]
    closed = trace(sloping, tf.constant(x))["output_gate"].numpy()[:, -2]
    np.testing.assert_allclose(closed, 0.0, atol=1e-14)
    assert past_the_step_before(sloping, tf.constant(x)) > 1e-4


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
    assert f"at most ${share:.3f} n$" in WORDS
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
        inputs(rng, 1, F),
        [tf.zeros((1, N), "float64"), tf.fill((1, N), tf.constant(21.0, "float64"))],
        touch=lambda name, value: tf.zeros_like(value) if name == "forget_gate" else value,
    )  # fmt: skip
    np.testing.assert_array_equal(states[1], wide(cell, values["input_gate"]) * values["candidate"])


def test_an_input_gate_above_one_erases_as_fast_as_it_is_large():
    """That the gate is at most 1 is a condition: an exponential one of 21 / 2 needs one step."""
    cell = GatedCell(
        1, "exponential", None, None, "g1997", "linear", feedback="none", dtype="float64"
    )
    cell.build((None, 1))
    set_weights(cell, kernel=0.0, bias=[np.log(10.5), -60.0])
    values, _ = cell.step(tf.zeros((1, 1), "float64"), [tf.constant([[21.0]], "float64")])
    np.testing.assert_allclose(values["cell_state"], 0.0, atol=1e-12)


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
