"""Columns of time as numbers or dates, however they are written."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.digits import dates_of
from lstmlab.tasks.common.table.form import Form
from lstmlab.tasks.common.table.messages import below_header, cell_of, columns_said, fail, setting
from lstmlab.tasks.common.table.pairs import (
    check_hours,
    check_months,
    date_and_number,
    second,
    with_hours,
    year_and_month,
    year_and_number,
)

PARTS = ("year", "month", "day", "hour", "minute", "second")  # as pandas.to_datetime puts together
YEAR_AND_MONTH = "a year and a month"


@dataclass
class Reading:
    """One way to read a time column.

    Attributes:
        said: What it reads, as a message says it.
        read: Words -> numbers or dates, NaN or NaT where they are none.
        format: The format of the dates, if it was guessed.
        chunks: What was read so far.
        day: The format of the date, where the second column is a whole number, an hour.
    """

    said: str
    read: Callable[[pd.Series], pd.Series]
    format: str | None = None
    chunks: list[pd.Series] = field(default_factory=list)
    day: str | None = None


class Times:
    """One time column, or several that are one time together; the first cell says how it is read.

    Where it can be read in two ways, both are tried on all rows.

    Args:
        names: The columns.
        form: How the table is written.
        format: How dates are written, or None.
    """

    def __init__(self, names: list[str], form: Form, format: str | None):
        _check_format(format)
        self.columns, self.form, self.format = names, form, format
        self.said = columns_said(names)
        self.notes: list[str] = []
        self._readings: list[Reading] = []
        self._first = ""
        self._widths: set[int] = set()
        self._seconds: set[float] = set()

    def add(self, frame: pd.DataFrame, done: int) -> None:
        words = self._together(frame)
        if not self._first:
            self._first = cell_of(words.iloc[0])
            self._readings = self._readings_of(words.iloc[0])
        self._look_at(words)

        failed = {}
        for reading in self._readings:
            times = reading.read(words)
            absent = times.isna().to_numpy()
            if absent.any():
                failed[reading.said] = int(absent.argmax())
            else:
                reading.chunks.append(times)
        left = [reading for reading in self._readings if reading.said not in failed]
        if not left:
            said, row = max(failed.items(), key=lambda item: item[1])
            where = f"{cell_of(words.iloc[row])} in {below_header(int(words.index[row]))}"
            fail(f"{said} in {self.said}; see task.time_format", where)
        self._readings = left

    def values(self) -> np.ndarray:
        """The times of all rows, as int64, float64 or datetime64.

        Raises:
            ValueError: If two ways to read the dates give different times.
        """
        self._check_pair()
        found = [_joined(reading.chunks, self.said) for reading in self._readings]
        if len(found) > 1 and not np.array_equal(found[0], found[1]):
            both = " and ".join(setting("time_format", r.format or "") for r in self._readings)
            expected = f"task.time_format: {both} both read every date in {self.said}"
            fail(expected, f"{self._first} in {below_header(0)}")
        if self._readings[0].format:
            self.notes.append(f"dates in {self.said} read as {self._readings[0].format}")
        return self._dates(found[0])

    def _look_at(self, words: pd.Series) -> None:
        """Keeps what only all rows together can say."""
        if any(reading.said == "numbers" for reading in self._readings):
            plain = words.str.fullmatch(r"\d+", na=False)
            self._widths |= {*words.str.len().where(plain, 0).unique().astype(int).tolist()}
        elif any(reading.said == YEAR_AND_MONTH or reading.day for reading in self._readings):
            self._seconds |= {*second(words).dropna().unique().tolist()}

    def _check_pair(self) -> None:
        """Raises for a second column of whole numbers that are neither months nor hours."""
        reading = self._readings[0]
        if reading.said == YEAR_AND_MONTH:
            check_months(self._seconds, self.columns)
        elif reading.day:
            check_hours(self._seconds, self.columns, reading.day)

    def _together(self, frame: pd.DataFrame) -> pd.Series:
        """The words of several columns side by side; NaN where one is empty."""
        words = frame[self.columns[0]]
        for name in self.columns[1:]:
            words = words + " " + frame[name]
        return words

    def _readings_of(self, first: str) -> list[Reading]:
        """The ways to read a column that begins with this word."""
        if self.format is not None:
            return [Reading(f"times as {self.format}", _dates(self.format))]
        names = [name.lower() for name in self.columns]
        if {*PARTS[:2]} <= {*names} <= {*PARTS}:
            return [Reading(f"dates of {', '.join(names)}", _put_together(names, self.form))]
        if not isinstance(first, str):
            return [Reading("times", lambda words: words)]
        if len(self.columns) == 2 and year_and_number(first):
            return [Reading(YEAR_AND_MONTH, year_and_month(self.form))]
        if len(self.columns) == 1 and _numbers(self.form)(pd.Series([first])).notna().all():
            return [Reading("numbers", _numbers(self.form))]
        hourly = len(self.columns) == 2 and date_and_number(first)
        found = _readings_with_hours(first) if hourly else _readings_of_dates(first)
        if not found:
            like = "%d.%m.%y %H" if hourly else "%d.%m.%y %H:%M"
            how = f"or how they are written, as {setting('time_format', like)}"
            expected = f"numbers, or dates of the years 1 to 9999, in {self.said}; {how}"
            fail(expected, f"{first!r} in {below_header(0)}")
        return found

    def _dates(self, times: np.ndarray) -> np.ndarray:
        """Whole numbers as dates, if all are: 20200131, 202001."""
        if times.dtype.kind not in "iu" or len(self._widths) != 1:
            return times
        times, format = dates_of(times, *self._widths, self.said)
        if format:
            self.notes.append(f"numbers in {self.said} read as dates, {format}")
        return times


def _check_format(format: str | None) -> None:
    """Raises for what does not say how dates are written."""
    try:
        pd.to_datetime(pd.Series(["x"]), format=format, errors="coerce")
    except (ValueError, TypeError) as error:
        received = f"task.time_format={format!r} ({error})"
        fail("how dates are written, as '%d.%m.%Y', or null", received)


def _readings_of_dates(first: str) -> list[Reading]:
    """The ways to read dates of which this is the first."""
    if first.startswith("-"):
        return []  # a year before 1 would be read as another
    iso = pd.to_datetime(pd.Series([first]), format="ISO8601", errors="coerce", utc=True)
    if iso.notna().all():
        format = pd.tseries.api.guess_datetime_format(first)
        like = format or "%Y-%m-%d"
        return [Reading(f"times as {like}", _iso_dates(first, like))]
    if re.fullmatch(r"\d{4}M\d\d?", first):
        return [Reading("times as %YM%m", _dates("%YM%m"))]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "dayfirst=True was specified"
        formats = [pd.tseries.api.guess_datetime_format(first, dayfirst=day) for day in (0, 1)]
    known = dict.fromkeys(format for format in formats if format is not None)
    if known:
        return [Reading(f"times as {format}", _dates(format), format) for format in known]

    quarter = re.fullmatch(r"(\d{4}\W?Q[1-4])|(Q[1-4]\W?\d{4})", first, re.IGNORECASE)
    if quarter:
        return [Reading("quarters", _quarters)]
    month = re.fullmatch(r"[A-Za-z]+\W+\d{4}|\d\d?/\d{4}", first)
    return [Reading("months", _months)] if month else []


def _readings_with_hours(first: str) -> list[Reading]:
    """The ways to read a date and an hour side by side, of which this is the first."""
    found = _readings_of_dates(first.rsplit(" ", 1)[0])
    for reading in found:
        day = reading.format or reading.said.removeprefix("times as ")
        reading.read, reading.day = with_hours(reading.read), day
        reading.said = f"{reading.said} and an hour"
        reading.format = f"{day} %H" if reading.format else None
    return found


def _numbers(form: Form) -> Callable[[pd.Series], pd.Series]:
    """Whole numbers stay whole: a time in nanoseconds has more digits than a float64."""

    def read(words: pd.Series) -> pd.Series:
        numbers = form.numbers(words)
        if numbers.dtype == "float64":
            numbers = numbers.where(np.isfinite(numbers))
        return numbers

    return read


def _dates(format: str) -> Callable[[pd.Series], pd.Series]:
    def read(words: pd.Series) -> pd.Series:
        # as utc, so that dates with different offsets can be compared
        times = pd.to_datetime(words, format=format, errors="coerce", utc=True).dt.tz_localize(None)
        if format.startswith("-"):
            return times
        # pandas reads years before 1 as others
        return times.mask(words.str.startswith("-", na=False))

    return read


def _iso_dates(first: str, format: str) -> Callable[[pd.Series], pd.Series]:
    """Dates of ISO 8601, some of them longer than others, but all with an offset or none."""
    offset = r"[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
    has_offset = re.search(offset, first) is not None

    def read(words: pd.Series) -> pd.Series:
        times = _dates(format)(words)
        if times.isna().any():
            # slower, and so only where it is needed
            times = _dates("ISO8601")(words)
            times = times.mask(words.str.contains(offset, na=False) != has_offset)
        return times

    return read


def _put_together(names: list[str], form: Form) -> Callable[[pd.Series], pd.Series]:
    """Year, month and so on from columns of numbers; a day that is not there is the first."""

    def read(words: pd.Series) -> pd.Series:
        parts = words.str.split(" ", expand=True).set_axis(names, axis=1)
        parts = parts.assign(day=parts.get("day", "1"))
        numbers = parts.apply(form.numbers)
        return pd.to_datetime(numbers, errors="coerce", utc=True).dt.tz_localize(None)

    return read


def _quarters(words: pd.Series) -> pd.Series:
    """1990Q1, 1990-Q1, Q1 1990."""
    parts = words.str.upper().str.extract(r"^(?:(\d{4})\W?Q([1-4])|Q([1-4])\W?(\d{4}))$")
    year, quarter = parts[0].fillna(parts[3]), parts[1].fillna(parts[2])
    month = (3 * quarter.astype("Int64") - 2).astype(str)
    return pd.to_datetime(year + "-" + month, format="%Y-%m", errors="coerce")


def _months(words: pd.Series) -> pd.Series:
    """Jan 1990, January 1990, 01/1990."""
    plain = words.str.replace(r"\W+", " ", regex=True)
    found = [
        pd.to_datetime(plain, format=how, errors="coerce") for how in ("%b %Y", "%B %Y", "%m %Y")
    ]
    return found[0].fillna(found[1]).fillna(found[2])


def _joined(chunks: list[pd.Series], said: str) -> np.ndarray:
    """All chunks in one unit: numbers as they are; dates in microseconds, or finer if they are."""
    if chunks[0].dtype.kind != "M":
        return np.concatenate([chunk.to_numpy() for chunk in chunks])
    finest = "ns" if any(chunk.dt.unit == "ns" for chunk in chunks) else "us"
    try:
        dates = [chunk.astype(f"datetime64[{finest}]").to_numpy() for chunk in chunks]
    except pd.errors.OutOfBoundsDatetime as error:
        expected = f"dates of the years 1678 to 2261 in {said}, since some are in nanoseconds"
        fail(expected, str(error))
    return np.concatenate(dates)
