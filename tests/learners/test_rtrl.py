"""RTRL against BPTT, for every cell it serves; test_bptt.py has the finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from carried import B, F, K, N, cells, each_cell, problem
from oracles import assert_gradients

from lstmlab import variant
from lstmlab.learners import BPTT, RTRL


@pytest.mark.parametrize(("name", "make"), each_cell(), ids=[name for name, _ in cells()])
def test_gradients_against_bptt(name, make, rng):
    cell = make()
    head, x, y, w = problem(rng, cell)
    loss, prediction, gradients = RTRL().gradients(cell, head, x, y, w)
    expected_loss, expected_prediction, exact = BPTT().gradients(cell, head, x, y, w)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(prediction, expected_prediction, rtol=1e-12)
    assert_gradients(gradients, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm1997", "peephole"])
def test_xla_against_eager(name, rng):
    cell = variant(name, units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    compiled = tf.function(
        lambda *batch: RTRL().gradients(cell, head, *batch), jit_compile=True, autograph=False
    )
    for one, other in zip(
        compiled(*batch)[2], RTRL().gradients(cell, head, *batch)[2], strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


def test_no_step_is_kept(rng):
    """Of all that a step computes only the prediction is stacked.

    No other tensor of the graph has an axis of T steps.
    """
    cell, steps = variant("lstm2000", units=N, dtype="float64"), 1013
    head, *_ = problem(rng, cell)
    shapes = (B, steps, F), (B, steps, K), (B, steps)
    learn = tf.function(lambda *batch: RTRL().gradients(cell, head, *batch), autograph=False)
    graph = learn.get_concrete_function(
        *(tf.TensorSpec(shape, "float64") for shape in shapes)
    ).graph
    tensors = [
        tuple(out.shape)
        for op in graph.get_operations()
        for out in op.outputs
        if out.shape.rank is not None
    ]
    inputs = {*shapes, (steps, B, F), (steps, B, K), (steps, B)}  # as they come, and by step
    assert {shape for shape in tensors if steps in shape} == inputs
    kept = [
        op
        for op in graph.get_operations()
        if op.type == "While"
        for out in op.outputs
        if out.dtype == tf.variant
    ]
    assert len(kept) == 1, "the predictions, and nothing for a way back"


def test_what_it_refuses(rng):
    with pytest.raises(
        ValueError,
        match=r"RTRL: expected a positive integer. Received: learner.max_sensitivities=0",
    ):
        RTRL(max_sensitivities=0)
    cell = variant("vanilla", units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    with pytest.raises(
        ValueError, match=r"batch 2 \* states 8 \* weights 128 = 2,048 numbers, and 16,384 multi"
    ):
        RTRL(max_sensitivities=2047).gradients(cell, head, *batch)
    RTRL(max_sensitivities=2048).gradients(cell, head, *batch)
