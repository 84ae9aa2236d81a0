"""The adding problem as papers after 1997 pose it: two halves, one mark in each."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import empty_piece, mark, write_uniform
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import integer, number
from lstmlab.task import Sequences, Task


class AddingModern(Task):
    """Two marked numbers, one in each half of the sequence: say their sum at the end. The form of
    the papers after 1997.

    Shown   Pairs (value, marker). Values are uniform in [0, 1]. Markers are 1 at one pair of the
            first T/2 and at one pair of the others, each pair as likely as any other of its half,
            and 0 elsewhere. The length is always T.
    Asked   At the last pair: X1 + X2, which lies in [0, 2]. There is no error at any other step.
    Lag     At least T/2 steps from the first mark to the answer; the second mark may fall on the
            last pair itself.
    Right   |error| < 0.04 (`tolerance`).
    Chance  Squared error 0.1667 = 1/6 for always answering 1, the level that papers quote; 0.1650
            knowing only the last pair, which is the second mark in one of T/2 sequences: 1/6 -
            1/(6T) for an even T.
    Solved  At most 20 of the last 2000 training sequences are wrong.

    Decisions where the text leaves a choice:
    - if T is odd, the first half is the shorter one;
    - papers show curves of the squared error against 1/6 and have no rule for "solved": here it is
      99 % right over a sliding window. The tolerance is that of experiment 4, whose target runs
      from 0 to 1: on its scale it would be 0.08 here;
    - this is not experiment 4: it has no markers -1, only one length, other values, and a target
      that is not scaled (see task=adding).

    Args:
        T: The length, at least 2. It sets the lag.
        tolerance: The bound of |error| for a right answer, in [0, 1].
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        The form of Arjovsky, Shah & Bengio 2016 and of Rusch et al. 2022.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("sum",)
    output_activation = "linear"
    test_size = 2560
    chance = 1 / 6  # the variance of the sum of two values

    def __init__(self, T: int = 100, tolerance: float = 0.04, criterion: dict | None = None):
        self.T = self.steps = integer("AddingModern", "task.T", T, least=2)
        self.tolerance = number("AddingModern", "task.tolerance", tolerance, least=0, most=1)
        self.half = T // 2
        self.lag = T - self.half
        # A last pair that is marked tells one of the two values.
        self.memoryless = 1 / 6 - 1 / 12 / (T - self.half)
        self.criterion = sliding_window(criterion, wrong=20)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        marks = rng.integers(0, self.half, size=n), rng.integers(self.half, self.T, size=n)
        marked = rng.random((2, n), dtype="float32")
        last = np.full(n, self.T - 1)

        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            write_uniform(rng, x, 0)
            for at, value in zip(marks, marked, strict=True):
                mark(x, start, at, value, line=0)
                mark(x, start, at, line=1)

            mark(y, start, last, marked[0] + marked[1], line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (x[..., 1] != 0) | (w > 0)
