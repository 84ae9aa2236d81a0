"""Endless streams of strings, one after another, with nothing that says where a string ends."""

import abc
from collections.abc import Iterator

import numpy as np

from lstmlab.task import Sequences, Task, generator, whole, within

TOGETHER = 50_000  # symbols, about, that are drawn at a time, over all streams
TEST_STREAMS = 10


class Continual(Task):
    """Streams of independent strings. A symbol of a string is a code; what is shown, asked and weighed depends on it alone.

    A subclass draws strings, and calls `set_codes` and `set_streams` when it is built. One sequence is one stream from its
    beginning. Memory grows with the longest piece alone where each stream is drawn by itself, as `chunks` does; of streams that
    are drawn together some are further in their strings, and memory grows with the square root of their length.
    Source of the form: Gers, Schmidhuber & Cummins 2000.
    """

    endless = True
    tolerance: float

    @abc.abstractmethod
    def strings(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The codes of n strings, [n, longest], and their lengths [n], each at least 1."""

    def set_codes(self, shown: np.ndarray, asked: np.ndarray, weight: np.ndarray) -> None:
        """For each code: the input [codes, F], the target [codes, K] and how much an error counts [codes]."""
        self.shown, self.asked, self.weight = (
            np.asarray(part, "float32") for part in (shown, asked, weight)
        )
        self.features, self.outputs = self.shown.shape[1], self.asked.shape[1]

    def set_streams(self, steps: int, test_symbols: int, typical: int, least: int = 1) -> None:
        """Symbols in a stream of training and of test, at least so many; typical: symbols in a string, about."""
        name = type(self).__name__
        self.steps = whole(name, "steps", steps, least=least)
        self.test_symbols = whole(name, "test_symbols", test_symbols, least=least)
        self.test_size, self._typical = TEST_STREAMS, typical

    def pieces(self, rng, n, lengths):
        codes = np.zeros((n, 0), np.min_scalar_type(len(self.shown)))
        drawn = np.zeros(n, int)  # so many codes of each stream are waiting
        for length in lengths:
            while drawn.min() < length:
                codes, drawn = self._append(rng, codes, drawn)
            here = codes[:, :length]
            yield tuple(table.take(here, axis=0) for table in (self.shown, self.asked, self.weight))
            codes, drawn = codes[:, length:], drawn - length

    def _append(self, rng, codes, drawn):
        """As many more strings for each stream, however long they are: so the numbers do not depend on the pieces."""
        n = len(codes)
        strings, lengths = self.strings(rng, n * -(-TOGETHER // (n * self._typical)))
        ends = drawn[:, None] + np.cumsum(lengths.reshape(n, -1), axis=1)
        k = np.arange(strings.shape[1])
        row, place = np.nonzero(k < lengths[:, None])
        stream, begins = row // (len(strings) // n), ends.ravel() - lengths
        longer = np.zeros((n, ends.max()), codes.dtype)
        longer[:, : codes.shape[1]] = codes
        longer[stream, begins[row] + place] = strings[row, place]
        return longer, ends[:, -1]

    def sets(self, seed, draw=0):
        return {"test": Streams(self, seed)}

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)


class Streams:
    """The streams of the test, one after another."""

    def __init__(self, task: Continual, seed: int):
        self.task, self.seed = task, seed

    def __iter__(self) -> Iterator[Sequences]:
        for k in range(self.task.test_size):
            yield next(
                self.task.pieces(generator(self.seed, "test", k), 1, [self.task.test_symbols])
            )
