"""GateActivations against NumPy."""

import keras
import numpy as np
import pytest
from oracles import NumpyCell, randomize

from lstmlab import GatedCell, Head, Recurrent, variant
from lstmlab.diagnostics import GateActivations, Probe
from lstmlab.learners import BPTT

B, T, F, N, K = 3, 6, 2, 4, 1


def problem(rng, cell):
    model = Recurrent(cell, Head(K, dtype=cell.dtype), BPTT(), F)
    randomize(model.cell, rng, scale=3.0)  # gates that are shut and gates that are open
    w = np.zeros((B, T), "float32")
    w[[0, 1, 2], [5, 3, 2]] = 1.0
    valid = np.arange(T) <= np.array([[5], [3], [2]])
    return model, Probe(rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)), w, valid, valid)


@pytest.mark.parametrize("name", ["lstm1997", "vanilla"])
def test_statistics_over_valid_steps_against_numpy(name, rng, eager):
    model, probe = problem(rng, variant(name, units=N, dtype="float64"))
    table = GateActivations().measure(model, probe).set_index("gate")
    steps, _ = NumpyCell(model.cell).run(probe.x)
    letters = {"input_gate": "i", "forget_gate": "f", "output_gate": "o"}
    assert list(table.index) == list(model.cell.gates)
    for gate in model.cell.gates:
        values = np.concatenate(
            [
                at[letters[gate]][b]
                for t, at in enumerate(steps)
                for b in range(B)
                if probe.valid[b, t]
            ]
        )
        statistics = [values.mean(), (values < 0.1).mean(), (values > 0.9).mean()]
        np.testing.assert_allclose(
            table.loc[gate, ["mean", "near_0", "near_1"]].astype(float), statistics, rtol=1e-9
        )
        assert min(statistics) > 0
        every = np.concatenate([at[letters[gate]].ravel() for at in steps])
        assert abs(every.mean() - values.mean()) > 1e-4  # padding would have counted


def test_traces_of_every_named_value(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"))
    traces = GateActivations().traces(model, probe)
    steps, _ = NumpyCell(model.cell).run(probe.x)
    letters = {
        "input_gate": "i",
        "output_gate": "o",
        "candidate": "g",
        "cell_state": "s",
        "output": "y",
    }
    assert set(traces) == set(letters)
    for name, letter in letters.items():
        np.testing.assert_allclose(
            traces[name], np.stack([at[letter] for at in steps], axis=1), atol=1e-9
        )


def test_serves_cells_with_gates_alone():
    cells = {
        GatedCell(2): True,
        GatedCell(2, None, None, None): False,
        keras.layers.LSTMCell(2): False,
    }
    for cell, served in cells.items():
        assert GateActivations().serves(Recurrent(cell, Head(K), BPTT(), F)) is served


class Board:
    """Keeps the histograms: {tag: values}."""

    def __init__(self):
        self.histograms: dict[str, np.ndarray] = {}

    def histogram(self, tag, values, sequences):
        self.histograms[tag] = values

    def scalar(self, *_):
        pass

    def time_by_cell(self, *_):
        pass


def shown(cell, probe) -> dict[str, np.ndarray]:
    diagnostic, board = GateActivations(), Board()
    diagnostic.show(board, diagnostic.measure(cell, probe), 10)
    return board.histograms


def test_histogram_of_the_input_gate_over_the_events_alone(rng, eager):
    model, probe = problem(rng, variant("vanilla", units=N, dtype="float64"))
    events = [(0, 1), (0, 4), (2, 0)]
    marks = ~probe.valid  # the padding is marked too, and must not count
    marks[tuple(zip(*events, strict=True))] = True
    steps, _ = NumpyCell(model.cell).run(probe.x)
    found = shown(model, probe._replace(events=marks))
    np.testing.assert_allclose(
        found["gates_at_events/input_gate"], [steps[t]["i"][b] for b, t in events], rtol=1e-9
    )
    assert found["gates/input_gate"].shape == (probe.valid.sum(), N)
    assert set(found) == {
        "gates_at_events/input_gate",
        *(f"gates/{gate}" for gate in model.cell.gates),
    }


def test_without_events_or_an_input_gate_there_is_no_such_histogram(rng, eager):
    model, probe = problem(rng, variant("vanilla", units=N, dtype="float64"))
    assert "gates_at_events/input_gate" not in shown(model, probe._replace(events=~probe.valid))
    model, probe = problem(rng, GatedCell(N, input_gate=None, dtype="float64"))
    assert set(shown(model, probe)) == {"gates/forget_gate", "gates/output_gate"}
