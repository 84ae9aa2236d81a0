"""Endless streams of strings, one after another, with nothing that says where a string ends."""

import abc
from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.rules import within
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task, generator

TOGETHER = 50_000  # symbols, approximately, that are drawn at a time, over all streams
TEST_STREAMS = 10


class Continual(Task):
    """A stream of independent strings without end.

    A symbol of a string is a code, and what is shown, what is asked and how much an error counts
    depend on the code only. A subclass draws the strings, and calls `set_codes` and `set_streams`
    when it is built. One sequence is one stream from its beginning.

    Memory grows only with the longest piece where each stream is drawn by itself, as `chunks` does.
    Of streams that are drawn together some are further in their strings than others, and memory
    grows with the square root of their length.

    References:
        Gers, Schmidhuber & Cummins 2000, for the form.
    """

    endless = True
    tolerance: float

    @abc.abstractmethod
    def strings(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The codes of n strings, [n, longest], and their lengths, [n], each at least 1."""

    def set_codes(self, shown: np.ndarray, asked: np.ndarray, weight: np.ndarray) -> None:
        """Says what each code means: its input [codes, F], target [codes, K] and weight [codes]."""
        self.shown, self.asked, self.weight = (
            np.asarray(part, "float32") for part in (shown, asked, weight)
        )
        self.features, self.outputs = self.shown.shape[1], self.asked.shape[1]

    def set_streams(self, steps: int, test_symbols: int, typical: int, least: int = 1) -> None:
        """Says how long streams are.

        Args:
            steps: Symbols in a stream of training.
            test_symbols: Symbols in a stream of the test.
            typical: Symbols in a string, approximately.
            least: The least that `steps` and `test_symbols` may be.
        """
        owner = type(self).__name__
        self.steps = integer(owner, "task.steps", steps, least=least)
        self.test_symbols = integer(owner, "task.test_symbols", test_symbols, least=least)
        self.test_size, self._typical = TEST_STREAMS, typical

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        codes = np.zeros((n, 0), np.min_scalar_type(len(self.shown)))
        waiting = np.zeros(n, int)  # codes of each stream that are drawn and not yet shown
        for length in lengths:
            while waiting.min() < length:
                codes, waiting = self._append(rng, codes, waiting)
            here = codes[:, :length]
            x, y, w = (table.take(here, axis=0) for table in (self.shown, self.asked, self.weight))
            yield x, y, w
            codes, waiting = codes[:, length:], waiting - length

    def _append(
        self, rng: Generator, codes: np.ndarray, waiting: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The codes of each stream with as many more strings, and how many codes are waiting then.

        Each stream gets the same number of strings, however long they are: so the random numbers
        do not depend on how a stream is cut into pieces.
        """
        n = len(codes)
        # [n * strings, longest], the strings of stream 0 first, then those of stream 1, ...
        strings, lengths = self.strings(rng, n * -(-TOGETHER // (n * self._typical)))
        ends = waiting[:, None] + np.cumsum(lengths.reshape(n, -1), axis=1)
        begins = ends.ravel() - lengths

        # every symbol but the padding: its string, and its place in it
        row, place = np.nonzero(np.arange(strings.shape[1]) < lengths[:, None])
        stream = row // (len(strings) // n)
        longer = np.zeros((n, ends.max()), codes.dtype)
        longer[:, : codes.shape[1]] = codes
        longer[stream, begins[row] + place] = strings[row, place]
        return longer, ends[:, -1]

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        return {"test": Streams(self, seed)}

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)


class Streams:
    """The streams of the test, one after another."""

    def __init__(self, task: Continual, seed: int):
        self.task, self.seed = task, seed

    def __iter__(self) -> Iterator[Sequences]:
        for k in range(self.task.test_size):
            rng = generator(self.seed, "test", k)
            yield next(self.task.pieces(rng, 1, [self.task.test_symbols]))
