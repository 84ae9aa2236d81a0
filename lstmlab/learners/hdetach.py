"""h-detach: the truncated rule of 1997 at some steps, drawn at random, else the exact gradient."""

from typing import Any

import keras
import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.backward import backward
from lstmlab.learners.base import Found, GradientLearner, Traits, initial_states
from lstmlab.learners.refusals import refuse_dropout, refuse_hidden
from lstmlab.typing import Cell, Head, Nest, Tensor
from lstmlab.unroll import unroll


class HDetach(GradientLearner):
    """At each step, with probability p, errors flow back along the carousel only.

        (1) net_a(t) = W_a x(t) + R_a see_t(hidden(t-1)) + b_a
            see_t = stop_gradient if d(t) = 1, else the identity
        (2) d(t) ~ Bernoulli(p), one draw per step, shared by the sequences of the batch and by all
            pre-activations; new in each call

    Peepholes follow the same draw. The mean over the draws is not the exact gradient: of an error
    along a path that passes through recurrent inputs at k steps, the fraction (1 - p)^k arrives.
    Exact if there are no recurrent inputs: feedback="none", and no peephole.

    Args:
        p: In [0, 1]; 0 is BPTT and 1 is Truncated1997.
        seed: Seed of the draws, an integer >= 0, or None for one derived from the run's seed.

    Raises:
        ValueError: For any other value, and for a cell without step(inputs, states, see)
            or with dropout.

    References:
        Kanuparthi et al. 2019. The authors' programs draw once per step for the whole batch, with
        p = 0.5 for copying and 0.25 for pixel-by-pixel MNIST, and set p to 0 for the last 40 epochs
        of copying, which is left out here.
    """

    traits = Traits(stochastic=True, exact_case={"feedback": "none"})

    def __init__(self, p: float = 0.5, seed: int | None = None):
        self.p = checks.number("HDetach", "learner.p", p, 0, 1)
        self.generator = keras.random.SeedGenerator(checks.seed("HDetach", "learner.seed", seed))

    def check(self, cell: Cell) -> None:
        refuse_dropout(self, cell)
        refuse_hidden(self, cell)

    def gradients(
        self, cell: Any, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        drawn = self.draw(x.shape[1])[None]

        def step(at_t: tuple, states: list) -> tuple[Tensor, list]:
            x_t, d_t = at_t

            def see(hidden: Tensor) -> Tensor:
                return tf.where(d_t, tf.stop_gradient(hidden), hidden)

            values, states = cell.step(x_t, states, see=see)  # (1)
            return values["output"], states

        def run() -> Tensor:
            return unroll(step, initial_states(cell, x.shape[0], states), (x, drawn))[0]

        return backward(cell, head, x, y, w, run)

    def draw(self, steps: int) -> Tensor:
        """Return (2): d [T], booleans."""
        uniform = keras.random.uniform((steps,), dtype="float32", seed=self.generator)
        return uniform < self.p
