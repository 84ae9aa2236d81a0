"""Error flow against finite differences through a cell written in NumPy, and against what 1997 derives for the carousel."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from oracles import NumpyCell, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, error_flow, variant
from lstmlab.diagnostics import ErrorFlow, Probe
from lstmlab.learners import BPTT

B, T, F, N, K = 2, 5, 3, 4, 2
CELLS = {
    "lstm1997": {"cell": "lstm1997"},
    "vanilla": {"cell": "vanilla"},
    "forget gate, blocks, all fed back": {"cell": "lstm1997", "forget_gate": Gate(bias=1.0)},
}
LAST = np.array([T - 1, T - 2])  # the last step with an error, of either sequence


def problem(rng, cell: str, **overrides):
    model = Recurrent(variant(cell, units=N, dtype="float64", **overrides), Head(K, "sigmoid", dtype="float64"), BPTT(), F)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    w = rng.uniform(0.5, 2.0, size=(B, T)) * (np.arange(T) <= LAST[:, None])
    return model, rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)), w


def last_error(model, x, y, w, **options) -> np.ndarray:
    """Half the squared error at the last step with a target, of each sequence [B]; options: as NumpyCell.run takes them."""
    steps, _ = NumpyCell(model.cell).run(x, **options)
    outputs = np.stack([at["y"] for at in steps], axis=1)
    prediction = 1 / (1 + np.exp(-(outputs @ model.head.kernel.numpy() + model.head.bias.numpy())))
    return np.array([0.5 * w[b, t] * ((y[b, t] - prediction[b, t]) ** 2).sum() for b, t in enumerate(LAST)])


def flow_by_differences(model, x, y, w, letter: str, read_back=None, step: float = 1e-5) -> np.ndarray:
    """|dE/dvalue_t| [B, T] by central differences: the value of cell k at step t moved up and down."""
    flow = np.zeros((B, T, N))
    for t in range(T):
        for k in range(N):
            bump = np.zeros((B, N))
            bump[:, k] = step
            up, down = (last_error(model, x, y, w, bump=(t, {letter: sign * bump}), read_back=read_back) for sign in (1, -1))
            flow[:, t, k] = (up - down) / (2 * step)
    return np.linalg.norm(flow, axis=-1)


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
    expected = by_lag(flow_by_differences(model, x, y, w, "s", read_back))
    table = error_flow(model, x, y, w)
    np.testing.assert_allclose(curve(table, "carousel"), expected, rtol=1e-6)
    assert np.abs(curve(table, "carousel") - curve(table, "cell_state"))[1:].min() > 1e-4  # the gates carry error too
    np.testing.assert_allclose(curve(table, "carousel")[0], curve(table, "cell_state")[0], rtol=1e-12)


def derivative_at_last(model, x, y, w) -> np.ndarray:
    """dE/ds [B, n] at the last step with a target: e_k through the head, the output gate and the slope of h (eq. 23)."""
    steps, _ = NumpyCell(model.cell).run(x)
    rows = []
    for b, t in enumerate(LAST):
        prediction = 1 / (1 + np.exp(-(steps[t]["y"][b] @ model.head.kernel.numpy() + model.head.bias.numpy())))
        e_k = w[b, t] * prediction * (1 - prediction) * (y[b, t] - prediction)
        slope = (1 - np.tanh(steps[t]["s"][b] / 2) ** 2) / 2
        rows.append(np.repeat(steps[t]["o"][b], model.cell.block_size) * slope * (model.head.kernel.numpy() @ e_k))
    return np.array(rows)


def test_the_carousel_of_1997_carries_the_same_error_over_every_lag(rng):
    model, x, y, w = problem(rng, "lstm1997")
    flow = np.linalg.norm(derivative_at_last(model, x, y, w), axis=1)
    carousel = curve(error_flow(model, x, y, w), "carousel")
    np.testing.assert_allclose(carousel[: LAST.min() + 1], flow.mean(), rtol=1e-12)  # lags that both sequences have
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
    np.testing.assert_allclose(error_flow(model, x, y, later)["norm"], 2 * error_flow(model, x, y, w)["norm"], rtol=1e-12)


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


@pytest.mark.parametrize(("policy", "dtype"), [("float32", "float32"), ("mixed_bfloat16", "float32")])
def test_other_precisions(policy, dtype, rng):
    model = Recurrent(GatedCell(N, dtype=policy), Head(K, dtype=policy), BPTT(), F)
    table = error_flow(model, rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)))
    assert table["norm"].dtype == dtype
    assert (table["norm"] > 0).all()


def test_wrong_arguments(rng):
    model, x, y, w = problem(rng, "vanilla")
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(K), BPTT(), F)
    for arguments, message in [
        ((foreign, x, y), "error_flow: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent"),
        (
            (tf.keras.Sequential(), x, y),
            "error_flow: expected a lstmlab.Recurrent with a GatedCell. Received: model=Sequential",
        ),
        (
            (model, x, y[:, 1:]),
            "error_flow: expected x [B, T, F], y [B, T, K], w [B, T]. Received: x=(2, 5, 3), y=(2, 4, 2), w=(2, 5)",
        ),
        (
            (model, x, y, w * [[1], [0]]),
            "error_flow: expected at least one step with w > 0 in every sequence. Received: w without one",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            error_flow(*arguments)
        assert str(e.value) == message
