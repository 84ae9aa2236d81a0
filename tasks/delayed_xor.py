"""Delayed XOR: the stated limit of the truncated rule of 1997."""

import numpy as np

from lstmlab.task import Task, cut_off, mark, whole, within


class DelayedXor(Task):
    """Two marked bits, far apart in a stream of noise: do they differ?

    Shown   Pairs (value, marker). Values uniform in [-1, 1], but -1 or 1, each with probability 1/2, at the two marks. Markers:
            1 at the two marks, -1 at the last pair, else 0. Length uniform in T ... T + T/10, both included. The first mark
            falls on one of the first T/10 pairs, the second on one of the T/10 pairs after the first T/2.
    Asked   At the last pair: 1 if the two bits differ, else 0. No error at any other step.
    Lag     At least 2T/5 steps from the second bit to the answer, and as many between the bits.
    Right   |error| < 0.3.
    Chance  Squared error 0.2500 for always answering 1/2, also for the best answer to the last pair alone: it shows noise. One
            of the bits without the other tells nothing either, so no part of the task can be learnt by itself.
    Solved  The last 2000 training sequences all right and their mean absolute error below 0.1.
    Published  No numbers. The paper names it as a task that the truncated rule cannot easily solve,
            because storing only one bit does not lower the error.

    Decisions where the text leaves a choice (it names the task in a sentence):
    - the form of the adding problem, the places of the temporal order problem (an early and a middle one), its tolerance and
      its rule.

    T: shortest length, at least 20 (so that each mark has more than one place). criterion: settings of the rule to change.
    Raises ValueError for a smaller T. Source: Hochreiter & Schmidhuber 1997, section 6.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("differ",)
    output_activation = "sigmoid"
    test_size = 2560
    tolerance = 0.3
    chance = memoryless = 0.25

    def __init__(self, T: int = 100, criterion: dict | None = None):
        self.T = whole("DelayedXor", "T", T, least=20)
        self.steps, self.lag = T + T // 10, T - T // 2 - T // 10
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": 0.1, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.T, self.T + self.T // 10, size=n, endpoint=True) - 1
        marks = np.array([[0], [self.T // 2]]) + rng.integers(0, self.T // 10, size=(2, n))
        bits = rng.integers(0, 2, size=(2, n))
        start = 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((2,), (1,), ()))
            x[..., 0] = (
                2 * rng.random((length, n), dtype="float32").T - 1
            )  # step after step, so that cuts change nothing
            for at, bit in zip(marks, bits, strict=True):
                mark(x, start, at, 2.0 * bit - 1, line=0)
                mark(x, start, at, 1.0, line=1)
            mark(x, start, last, -1.0, line=1)
            cut_off(x, start, last)
            mark(y, start, last, (bits[0] != bits[1]).astype("float32"), line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return x[..., 1] != 0
