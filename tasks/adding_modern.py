"""The adding problem as papers after 1997 pose it: two halves, one mark in each."""

import numpy as np

from lstmlab.task import Task, mark, real, whole, within


class AddingModern(Task):
    """Two marked numbers, one in each half of the sequence: say their sum at the end. The form of the papers after 1997.

    Shown   Pairs (value, marker). Values uniform in [0, 1]. Markers: 1 at one pair of the first T/2 and at one pair of the
            others, each pair as likely as any other of its half, else 0. Length T, always.
    Asked   At the last pair: X1 + X2, which lies in [0, 2]. No error at any other step.
    Lag     At least T/2 steps from the first mark to the answer; the second mark may fall on the last pair itself.
    Right   |error| < 0.04 (`tolerance`).
    Chance  Squared error 0.1667 = 1/6 for always answering 1, the level that papers quote; 0.1650 with the last pair alone,
            which is the second mark in one of T/2 sequences: 1/6 - 1/(6T) for an even T.
    Solved  Of the last 2000 training sequences at most 20 wrong.

    Decisions where the text leaves a choice:
    - of an odd T the first half is the shorter one;
    - papers show curves of the squared error against 1/6 and no rule for "solved": here 99 % right over a sliding window. The
      tolerance is that of experiment 4, whose target runs from 0 to 1: on its scale it would be 0.08 here;
    - this is not experiment 4: no markers -1, one length, other values, a target that is not scaled (see task=adding).

    T: length, at least 2; it sets the lag. tolerance: largest |error| that is right, in 0..1. criterion: settings of the rule
    to change. Raises ValueError for other values. Source: the form of Arjovsky, Shah & Bengio 2016 and of Rusch et al. 2022.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("sum",)
    output_activation = "linear"
    test_size = 2560
    chance = 1 / 6  # variance of the sum of two values

    def __init__(self, T: int = 100, tolerance: float = 0.04, criterion: dict | None = None):
        self.T = self.steps = whole("AddingModern", "T", T, least=2)
        self.tolerance = real("AddingModern", "tolerance", tolerance, least=0.0, most=1.0)
        self.half = T // 2
        self.lag = T - self.half
        self.memoryless = 1 / 6 - 1 / 12 / (
            T - self.half
        )  # a last pair that is marked tells one of the two values
        self.criterion = {
            "rule": "sliding_window",
            "sequences": 2000,
            "wrong": 20,
            "error_below": None,
            **(criterion or {}),
        }

    def pieces(self, rng, n, lengths):
        marks = rng.integers(0, self.half, size=n), rng.integers(self.half, self.T, size=n)
        marked = rng.random((2, n), dtype="float32")
        start = 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((2,), (1,), ()))
            x[..., 0] = rng.random(
                (length, n), dtype="float32"
            ).T  # step after step, so that cuts change nothing
            for at, value in zip(marks, marked, strict=True):
                mark(x, start, at, value, line=0)
                mark(x, start, at, line=1)
            last = np.full(n, self.T - 1)
            mark(y, start, last, marked[0] + marked[1], line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return (x[..., 1] != 0) | (w > 0)
