"""Random guessing of weights: the baseline that tells an easy task from a hard one."""

import keras
import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.base import Batch, Learner, Report, Traits, forward
from lstmlab.typing import Nest, Net, Tensor


class RandomGuessing(Learner):
    """Draw all weights again and again; keep those whose largest error is the smallest so far.

        (1) w' uniform in [-a, a], each weight independently
        (2) w <- w' if max_tk |y^k_t - target^k_t|, over the steps t with an error, is smaller with
            w' than with w

    If a network that is drawn is right by a rule of the form |error| < tolerance, it is found at
    once. There is no gradient, and the optimizer is not used. Meant for a batch that is the whole
    training set: trainer.training_set = trainer.batch_size. Supports every cell and head. The
    result row has `guesses`, the number of networks drawn up to the current one, and
    `guesses_in_all`, the number drawn in all.

    Args:
        a: Bound on the weights, > 0.
        guesses: Networks drawn per batch.
        seed: Seed of the draws, an integer >= 0, or None for one derived from the run's seed.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms" (a = 100).
    """

    traits = Traits(stochastic=True)

    def __init__(self, a: float = 100.0, guesses: int = 1, seed: int | None = None):
        self.a = checks.number("RandomGuessing", "learner.a", a, above=0)
        self.guesses = checks.integer("RandomGuessing", "learner.guesses", guesses)
        self.seed = checks.seed("RandomGuessing", "learner.seed", seed)

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return the seed [2] of the next draw; and guessed [2]: networks drawn in all, and those
        drawn up to the one that is kept.
        """
        seed = keras.random.SeedGenerator(self.seed).state
        return {"seed": tf.identity(seed.value), "guessed": tf.zeros((2,), "int64")}

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        weights = net.trainable_variables

        def guess(k, state, prediction, error):  # type: ignore[no-untyped-def]  # of a loop
            old, seed = [tf.identity(weight.value) for weight in weights], state["seed"]
            for weight in weights:
                weight.assign(self._draw(weight, seed))  # (1)
                seed = seed + tf.constant([0, 1], seed.dtype)

            its_prediction, its_error = _largest_error(net, batch)
            better = its_error < error  # (2)
            for weight, value in zip(weights, old, strict=True):
                weight.assign(tf.where(better, tf.identity(weight.value), value))

            in_all, until = tf.unstack(state["guessed"])
            in_all = in_all + 1
            guessed = tf.stack([in_all, tf.where(better, in_all, until)])
            prediction = tf.where(better, its_prediction, prediction)
            state = {"seed": seed, "guessed": guessed}
            return k + 1, state, prediction, tf.where(better, its_error, error)

        start = tf.constant(0), state, *_largest_error(net, batch)
        _, state, prediction, _ = tf.while_loop(
            lambda k, *_: k < self.guesses, guess, start, maximum_iterations=self.guesses
        )
        return state, tf.reduce_sum(net.head.error(batch.y, prediction, batch.w)), prediction

    def report(self, net: Net, state: dict) -> Report:
        in_all, kept = (int(number) for number in state["guessed"])
        return Report(row={"guesses": kept, "guesses_in_all": in_all})

    def _draw(self, weight: keras.Variable, seed: Tensor) -> Tensor:
        """One weight of (1), as keras.random.uniform draws it."""
        seed = tf.cast(tf.math.floormod(seed, tf.cast(tf.int32.max - 1, seed.dtype)), "int32")
        a = tf.cast(self.a, weight.dtype)
        return tf.random.stateless_uniform(weight.shape, seed, -a, a, weight.dtype)


def _largest_error(net: Net, batch: Batch) -> tuple[Tensor, Tensor]:
    """The prediction of the present weights, and their largest error."""
    prediction = net.head(forward(net.cell, batch.x), batch.x)
    there = tf.cast(batch.w != 0, batch.y.dtype)[..., None]
    return prediction, tf.reduce_max(tf.abs(prediction - batch.y) * there)
