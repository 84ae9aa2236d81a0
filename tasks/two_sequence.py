"""The two-sequence problem: noise and signal on one input line (experiments 3a, 3b and 3c)."""

import copy
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from lstmlab.tasks.common.drawing import cut_off, empty_piece, mark
from lstmlab.tasks.common.rules import whole_sets, within
from numpy.random import Generator

from lstmlab.checks import flag, integer, one_of
from lstmlab.task import Drawn, Sequences, Task

VARIANCE, TARGET_VARIANCE = 0.2, 0.1


class Form(NamedTuple):
    """What the forms of the experiment differ in."""

    answers: tuple[float, float]  # targets of class 1 and class 2
    tolerance: float
    wrong: int  # the most of the 256 validation sequences that may be wrong
    error_below: float  # the bound of their mean error


FORMS = {
    "3a": Form((1.0, 0.0), 0.2, 0, 0.01),
    "3b": Form((1.0, 0.0), 0.2, 5, 0.04),
    "3c": Form((0.2, 0.8), 0.1, 0, 0.015),
}


class TwoSequence(Task):
    """A few elements tell the class, and noise follows on the same line: say the class at the end.

    Shown   One line. The first N elements are 1 (class 1) or -1 (class 2), each class with
            probability 1/2; all later ones are Gaussian, with mean 0 and variance 0.2. In form 3b
            such noise is added to the first N elements too. The length is uniform in T ... T +
            T/10.
    Asked   At the last element: 1 (class 1) or 0 (class 2). Form 3c: 0.2 or 0.8, plus, in training,
            Gaussian noise of mean 0 and variance 0.1. There is no error at any other step.
    Lag     At least T - N steps from the last element that tells to the answer.
    Right   |error| < 0.2; form 3c: at most 0.1 from the target, which in the sets is free of noise.
    Chance  Squared error 0.25 for always answering 0.5 (3c: 0.09, and 0.19 with the noise of the
            training targets); the last element, always noise, tells nothing more.
    Solved  None of 256 validation sequences is wrong (3b: at most 5) and their mean absolute error
            is below 0.01 (3b: 0.04, 3c: 0.015); stop=ST1 asks only for the first of the two
            clauses.

    Decisions where the text leaves a choice:
    - the 256 sequences are drawn once per seed, apart from training and test, and tried after each
      window of training (trainer.window sequences); task.criterion.redraw=true draws new ones each
      time;
    - lengths include both T and T + T/10; inclusive=False leaves the latter out;
    - the elements that follow are noise in form 3c as well, and its first N elements are free of
      it, as in 3a;
    - the noise of a target is drawn anew for each training sequence; `correct` and the errors of a
      training window are measured against the noisy target, those of the validation and the test
      set against the target without noise.

    Args:
        form: '3a', '3b' or '3c'.
        N: Elements that tell the class, in 1..T - 1.
        T: The shortest length, at least 2. It sets the lag.
        stop: 'ST2' for both clauses of Solved, or 'ST1' for the first.
        inclusive: Whether the length T + T/10 occurs.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.3.
    """

    features, outputs, readouts = 1, 1, 1
    inputs, targets = ("value",), ("class",)
    output_activation = "sigmoid"
    test_size, validation_size = 2560, 256

    def __init__(
        self,
        form: str = "3a",
        N: int = 3,
        T: int = 100,
        stop: str = "ST2",
        inclusive: bool = True,
        criterion: dict | None = None,
    ):
        owner = "TwoSequence"
        self.form = one_of(owner, "task.form", form, FORMS)
        self.T = integer(owner, "task.T", T, least=2)
        self.N = integer(owner, "task.N", N, most=T - 1, why="which is task.T - 1")
        one_of(owner, "task.stop", stop, ("ST1", "ST2"))
        flag(owner, "task.inclusive", inclusive)

        # below 10, T is the only length, and not left out
        self.longest = T + T // 10 - (T >= 10 and not inclusive)
        self.steps, self.lag = self.longest, T - N
        chosen = FORMS[form]
        self.answers, self.tolerance = np.array(chosen.answers), chosen.tolerance
        self.target_noise = np.sqrt(TARGET_VARIANCE) if form == "3c" else 0.0
        self.chance = self.memoryless = (chosen.answers[0] - chosen.answers[1]) ** 2 / 4
        bound = chosen.error_below if stop == "ST2" else None
        self.criterion = whole_sets(criterion, ["validation"], chosen.wrong, bound, redraw=False)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        second = rng.integers(0, 2, size=n)
        answer = self.answers[second]
        if self.target_noise:
            answer = answer + self.target_noise * rng.standard_normal(n)

        start, deviation = 0, np.sqrt(VARIANCE, dtype="float32")
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            x[..., 0] = deviation * rng.standard_normal((length, n), dtype="float32").T
            telling = slice(0, max(0, self.N - start))
            if self.form != "3b":
                x[:, telling] = 0.0
            x[:, telling] += (1 - 2 * second)[:, None, None]
            cut_off(x, start, last)

            mark(y, start, last, answer, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        clean = copy.copy(self)
        clean.target_noise = 0.0
        return {
            "test": Drawn(clean, seed, "test", self.test_size),
            "validation": Drawn(clean, seed, "sets", self.validation_size, draw),
        }

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.arange(w.shape[1]) < self.N, w.shape)
