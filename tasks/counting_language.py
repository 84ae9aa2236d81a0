"""The counting languages a^n b^n and a^n b^n c^n: say every legal next symbol, for n far beyond those of training."""

from collections.abc import Iterator

import numpy as np
from lstmlab.tasks.common.yardsticks import yardsticks

from lstmlab.task import BLOCK_BYTES, Sequences, Task, choice, whole

LANGUAGES = {"anbn": "ab", "anbncn": "abc"}


class CountingLanguage(Task):
    """Strings of equally many a and b (and c): how many more will come has to be counted.

    Shown   One symbol per step, one of 3 (4) lines set to 1: S, then n times a, then n times b (then n times c). In training
            n is uniform in 1 ... N.
    Asked   At every step all legal next symbols, among a, b (, c) and the end T: after S an a, after an a another a or a b,
            and from then on the only symbol that the count allows.
    Lag     At least 1 step, for n = 1; 2n - 1 steps from the first a to the end of b^n, 3n - 1 to that of c^n.
    Right   Every output on the right side of 0.5 at every step.
    Chance  Squared error 0.1545 for always answering the mean target; 0.0455 for the best answer to the present symbol.
    Solved  All n of 1 ... N right. How far it goes beyond is a result: generalises_to, the largest n up to which all are right.

    Decisions where the text leaves a choice:
    - n = 0 is not a string, so that only a may follow S;
    - right is what is on the right side of 0.5: the bound of the paper is not known;
    - the test strings are n = 1 ... M, those of training among them, for generalises_to counts from 1.

    language: anbn | anbncn. N: the largest n in training; M: the largest n in the test, at least N.
    Raises ValueError for another language, an N below 1 or an M below N. Source: Gers & Schmidhuber 2001, IEEE TNN 12:1333.
    """

    lag = 1
    output_activation = "sigmoid"

    def __init__(
        self, language: str = "anbn", N: int = 10, M: int = 1000, criterion: dict | None = None
    ):
        self.letters = LANGUAGES[choice("CountingLanguage", "language", language, tuple(LANGUAGES))]
        self.N = whole("CountingLanguage", "N", N)
        self.M = self.test_size = whole("CountingLanguage", "M", M, least=N, why="which is task.N")
        self.inputs, self.targets = ("S", *self.letters), (*self.letters, "T")
        self.features = self.outputs = len(self.letters) + 1
        self.steps = self.readouts = self.length(N)
        self.criterion = {
            "rule": "whole_sets",
            "wrong": 0,
            "error_below": None,
            "sets": ["training"],
            **(criterion or {}),
        }
        self._training = self.encode(np.arange(1, N + 1))
        x, y, w = self._training
        self.chance, self.memoryless = yardsticks(x[w > 0], y[w > 0], w[w > 0])

    def length(self, n):
        """Steps of the string with that n."""
        return 1 + len(self.letters) * n

    def encode(self, n: np.ndarray, largest: int | None = None) -> Sequences:
        """x, y, w of the strings with these n, padded to the length of the largest."""
        n = n[:, None]
        t = np.arange(self.length(int(n.max()) if largest is None else largest))
        run = np.where(
            t == 0, 0, 1 + (t - 1) // n
        )  # which run of equal symbols the step lies in: S, a, b (, c)
        valid = t < self.length(n)
        x = (run[..., None] == np.arange(self.features)) & valid[..., None]
        y = ((t // n)[..., None] == np.arange(self.outputs)) & valid[
            ..., None
        ]  # the symbol that comes
        y[..., :2] |= x[..., 1:2]  # after an a, a and b are legal
        return x.astype("float32"), y.astype("float32"), valid.astype("float32")

    def sample(self, rng, n):
        drawn = rng.integers(self.N, size=n)
        return tuple(part[drawn] for part in self._training)

    def sets(self, seed, draw=0):
        return {"training": [self._training], "test": Strings(self)}

    def correct(self, y, prediction, w):
        return np.all(
            ((y > 0.5) == (prediction > 0.5)) & (prediction != 0.5) | (w == 0)[..., None],
            axis=(1, 2),
        )

    def summary(self, correct, losses):
        return {"generalises_to": int(np.argmin([*correct, False]))}

    def events(self, x, w):
        begins = np.any(
            x[:, 1:, 1:] > x[:, :-1, 1:], axis=-1
        )  # where a run of equal symbols begins
        return np.pad(begins, ((0, 0), (1, 0)))


class Strings:
    """All n from 1 to M in order, in blocks that are padded to few different lengths: N, 2N, 4N, ... and M."""

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
