"""Random guessing of weights: the baseline that tells an easy task from a hard one."""

import keras
import tensorflow as tf

from lstmlab.learners.base import Learner, forward, positive


class RandomGuessing(Learner):
    """Draw all weights of the net again and again; keep those whose largest error on the batch is the smallest so far.

        (1) w' uniform in [-a, a], every weight by itself
        (2) w <- w' if max_tk |y^k_t - target^k_t|, over the steps t with an error, is smaller with w' than with w

    A net that is right by a rule of the form |error| < tolerance is found as soon as one is drawn. There is no gradient, and
    no use for the optimizer. Meant for a batch that is the whole training set: trainer.training_set = trainer.batch_size.
    a: bound of the weights; guesses: nets drawn per batch; seed: of the draws, None for one that follows from the run's.
    Serves every cell and head. The result row has `guesses`: nets drawn until the present one, and in all `guesses_in_all`.
    Raises ValueError for a bound that is not positive, and for guesses that are no positive integer.
    Source: Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms" (a = 100).
    """

    stochastic = True

    def __init__(self, a: float = 100.0, guesses: int = 1, seed: int | None = None):
        if isinstance(a, bool) or not isinstance(a, (int, float)) or not 0 < a < float("inf"):
            raise ValueError(
                f"RandomGuessing: expected a positive number. Received: learner.a={a!r}"
            )
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(
                f"RandomGuessing: expected an integer or null. Received: learner.seed={seed!r}"
            )
        self.a, self.guesses, self.seed = float(a), positive(self, "guesses", guesses), seed

    def prepare(self, model) -> None:
        model.guessing = keras.random.SeedGenerator(self.seed)
        model.guessed = tf.Variable(
            [0, 0], trainable=False, dtype="int64"
        )  # in all, and until the net that is kept

    def learn(self, model, x, y, w):
        prediction, error = self._tried(model, x, y, w)

        def body(k, prediction, error):
            kept = [tf.identity(weight.value) for weight in model.trainable_variables]
            for weight in model.trainable_variables:  # (1)
                weight.assign(
                    keras.random.uniform(
                        weight.shape, -self.a, self.a, weight.dtype, model.guessing
                    )
                )
            model.guessed.assign_add([1, 0])
            guess, its_error = self._tried(model, x, y, w)
            better = its_error < error  # (2)
            for weight, old in zip(model.trainable_variables, kept, strict=True):
                weight.assign(tf.where(better, tf.identity(weight.value), old))
            model.guessed.assign(tf.where(better, tf.stack([model.guessed[0]] * 2), model.guessed))
            return k + 1, tf.where(better, guess, prediction), tf.where(better, its_error, error)

        _, prediction, _ = tf.while_loop(
            lambda k, *_: k < self.guesses,
            body,
            (tf.constant(0), prediction, error),
            maximum_iterations=self.guesses,
        )
        return tf.reduce_sum(model.head.error(y, prediction, w)), prediction

    def result(self, model) -> dict:
        in_all, kept = (int(number) for number in model.guessed.numpy())
        return {"guesses": kept, "guesses_in_all": in_all}

    @staticmethod
    def _tried(model, x, y, w):
        """The prediction of the present weights, and their largest error."""
        prediction = model.head(forward(model.cell, x), x)
        return prediction, tf.reduce_max(
            tf.abs(prediction - y) * tf.cast(w != 0, y.dtype)[..., None]
        )
