"""Delayed XOR: the stated limit of the truncated rule of 1997."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import cut_off, empty_piece, mark, write_uniform
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task


class DelayedXor(Task):
    """Two marked bits, far apart in a stream of noise: do they differ?

    Shown   Pairs (value, marker). Values are uniform in [-1, 1], but -1 or 1, each with probability
            1/2, at the two marks. Markers are 1 at the two marks, -1 at the last pair, and 0
            elsewhere. The length is uniform in T ... T + T/10, both included. The first mark falls
            on one of the first T/10 pairs, the second on one of the T/10 pairs after the first T/2.
    Asked   At the last pair: 1 if the two bits differ, else 0. There is no error at any other step.
    Lag     At least 2T/5 steps from the second bit to the answer, and as many between the bits.
    Right   |error| < 0.3.
    Chance  Squared error 0.2500 for always answering 1/2, and also for the best answer to the last
            pair, which shows noise. One of the bits without the other tells nothing either, so no
            part of the task can be learnt by itself.
    Solved  The last 2000 training sequences are all right and their mean absolute error is below
            0.1.
    Published  No numbers. The paper names it as a task that the truncated rule cannot easily solve,
            because storing only one bit does not lower the error.

    Decisions where the text leaves a choice (it names the task in a sentence):
    - the form of the adding problem; the places (an early and a middle one), the tolerance and the
      rule of the temporal order problem.

    Args:
        T: The shortest length, at least 20, so that each mark has more than one place. It sets the
            lag.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For a smaller T.

    References:
        Hochreiter & Schmidhuber 1997, section 6.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("differ",)
    output_activation = "sigmoid"
    test_size = 2560
    tolerance = 0.3
    chance = memoryless = 0.25

    def __init__(self, T: int = 100, criterion: dict | None = None):
        self.T = integer("DelayedXor", "task.T", T, least=20)
        self.steps, self.lag = T + T // 10, T - T // 2 - T // 10
        self.criterion = sliding_window(criterion, error_below=0.1)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last = rng.integers(self.T, self.T + self.T // 10, size=n, endpoint=True) - 1
        # [2, n]: the two ranges begin at 0 and at T/2
        marks = np.array([[0], [self.T // 2]]) + rng.integers(0, self.T // 10, size=(2, n))
        bits = rng.integers(0, 2, size=(2, n))

        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            write_uniform(rng, x, 0, -1.0)
            for at, bit in zip(marks, bits, strict=True):
                mark(x, start, at, 2.0 * bit - 1, line=0)
                mark(x, start, at, 1.0, line=1)
            mark(x, start, last, -1.0, line=1)
            cut_off(x, start, last)

            mark(y, start, last, (bits[0] != bits[1]).astype("float32"), line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return x[..., 1] != 0
