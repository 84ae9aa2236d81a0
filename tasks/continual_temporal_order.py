"""Continual noisy temporal order (2000): the order of three symbols, again and again, without
resets."""

import numpy as np
from lstmlab.tasks.common.continual import Continual
from lstmlab.tasks.common.rules import whole_sets
from numpy.random import Generator

from lstmlab.task import valid_steps

SYMBOLS = "EBabcdXY"
# Where the three symbols that count lie, in steps from 0, both ends included.
PLACES = ((10, 20), (33, 43), (66, 76))
LENGTHS = (100, 110)
CLASSES = ("Q", "R", "S", "U", "V", "A", "B", "C")  # XXX, XXY, XYX, XYY, YXX, YXY, YYX, YYY


class ContinualTemporalOrder(Continual):
    """An endless stream of temporal order problems: after each, in which order did X and Y come?

    Shown   One of the symbols E, B, a, b, c, d, X, Y per step, as one of 8 lines set to 1:
            sequences of experiment 6b, one after another. Each starts with E, ends with B and has
            100 to 110 symbols. X or Y, each with probability 1/2, is shown at three places, uniform
            in 10-20, 33-43 and 66-76; the other symbols are uniform in a, b, c, d.
    Asked   At each B: the class of the sequence it ends, as one of 8 outputs. There is no error at
            any other step.
    Lag     At least 23 steps from the third symbol to the answer.
    Right   Every |error| < 0.49, at every B of the stream.
    Chance  Squared error 7/64 = 0.1094 for always answering 1/8; the B tells nothing more.
    Solved  10 test streams of 100,000 symbols without an error.

    Decisions where the text leaves a choice:
    - there is an error only at each B, as in 1997;
    - places are counted from 0, the E: the text does not say from where;
    - a training stream has `steps` symbols and is cut off inside a sequence; what is shown after
      its last B is not asked for.

    Args:
        steps: Symbols in a training stream, at least 110.
        test_symbols: Symbols in a test stream, at least 110.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For smaller values.

    References:
        Gers, Schmidhuber & Cummins 2000, Neural Computation 12:2451; Hochreiter & Schmidhuber 1997,
        section 5.6.
    """

    inputs, targets = tuple(SYMBOLS), CLASSES
    output_activation = "sigmoid"
    tolerance = 0.49
    lag = LENGTHS[0] - 1 - PLACES[-1][1]
    chance = memoryless = 7 / 64

    def __init__(
        self, steps: int = 1050, test_symbols: int = 100_000, criterion: dict | None = None
    ):
        # The codes 0 to 7 are the symbols, of which none is asked for; 8 + k is a B of class k.
        lines = np.eye(8)
        ends = np.tile(lines[SYMBOLS.index("B")], (8, 1))
        shown, asked = np.concatenate([lines, ends]), np.concatenate([0 * lines, lines])
        self.set_codes(shown, asked, np.repeat([0, 1], 8))
        self.set_streams(steps, test_symbols, typical=LENGTHS[1], least=LENGTHS[1])
        self.readouts = self.steps // LENGTHS[0]
        self.criterion = whole_sets(criterion, sets=["test"])

    def strings(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        low, high, size = SYMBOLS.index("a"), SYMBOLS.index("d"), (n, LENGTHS[1])
        codes = rng.integers(low, high, size=size, dtype="uint8", endpoint=True)
        lengths, rows = rng.integers(*LENGTHS, size=n, endpoint=True), np.arange(n)
        kind = np.zeros(n, int)

        codes[:, 0] = SYMBOLS.index("E")
        for place in PLACES:
            is_y = rng.integers(0, 2, size=n)
            codes[rows, rng.integers(*place, size=n, endpoint=True)] = SYMBOLS.index("X") + is_y
            kind = 2 * kind + is_y
        codes[rows, lengths - 1] = 8 + kind
        return codes, lengths

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        asked_for = valid_steps(w)
        return asked_for & ((x[..., SYMBOLS.index("X") :] > 0).any(axis=-1) | (w > 0))
