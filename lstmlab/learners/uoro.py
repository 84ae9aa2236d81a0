"""UORO: real-time recurrent learning with a random matrix of rank one in place of M."""

import keras
import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.base import Traits, initial_states
from lstmlab.learners.one_step import (
    back_one_step,
    by_example,
    by_weight,
    count_of,
    flat,
    one_step,
)
from lstmlab.learners.refusals import refuse_dropout, refuse_stacked
from lstmlab.learners.stepwise import MAX_TRACE, Readout, Stepwise
from lstmlab.typing import Cell, Nest, Tensor


class UORO(Stepwise):
    """Unbiased on-line recurrent optimisation: RTRL's M becomes a product A B^T whose mean is M.

        (1) A(t) = r0 J(t) A(t-1) + r1 nu          A [S], B [P]; A(0) = B(0) = 0
            B(t) = B(t-1) / r0 + I(t)^T nu / r1    J, I: as in RTRL
            nu [S]: each +1 or -1, drawn anew at every step and for every sequence
        (2) r0 = sqrt(|B(t-1)| / (|J A(t-1)| + c)) + c             c = epsilon
            r1 = sqrt(|I^T nu| / (|nu| + c)) + c
        (3) dE/dW = sum_t (dE(t)/ds(t-1) A(t-1)) B(t-1) + ∂E(t)/∂W with s(t-1) held

    E(A B^T) = M since E(nu nu^T) = 1, r0 does not depend on nu, and r1 does not depend on its sign;
    this holds for every c > 0. What a weight does within the step of the error is exact in (3); the
    rest is random. A step costs n^2 for n units, with two forward and three backward passes; the
    memory holds B * (S + P) numbers. The price is the variance, which grows with S and with the
    length. The mean of the gradients over draws is BPTT's, with update_every=None; a single draw
    equals it only where nothing is kept from step to step. Supports any single Keras cell.

    Args:
        update_every: See Forward.
        seed: Seed of the draws, an integer >= 0, or None for one from the global seed.
        epsilon: c > 0.
        decay: See Forward.
        decay_steps: See Forward.
        max_trace: See Stepwise.

    Raises:
        ValueError: For any other value, and for stacked cells or dropout.

    References:
        Tallec & Ollivier 2018, algorithm 1 and proposition 1.
    """

    traits = Traits(
        stochastic=True,
        streams=True,
        exact_case={"feedback": "none", "forget_gate": "closed"},
    )

    def __init__(
        self,
        update_every: int | None = None,
        seed: int | None = None,
        epsilon: float = 1e-7,
        decay: float = 1.0,
        decay_steps: int = 100,
        max_trace: float = MAX_TRACE,
    ):
        super().__init__(update_every, decay, decay_steps, max_trace)
        self.epsilon = checks.number("UORO", "learner.epsilon", epsilon, above=0)
        self.seeds = keras.random.SeedGenerator(checks.seed("UORO", "learner.seed", seed))

    def check(self, cell: Cell) -> None:
        refuse_stacked(self, cell)
        refuse_dropout(self, cell)

    def initial(self, cell: Cell, x: Tensor, states: Nest) -> dict[str, Nest]:
        """Return state and a [B, S], b [B, P]; key [B, 2].

        Each sequence's seed of the next draw.
        """
        state = tf.concat(initial_states(cell, x.shape[0], states), axis=1)
        seed = tf.bitcast(tf.cast(self.seeds.next(), "uint32"), "int32")
        return {
            "state": state,
            "a": tf.zeros_like(state),
            "b": tf.zeros((x.shape[0], count_of(cell)), state.dtype),
            "key": _bits((x.shape[0], 2), seed),
        }

    def step(
        self, cell: Cell, x_t: Tensor, memory: dict, readout: Readout
    ) -> tuple[dict[str, Nest], Tensor]:
        state, a, b, c = memory["state"], memory["a"], memory["b"], self.epsilon

        bits = _bits((state.shape[0], state.shape[1] + 2), tf.reduce_sum(memory["key"], axis=0))
        nu = tf.cast(2 * (bits[:, 2:] & 1) - 1, state.dtype)

        with tf.autodiff.ForwardAccumulator(state, a) as tangent:
            output, rows = one_step(cell, x_t, state)
        j_a = tangent.jvp(rows, unconnected_gradients="zero")  # J(t) A(t-1)

        def of_weights(x_t: Tensor, state: Tensor, nu: Tensor) -> Tensor:
            """I(t)^T nu of one example [P]."""
            weights = [weight.value for weight in cell.trainable_variables]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                _, rows = one_step(cell, x_t, state)
            return flat(tape.gradient(rows, weights, nu, unconnected_gradients="zero"))

        i_nu = by_example(of_weights, x_t, state, nu)

        r0 = tf.sqrt(_norm(b) / (_norm(j_a) + c)) + c  # (2)
        r1 = tf.sqrt(_norm(i_nu) / (_norm(nu) + c)) + c
        after = {
            "state": rows,
            "a": r0 * j_a + r1 * nu,  # (1)
            "b": b / r0 + i_nu / r1,
            "key": bits[:, :2],
        }

        of_state, direct = back_one_step(cell, x_t, state, readout(output))
        return after, direct + tf.einsum("bi,bi,bp->p", of_state, a, b)  # (3)

    def trace_sizes(self, cell: Cell, memory: dict) -> Tensor:
        of_a = tf.reduce_sum(tf.abs(memory["a"]), axis=1, keepdims=True)
        return of_a * by_weight(cell, tf.abs(memory["b"]))


def _bits(shape: tuple, seed: Tensor) -> Tensor:
    """Random integers of all values, from a seed [2]."""
    return tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype="int32")


def _norm(rows: Tensor) -> Tensor:
    """The Euclidean norm of each row, [B, 1]."""
    return tf.norm(rows, axis=1, keepdims=True)
