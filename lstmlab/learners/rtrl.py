"""Real-time recurrent learning: the exact gradient, carried forward in time."""

import numpy as np
import tensorflow as tf
from keras import tree

from lstmlab.learners.base import initial_states, packed, positive, refuse_dropout, single
from lstmlab.learners.forward_mode import ForwardMode

LIMIT = 100_000_000  # numbers in the sensitivities of a batch


class RTRL(ForwardMode):
    """The exact gradient without going back: how every state depends on every weight is carried along.

        (1) M(t) = J(t) M(t-1) + I(t)        M(0) = 0
            J(t) = d s(t) / d s(t-1), I(t) = d s(t) / d W with s(t-1) held fixed      s: all states; W: the cell's weights
        (2) dE/dW = sum_t dE(t)/dy(t) M_y(t)                                          M_y: the rows of the output y
        (3) teacher forcing: after step t the outputs among the states are set to their targets, and their rows of M to 0

    For n units fully connected this is p_kij(t+1) = f'_k(net_k) [sum_l w_kl p_lij(t) + delta_ik z_j(t)] of the paper. For any
    single Keras cell, by its one-step derivatives. The memory does not grow with T; it holds B * S * P numbers for S states
    and P weights, and a step costs B * S * S * P multiplications: n^3 and n^4 for n units.

    updates, decay, decay_steps: see OnLine; updates=1 is the on-line form of the paper. teacher_forcing: (3), for
    head=output_units, whose outputs are units of the cell. limit: the most numbers that M may hold.
    Equals BPTT for every cell it serves, with updates=None and no teacher forcing; raises ValueError for stacked cells, for
    dropout, beyond the limit, and for teacher forcing with another head. Source: Williams & Zipser 1989, eqs. 6-9;
    Robinson & Fallside 1987.
    """

    def __init__(
        self,
        updates: int | None = None,
        teacher_forcing: bool = False,
        limit: int = LIMIT,
        decay: float = 1.0,
        decay_steps: int = 100,
    ):
        super().__init__(updates, decay, decay_steps)
        self.limit = positive(self, "limit", limit)
        if not isinstance(teacher_forcing, bool):
            raise ValueError(
                f"RTRL: expected true or false. Received: learner.teacher_forcing={teacher_forcing!r}"
            )
        self.teacher_forcing = teacher_forcing

    def check(self, cell) -> None:
        single(self, cell)
        refuse_dropout(self, cell)

    def filters(self) -> dict:
        return {}

    def prepare(self, model) -> None:
        super().prepare(model)
        if self.teacher_forcing and not hasattr(model.head, "places"):
            raise ValueError(
                "RTRL: the forced outputs must be units of the cell; expected head=output_units. "
                f"Received: learner.teacher_forcing=true, head={type(model.head).__name__}"
            )

    def begin(self, cell, head, x, states=None):
        states = initial_states(cell, x.shape[0], states)
        self._check_size(x.shape[0], sum(part.shape[1] for part in states), sum(_sizes(cell)))
        state = tf.concat(states, axis=1)
        sensitivity = tf.zeros((*state.shape, sum(_sizes(cell))), state.dtype)
        return self.watched(cell, {"state": state, "sensitivity": sensitivity})

    def step(self, cell, x_t, memory):
        """(1): the output y(t), the states s(t) in one row with M(t), and M_y(t)."""
        state, batch, weights = (
            memory["state"],
            x_t.shape[0],
            [weight.value for weight in cell.trainable_variables],
        )
        sizes = [part.shape[1] for part in initial_states(cell, batch)]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([state, *weights])
            output, states = cell(x_t, packed(cell, batch, tf.split(state, sizes, axis=1)))
            states = tree.flatten(states)
            rows = tf.concat([*states, *([] if output is states[0] else [output])], axis=1)
        direct = tape.jacobian(rows, weights, unconnected_gradients="zero")
        direct = tf.concat([tf.reshape(part, (*rows.shape, -1)) for part in direct], axis=-1)
        after = tape.batch_jacobian(rows, state) @ memory["sensitivity"] + direct
        width, n = state.shape[1], output.shape[1]
        of_output = after[:, :n] if output is states[0] else after[:, width:]
        return output, {"state": rows[:, :width], "sensitivity": after[:, :width]}, of_output

    def slopes(self, cell, of_output, known):
        return tf.einsum("bi,bip->p", of_output, known)  # (2)

    def nothing(self, cell):
        return tf.zeros((sum(_sizes(cell)),), cell.trainable_variables[0].dtype)

    def sizes(self, cell, memory):
        return by_weight(cell, tf.reduce_sum(tf.abs(memory["sensitivity"]), axis=1))

    def finish(self, cell, total) -> list:
        pieces = tf.split(total, _sizes(cell))
        return [
            tf.reshape(part, weight.shape)
            for part, weight in zip(pieces, cell.trainable_variables, strict=True)
        ]

    def force(self, head, memory, y_t, w_t):
        """(3): the output units come last among the cell's units."""
        if not self.teacher_forcing:
            return memory
        first, last = head.places
        state, sensitivity = memory["state"], memory["sensitivity"]
        given = tf.pad(
            tf.ones_like(y_t) * tf.cast(w_t > 0, y_t.dtype)[:, None],
            [(0, 0), (first, state.shape[1] - last)],
        )
        targets = tf.pad(y_t, [(0, 0), (first, state.shape[1] - last)])
        return {
            "state": tf.where(given > 0, targets, state),
            "sensitivity": tf.where(given[..., None] > 0, tf.zeros_like(sensitivity), sensitivity),
        }

    def _check_size(self, batch: int, states: int, weights: int) -> None:
        numbers = batch * states * weights
        if numbers > self.limit:
            raise ValueError(
                f"RTRL: expected sensitivities of at most learner.limit={self.limit:,} numbers. Received: batch {batch} * "
                f"states {states} * weights {weights} = {numbers:,} numbers, and {numbers * states:,} multiplications per step"
            )


def by_weight(cell, sums):
    """[B, P] summed over each weight matrix: [B, weights]."""
    return tf.stack(
        [tf.reduce_sum(part, axis=1) for part in tf.split(sums, _sizes(cell), axis=1)], axis=1
    )


def _sizes(cell) -> list[int]:
    return [int(np.prod(weight.shape)) for weight in cell.trainable_variables]
