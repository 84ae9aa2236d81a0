"""Selective copying: symbols at random places among noise, to be said again in order."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import empty_piece
from lstmlab.tasks.common.rules import most_active, sliding_window
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task


class SelectiveCopy(Task):
    """Symbols at random places among noise: say them again in order, without the noise.

    Shown   Noise for T steps, except at `tokens` = 16 places, all sets of places equally likely,
            which show one of `symbols` = 14 symbols each, all equally likely; then 16 times the
            mark that asks. One of 16 lines is 1 (14 symbols, noise, the mark). There are always T +
            16 steps.
    Asked   At the last 16 steps the symbols in the order in which they came, as one of 14 lines set
            to 1. There is no error before.
    Lag     At least 16 steps from each symbol to its answer (the last symbol may come just before
            the mark), at most T, and (T + 16) / 2 on average.
    Right   The largest output is the right one at all 16 steps.
    Chance  Crossentropy ln 14 = 2.639 for giving all symbols the same probability; the mark, which
            is the input at these steps, tells nothing more.
    Solved  At most 20 of the last 2000 training sequences are wrong.

    Decisions where the text leaves a choice:
    - an alphabet of 16, as papers have it, holds the noise and the mark: 14 symbols remain to be
      copied;
    - noise is one symbol, the blank; noise=5 draws one of 5 at each step, on lines of their own;
    - papers count the share of right symbols and have no rule for "solved": here a sequence is
      right if all its symbols are, and the task is solved at 99 % over a sliding window.

    Args:
        T: Steps before the answer, at least `tokens`. It sets the lag.
        tokens: Symbols shown, at least 1.
        symbols: Different symbols, at least 2.
        noise: Different symbols of noise, at least 1.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        The form of Gu & Dao 2023 and of Feng et al. 2024, after Jing et al. 2019.
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
        owner = "SelectiveCopy"
        self.tokens = integer(owner, "task.tokens", tokens)
        self.T = integer(owner, "task.T", T, least=tokens, why="which is task.tokens")
        self.symbols = integer(owner, "task.symbols", symbols, least=2)
        self.noise = integer(owner, "task.noise", noise)

        self.lag = self.readouts = tokens
        self.steps = T + tokens
        self.features, self.outputs = symbols + noise + 1, symbols
        blanks = ("_",) if noise == 1 else tuple(f"_{k + 1}" for k in range(noise))
        self.targets = tuple(str(k + 1) for k in range(symbols))
        self.inputs = (*self.targets, *blanks, "?")
        self.chance = self.memoryless = math.log(symbols)
        self.criterion = sliding_window(criterion, wrong=20)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        places, shown = self._places(rng, n), rng.integers(0, self.symbols, size=(self.tokens, n))
        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            before = max(0, min(length, self.T - start))  # steps of this piece before the answer
            self._noise(rng, x[:, :before])
            x[:, before:, -1] = 1.0

            for k, (at, symbol) in enumerate(zip(places, shown, strict=True)):
                # the sequences whose k-th symbol is shown in this piece, in place of noise
                rows = np.flatnonzero((at >= start) & (at < start + length))
                x[rows, at[rows] - start] = 0.0
                x[rows, at[rows] - start, symbol[rows]] = 1.0
                if start <= self.T + k < start + length:
                    y[np.arange(n), self.T + k - start, symbol] = 1.0

            w[:, before:] = 1.0
            yield x, y, w
            start += length

    def _places(self, rng: Generator, n: int) -> np.ndarray:
        """Different steps among the first T, in order, [tokens, n]; every set of them is equally
        likely.

        The way of Floyd (1987): draw from a range that grows by one each time, and take its last
        number where the one drawn is taken already.
        """
        places = np.empty((self.tokens, n), int)
        for k, most in enumerate(range(self.T - self.tokens, self.T)):
            drawn = rng.integers(0, most, size=n, endpoint=True)
            taken = (places[:k] == drawn).any(axis=0)
            places[k] = np.where(taken, most, drawn)
        return np.sort(places, axis=0)

    def _noise(self, rng: Generator, part: np.ndarray) -> None:
        """Writes noise into a piece [n, length, features], in place."""
        if self.noise == 1:
            part[..., self.symbols] = 1.0
            return
        n, length, _ = part.shape
        # Drawn step after step, so cutting a sequence into pieces changes no number.
        codes = rng.integers(0, self.noise, size=(length, n)).T
        for code in range(self.noise):
            part[..., self.symbols + code] = codes == code

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return most_active(y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.any(x[..., : self.symbols], axis=-1)
