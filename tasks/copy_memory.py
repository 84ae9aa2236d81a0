"""The copy memory problem: ten symbols, a long silence, then the ten symbols again."""

import math

import numpy as np

from lstmlab.task import Task, choice, most_active, whole


class CopyMemory(Task):
    """Symbols, then a long silence: after the delimiter, say them again in order.

    Shown   `length` = 10 of `symbols` = 8 symbols, each as likely as any other; then T - 1 blanks, a delimiter, and 10 blanks.
            One of 10 lines set to 1 (8 symbols, blank, delimiter). T + 20 steps, always.
    Asked   At every step one of 9 lines set to 1: blank for T + 10 steps, then the symbols in order, the first of them at the
            step after the delimiter.
    Lag     T + 10 steps, from each symbol to its answer. T counts as in the papers: steps from the last symbol shown to the
            delimiter, which is the last of them.
    Right   The greatest output is the right one at every step.
    Chance  Crossentropy 0.460 for always answering the share of each output; 0.452 with the present input alone, which cannot
            tell the blanks before the delimiter from those after it. The level that papers call memoryless is that of
            a net that knows the delimiter has been, but no symbol: 10 ln 8 / (T + 20) = 0.1733 at T=100. It is measured on the
            test set beside the net (column `without_symbols_loss`).
    Solved  Of the last 2000 training sequences at most 20 wrong.

    Decisions where the text leaves a choice:
    - the delimiter is shown once and blanks follow, the form of 2016. delimiter=throughout shows it at each of the 10 steps
      of the answer, as other papers do; then T blanks come before it, and 10 ln 8 / (T + 20) is indeed the least loss
      with the present input alone;
    - blanks count in the error like symbols, so the loss is a mean over T + 20 steps;
    - papers show curves of the loss and no rule for "solved": here 99 % of sequences right over a sliding window.

    T: see Lag, at least 1. length, symbols: at least 1 and 2. delimiter: 'once' or 'throughout'. criterion: settings of the
    rule to change.
    Raises ValueError for other values. Source: the form of Arjovsky, Shah & Bengio 2016, after Hochreiter & Schmidhuber 1997.
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
        self.T = whole("CopyMemory", "T", T)
        self.length = whole("CopyMemory", "length", length)
        self.symbols = whole("CopyMemory", "symbols", symbols, least=2)
        self.delimiter = choice("CopyMemory", "delimiter", delimiter, ("once", "throughout"))
        self.lag, self.steps = T + length, T + 2 * length
        self.readouts = self.steps
        self.features, self.outputs = symbols + 2, symbols + 1
        letters = tuple(f"{k + 1}" for k in range(symbols))
        self.inputs, self.targets = (*letters, "_", ":"), (*letters, "_")
        self.chance = self._uncertainty(T + length) / self.steps
        self.memoryless = self._uncertainty(T - 1 if delimiter == "once" else 0) / self.steps
        self.criterion = {
            "rule": "sliding_window",
            "sequences": 2000,
            "wrong": 20,
            "error_below": None,
            **(criterion or {}),
        }

    def pieces(self, rng, n, lengths):
        shown = rng.integers(0, self.symbols, size=(self.length, n))
        blank, rows, start = self.symbols, np.arange(n), 0
        for length in lengths:
            x, y = (
                np.zeros((n, length, lines), "float32") for lines in (self.features, self.outputs)
            )
            x[..., blank] = y[..., blank] = 1.0
            for part, first in ((x, 0), (y, self.T + self.length)):
                for t in range(max(start, first), min(start + length, first + self.length)):
                    part[:, t - start, blank] = 0.0
                    part[rows, t - start, shown[t - first]] = 1.0
            here = slice(
                max(0, self._delimiters.start - start), max(0, self._delimiters.stop - start)
            )
            x[:, here, blank], x[:, here, blank + 1] = 0.0, 1.0
            yield x, y, np.ones((n, length), "float32")
            start += length

    @property
    def _delimiters(self) -> slice:
        """The steps with the delimiter."""
        first = self.T + self.length
        return slice(first - 1, first) if self.delimiter == "once" else slice(first, self.steps)

    def _uncertainty(self, blanks: int) -> float:
        """Crossentropy, summed over so many blanks and the symbols, of an output that cannot tell these apart."""
        both = blanks + self.length
        of_blanks = blanks * math.log(both / blanks) if blanks else 0.0
        return of_blanks + self.length * math.log(self.symbols * both / self.length)

    def correct(self, y, prediction, w):
        return most_active(y, prediction, w)

    def baselines(self, x, w):
        """Blanks until the delimiter, then all symbols alike."""
        delimiter = x[..., -1] > 0
        answering = np.cumsum(delimiter, axis=1) > (delimiter if self.delimiter == "once" else 0)
        prediction = np.zeros((*w.shape, self.outputs), "float32")
        prediction[..., :-1] = answering[..., None] / self.symbols
        prediction[..., -1] = ~answering
        return {"without_symbols": prediction}

    def events(self, x, w):
        return x[..., self.symbols] == 0
