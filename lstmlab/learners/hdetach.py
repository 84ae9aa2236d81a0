"""h-detach: the truncated rule of 1997 at some steps, drawn at random, and the exact gradient at the others."""

import keras
import tensorflow as tf

from lstmlab.learners.base import Learner, refuse_dropout
from lstmlab.learners.truncated1997 import backward, refuse_hidden


class HDetach(Learner):
    """At each step, with probability p, what the nets read back counts as input; errors flow on along the carousel alone.

        (1) net_a(t) = W_a x(t) + R_a see_t(hidden(t-1)) + b_a         see_t = stop_gradient where d(t) = 1, else the identity
        (2) d(t) ~ Bernoulli(p), one draw per step, shared by the sequences of the batch and by all nets; new in each call

    Peepholes follow the same draw. The mean over the draws is not the exact gradient: of what an error sends along a path
    that is read back at k steps a share (1 - p)^k arrives.
    p: in [0, 1]; 0 is BPTT and 1 is Truncated1997. seed: an integer >= 0, or None for one from the run's seed.
    Exact where nothing is read back: feedback="none", and no peephole. Raises ValueError for other values, for cells that do
    not offer step(inputs, states, see), and for dropout.
    Source: Kanuparthi et al. 2019; the authors' programs draw once per step for the whole batch, with p = 0.5 for copying and
    0.25 for pixel by pixel MNIST, and set p to 0 for the last 40 epochs of copying, which is left out here.
    """

    stochastic = True

    def __init__(self, p: float = 0.5, seed: int | None = None):
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ValueError(f"HDetach: expected a number in [0, 1]. Received: learner.p={p!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(
                f"HDetach: expected an integer >= 0, or null. Received: learner.seed={seed!r}"
            )
        self.p = float(p)
        self.generator = keras.random.SeedGenerator(seed)

    def check(self, cell) -> None:
        refuse_dropout(self, cell)
        refuse_hidden(self, cell)

    def exact_case(self) -> dict:
        return {"feedback": "none"}

    def gradients(self, cell, head, x, y, w, states=None):
        def step(at_t, states):
            x_t, cut = at_t
            return cell.step(
                x_t, states, see=lambda value: tf.where(cut, tf.stop_gradient(value), value)
            )

        return backward(cell, head, x, y, w, step, (x, self.draw(x.shape[1])[None]), states)

    def draw(self, steps: int):
        """(2): d [T], booleans."""
        return keras.random.uniform((steps,), dtype="float32", seed=self.generator) < self.p
