"""Nests of tensors that learners carry.

From step to step of a loop, from piece to piece, from batch to batch.
"""

import tensorflow as tf

from lstmlab.typing import Nest, Net, Tensor


class Kept:
    """A nest of tensors that is kept in variables, such as the state of a learner in training."""

    def __init__(self, state: Nest):
        self.variables = tf.nest.map_structure(lambda v: tf.Variable(v, trainable=False), state)

    def read(self) -> Nest:
        """Return the present values."""
        return tf.nest.map_structure(lambda variable: variable.read_value(), self.variables)

    def assign(self, state: Nest, before: Nest = None) -> None:
        """Keep other values; those that are the very tensors of `before` are left alone."""
        tf.nest.assert_same_structure(self.variables, state)
        known = {id(value) for value in tf.nest.flatten(before)}
        pairs = zip(tf.nest.flatten(self.variables), tf.nest.flatten(state), strict=True)
        for variable, value in pairs:
            if id(value) not in known:
                variable.assign(value)


def begun(fresh: Nest, carried: Nest, begins: Tensor) -> Nest:
    """Return for each row of a batch the nest `fresh` where begins [B] is true, else `carried`."""

    def pick(one: Tensor, other: Tensor) -> Tensor:
        return tf.where(tf.reshape(begins, (-1, *[1] * (len(other.shape) - 1))), one, other)

    return tf.nest.map_structure(pick, fresh, carried)


def like(values: Nest, model: Nest) -> Nest:
    """Return a nest with the structure and the static shapes of another, as loops ask for."""
    flat = [
        tf.ensure_shape(value, old.shape)
        for value, old in zip(tf.nest.flatten(values), tf.nest.flatten(model), strict=True)
    ]
    return tf.nest.pack_sequence_as(model, flat)


def last_error(w: Tensor) -> Tensor:
    """Return the number of steps up to and including the last error of the batch, for w [B, T]."""
    steps = tf.range(1, w.shape[1] + 1)
    return tf.reduce_max(tf.where(tf.reduce_any(w != 0, axis=0), steps, 0))


def cut(part: Tensor, length: int) -> Tensor:
    """Return [B, T, ...] in pieces [ceil(T / length), B, length, ...], the last padded by zeros."""
    missing = -part.shape[1] % length
    part = tf.pad(part, [(0, 0), (0, missing), *[(0, 0)] * (part.shape.rank - 2)])
    part = tf.reshape(part, (part.shape[0], -1, length, *part.shape[2:]))
    return tf.transpose(part, [1, 0, *range(2, part.shape.rank)])


def apply_where(there: Tensor, net: Net, gradients: list) -> None:
    """Change the weights of the network once, if `there` [] is true."""

    def change() -> int:
        net.apply(gradients)
        return 0

    tf.cond(there, change, lambda: 0)
