"""Example: one sequence of the probe, step by step."""

import numpy as np
from oracles import NumpyCell, randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import Example, Probe
from lstmlab.learners import BPTT

B, T, F, N, K = 2, 6, 2, 4, 2


def test_table_against_numpy(rng, eager):
    model = Recurrent(
        variant("lstm1997", units=N, dtype="float64"), Head(K, dtype="float64"), BPTT(), F
    )
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K))
    w = np.zeros((B, T))
    w[[0, 1], [3, 5]] = 1.0
    valid, events = np.arange(T) <= np.array([[3], [5]]), rng.uniform(size=(B, T)) < 0.5
    table = Example().measure(model, Probe(x, y, w, valid, events))
    steps, _ = NumpyCell(model.cell).run(x)
    at = {letter: np.stack([step[letter][0] for step in steps[:4]]) for letter in "iogsy"}
    expected = {
        "t": np.arange(1, 5)[:, None],
        "input": x[0, :4],
        "target": y[0, :4],
        "weight": w[0, :4, None],
        "event": events[0, :4, None],
        "prediction": at["y"] @ model.head.kernel.numpy() + model.head.bias.numpy(),
        "input_gate": at["i"],
        "output_gate": at["o"],
        "candidate": at["g"],
        "cell_state": at["s"],
        "output": at["y"],
    }
    columns = []
    for name, values in expected.items():
        single = name in ("t", "weight", "event")
        names = [name] if single else [f"{name}_{k + 1}" for k in range(values.shape[1])]
        np.testing.assert_allclose(table[names], values, atol=1e-9, err_msg=name)
        assert values.std() > 0
        columns += names
    assert list(table.columns) == columns
