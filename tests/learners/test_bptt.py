"""BPTT: the exact gradient of any Keras cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize, weight_differences

from lstmlab import GatedCell, Head, variant
from lstmlab.learners import BPTT
from lstmlab.learners.base import forward

B, T, F, N, K = 2, 4, 2, 4, 2

CELLS = {
    "lstm1997": lambda: variant("lstm1997", units=N, dtype="float64"),
    "vanilla": lambda: variant("vanilla", units=3, dtype="float64"),
    "keras SimpleRNNCell": lambda: keras.layers.SimpleRNNCell(N, dtype="float64"),
    "keras GRUCell": lambda: keras.layers.GRUCell(3, dtype="float64"),
    "keras LSTMCell": lambda: keras.layers.LSTMCell(3, dtype="float64"),
    "two cells, stacked": lambda: keras.layers.StackedRNNCells(
        [GatedCell(2, dtype="float64"), GatedCell(2, dtype="float64")], dtype="float64"
    ),
}


def problem(cell, rng):
    head = Head(K, "sigmoid", dtype=cell.dtype)
    cell.build((None, F))
    head.build((None, cell.output_size))
    for layer in (cell, head):
        randomize(layer, rng)
    batch = [tf.constant(rng.normal(size=(B, T, size))) for size in (F, K)]
    return head, (*batch, tf.constant(rng.uniform(0.2, 2.0, size=(B, T))))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_gradients_against_finite_differences(name, rng):
    cell = CELLS[name]()
    head, (x, y, w) = problem(cell, rng)
    weights = cell.trainable_variables + head.trainable_variables
    loss, prediction, gradients = BPTT().gradients(cell, head, x, y, w)

    @tf.function(autograph=False)
    def error():
        return 0.5 * tf.reduce_sum(w[..., None] * (y - head(forward(cell, x))) ** 2)

    np.testing.assert_allclose(loss, error(), rtol=1e-12)
    assert prediction.shape == (B, T, K)
    assert_gradients(gradients, weight_differences(error, weights), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_vanilla_against_keras_lstm(dtype, tolerance, rng):
    cell, layer = (
        variant("vanilla", units=N, dtype=dtype),
        keras.layers.LSTM(N, return_sequences=True, dtype=dtype),
    )
    head, batch = problem(cell, rng)
    x, y, w = (tf.cast(part, dtype) for part in batch)
    layer.build((B, T, F))
    layer.set_weights(cell.get_weights())
    loss, prediction, gradients = BPTT().gradients(cell, head, x, y, w)
    with tf.GradientTape() as tape:
        expected = head(layer(x))
        error = 0.5 * tf.reduce_sum(w[..., None] * (y - expected) ** 2)
    theirs = tape.gradient(
        error, [v.value for v in layer.trainable_variables + head.trainable_variables]
    )
    assert_gradients(
        [prediction, loss, *gradients], [expected, error, *theirs], rtol=tolerance, atol=tolerance
    )


@pytest.mark.slow
def test_xla_against_eager(rng):
    cell = CELLS["lstm1997"]()
    head, batch = problem(cell, rng)
    compiled = tf.function(
        lambda *b: BPTT().gradients(cell, head, *b), jit_compile=True, autograph=False
    )(*batch)
    eager = BPTT().gradients(cell, head, *batch)
    assert_gradients([*compiled[:2], *compiled[2]], [*eager[:2], *eager[2]], rtol=1e-12, atol=1e-12)


def test_targets_without_weight_do_not_count(rng):
    cell = CELLS["lstm1997"]()
    head, (x, y, w) = problem(cell, rng)
    w = w * tf.constant([1.0, 0.0, 1.0, 0.0], "float64")
    one = BPTT().gradients(cell, head, x, y, w)
    other = BPTT().gradients(cell, head, x, y + 100.0 * tf.cast(w[..., None] == 0, "float64"), w)
    for a, b in zip(one[2], other[2], strict=True):
        np.testing.assert_array_equal(a, b)
    twice = BPTT().gradients(cell, head, x, y, 2.0 * w)
    np.testing.assert_allclose(twice[2][0], 2.0 * one[2][0].numpy(), rtol=1e-12)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_float32_data_reach_a_cell_of_another_precision(policy, rng):
    cell, head = variant("lstm1997", units=N, dtype=policy), Head(K, dtype=policy)
    cell.build((None, F))
    head.build((None, N))
    x, y, w = (tf.constant(rng.normal(size=s), "float32") for s in ((B, T, F), (B, T, K), (B, T)))
    loss, _, gradients = BPTT().gradients(cell, head, x, y, w)
    expected = "float64" if policy == "float64" else "float32"
    assert {loss.dtype.name, *(g.dtype.name for g in gradients)} == {expected}


@pytest.mark.parametrize("stack", [False, True])
def test_dropout_is_refused(stack):
    cell = keras.layers.LSTMCell(3, recurrent_dropout=0.5)
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        BPTT().check(keras.layers.StackedRNNCells([GatedCell(2), cell]) if stack else cell)
    assert str(e.value) == (
        "BPTT: expected dropout=0 and recurrent_dropout=0, since no dropout is applied here. "
        "Received: dropout=0.0, recurrent_dropout=0.5"
    )
    BPTT().check(keras.layers.LSTMCell(3))
