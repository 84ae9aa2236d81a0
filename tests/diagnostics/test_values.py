"""The values of a cell on the probe against NumPy: compiled once for all who ask, and kept no longer than the model."""

import gc
import importlib
import weakref

import numpy as np
from oracles import NumpyCell, randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import GateActivations, GateTimeline, Memory, Probe
from lstmlab.diagnostics.common import graphs
from lstmlab.learners import BPTT

B, T, F, N, K = 2, 5, 3, 4, 1
module = importlib.import_module("lstmlab.diagnostics.common.values")


def problem(rng):
    model = Recurrent(
        variant("vanilla", units=N, dtype="float64"), Head(K, dtype="float64"), BPTT(), F
    )
    randomize(model.cell, rng)
    w = np.zeros((B, T))
    w[:, -1] = 1.0
    return model, Probe(rng.normal(size=(B, T, F)), np.zeros((B, T, K)), w, w >= 0, w > 0)


def test_values_against_numpy_also_after_the_weights_change(rng):
    model, probe = problem(rng)
    letters = {
        "input_gate": "i",
        "forget_gate": "f",
        "output_gate": "o",
        "candidate": "g",
        "cell_state": "s",
        "output": "y",
    }
    for _ in range(2):
        steps, _ = NumpyCell(model.cell).run(probe.x)
        found = module.values(model, probe.x)
        assert set(found) == set(letters)
        for name, letter in letters.items():
            np.testing.assert_allclose(
                found[name], np.stack([at[letter] for at in steps], axis=1), rtol=1e-9, atol=1e-12
            )
        randomize(model.cell, rng)


def test_compiled_once_for_all_measures_of_a_model(rng, monkeypatch):
    model, probe = problem(rng)
    traced, trace = [], module.trace
    monkeypatch.setattr(module, "trace", lambda *arguments: traced.append(1) or trace(*arguments))
    for diagnostic in (GateActivations(), GateTimeline(), Memory(), Memory()):
        diagnostic.measure(model, probe)
    assert len(traced) == 1


def test_small_and_large_probes_are_measured_alike(rng, monkeypatch):
    """By a plain graph and by XLA."""
    model, probe = problem(rng)
    small = module.values(model, probe.x)
    monkeypatch.setattr(graphs, "FEW", 0)
    large = module.values(model, probe.x)
    for name in small:
        np.testing.assert_allclose(large[name], small[name], rtol=1e-12)


def test_a_model_is_not_kept(rng):
    gc.freeze()  # what the tests before have left need not be looked through
    model, probe = problem(rng)
    module.values(model, probe.x)
    alive, kept = weakref.ref(model), len(module._compiled)
    del model
    gc.collect()
    gc.unfreeze()
    assert alive() is None
    assert len(module._compiled) < kept
