"""A long lag without local regularities (experiment 2b)."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.noise_free_lag import TOLERANCE, NoiseFreeLag
from numpy.random import Generator

from lstmlab.checks import one_of
from lstmlab.task import Drawn, Sequences


class NoLocalRegularities(NoiseFreeLag):
    """The first symbol comes back at the end of a random string: predict every next symbol.

    Shown   One of p + 1 symbols per step, as one of p + 1 lines set to 1: x or y, each with
            probability 1/2, then p - 1 symbols of a_1 ... a_{p-1}, each of them equally likely at
            each step. There are always p steps.
    Asked   At every step the symbol that follows; at the last one x or y, whichever came first.
            Nothing tells the others. asked='last': at the last step alone.
    Lag     p - 1 steps from the first symbol to the answer that needs it (the paper counts to the
            symbol itself: p).
    Right   |error| < 0.25 at every output at the last step.
    Chance  Squared error 0.0098 for always answering the mean target; the same, to four digits, for
            the best answer to the present symbol (p = 100). asked='last': 0.5 / (p + 1) for both.
    Solved  All of 10,000 random sequences are right.

    Decisions where the text leaves a choice:
    - the 10,000 sequences are the test set, drawn once per seed and tried after each window of
      training (trainer.window sequences); task.criterion.sets=[validation] with redraw=true tries
      10,000 new ones each time;
    - weights change once per sequence, by the sum of the errors of its steps, of which all but the
      last cannot be avoided.

    Args:
        p: The delay, at least 2. It sets the lag.
        asked: 'all' or 'last': the steps at which there is an error. 'all' is the text's.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For a smaller p, or for another `asked`.

    References:
        Hochreiter & Schmidhuber 1997, section 5.2.
    """

    test_size = 10_000

    def __init__(self, p: int = 100, asked: str = "all", criterion: dict | None = None):
        super().__init__(p, {"redraw": False, **(criterion or {})})
        self.asked = one_of(type(self).__name__, "task.asked", asked, ("all", "last"))
        if asked == "last":
            self.readouts = 1
            self.chance = self.memoryless = 0.5 / self.outputs

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        end = 0
        for x, y, w in super().pieces(rng, n, lengths):
            end += w.shape[1]
            if self.asked == "last":
                w[:, : -1 if end == self.steps else None] = 0
            yield x, y, w

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        return {
            "test": Drawn(self, seed, "test", self.test_size),
            "validation": Drawn(self, seed, "sets", self.test_size, draw),
        }

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        last = w.shape[1] - 1 - np.argmax(w[:, ::-1] > 0, axis=1)
        rows = np.arange(len(w))
        return np.all(np.abs(y[rows, last] - prediction[rows, last]) < TOLERANCE, axis=1)

    def _middle(self, rng: Generator, n: int, start: int, length: int) -> np.ndarray:
        # drawn step after step, so cutting a sequence into pieces changes no number
        return rng.integers(0, self.p - 1, size=(length, n)).T

    def _guessed(self) -> float:
        """Squared error, summed over the outputs, of the best answer to the present symbol.

        After x or y comes one of p - 1 symbols. After a_k comes one of them too, or x or y if it
        was the last of the p - 1.
        """
        # the best answer gives each symbol its share q, with the error 1 - sum of all q^2
        after_first = 1 - 1 / (self.p - 1)
        # q of x and of y 1 / (2 (p - 1)), of each of the p - 1 others (p - 2) / (p - 1)^2
        after_other = 1 - 2 / (2 * (self.p - 1)) ** 2 - (self.p - 2) ** 2 / (self.p - 1) ** 3
        return (after_first + (self.p - 1) * after_other) / self.p
