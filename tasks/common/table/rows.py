"""A table as rows of numbers, one step each."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.columns import Columns
from lstmlab.tasks.common.table.text import Text, below_header, check_finite, fail

PARTS = ("train", "validation", "test")


@dataclass
class Rows:
    """One step per row.

    Attributes:
        numbers: The inputs, [N, F].
        sequence: The number of the sequence that each row belongs to, [N].
        names: The name of each sequence.
        time: The time of each row, or None.
        labels: The class of each row, or None.
        classes: The name of each class.
        parts: The part of each row, a number of PARTS, or None.
        units: Which rows must stay in one part, or None.
    """

    numbers: np.ndarray
    sequence: np.ndarray
    names: list[str]
    time: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: list[str] = field(default_factory=list)
    parts: np.ndarray | None = None
    units: np.ndarray | None = None

    def keep(self, chosen: np.ndarray) -> None:
        """Keeps only some rows, by a mask, or brings them into an order."""
        if chosen.dtype == bool and chosen.all():
            return
        for name in ("numbers", "sequence", "time", "labels", "parts", "units"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name)[chosen])


def read(text: Text, columns: Columns, time_format: str | None, limit: int) -> Rows:
    """Reads the whole table. Only the chosen columns and one chunk are ever in memory.

    Args:
        text: The file.
        columns: Which column is what; its `offsets` are set.
        time_format: How dates are written, or None.
        limit: Numbers that may be kept in memory.

    Raises:
        ValueError: For a table that is too large, and for cells that do not fit their column.
    """
    width = len(columns.numbers)
    if text.rows * width > limit:
        numbers = text.rows * width
        size = f"{text.rows} rows x {width} columns = {numbers}, {4 * numbers / 2**30:.1f} GiB"
        fail(f"at most task.limit={limit} numbers; fewer task.features, or a higher limit", size)

    values = np.empty((text.rows, width), "float32")
    label = None if columns.forecasts else columns.target
    codes = {name: _Codes(name, text) for name in (columns.group, label) if name is not None}
    times = _Times(columns.time, text, time_format) if columns.time is not None else None
    parts: list[np.ndarray] = []
    words = [
        name for name in (columns.group, label, columns.time, columns.part) if name is not None
    ]

    done, offsets = 0, None
    for frame in text.frames(columns.numbers, words):
        chunk = frame[columns.numbers].to_numpy()
        if offsets is None:
            offsets = _offsets(chunk[0], columns.wide)
        with np.errstate(over="ignore"):
            values[done : done + len(chunk)] = chunk - offsets
        expected = "numbers that are finite in float32 less the first of their column"
        kept = values[done : done + len(chunk)]
        check_finite(kept, chunk, columns.numbers, done, expected)
        for code in codes.values():
            code.add(frame[code.name], done)
        if times is not None:
            times.add(frame[times.name], done)
        if columns.part is not None:
            parts.append(_parts(frame[columns.part], columns.part, done))
        done += len(chunk)

    if offsets is not None:
        columns.offsets = offsets[: len(columns.lines)]
    rows = Rows(values, np.zeros(done, "int32"), ["the series"])
    rows.time = times.values() if times is not None else None
    rows.parts = np.concatenate(parts) if parts else None

    if label is not None:
        rows.labels, rows.classes = codes[label].in_order()
    group = codes.get(columns.group or "")
    if columns.wide:
        return _from_wide(rows, group)
    if group is not None:
        rows.sequence, rows.names = group.values(), group.names()
    return rows


def _offsets(first: np.ndarray, wide: bool) -> np.ndarray:
    """What to subtract from each column, by its first row.

    Numbers far from 0 keep their digits in float32 as differences from the first ones.
    """
    offsets = np.nan_to_num(first)
    return np.full_like(offsets, offsets[0]) if wide else offsets


def _from_wide(rows: Rows, group: "_Codes | None") -> Rows:
    """One step per row instead of one sequence per row, without the empty cells at its end."""
    n, steps = rows.numbers.shape
    # up to the last number of each row: what is empty before it is missing, not absent
    inside = np.flip(np.cumsum(np.flip(~np.isnan(rows.numbers), axis=1), axis=1), axis=1) > 0
    inside[:, 0] = True  # a row without any number must still be there to be complained of
    sequence = np.repeat(np.arange(n, dtype="int32"), steps)[inside.ravel()]

    names = [f"row {k + 1}" for k in range(n)]
    # [rows, steps] -> [N, 1], row after row as `sequence`
    spread = Rows(rows.numbers[inside][:, None], sequence, names, classes=rows.classes)
    spread.labels = rows.labels[sequence] if rows.labels is not None else None
    spread.parts = rows.parts[sequence] if rows.parts is not None else None
    spread.units = group.values()[sequence] if group is not None else None
    return spread


def in_order(rows: Rows) -> None:
    """Sorts rows by sequence and time.

    Raises:
        ValueError: For a time that a sequence has twice.
    """
    time = rows.time if rows.time is not None else np.zeros(0)
    step = np.diff(rows.sequence)
    if (step < 0).any() or (len(time) and ((step == 0) & (time[1:] < time[:-1])).any()):
        # only then, since sorting copies the table; the last key of lexsort counts first
        by_sequence = np.argsort(rows.sequence, kind="stable")
        rows.keep(np.lexsort((time, rows.sequence)) if len(time) else by_sequence)
        time = rows.time if rows.time is not None else time

    if len(time):
        twice = np.flatnonzero((np.diff(rows.sequence) == 0) & (time[1:] == time[:-1]))
        if len(twice):
            name, at = rows.names[rows.sequence[twice[0]]], _said(time[twice[0]])
            received = f"{len(twice)} repeated, the first in {name!r} at {at}"
            fail("each time once in a sequence", received)


def _said(time: np.datetime64 | float) -> str:
    return str(pd.Timestamp(time)) if isinstance(time, np.datetime64) else f"{time:g}"


class _Codes:
    """The words of one column as numbers, chunk by chunk."""

    def __init__(self, name: str, text: Text):
        self.name, self.text = name, text
        self.known: dict[str, int] = {}
        self.chunks: list[np.ndarray] = []

    def add(self, words: pd.Series, done: int) -> None:
        if words.isna().any():
            where = below_header(done + int(words.isna().to_numpy().argmax()))
            fail(f"no empty cells in column {self.name!r}", f"one in {where}")
        codes, found = pd.factorize(words)
        numbers = [self.known.setdefault(word, len(self.known)) for word in found]
        # codes of this chunk -> codes of the whole table
        self.chunks.append(np.array(numbers, "int32")[codes])

    def values(self) -> np.ndarray:
        return np.concatenate(self.chunks)

    def names(self) -> list[str]:
        return list(self.known)

    def in_order(self) -> tuple[np.ndarray, list[str]]:
        """Codes by the order of the words; of numbers, by their size."""
        words = self.names()
        sizes = self.text.as_numbers(pd.Series(words))
        if sizes.isna().any():
            order = np.argsort(words)
        else:
            order = np.argsort(sizes.to_numpy(), kind="stable")
        place = np.empty(len(words), "int32")
        # the inverse of `order`: where each old code comes in it
        place[order] = np.arange(len(words))
        return place[self.values()], [words[k] for k in order]


class _Times:
    """A time column as numbers or dates; its first cell says which."""

    def __init__(self, name: str, text: Text, format: str | None):
        self.name, self.text = name, text
        self.format, self.dates = format, format is not None
        self.chunks: list[np.ndarray] = []

    def add(self, words: pd.Series, done: int) -> None:
        if not self.chunks and not self.dates:
            self._look_at(words.iloc[:1])
        if self.dates:
            # as utc, so that dates with different offsets can be compared
            times = pd.to_datetime(words, format=self.format, errors="coerce", utc=True)
            times = times.dt.tz_localize(None)
        else:
            times = self.text.as_numbers(words)

        if times.isna().any():
            row = int(times.isna().to_numpy().argmax())
            like = f"times as {self.format}" if self.dates else "numbers"
            where = f"{words.iloc[row]!r} in {below_header(done + row)}"
            fail(f"{like} in column {self.name!r}; see task.time_format", where)
        self.chunks.append(times.to_numpy("datetime64[ns]" if self.dates else "float64"))

    def _look_at(self, first: pd.Series) -> None:
        if self.text.as_numbers(first).notna().all():
            return
        self.dates = True
        self.format = pd.tseries.api.guess_datetime_format(str(first.iloc[0]))
        if self.format is None:
            expected = f"numbers or dates in column {self.name!r}, or task.time_format"
            fail(expected, f"{first.iloc[0]!r} in {below_header(0)}")

    def values(self) -> np.ndarray:
        return np.concatenate(self.chunks)


def _parts(words: pd.Series, name: str, done: int) -> np.ndarray:
    """The numbers of the parts that a column names."""
    codes = words.map({part: k for k, part in enumerate(PARTS)})
    if codes.isna().any():
        row = int(codes.isna().to_numpy().argmax())
        where = f"{words.iloc[row]!r} in {below_header(done + row)}"
        fail(f"one of {PARTS} in column {name!r}", where)
    return codes.to_numpy("int8")
