"""The latch problem: hold one bit through noise. Random weight guessing solves it in a few
trials."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import cut_off, empty_piece, mark
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import integer, number, one_of
from lstmlab.task import Sequences, Task


class Latch(Task):
    """The first input is a bit; hold it through noise.

    Shown   One line: -1 or 1, each with probability 1/2, then Gaussian noise of mean 0 and variance
            0.2. The length is uniform in shortest ... longest, both included.
    Asked   At the last step: the first input (1 or -1). There is no error at any other step.
    Lag     shortest - 1 steps, from the first input to the answer.
    Right   |error| < 0.1.
    Chance  Squared error 1 for always answering 0; the last input, which is noise, tells nothing
            more.
    Solved  The last 2000 training sequences are all right.
    Published  Found by random weight guessing: lstmlab.tasks.common.guessing.

    Decisions where the text leaves a choice:
    - training draws fresh sequences; guessing classifies a set of 100, 50 of each class, drawn
      once;
    - solved is judged as in 1997 on training sequences, because guessing has no rule for a network
      that is trained.

    Args:
        shortest: The shortest length, at least 2. It sets the lag.
        longest: The longest length, at least `shortest`.
        variance: The variance of the noise, at least 0.
        answer: The size of the target: 1.0, or 0.8 as in variant I.
        test_size: Sequences in the test set, at least 1.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms"; Bengio,
        Simard & Frasconi 1994.
    """

    features = outputs = readouts = 1
    inputs, targets = ("value",), ("first",)
    output_activation = "tanh"
    tolerance = 0.1

    def __init__(
        self,
        shortest: int = 500,
        longest: int = 600,
        variance: float = 0.2,
        answer: float = 1.0,
        test_size: int = 2560,
        criterion: dict | None = None,
    ):
        self.shortest = integer("Latch", "task.shortest", shortest, least=2)
        why = "which is task.shortest"
        self.steps = integer("Latch", "task.longest", longest, least=shortest, why=why)
        self.deviation = number("Latch", "task.variance", variance, least=0) ** 0.5
        if type(answer) is int and answer == 1:
            answer = 1.0  # `answer=1` of a command; True stays as it is, and is refused
        self.answer = one_of("Latch", "task.answer", answer, (1.0, 0.8))
        self.test_size = integer("Latch", "task.test_size", test_size, least=1)
        self.lag = shortest - 1
        self.chance = self.memoryless = self.answer**2
        self.criterion = sliding_window(criterion)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last = rng.integers(self.shortest, self.steps, size=n, endpoint=True) - 1
        bit = 2.0 * rng.integers(0, 2, size=n) - 1

        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            # drawn step after step, so cutting a sequence into pieces changes no number
            x[..., 0] = self.deviation * rng.standard_normal((length, n), dtype="float32").T
            mark(x, start, np.zeros(n, int), bit, line=0)
            cut_off(x, start, last)

            mark(y, start, last, self.answer * bit, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        first = np.zeros(w.shape, bool)
        first[:, 0] = True
        return first | (w > 0)
