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
        values = np.concatenate([at[letters[gate]][b] for t, at in enumerate(steps) for b in range(B) if probe.valid[b, t]])
        statistics = [values.mean(), (values < 0.1).mean(), (values > 0.9).mean()]
        np.testing.assert_allclose(table.loc[gate, ["mean", "near_0", "near_1"]].astype(float), statistics, rtol=1e-9)
        assert min(statistics) > 0
        every = np.concatenate([at[letters[gate]].ravel() for at in steps])
        assert abs(every.mean() - values.mean()) > 1e-4  # padding would have counted


def test_traces_of_every_named_value(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"))
    traces = GateActivations().traces(model, probe)
    steps, _ = NumpyCell(model.cell).run(probe.x)
    letters = {"input_gate": "i", "output_gate": "o", "candidate": "g", "cell_state": "s", "output": "y"}
    assert set(traces) == set(letters)
    for name, letter in letters.items():
        np.testing.assert_allclose(traces[name], np.stack([at[letter] for at in steps], axis=1), atol=1e-9)


def test_serves_cells_with_gates_alone():
    cells = {GatedCell(2): True, GatedCell(2, None, None, None): False, keras.layers.LSTMCell(2): False}
    for cell, served in cells.items():
        assert GateActivations().serves(Recurrent(cell, Head(K), BPTT(), F)) is served
