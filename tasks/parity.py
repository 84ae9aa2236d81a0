"""The parity problem: were there evenly or oddly many ones? Random weight guessing solves it."""

import numpy as np

from lstmlab.task import Task, choice, cut_off, mark, real, whole, within


class Parity(Task):
    """A long row of ones and minus ones: was the number of ones odd?

    Shown   One line, at every step 1 or -1, each with probability 1/2, plus noise uniform in [-noise, noise]. Length uniform
            in shortest ... longest, both included.
    Asked   At the last step: 1 if the number of ones was odd, 0 if it was even. No error at any other step. With every_step
            the same of the inputs so far, at every step.
    Lag     shortest - 1 steps from the first input to the answer; every later input is needed as well. With every_step 1.
    Right   |error| < 0.1 at every step with an error.
    Chance  Squared error 0.2500 for always answering 1/2; the last input alone tells nothing more. With every_step the present
            input is the answer at the first step, which is one in (shortest + longest) / 2.
    Solved  The last 2000 training sequences all right.
    Published  Found by random weight guessing: lstmlab.tasks.common.guessing.

    Decisions where the text leaves a choice:
    - training draws fresh sequences; guessing classifies a set of 100, 50 of each class, drawn once;
    - solved is judged as in 1997 on training sequences, since guessing has no rule for a net that is trained.

    shortest, longest: lengths, 2 <= shortest <= longest. noise: below 1, so that the sign stays; 0.2 is the published one.
    every_step: see above. tolerance: the bound of the error, in (0, 0.5]; 0.4 is Fahlman's 40-20-40 rule. criterion:
    settings of the rule to change. Raises ValueError for other values.
    Source: Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms"; Bengio, Simard & Frasconi 1994.
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
        self.shortest = whole("Parity", "shortest", shortest, least=2)
        self.steps = whole(
            "Parity", "longest", longest, least=shortest, why="which is task.shortest"
        )
        self.noise = real("Parity", "noise", noise, least=0.0, most=0.99)
        self.every_step = choice("Parity", "every_step", every_step, (True, False))
        self.tolerance = real("Parity", "tolerance", tolerance, least=1e-6, most=0.5)
        self.lag = 1 if every_step else shortest - 1
        self.readouts = self.steps if every_step else 1
        first = (
            2 / (shortest + longest) if every_step else 0.0
        )  # share of the steps at which the present input is the answer
        self.memoryless = 0.25 * (1 - first**2)
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": None, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.shortest, self.steps, size=n, endpoint=True) - 1
        odd, start = np.zeros(n, bool), 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((1,), (1,), ()))
            drawn = (
                2 * rng.random((length, n), dtype="float32").T - 1
            )  # its sign is the bit, its size the noise
            bit = drawn >= 0
            x[..., 0] = np.where(
                bit, 1 + self.noise * (2 * drawn - 1), -1 + self.noise * (2 * drawn + 1)
            )
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

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return x[..., 0] > 0
