"""Gaps in time: a horizon counts rows, and so does not see them."""

import re

import numpy as np
import pandas as pd

LONGER = 1.5  # a month of 31 days is no gap beside one of 28, two months are


def gaps_in(time: np.ndarray, sequence: np.ndarray) -> tuple[int, str]:
    """Counts the steps in time that are longer than the usual one of their sequence.

    Args:
        time: The time of each row, in order, [N].
        sequence: The number of the sequence that each row belongs to, [N].

    Returns:
        How many there are, and a sentence about them, or ''.
    """
    inside = np.flatnonzero(np.diff(sequence) == 0)
    if not len(inside):
        return 0, ""
    steps = (np.diff(time)[inside]).astype("float64")
    usual = _usual(steps, sequence[inside])
    longer = steps > LONGER * usual
    count = int(longer.sum())
    if not count:
        return 0, ""

    unit = np.datetime_data(time.dtype)[0] if time.dtype.kind == "M" else None
    k = int(np.argmax(np.where(longer, steps, 0)))
    said = (
        f"gaps in time: {count} of {len(steps)} steps are longer than the usual one, the longest "
    )
    said += f"{_size(steps[k], unit)} instead of {_size(usual[k], unit)}, "
    return count, f"{said}after {said_time(time[inside[k]])}; a horizon counts rows"


def _usual(steps: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """The middle step of the sequence that each step belongs to."""
    if sequence[0] == sequence[-1]:  # rows are in order, so there is only one
        middle = (len(steps) - 1) // 2
        return np.broadcast_to(np.partition(steps, middle)[middle], len(steps))
    first = np.flatnonzero(np.r_[True, np.diff(sequence) != 0])
    number = np.diff(np.r_[first, len(steps)])
    by_size = steps[np.lexsort((steps, sequence))]
    return np.repeat(by_size[first + (number - 1) // 2], number)


def _size(step: float, unit: str | None) -> str:
    """A step as a reader says it: a number, or days and hours."""
    if unit is None:
        return f"{step:g}"
    said = str(pd.Timedelta(int(step), unit=unit)).removesuffix(" 00:00:00")
    return re.sub("^1 days", "1 day", said.removeprefix("0 days "))


def said_time(time: np.datetime64 | float) -> str:
    """A time as a message shows it."""
    if not isinstance(time, np.datetime64):
        return f"{time:.15g}"
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00")
