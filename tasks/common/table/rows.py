"""A table as rows of numbers, one step each."""

from dataclasses import dataclass, field

import numpy as np
from lstmlab.tasks.common.table.columns import Columns
from lstmlab.tasks.common.table.gaps import said_time
from lstmlab.tasks.common.table.keys import Codes, parts_of
from lstmlab.tasks.common.table.messages import fail
from lstmlab.tasks.common.table.scales import Scales
from lstmlab.tasks.common.table.steps import notes_on_steps
from lstmlab.tasks.common.table.text import Text
from lstmlab.tasks.common.table.times import Times


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
        columns: Which column is what; its `offsets` and `scales` are set, and notes are added.
        time_format: How dates are written, or None.
        limit: Numbers that may be kept in memory.

    Raises:
        ValueError: For a table that is too large, and for cells that do not fit their column.
    """
    _check_size(text, columns, limit)
    values = np.empty((text.rows, len(columns.numbers)), "float32")
    scales = Scales(columns.numbers, columns.wide)
    group, label, times = _collectors(text, columns, time_format)
    parts: list[np.ndarray] = []

    done = 0
    for frame in text.frames(columns.numbers, columns.words):
        here = slice(done, done + len(frame))
        values[here] = scales(frame[columns.numbers].to_numpy(), done)
        for part in (group, label, times):
            if part is not None:
                part.add(frame, done)
        if columns.part is not None:
            parts.append(parts_of(frame[columns.part], columns.part, done))
        done += len(frame)

    lines = slice(len(columns.lines))
    columns.offsets, columns.scales = scales.offsets[lines], scales.scales[lines]
    rows = Rows(values, np.zeros(done, "int32"), ["the series"])
    rows.time = times.values() if times is not None else None
    rows.parts = np.concatenate(parts) if parts else None
    if label is not None:
        rows.labels, rows.classes = label.in_order()
    for words in (group, label):
        columns.notes += words.notes() if words is not None else []
    columns.notes += times.notes if times is not None else []

    if columns.wide:
        columns.notes += notes_on_steps(columns.numbers, values)
        return _from_wide(rows, group)
    if group is not None:
        rows.sequence, rows.names = group.values(), group.names()
    return rows


def _check_size(text: Text, columns: Columns, limit: int) -> None:
    width = len(columns.numbers)
    numbers = text.rows * width
    if numbers > limit:
        size = f"{text.rows} rows x {width} columns = {numbers}, {4 * numbers / 2**30:.1f} GiB"
        fail(f"at most task.limit={limit} numbers; fewer task.features, or a higher limit", size)


def _collectors(
    text: Text, columns: Columns, time_format: str | None
) -> tuple[Codes | None, Codes | None, Times | None]:
    """What collects the words of the group, of the class and of the time, where there are any."""
    label = [] if columns.target is None or columns.forecasts else [columns.target]
    return (
        Codes(columns.group, text.form) if columns.group else None,
        Codes(label, text.form) if label else None,
        Times(columns.time, text.form, time_format) if columns.time else None,
    )


def _from_wide(rows: Rows, group: Codes | None) -> Rows:
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


def in_order(rows: Rows, columns: Columns) -> list[str]:
    """Sorts rows by sequence and time.

    Returns:
        A note, if they were not in order.

    Raises:
        ValueError: For a time that a sequence has twice.
    """
    time = rows.time if rows.time is not None else np.zeros(0)
    step, notes = np.diff(rows.sequence), []
    if (step < 0).any() or (len(time) and ((step == 0) & (time[1:] < time[:-1])).any()):
        # only then, since sorting copies the table; the last key of lexsort counts first
        by_sequence = np.argsort(rows.sequence, kind="stable")
        rows.keep(np.lexsort((time, rows.sequence)) if len(time) else by_sequence)
        time = rows.time if rows.time is not None else time
        by = [" and ".join(map(repr, names)) for names in (columns.group, columns.time) if names]
        notes.append(f"the rows were not in order: sorted by {', then '.join(by)}")

    if len(time):
        _check_once(rows, time, columns)
    return notes


def _check_once(rows: Rows, time: np.ndarray, columns: Columns) -> None:
    twice = np.flatnonzero((np.diff(rows.sequence) == 0) & (time[1:] == time[:-1]))
    if not len(twice):
        return
    name, at = rows.names[rows.sequence[twice[0]]], said_time(time[twice[0]])
    another = "[" + ", ".join([*columns.group, "..."]) + "]"
    expected = "each time once in a sequence; the usual reason is a second column that says which "
    expected += f"rows belong together, as in task.group={another}"
    if not columns.group:
        expected = "each time once in a sequence; the usual reason is several series in one table, "
        expected += "and task.group names the column that tells them apart"
    expected += "; another is an hour or a day in a column that task.time leaves out"
    fail(expected, f"{len(twice)} repeated, the first in {name!r} at {at}")
