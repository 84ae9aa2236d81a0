"""How a table is written: its signs, its encoding, what marks a missing value; words as numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from lstmlab.tasks.common.table.messages import fail, setting

from lstmlab.checks import integer

# What stands for a missing number, as pandas.read_csv documents it for `na_values`.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
UNITS = "%$€£¥₹"  # signs that may stand at one end of each number of a column
SPACES = "[ \u00a0\u202f]"  # the plain space, and those that do not break a line


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Attributes:
        separator: One character, or the two of an escaped tab.
        decimal: The decimal sign.
        thousands: The sign between thousands, or None.
        encoding: The name of the encoding.
        comment: The sign from which on the rest of a line does not count, or None.
        skip: Lines before the header that do not count.
        header: Whether there is a header; None: yes, unless it would hold only numbers.
        missing: Words that stand for a missing value, beside MISSING in columns of numbers.

    Raises:
        ValueError: For any other value.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    comment: str | None = None
    skip: int = 0
    header: bool | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("separator", "decimal", "thousands", "comment"):
            value = getattr(self, name)
            if value is None and name in ("thousands", "comment"):
                continue
            if not isinstance(value, str) or len(value) != 1:
                fail("one character", f"task.{name}={value!r}")
        if not isinstance(self.encoding, str):
            fail("the name of an encoding", f"task.encoding={self.encoding!r}")
        if self.header not in (True, False, None):
            fail("true, false or null", f"task.header={self.header!r}")
        integer("Csv", "task.skip", self.skip, least=0)
        if self.thousands == self.decimal:
            signs = f"task.thousands={self.thousands!r} and task.decimal={self.decimal!r}"
            fail("two different signs", signs)

    @property
    def missing_numbers(self) -> list[float]:
        """The marks of missing values that are numbers."""
        return [*pd.to_numeric(pd.Series(self.missing, dtype=str), errors="coerce").dropna()]

    def numbers(self, words: pd.Series) -> pd.Series:
        """Words of the file as numbers; NaN where they are not."""
        if self.thousands is not None:
            words = self._without_thousands(words)
        if self.decimal != ".":
            # a point would be the decimal sign of another form
            words = words.mask(words.str.contains(".", regex=False, na=False))
            words = words.str.replace(self.decimal, ".", regex=False)
        return pd.to_numeric(words, errors="coerce")

    def _without_thousands(self, words: pd.Series) -> pd.Series:
        """Numbers without the sign between thousands; a sign in another place stays."""
        sign = SPACES if self.thousands == " " else re.escape(self.thousands or "")
        # groups of three digits, or of two before the last, as in India
        grouped = rf"\s*[+-]?\d{{1,3}}(?:{sign}\d{{2,3}})*{sign}\d{{3}}(?!\d).*"
        right = words.str.fullmatch(grouped, na=False)
        return words.where(~right, words.str.replace(sign, "", regex=True))

    def hint(self, word: str, others: str = "") -> str:
        """Which setting may turn a word into a number, or `others`, what else may help."""
        if perhaps := self.perhaps(word):
            return perhaps
        if any(unit in word for unit in UNITS):
            return " with the same sign in every row, or in none"
        return others or marked(word)

    def perhaps(self, word: str) -> str:
        """Which setting turns a word that is not a number into one, as a hint, or ''."""
        found = []
        if self.thousands is None:
            grouped = re.fullmatch(rf"\D{{0,2}}\d{{1,3}}((?:,|\.|'|{SPACES})\d{{3}})+.*", word)
            sign = grouped[1][0] if grouped else self.decimal
            found += [("thousands", re.sub(SPACES, " ", sign))] if sign != self.decimal else []
        other = {".": ",", ",": "."}.get(self.decimal)
        if other and re.fullmatch(rf"\s*[+-]?\d*{re.escape(other)}\d+\s*", word):
            found.append(("decimal", other))
        return "; perhaps " + " or ".join(setting(*pair) for pair in found) if found else ""


def marked(word: str) -> str:
    """How to say that a word marks a missing value, as a hint."""
    return f"; for a mark of missing values {setting('missing_values', [word])}"


def form_of(
    missing_values: Sequence[Any] | str | float | None, separator: str, **others: Any
) -> Form:
    """The Form of these settings, as they are typed in a shell."""
    marks: Any = [] if missing_values is None else missing_values
    # one alone needs no list
    marks = [marks] if isinstance(marks, str | float) or type(marks) is int else marks
    if not isinstance(marks, list | tuple) or any(isinstance(mark, list | dict) for mark in marks):
        fail("a list of words or numbers", f"task.missing_values={missing_values!r}")
    separator = "\t" if separator == r"\t" else separator
    return Form(separator, missing=tuple(map(str, marks)), **others)
