"""The counting languages a^n b^n and a^n b^n c^n: say every legal next symbol, for n far beyond
those of training."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.rules import whole_sets
from lstmlab.tasks.common.yardsticks import yardsticks
from numpy.random import Generator

from lstmlab.checks import integer, one_of
from lstmlab.task import BLOCK_BYTES, Sequences, Task

LANGUAGES = {"anbn": "ab", "anbncn": "abc"}


class CountingLanguage(Task):
    """Strings of equally many a and b (and c): how many more will come has to be counted.

    Shown   One symbol per step, as one of 3 (4) lines set to 1: S, then n times a, then n times b
            (then n times c). In training n is uniform in 1 ... N.
    Asked   At every step all legal next symbols, among a, b (, c) and the end T: after S an a,
            after an a another a or a b, and from then on the only symbol that the count allows.
    Lag     At least 1 step, for n = 1; 2n - 1 steps from the first a to the end of b^n, 3n - 1 to
            that of c^n.
    Right   Every output on the right side of 0.5 at every step.
    Chance  Squared error 0.1545 for always answering the mean target; 0.0455 for the best answer to
            the present symbol.
    Solved  All n of 1 ... N are right. How far it goes beyond is a result: generalises_to, the
            largest n up to which all are right.

    Decisions where the text leaves a choice:
    - n = 0 does not count as a string, so only a may follow S;
    - an output is right if it is on the right side of 0.5: the bound of the paper is not known;
    - the test strings are n = 1 ... M, those of training among them, because generalises_to counts
      from 1.

    Args:
        language: 'anbn' or 'anbncn'.
        N: The largest n in training, at least 1.
        M: The largest n in the test, at least N.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Gers & Schmidhuber 2001, IEEE TNN 12:1333.
    """

    lag = 1
    output_activation = "sigmoid"

    def __init__(
        self, language: str = "anbn", N: int = 10, M: int = 1000, criterion: dict | None = None
    ):
        owner = "CountingLanguage"
        self.letters = LANGUAGES[one_of(owner, "task.language", language, LANGUAGES)]
        self.N = integer(owner, "task.N", N)
        self.M = self.test_size = integer(owner, "task.M", M, least=N, why="which is task.N")

        self.inputs, self.targets = ("S", *self.letters), (*self.letters, "T")
        self.features = self.outputs = len(self.letters) + 1
        self.steps = self.readouts = self.length(N)
        self.criterion = whole_sets(criterion, sets=["training"])
        self._training = self.encode(np.arange(1, N + 1))
        x, y, w = self._training
        self.chance, self.memoryless = yardsticks(x[w > 0], y[w > 0], w[w > 0])

    def length(self, n):
        """The number of steps of the string with that n; n may also be an array."""
        return 1 + len(self.letters) * n

    def encode(self, n: np.ndarray, largest: int | None = None) -> Sequences:
        """The strings with these n as x, y, w, padded to the length of the largest."""
        n = n[:, None]
        t = np.arange(self.length(int(n.max()) if largest is None else largest))
        run = np.where(t == 0, 0, 1 + (t - 1) // n)  # the run of equal symbols: S, a, b (, c)
        valid = t < self.length(n)

        x = (run[..., None] == np.arange(self.features)) & valid[..., None]
        # the last step of a run asks for the next letter, that of the last run for T
        following = (t // n)[..., None] == np.arange(self.outputs)
        y = following & valid[..., None]
        y[..., :2] |= x[..., 1:2]  # after an a, a and b are legal
        return x.astype("float32"), y.astype("float32"), valid.astype("float32")

    def sample(self, rng: Generator, n: int) -> Sequences:
        drawn = rng.integers(self.N, size=n)
        x, y, w = self._training
        return x[drawn], y[drawn], w[drawn]

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        return {"training": [self._training], "test": Strings(self)}

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        # 0.5 itself lies on neither side
        right_side = ((y > 0.5) == (prediction > 0.5)) & (prediction != 0.5)
        return np.all(right_side | (w == 0)[..., None], axis=(1, 2))

    def summary(self, correct: np.ndarray, losses: dict[str, float]) -> dict[str, float]:
        """'generalises_to': the largest n up to which all strings are right."""
        # the place of the first wrong one, from 0: so many are right; False, if none is wrong
        return {"generalises_to": int(np.argmin([*correct, False]))}

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The steps at which a run of equal symbols begins."""
        begins = np.any(x[:, 1:, 1:] > x[:, :-1, 1:], axis=-1)
        return np.pad(begins, ((0, 0), (1, 0)))


class Strings:
    """All n from 1 to M in order, in blocks that are padded to few different lengths: N, 2N, 4N,
    ... and M."""

    def __init__(self, task: CountingLanguage):
        self.task = task

    def __iter__(self) -> Iterator[Sequences]:
        task, first, largest = self.task, 1, self.task.N
        while first <= task.M:
            largest = min(largest, task.M)
            block = max(1, BLOCK_BYTES // (8 * task.features * task.length(largest)))
            for start in range(first, largest + 1, block):
                yield task.encode(np.arange(start, min(start + block, largest + 1)), largest)
            first, largest = largest + 1, 2 * largest
