"""The stream of the sequence chunker, in which surprises are rare, and only they matter."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.rules import sliding_window
from lstmlab.tasks.common.yardsticks import yardsticks
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task


class ChunkStream(Task):
    """Two sequences that differ only in their first symbol, one after another without boundaries:
    which one was it?

    Shown   One of the symbols a, x, b_1 ... b_lag per step, as one of lag + 2 lines set to 1: the
            sequences a b_1 ... b_lag and x b_1 ... b_lag, each with probability 1/2, one after
            another.
    Asked   At every step the next symbol, and one more output: 1 after the last symbol of an
            a-sequence, else 0.
    Lag     lag = 20 steps from a or x to the answer.
    Right   |error| < 0.25 of the extra output, at every step: the next a or x cannot be known.
    Chance  Squared error 0.0425 for always answering the mean target; 0.0016 for the best answer to
            the present symbol.
    Solved  The last 100 training streams are all right.

    Decisions where the text leaves a choice:
    - the extra output is asked for at every step, and is 0 except after the last symbol;
    - its tolerance is that of experiment 2a of 1997, where such a stream is cut into sequences;
    - a training stream is the first `steps` symbols of an endless one.

    Args:
        lag: Symbols between a or x and the next a or x, at least 1.
        steps: Symbols in a stream, at least one sequence (lag + 1).
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For smaller values.

    References:
        Schmidhuber 1992, Neural Computation 4:234, and NIPS 4.
    """

    output_activation = "sigmoid"
    endless = True
    test_size = 256
    tolerance = 0.25

    def __init__(self, lag: int = 20, steps: int = 420, criterion: dict | None = None):
        self.lag = integer("ChunkStream", "task.lag", lag)
        least, why = lag + 1, "which is task.lag + 1"
        self.steps = self.readouts = integer("ChunkStream", "task.steps", steps, least, why=why)
        self.features, self.outputs = lag + 2, lag + 3
        self.inputs = ("a", "x", *(f"b{k}" for k in range(1, lag + 1)))
        self.targets = (*self.inputs, "was a")
        self.criterion = sliding_window(criterion, sequences=100)
        self.chance, self.memoryless = yardsticks(*self._cases())

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        period, start = self.lag + 1, 0
        firsts = self._firsts(rng, 1, n)  # of the sequence under way and of those to come

        for length in lengths:
            # from the beginning of the sequence under way; one more, for the last target
            t = start % period + np.arange(length + 1)
            missing = t[-1] // period + 1 - len(firsts)
            firsts = np.concatenate([firsts, self._firsts(rng, missing, n)])
            place = t % period
            symbols = np.where(place == 0, firsts[t // period].T, place + 1)  # [n, length + 1]

            x = np.zeros((n, length, self.features), "float32")
            y = np.zeros((n, length, self.outputs), "float32")
            np.put_along_axis(x, symbols[:, :-1, None], 1.0, axis=2)
            np.put_along_axis(y, symbols[:, 1:, None], 1.0, axis=2)
            at_end = place[:-1] == self.lag
            y[:, at_end, -1] = firsts[t[:-1][at_end] // period].T == 0

            yield x, y, np.ones((n, length), "float32")
            start += length
            firsts = firsts[(t[0] + length) // period :]

    def _firsts(self, rng: Generator, sequences: int, n: int) -> np.ndarray:
        """The first symbols, 0 for a and 1 for x, [sequences, n]."""
        return (rng.random((sequences, n), dtype="float32") < 0.5).astype(int)

    def _cases(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every case of input and target in a stream, and how often it is met: 4 at each symbol."""
        n = 4 * (self.lag + 1)
        x, y = np.zeros((n, self.features)), np.zeros((n, self.outputs))
        rows = np.arange(n)
        # all combinations of place, first symbol and next first symbol
        place, first, following = rows // 4, rows // 2 % 2, rows % 2
        last = place == self.lag
        x[rows, np.where(place == 0, first, place + 1)] = 1.0
        y[rows, np.where(last, following, place + 2)] = 1.0
        y[:, -1] = last & (first == 0)

        # a stream that is cut off inside a sequence meets the first places once more often
        met = np.bincount(np.arange(self.steps) % (self.lag + 1), minlength=self.lag + 1)
        return x, y, met[place] / 4

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        error = np.abs(y[..., -1] - prediction[..., -1]) * (w > 0)
        return np.all(error < self.tolerance, axis=1)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (x[..., :2] > 0).any(axis=-1) | (x[..., -1] > 0)
