"""Truncated back-propagation through time: errors go back a fixed number of steps."""

import tensorflow as tf
from keras import tree

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Batch, Found, Traits, initial_states, packed
from lstmlab.learners.forward import Advanced, Forward
from lstmlab.learners.refusals import refuse_dropout
from lstmlab.typing import Cell, Head, Nest, Tensor
from lstmlab.unroll import unroll


class TruncatedBPTT(Forward):
    """Send errors back over the last h steps only: BPTT(h; h').

    After every h' steps, their errors go back over the last h steps, and the weights change.

        (1) th_j(tau) of BPTT for the errors d(t), t-h' < tau <= t, stopped at tau = t-h:
            everything before it is a constant
        (2) dw_jl = sum_(t-h < tau <= t) th_j(tau) y_l(tau-1)

    The state is carried over from piece to piece of a sequence and starts at zero with the next
    sequence. The h - h' steps before the piece are run again with the current weights, from the
    state before them. Supports any Keras cell, including stacked ones; equals BPTT if h and h' are
    at least T.

    Args:
        horizon: h, the number of steps that an error goes back.
        update_every: h', at most h; None for h.
        decay: See Forward.
        decay_steps: See Forward.

    Raises:
        ValueError: For any other value, or for dropout.

    References:
        Williams & Peng 1990, "BPTT(h; h')".
    """

    update_every: int

    def __init__(
        self,
        horizon: int = 20,
        update_every: int | None = None,
        decay: float = 1.0,
        decay_steps: int = 100,
    ):
        owner = type(self).__name__
        self.horizon = checks.integer(owner, "learner.horizon", horizon)
        super().__init__(horizon if update_every is None else update_every, decay, decay_steps)
        if horizon < self.update_every:
            expected = f"learner.horizon >= learner.update_every={self.update_every}"
            raise refusal(owner, expected, {"learner.horizon": horizon})
        self.traits = Traits(streams=True, horizon=self.horizon, filters={})

    def check(self, cell: Cell) -> None:
        refuse_dropout(self, cell)

    def begin(self, cell: Cell, head: Head | None, x: Tensor, states: Nest = None) -> dict:
        """Return the states h - h' steps ago, the inputs x since then, and which of them exist.

        states: List of [B, ...]. x: [B, h - h', F]. there: [B, h - h'], 1 for inputs that exist.
        Without x and there where h' is h.
        """
        past = self.horizon - self.update_every
        memory: dict = {"states": initial_states(cell, x.shape[0], states)}
        if past:
            memory["x"] = tf.zeros((x.shape[0], past, x.shape[2]), x.dtype)
            memory["there"] = tf.zeros((x.shape[0], past), x.dtype)
        return memory

    def gradients(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        """Return the sum of the gradients of all pieces, with the same weights."""
        weights = cell.trainable_variables + head.trainable_variables
        total = [tf.zeros_like(weight.value) for weight in weights]
        memory = self.begin(cell, head, x, states)
        loss, prediction, _, total = self.along(
            cell, head, Batch(x, y, w), memory, min(self.update_every, x.shape[1]),
            lambda gradients, k, w: gradients, total, x.shape[1],
        )  # fmt: skip
        return loss, prediction, total

    def advance(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, memory: Nest
    ) -> Advanced:
        """As in Forward, for x of at most h' steps."""
        weights = [weight.value for weight in cell.trainable_variables + head.trainable_variables]

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            outputs, memory = self.again(cell, x, memory)  # from the state at t-h on: (1)
            prediction = head(outputs, x)
            loss = tf.reduce_sum(head.error(y, prediction, w))

        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")  # (2)
        return loss, prediction, gradients, memory

    def again(self, cell: Cell, x: Tensor, memory: dict) -> tuple[Tensor, dict]:
        """Run the steps before a piece again, and the piece x of at most h' steps.

        Returns:
            The outputs [B, T, n] for x, and the memory after it.
        """
        batch, length, past = x.shape[0], x.shape[1], self.horizon - self.update_every
        steps, there = x, tf.ones(x.shape[:2], x.dtype)
        if past:
            steps = tf.concat([memory["x"], x], axis=1)
            there = tf.concat([memory["there"], there], axis=1)

        def step(at_t: tuple, states: list) -> tuple[Tensor, list]:
            x_t, there_t = at_t
            output, after = cell(x_t, packed(cell, batch, states))
            return output, [
                tf.where(there_t[:, None] > 0, new, old)
                for new, old in zip(tree.flatten(after), states, strict=True)
            ]

        # the next piece begins again `past` steps before its own first step, from these states
        outputs, kept = unroll(step, memory["states"], (steps[:, :length], there[:, :length]))
        if not past:
            return outputs, {"states": kept}

        later, _ = unroll(step, kept, (steps[:, length:], there[:, length:]))
        outputs = tf.concat([outputs, later], axis=1)[:, -length:]
        return outputs, {"states": kept, "x": steps[:, -past:], "there": there[:, -past:]}
