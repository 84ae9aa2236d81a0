"""docs/mathematics.md, theorem by theorem, on the cells in float64: explicit products against automatic derivatives."""

import importlib
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize, relative
from scipy.optimize import brentq

from lstmlab import Gate, GatedCell, Head, variant, variants
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.learners import BPTT, Truncated1997

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mathematics.md").read_text(encoding="utf-8")
B, T, F, N = 2, 5, 2, 4
CUT = {"see": tf.stop_gradient}
COUPLED = ("cifg", "gru", "gru_reset_after", "mgu", "mingru", "minlstm", "ur_lstm")
every_variant = pytest.mark.parametrize("name", variants())


def sigmoid(net):
    return 1 / (1 + np.exp(-np.asarray(net)))


def cell_of(
    rng, name: str | None = None, features: int = F, scale: float = 0.7, **arguments
) -> GatedCell:
    """A built cell with random weights: a variant, or a GatedCell of these arguments."""
    arguments = {"units": N, "dtype": "float64", **arguments}
    cell = variant(name, **arguments) if name else GatedCell(**arguments)
    cell.build((None, features))
    randomize(cell, rng, scale)
    return cell


def inputs(rng, *shape: int):
    return tf.constant(rng.normal(size=shape or (B, T, F)))


def wide(cell, gate) -> np.ndarray:
    """A value per block, one per cell."""
    return np.repeat(np.asarray(gate), cell.block_size, axis=-1)


def factor(cell, values) -> np.ndarray:
    """e_t [B, T, n]: the forget gate as it multiplies, 1 without one, 0 where it is closed."""
    if "forget_gate" in values:
        return wide(cell, values["forget_gate"])
    return np.full(values["cell_state"].shape, 0.0 if cell.forget_gate == "closed" else 1.0)


def jacobian(cell, x, by: str, of: str = "cell_state", clamps=None, **options):
    """Values in NumPy, and d of_T / d by_t by automatic differentiation, [B, T, cells of `of`, size of `by`].

    One way back for all rows of the matrix: the batch stands there once for each of them.
    """
    rows, (batch, steps) = cell.value_sizes[of], x.shape[:2]
    width = cell.nets[by.removeprefix("net_")] if by.startswith("net_") else cell.value_sizes[by]
    tap, row = (
        tf.zeros((rows * batch, steps, width), "float64"),
        np.repeat(np.eye(rows), batch, axis=0),
    )
    x, clamps = tf.nest.map_structure(lambda value: tf.tile(value, [rows, 1, 1]), (x, clamps or {}))
    with tf.GradientTape() as tape:
        tape.watch(tap)
        values = trace(cell, x, taps={by: tap}, clamps=clamps, **options)
        chosen = tf.reduce_sum(values[of][:, -1] * row)
    flow = (
        tape.gradient(chosen, tap, unconnected_gradients="zero")
        .numpy()
        .reshape(rows, batch, steps, width)
    )
    return {name: value.numpy()[:batch] for name, value in values.items()}, np.moveaxis(flow, 0, 2)


def states_over(cell, x) -> np.ndarray:
    """The states [B, T, n] of a long sequence, as one graph."""
    return tf.function(lambda: trace(cell, x)["cell_state"], autograph=False)().numpy()


def held(rng, cell, x, low: float = -1.5, high: float = 1.5, **fixed) -> dict:
    """Clamps that hold every gate and the candidate, at random values of [low, high] or at the fixed ones [B, T, size]."""
    names = [name for name in (*cell.gates, "candidate") if name != "refine_gate"]
    draws = {
        name: rng.uniform(low, high, size=(*x.shape[:2], cell.value_sizes[name])) for name in names
    }
    draws |= {name: value for name, value in fixed.items() if name in draws}
    return {name: (tf.ones((*x.shape[:2], 1)), tf.constant(value)) for name, value in draws.items()}


def diagonal(values) -> np.ndarray:
    return np.asarray(values)[..., None] * np.eye(np.shape(values)[-1])


def norm(matrix) -> np.ndarray:
    """The largest sum of magnitudes in a row."""
    return np.abs(matrix).sum(axis=-1).max(axis=-1)


def blocks_of(cell, matrix) -> dict:
    """{net: [n, columns]}: weights [rows, nets] cut by net, one row per cell that the net acts on."""
    columns = np.cumsum([0, *cell.nets.values()])
    parts = dict(zip(cell.nets, itertools.pairwise(columns), strict=True))
    return {
        name: wide(cell, matrix[:, a:b]).T if b - a < cell.units else matrix[:, a:b].T
        for name, (a, b) in parts.items()
    }


def read_back(cell) -> dict:
    """{net: R [n, n]} from the outputs of the cells."""
    return blocks_of(cell, cell.recurrent_kernel.numpy()[: cell.units])


def set_weights(cell, **values) -> None:
    """Weights by name, for a cell whose numbers are chosen: an array or a number for all."""
    weights = {weight.name: weight for weight in cell.weights}
    for name, value in values.items():
        weights[name].assign(np.broadcast_to(value, weights[name].shape))


def bare(
    candidate="linear", input_gate=None, output_gate=None, features: int = 2, **weights
) -> GatedCell:
    """One cell that adds up what its input weights let in, and reads nothing back."""
    cell = GatedCell(
        1,
        input_gate,
        None,
        output_gate,
        candidate,
        "linear",
        feedback="none",
        dtype="float64",
        kernel_initializer="zeros",
    )
    cell.build((None, features))
    set_weights(cell, **weights)
    return cell


# 1. Hochreiter 1991


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


def test_the_best_weight_with_any_other_input_is_a_hyperbolic_cotangent(rng):
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
        others = [at(w)[0] for w in np.linspace(-30, 30, 121) / y]
        assert max(others) < at(best)[0] < 2 * max(others)
        assert max(abs(at(w)[0]) for w in (-60 / y, 60 / y)) < 1e-12


# 2. The constant error carousel


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


# 3. The two conflicts

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


# 4. The gates


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
SLOPES = {
    "g1997": lambda g: 1 - g**2 / 4,
    "h1997": lambda h: (1 - h**2) / 2,
    "tanh": lambda y: 1 - y**2,
    "linear": np.ones_like,
}


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


def one_step_from(cell, x, s) -> np.ndarray:
    """d s_2 / d s_1 [B, n, n], exact, where the state after the first step is s."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(s)
        zeros = [tf.zeros((B, size), "float64") for size in cell.state_size]
        _, states = cell.step(
            x[:, 0], zeros, touch=lambda name, value: s if name == "cell_state" else value
        )
        _, states = cell.step(x[:, 1], states)
        last = [states[1][:, k] for k in range(cell.units)]
    return np.stack([tape.gradient(value, s) for value in last], axis=1)


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_gates_make_a_mean_and_closing_the_input_gate_is_keeping(name, rng):
    for scale in (0.7, 3.0):
        cell, x = cell_of(rng, name, scale=scale), inputs(rng)
        values, of_candidate = jacobian(cell, x, "candidate", **CUT)
        i, e = values["input_gate"], values["forget_gate"]
        np.testing.assert_allclose(i + e, 1, rtol=1e-14)
        kept = np.prod(e, axis=1)
        shares = np.diagonal(of_candidate, axis1=2, axis2=3)
        for t in range(T):
            np.testing.assert_allclose(
                shares[:, t], i[:, t] * np.prod(e[:, t + 1 :], axis=1), atol=1e-12
            )
        np.testing.assert_allclose(shares.sum(axis=1), 1 - kept, atol=1e-12)
        assert (
            np.abs(values["cell_state"]).max(axis=1)
            <= np.abs(values["candidate"]).max(axis=1) + 1e-12
        ).all()
    net = "net_input_gate" if "input_gate" in cell.own else "net_forget_gate"
    shut = tf.fill((B, T, N), tf.constant(-80.0 if net == "net_input_gate" else 80.0, "float64"))
    if name != "ur_lstm":  # its e closes with f, where the refine gate has no say
        assert trace(cell, x, taps={net: shut})["forget_gate"].numpy().min() > 1 - 1e-12


def test_janet_is_coupled_with_a_shift(rng):
    cell = cell_of(rng, "janet", scale=2.0)
    values = {name: value.numpy() for name, value in trace(cell, inputs(rng, 50, 20, F)).items()}
    excess = values["input_gate"] + values["forget_gate"] - 1
    assert (excess > 0).all()
    assert excess.max() <= np.tanh(0.25)
    assert excess.max() > np.tanh(0.25) - 1e-3  # reached where net_f = 1/2
    assert (
        np.abs(values["cell_state"]).max(axis=1) <= np.e * np.abs(values["candidate"]).max(axis=1)
    ).all()
    assert f"{np.tanh(0.25):.3f}" in PAGE


@pytest.mark.parametrize("name", ["gru", "gru_reset_after"])
def test_the_reset_gate_multiplies_what_the_candidate_reads_not_the_state(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    gates = {gate: rng.uniform(0.1, 0.9, size=(B, T, N)) for gate in cell.gates}
    clamps = {gate: (tf.ones((B, T, 1)), tf.constant(value)) for gate, value in gates.items()}
    values, flow = jacobian(cell, x, "cell_state", clamps=clamps)
    slope = (gates["input_gate"] * (1 - values["candidate"] ** 2))[:, -1]
    q = gates["reset_gate"][:, -1]
    weight = (
        cell.candidate_recurrent_kernel.numpy().T if name == "gru" else read_back(cell)["candidate"]
    )
    reads = weight * q[:, None, :] if name == "gru" else weight * q[:, :, None]
    np.testing.assert_allclose(
        flow[:, -2], diagonal(gates["forget_gate"][:, -1]) + slope[..., None] * reads, rtol=1e-10
    )
    clamps["reset_gate"] = (tf.ones((B, T, 1)), tf.zeros((B, T, N), "float64"))
    _, flow = jacobian(cell, x, "cell_state", clamps=clamps)
    np.testing.assert_allclose(
        flow[:, 0], diagonal(np.prod(gates["forget_gate"][:, 1:], axis=1)), atol=1e-14
    )


def test_the_refine_gate_is_a_part_of_the_forget_gate(rng):
    cell, x = cell_of(rng, "ur_lstm", feedback="none", scale=2.0), inputs(rng)

    def e(r):
        return trace(cell, x, clamps={"refine_gate": (tf.ones((B, T, 1)), tf.constant(r))})[
            "forget_gate"
        ].numpy()

    f, r = e(np.full((B, T, N), 0.5)), rng.uniform(size=(B, T, N))
    np.testing.assert_allclose(e(r), f + (2 * r - 1) * f * (1 - f), rtol=1e-12)
    np.testing.assert_allclose(
        [e(np.zeros((B, T, N))), e(np.ones((B, T, N)))], [f**2, 1 - (1 - f) ** 2], rtol=1e-12
    )
    assert np.ptp(f) > 0.5


def test_a_normaliser_makes_the_input_gate_forget(rng):
    cell, x = cell_of(rng, "slstm", feedback="none"), inputs(rng)

    def shares(tap=0.0):
        taps = {"net_input_gate": tf.constant(np.broadcast_to(tap, (B, T, N)).copy())}
        values = {name: value.numpy() for name, value in trace(cell, x, taps=taps).items()}
        mean = values["cell_state"] / values["normaliser"]
        np.testing.assert_allclose(values["output"], values["output_gate"] * mean, rtol=1e-12)
        return values, mean, values["input_gate"] / values["normaliser"]

    values, mean, taken = shares()
    expected = np.zeros((B, N))
    for t in range(T):  # the mean forgets by the share that the new value takes
        expected = (1 - taken[:, t]) * expected + taken[:, t] * values["candidate"][:, t]
        np.testing.assert_allclose(mean[:, t], expected, rtol=1e-10)
    kept = values["forget_gate"][:, 1:] * values["normaliser"][:, :-1] / values["normaliser"][:, 1:]
    np.testing.assert_allclose(1 - taken[:, 1:], kept, rtol=1e-10)
    more = np.zeros((T, 1))
    more[-1] = 1.3
    _, _, raised = shares(more)
    taken, raised = (
        taken[:, -1],
        raised[:, -1],
    )  # the first takes all, as there is nothing before it
    np.testing.assert_allclose(raised / (1 - raised), np.exp(1.3) * taken / (1 - taken), rtol=1e-9)
    assert (raised > taken).all()


# 5. Half-life


def test_half_life_as_a_function_of_the_bias(rng):
    rows = re.findall(r"^\| (-?\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [-2, 0, 1, 2, 3, 5, 7]
    for row in rows:
        cell = cell_of(rng, "vanilla", forget_gate=Gate(bias=float(row[0])))
        bias = cell.bias.numpy()
        bias[N : 2 * N] = float(row[0])
        set_weights(cell, bias=bias, kernel=0.0, recurrent_kernel=0.0)
        _, flow = jacobian(cell, inputs(rng), "cell_state")
        kept = np.diagonal(flow[:, 0], axis1=1, axis2=2)
        half = (T - 1) * np.log(0.5) / np.log(kept)
        np.testing.assert_allclose(half, np.log(2) / np.log1p(np.exp(-float(row[0]))), rtol=1e-9)
        shown = (
            f"{kept.mean() ** (1 / (T - 1)):.4f}",
            f"{half.mean():.2f}",
            f"{1 + np.exp(float(row[0])):.2f}",
        )
        assert shown == row[1:]


def test_half_life_of_changing_gates_is_that_of_their_geometric_mean(rng):
    values, flow = jacobian(cell_of(rng, "vanilla"), inputs(rng, B, 30, F), "cell_state", **CUT)
    mean_log = np.log(values["forget_gate"][:, 1:]).mean(axis=1)
    kept = np.diagonal(flow[:, 0], axis1=1, axis2=2)
    np.testing.assert_allclose(kept, 0.5 ** (29 / (np.log(0.5) / mean_log)), rtol=1e-10)
    assert (
        np.log(0.5) / mean_log < np.log(0.5) / np.log(values["forget_gate"][:, 1:].mean(axis=1))
    ).all()


def kept_from_one(gates) -> np.ndarray:
    """The state after 1, 2, ... steps of a cell with these forget gates [q], from the state 1."""
    gates = tf.constant(gates[None, :, None])
    cell = counting(0.5)
    x = tf.concat(
        [tf.ones((1, 1, 1), "float64"), tf.zeros(gates.shape, "float64")], axis=1
    )  # the first step makes the state
    held_at = tf.ones((1, x.shape[1], 1)), tf.concat([tf.ones((1, 1, 1), "float64"), gates], axis=1)
    return trace(cell, x, clamps={"forget_gate": held_at})["cell_state"].numpy()[0, 1:, 0]


def test_half_is_gone_where_the_logarithms_add_up_to_it_not_after_a_half_life(rng):
    for gates in (np.r_[0.1, np.ones(29)], np.r_[np.ones(29), 0.1], rng.uniform(0.8, 1, size=30)):
        states = kept_from_one(gates)
        first = np.flatnonzero(states <= 0.5)[0] + 1
        rate = np.log(0.5) / np.log(gates).mean()
        assert first == np.flatnonzero(np.cumsum(-np.log(gates)) >= np.log(2))[0] + 1
        assert states[-1] == pytest.approx(0.5 ** (30 / rate), rel=1e-12)
        if gates[0] == 0.1:
            assert first == 1
            assert f"{rate:.2f} steps" in PAGE
            assert rate == pytest.approx(9.03, abs=0.005)
        if gates[-1] == 0.1:
            assert first == 30


# 6. Truncation


@pytest.mark.parametrize("name", ["lstm1997", "lstm2000", "vanilla", "peephole", "nfg"])
def test_error_leaves_through_the_nets_without_a_factor_of_the_lag_but_e(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    flows = {net: jacobian(cell, x, f"net_{net}", "output", **CUT) for net in cell.nets}
    values = flows["candidate"][0]
    i, o, g, s = (values[key] for key in ("input_gate", "output_gate", "candidate", "cell_state"))
    slope_h = SLOPES[cell.output_activation.__name__](
        cell.output_activation(tf.constant(s)).numpy()
    )
    slope_g = SLOPES[cell.candidate_activation.__name__](g)
    s_tm1 = np.concatenate([np.zeros((B, 1, N)), s[:, :-1]], axis=1)
    leaves = {"candidate": slope_g * wide(cell, i), "input_gate": g * wide(cell, i * (1 - i))}
    if "forget_gate" in values:
        leaves["forget_gate"] = s_tm1 * wide(
            cell, values["forget_gate"] * (1 - values["forget_gate"])
        )
    arrives, e = (wide(cell, o) * slope_h)[:, -1], factor(cell, values)
    for t in range(T):
        kept = np.prod(e[:, t + 1 :], axis=1)
        assert (kept == 1).all() == (cell.forget_gate is None or t == T - 1)
        for net, leaving in leaves.items():
            into = diagonal(arrives * kept * leaving[:, t])
            if cell.nets[net] < N:  # a block's gate gathers the errors of its cells
                into = into.reshape(B, N, cell.blocks, cell.block_size).sum(axis=-1)
            np.testing.assert_allclose(flows[net][1][:, t], into, rtol=1e-10, atol=1e-14)
        assert (np.abs(flows["output_gate"][1][:, t]).max() > 0) == (
            t == T - 1
        )  # what it lets out is not of the state


def gradients(learner, cell, head, rng_data) -> list:
    _, _, found = learner.gradients(cell, head, *rng_data)
    return [np.asarray(gradient) for gradient in found]


def weight_problem(rng, name="vanilla", **arguments):
    cell, head = cell_of(rng, name, **arguments), Head(1, dtype="float64")
    head.build((None, N), (None, F))
    randomize(head, rng)
    data = inputs(rng), inputs(rng, B, T, 1), tf.constant(rng.uniform(0.5, 2, size=(B, T)))
    return cell, head, data


def lost_by_truncation(cell, head, data) -> list[float]:
    """By how much the truncated gradient misses the exact one, relative, weight by weight."""
    both = [gradients(learner, cell, head, data) for learner in (Truncated1997(), BPTT())]
    return [relative(cut, exact) for cut, exact in zip(*both, strict=True)]


@pytest.mark.parametrize("name", ["vanilla", "peephole", "fgr", "gru"])
def test_the_truncated_gradient_is_exact_where_nothing_goes_through_the_nets(name, rng):
    cell, head, data = weight_problem(rng, name)
    assert max(lost_by_truncation(cell, head, data)) > 0.01
    read = ("recurrent_kernel", "candidate_recurrent_kernel", "gate_recurrent_kernel", "peephole")
    set_weights(cell, **{weight.name: 0.0 for weight in cell.weights if weight.name in read})
    assert max(lost_by_truncation(cell, head, data)) < 1e-12
    if name == "vanilla":
        assert max(lost_by_truncation(*weight_problem(rng, name, feedback="none"))) < 1e-12


@every_variant
def test_over_one_step_the_truncated_gradient_lacks_the_output_peephole_alone(name, rng):
    cell, head, data = weight_problem(rng, name)
    first = tuple(part[:, :1] for part in data)
    if "output_gate" in cell.own and cell.own["output_gate"].peephole == "current":
        cut, exact = (
            gradients(learner, cell, head, first)[0] for learner in (Truncated1997(), BPTT())
        )
        assert relative(cut, exact) > 0.01
        row = cell.peephole.numpy()
        row[cell.peepholes.index("output_gate")] = 0.0
        assert np.abs(row).max() > 0  # the others look too, at the step before
        set_weights(cell, peephole=row)
    both = [gradients(learner, cell, head, first) for learner in (Truncated1997(), BPTT())]
    for cut, exact in zip(*both, strict=True):
        np.testing.assert_allclose(cut, exact, rtol=1e-10, atol=1e-14)
    assert np.abs(exact).max() > 0


@pytest.mark.parametrize("name", ["vanilla", "peephole"])
def test_what_truncation_loses_goes_to_zero_with_the_recurrent_weights(name, rng):
    cell, head, data = weight_problem(rng, name)
    names = [name for name in ("recurrent_kernel", "peephole") if hasattr(cell, name)]
    weights, lost = {name: getattr(cell, name).numpy() for name in names}, []
    for scale in (1e-3, 1e-4):
        set_weights(cell, **{name: scale * weight for name, weight in weights.items()})
        lost.append(lost_by_truncation(cell, head, data)[0])
    assert lost[0] / lost[1] == pytest.approx(10, rel=0.05)
    if "peephole" in names:  # which alone keep it up
        set_weights(cell, recurrent_kernel=0.0, peephole=weights["peephole"])
        assert lost_by_truncation(cell, head, data)[0] > 0.01


# 7. Drift, saturation, abuse


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
        s = trace(cell, inputs(rng, B, 100, F), clamps=begun)[
            "cell_state"
        ].numpy()  # from 7 after the first step
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


# 8. Why a forget gate came in 2000


def counting(forget: float | None) -> GatedCell:
    """One cell that adds its input; a forget gate of this constant value."""
    gate = None if forget is None else Gate(bias=0.0, recurrent="none")
    cell = GatedCell(1, None, gate, None, "linear", "linear", feedback="none", dtype="float64")
    cell.build((None, 1))
    weights = {"kernel": [[1.0]], "bias": [0.0]}
    if forget is not None:
        weights = {"kernel": [[0.0, 1.0]], "bias": [np.log(forget / (1 - forget)), 0.0]}
    set_weights(cell, **weights)
    return cell


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
        s = trace(counting(f), tf.constant(u[None, :, None]), clamps=began)["cell_state"].numpy()[
            0, :, 0
        ]
        bound = f**t * abs(s_0) + np.abs(u).max() / (1 - f)
        assert (np.abs(s) <= bound).all()
        if abs(s_0) == 40.0:
            assert (np.abs(s) > np.abs(u).max() / (1 - f)).any()  # not without the first term
        s = trace(counting(f), tf.ones((1, 61, 1), "float64"), clamps=began)["cell_state"].numpy()[
            0, :, 0
        ]
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


# The page


@pytest.fixture(scope="module")
def tabulate():
    """docs/scripts/tabulate_forgetting.py, which lies outside the package."""
    sys.path.insert(0, str(DOCS / "scripts"))
    yield importlib.import_module("tabulate_forgetting")
    sys.path.remove(str(DOCS / "scripts"))


def test_the_table_of_the_page_against_the_cells(tabulate):
    assert tabulate.page_with_table(PAGE) == PAGE, "run: python docs/scripts/tabulate_forgetting.py"


def test_the_table_of_the_page_by_hand(tabulate):
    """Six rows from the papers."""
    names = ("lstm1997", "peephole", "cifg", "ur_lstm", "mingru", "elman")
    assert {name: list(tabulate.row(name).values())[1:] for name in names} == {
        "lstm1997": ["1", "none", "i, g"],
        "peephole": ["f", "f", "i, f, g"],
        "cifg": ["1 - i", "i", "i, g"],
        "ur_lstm": ["f + (2 r - 1) f (1 - f)", "f, r", "f, r, g"],
        "mingru": ["1 - i", "i", "none"],
        "elman": ["0", "none", "g"],
    }


def test_every_theorem_names_its_test_and_every_test_named_exists():
    theorems = re.split(r"^\*\*Theorem ", PAGE, flags=re.MULTILINE)[1:]
    assert [int(re.match(r"\d+", theorem)[0]) for theorem in theorems] == list(
        range(1, len(theorems) + 1)
    )
    named = [
        re.findall(r"`tests/docs/test_mathematics\.py::(test_\w+)`", theorem)
        for theorem in theorems
    ]
    assert all(named)
    of_the_page = ("test_the_table_of_the_page", "test_every_theorem")
    here = {
        name for name in globals() if name.startswith("test_") and not name.startswith(of_the_page)
    }
    assert {name for names in named for name in names} == here
    assert all("*Proof.*" in theorem for theorem in theorems)
