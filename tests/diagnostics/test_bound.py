"""Bound: never exceeded by random networks, reached by chosen ones, and the carousel's constant."""

import keras
import numpy as np
import pandas as pd
import pytest
from oracles import randomize

from lstmlab import Gate, Head, Recurrent, variant
from lstmlab.diagnostics import Bound, Probe, bound
from lstmlab.diagnostics.bound import SLOPES, recurrent_weights
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board

B, T, F, N = 3, 12, 3, 4
LAST = np.array([T - 1, T - 3, T - 1])
W = np.where(np.arange(T) <= LAST[:, None], 1.0, 0.0)
FUNCTIONS = {  # f and f'
    "tanh": (np.tanh, lambda net: 1 - np.tanh(net) ** 2),
    "sigmoid": (
        lambda net: 1 / (1 + np.exp(-net)),
        lambda net: np.exp(-net) / (1 + np.exp(-net)) ** 2,
    ),
    "relu": (lambda net: np.maximum(net, 0), lambda net: (net > 0).astype(float)),
}


def net(
    rng, cell: str, units: int = N, scale: float = 0.7, dtype: str = "float64", **overrides
) -> Recurrent:
    model = Recurrent(
        variant(cell, units=units, dtype=dtype, **overrides), Head(1, dtype=dtype), BPTT(), F
    )
    randomize(model.cell, rng, scale)
    return model


def curve(table: pd.DataFrame, kind: str) -> pd.Series:
    return table[table["kind"] == kind].set_index("lag")["value"]


def derivatives(model, x, activation: str) -> tuple[dict[int, list], float]:
    """{lag: the matrices dy_T*/dy_t of the sequences}, F'(T*) W .. F'(t+1) W, and the largest
    slope: in NumPy.
    """
    f, slope = FUNCTIONS[activation]
    kernel, bias, weights = (
        model.cell.kernel.numpy(),
        model.cell.bias.numpy(),
        recurrent_weights(model.cell),
    )
    found: dict[int, list] = {}
    largest = 0.0
    for b, last in enumerate(LAST):
        y, steps = np.zeros(model.cell.units), []
        for t in range(last + 1):
            here = x[b, t] @ kernel + weights @ y + bias
            y = f(here)
            steps.append(slope(here)[:, None] * weights)
            largest = max(largest, slope(here).max() if t else 0.0)
        product = np.eye(model.cell.units)
        for lag in range(last + 1):
            found.setdefault(lag, []).append(product)
            product = product @ steps[last - lag]
    return found, largest


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("cell", ["elman", "indrnn"])
def test_every_row_against_numpy(cell, activation, rng):
    model, x = net(rng, cell, candidate_activation=activation), rng.normal(size=(B, T, F))
    table = bound(model, x, W)
    found, slope = derivatives(model, x, activation)
    weights = (
        model.cell.recurrent_kernel.numpy().T
        if cell == "elman"
        else np.diag(model.cell.recurrent_elements.numpy()[0])
    )
    row_sum, spectral = np.abs(weights).sum(axis=1).max(), np.linalg.svd(weights)[1][0]
    assert cell == "indrnn" or row_sum != np.abs(weights).sum(axis=0).max()
    a_priori, lags = {"sigmoid": 0.25}.get(activation, 1.0), np.arange(T)
    expected = {
        "largest": [max(np.abs(m).max() for m in found[lag]) for lag in lags],
        "norm": [max(np.linalg.norm(m, 2) for m in found[lag]) for lag in lags],
        "bound": N * (slope * row_sum) ** lags,
        "bound_spectral": (slope * spectral) ** lags,
        "bound_a_priori": N * (a_priori * row_sum) ** lags,
    }
    factors = {
        "slope_max": slope,
        "slope_a_priori": a_priori,
        "row_sum": row_sum,
        "spectral_norm": spectral,
    }
    for kind, values in expected.items():
        values = np.array(values)
        np.testing.assert_allclose(curve(table, kind), values, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(
            curve(table, f"log10_{kind}"), np.log10(values[values > 0]), rtol=1e-9, atol=1e-9
        )
    for kind, value in factors.items():
        assert list(curve(table, kind).index) == [1]
        np.testing.assert_allclose(curve(table, kind)[1], value, rtol=1e-12)
    assert set(table["kind"]) == {*expected, *(f"log10_{kind}" for kind in expected), *factors}


@pytest.mark.slow
def test_never_exceeded_by_random_nets(rng):
    """Of 1 to 6 units, weights from 0.05 to 5, of every kind; some decay and some explode."""
    ends = []
    for k in range(120):
        cell, activation = (
            ("elman", "irnn", "indrnn")[k % 3],
            rng.choice(["tanh", "sigmoid", "relu", "g1997", "softsign"]),
        )
        model = net(
            rng,
            cell,
            int(rng.integers(1, 7)),
            10 ** rng.uniform(-1.3, 0.7),
            candidate_activation=str(activation),
        )
        table = bound(model, rng.normal(size=(B, T, F)), W)
        logs = {
            kind: curve(table, f"log10_{kind}").reindex(range(T), fill_value=-np.inf)
            for kind in KINDS
        }
        assert (logs["largest"] <= logs["bound"] + 1e-9).all()
        assert (logs["bound"] <= logs["bound_a_priori"] + 1e-9).all()
        assert (logs["norm"] <= logs["bound_spectral"] + 1e-9).all()
        ends.append(logs["largest"].iloc[-1])
    assert min(ends) < -5
    assert max(ends) > 1


KINDS = ("largest", "norm", "bound", "bound_spectral", "bound_a_priori")


@pytest.mark.parametrize(
    ("activation", "slope"), [("linear", 1.0), ("tanh", 1.0), ("sigmoid", 0.25), ("h1997", 0.5)]
)
@pytest.mark.parametrize("weight", [0.9, -3.0])
def test_reached_by_one_unit_of_constant_slope(activation, slope, weight, rng):
    """net = 0 at every step, where the slope is the steepest: for a logistic unit, whose value
    there is 1/2, by its bias.
    """
    model = net(rng, "elman", 1, candidate_activation=activation)
    model.cell.recurrent_kernel.assign([[weight]])
    model.cell.bias.assign([-weight / 2 if activation == "sigmoid" else 0.0])
    x = np.zeros((B, T, F))
    if activation == "sigmoid":
        x[:, 0, 0] = weight / 2 / model.cell.kernel.numpy()[0, 0]  # nothing has been read back yet
    table = bound(model, x, W)
    for kind in KINDS:
        np.testing.assert_allclose(
            curve(table, kind), (slope * abs(weight)) ** np.arange(T), rtol=1e-12
        )


def test_logistic_units_with_weights_below_4_over_n_decay(rng):
    """tau = n w_max / 4 < 1: no element exceeds n tau^q for any input (1997, section 3.1)."""
    for w_max in (0.5, 0.99):  # of 4 / n
        model = net(rng, "elman", candidate_activation="sigmoid")
        weights = rng.uniform(-1, 1, size=(N, N))
        model.cell.recurrent_kernel.assign(4 / N * w_max * weights / np.abs(weights).max())
        table = bound(model, 3 * rng.normal(size=(B, T, F)), W)
        decay = N * w_max ** np.arange(T)
        assert (curve(table, "largest") <= decay).all()
        assert (curve(table, "bound_a_priori") <= decay * (1 + 1e-12)).all()
        assert (curve(table, "largest")[1:] > 0).all()
    model.cell.recurrent_kernel.assign(
        4 / N * 1.01 * np.ones((N, N))
    )  # and above it the bound says nothing
    assert curve(bound(model, np.zeros((B, T, F)), W), "bound_a_priori")[T - 1] > N


def test_rectified_units_that_begin_with_the_identity_keep_everything_while_they_are_on(rng):
    model, x = (
        Recurrent(variant("irnn", units=N, dtype="float64"), Head(1), BPTT(), F),
        np.ones((B, T, F)),
    )
    model.cell.kernel.assign(np.ones((F, N)))
    table = bound(model, x, W)
    for kind in ("largest", "norm", "bound_spectral"):
        np.testing.assert_array_equal(curve(table, kind), np.ones(T))
    np.testing.assert_allclose(curve(table, "bound"), np.full(T, N), rtol=1e-12)
    table = bound(model, -x, W)  # none is on: slope 0
    assert list(curve(table, "bound")) == [N] + [0] * (T - 1)
    assert list(curve(table, "log10_bound_spectral")) == [0]


def test_units_read_back_by_element_reach_the_spectral_bound(rng):
    model, x = net(rng, "indrnn"), np.ones((B, T, F))
    elements = np.array([0.2, 0.9, 1.1, 0.5])
    model.cell.kernel.assign(np.ones((F, N)))
    model.cell.bias.assign(np.zeros(N))
    model.cell.recurrent_elements.assign(elements[None])
    np.testing.assert_array_equal(recurrent_weights(model.cell), np.diag(elements))
    table = bound(model, x, W)
    for kind in ("largest", "norm", "bound_spectral"):
        np.testing.assert_allclose(curve(table, kind), 1.1 ** np.arange(T), rtol=1e-12)


@pytest.mark.parametrize("known", SLOPES, ids=lambda known: getattr(known[0], "__name__", ""))
def test_the_steepest_slope_of_each_activation(known):
    activation, slope = known
    net = np.linspace(-8, 8, 32_001)
    values = np.asarray(activation(keras.ops.convert_to_tensor(net)))
    np.testing.assert_allclose(np.abs(np.diff(values) / np.diff(net)).max(), slope, rtol=1e-3)
    assert np.abs(np.diff(values) / np.diff(net)).max() <= slope * (1 + 1e-9)


def test_the_carousel_has_a_constant_instead(rng):
    x = rng.normal(size=(B, T, F))
    table = bound(net(rng, "lstm1997"), x, W)
    assert list(curve(table, "carousel")) == [1.0] * T
    assert set(table["kind"]) == {
        k for kind in ("largest", "norm", "carousel") for k in (kind, f"log10_{kind}")
    }
    forget = bound(net(rng, "vanilla"), x, W)
    assert (curve(forget, "carousel").diff()[1:] < 0).all()


def test_a_carousel_alone_is_the_measured_one(rng):
    """Where nothing is read back, ds_T/ds_t is diagonal and the largest product of forget
    activations is all there is.
    """
    table = bound(net(rng, "vanilla", feedback="none"), rng.normal(size=(B, T, F)), W)
    for kind in ("largest", "norm"):
        np.testing.assert_allclose(curve(table, kind), curve(table, "carousel"), rtol=1e-12)


def test_no_bound_where_it_is_not_known(rng):
    x = rng.normal(size=(B, T, F))
    for overrides in (
        {"candidate_activation": "softmax"},
        {"candidate_activation": "gelu"},
        {"input_gate": Gate()},
    ):
        table = bound(net(rng, "elman", **overrides), x, W)
        assert set(table["kind"]) == {"largest", "norm", "log10_largest", "log10_norm"}


def test_growth_beyond_the_numbers_keeps_its_logarithm(rng):
    model = net(rng, "elman", 1, candidate_activation="linear")
    model.cell.recurrent_kernel.assign([[1e40]])
    table = bound(model, 0 * rng.normal(size=(B, T, F)), W)
    for kind in KINDS:
        assert list(curve(table, kind).index) == list(range(8))
        np.testing.assert_allclose(curve(table, f"log10_{kind}"), 40.0 * np.arange(T), rtol=1e-12)


@pytest.mark.slow
def test_other_precisions(rng):
    exact, x = net(rng, "elman"), rng.normal(size=(B, T, F))
    for dtype, rtol in (("float32", 1e-4), ("mixed_bfloat16", 0.3)):
        other = net(rng, "elman", dtype=dtype)
        other.cell.set_weights(exact.cell.get_weights())
        for kind in KINDS:
            np.testing.assert_allclose(
                curve(bound(other, x, W), kind), curve(bound(exact, x, W), kind), rtol=rtol
            )


def test_the_diagnostic_measures_the_same_rows_and_shows_their_logarithms(rng, tmp_path):
    model, x = net(rng, "elman"), rng.normal(size=(B, T, F))
    w = W.copy()
    w[0] = 0
    diagnostic, probe = Bound(sequences=1), Probe(x, np.zeros((B, T, 1)), w, w > 0, w > 0)
    table = diagnostic.measure(model, probe)
    pd.testing.assert_frame_equal(table, bound(model, x[1:2], w[1:2]), rtol=1e-9)
    shown = {}
    board = Board(tmp_path)
    board.against_lag = lambda curves, sequences: shown.update(curves)
    diagnostic.show(board, table, 1000)
    board.close()
    some = {"norm", "bound", "bound_spectral"}
    assert set(shown) == {f"bound_log10_against_lag/{kind}" for kind in some}
    lags, values = shown["bound_log10_against_lag/norm"]
    np.testing.assert_array_equal(values, curve(table, "log10_norm")[lags])


def test_wrong_arguments(rng):
    model, x = net(rng, "elman"), rng.normal(size=(B, T, F))
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(1), BPTT(), F)
    for call, message in [
        (
            lambda: bound(foreign, x),
            "bound: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent",
        ),
        (
            lambda: bound(model, x[0]),
            "bound: expected x [B, T, F] and w [B, T]. Received: x=(12, 3), w=(12, 3)",
        ),
        (
            lambda: bound(model, x, 0 * W),
            "bound: expected at least one step with w > 0 in every sequence. Received: w "
            "without one",
        ),
        (
            lambda: bound(model, x[..., :2]),
            f"bound: expected x [B, T, 3]. Received: x=({B}, {T}, 2)",
        ),
        (
            lambda: bound(model, x[:0]),
            "bound: expected at least one sequence of at least one step. Received: x=(0, "
            f"{T}, 3), w=(0, {T})",
        ),
        (
            lambda: bound(model, np.nan * x),
            f"bound: expected finite numbers. Received: x with {x.size} of {x.size} not finite",
        ),
        (
            lambda: Bound(sequences=True),
            "Bound: expected a positive integer. Received: sequences=True",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            call()
        assert str(e.value) == message
