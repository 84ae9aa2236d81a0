"""docs/mathematics.md, chapter "How long", on the cells in float64."""

import re

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    CUT,
    PAGE,
    WORDS,
    B,
    F,
    N,
    T,
    cell_of,
    counting,
    inputs,
    jacobian,
    set_weights,
)

from lstmlab import Gate
from lstmlab.diagnostics.common.tracing import trace


def test_half_life_as_a_function_of_the_bias(rng):
    rows = re.findall(r"^\| (-?\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [-2, 0, 1, 2, 3, 5, 7]
    for row in rows:
        cell = cell_of(rng, "vanilla", forget_gate=Gate(bias=float(row[0])))
        bias = cell.bias.numpy()
        bias[N : 2 * N] = float(row[0])
        set_weights(cell, bias=bias, kernel=0.0, recurrent_kernel=0.0)
        _, flow = jacobian(cell, inputs(rng), "cell_state")
        kept = np.diagonal(flow[:, 0], axis1=1, axis2=2)
        half = (T - 1) * np.log(0.5) / np.log(kept)
        np.testing.assert_allclose(half, np.log(2) / np.log1p(np.exp(-float(row[0]))), rtol=1e-9)
        shown = (
            f"{kept.mean() ** (1 / (T - 1)):.4f}",
            f"{half.mean():.2f}",
            f"{1 + np.exp(float(row[0])):.2f}",
        )
        assert shown == row[1:]


def test_half_life_of_changing_gates_is_that_of_their_geometric_mean(rng):
    values, flow = jacobian(cell_of(rng, "vanilla"), inputs(rng, B, 30, F), "cell_state", **CUT)
    mean_log = np.log(values["forget_gate"][:, 1:]).mean(axis=1)
    kept = np.diagonal(flow[:, 0], axis1=1, axis2=2)
    np.testing.assert_allclose(kept, 0.5 ** (29 / (np.log(0.5) / mean_log)), rtol=1e-10)
    assert (
        np.log(0.5) / mean_log < np.log(0.5) / np.log(values["forget_gate"][:, 1:].mean(axis=1))
    ).all()


def kept_from_one(gates) -> np.ndarray:
    """The state after 1, 2, ... steps of a cell with these forget gates [q], from the state 1."""
    gates = tf.constant(gates[None, :, None])
    cell = counting(0.5)
    x = tf.concat(
        [tf.ones((1, 1, 1), "float64"), tf.zeros(gates.shape, "float64")], axis=1
    )  # the first step makes the state
    held_at = tf.ones((1, x.shape[1], 1)), tf.concat([tf.ones((1, 1, 1), "float64"), gates], axis=1)
    return trace(cell, x, clamps={"forget_gate": held_at})["cell_state"].numpy()[0, 1:, 0]


def test_half_is_gone_where_the_logarithms_add_up_to_it_not_after_a_half_life(rng):
    for gates in (np.r_[0.1, np.ones(29)], np.r_[np.ones(29), 0.1], rng.uniform(0.8, 1, size=30)):
        states = kept_from_one(gates)
        first = np.flatnonzero(states <= 0.5)[0] + 1
        rate = np.log(0.5) / np.log(gates).mean()
        assert first == np.flatnonzero(np.cumsum(-np.log(gates)) >= np.log(2))[0] + 1
        assert states[-1] == pytest.approx(0.5 ** (30 / rate), rel=1e-12)
        if gates[0] == 0.1:
            assert first == 1
            assert f"{rate:.2f} steps" in WORDS
            assert rate == pytest.approx(9.03, abs=0.005)
        if gates[-1] == 0.1:
            assert first == 30
