"""UORO: real-time recurrent learning with a random matrix of rank one in place of the sensitivities."""

import keras
import tensorflow as tf

from lstmlab.learners.base import initial_states, refuse_dropout, single
from lstmlab.learners.forward_mode import ForwardMode
from lstmlab.learners.rtrl import by_weight
from lstmlab.learners.snap import as_weights, back_one_step, by_example, flat, one_step


class UORO(ForwardMode):
    """Unbiased on-line recurrent optimisation: RTRL's M is replaced by a product A B^T whose mean is M.

        (1) A(t) = r0 J(t) A(t-1) + r1 nu,  B(t) = B(t-1) / r0 + I(t)^T nu / r1     A [S], B [P]; A(0) = B(0) = 0
            J, I: as in RTRL; nu [S]: each +1 or -1, drawn anew at every step and for every sequence
        (2) r0 = sqrt(|B(t-1)| / (|J A(t-1)| + c)) + c,  r1 = sqrt(|I^T nu| / (|nu| + c)) + c      c = epsilon
        (3) dE/dW = sum_t (dE(t)/ds(t-1) A(t-1)) B(t-1) + dE(t)/dW with s(t-1) held fixed

    E(A B^T) = M since E(nu nu^T) = 1, r0 does not depend on nu, and r1 not on its sign; so for every c > 0. What a weight does
    within the step of the error is exact in (3), the rest is a draw. A step costs n^2 for n units, by two passes forward and
    three back; the memory holds B * (S + P) numbers. The price is the variance, which grows with S and with the length.

    updates, decay, decay_steps: see OnLine. seed: of the draws, or None for one from the global seed. epsilon: c > 0.
    The mean of the gradients over draws is BPTT's, with updates=None; a single draw equals it only where nothing is kept from
    step to step. For any single Keras cell; raises ValueError for stacked cells, for dropout and for other values.
    Source: Tallec & Ollivier 2018, algorithm 1 and proposition 1.
    """

    stochastic = True

    def __init__(
        self,
        updates: int | None = None,
        seed: int | None = None,
        epsilon: float = 1e-7,
        decay: float = 1.0,
        decay_steps: int = 100,
    ):
        super().__init__(updates, decay, decay_steps)
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not epsilon > 0:
            raise ValueError(f"UORO: expected a number > 0. Received: learner.epsilon={epsilon!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(
                f"UORO: expected an integer >= 0 or null. Received: learner.seed={seed!r}"
            )
        self.epsilon = float(epsilon)
        self.seeds = keras.random.SeedGenerator(seed)

    def check(self, cell) -> None:
        single(self, cell)
        refuse_dropout(self, cell)

    def exact_case(self) -> dict:
        return {"feedback": "none", "forget_gate": "closed"}

    def begin(self, cell, head, x, states=None):
        """state and a [B, S], b [B, P]; key [B, 2]: what the next draw is made from, of its own for each sequence."""
        state = tf.concat(initial_states(cell, x.shape[0], states), axis=1)
        weights = sum(
            weight.shape.num_elements()
            for weight in (part.value for part in cell.trainable_variables)
        )
        key = _bits((x.shape[0], 2), tf.bitcast(tf.cast(self.seeds.next(), "uint32"), "int32"))
        memory = {
            "state": state,
            "a": tf.zeros_like(state),
            "b": tf.zeros((x.shape[0], weights), state.dtype),
            "key": key,
        }
        return self.watched(cell, memory)

    def step(self, cell, x_t, memory):
        """(1) and (2): the output y(t), the states s(t), A(t) and B(t)."""
        state, a, b = memory["state"], memory["a"], memory["b"]
        seed = tf.reduce_sum(memory["key"], axis=0)
        bits = _bits((state.shape[0], state.shape[1] + 2), seed)
        nu = tf.cast(2 * (bits[:, 2:] & 1) - 1, state.dtype)
        with tf.autodiff.ForwardAccumulator(state, a) as forward:
            output, rows = one_step(cell, x_t, state)
        onward = forward.jvp(rows, unconnected_gradients="zero")
        direct = by_example(
            lambda x_t, state, nu: self._direct(cell, x_t, state, nu), x_t, state, nu
        )
        r0 = tf.sqrt(_norm(b) / (_norm(onward) + self.epsilon)) + self.epsilon
        r1 = tf.sqrt(_norm(direct) / (_norm(nu) + self.epsilon)) + self.epsilon
        after = {
            "state": rows,
            "a": r0 * onward + r1 * nu,
            "b": b / r0 + direct / r1,
            "key": bits[:, :2],
        }
        return output, after, {"x": x_t, "state": state, "a": a, "b": b}

    def slopes(self, cell, of_output, known):
        """(3)."""
        of_state, direct = back_one_step(cell, known["x"], known["state"], of_output)
        return direct + tf.einsum("bi,bi,bp->p", of_state, known["a"], known["b"])

    def nothing(self, cell):
        weights = sum(part.value.shape.num_elements() for part in cell.trainable_variables)
        return tf.zeros((weights,), cell.trainable_variables[0].dtype)

    def sizes(self, cell, memory):
        return tf.reduce_sum(tf.abs(memory["a"]), axis=1, keepdims=True) * by_weight(
            cell, tf.abs(memory["b"])
        )

    def finish(self, cell, total) -> list:
        return as_weights(cell, total)

    def _direct(self, cell, x_t, state, nu):
        """I(t)^T nu of one example [P]."""
        weights = [weight.value for weight in cell.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            _, rows = one_step(cell, x_t, state)
        return flat(tape.gradient(rows, weights, nu, unconnected_gradients="zero"))


def _bits(shape: tuple, seed):
    """Random integers of all values, from a seed [2]."""
    return tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype="int32")


def _norm(rows):
    """[B, 1]."""
    return tf.norm(rows, axis=1, keepdims=True)
