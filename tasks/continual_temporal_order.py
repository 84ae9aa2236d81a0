"""Continual noisy temporal order (2000): the order of three symbols, again and again, and nothing resets the net."""

import numpy as np
from lstmlab.tasks.common.continual import Continual

from lstmlab.task import valid_steps

SYMBOLS = "EBabcdXY"
PLACES = (
    (10, 20),
    (33, 43),
    (66, 76),
)  # of the three symbols that count, in steps from 0, both included
LENGTHS = (100, 110)
CLASSES = ("Q", "R", "S", "U", "V", "A", "B", "C")  # XXX, XXY, XYX, XYY, YXX, YXY, YYX, YYY


class ContinualTemporalOrder(Continual):
    """An endless stream of temporal order problems: after each, in which order did X and Y come?

    Shown   One of the symbols E, B, a, b, c, d, X, Y per step, as one of 8 lines set to 1: sequences of experiment 6b, one
            after another. Each starts with E, ends with B and has 100 to 110 symbols; X or Y, each with probability 1/2, stand
            at three places, uniform in 10-20, 33-43 and 66-76; the others are uniform in a, b, c, d.
    Asked   At each B: the class of the sequence it ends, one of 8 outputs. No error at any other step.
    Lag     At least 23 steps from the third symbol to the answer.
    Right   Every |error| < 0.49, at every B of the stream.
    Chance  Squared error 7/64 = 0.1094 for always answering 1/8; the B alone tells nothing more.
    Solved  10 test streams of 100,000 symbols without an error.

    Decisions where the text leaves a choice:
    - there is an error at each B alone, as in 1997;
    - places are counted from 0, the E: the text does not say from where;
    - a training stream has `steps` symbols and is cut off inside a sequence; what is shown after its last B is not asked for.

    steps: symbols of a training stream, at least 110. test_symbols: of a test stream, at least 110.
    criterion: settings of the rule to change. Raises ValueError for smaller values.
    Source: Gers, Schmidhuber & Cummins 2000, Neural Computation 12:2451; Hochreiter & Schmidhuber 1997, section 5.6.
    """

    inputs, targets = tuple(SYMBOLS), CLASSES
    output_activation = "sigmoid"
    tolerance = 0.49
    lag = LENGTHS[0] - 1 - PLACES[-1][1]
    chance = memoryless = 7 / 64

    def __init__(
        self, steps: int = 1050, test_symbols: int = 100_000, criterion: dict | None = None
    ):
        lines = np.eye(8)
        ends = np.tile(lines[SYMBOLS.index("B")], (8, 1))
        codes = (
            np.concatenate([lines, ends]),
            np.concatenate([0 * lines, lines]),
            np.repeat([0, 1], 8),
        )  # 8 + k: B of class k
        self.set_codes(*codes)
        self.set_streams(steps, test_symbols, typical=LENGTHS[1], least=LENGTHS[1])
        self.readouts = self.steps // LENGTHS[0]
        self.criterion = {
            "rule": "whole_sets", "sets": ["test"], "wrong": 0, "error_below": None, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip

    def strings(self, rng, n):
        codes = rng.integers(
            SYMBOLS.index("a"),
            SYMBOLS.index("d"),
            size=(n, LENGTHS[1]),
            dtype="uint8",
            endpoint=True,
        )
        lengths, rows = rng.integers(*LENGTHS, size=n, endpoint=True), np.arange(n)
        kind = np.zeros(n, int)
        codes[:, 0] = SYMBOLS.index("E")
        for place in PLACES:
            is_y = rng.integers(0, 2, size=n)
            codes[rows, rng.integers(*place, size=n, endpoint=True)] = SYMBOLS.index("X") + is_y
            kind = 2 * kind + is_y
        codes[rows, lengths - 1] = 8 + kind
        return codes, lengths

    def events(self, x, w):
        asked_for = valid_steps(w)
        return asked_for & ((x[..., SYMBOLS.index("X") :] > 0).any(axis=-1) | (w > 0))
