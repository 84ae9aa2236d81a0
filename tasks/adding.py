"""The adding problem in its form of 1997 (experiment 4)."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import (
    cut_off,
    empty_piece,
    mark,
    write_uniform,
)
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import flag, integer
from lstmlab.task import Sequences, Task

FIRST_PLACES = 10  # pairs among which the first mark falls


class Adding(Task):
    """Two marked numbers, far apart in a stream of noise: give their sum at the end.

    Shown   Pairs (value, marker). Values are uniform in [-1, 1]. Markers are 1 at two pairs, -1 at
            the first and the last pair, and 0 elsewhere. The length is uniform in T ... T + T/10,
            both included. The first mark falls on one of the first 10 pairs, the second on one of
            the first T/2 - 1.
    Asked   At the last pair: 0.5 + (X1 + X2) / 4, which lies in [0, 1]. There is no error at any
            other step.
    Lag     At least T/2 steps from the second mark to the answer.
    Right   |error| < 0.04.
    Chance  Squared error 0.0396 for always answering 0.5 (1/24 with two marks, 1/48 in the tenth of
            the cases with one). The last pair adds no information.
    Solved  The last 2000 training sequences are all right and their mean absolute error is below
            0.01.

    Decisions where the text leaves a choice:
    - a first pair that is drawn as the first mark keeps its marker -1 and counts as X1 = 0 (its
      value is shown unchanged);
    - the second mark is drawn from the first T/2 - 1 pairs, excluding the first pair and the
      other mark;
    - lengths include T + T/10; inclusive=False leaves it out;
    - "average training error" is the mean absolute error of the same 2000 sequences: with the
      squared error, the bound 0.01 would follow from the other clause.
      task.criterion.measure=squared selects it anyway.

    Args:
        T: The shortest length, at least 24, so that each mark has more than one possible place. It
            sets the lag.
        inclusive: Whether the length T + T/10 occurs.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.4.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("sum",)
    output_activation = "linear"
    test_size = 2560
    tolerance = 0.04
    least, neutral = -1.0, 0.0  # the least value; what a marked first pair counts as
    # The variance of (X1 + X2) / 4, where X1 = 0 in a tenth of the cases.
    chance = memoryless = (0.9 * 2 / 3 + 0.1 / 3) / 16

    def __init__(self, T: int = 100, inclusive: bool = True, criterion: dict | None = None):
        owner = type(self).__name__
        why = "for two marks in the first half"
        self.T = integer(owner, "task.T", T, least=24, why=why)
        self.longest = T + T // 10 - (not flag(owner, "task.inclusive", inclusive))
        self.steps, self.lag = self.longest, T - (T // 2 - 1)
        self.criterion = sliding_window(criterion, error_below=0.01)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last, first_mark, second_mark = self._places(rng, n)
        marked = rng.uniform(self.least, 1, size=(2, n))
        on_first_pair = first_mark == 0
        answer = self.answer(np.where(on_first_pair, self.neutral, marked[0]), marked[1])

        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            write_uniform(rng, x, 0, self.least)
            # The first pair keeps the value that it shows: step -1 lies outside every piece.
            mark(x, start, np.where(on_first_pair, -1, first_mark), marked[0], line=0)
            mark(x, start, second_mark, marked[1], line=0)
            mark(x, start, first_mark, 1.0, line=1)
            mark(x, start, second_mark, 1.0, line=1)
            mark(x, start, np.zeros(n, int), -1.0, line=1)
            mark(x, start, last, -1.0, line=1)
            cut_off(x, start, last)

            mark(y, start, last, answer, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def answer(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The target for two marked numbers."""
        return 0.5 + (first + second) / 4

    def _places(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The last step, and the steps of the two marks, [n] each."""
        half = self.T // 2 - 1
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        first_mark = rng.integers(0, FIRST_PLACES, size=n)
        second_mark = rng.integers(1, half - (first_mark > 0))

        # Skip the place of the first mark, unless it is the first pair, which is left out anyway.
        second_mark += (first_mark > 0) & (second_mark >= first_mark)
        return last, first_mark, second_mark

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return x[..., 1] != 0
