"""Error flow against finite differences through a NumPy cell, and against the paper of 1997."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from oracles import LETTERS, NumpyCell, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, variant
from lstmlab.diagnostics import ErrorFlow, Probe, error_flow
from lstmlab.diagnostics.common.steps import thinned
from lstmlab.diagnostics.error_flow import flows
from lstmlab.learners import BPTT, UORO, Truncated1997, TruncatedBPTT

B, T, F, N, K = 2, 5, 3, 4, 2
CELLS = {
    "lstm1997": {"cell": "lstm1997"},
    "vanilla": {"cell": "vanilla"},
    "forget gate, blocks, all fed back": {"cell": "lstm1997", "forget_gate": Gate(bias=1.0)},
}
LAST = np.array([T - 1, T - 2])  # the last step with an error, of either sequence


class Bumped(NumpyCell):
    """NumpyCell that takes bumps on net inputs too, {"net_i": ...}; `live` nets alone see no hidden
    values held fast.
    """

    def __init__(self, cell, live: str = "", read_back=None):
        super().__init__(cell)
        self.live, self.held, self.t = live, read_back, -1

    def step(self, x, hidden, s_tm1, bump=None):
        self.t, self.of_nets = self.t + 1, bump or {}
        return super().step(x, hidden, s_tm1, bump)

    def net(self, letter, x, hidden):
        hidden = hidden if self.held is None or letter in self.live else self.held[self.t]
        return super().net(letter, x, hidden) + self.of_nets.get(f"net_{letter}", 0.0)


def problem(rng, cell: str, learner=None, **overrides):
    cell = variant(cell, units=N, dtype="float64", **overrides)
    model = Recurrent(cell, Head(K, "sigmoid", dtype="float64"), learner or BPTT(), F)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    w = rng.uniform(0.5, 2.0, size=(B, T)) * (np.arange(T) <= LAST[:, None])
    return model, rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)), w


def last_error(model, x, y, w, bump=None, **held) -> np.ndarray:
    """Half the squared error at the last step with a target, of each sequence [B]; held: as Bumped
    takes it.
    """
    steps, _ = Bumped(model.cell, **held).run(x, bump)
    outputs = np.stack([at["y"] for at in steps], axis=1)
    prediction = 1 / (1 + np.exp(-(outputs @ model.head.kernel.numpy() + model.head.bias.numpy())))
    return np.array(
        [0.5 * w[b, t] * ((y[b, t] - prediction[b, t]) ** 2).sum() for b, t in enumerate(LAST)]
    )


def by_differences(
    model, x, y, w, letter: str, size: int = N, step: float = 1e-5, **held
) -> np.ndarray:
    """dE/dvalue_t [B, T, size] by central differences: the value of cell or block k at step t moved
    up and down.
    """
    flow = np.zeros((B, T, size))
    for t in range(T):
        for k in range(size):
            bump = np.zeros((B, size))
            bump[:, k] = step
            up, down = (
                last_error(model, x, y, w, bump=(t, {letter: sign * bump}), **held)
                for sign in (1, -1)
            )
            flow[:, t, k] = (up - down) / (2 * step)
    return flow


def flow_by_differences(*arguments, **options) -> np.ndarray:
    """|dE/dvalue_t| [B, T]."""
    return np.linalg.norm(by_differences(*arguments, **options), axis=-1)


def by_lag(norms: np.ndarray) -> pd.Series:
    """Mean over sequences of norms [B, T] at each lag."""
    lags: dict[int, list[float]] = {}
    for b in range(B):
        for t in range(LAST[b] + 1):
            lags.setdefault(LAST[b] - t, []).append(norms[b, t])
    return pd.Series({lag: np.mean(values) for lag, values in sorted(lags.items())})


def curve(table: pd.DataFrame, path: str) -> pd.Series:
    return table[table["path"] == path].set_index("lag")["norm"].sort_index()


@pytest.mark.parametrize("name", CELLS)
def test_exact_paths_against_finite_differences(name, rng):
    model, x, y, w = problem(rng, **CELLS[name])
    table = error_flow(model, x, y, w)
    for path, letter in (("cell_state", "s"), ("output", "y")):
        expected = by_lag(flow_by_differences(model, x, y, w, letter))
        assert expected.min() > 1e-5
        np.testing.assert_allclose(curve(table, path), expected, rtol=1e-6)
        assert list(curve(table, path).index) == list(range(T))


@pytest.mark.parametrize("name", CELLS)
def test_carousel_against_finite_differences_with_what_is_read_back_held_fast(name, rng):
    model, x, y, w = problem(rng, **CELLS[name])
    _, read_back = NumpyCell(model.cell).run(x)
    expected = by_lag(flow_by_differences(model, x, y, w, "s", read_back=read_back))
    table = error_flow(model, x, y, w)
    np.testing.assert_allclose(curve(table, "carousel"), expected, rtol=1e-6)
    assert (
        np.abs(curve(table, "carousel") - curve(table, "cell_state"))[1:].min() > 1e-4
    )  # the gates carry error too
    np.testing.assert_allclose(
        curve(table, "carousel")[0], curve(table, "cell_state")[0], rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_net_inputs_against_finite_differences(name, rng):
    model, x, y, w = problem(rng, **CELLS[name])
    flow, table = flows(model, x, y, w), error_flow(model, x, y, w)
    for net, size in model.cell.nets.items():
        expected = by_differences(model, x, y, w, f"net_{LETTERS[net]}", size)
        assert (
            np.abs(expected[:, 1]).min() > 1e-7
        )  # at the first step there is nothing yet to forget
        np.testing.assert_allclose(flow[f"net_{net}"], expected, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(
            curve(table, f"net_{net}"), by_lag(np.linalg.norm(expected, axis=-1)), rtol=1e-6
        )
    assert set(table["path"]) == {
        "cell_state",
        "output",
        "carousel",
        "nets",
        *(f"net_{net}" for net in model.cell.nets),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_what_came_through_the_nets_against_its_own_recursion_over_the_steps(name, rng):
    """d_t = (sum over nets a of R_a dE/dnet_a(t+1)) dy_t/ds_t + f_(t+1) d_(t+1), dE/dnet by
    differences.
    """
    model, x, y, w = problem(rng, **CELLS[name])
    cell, (steps, _) = NumpyCell(model.cell), NumpyCell(model.cell).run(x)
    of_nets = {
        LETTERS[net]: by_differences(model, x, y, w, f"net_{LETTERS[net]}", size)
        for net, size in model.cell.nets.items()
    }
    wide = [
        {k: np.repeat(at[k], cell.size, axis=1) if k in at else 1.0 for k in "fo"} for at in steps
    ]
    expected = np.zeros((B, T + 1, N))
    for t in reversed(range(T - 1)):
        slope = (
            1 - np.tanh(steps[t]["s"]) ** 2
            if name == "vanilla"
            else (1 - np.tanh(steps[t]["s"] / 2) ** 2) / 2
        )
        read_back = sum(of_nets[a][:, t + 1] @ cell.weights[a][1][:N].T for a in of_nets)
        expected[:, t] = read_back * wide[t]["o"] * slope + wide[t + 1]["f"] * expected[:, t + 1]
    flow = {path: value.numpy() for path, value in flows(model, x, y, w).items()}
    assert np.abs(expected[:, 0]).min() > 1e-5
    np.testing.assert_allclose(flow["nets"], expected[:, :T], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(
        flow["carousel"] + flow["nets"], by_differences(model, x, y, w, "s"), rtol=1e-6, atol=1e-10
    )
    of_nets_by_lag = by_lag(np.linalg.norm(expected[:, :T], axis=-1))
    np.testing.assert_allclose(
        curve(error_flow(model, x, y, w), "nets"), of_nets_by_lag, rtol=1e-6, atol=1e-10
    )


def test_the_flow_that_the_rule_of_1997_uses_is_the_carousel(rng):
    table = error_flow(*problem(rng, "vanilla", Truncated1997()))
    np.testing.assert_array_equal(curve(table, "used"), curve(table, "carousel"))
    assert np.abs(curve(table, "used") - curve(table, "cell_state"))[1:].min() > 1e-4


def test_the_flow_used_where_gates_alone_are_cut_against_finite_differences(rng):
    model, x, y, w = problem(rng, "vanilla", Truncated1997(scope="gates"))
    _, read_back = NumpyCell(model.cell).run(x)
    expected = by_lag(flow_by_differences(model, x, y, w, "s", read_back=read_back, live="g"))
    table = error_flow(model, x, y, w)
    np.testing.assert_allclose(curve(table, "used"), expected, rtol=1e-6)
    for other in ("carousel", "cell_state"):
        assert np.abs(curve(table, "used") - curve(table, other))[1:].min() > 1e-4


@pytest.mark.parametrize("h", [1, 3])
def test_the_flow_used_within_a_horizon_is_what_the_gradient_of_truncated_bptt_is_made_of(h, rng):
    """dE/dW = sum over the steps of x_t dE/dnet_t, for the steps within the horizon; its own step
    is the first.
    """
    model, x, y, w = problem(rng, "vanilla", TruncatedBPTT(horizon=h, update_every=1))
    last = np.where(np.arange(T) == LAST[:, None], w, 0)
    gradient = model.learner.gradients(model.cell, model.head, *map(tf.constant, (x, y, last)))[2][
        0
    ].numpy()
    flow = {path: value.numpy() for path, value in flows(model, x, y, w).items()}
    used = flow["used"].any(axis=2)
    of_nets = (
        np.concatenate([flow[f"net_{net}"] for net in model.cell.nets], axis=2) * used[:, :, None]
    )
    np.testing.assert_allclose(np.einsum("btf,bta->fa", x, of_nets), gradient, rtol=1e-10)
    np.testing.assert_array_equal(
        used, (LAST[:, None] - np.arange(T) < h) & (LAST[:, None] >= np.arange(T))
    )
    np.testing.assert_array_equal(flow["used"][used], flow["cell_state"][used])


def test_no_flow_used_beside_the_exact_one_where_it_is_the_exact_one_or_unknown(rng):
    for learner in (BPTT(), UORO()):
        table = error_flow(*problem(rng, "vanilla", learner))
        assert "used" not in set(table["path"])


@pytest.mark.slow
def test_long_sequences_are_kept_at_some_lags_alone(rng):
    steps = 600
    model, *_ = problem(rng, "vanilla")
    x, y, w = rng.normal(size=(B, steps, F)), rng.normal(size=(B, steps, K)), np.ones((B, steps))
    w[1, 450:] = 0.0
    carousel = curve(ErrorFlow().measure(model, Probe(x, y, w, w > 0, w > 0)), "carousel")
    assert list(carousel.index) == list(thinned(steps - 1))
    compiled = tf.function(lambda *batch: flows(model, *batch), autograph=False)
    norms = np.linalg.norm(compiled(*map(tf.constant, (x, y, w)))["carousel"], axis=2)
    for lag in carousel.index[[0, 64, 200, 300]]:
        np.testing.assert_allclose(
            carousel[lag], (norms[0, 599 - lag] + norms[1, 449 - lag]) / 2, rtol=1e-12
        )
    np.testing.assert_allclose(carousel[599], norms[0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("longest", "most"), [(0, 500), (499, 500), (500, 500), (99_999, 500), (10_000, 40)]
)
def test_lags_kept(longest, most):
    lags = thinned(longest, most)
    assert list(lags[[0, -1]]) == ([0, longest] if longest else [0, 0])
    assert len(lags) <= most
    assert list(lags[: most // 2][:65]) == list(range(min(65, most // 2, longest + 1)))
    if longest < most:
        assert list(lags) == list(range(longest + 1))
    else:
        far = lags[lags > 100]
        assert (np.diff(lags) > 0).all()
        assert (np.diff(far) / far[:-1]).max() < (
            0.4 if most == 40 else 0.03
        )  # no gap larger than the curve needs


def derivative_at_last(model, x, y, w) -> np.ndarray:
    """dE/ds [B, n] at the last step with a target: e_k through the head, the output gate and the
    slope of h (eq. 23).
    """
    steps, _ = NumpyCell(model.cell).run(x)
    rows = []
    for b, t in enumerate(LAST):
        prediction = 1 / (
            1 + np.exp(-(steps[t]["y"][b] @ model.head.kernel.numpy() + model.head.bias.numpy()))
        )
        e_k = w[b, t] * prediction * (1 - prediction) * (y[b, t] - prediction)
        slope = (1 - np.tanh(steps[t]["s"][b] / 2) ** 2) / 2
        rows.append(
            np.repeat(steps[t]["o"][b], model.cell.block_size)
            * slope
            * (model.head.kernel.numpy() @ e_k)
        )
    return np.array(rows)


def test_the_carousel_of_1997_carries_the_same_error_over_every_lag(rng):
    model, x, y, w = problem(rng, "lstm1997")
    flow = np.linalg.norm(derivative_at_last(model, x, y, w), axis=1)
    carousel = curve(error_flow(model, x, y, w), "carousel")
    np.testing.assert_allclose(
        carousel[: LAST.min() + 1], flow.mean(), rtol=1e-12
    )  # lags that both sequences have
    np.testing.assert_allclose(carousel[LAST.max()], flow[0], rtol=1e-12)


def test_the_carousel_of_a_forget_gate_carries_the_product_of_its_activations(rng):
    model, x, y, w = problem(rng, "lstm1997", forget_gate=Gate(bias=1.0))
    steps, _ = NumpyCell(model.cell).run(x)
    forget = np.stack([np.repeat(at["f"], 2, axis=1) for at in steps], axis=1)
    expected = np.zeros((B, T))
    for b, flow in enumerate(derivative_at_last(model, x, y, w)):
        for t in range(LAST[b] + 1):
            expected[b, t] = np.linalg.norm(flow * np.prod(forget[b, t + 1 : LAST[b] + 1], axis=0))
    carousel = curve(error_flow(model, x, y, w), "carousel")
    np.testing.assert_allclose(carousel, by_lag(expected), rtol=1e-12)
    assert (carousel.diff()[1:] < -1e-4).all()


def test_only_the_error_at_the_last_step_with_a_target_counts(rng):
    model, x, y, w = problem(rng, "vanilla")
    earlier = w.copy()
    earlier[:, :2] *= 7.0
    pd.testing.assert_frame_equal(error_flow(model, x, y, w), error_flow(model, x, y, earlier))
    later = w.copy()
    later[np.arange(B), LAST] *= 2.0
    np.testing.assert_allclose(
        error_flow(model, x, y, later)["norm"], 2 * error_flow(model, x, y, w)["norm"], rtol=1e-12
    )


def test_weight_one_everywhere_by_default(rng):
    model, x, y, _ = problem(rng, "vanilla")
    pd.testing.assert_frame_equal(error_flow(model, x, y), error_flow(model, x, y, np.ones((B, T))))


def test_the_diagnostic_measures_the_same_curves_for_each_model(rng, eager):
    diagnostic = ErrorFlow(every=10)
    for name in ("lstm1997", "vanilla"):
        model, x, y, w = problem(rng, name)
        probe = Probe(x, y, w, w > 0, w > 0)
        for _ in range(2):
            table = diagnostic.measure(model, probe)
            assert list(table.columns) == ["lag", "path", "norm"]
            pd.testing.assert_frame_equal(table, error_flow(model, x, y, w), rtol=1e-9)
            randomize(model.cell, rng)  # and follows the weights


@pytest.mark.parametrize(
    ("policy", "dtype"), [("float32", "float32"), ("mixed_bfloat16", "float32")]
)
def test_other_precisions(policy, dtype, rng):
    model = Recurrent(GatedCell(N, dtype=policy), Head(K, dtype=policy), BPTT(), F)
    table = error_flow(model, rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)))
    assert table["norm"].dtype == dtype
    nothing = {
        "nets": 0,
        "net_forget_gate": T - 1,
    }  # no net comes after the last step, none forgets at the first
    assert ((table["norm"] > 0) != (table["lag"] == table["path"].map(nothing))).all()


def test_a_linear_plain_net_in_float32_against_its_matrix_down_to_values_that_have_no_square_there(
    rng,
):
    """R = Q / 10, Q orthogonal: each step leaves a tenth of the norm, 1e-30 after 30 steps."""
    cell = variant("elman", units=N, candidate_activation="linear", dtype="float32")
    model = Recurrent(cell, Head(K, dtype="float32"), BPTT(), F)
    cell.recurrent_kernel.assign(np.linalg.qr(rng.normal(size=(N, N)))[0] / 10)
    w = np.zeros((B, 31))
    w[:, -1] = 1
    table = error_flow(model, rng.normal(size=(B, 31, F)), rng.normal(size=(B, 31, K)), w)
    for path in ("cell_state", "output", "nets"):
        found = curve(table, path)
        lags = found.index[found.index > 0]
        np.testing.assert_allclose(
            found[lags], curve(table, "cell_state")[0] * 10.0**-lags, rtol=1e-4, err_msg=path
        )


def test_wrong_arguments(rng):
    model, x, y, w = problem(rng, "vanilla")
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(K), BPTT(), F)
    for arguments, message in [
        (
            (foreign, x, y),
            "error_flow: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent",
        ),
        (
            (tf.keras.Sequential(), x, y),
            "error_flow: expected a lstmlab.Recurrent with a GatedCell. Received: model=Sequential",
        ),
        (
            (model, x, y[:, 1:]),
            "error_flow: expected x [B, T, F], y [B, T, K], w [B, T]. Received: x=(2, 5, "
            "3), y=(2, 4, 2), w=(2, 5)",
        ),
        (
            (model, x, y, w * [[1], [0]]),
            "error_flow: expected at least one step with w > 0 in every sequence. "
            "Received: w without one",
        ),
        ((model, x[..., :2], y), "error_flow: expected x [B, T, 3]. Received: x=(2, 5, 2)"),
        (
            (model, x[:0], y[:0]),
            "error_flow: expected at least one sequence of at least one step. "
            "Received: x=(0, 5, 3), y=(0, 5, 2), w=(0, 5)",
        ),
        (
            (model, x * np.nan, y),
            "error_flow: expected finite numbers. Received: x with 30 of 30 not finite",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            error_flow(*arguments)
        assert str(e.value) == message
