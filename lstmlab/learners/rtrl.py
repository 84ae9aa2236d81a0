"""Real-time recurrent learning: the exact gradient, carried forward in time."""

import numpy as np
import tensorflow as tf
from keras import tree

from lstmlab.learners.base import Learner, refuse_dropout

LIMIT = 100_000_000  # numbers in the sensitivities of a batch


class RTRL(Learner):
    """The exact gradient without going back: how every state depends on every weight is carried along.

        (1) M(t) = J(t) M(t-1) + I(t)        M(0) = 0
            J(t) = d s(t) / d s(t-1), I(t) = d s(t) / d W with s(t-1) held fixed      s: all states; W: the cell's weights
        (2) dE/dW = sum_t dE(t)/dy(t) M_y(t)                                          M_y: the rows of the output y

    For n units fully connected this is p_kij(t+1) = f'_k(net_k) [sum_l w_kl p_lij(t) + delta_ik z_j(t)] of the paper. For any
    single Keras cell, by its one-step derivatives. The memory does not grow with T; it holds B * S * P numbers for S states
    and P weights, and a step costs B * S * S * P multiplications: n^3 and n^4 for n units.

    limit: the most numbers that M may hold. Equals BPTT for every cell it serves; raises ValueError for stacked cells, for
    dropout and beyond the limit. Source: Williams & Zipser 1989, eqs. 6-9; Robinson & Fallside 1987.
    """

    def __init__(self, limit: int = LIMIT):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"RTRL: expected a positive integer. Received: learner.limit={limit!r}")
        self.limit = limit

    def check(self, cell) -> None:
        if hasattr(cell, "cells"):
            raise ValueError(f"RTRL: expected a single cell. Received: cell={type(cell).__name__} of {len(cell.cells)} cells")
        refuse_dropout(self, cell)

    def gradients(self, cell, head, x, y, w):
        weights, readout = ([weight.value for weight in part.trainable_variables] for part in (cell, head))
        initial = tree.flatten(cell.get_initial_state(batch_size=x.shape[0]))
        state = tf.concat(initial, axis=1)
        sizes = [int(np.prod(weight.shape)) for weight in weights]
        batch, width = state.shape
        self._check_size(batch, width, sum(sizes))

        def body(t, state, sensitivity, loss, slopes, head_slopes, predictions):
            state, output, sensitivity, output_sensitivity = self._step(cell, weights, x[:, t], state, initial, sensitivity)
            error, prediction, of_output, *of_head = self._error(
                head, readout, output, *(part[:, t, None] for part in (x, y, w))
            )
            slopes = slopes + tf.einsum("bi,bip->p", of_output, output_sensitivity)  # (2)
            head_slopes = [total + slope for total, slope in zip(head_slopes, of_head, strict=True)]
            return t + 1, state, sensitivity, loss + error, slopes, head_slopes, predictions.write(t, prediction)

        steps, nothing = x.shape[1], tf.zeros((batch, width, sum(sizes)), state.dtype)
        predictions = tf.TensorArray(state.dtype, size=steps, element_shape=(batch, head.outputs))
        start = (0, state, nothing, tf.zeros((), state.dtype), nothing[0, 0], [tf.zeros_like(r) for r in readout], predictions)
        *_, loss, slopes, head_slopes, predictions = tf.while_loop(
            lambda t, *_: t < steps, body, start, maximum_iterations=steps
        )
        slopes = [tf.reshape(part, weight.shape) for part, weight in zip(tf.split(slopes, sizes), weights, strict=True)]
        return loss, tf.transpose(predictions.stack(), [1, 0, 2]), [*slopes, *head_slopes]

    @staticmethod
    def _step(cell, weights, x_t, state, like, sensitivity):
        """(1): the states s(t) in one row, the output y(t), M(t) and M_y(t)."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([state, *weights])
            past = tf.split(state, [part.shape[1] for part in like], axis=1)
            output, states = cell(x_t, tree.pack_sequence_as(cell.get_initial_state(batch_size=x_t.shape[0]), past))
            states = tree.flatten(states)
            rows = tf.concat([*states, *([] if output is states[0] else [output])], axis=1)
        direct = tape.jacobian(rows, weights, unconnected_gradients="zero")
        direct = tf.concat([tf.reshape(part, (*rows.shape, -1)) for part in direct], axis=-1)
        after = tape.batch_jacobian(rows, state) @ sensitivity + direct
        width, n = state.shape[1], output.shape[1]
        return rows[:, :width], output, after[:, :width], after[:, :n] if output is states[0] else after[:, width:]

    @staticmethod
    def _error(head, readout, output, x_t, y_t, w_t):
        """E(t) of the batch, the prediction [B, K], dE(t)/dy(t) [B, n], and the gradients of the head's weights."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([output, *readout])
            prediction = head(output[:, None], x_t)
            error = tf.reduce_sum(head.error(y_t, prediction, w_t))
        return error, prediction[:, 0], *tape.gradient(error, [output, *readout], unconnected_gradients="zero")

    def _check_size(self, batch: int, states: int, weights: int) -> None:
        numbers = batch * states * weights
        if numbers > self.limit:
            raise ValueError(
                f"RTRL: expected sensitivities of at most learner.limit={self.limit:,} numbers. Received: batch {batch} * "
                f"states {states} * weights {weights} = {numbers:,} numbers, and {numbers * states:,} multiplications per step"
            )
