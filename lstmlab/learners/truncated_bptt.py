"""Truncated back-propagation through time: errors go so many steps back, and the state is carried on."""

import tensorflow as tf
from keras import tree

from lstmlab.learners.base import OnLine, initial_states, packed, positive, refuse_dropout
from lstmlab.unroll import unroll


class TruncatedBPTT(OnLine):
    """BPTT(h; h'): after each h' steps their errors are propagated back over the last h steps, and the weights change.

        (1) th_j(tau) of BPTT for the errors d(t), t-h' < tau <= t, stopped at tau = t-h: what lies before is a constant
        (2) dw_jl = sum_(t-h < tau <= t) th_j(tau) y_l(tau-1)

    The state goes on from piece to piece of a sequence and begins at zero with the next one. The h - h' steps before the piece
    are run again with the present weights from the state that stood before them.
    h: steps of the way back; updates: h', at most h, or None for h. For any Keras cell, stacked ones too; equals BPTT where h
    and h' are at least T. Raises ValueError for other values and for dropout. Source: Williams & Peng 1990, "BPTT(h; h')".
    """

    def __init__(
        self, h: int = 20, updates: int | None = None, decay: float = 1.0, decay_steps: int = 100
    ):
        self.h = self.horizon = positive(self, "h", h)
        updates = self.h if updates is None else positive(self, "updates", updates)
        super().__init__(updates, decay, decay_steps)
        if h < updates:
            raise ValueError(
                f"{type(self).__name__}: expected learner.h >= learner.updates={updates}. Received: learner.h={h}"
            )

    def check(self, cell) -> None:
        refuse_dropout(self, cell)

    def filters(self) -> dict:
        return {}

    def begin(self, cell, head, x, states=None):
        """states: those that stood h - h' steps ago; x: the inputs since then; there [B, h - h']: which of them there were."""
        kept = self.h - self.updates
        states = initial_states(cell, x.shape[0], states)
        if not kept:
            return {"states": states}
        there = tf.zeros((x.shape[0], kept), x.dtype)
        return {
            "states": states,
            "x": tf.zeros((x.shape[0], kept, x.shape[2]), x.dtype),
            "there": there,
        }

    def gradients(self, cell, head, x, y, w, states=None):
        """The sum of the gradients of all pieces, with the same weights."""
        memory, total = (
            self.begin(cell, head, x, states),
            [tf.zeros_like(weight.value) for weight in _weights(cell, head)],
        )
        loss, prediction, _, total = self.along(
            cell,
            head,
            x,
            y,
            w,
            memory,
            min(self.updates, x.shape[1]),
            lambda gradients, k, w: gradients,
            total,
            x.shape[1],
        )
        return loss, prediction, total

    def advance(self, cell, head, x, y, w, memory):
        """x of at most h' steps."""
        weights = [weight.value for weight in _weights(cell, head)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            outputs, memory = self.again(cell, x, memory)
            prediction = head(outputs, x)
            loss = tf.reduce_sum(head.error(y, prediction, w))
        return loss, prediction, tape.gradient(loss, weights, unconnected_gradients="zero"), memory

    def again(self, cell, x, memory):
        """The outputs [B, T, n] for x of at most h' steps, with the steps before it run again, and the memory after it."""
        batch = x.shape[0]
        steps, there = x, tf.ones(x.shape[:2], x.dtype)
        if "x" in memory:
            steps, there = (
                tf.concat([memory["x"], x], axis=1),
                tf.concat([memory["there"], there], axis=1),
            )

        def step(at_t, states):
            x_t, there_t = at_t
            output, after = cell(x_t, packed(cell, batch, states))
            return output, [
                tf.where(there_t[:, None] > 0, new, old)
                for new, old in zip(tree.flatten(after), states, strict=True)
            ]

        past, length = self.h - self.updates, x.shape[1]
        outputs, kept = unroll(step, memory["states"], (steps[:, :length], there[:, :length]))
        if not past:
            return outputs, {"states": kept}
        later, _ = unroll(step, kept, (steps[:, length:], there[:, length:]))
        outputs = tf.concat([outputs, later], axis=1)[:, -length:]
        return outputs, {"states": kept, "x": steps[:, -past:], "there": there[:, -past:]}


def _weights(cell, head) -> list:
    return cell.trainable_variables + head.trainable_variables
