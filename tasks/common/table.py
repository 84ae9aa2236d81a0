"""A table on disk as rows of numbers: read in chunks, checked cell by cell, nothing dropped without a word."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

PARTS = ("train", "validation", "test")
SEPARATORS = (";", "\t", "|", ",")
LOOK = 1000  # rows by which a column counts as numbers or as text


@dataclass
class Columns:
    """Which column of the table is what. numbers: read as numbers; lines: the inputs, the target of a forecast first."""

    numbers: list[str]
    lines: list[str]
    target: str | None
    group: str | None
    time: str | None
    part: str | None
    wide: bool
    forecasts: bool
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1))
    notes: list[str] = field(default_factory=list)


@dataclass
class Rows:
    """One step per row: numbers [N, F], the number of its sequence, and where the table has them time, class, part and unit."""

    numbers: np.ndarray
    sequence: np.ndarray
    names: list[str]
    time: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: list[str] = field(default_factory=list)
    parts: np.ndarray | None = None
    units: np.ndarray | None = None

    def keep(self, chosen: np.ndarray) -> None:
        """Only those rows, by a mask or in an order."""
        if chosen.dtype == bool and chosen.all():
            return
        for name in ("numbers", "sequence", "time", "labels", "parts", "units"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name)[chosen])


class Text:
    """A csv file: its header, the number of its rows, and its columns chunk by chunk."""

    def __init__(self, file: str, separator: str, decimal: str, encoding: str, chunk: int):
        separator = "\t" if separator == r"\t" else separator  # as it is typed in a shell
        for name, value in (("separator", separator), ("decimal", decimal)):
            if not isinstance(value, str) or len(value) != 1:
                fail("one character", f"task.{name}={value!r}")
        if not isinstance(encoding, str):
            fail("the name of an encoding", f"task.encoding={encoding!r}")
        self.path, self.separator, self.decimal, self.chunk = (
            Path(file).expanduser(),
            separator,
            decimal,
            chunk,
        )
        self.encoding = (
            "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
        )  # with or without its mark
        with self._errors():
            self.header, self.rows, self.blank = self._survey()

    def _survey(self) -> tuple[list[str], int, int]:
        """Every row must be as wide as the header: pandas would cut longer ones off and fill shorter ones."""
        with self._open() as handle:
            lines = csv.reader(handle, delimiter=self.separator)
            header = next((line for line in lines if line), [])
            if not header:
                fail("a table", f"the empty file task.file={str(self.path)!r}")
            rows = blank = since = 0
            for line in lines:
                if len(line) == len(header):
                    rows, blank, since = rows + 1, blank + since, 0
                elif not line:
                    since += 1
                else:
                    received = (
                        f"{len(line)} in line {lines.line_num} of task.file={str(self.path)!r}"
                    )
                    fail(
                        f"{len(header)} cells in every row, as in the header{self.other(header)}",
                        received,
                    )
        self._check_header(header)
        if not rows:
            fail("rows below the header", f"none in task.file={str(self.path)!r}")
        return header, rows, blank

    def other(self, header: list[str]) -> str:
        """A hint, if the header is one name that holds what separates the names in other files."""
        found = (
            [sign for sign in SEPARATORS if sign != self.separator and sign in header[0]]
            if len(header) == 1
            else []
        )
        return (
            f'; perhaps "task.separator={found[0]!r}", for the header is {header[0]!r}'
            if found
            else ""
        )

    def _check_header(self, header: list[str]) -> None:
        twice = [name for k, name in enumerate(header) if name in header[:k] or not name]
        if twice:
            fail("different names in the header", f"{twice[0]!r} twice or empty")
        if not pd.to_numeric(pd.Series(header), errors="coerce").isna().any():
            fail(
                "a header with the names of the columns",
                f"numbers alone in the first line: {header[:4]}",
            )

    def frames(self, numbers: list[str], words: list[str]) -> Iterator[pd.DataFrame]:
        """The columns, numbers as float64 and words as text, a chunk of rows at a time."""
        done = 0
        with self._errors():
            try:
                for frame in self._pandas(
                    dict.fromkeys(numbers, "float64") | dict.fromkeys(words, str)
                ):
                    self._check_finite(frame[numbers], done)
                    done += len(frame)
                    yield frame
            except ValueError as error:
                if "onvert" in str(error):
                    self._find_word(numbers)
                raise
        if done != self.rows:
            fail(
                f"the {self.rows} rows that were counted",
                f"{done} read, task.file={str(self.path)!r}",
            )

    def head(self) -> pd.DataFrame:
        """The first rows, as text."""
        with self._errors():
            return next(iter(self._pandas(dict.fromkeys(self.header, str), min(LOOK, self.chunk))))

    def _pandas(self, types: dict, rows: int | None = None) -> Iterator[pd.DataFrame]:
        how = {
            "sep": self.separator,
            "decimal": self.decimal,
            "chunksize": rows or self.chunk,
            "index_col": False,
        }
        with (
            self._open() as handle,
            pd.read_csv(handle, usecols=list(types), dtype=types, **how) as reader,
        ):
            yield from reader

    def _open(self):
        opener = gzip.open if self.path.suffix == ".gz" else open
        return opener(self.path, "rt", encoding=self.encoding, newline="")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What reading may raise, as one line."""
        file = f"task.file={str(self.path)!r}"
        try:
            yield
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x}"
            fail(
                f"text in the encoding {self.encoding!r}; see task.encoding",
                f"{byte} ({error.reason}), {file}",
            )
        except LookupError as error:
            fail("an encoding that Python knows", f"task.encoding={self.encoding!r} ({error})")
        except (OSError, EOFError) as error:
            fail("a file that can be read", f"{file} ({getattr(error, 'strerror', None) or error})")
        except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            fail("a table", f"{file} ({' '.join(str(error).split())})")

    def _find_word(self, numbers: list[str]) -> None:
        """Raise for the first cell that is no number."""
        done = 0
        for frame in self._pandas(dict.fromkeys(numbers, str)):
            for name in numbers:
                words = frame[name].notna() & self.as_numbers(frame[name]).isna()
                if words.any():
                    row = int(words.to_numpy().argmax())
                    where = f"row {done + row + 1} below the header, column {name!r}"
                    fail("numbers", f"{frame[name].iloc[row]!r} in {where}")
            done += len(frame)

    def as_numbers(self, words: pd.Series) -> pd.Series:
        words = words if self.decimal == "." else words.str.replace(self.decimal, ".", regex=False)
        return pd.to_numeric(words, errors="coerce")

    def _check_finite(self, frame: pd.DataFrame, done: int) -> None:
        infinite = np.isinf(frame.to_numpy())
        if infinite.any():
            row, column = (int(k[0]) for k in np.nonzero(infinite))
            fail(
                "finite numbers",
                f"infinity in row {done + row + 1} below the header, column {frame.columns[column]!r}",
            )


def columns_of(
    text: Text, target, features, group, time, part, wide: bool, forecasts: bool
) -> Columns:
    """The columns that the settings name, or all that hold numbers."""
    if features is not None and not (
        isinstance(features, list) and all(isinstance(name, str) for name in features)
    ):
        fail("a list of columns, or null", f"task.features={features!r}")
    notes = [f"{text.blank} blank lines left out"] if text.blank else []
    named = {"target": target, "group": group, "time": time, "part": part}
    for setting, name in [*named.items(), *(("features", name) for name in features or [])]:
        if name is not None and name not in text.header:
            nearest = get_close_matches(
                str(name).lower(), lower := [one.lower() for one in text.header], 1, cutoff=0
            )
            close = f"; nearest: {text.header[lower.index(nearest[0])]!r}" if nearest else ""
            file = f", task.file={str(text.path)!r}"
            fail(
                f"a column of the table{close}{text.other(text.header)}",
                f"task.{setting}={name!r}{file}",
            )
    _one_role_each(named, features or [], forecasts)
    others = {
        name
        for setting, name in named.items()
        if name is not None and not (setting == "target" and forecasts)
    }
    if features is None:
        head = text.head()
        left = [name for name in text.header if name not in others]
        words = [
            name
            for name in left
            if head[name].notna().any() and not text.as_numbers(head[name]).notna().any()
        ]
        if words:
            notes.append(f"columns left out, as they hold no numbers: {', '.join(words)}")
        features = [name for name in left if name not in words]
        if target in words:
            fail(
                "numbers in the target",
                f"task.target={target!r} with {head[target].dropna().iloc[0]!r}",
            )
    elif len(set(features)) < len(features):
        fail("different columns", f"task.features={features}")
    first = [target] if forecasts and not wide else []
    numbers = first + [name for name in features if name not in first]
    if not numbers:
        file = f"task.features={features}, task.file={str(text.path)!r}"
        fail(f"at least one column of numbers{text.other(text.header)}", file)
    return Columns(
        numbers,
        ["value"] if wide else numbers,
        target,
        group,
        time,
        part,
        wide,
        forecasts,
        notes=notes,
    )


def _one_role_each(named: dict[str, str | None], features: list[str], forecasts: bool) -> None:
    """Each column says one thing. What is forecast may stand among the features, for its past is shown in any case."""
    settings = [(setting, name) for setting, name in named.items() if name is not None]
    for k, (setting, name) in enumerate(settings):
        others = [f"task.{other}={name!r}" for other, same in settings[:k] if same == name]
        if name in features and not (setting == "target" and forecasts):
            others.append(f"task.features={features}")
        if others:
            fail(
                "different columns, each for one purpose",
                f"task.{setting}={name!r} and {others[0]}",
            )


def read(text: Text, columns: Columns, time_format: str | None, limit: int) -> Rows:
    """The whole table, of which no more than the chosen columns and one chunk are ever in memory."""
    width = len(columns.numbers)
    if text.rows * width > limit:
        size = f"{text.rows} rows x {width} columns = {text.rows * width}, {4 * text.rows * width / 2**30:.1f} GiB"
        fail(f"at most task.limit={limit} numbers; fewer task.features, or a higher limit", size)
    values = np.empty((text.rows, width), "float32")
    label = None if columns.forecasts else columns.target
    codes = {name: _Codes(name) for name in (columns.group, label) if name is not None}
    words = [
        name for name in (columns.group, label, columns.time, columns.part) if name is not None
    ]
    times = _Times(columns.time, time_format)
    parts: list[np.ndarray] = []
    done, offsets = 0, None
    for frame in text.frames(columns.numbers, words):
        chunk = frame[columns.numbers].to_numpy()
        if (
            offsets is None
        ):  # numbers far from 0 keep their digits in float32 as differences from the first ones
            offsets = np.nan_to_num(chunk[0])
            offsets = np.full_like(offsets, offsets[0]) if columns.wide else offsets
        values[done : done + len(chunk)] = chunk - offsets
        for code in codes.values():
            code.add(frame[code.name], done)
        if columns.time is not None:
            times.add(frame[columns.time], done)
        if columns.part is not None:
            parts.append(_parts(frame[columns.part], columns.part, done))
        done += len(chunk)
    columns.offsets = offsets[: len(columns.lines)] if offsets is not None else columns.offsets
    group = codes.get(columns.group or "")
    rows = Rows(
        values,
        np.zeros(done, "int32"),
        ["the series"],
        times.values() if columns.time is not None else None,
    )
    if label is not None:
        rows.labels, rows.classes = codes[label].in_order()
    rows.parts = np.concatenate(parts) if parts else None
    if not columns.wide and group is not None:
        rows.sequence, rows.names = group.values(), group.names()
    return _from_wide(rows, group) if columns.wide else rows


def _from_wide(rows: Rows, group: "_Codes | None") -> Rows:
    """One step per row instead of one sequence per row, without the empty cells at the end of a sequence."""
    n, steps = rows.numbers.shape
    inside = np.flip(np.cumsum(np.flip(~np.isnan(rows.numbers), axis=1), axis=1), axis=1) > 0
    inside[:, 0] = True  # a row without any number is still there to be complained of
    sequence = np.repeat(np.arange(n, dtype="int32"), steps)[inside.ravel()]
    spread = {
        name: getattr(rows, name)[sequence]
        for name in ("labels", "parts")
        if getattr(rows, name) is not None
    }
    units = group.values()[sequence] if group is not None else None
    names = [f"row {k + 1}" for k in range(n)]
    return Rows(
        rows.numbers[inside][:, None], sequence, names, classes=rows.classes, units=units, **spread
    )


def in_order(rows: Rows) -> None:
    """Rows sorted by sequence and time. Raises ValueError for a time that a sequence has twice."""
    time = rows.time if rows.time is not None else np.zeros(0)
    step = np.diff(rows.sequence)
    if (step < 0).any() or (len(time) and ((step == 0) & (time[1:] < time[:-1])).any()):
        rows.keep(
            np.lexsort((time, rows.sequence))
            if len(time)
            else np.argsort(rows.sequence, kind="stable")
        )
        time = rows.time if rows.time is not None else time
    if len(time):
        twice = np.flatnonzero((np.diff(rows.sequence) == 0) & (time[1:] == time[:-1]))
        if len(twice):
            name = rows.names[rows.sequence[twice[0]]]
            fail(
                "each time once in a sequence",
                f"{len(twice)} repeated, the first in {name!r} at {_said(time[twice[0]])}",
            )


def _said(time) -> str:
    return str(pd.Timestamp(time)) if isinstance(time, np.datetime64) else f"{time:g}"


def fill(rows: Rows) -> None:
    """Missing values become the last one before them in the same sequence."""
    first = np.r_[True, np.diff(rows.sequence) != 0]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    for k in range(rows.numbers.shape[1]):
        column = rows.numbers[:, k]
        last = np.maximum.accumulate(np.where(np.isnan(column), begin, np.arange(len(column))))
        rows.numbers[:, k] = column[last]


def one_each(
    codes: np.ndarray,
    starts: np.ndarray,
    what: str,
    column: str | None,
    words: list[str],
    names: list,
) -> np.ndarray:
    """The one code that all rows of a sequence share."""
    number = np.cumsum(np.isin(np.arange(len(codes)), starts)) - 1
    first = codes[starts]
    other = np.flatnonzero(codes != first[number])
    if len(other):
        k = number[other[0]]
        fail(
            f"one {what} per sequence, column {column!r}",
            f"{words[first[k]]!r} and {words[codes[other[0]]]!r} in {names[k]!r}",
        )
    return first


class _Codes:
    """The words of one column as numbers, chunk by chunk."""

    def __init__(self, name: str):
        self.name, self.known = name, dict[str, int]()
        self.chunks: list[np.ndarray] = []

    def add(self, words: pd.Series, done: int) -> None:
        if words.isna().any():
            row = done + int(words.isna().to_numpy().argmax()) + 1
            fail(f"no empty cells in column {self.name!r}", f"one in row {row} below the header")
        codes, found = pd.factorize(words)
        numbers = np.array(
            [self.known.setdefault(word, len(self.known)) for word in found], "int32"
        )
        self.chunks.append(numbers[codes])

    def values(self) -> np.ndarray:
        return np.concatenate(self.chunks)

    def names(self) -> list[str]:
        return list(self.known)

    def in_order(self) -> tuple[np.ndarray, list[str]]:
        """Codes by the order of the words, numbers by their size."""
        words = self.names()
        sizes = pd.to_numeric(pd.Series(words), errors="coerce")
        order = (
            np.argsort(words) if sizes.isna().any() else np.argsort(sizes.to_numpy(), kind="stable")
        )
        place = np.empty(len(words), "int32")
        place[order] = np.arange(len(words))
        return place[self.values()], [words[k] for k in order]


class _Times:
    """A time column as numbers or dates, by what its first cell is."""

    def __init__(self, name: str | None, format: str | None):
        self.name, self.format, self.dates = name, format, format is not None
        self.chunks: list[np.ndarray] = []

    def add(self, words: pd.Series, done: int) -> None:
        if (
            not self.chunks
            and not self.dates
            and pd.isna(pd.to_numeric(words.iloc[0], errors="coerce"))
        ):
            self.dates = True
            self.format = pd.tseries.api.guess_datetime_format(str(words.iloc[0]))
            if self.format is None:
                fail(
                    f"numbers or dates in column {self.name!r}, or task.time_format",
                    f"{words.iloc[0]!r} in row 1",
                )
        if self.dates:
            times = pd.to_datetime(
                words, format=self.format, errors="coerce", utc=True
            ).dt.tz_localize(None)
        else:
            times = pd.to_numeric(words, errors="coerce")
        if times.isna().any():
            row = int(times.isna().to_numpy().argmax())
            like = f"times as {self.format}" if self.dates else "numbers"
            fail(
                f"{like} in column {self.name!r}; see task.time_format",
                f"{words.iloc[row]!r} in row {done + row + 1} below the header",
            )
        self.chunks.append(times.to_numpy("datetime64[ns]" if self.dates else "float64"))

    def values(self) -> np.ndarray:
        return np.concatenate(self.chunks)


def _parts(words: pd.Series, name: str, done: int) -> np.ndarray:
    codes = words.map({part: k for k, part in enumerate(PARTS)})
    if codes.isna().any():
        row = int(codes.isna().to_numpy().argmax())
        fail(
            f"one of {PARTS} in column {name!r}",
            f"{words.iloc[row]!r} in row {done + row + 1} below the header",
        )
    return codes.to_numpy("int8")


def fail(expected: str, received: str) -> NoReturn:
    raise ValueError(f"Csv: expected {expected}. Received: {received}")
