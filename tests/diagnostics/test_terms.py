"""The terms of the one-step Jacobian, measured on a probe."""

import random

import numpy as np
import tensorflow as tf
from explained import small

from lstmlab import variant
from lstmlab.diagnostics.common.terms import terms
from lstmlab.diagnostics.common.tracing import trace


def test_norms_of_terms_against_the_traced_gates(rng):
    """diag(f) has the largest f as its norm, diag(o) diag(h'(s)) diag(f) the largest product."""
    model, probe = small(rng, variant("vanilla", units=4))
    found = terms(model, probe)
    values = {
        name: value.numpy() for name, value in trace(model.cell, tf.constant(probe.x)).items()
    }
    later = probe.valid & (np.arange(6) > 0)
    assert found.steps == later.sum() == 12
    norm = found.table.set_index(["value", "part", "way"])["norm"]
    f, o, s = (
        values["forget_gate"][later],
        values["output_gate"][later],
        values["cell_state"][later],
    )
    np.testing.assert_allclose(
        norm["cell_state", "cell_state", "carousel"], f.max(axis=1).mean(), rtol=1e-5
    )
    expected = (o * (1 - np.tanh(s) ** 2) * f).max(axis=1).mean()
    np.testing.assert_allclose(norm["output", "cell_state", "carousel"], expected, rtol=1e-5)
    assert found.symbols < 1e-12
    assert found.carousel < 1e-12


def test_saturated_gates_lose_no_digits_and_measuring_draws_no_random_numbers(rng):
    model, probe = small(rng, variant("lstm1997", units=4))
    for weight in model.cell.weights:
        weight.assign(20 * weight)
    before = random.getstate(), [weight.numpy() for weight in model.weights]
    assert terms(model, probe).symbols < 1e-9
    assert random.getstate() == before[0]
    for weight, value in zip(model.weights, before[1], strict=True):
        np.testing.assert_array_equal(weight, value)


def test_terms_of_few_of_many_steps_and_of_an_activation_without_closed_slope(rng):
    model, probe = small(rng, variant("vanilla", units=4, candidate_activation="softsign"))
    assert terms(model, probe, most=5).steps == 5
    assert terms(model, probe).symbols < 1e-12
    alone, first = small(rng, variant("elman", units=4), steps=1)
    only = terms(alone, first._replace(valid=np.ones((3, 1), bool)))
    assert (only.steps, only.carousel) == (3, 0.0), (
        "without later steps, the first ones; a closed forget gate keeps nothing"
    )
