"""The adding problem in its form of 1997 (experiment 4)."""

import numpy as np

from lstmlab.task import Task, choice, cut_off, mark, whole, within

FIRST_PLACES = 10  # the first mark falls on one of so many pairs


class Adding(Task):
    """Two marked numbers, far apart in a stream of noise: say their sum at the end.

    Shown   Pairs (value, marker). Values uniform in [-1, 1]. Markers: 1 at two pairs, -1 at the first and last pair, else 0.
            Length uniform in T ... T + T/10, both included. The first mark falls on one of the first 10 pairs, the second
            on one of the first T/2 - 1.
    Asked   At the last pair: 0.5 + (X1 + X2) / 4, which lies in [0, 1]. No error at any other step.
    Lag     At least T/2 steps from the second mark to the answer.
    Right   |error| < 0.04.
    Chance  Squared error 0.0396 for always answering 0.5 (1/24 with two marks, 1/48 in the tenth of cases with one); the last
            pair alone tells nothing more.
    Solved  The last 2000 training sequences all right and their mean absolute error below 0.01.

    Decisions where the text leaves a choice:
    - a first pair that is drawn as the first mark keeps its marker -1 and counts as X1 = 0 (its shown value stays);
    - the second mark is drawn from the first T/2 - 1 pairs without the first pair and without the other mark;
    - lengths include T + T/10; inclusive=False leaves it out;
    - "average training error" is the mean absolute error of the same 2000 sequences: with the squared error the bound 0.01
      would follow from the other clause. task.criterion.measure=squared selects it all the same.

    T: shortest length, at least 24 (so that each mark has more than one place); it sets the lag. inclusive: see above.
    criterion: settings of the rule to change.
    Raises ValueError for other values. Source: Hochreiter & Schmidhuber 1997, section 5.4.
    """

    features, outputs, readouts = 2, 1, 1
    inputs, targets = ("value", "marker"), ("sum",)
    output_activation = "linear"
    test_size = 2560
    tolerance = 0.04
    least, neutral = -1.0, 0.0  # of the values; what a marked first pair counts as
    chance = memoryless = (
        0.9 * 2 / 3 + 0.1 / 3
    ) / 16  # variance of (X1 + X2) / 4; in a tenth of the cases X1 = 0

    def __init__(self, T: int = 100, inclusive: bool = True, criterion: dict | None = None):
        owner = type(self).__name__
        self.T = whole(owner, "T", T, least=24, why="for two marks in the first half")
        self.longest = T + T // 10 - (not choice(owner, "inclusive", inclusive, (True, False)))
        self.steps, self.lag = self.longest, T - (T // 2 - 1)
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": 0.01, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last, first_mark, second_mark = self._places(rng, n)
        marked = rng.uniform(self.least, 1, size=(2, n))
        answer = self.answer(np.where(first_mark == 0, self.neutral, marked[0]), marked[1])
        start = 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((2,), (1,), ()))
            shown = rng.random(
                (length, n), dtype="float32"
            ).T  # step after step, so that cuts change nothing
            x[..., 0] = (1 - self.least) * shown + self.least
            for at, value in (
                (np.where(first_mark == 0, -1, first_mark), marked[0]),
                (second_mark, marked[1]),
            ):
                mark(x, start, at, value, line=0)
            for at, marker in (
                (first_mark, 1.0),
                (second_mark, 1.0),
                (np.zeros(n, int), -1.0),
                (last, -1.0),
            ):
                mark(x, start, at, marker, line=1)
            cut_off(x, start, last)
            mark(y, start, last, answer, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def answer(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return 0.5 + (first + second) / 4

    def _places(self, rng, n):
        """The last step, and the steps of the two marks."""
        half = self.T // 2 - 1
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        first_mark = rng.integers(0, FIRST_PLACES, size=n)
        second_mark = rng.integers(1, half - (first_mark > 0))
        return last, first_mark, second_mark + ((first_mark > 0) & (second_mark >= first_mark))

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return x[..., 1] != 0
