"""Memory against hand-made cells with constant gates, closed forms, and a cell in NumPy."""

import keras
import numpy as np
import pandas as pd
import pytest
from oracles import FUNCTIONS, NumpyCell, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, variant
from lstmlab.cells import Staggered
from lstmlab.diagnostics import Memory, Probe, memory
from lstmlab.learners import BPTT

B, T, F, N, K = 3, 8, 2, 4, 1
LENGTHS = np.array([8, 6, 7])
EVENTS = [
    [1, 4],
    [],
    [6],
]  # steps of each sequence; that of the last comes with its error, not before it
ERRORS = [[7], [2, 5], [6]]
FIRST = [1, 0, 0]


def problem(rng, cell):
    model = Recurrent(cell, Head(K, dtype=cell.dtype), BPTT(), F)
    randomize(model.cell, rng)
    return model, probe(rng.normal(size=(B, T, F)))


def probe(x) -> Probe:
    valid = np.arange(T) < LENGTHS[:, None]
    w, events = np.zeros((B, T)), ~valid  # the padding is marked too, and must not count
    for b in range(B):
        w[b, ERRORS[b]] = 1.0
        events[b, EVENTS[b]] = True
    return Probe(x, np.zeros((B, T, K)), w, valid, events)


def logit(p):
    return np.log(p / (1 - p))


def constant(rng, forget, **overrides) -> Recurrent:
    """Two blocks of two cells whose forget gates stand at those values whatever comes: no weights,
    a bias of the logit.
    """
    biases = list(logit(np.array(forget)))
    cell = GatedCell(
        N,
        forget_gate=Gate(bias=biases),
        block_size=2,
        dtype="float64",
        feedback="none",
        **overrides,
    )
    model = Recurrent(cell, Head(K, dtype="float64"), BPTT(), F)
    kernel = rng.normal(size=model.cell.kernel.shape)
    kernel[:, 2:4] = 0.0  # the forget gates' columns
    model.cell.kernel.assign(kernel)
    return model


def test_half_life_against_a_cell_with_constant_gates(rng, eager):
    forget = [0.5, 0.99]
    model = constant(rng, forget)
    table = Memory().measure(model, probe(rng.normal(size=(B, T, F))))
    assert list(table["cell"]) == [1, 2, 3, 4]
    assert list(table["block"]) == [1, 1, 2, 2]
    of_cells = np.repeat(forget, 2)
    np.testing.assert_allclose(table["retention"], of_cells, rtol=1e-12)
    np.testing.assert_allclose(
        table["half_life"], [1, 1, np.log(2) / -np.log(0.99), np.log(2) / -np.log(0.99)], rtol=1e-10
    )
    lags = np.array([7 - 1, 5 - 0, 6 - 0])
    np.testing.assert_allclose(table["lag"], lags.mean())
    expected = [(f**lags).mean() for f in of_cells]
    np.testing.assert_allclose(table["retention_over_lag"], expected, rtol=1e-10)
    assert np.ptp(expected) > 0.5


@pytest.mark.parametrize(
    ("gate", "retention", "half_life"), [(None, 1.0, 1e9), ("closed", 0.0, 0.0)]
)
def test_half_life_without_a_forget_gate_and_with_a_closed_one(
    gate, retention, half_life, rng, eager
):
    model, batch = problem(rng, GatedCell(N, forget_gate=gate, dtype="float64"))
    table = Memory().measure(model, batch)
    assert (table["retention"] == retention).all()
    assert (table["half_life"] == half_life).all()
    assert (table["retention_over_lag"] == retention).all()
    assert np.isfinite(table).all(axis=None)


def forgets(cell, steps) -> list[np.ndarray]:
    """What multiplies the state at each step [B, n]."""
    return [np.repeat(at["f"], cell.block_size, axis=1) for at in steps]


@pytest.mark.parametrize("name", ["lstm2000", "vanilla"])
def test_retention_of_changing_gates_against_numpy(name, rng, eager):
    model, batch = problem(rng, variant(name, units=N, dtype="float64"))
    steps, _ = NumpyCell(model.cell).run(batch.x)
    e = forgets(model.cell, steps)
    table = memory(model, batch)
    for k in range(N):
        logs = [np.log(e[t][b, k]) for b in range(B) for t in range(LENGTHS[b])]
        np.testing.assert_allclose(table.loc[k, "retention"], np.exp(np.mean(logs)), rtol=1e-10)
        np.testing.assert_allclose(
            table.loc[k, "half_life"], -np.log(2) / np.mean(logs), rtol=1e-10
        )
        products = [
            np.prod([e[t][b, k] for t in range(FIRST[b] + 1, ERRORS[b][-1] + 1)]) for b in range(B)
        ]
        np.testing.assert_allclose(
            table.loc[k, "retention_over_lag"], np.mean(products), rtol=1e-10
        )
    assert table["retention"].std() > 1e-3


@pytest.mark.parametrize("name", ["ur_lstm", "minlstm", "coupled", "gru", "slstm", "mgu"])
def test_the_forget_value_is_the_factor_of_the_state(name, rng, eager):
    """Behind refine gate, normaliser and coupling: the derivative of s_t to s_tm1 by a difference
    of one step.
    """
    coupled = GatedCell(N, forget_gate="coupled", dtype="float64")
    model, batch = problem(
        rng, coupled if name == "coupled" else variant(name, units=N, dtype="float64")
    )
    cell, states = model.cell, model.cell.get_initial_state(B)
    place = cell.state_names.index("cell_state" if "cell_state" in cell.state_names else "hidden")
    logs = np.zeros((T, B, N))
    for t in range(T):
        hidden = states[cell.state_names.index("hidden")]

        def after(move, t=t, states=states, hidden=hidden):
            moved = [state + move if i == place else state for i, state in enumerate(states)]
            return cell.step(batch.x[:, t], moved, see=lambda _: hidden)[0]["cell_state"].numpy()

        logs[t] = np.log((after(1.0) - after(-1.0)) / 2)
        _, states = cell.step(batch.x[:, t], states)
    expected = [
        np.mean([logs[t, b, k] for b in range(B) for t in range(LENGTHS[b])]) for k in range(N)
    ]
    np.testing.assert_allclose(memory(model, batch)["retention"], np.exp(expected), rtol=1e-8)
    assert np.max(expected) < -1e-3


@pytest.mark.parametrize("h", ["tanh", "h1997", "sigmoid", "linear"])
def test_slope_and_saturation_against_closed_forms(h, rng, eager):
    model, batch = problem(rng, GatedCell(N, output_activation=h, dtype="float64"))
    model.cell.kernel.assign(model.cell.kernel.numpy() * 4)
    batch = batch._replace(x=batch.x * 3)
    steps, _ = NumpyCell(model.cell).run(batch.x)
    squashed = {
        "tanh": lambda s: 1 - np.tanh(s) ** 2,
        "h1997": lambda s: 1 - FUNCTIONS["h1997"](s) ** 2,
        "sigmoid": lambda s: 4 * FUNCTIONS["sigmoid"](s) * (1 - FUNCTIONS["sigmoid"](s)),
        "linear": np.ones_like,
    }[h]
    slopes = np.array([squashed(steps[t]["s"][b]) for b in range(B) for t in range(LENGTHS[b])])
    table = memory(model, batch)
    np.testing.assert_allclose(table["slope"], slopes.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(table["saturated"], (slopes < 0.1).mean(axis=0), atol=1e-12)
    assert (table["saturated"].max() > 0) == (h == "tanh")
    assert (table["slope"].min() < 0.95) == (h != "linear")


def test_slope_where_the_normalised_state_is_read(rng, eager):
    model, batch = problem(
        rng, variant("slstm", units=N, output_activation="tanh", dtype="float64")
    )
    outputs = memory(model, batch)
    cell, states, slopes = model.cell, model.cell.get_initial_state(B), []
    for t in range(T):
        values, states = cell.step(batch.x[:, t], states)
        read = values["output"].numpy() / values["output_gate"].numpy()  # tanh(s / n)
        slopes.append(1 - read**2)
    expected = np.array([slopes[t][b] for b in range(B) for t in range(LENGTHS[b])]).mean(axis=0)
    np.testing.assert_allclose(outputs["slope"], expected, rtol=1e-9)
    model, batch = problem(rng, GatedCell(N, layer_normalization=True, dtype="float64"))
    cell, states, slopes = model.cell, model.cell.get_initial_state(B), []
    for t in range(T):
        values, states = cell.step(batch.x[:, t], states)
        slopes.append(1 - (values["output"].numpy() / values["output_gate"].numpy()) ** 2)
    expected = np.array([slopes[t][b] for b in range(B) for t in range(LENGTHS[b])]).mean(axis=0)
    np.testing.assert_allclose(memory(model, batch)["slope"], expected, rtol=1e-9)


def accumulator(rates) -> Recurrent:
    """Cells without gates that add rate_k x_t at each step: s^k_t = rate_k sum x."""
    cell = GatedCell(
        len(rates),
        None,
        None,
        None,
        "linear",
        "linear",
        candidate_bias=None,
        feedback="none",
        dtype="float64",
    )
    model = Recurrent(cell, Head(K, dtype="float64"), BPTT(), 1)
    model.cell.kernel.assign(np.array([rates]))
    return model


def test_drift_of_states_that_grow_fall_and_come_back(eager):
    x = np.ones((B, T, 1))
    table = Memory().measure(accumulator([0.5, -2.0]), probe(x))
    np.testing.assert_allclose(table["drift"], [0.5, -2.0], rtol=1e-12)
    np.testing.assert_allclose(table["one_way"], [1.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(table["largest"], [0.5 * T, 2.0 * T], rtol=1e-12)
    x[:, 1::2] = -1.0  # up and down: 1, 0, 1, 0, ...
    table = Memory().measure(accumulator([0.5, -2.0]), probe(x))
    ways = [1 / 7, 1 / 5, 0 / 6]  # of 8, 6 and 7 steps: |s_last - s_first| over the path
    np.testing.assert_allclose(table["one_way"], np.mean(ways), rtol=1e-12)
    states = [0.5 * np.cumsum(x[b, :length, 0]) for b, length in enumerate(LENGTHS)]
    fitted = np.mean([np.polyfit(np.arange(len(s)), s, 1)[0] for s in states])
    np.testing.assert_allclose(table["drift"], [fitted, -4 * fitted], rtol=1e-10)
    np.testing.assert_allclose(table["largest"], [0.5, 2.0], rtol=1e-12)
    assert abs(fitted) > 1e-3


def test_a_state_that_stays_has_no_drift_and_no_capacity(eager):
    table = Memory().measure(accumulator([0.5, -2.0]), probe(np.zeros((B, T, 1))))
    assert (table[["drift", "one_way", "largest", "capacity", "effective_cells"]] == 0).all(
        axis=None
    )
    assert np.isfinite(table).all(axis=None)


def test_capacity_of_cells_that_move_together_and_by_themselves(eager, rng):
    together = Memory().measure(accumulator([1.0, -2.0, 0.0]), probe(rng.normal(size=(B, T, 1))))
    np.testing.assert_allclose(together["capacity"], [0.2, 0.8, 0.0], rtol=1e-12)
    np.testing.assert_allclose(together["effective_cells"], 1.0, rtol=1e-12)


def test_capacity_against_the_eigenvalues_of_the_covariance(rng, eager):
    model, batch = problem(rng, variant("lstm2000", units=N, dtype="float64"))
    steps, _ = NumpyCell(model.cell).run(batch.x)
    states = np.array([steps[t]["s"][b] for b in range(B) for t in range(LENGTHS[b])])
    eigenvalues = np.linalg.eigvalsh(np.cov(states, rowvar=False))
    table = memory(model, batch)
    np.testing.assert_allclose(
        table["effective_cells"], eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rtol=1e-10
    )
    np.testing.assert_allclose(
        table["capacity"], states.var(axis=0) / states.var(axis=0).sum(), rtol=1e-10
    )
    assert 1.1 < table["effective_cells"].iloc[0] < N


def test_drift_against_a_fit_of_each_sequence(rng, eager):
    model, batch = problem(rng, variant("lstm1997", units=N, dtype="float64"))
    steps, _ = NumpyCell(model.cell).run(batch.x)
    table = memory(model, batch)
    for k in range(N):
        paths = [np.array([steps[t]["s"][b, k] for t in range(LENGTHS[b])]) for b in range(B)]
        slopes = [np.polyfit(np.arange(len(s)), s, 1)[0] for s in paths]
        ways = [abs(s[-1] - s[0]) / np.abs(np.diff(s)).sum() for s in paths]
        np.testing.assert_allclose(table.loc[k, "drift"], np.mean(slopes), rtol=1e-9)
        np.testing.assert_allclose(table.loc[k, "one_way"], np.mean(ways), rtol=1e-10)
        np.testing.assert_allclose(
            table.loc[k, "largest"], max(np.abs(s).max() for s in paths), rtol=1e-10
        )


@pytest.mark.parametrize("name", ["lstm1997", "vanilla"])
def test_padding_does_not_count(name, rng, eager):
    model, batch = problem(rng, variant(name, units=N, dtype="float64"))
    other = batch._replace(x=np.where(batch.valid[..., None], batch.x, 7.0))
    pd.testing.assert_frame_equal(memory(model, batch), memory(model, other))


def test_sequences_without_an_error_have_no_lag(rng, eager):
    model, batch = problem(rng, variant("vanilla", units=N, dtype="float64"))
    batch.w[:2] = 0.0
    table = memory(model, batch)
    assert (table["lag"] == 6).all()
    batch.w[:] = 0.0
    table = memory(model, batch)
    assert (table["lag"] == 0).all()
    assert (table["retention_over_lag"] == 1).all()


def test_shows_a_few_numbers_of_the_table(rng, eager):
    model, batch = problem(
        rng,
        variant("lstm2000", units=N, dtype="float64", forget_gate=Gate(bias=Staggered(1.0, 1.0))),
    )
    table, written = memory(model, batch), {}

    class Board:
        def scalar(self, tag, value, sequences):
            written[tag] = value, sequences

    Memory().show(Board(), table, 700)
    assert len(written) == 10
    assert written["memory_half_life/shortest"] == (table["half_life"].min(), 700)
    assert written["memory_half_life/lag_of_task"] == (table["lag"].mean(), 700)
    assert written["memory_cells/effective"] == (table["effective_cells"].mean(), 700)


def test_the_function_and_the_diagnostic_agree(rng):
    model, batch = problem(rng, variant("lstm1997", units=N))
    batch = Probe(*(part.astype("float32") for part in batch[:3]), *batch[3:])
    diagnostic = Memory()
    for _ in range(2):
        pd.testing.assert_frame_equal(
            diagnostic.measure(model, batch), memory(model, batch), rtol=1e-4
        )
        randomize(model.cell, rng)


def test_serves_cells_with_step_alone():
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(K), BPTT(), F)
    assert not Memory().serves(foreign)
    with pytest.raises(
        ValueError,
        match=r"^memory: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent$",
    ):
        memory(foreign, probe(np.zeros((B, T, F))))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.ones((B, T, 3))}, "memory: expected x [B, T, 2]. Received: x=(3, 8, 3)"),
        ({"y": np.ones((B, T, 2))}, "memory: expected y [B, T, 1]. Received: y=(3, 8, 2)"),
        (
            {"w": np.ones((B, 2))},
            "memory: expected x [B, T, F], y [B, T, K], w [B, T]. Received: x=(3, 8, 2), "
            "y=(3, 8, 1), w=(3, 2)",
        ),
        (
            {"x": np.full((B, T, F), np.nan)},
            "memory: expected finite numbers. Received: x with 48 of 48 not finite",
        ),
        (
            {"events": np.ones((B, 2), bool)},
            "memory: expected valid and events [B, T] = (3, 8). Received: valid=(3, 8), "
            "events=(3, 2)",
        ),
        (
            {"valid": np.zeros((B, T), bool)},
            "memory: expected at least one valid step. Received: valid without one",
        ),
        (
            {"x": np.ones((0, T, F)), "y": np.ones((0, T, K)), "w": np.ones((0, T))},
            "memory: expected at least one sequence of at least one step. Received: "
            "x=(0, 8, 2), y=(0, 8, 1), w=(0, 8)",
        ),
    ],
)
def test_wrong_probes(changed, message, rng):
    model, batch = problem(rng, variant("vanilla", units=N, dtype="float64"))
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        memory(model, batch._replace(**changed))
    assert str(e.value) == message


@pytest.mark.parametrize("given", [np.ones((B, T, F)), (np.ones((B, T, F)), np.ones((B, T, K)))])
def test_what_is_no_probe(given, rng):
    model, _ = problem(rng, variant("vanilla", units=N, dtype="float64"))
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        memory(model, given)
    expected = "memory: expected a Probe (x, y, w, valid, events)."
    assert str(e.value) == f"{expected} Received: probe={type(given).__name__}"
