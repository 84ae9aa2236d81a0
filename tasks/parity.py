"""The parity problem: was the number of ones even or odd? Random weight guessing solves it."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import cut_off, empty_piece, mark, uniform_by_step
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import flag, integer, number
from lstmlab.task import Sequences, Task


class Parity(Task):
    """A long row of ones and minus ones: was the number of ones odd?

    Shown   One line, at every step 1 or -1, each with probability 1/2, plus noise uniform in
            [-noise, noise]. The length is uniform in shortest ... longest, both included.
    Asked   At the last step: 1 if the number of ones was odd, 0 if it was even. There is no error
            at any other step. With every_step the same is asked at every step, of the inputs so
            far.
    Lag     shortest - 1 steps from the first input to the answer; every later input is needed as
            well. With every_step it is 1.
    Right   |error| < 0.1 at every step with an error.
    Chance  Squared error 0.2500 for always answering 1/2; the last input tells nothing more. With
            every_step the present input is the answer at the first step, which is one in (shortest
            + longest) / 2.
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
        noise: The size of the noise, at most 0.99, so that the sign stays; 0.2 is the published
            one.
        criterion: Settings of the criterion to change.
        every_step: Whether the answer is asked at every step.
        tolerance: The bound of |error| for a right answer, in [1e-6, 0.5]; 0.4 is Fahlman's
            40-20-40 rule.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms"; Bengio,
        Simard & Frasconi 1994.
    """

    features = outputs = 1
    inputs, targets = ("value",), ("odd",)
    output_activation = "sigmoid"
    test_size = 2560
    chance = 0.25

    def __init__(
        self,
        shortest: int = 500,
        longest: int = 600,
        noise: float = 0.0,
        criterion: dict | None = None,
        every_step: bool = False,
        tolerance: float = 0.1,
    ):
        owner = "Parity"
        self.shortest = integer(owner, "task.shortest", shortest, least=2)
        why = "which is task.shortest"
        self.steps = integer(owner, "task.longest", longest, least=shortest, why=why)
        why = "so that the sign stays"
        self.noise = number(owner, "task.noise", noise, least=0, most=0.99, why=why)
        self.every_step = flag(owner, "task.every_step", every_step)
        self.tolerance = number(owner, "task.tolerance", tolerance, least=1e-6, most=0.5)

        self.lag = 1 if every_step else shortest - 1
        self.readouts = self.steps if every_step else 1
        # The share of the steps at which the present input is the answer.
        first = 2 / (shortest + longest) if every_step else 0.0
        # P(odd) is (1 + first) / 2 or (1 - first) / 2, as the input is; variance P (1 - P)
        self.memoryless = 0.25 * (1 - first**2)
        self.criterion = sliding_window(criterion)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last = rng.integers(self.shortest, self.steps, size=n, endpoint=True) - 1
        odd, start = np.zeros(n, bool), 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            # The sign of a drawn number is the bit, and its size the noise.
            drawn = 2 * uniform_by_step(rng, n, length) - 1
            # noise uniform around 1 from drawn in [0, 1), and around -1 from drawn in [-1, 0)
            one = 1 + self.noise * (2 * drawn - 1)
            minus_one = -1 + self.noise * (2 * drawn + 1)
            x[..., 0] = np.where(drawn >= 0, one, minus_one)
            cut_off(x, start, last)

            so_far = (odd[:, None] + (x[..., 0] > 0).cumsum(axis=1)) % 2
            odd = so_far[:, -1] == 1
            if self.every_step:
                w[:] = start + np.arange(length) <= last[:, None]
                y[..., 0] = w * so_far
            else:
                mark(y, start, last, odd.astype("float32"), line=0)
                mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return x[..., 0] > 0
