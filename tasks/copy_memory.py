"""The copy memory problem: ten symbols, a long silence, then the ten symbols again."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.rules import most_active, sliding_window
from numpy.random import Generator

from lstmlab.checks import integer, one_of
from lstmlab.task import Sequences, Task


class CopyMemory(Task):
    """Symbols, then a long silence: after the delimiter, say them again in order.

    Shown   `length` = 10 of `symbols` = 8 symbols, each equally likely; then T - 1 blanks, a
            delimiter, and 10 blanks. One of 10 input lines is 1 (8 symbols, blank, delimiter).
            There are always T + 20 steps.
    Asked   At every step one of 9 lines set to 1: blank for T + 10 steps, then the symbols in
            order, the first of them at the step after the delimiter.
    Lag     T + 10 steps, from each symbol to its answer. T is counted as in the papers: the steps
            after the last symbol shown, up to and including the delimiter.
    Right   The largest output is the right one at every step.
    Chance  Crossentropy 0.460 for always answering the share of each output; 0.452 when only the
            current input is known, which cannot tell the blanks before the delimiter from those
            after it. The level that papers call memoryless is that of a network that knows whether
            the delimiter has been shown, but no symbol: 10 ln 8 / (T + 20) = 0.1733 at T=100. It is
            measured on the test set next to the network (column `without_symbols_loss`).
    Solved  At most 20 of the last 2000 training sequences are wrong.

    Decisions where the text leaves a choice:
    - the delimiter is shown once and blanks follow, the form of 2016. delimiter=throughout shows it
      at each of the 10 steps of the answer, as other papers do; then T blanks come before it, and
      10 ln 8 / (T + 20) is indeed the smallest loss for an output that knows only the current
      input;
    - blanks count in the error like symbols, so the loss is a mean over T + 20 steps;
    - papers show curves of the loss and have no rule for "solved": here it is 99 % of the sequences
      right over a sliding window.

    Args:
        T: See Lag; at least 1.
        length: Number of symbols shown, at least 1.
        symbols: Number of different symbols, at least 2.
        delimiter: 'once' or 'throughout', see above.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        The form of Arjovsky, Shah & Bengio 2016, after Hochreiter & Schmidhuber 1997.
    """

    output_activation, loss = "softmax", "crossentropy"
    test_size = 2560

    def __init__(
        self,
        T: int = 100,
        length: int = 10,
        symbols: int = 8,
        delimiter: str = "once",
        criterion: dict | None = None,
    ):
        owner = "CopyMemory"
        self.T = integer(owner, "task.T", T)
        self.length = integer(owner, "task.length", length)
        self.symbols = integer(owner, "task.symbols", symbols, least=2)
        self.delimiter = one_of(owner, "task.delimiter", delimiter, ("once", "throughout"))

        self.lag, self.steps = T + length, T + 2 * length
        self.readouts = self.steps
        self.features, self.outputs = symbols + 2, symbols + 1
        letters = tuple(f"{k + 1}" for k in range(symbols))
        self.inputs, self.targets = (*letters, "_", ":"), (*letters, "_")
        self.chance = self._uncertainty(T + length) / self.steps
        self.memoryless = self._uncertainty(T - 1 if delimiter == "once" else 0) / self.steps
        self.criterion = sliding_window(criterion, wrong=20)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        shown = rng.integers(0, self.symbols, size=(self.length, n))
        blank, rows, start = self.symbols, np.arange(n), 0
        for length in lengths:
            x = np.zeros((n, length, self.features), "float32")
            y = np.zeros((n, length, self.outputs), "float32")
            x[..., blank] = y[..., blank] = 1.0
            # the same symbols, as they are shown and as they are asked
            for part, first in ((x, 0), (y, self.T + self.length)):
                for t in range(max(start, first), min(start + length, first + self.length)):
                    part[:, t - start, blank] = 0.0
                    part[rows, t - start, shown[t - first]] = 1.0

            # where a piece has no delimiter, this slice of it is empty
            begin, end = (max(0, step - start) for step in self._delimiters)
            x[:, begin:end, blank], x[:, begin:end, blank + 1] = 0.0, 1.0
            yield x, y, np.ones((n, length), "float32")
            start += length

    @property
    def _delimiters(self) -> tuple[int, int]:
        """The first step with the delimiter, and the step after the last."""
        first = self.T + self.length
        return (first - 1, first) if self.delimiter == "once" else (first, self.steps)

    def _uncertainty(self, blanks: int) -> float:
        """Crossentropy, summed over the symbols and the blanks that look the same as them."""
        both = blanks + self.length
        # -ln of the share of a blank, and below of each symbol, among inputs that look the same
        of_blanks = blanks * math.log(both / blanks) if blanks else 0.0
        return of_blanks + self.length * math.log(self.symbols * both / self.length)

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return most_active(y, prediction, w)

    def baselines(self, x: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
        """'without_symbols': blanks until the delimiter, then the same probability for all
        symbols."""
        delimiter = x[..., -1] > 0
        # 'once': from the step after the delimiter on; else from its first step on
        answering = np.cumsum(delimiter, axis=1) > (delimiter if self.delimiter == "once" else 0)
        prediction = np.zeros((*w.shape, self.outputs), "float32")
        prediction[..., :-1] = answering[..., None] / self.symbols
        prediction[..., -1] = ~answering
        return {"without_symbols": prediction}

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return x[..., self.symbols] == 0
