"""Windows of sequences: which rows each shows, what it asks for, and where it may begin."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator


@dataclass
class Windows:
    """The windows of a table's sequences.

    Attributes:
        starts: The first row of each sequence.
        lengths: How many rows each has.
        steps: T, the steps of a window.
        horizon: How many rows ahead a forecast is, or None for a class at the last step.
        warmup: Rows of a window that are seen before the first forecast is asked for.
        known: Which rows have a known target, bool, or None for all.
    """

    starts: np.ndarray
    lengths: np.ndarray
    steps: int
    horizon: int | None
    warmup: int
    known: np.ndarray | None

    def rows(self, sequence: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row of the table at each step of the windows [n, T], and which steps lie inside."""
        last = self.starts[sequence] + self.lengths[sequence] - 1 - (self.horizon or 0)
        rows = start[:, None] + np.arange(self.steps)
        # beyond the end the last row again, so that it can be an index
        return np.minimum(rows, last[:, None]), rows <= last[:, None]

    def asked_steps(self, rows: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Which steps of windows ask for a forecast [n, T]: never for a target that was missing."""
        asked: np.ndarray = inside & (np.arange(self.steps) >= self.warmup - 1)
        if self.known is not None:
            asked &= self.known[rows + (self.horizon or 0)]
        return asked

    def asked(self, sequence: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Which windows ask for anything, bool [n]."""
        if self.known is None:
            return np.ones(len(start), bool)
        return np.any(self.asked_steps(*self.rows(sequence, start)), axis=1)

    def cut(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sequence and first row of each window of the chosen sequences, every step asked once."""
        if self.horizon is None:
            return chosen, self.starts[chosen]
        stride = self.steps - self.warmup + 1
        # steps that can be asked, by the stride, rounded up
        numbers = -(-(self.lengths[chosen] - self.horizon - self.warmup + 1) // stride)
        sequence = np.repeat(chosen, numbers)
        # 0, 1, 2, ... within each sequence
        window = np.arange(len(sequence)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        start = self.starts[sequence] + window * stride
        asked = self.asked(sequence, start)
        return sequence[asked], start[asked]

    def draw_from(self, chosen: np.ndarray) -> "Drawing":
        """What draws windows from anywhere in the chosen sequences."""
        places = np.ones(len(chosen), int)
        if self.horizon is not None:
            # a sequence shorter than a window has one place, and is padded
            places = np.maximum(1, self.lengths[chosen] - self.horizon - self.steps + 1)
        return Drawing(self, chosen, np.cumsum(places))


@dataclass
class Drawing:
    """Draws windows, all places of all sequences equally likely.

    Attributes:
        windows: The windows.
        chosen: The sequences.
        places: How many places there are, added up over the sequences.
    """

    windows: Windows
    chosen: np.ndarray
    places: np.ndarray

    def __call__(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Sequence and first row of n windows."""
        sequence, start = self._draw(rng, n)
        # windows that ask for nothing are drawn again
        again = np.flatnonzero(~self.windows.asked(sequence, start))
        while len(again):
            sequence[again], start[again] = self._draw(rng, len(again))
            again = again[~self.windows.asked(sequence[again], start[again])]
        return sequence, start

    def _draw(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        place = rng.integers(self.places[-1], size=n)
        k = np.searchsorted(self.places, place, side="right")
        sequence = self.chosen[k]
        # a place among all -> the place in its sequence
        return sequence, self.windows.starts[sequence] + place - np.r_[0, self.places][k]
