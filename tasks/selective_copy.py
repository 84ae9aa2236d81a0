"""Selective copying: symbols at random places among noise, to be said again in order."""

import math

import numpy as np

from lstmlab.task import Task, most_active, whole


class SelectiveCopy(Task):
    """Symbols at random places among noise: say them again in order, without the noise.

    Shown   For T steps noise, but for `tokens` = 16 places, all sets of places alike, with one of `symbols` = 14 symbols each,
            each as likely as any other; then 16 times the mark that asks. One of 16 lines set to 1 (14 symbols, noise, the
            mark). T + 16 steps, always.
    Asked   At the 16 last steps the symbols in the order in which they came, one of 14 lines set to 1. No error before.
    Lag     At least 16 steps from each symbol to its answer (the last symbol may come just before the mark), at most T, and
            (T + 16) / 2 on average.
    Right   The greatest output is the right one at all 16 steps.
    Chance  Crossentropy ln 14 = 2.639 for always answering all symbols alike; the mark, which is the input at these steps,
            tells nothing more.
    Solved  Of the last 2000 training sequences at most 20 wrong.

    Decisions where the text leaves a choice:
    - an alphabet of 16, as papers have it, holds the noise and the mark: 14 symbols remain to be copied;
    - noise is one symbol, the blank; noise=5 draws one of 5 at each step, on lines of their own;
    - papers count the share of right symbols and have no rule for "solved": here a sequence is right if all its symbols are,
      and 99 % over a sliding window.

    T: steps before the answer, at least `tokens`; it sets the lag. tokens, noise: at least 1; symbols: at least 2. criterion:
    settings of the rule to change.
    Raises ValueError for other values. Source: the form of Gu & Dao 2023 and of Feng et al. 2024, after Jing et al. 2019.
    """

    output_activation, loss = "softmax", "crossentropy"
    test_size = 2560

    def __init__(
        self,
        T: int = 100,
        tokens: int = 16,
        symbols: int = 14,
        noise: int = 1,
        criterion: dict | None = None,
    ):
        self.tokens = whole("SelectiveCopy", "tokens", tokens)
        self.T = whole("SelectiveCopy", "T", T, least=tokens)
        self.symbols = whole("SelectiveCopy", "symbols", symbols, least=2)
        self.noise = whole("SelectiveCopy", "noise", noise)
        self.lag = self.readouts = tokens
        self.steps = T + tokens
        self.features, self.outputs = symbols + noise + 1, symbols
        self.targets = tuple(str(k + 1) for k in range(symbols))
        self.inputs = (
            *self.targets,
            *("_" if noise == 1 else f"_{k + 1}" for k in range(noise)),
            "?",
        )
        self.chance = self.memoryless = math.log(symbols)
        self.criterion = {
            "rule": "sliding_window",
            "sequences": 2000,
            "wrong": 20,
            "error_below": None,
            **(criterion or {}),
        }

    def pieces(self, rng, n, lengths):
        places, shown = self._places(rng, n), rng.integers(0, self.symbols, size=(self.tokens, n))
        start = 0
        for length in lengths:
            x, y = (
                np.zeros((n, length, lines), "float32") for lines in (self.features, self.outputs)
            )
            asked = max(0, min(length, self.T - start))  # steps of this piece before the answer
            self._noise(rng, x[:, :asked])
            x[:, asked:, -1] = 1.0
            for k, (at, symbol) in enumerate(zip(places, shown, strict=True)):
                rows = np.flatnonzero((at >= start) & (at < start + length))
                x[rows, at[rows] - start] = 0.0
                x[rows, at[rows] - start, symbol[rows]] = 1.0
                if start <= self.T + k < start + length:
                    y[np.arange(n), self.T + k - start, symbol] = 1.0
            w = np.zeros((n, length), "float32")
            w[:, asked:] = 1.0
            yield x, y, w
            start += length

    def _places(self, rng, n) -> np.ndarray:
        """[tokens, n]: different steps among the first T, in order; every set of them equally likely (Floyd 1987)."""
        places = np.empty((self.tokens, n), int)
        for k, most in enumerate(range(self.T - self.tokens, self.T)):
            drawn = rng.integers(0, most, size=n, endpoint=True)
            taken = (places[:k] == drawn).any(axis=0)
            places[k] = np.where(taken, most, drawn)
        return np.sort(places, axis=0)

    def _noise(self, rng, part: np.ndarray) -> None:
        if self.noise == 1:
            part[..., self.symbols] = 1.0
            return
        n, length, _ = part.shape
        codes = rng.integers(
            0, self.noise, size=(length, n)
        ).T  # step after step, so that cuts change nothing
        for code in range(self.noise):
            part[..., self.symbols + code] = codes == code

    def correct(self, y, prediction, w):
        return most_active(y, prediction, w)

    def events(self, x, w):
        return x[..., : self.symbols].any(axis=-1)
