"""Noise-free sequences with a long lag (experiment 2a)."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import mark, one_hot
from lstmlab.tasks.common.rules import whole_sets, within
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task

TOLERANCE = 0.25


class NoiseFreeLag(Task):
    """Two sequences that differ only in their first and last symbol: predict every next symbol.

    Shown   One of p + 1 symbols per step, as one of p + 1 lines set to 1: x, a_1, ... a_{p-1} or y,
            a_1, ... a_{p-1}, each with probability 1/2. There are always p steps.
    Asked   At every step the symbol that follows; at the last one x or y, whichever came first.
    Lag     p - 1 steps from the first symbol to the answer that needs it (the paper counts to the
            symbol itself: p).
    Right   |error| < 0.25 at every output and every step.
    Chance  Squared error 0.0098 for always answering the mean target; 0.0000495 for the best answer
            to the present symbol, which tells all but the last symbol (p = 100).
    Solved  Both sequences are right.

    Decisions where the text leaves a choice:
    - there are only two sequences, so 10,000 right ones are these two; they are training set and
      test set at once, and are tried after each window of training (trainer.window sequences);
    - weights change once per sequence, by the sum of the errors of its steps.

    Args:
        p: The delay, at least 2. It sets the lag.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For a smaller p.

    References:
        Hochreiter & Schmidhuber 1997, section 5.2.
    """

    output_activation = "sigmoid"
    test_size = 2

    def __init__(self, p: int = 100, criterion: dict | None = None):
        self.p = self.steps = self.readouts = integer(type(self).__name__, "task.p", p, least=2)
        self.features = self.outputs = p + 1
        self.lag = p - 1
        self.inputs = self.targets = (*(f"a{k}" for k in range(1, p)), "x", "y")
        # a_1 ... a_{p-1} have a share 1/p of the targets each, x and y half of that.
        self.chance = (1 - (p - 1) / p**2 - 2 / (2 * p) ** 2) / (p + 1)
        self.memoryless = self._guessed() / (p + 1)
        self.criterion = whole_sets(criterion, sets=["test"])

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        first = rng.integers(self.p - 1, self.p, size=n, endpoint=True)
        yield from self._pieces(rng, first, lengths)

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        both = np.array([self.p - 1, self.p])
        # nothing is drawn from it: here the middle is the same in both sequences
        return {"test": list(self._pieces(np.random.default_rng(0), both, [self.steps]))}

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(TOLERANCE, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        steps = np.arange(w.shape[1])
        return np.broadcast_to((steps == 0) | (steps == self.p - 1), w.shape)

    def _pieces(
        self, rng: Generator, first: np.ndarray, lengths: Iterable[int]
    ) -> Iterator[Sequences]:
        """Sequences that begin and end with the codes `first` [n]; the code of a_k is k - 1."""
        n, shown, start = len(first), first, 0
        for length in lengths:
            following = self._middle(rng, n, start, length)
            # what follows the last step is the first symbol again
            mark(following, start, np.full(n, self.p - 1), first)
            codes = np.concatenate([shown[:, None], following], axis=1)
            x, y = one_hot(codes[:, :-1], self.features), one_hot(following, self.outputs)
            yield x, y, np.ones((n, length), "float32")
            shown, start = codes[:, -1], start + length

    def _middle(self, rng: Generator, n: int, start: int, length: int) -> np.ndarray:
        """The codes [n, length] that follow the steps from `start` on: a_1, a_2, ..."""
        return np.tile(np.arange(start, start + length), (n, 1))

    def _guessed(self) -> float:
        """Squared error, summed over the outputs, of the best answer to the present symbol.

        It is 1/2 after a_{p-1}, and zero elsewhere.
        """
        return 0.5 / self.p
