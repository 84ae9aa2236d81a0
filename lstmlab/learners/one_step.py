"""One step of a cell, its states in one row [B, S], its weights in one row [P]."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from keras import tree

from lstmlab.learners.base import initial_states, packed
from lstmlab.typing import Cell, Tensor


def one_step(cell: Cell, x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output [B, n] and the states [B, S] from x_t [B, F] and the states before."""
    sizes = [part.shape[1] for part in initial_states(cell, 1)]
    output, states = cell(x_t, packed(cell, x_t.shape[0], tf.split(state, sizes, axis=1)))
    return output, tf.concat(tree.flatten(states), axis=1)


def back_one_step(
    cell: Cell, x_t: Tensor, state: Tensor, of_output: Tensor
) -> tuple[Tensor, Tensor]:
    """Return dE/d(states before) [B, S] and dE/dW [P] through this step only, from dE/dy [B, n]."""
    weights = [weight.value for weight in cell.trainable_variables]

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([state, *weights])
        output, _ = one_step(cell, x_t, state)

    of_state, *of_weights = tape.gradient(
        output, [state, *weights], of_output, unconnected_gradients="zero"
    )
    return of_state, flat(of_weights)


def by_example(function: Callable, *batch: Tensor) -> Tensor:
    """Return function(*examples) for every example of the batch, [B, ...]; each is a batch of 1."""
    count = batch[0].shape[0]
    if count == 1 or (tf.executing_eagerly() and count <= 8):
        return tf.stack([function(*(part[b : b + 1] for part in batch)) for b in range(count)])

    one = tf.autograph.experimental.do_not_convert(
        lambda example: function(*(part[None] for part in example))
    )
    return tf.vectorized_map(one, batch)


# ---- weights in a row


def sizes_of(cell: Cell) -> list[int]:
    """Return how many numbers each trainable weight of the cell has."""
    return [int(np.prod(weight.shape)) for weight in cell.trainable_variables]


def count_of(cell: Cell) -> int:
    """Return P, how many trainable numbers the cell has."""
    return sum(sizes_of(cell))


def flat(parts: list) -> Tensor:
    """Return all numbers in one row [P]."""
    return tf.concat([tf.reshape(part, (-1,)) for part in parts], axis=0)


def as_weights(cell: Cell, row: Tensor) -> list:
    """Return a row [P] in the shapes of the cell's weights."""
    parts = tf.split(row, sizes_of(cell))
    weights = cell.trainable_variables
    return [tf.reshape(part, weight.shape) for part, weight in zip(parts, weights, strict=True)]


def by_weight(cell: Cell, sums: Tensor) -> Tensor:
    """Return [B, P] summed over each weight matrix: [B, weights]."""
    parts = tf.split(sums, sizes_of(cell), axis=1)
    return tf.stack([tf.reduce_sum(part, axis=1) for part in parts], axis=1)
