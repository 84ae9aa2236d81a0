"""The parity problem: were there evenly or oddly many ones? Random weight guessing solves it."""

import numpy as np

from lstmlab.task import Task, cut_off, mark, real, whole, within


class Parity(Task):
    """A long row of ones and minus ones: was the number of ones odd?

    Shown   One line, at every step 1 or -1, each with probability 1/2, plus noise uniform in [-noise, noise]. Length uniform
            in shortest ... longest, both included.
    Asked   At the last step: 1 if the number of ones was odd, 0 if it was even. No error at any other step.
    Lag     shortest - 1 steps from the first input to the answer; every later input is needed as well.
    Right   |error| < 0.1.
    Chance  Squared error 0.2500 for always answering 1/2; the last input alone tells nothing more.
    Solved  The last 2000 training sequences all right.
    Published (random weight guessing, lengths 500-600)  2906 trials with one hidden unit (A1), 2797 with many sparse ones (A2),
            250 with A2 without self-connections; with noise 0.2: 41,400 (A1). Guessing is lstmlab.tasks.guessing.
            The 1997 paper: not solvable at 500 steps by gradient descent from small weights.

    Decisions where the text leaves a choice:
    - training draws fresh sequences; guessing classifies a set of 100, 50 of each class, drawn once;
    - solved is judged as in 1997 on training sequences, since guessing has no rule for a net that is trained.

    shortest, longest: lengths, 2 <= shortest <= longest. noise: below 1, so that the sign stays; 0.2 is the published one.
    criterion: settings of the rule to change. Raises ValueError for other values.
    Source: Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms"; Bengio, Simard & Frasconi 1994.
    """

    features = outputs = readouts = 1
    inputs, targets = ("value",), ("odd",)
    output_activation = "sigmoid"
    test_size = 2560
    tolerance = 0.1
    chance = memoryless = 0.25

    def __init__(self, shortest: int = 500, longest: int = 600, noise: float = 0.0, criterion: dict | None = None):
        self.shortest = whole("Parity", "shortest", shortest, least=2)
        self.steps = whole("Parity", "longest", longest, least=shortest, why="which is task.shortest")
        self.noise = real("Parity", "noise", noise, least=0.0, most=0.99)
        self.lag = shortest - 1
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": None, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.shortest, self.steps, size=n, endpoint=True) - 1
        odd, start = np.zeros(n, bool), 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((1,), (1,), ()))
            drawn = 2 * rng.random((length, n), dtype="float32").T - 1  # its sign is the bit, its size the noise
            bit = drawn >= 0
            x[..., 0] = np.where(bit, 1 + self.noise * (2 * drawn - 1), -1 + self.noise * (2 * drawn + 1))
            cut_off(x, start, last)
            odd ^= (x[..., 0] > 0).sum(axis=1) % 2 == 1
            mark(y, start, last, odd.astype("float32"), line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return x[..., 0] > 0
