"""The temporal order problem (experiments 6a and 6b)."""

import numpy as np

from lstmlab.task import Task, choice, mark, one_hot, whole, within

LINES = "EBabcdXY"
SYMBOLS = {2: "QRSU", 3: "QRSUVABC"}  # classes, in the order XX, XY, YX, YY, or XXX, XXY, ... YYY
WINDOWS = {
    2: ((10, 20), (50, 60)),
    3: ((10, 20), (33, 43), (66, 76)),
}  # where the symbols lie, in hundredths of T


class TemporalOrder(Task):
    """Two or three symbols, far apart in a stream of others: say in which order they came.

    Shown   One of 8 symbols per step, as one of 8 lines set to 1. First E, last B; between them a, b, c, d at random, but
            for X or Y, each with probability 1/2, at two or three places: elements T/10 ... T/5 and T/2 ... 3T/5 of the
            sequence (6a), or T/10 ... T/5, 33T/100 ... 43T/100 and 66T/100 ... 76T/100 (6b). Length T ... T + T/10.
    Asked   At the last step the class, one of 4 (6a: XX Q, XY R, YX S, YY U) or of 8 lines (6b: XXX Q, XXY R, XYX S, XYY U,
            YXX V, YXY A, YYX B, YYY C) set to 1. No error at any other step.
    Lag     At least 40 steps (6a) or 24 steps (6b) from the last X or Y to the answer at T=100.
    Right   |error| < 0.3 at every output.
    Chance  Squared error 0.1875 (6a; 6b 0.1094) for always answering the share of each class; the last symbol alone, always
            B, tells nothing more.
    Solved  The last 2000 training sequences all right and their mean absolute error below 0.1.

    Decisions where the text leaves a choice:
    - places and lengths are uniform, both ends included; inclusive=False leaves the greatest length out;
    - elements are counted from 1, so that the minimal lags are the 40 and 24 of Table 10;
    - "average training error" is the mean absolute error over the outputs and over the same 2000 sequences;
      task.criterion.measure=squared sums the squares over the outputs instead.

    symbols: 2 (6a) or 3 (6b). T: shortest length, at least 20 (so that the first X or Y does not fall on E); it sets the
    lag. inclusive: see above. criterion: settings of the rule to change.
    Raises ValueError for other values. Source: Hochreiter & Schmidhuber 1997, section 5.6.
    """

    features, readouts = 8, 1
    inputs = tuple(LINES)
    output_activation = "sigmoid"
    test_size = 2560
    tolerance = 0.3

    def __init__(
        self, symbols: int = 2, T: int = 100, inclusive: bool = True, criterion: dict | None = None
    ):
        self.symbols = choice("TemporalOrder", "symbols", symbols, (2, 3))
        self.T = whole("TemporalOrder", "T", T, least=20)
        self.longest = (
            T + T // 10 - (not choice("TemporalOrder", "inclusive", inclusive, (True, False)))
        )
        self.windows = [
            (low * T // 100, high * T // 100) for low, high in WINDOWS[symbols]
        ]  # elements counted from 1
        self.steps, self.lag = self.longest, T - self.windows[-1][1]
        self.targets, self.outputs = tuple(SYMBOLS[symbols]), len(SYMBOLS[symbols])
        self.chance = self.memoryless = (1 - 1 / self.outputs) / self.outputs
        self.criterion = {
            "rule": "sliding_window", "sequences": 2000, "wrong": 0, "error_below": 0.1, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        places = [rng.integers(low, high, size=n, endpoint=True) - 1 for low, high in self.windows]
        order = rng.integers(0, 2, size=(self.symbols, n))  # 0 for X, 1 for Y
        answer = sum(second << k for k, second in enumerate(order[::-1]))
        start = 0
        for length in lengths:
            codes = rng.integers(
                LINES.index("a"), LINES.index("d"), size=(length, n), endpoint=True
            ).T
            mark(codes, start, np.zeros(n, int), LINES.index("E"))
            mark(codes, start, last, LINES.index("B"))
            for at, second in zip(places, order, strict=True):
                mark(codes, start, at, LINES.index("X") + second)
            x = one_hot(codes, 8, start, last)
            y, w = np.zeros((n, length, self.outputs), "float32"), np.zeros((n, length), "float32")
            for line in range(self.outputs):
                mark(y, start, np.where(answer == line, last, -1), 1.0, line=line)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return x[..., [LINES.index(symbol) for symbol in "BXY"]].any(axis=-1)
