"""The latch problem: hold one bit through noise. Random weight guessing solves it in a few trials."""

import numpy as np

from lstmlab.task import Task, choice, cut_off, mark, real, whole, within


class Latch(Task):
    """The first input is a bit; hold it through noise.

    Shown   One line: -1 or 1, each with probability 1/2, then Gaussian noise of mean 0 and variance 0.2. Length uniform in
            shortest ... longest, both included.
    Asked   At the last step: the first input (1 or -1). No error at any other step.
    Lag     shortest - 1 steps, from the first input to the answer.
    Right   |error| < 0.1.
    Chance  Squared error 1 for always answering 0; the last input alone tells nothing more, for it is noise.
    Solved  The last 2000 training sequences all right.
    Published  Found by random weight guessing: lstmlab.tasks.common.guessing.

    Decisions where the text leaves a choice:
    - training draws fresh sequences; guessing classifies a set of 100, 50 of each class, drawn once;
    - solved is judged as in 1997 on training sequences, since guessing has no rule for a net that is trained.

    shortest, longest: lengths, 2 <= shortest <= longest. variance: of the noise. answer: 1.0, or 0.8 as in variant I.
    criterion: settings of the rule to change. Raises ValueError for other values.
    Source: Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms"; Bengio, Simard & Frasconi 1994.
    """

    features = outputs = readouts = 1
    inputs, targets = ("value",), ("first",)
    output_activation = "tanh"
    test_size = 2560
    tolerance = 0.1

    def __init__(
        self,
        shortest: int = 500,
        longest: int = 600,
        variance: float = 0.2,
        answer: float = 1.0,
        criterion: dict | None = None,
    ):
        self.shortest = whole("Latch", "shortest", shortest, least=2)
        self.steps = whole(
            "Latch", "longest", longest, least=shortest, why="which is task.shortest"
        )
        self.deviation = real("Latch", "variance", variance, least=0.0) ** 0.5
        self.answer = choice("Latch", "answer", answer, (1.0, 0.8))
        self.lag = shortest - 1
        self.chance = self.memoryless = self.answer**2
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": None, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.shortest, self.steps, size=n, endpoint=True) - 1
        bit = 2.0 * rng.integers(0, 2, size=n) - 1
        start = 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((1,), (1,), ()))
            x[..., 0] = self.deviation * rng.standard_normal((length, n), dtype="float32").T
            mark(x, start, np.zeros(n, int), bit, line=0)
            cut_off(x, start, last)
            mark(y, start, last, self.answer * bit, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        first = np.zeros(w.shape, bool)
        first[:, 0] = True
        return first | (w > 0)
