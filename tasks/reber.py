"""The Reber grammar: predict every legal next symbol."""

from collections.abc import Iterable

import numpy as np
from lstmlab.tasks.common.reber_grammar import (
    REBER,
    SYMBOLS,
    Automaton,
    draw_sets,
    grammar_yardsticks,
    transition_tables,
)
from lstmlab.tasks.common.rules import whole_sets
from numpy.random import Generator

from lstmlab.checks import flag, integer
from lstmlab.task import Sequences, Task, generator


class Reber(Task):
    """Strings of a grammar, small enough that two symbols in a row tell where one is.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1. A string is B, then T or P,
            then on along the edges of the automaton to E. All choices have probability 1/2. It has
            at least 5 symbols, 8.0 on average.
    Asked   At every step the next symbol; the target is the symbol that follows in this string.
    Lag     1 step: what may follow a symbol depends on it and on the symbol before it, and on
            nothing else.
    Right   At every step of the string the legal next symbols are the most active outputs (or the
            output is the target itself).
    Chance  Squared error 0.1181 for always answering the mean target of the grammar; 0.0961 for the
            best answer to the present symbol. Test sets, which lack the shortest strings, differ by
            a few percent.
    Solved  All strings of both sets are right: 256 for training, 256 for test, no test string among
            the training strings.
    Published  No figure that we could check. Cleeremans, Servan-Schreiber & McClelland 1989 taught
            it to an Elman network, Fahlman 1991 to recurrent cascade-correlation.

    Decisions where the text leaves a choice:
    - sets, criterion and encoding are those of the embedded grammar of 1997;
    - diagnostics measure on test strings, because all training strings are trained on;
    - strings are drawn as the grammar gives them, so short ones repeat within a set; distinct=True
      draws 512 different ones.

    Args:
        pair: The number of the pair of sets, which is drawn from the stream 'sets'.
        distinct: Whether all strings are different.
        strings: Strings in each set, in 1..2000.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Reber 1967; Cleeremans, Servan-Schreiber & McClelland 1989.
    """

    features, outputs = 7, 7
    inputs = targets = tuple(SYMBOLS)
    output_activation = "sigmoid"
    lag = 1
    edges: Automaton = REBER
    chance, memoryless = grammar_yardsticks(edges)

    def __init__(
        self,
        pair: int = 0,
        distinct: bool = False,
        strings: int = 256,
        criterion: dict | None = None,
    ):
        owner = type(self).__name__
        integer(owner, "task.pair", pair, least=0)
        self.test_size = integer(owner, "task.strings", strings, most=2000)
        flag(owner, "task.distinct", distinct)
        self.criterion = whole_sets(criterion, sets=None)

        self._legal, self._next = transition_tables(self.edges)
        # seeded by the pair and not by the run: all trials of a pair have the same sets
        sets = draw_sets(generator(pair, "sets"), self.edges, strings, distinct)
        self.training_strings, self.test_strings = sets
        self.steps = self.readouts = max(map(len, self.training_strings + self.test_strings)) - 1
        self._training = self.encode(self.training_strings)

    def sample(self, rng: Generator, n: int) -> Sequences:
        drawn = rng.integers(0, len(self.training_strings), size=n)
        x, y, w = self._training
        return x[drawn], y[drawn], w[drawn]

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        return {"training": [self._training], "test": [self.encode(self.test_strings)]}

    def probe(self, seed: int, n: int) -> Sequences:
        drawn = generator(seed, "probe").integers(0, len(self.test_strings), size=n)
        x, y, w = self.encode(self.test_strings)
        return x[drawn], y[drawn], w[drawn]

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        asked, most = np.flatnonzero(w), np.float32(np.inf)
        legal, given, target = (
            # a symbol's steps side by side in memory: many times faster than along an axis of 7
            np.ascontiguousarray(of.reshape(-1, len(SYMBOLS)).take(asked, axis=0).T)
            for of in (self.legal(y), prediction, y)
        )
        least_legal = np.where(legal, given, most).min(axis=0)
        most_illegal = np.where(legal, -most, given).max(axis=0)
        # Where two symbols are legal the target leaves one of them at zero, like the illegal ones.
        exact = np.all(given == target, axis=0)
        right = np.ones(w.shape, bool)
        right.ravel()[asked] = (least_legal > most_illegal) | exact
        return np.all(right, axis=1)

    def legal(self, y: np.ndarray) -> np.ndarray:
        """The legal next symbols at each step, bool [n, T, 7], from the targets y [n, T, 7]."""
        # one line of y is 1, so that this is its number
        numbers = y @ np.arange(len(SYMBOLS), dtype=y.dtype)
        symbols = np.ascontiguousarray(numbers.T, dtype=np.intp)
        states = np.empty_like(symbols)
        state = np.full(len(y), self._next[0, SYMBOLS.index("B")])  # after the first symbol, B
        for t, shown in enumerate(symbols):
            states[t] = state
            state = self._next[state, shown]
        return self._legal[states.T]

    def encode(self, strings: list[str]) -> Sequences:
        """The strings as x, y, w, padded at the right.

        The input is each symbol but the last, the target each symbol but the first.
        """
        x = np.zeros((len(strings), self.steps, 7), "float32")
        y, w = np.zeros_like(x), np.zeros(x.shape[:2], "float32")
        for row, string in enumerate(strings):
            codes, t = [SYMBOLS.index(symbol) for symbol in string], np.arange(len(string) - 1)
            x[row, t, codes[:-1]] = y[row, t, codes[1:]] = 1.0
            w[row, t] = 1.0
        return x, y, w
