"""Reverse differentiation through whatever runs a cell over time."""

from collections.abc import Callable

import tensorflow as tf

from lstmlab.learners.base import Found
from lstmlab.typing import Cell, Head, Tensor


def backward(
    cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, run: Callable[[], Tensor]
) -> Found:
    """Return loss, prediction and gradients as `GradientLearner.gradients` does.

    run: Returns the cell's outputs [B, T, n] for x; errors go back through all that it does.
    """
    weights = [weight.value for weight in cell.trainable_variables + head.trainable_variables]

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        prediction = head(run(), x)
        loss = tf.reduce_sum(head.error(y, prediction, w))

    return loss, prediction, tape.gradient(loss, weights, unconnected_gradients="zero")
