"""Missing values, and the scale of each column."""

from dataclasses import dataclass, field

import numpy as np
from lstmlab.tasks.common.table.columns import Columns
from lstmlab.tasks.common.table.messages import fail, setting
from lstmlab.tasks.common.table.rows import Rows
from lstmlab.tasks.common.table.scales import MOST

FAR = 3  # times the range of all others: a whole number further off may mark a missing value


@dataclass
class Log:
    """What was left out or filled in: notes for a reader, and counts for the result row."""

    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("table_rows", "rows_dropped", "cells_filled", "sequences_dropped", "time_gaps"), 0
        )
    )


def notes_on_marks(rows: Rows, columns: Columns) -> list[str]:
    """Names whole numbers that lie so far off all others of their column that they may be marks."""
    notes = []
    for k, name in enumerate(columns.lines):
        column = rows.numbers[:, k]
        for mark in _far_off(column), -_far_off(-column):
            value = float(columns.offsets[k] + columns.scales[k] * mark)
            # kept as float32, and so rounded; from 1e6 on its last digit is not sure
            if abs(value) < 1e6 and abs(value - round(value)) <= 1e-6 * abs(value):
                said = f"column {name!r}: {round(value)} is far off all others"
                like = setting("missing_values", [round(value)])
                notes.append(f"{said}; if it marks a missing value, {like}")
    return notes


def _far_off(column: np.ndarray) -> float:
    """The least number, if it is far below all others, and these are not all the same; or NaN."""
    least, most = np.fmin.reduce(column), np.fmax.reduce(column)
    second = np.min(column, where=column > least, initial=np.inf)
    return float(least) if 0 < FAR * (most - second) < second - least else np.nan


def without_missing(rows: Rows, how: str, columns: Columns, log: Log) -> np.ndarray:
    """Treats missing numbers, in place.

    Args:
        rows: The rows, in order.
        how: 'error', 'drop' the row, or 'fill' with the value before.
        columns: Which column is what.
        log: Where to say what was done.

    Returns:
        Which rows have a target that was not missing, bool [N], among the rows that are left.

    Raises:
        ValueError: For missing numbers, if `how` is 'error'.
    """
    absent = np.isnan(rows.numbers)
    known = ~absent[:, 0] if columns.forecasts else np.ones(len(absent), bool)
    if not absent.any():
        return known
    if how == "error":
        _fail_for_missing(rows, absent, columns)
    if how == "fill":
        fill(rows)

    # after 'fill' this leaves out only what no value precedes
    keep = ~np.isnan(rows.numbers).any(axis=1)

    filled, dropped = int(absent[keep].sum()), int((~keep).sum())
    log.counts |= {"cells_filled": filled, "rows_dropped": dropped}
    if filled:
        log.notes.append(f"{filled} missing values filled with the value before")
    if dropped:
        why = "that no value precedes " if how == "fill" else ""
        log.notes.append(f"{dropped} rows with missing values {why}dropped")
    gone = len(np.unique(rows.sequence)) - len(np.unique(rows.sequence[keep]))
    if gone:
        log.counts["sequences_dropped"] = gone
        log.notes.append(f"{gone} sequences dropped with them, of which no row was left")
    rows.keep(keep)
    return known[keep]


def _fail_for_missing(rows: Rows, absent: np.ndarray, columns: Columns) -> None:
    row, column = (int(k[0]) for k in np.nonzero(absent))
    step = row - int(np.searchsorted(rows.sequence, rows.sequence[row])) + 1
    sequence = rows.names[rows.sequence[row]]
    where = f"sequence {sequence!r}, " if len(rows.names) > 1 else ""
    where += f"step {step}, column {columns.lines[column]!r}"
    received = f"{int(absent.sum())} missing, the first in {where}"
    fail("no missing values, or task.missing=drop or fill", received)


def fill(rows: Rows) -> None:
    """Replaces missing values by the last one before them in the same sequence, in place."""
    first = np.r_[True, np.diff(rows.sequence) != 0]
    # the first row of the sequence of each row
    begin = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    for k in range(rows.numbers.shape[1]):
        column = rows.numbers[:, k]
        # a missing value counts as `begin`: nothing comes from the sequence before
        last = np.maximum.accumulate(np.where(np.isnan(column), begin, np.arange(len(column))))
        rows.numbers[:, k] = column[last]


def standardise(
    values: np.ndarray, training: np.ndarray, columns: Columns, log: Log
) -> tuple[np.ndarray, np.ndarray]:
    """Subtracts from each column its mean and divides by its standard deviation, in place.

    Args:
        values: The inputs, [N, F].
        training: Which rows belong to the training part, bool [N]: only they count.
        columns: Which column is what.
        log: Where to say which columns are constant.

    Returns:
        The means and the standard deviations, [F] each; 1 for a constant column.

    Raises:
        ValueError: For a constant target of a forecast, and for numbers that become infinite.
    """
    means, stds = np.zeros(values.shape[1]), np.ones(values.shape[1])
    for k, name in enumerate(columns.lines):
        column = values[training, k].astype("float64")
        means[k], spread = column.mean(), column.std()
        # a smaller spread is the rounding of float32
        if spread > 1e-7 * np.abs(column).max():
            stds[k] = spread
        elif columns.forecasts and k == 0:
            fail("a target that varies in the training part", f"the constant {name!r}")
        else:
            log.notes.append(
                f"column {name!r} is constant in the training part: it says nothing there"
            )
        with np.errstate(over="ignore"):
            values[:, k] -= means[k]
            values[:, k] /= stds[k]
        if (np.abs(values[:, k]) > MOST).any():
            expected = f"numbers up to {MOST:g} standard deviations of the training part"
            fail(expected, f"others in column {name!r}")
    return means, stds
