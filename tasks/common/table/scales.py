"""Numbers as float32 that keep their differences, however far from 0 or close together."""

import numpy as np
from lstmlab.tasks.common.table.messages import fail, in_cell

FIRST = 1000  # numbers of a column by which its scale is chosen
MOST = 1e18  # the square of a number that large is still finite in float32


class Scales:
    """What is subtracted from each column when it is read, and what it is then divided by.

    Both are chosen by the first numbers of a column. The divisor is a power of two: it rounds
    nothing.

    Args:
        names: The columns.
        together: Whether all columns have one scale.

    Attributes:
        offsets: What is subtracted from each column, [F].
        scales: What it is divided by, [F].
    """

    def __init__(self, names: list[str], together: bool):
        self.names = names
        width = 1 if together else len(names)
        self._offsets, self._scales = np.full(width, np.nan), np.full(width, np.nan)

    @property
    def offsets(self) -> np.ndarray:
        return np.broadcast_to(np.nan_to_num(self._offsets), len(self.names))

    @property
    def scales(self) -> np.ndarray:
        scales = np.where(np.isnan(self._scales), 1.0, self._scales)
        return np.broadcast_to(scales, len(self.names))

    def __call__(self, chunk: np.ndarray, done: int) -> np.ndarray:
        """Numbers [rows, F] of a chunk that begins at row `done`, as they are kept.

        Raises:
            ValueError: For a number that is too far from the first ones of its column.
        """
        columns = chunk.reshape(-1, len(self._scales))
        for k in np.flatnonzero(np.isnan(self._scales)):
            self._choose(int(k), columns[:, k])
        with np.errstate(over="ignore"):
            kept = (chunk - self.offsets) / self.scales

        far = np.abs(kept) > MOST
        if far.any():
            row, column = (int(k[0]) for k in np.nonzero(far))
            expected = f"numbers less than {MOST:g} times as far apart as the first of their column"
            where = in_cell(done + row, self.names[column])
            fail(expected, f"{chunk[row, column]:g} in {where}")
        return kept

    def _choose(self, k: int, values: np.ndarray) -> None:
        """The middle of the first numbers, and a power of two near their usual distance to it.

        As long as there is no number, or all are the same, the choice is left to the next chunk.
        """
        found = values[~np.isnan(values)][:FIRST]
        if not len(found):
            return
        if np.isnan(self._offsets[k]):
            # one of the numbers: the mean of two may be too large
            self._offsets[k] = np.sort(found)[len(found) // 2]
        with np.errstate(over="ignore"):
            away = np.abs(found - self._offsets[k])
        if away.any():
            usual = np.sort(away[away > 0])[(away > 0).sum() // 2]
            _, exponent = np.frexp(min(usual, np.finfo("float64").max))
            self._scales[k] = np.ldexp(1.0, exponent - 1)
