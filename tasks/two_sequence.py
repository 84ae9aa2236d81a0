"""The two-sequence problem: noise and signal on one input line (experiments 3a, 3b and 3c)."""

import copy

import numpy as np

from lstmlab.task import Drawn, Task, choice, cut_off, mark, whole, within

VARIANCE, TARGET_VARIANCE = 0.2, 0.1
# form -> targets of class 1 and class 2, tolerance, most of the 256 that may be wrong, bound of the mean error
FORMS = {
    "3a": (1.0, 0.0, 0.2, 0, 0.01),
    "3b": (1.0, 0.0, 0.2, 5, 0.04),
    "3c": (0.2, 0.8, 0.1, 0, 0.015),
}


class TwoSequence(Task):
    """A few elements tell the class, and noise follows on the same line: say the class at the end.

    Shown   One line. The first N elements are 1 (class 1) or -1 (class 2), each class with probability 1/2; all later ones
            are Gaussian, mean 0, variance 0.2. Form 3b: such noise is added to the first N elements too. Length uniform in
            T ... T + T/10.
    Asked   At the last element: 1 (class 1) or 0 (class 2). Form 3c: 0.2 or 0.8, plus, in training, Gaussian noise of mean 0
            and variance 0.1. No error at any other step.
    Lag     At least T - N steps from the last element that tells to the answer.
    Right   |error| < 0.2; form 3c: at most 0.1 from the target, which in the sets is free of noise.
    Chance  Squared error 0.25 for always answering 0.5 (3c: 0.09, and 0.19 with the noise of the training targets); the last
            element alone, always noise, tells nothing more.
    Solved  Of 256 validation sequences none wrong (3b: at most 5) and their mean absolute error below 0.01 (3b: 0.04, 3c:
            0.015); stop=ST1 asks for the first of the two clauses alone.

    Decisions where the text leaves a choice:
    - the 256 sequences are drawn once per seed, apart from training and test, and tried after each window of training
      (trainer.window sequences); task.criterion.redraw=true draws new ones each time;
    - lengths include both T and T + T/10; inclusive=False leaves the latter out;
    - the elements that follow are noise in form 3c as well, and its first N elements are free of it, as in 3a;
    - the noise of a target is drawn anew for each training sequence; `correct` and the errors of a training window are
      measured against the noisy target, those of the validation and the test set against the target without noise.

    form: '3a', '3b' or '3c'. N: elements that tell, 1 ... T - 1. T: shortest length, at least 2. stop: 'ST2', or 'ST1'.
    inclusive: see above. criterion: settings of the rule to change.
    Raises ValueError for other values. Source: Hochreiter & Schmidhuber 1997, section 5.3.
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
        self.form = choice("TwoSequence", "form", form, tuple(FORMS))
        self.T = whole("TwoSequence", "T", T, least=2)
        self.N = whole("TwoSequence", "N", N, least=1, most=T - 1)
        inclusive = choice("TwoSequence", "inclusive", inclusive, (True, False))
        self.longest = T + T // 10 - (T >= 10 and not inclusive)
        self.steps, self.lag = self.longest, T - N
        *answers, self.tolerance, wrong, bound = FORMS[form]
        self.answers = np.array(answers)
        self.target_noise = np.sqrt(TARGET_VARIANCE) if form == "3c" else 0.0
        self.chance = self.memoryless = (answers[0] - answers[1]) ** 2 / 4
        mean = bound if choice("TwoSequence", "stop", stop, ("ST1", "ST2")) == "ST2" else None
        self.criterion = {
            "rule": "whole_sets", "sets": ["validation"], "wrong": wrong, "error_below": mean, "measure": "absolute",
            "redraw": False, **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        second = rng.integers(0, 2, size=n)
        answer = self.answers[second]
        if self.target_noise:
            answer = answer + self.target_noise * rng.standard_normal(n)
        start = 0
        for length in lengths:
            x, y, w = (np.zeros((n, length, *lines), "float32") for lines in ((1,), (1,), ()))
            x[..., 0] = (
                np.sqrt(VARIANCE, dtype="float32")
                * rng.standard_normal((length, n), dtype="float32").T
            )
            telling = slice(0, max(0, self.N - start))
            if self.form != "3b":
                x[:, telling] = 0.0
            x[:, telling] += (1 - 2 * second)[:, None, None]
            cut_off(x, start, last)
            mark(y, start, last, answer, line=0)
            mark(w, start, last)
            yield x, y, w
            start += length

    def sets(self, seed, draw=0):
        clean = copy.copy(self)
        clean.target_noise = 0.0
        return {
            "test": Drawn(clean, seed, "test", self.test_size),
            "validation": Drawn(clean, seed, "sets", self.validation_size, draw),
        }

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return np.broadcast_to(np.arange(w.shape[1]) < self.N, w.shape)
