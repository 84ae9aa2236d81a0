"""Columns of numbers that pandas does not read as such: with a percent or currency sign, with signs
between thousands, or true and false."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.form import UNITS, Form, marked
from lstmlab.tasks.common.table.messages import cell_of, fail, in_cell

TRUTH = {"true": 1.0, "false": 0.0}
RARE = 0.1  # the share of cells, at most, that marks of missing values are thought to be
MARKS = 3  # and how many different ones


@dataclass(frozen=True)
class Written:
    """How the numbers of one column are written.

    Attributes:
        form: How all numbers of the table are written.
        unit: A sign before or after each number, or ''.
        truth: Whether the column holds true and false, which become 1 and 0.
    """

    form: Form
    unit: str = ""
    truth: bool = False

    def numbers(self, words: pd.Series) -> pd.Series:
        """Words of the column as numbers; NaN where they are not."""
        if self.truth:
            return words.str.strip().str.lower().map(TRUTH).astype("float64")
        if not self.unit:
            return self.form.numbers(words)
        # the sign once, at one end of each; a minus may stand before it
        sign = re.escape(self.unit)
        before, after = rf"{sign}\s*([^{sign}]+)", rf"([^{sign}]+?)\s*{sign}"
        parts = words.str.extract(rf"^\s*([+-]?)\s*(?:{before}|{after})\s*$")
        return self.form.numbers(parts[0] + parts[1].fillna(parts[2]))

    def read(self, words: pd.Series, name: str, done: int, rows: int = 0) -> pd.Series:
        """The column `name` of a chunk that begins at row `done` of so many as numbers.

        Raises:
            ValueError: For the first cell that does not hold a number of this form.
        """
        numbers = self.numbers(words).astype("float64")
        wrong = (words.notna() & numbers.isna()).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            word, expected = words.iloc[row], "numbers"
            expected += f" with {self.unit!r}, as in the first rows" if self.unit else ""
            expected = "true or false, as in the first rows" if self.truth else expected
            signed = bool(self.unit or self.truth)
            hint = (
                self.form.perhaps(word)
                if signed
                else self.form.hint(word, _of_words(words, wrong, done, rows))
            )
            fail(f"{expected}{hint}", f"{cell_of(word)} in {in_cell(done + row, name)}")
        return numbers.mask(numbers.isin(self.form.missing_numbers))

    @property
    def note(self) -> str:
        """What a reader should know of it, or ''."""
        if self.truth:
            return "true is read as 1, false as 0"
        return f"numbers read without their sign {self.unit!r}" if self.unit else ""


def _of_words(words: pd.Series, wrong: np.ndarray, done: int, rows: int) -> str:
    """What cells that hold no numbers may be, as a hint."""
    row, count = int(wrong.argmax()), int(wrong.sum())
    if count == 1 and done + row == 0 and len(words) > 1:
        return "; a second line of the header, as one of units, must be taken out of the file"
    if count == 1 and done + row == rows - 1:
        return "; a last row of totals or notes must be taken out of the file"
    different = words[wrong].nunique()
    if different <= MARKS and count <= max(1, RARE * len(words)):
        return marked(words.iloc[row])
    return "; words are no numbers: task.group may name the column, task.features the others"


def written(words: pd.Series, form: Form) -> Written | None:
    """How a column is written, by its first words; None if it holds no number among them.

    A column without any word may hold numbers later.
    """
    words, found = words.dropna(), Written(form)
    numbers = found.numbers(words).notna()
    if numbers.all():
        return found
    if words.str.strip().str.lower().isin(TRUTH).all():
        return Written(form, truth=True)

    most = int(numbers.sum())
    for unit in UNITS:
        other = Written(form, unit)
        count = int(other.numbers(words).notna().sum())
        if count > most:
            found, most = other, count
    return found if most else None
