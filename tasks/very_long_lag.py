"""Very long lags, with distractors (experiment 2c)."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import cut_off, mark, one_hot
from lstmlab.tasks.common.rules import whole_sets, within
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Drawn, Sequences, Task

GOES_ON = 0.9  # probability of one more distractor, each time


class VeryLongLag(Task):
    """The second symbol comes back at the end, after a long stream of distractors: predict it.

    Shown   One of p + 4 symbols per step, as one of p + 4 lines set to 1. b; then x or y, each with
            probability 1/2; then q distractors and, each time with probability 9/10, one more; then
            e. A distractor is one of a_1 ... a_p, all equally likely. There are q + k + 3 symbols,
            where k is 9 on average.
    Asked   When e is shown, the symbol that follows, which is the second one: x or y, as one of 2
            lines set to 1. There is no error at any other step.
    Lag     At least q + 1 steps from the second symbol to the answer.
    Right   |error| < 0.2 at both outputs.
    Chance  Squared error 0.25 for always answering 0.5; the last symbol, always e, tells nothing
            more.
    Solved  All of 10,000 random sequences are right.

    Decisions where the text leaves a choice:
    - the 10,000 sequences are the test set, drawn once per seed and tried after each window of
      training (trainer.window sequences); task.criterion.sets=[validation] with redraw=true tries
      10,000 new ones each time;
    - at most `extra` more distractors: longer sequences, of probability 0.9^(extra + 1), are drawn
      again. The default, 131, leaves out less than one in a million;
    - distractors are drawn from all p symbols, although the text prints q as their greatest index;
    - the last symbol is only the target and is not shown, because nothing is asked after it.

    Args:
        p: Different distractors, at least 1.
        q: The fewest distractors shown, at least 1. It sets the lag.
        extra: The most distractors beyond q, at least 0.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For smaller values.

    References:
        Hochreiter & Schmidhuber 1997, section 5.2.
    """

    outputs, readouts = 2, 1
    targets = ("x", "y")
    output_activation = "sigmoid"
    test_size = 10_000
    tolerance = 0.2
    chance = memoryless = 0.25

    def __init__(self, p: int = 100, q: int = 100, extra: int = 131, criterion: dict | None = None):
        owner = "VeryLongLag"
        self.p, self.q = integer(owner, "task.p", p), integer(owner, "task.q", q)
        integer(owner, "task.extra", extra, least=0)
        # The probability of at most k more distractors, for k = 0 ... extra - 1.
        shares = GOES_ON ** np.arange(extra + 1)
        self._extra = np.cumsum(shares[:-1] / shares.sum())

        self.features = p + 4
        self.steps, self.lag = q + extra + 3, q + 1
        self.inputs = (*(f"a{k}" for k in range(1, p + 1)), "e", "b", "x", "y")
        self.criterion = whole_sets(criterion, sets=["test"], redraw=False)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        start = 0
        for codes, y, w, last in self._drawn(rng, n, lengths):
            yield one_hot(codes, self.features, start, last), y, w
            start += codes.shape[1]

    def coded(self, rng: Generator, n: int) -> Sequences:
        [(codes, y, w, last)] = self._drawn(rng, n, [self.steps])
        cut_off(codes, 0, last)
        return codes, y, w

    def _drawn(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[tuple]:
        """The symbols of each piece, its y and w, and the last step of each sequence."""
        e, b, x_line = self.p, self.p + 1, self.p + 2
        last = self.q + 2 + np.searchsorted(self._extra, rng.random(n), side="right")
        second = rng.integers(0, 2, size=n)  # 0 for x, 1 for y

        start = 0
        for length in lengths:
            codes = rng.integers(0, self.p, size=(length, n)).T
            mark(codes, start, np.zeros(n, int), b)
            mark(codes, start, np.ones(n, int), x_line + second)
            mark(codes, start, last, e)

            y, w = np.zeros((n, length, 2), "float32"), np.zeros((n, length), "float32")
            for line in range(2):
                mark(y, start, np.where(second == line, last, -1), line=line)
            mark(w, start, last)
            yield codes, y, w, last
            start += length

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        return {
            "test": Drawn(self, seed, "test", self.test_size),
            "validation": Drawn(self, seed, "sets", self.test_size, draw),
        }

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        e_x_y = [self.p, self.p + 2, self.p + 3]
        return np.any(x[..., e_x_y], axis=-1)
