"""Truncated1997 against the equations of the paper, and where it is and is not the exact gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize
from reference1997 import Net, changes

from lstmlab import GatedCell, Head, variant
from lstmlab.learners import BPTT, Truncated1997

B, T, F, K = 2, 7, 3, 2
BLOCKS, SIZE = 3, 2
N = BLOCKS * SIZE


def problem(rng, activation: str, **overrides):
    cell = variant("lstm1997", units=N, dtype="float64", **overrides)
    head = Head(K, activation, dtype="float64")
    cell.build((None, F))
    head.build((None, N))
    for layer in (cell, head):
        randomize(layer, rng)
    return cell, head, rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)), rng.uniform(0.2, 2.0, size=(B, T))


def as_net(kernel, recurrent, bias, head_kernel, head_bias) -> Net:
    """Our matrices in the letters of 1997. Columns: input gates, cells, output gates; rows: inputs; cells, both gates; bias."""
    columns = np.concatenate([kernel, recurrent, bias[None]]).T
    w_in, w_c, w_out = columns[:BLOCKS], columns[BLOCKS : BLOCKS + N], columns[BLOCKS + N :]
    return Net(w_in, w_out, w_c.reshape(BLOCKS, SIZE, -1), head_kernel.T.reshape(K, BLOCKS, SIZE), head_bias)


def parts(net: Net) -> list[np.ndarray]:
    return [net.w_in, net.w_out, net.w_c, net.w_k, net.b_k]


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_against_equations_3_to_28(activation, rng):
    cell, head, x, y, w = problem(rng, activation)
    net = as_net(*(v.numpy() for v in cell.trainable_variables + head.trainable_variables))
    sequences = [changes(net, *one, logistic_outputs=activation == "sigmoid") for one in zip(x, y, w, strict=True)]
    expected = [-sum(both) for both in zip(*(parts(total) for _, total in sequences), strict=True)]
    loss, prediction, gradients = Truncated1997().gradients(cell, head, *map(tf.constant, (x, y, w)))
    np.testing.assert_allclose(prediction, [answers for answers, _ in sequences], atol=1e-12)
    np.testing.assert_allclose(loss, 0.5 * np.sum(w[..., None] * (y - prediction.numpy()) ** 2), rtol=1e-12)
    actual = parts(as_net(*(g.numpy() for g in gradients)))
    assert_gradients(actual, expected, rtol=1e-10, atol=1e-10)


def test_is_not_the_exact_gradient_where_something_is_read_back(rng):
    cell, head, *batch = problem(rng, "sigmoid")
    batch = [tf.constant(part) for part in batch]
    exact, cut = (learner.gradients(cell, head, *batch) for learner in (BPTT(), Truncated1997()))
    np.testing.assert_array_equal(exact[1], cut[1])  # the same forward pass
    for one, other in zip(exact[2][:3], cut[2][:3], strict=True):  # cell weights
        assert np.abs(one - other).max() > 1e-2
    for one, other in zip(exact[2][3:], cut[2][3:], strict=True):  # head weights
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("forget_gate", [None, "sigmoid"])
def test_is_exact_where_nothing_is_read_back(forget_gate, rng):
    cell, head, *batch = problem(rng, "sigmoid", forget_gate=forget_gate, **Truncated1997().exact_case())
    batch = [tf.constant(part) for part in batch]
    exact, cut = (learner.gradients(cell, head, *batch) for learner in (BPTT(), Truncated1997()))
    assert_gradients(cut[2], exact[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", [keras.layers.LSTMCell(4), keras.layers.GRUCell(4)])
def test_a_cell_that_hides_what_it_reads_back_is_refused(cell):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        Truncated1997().check(cell)
    assert str(e.value) == (
        "Truncated1997: the cell must say what its nets read back; expected a lstmlab.GatedCell "
        f"(learner=bptt serves any Keras cell). Received: cell={type(cell).__name__}"
    )
    Truncated1997().check(GatedCell(4))


def test_dropout_is_refused():
    with pytest.raises(ValueError, match=r"^Truncated1997: no dropout is applied here; .* Received: dropout=0.1, "):
        Truncated1997().check(GatedCell(4, dropout=0.1))
