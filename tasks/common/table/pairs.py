"""Two columns that are one time, where the second is a whole number: year and month, or date and
hour."""

import re
from collections.abc import Callable

import pandas as pd
from lstmlab.tasks.common.table.form import Form
from lstmlab.tasks.common.table.messages import fail, setting

MONTHS = ("month", "months", "mon", "mm", "m", "mo", "monat", "mois", "mes", "mese", "maand")
HOURS = ("hour", "hours", "hr", "hh", "h", "stunde", "heure", "hora", "ora", "uur")


def year_and_number(words: str) -> bool:
    """Whether two cells side by side may be a year and a month."""
    return re.fullmatch(r"\d{4} \d{1,2}", words) is not None


def date_and_number(words: str) -> bool:
    """Whether two cells side by side may be a date and an hour."""
    return re.fullmatch(r"(\d{8}|\S*\d\D\S*) \d{1,2}", words) is not None


def second(words: pd.Series) -> pd.Series:
    """The numbers of the second column."""
    return pd.to_numeric(words.str.rsplit(" ", n=1).str[-1], errors="coerce")


def check_months(found: set[float], columns: list[str]) -> None:
    """Raises if the second column, with these numbers, is none of months.

    Its name says so, or all of 1 to 12 are there: quarters and weeks look the same otherwise.
    """
    name = columns[1]
    months = max(found) <= 12 and min(found) >= 1
    if months and (name.lower() in MONTHS or len(found) == 12):
        return
    like = f"{setting('time_format', '%Y %m')} for months, " if months else ""
    like += f"{setting('time_format', '%Y %j')} for days of the year"
    expected = f"task.time_format, as {like}, or one column written as 1990Q1 for quarters"
    received = f"task.time={columns} with {min(found):g} to {max(found):g} in column {name!r}"
    fail(expected, received)


def check_hours(found: set[float], columns: list[str], format: str) -> None:
    """Raises if the second column, with these numbers, is none of hours from 0 to 23."""
    name = columns[1]
    if max(found) <= 23 and (0 in found or name.lower() in HOURS):
        return
    how = setting("time_format", f"{format} %H")
    expected = f"hours from 0 to 23 in column {name!r}, which {how} reads"
    expected += "; from hours 1 to 24 take 1 off" if max(found) == 24 else ""
    fail(expected, f"task.time={columns} with {min(found):g} to {max(found):g} in column {name!r}")


def with_hours(days: Callable[[pd.Series], pd.Series]) -> Callable[[pd.Series], pd.Series]:
    """Reads a date and an hour, by what reads the date."""

    def read(words: pd.Series) -> pd.Series:
        hours = second(words)
        hours = hours.where(hours.mod(1) == 0)
        return days(words.str.rsplit(" ", n=1).str[0]) + pd.to_timedelta(hours, unit="h")

    return read


def year_and_month(form: Form) -> Callable[[pd.Series], pd.Series]:
    """Reads a year and a number as a date; any number, since check_months looks at all of them."""

    def read(words: pd.Series) -> pd.Series:
        year = form.numbers(words.str.rsplit(" ", n=1).str[0])
        month = second(words)
        right = month.mod(1).eq(0) & year.mod(1).eq(0) & year.between(1, 9999)
        parts = pd.DataFrame({"year": year, "month": month.clip(1, 12), "day": 1})
        return pd.to_datetime(parts.where(right), errors="coerce")

    return read
