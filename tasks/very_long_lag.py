"""Very long lags, with distractors (experiment 2c)."""

import numpy as np

from lstmlab.task import Drawn, Task, mark, one_hot, whole, within

GOES_ON = 0.9  # probability of one more distractor, each time


class VeryLongLag(Task):
    """The second symbol comes back at the end, after a long stream of distractors: predict it.

    Shown   One of p + 4 symbols per step, as one of p + 4 lines set to 1. b; then x or y, each with probability 1/2; then q
            distractors and, each time with probability 9/10, one more; then e. A distractor is one of a_1 ... a_p, all
            equally likely. q + k + 3 symbols, where k is 9 on average.
    Asked   When e is shown, the symbol that follows, which is the second one: x or y, one of 2 lines set to 1. No error at
            any other step.
    Lag     At least q + 1 steps from the second symbol to the answer.
    Right   |error| < 0.2 at both outputs.
    Chance  Squared error 0.25 for always answering 0.5; the last symbol alone, always e, tells nothing more.
    Solved  All of 10,000 random sequences right.

    Decisions where the text leaves a choice:
    - the 10,000 sequences are the test set, drawn once per seed and tried after each window of training (trainer.window
      sequences); task.criterion.sets=[validation] with redraw=true tries 10,000 new ones each time;
    - at most `extra` more distractors: longer sequences, of probability 0.9^(extra + 1), are drawn again. The default, 131,
      leaves out less than one in a million;
    - distractors are drawn from all p symbols, although the text prints q as their greatest index;
    - the last symbol is the target alone and is not shown, since nothing is asked after it.

    p: distractors there are. q: distractors shown at the least; it sets the lag. extra: see above. criterion: settings of
    the rule to change. Raises ValueError for p or q below 1 or a negative extra.
    Source: Hochreiter & Schmidhuber 1997, section 5.2.
    """

    outputs, readouts = 2, 1
    targets = ("x", "y")
    output_activation = "sigmoid"
    test_size = 10_000
    tolerance = 0.2
    chance = memoryless = 0.25

    def __init__(self, p: int = 100, q: int = 100, extra: int = 131, criterion: dict | None = None):
        self.p, self.q = whole("VeryLongLag", "p", p), whole("VeryLongLag", "q", q)
        shares = GOES_ON ** np.arange(whole("VeryLongLag", "extra", extra, least=0) + 1)
        self._extra = np.cumsum(
            shares[:-1] / shares.sum()
        )  # probability of at most k more distractors
        self.features = p + 4
        self.steps, self.lag = q + extra + 3, q + 1
        self.inputs = (*(f"a{k}" for k in range(1, p + 1)), "e", "b", "x", "y")
        self.criterion = {
            "rule": "whole_sets", "sets": ["test"], "wrong": 0, "error_below": None, "measure": "absolute", "redraw": False,
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        e, b, x_line = self.p, self.p + 1, self.p + 2
        last = self.q + 2 + np.searchsorted(self._extra, rng.random(n), side="right")
        second = rng.integers(0, 2, size=n)  # 0 for x, 1 for y
        start = 0
        for length in lengths:
            codes = rng.integers(0, self.p, size=(length, n)).T
            for at, code in ((np.zeros(n, int), b), (np.ones(n, int), x_line + second), (last, e)):
                mark(codes, start, at, code)
            y, w = np.zeros((n, length, 2), "float32"), np.zeros((n, length), "float32")
            for line in range(2):
                mark(y, start, np.where(second == line, last, -1), line=line)
            mark(w, start, last)
            yield one_hot(codes, self.features, start, last), y, w
            start += length

    def sets(self, seed, draw=0):
        return {
            "test": Drawn(self, seed, "test", self.test_size),
            "validation": Drawn(self, seed, "sets", self.test_size, draw),
        }

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        e_x_y = [self.p, self.p + 2, self.p + 3]
        return x[..., e_x_y].any(axis=-1)
