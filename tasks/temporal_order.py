"""The temporal order problem (experiments 6a and 6b)."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import mark, one_hot
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import flag, integer, one_of
from lstmlab.task import Sequences, Task

LINES = "EBabcdXY"
SYMBOLS = {2: "QRSU", 3: "QRSUVABC"}  # classes, in the order XX, XY, YX, YY, or XXX, XXY, ... YYY
# Where the symbols lie, in hundredths of T.
WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


class TemporalOrder(Task):
    """Two or three symbols, far apart in a stream of others: say in which order they came.

    Shown   One of 8 symbols per step, as one of 8 lines set to 1. The first is E, the last B;
            between them come a, b, c, d at random, but X or Y, each with probability 1/2, at two or
            three places: elements T/10 ... T/5 and T/2 ... 3T/5 of the sequence (6a), or T/10 ...
            T/5, 33T/100 ... 43T/100 and 66T/100 ... 76T/100 (6b). The length is T ... T + T/10.
    Asked   At the last step the class, as one of 4 (6a: XX Q, XY R, YX S, YY U) or of 8 lines (6b:
            XXX Q, XXY R, XYX S, XYY U, YXX V, YXY A, YYX B, YYY C) set to 1. There is no error at
            any other step.
    Lag     At least 40 steps (6a) or 24 steps (6b) from the last X or Y to the answer at T=100.
    Right   |error| < 0.3 at every output.
    Chance  Squared error 0.1875 (6a; 6b 0.1094) for always answering the share of each class; the
            last symbol, always B, tells nothing more.
    Solved  The last 2000 training sequences are all right and their mean absolute error is below
            0.1.

    Decisions where the text leaves a choice:
    - places and lengths are uniform, both ends included; inclusive=False leaves the greatest length
      out;
    - elements are counted from 1, so that the minimal lags are the 40 and 24 of Table 10;
    - "average training error" is the mean absolute error over the outputs and over the same 2000
      sequences; task.criterion.measure=squared sums the squares over the outputs instead.

    Args:
        symbols: 2 (6a) or 3 (6b).
        T: The shortest length, at least 20, so that the first X or Y does not fall on E. It sets
            the lag.
        inclusive: Whether the length T + T/10 occurs.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.6.
    """

    features, readouts = 8, 1
    inputs = tuple(LINES)
    output_activation = "sigmoid"
    test_size = 2560
    tolerance = 0.3

    def __init__(
        self, symbols: int = 2, T: int = 100, inclusive: bool = True, criterion: dict | None = None
    ):
        owner = "TemporalOrder"
        self.symbols = one_of(owner, "task.symbols", symbols, (2, 3))
        self.T = integer(owner, "task.T", T, least=20)
        self.longest = T + T // 10 - (not flag(owner, "task.inclusive", inclusive))
        # First and last element of each window, counted from 1.
        self.windows = [(low * T // 100, high * T // 100) for low, high in WINDOWS[symbols]]
        self.steps, self.lag = self.longest, T - self.windows[-1][1]
        self.targets, self.outputs = tuple(SYMBOLS[symbols]), len(SYMBOLS[symbols])
        self.chance = self.memoryless = (1 - 1 / self.outputs) / self.outputs
        self.criterion = sliding_window(criterion, error_below=0.1)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        last = rng.integers(self.T, self.longest, size=n, endpoint=True) - 1
        places = [rng.integers(low, high, size=n, endpoint=True) - 1 for low, high in self.windows]
        order = rng.integers(0, 2, size=(self.symbols, n))  # 0 for X, 1 for Y
        answer = sum(is_y << k for k, is_y in enumerate(order[::-1]))

        low, high = LINES.index("a"), LINES.index("d")
        start = 0
        for length in lengths:
            codes = rng.integers(low, high, size=(length, n), endpoint=True).T
            mark(codes, start, np.zeros(n, int), LINES.index("E"))
            mark(codes, start, last, LINES.index("B"))
            for at, is_y in zip(places, order, strict=True):
                mark(codes, start, at, LINES.index("X") + is_y)

            x = one_hot(codes, 8, start, last)
            y, w = np.zeros((n, length, self.outputs), "float32"), np.zeros((n, length), "float32")
            for line in range(self.outputs):
                mark(y, start, np.where(answer == line, last, -1), line=line)
            mark(w, start, last)
            yield x, y, w
            start += length

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.any(x[..., [LINES.index(symbol) for symbol in "BXY"]], axis=-1)
