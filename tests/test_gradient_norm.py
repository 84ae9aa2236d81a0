"""GradientNorm: the norms of the learner's own gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import GradientNorm, Probe
from lstmlab.learners import BPTT, Truncated1997

B, T, F, N, K = 3, 4, 2, 4, 1


def problem(rng, cell, learner):
    model = Recurrent(cell, Head(K, dtype=cell.dtype), learner, F)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K))
    w = rng.uniform(size=(B, T))
    return model, Probe(x, y, w, w > 0, w > 0)


@pytest.mark.parametrize("learner", [BPTT(), Truncated1997()])
def test_norm_of_the_mean_gradient_of_each_weight(learner, rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), learner)
    table = GradientNorm().measure(model, probe)
    assert list(table["weight"]) == ["kernel", "recurrent_kernel", "bias", "head_kernel", "head_bias"]
    total = [np.zeros(w.shape) for w in model.trainable_variables]
    for b in range(B):  # sequence by sequence
        _, _, gradients = learner.gradients(model.cell, model.head, *(tf.constant(v[b : b + 1]) for v in probe[:3]))
        total = [old + new.numpy() for old, new in zip(total, gradients, strict=True)]
    np.testing.assert_allclose(table["norm"], [np.linalg.norm(g) / B for g in total], rtol=1e-9)
    assert table["norm"].min() > 1e-3


def test_learners_differ(rng, eager):
    cell = variant("lstm1997", units=N, dtype="float64")
    model, probe = problem(rng, cell, BPTT())
    exact = GradientNorm().measure(model, probe)["norm"]
    cut = GradientNorm().measure(Recurrent(cell, model.head, Truncated1997(), F), probe)["norm"]
    assert np.abs(exact - cut)[:3].min() > 1e-3


def test_serves_any_cell(rng, eager):
    model, probe = problem(rng, keras.layers.GRUCell(N), BPTT())
    assert GradientNorm().serves(model)
    table = GradientNorm().measure(model, probe)
    assert table["norm"].min() > 0
