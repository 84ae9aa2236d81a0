"""A table as text: its header, the number of its rows, and its columns chunk by chunk."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.form import MISSING, Form
from lstmlab.tasks.common.table.messages import fail, in_cell
from lstmlab.tasks.common.table.opening import in_one_line, named, open_text
from lstmlab.tasks.common.table.survey import Survey, like_header, other_separator
from lstmlab.tasks.common.table.written import Written, written

LOOK = 1000  # rows by which a column counts as numbers or as text

TITLES = 5  # rows in which a header may follow lines of a title


class Text:
    """A table in a file of text.

    Args:
        file: Its path.
        form: How it is written.
        chunk: Rows to read at once.

    Attributes:
        header: The names of the columns; one without a name is called as pandas does, 'Unnamed: 0'.
        unnamed: Which of them have no name of their own.
        rows: How many rows there are.
        notes: What does not count.

    Raises:
        ValueError: For a file that cannot be read, or rows that are not as wide as the header.
    """

    def __init__(self, file: str, form: Form, chunk: int):
        self.path, self.form, self.chunk = Path(file).expanduser(), form, chunk
        with in_one_line(self.path, form.encoding), self._open() as handle:
            found = Survey(handle, form, named(self.path))
        self.header, self.unnamed, self.rows = found.header, found.unnamed, found.rows
        self.notes = found.notes
        self._ways: dict[str, Written | None] = {}

    @property
    def name(self) -> str:
        """The file as a message shows it."""
        return named(self.path)

    def other(self, wide: bool) -> str:
        """A hint, if the header seems to be none, or holds what separates names elsewhere."""
        numbers = self.form.numbers(pd.Series(self.header)).notna()
        if self.form.header is None and numbers.any() and not wide:
            return "; without a header, task.header=false names the columns 0, 1, ..."
        return other_separator(self.header, self.form) or self._title()

    def _title(self) -> str:
        """A hint, if the header has cells without a name and a later line looks like a header."""
        if not self.unnamed:
            return ""
        first = self.head.head(TITLES).to_numpy().tolist()
        row = next((k for k, cells in enumerate(first) if like_header(cells, self.form)), None)
        if row is None:
            return ""
        return f"; perhaps task.skip={self.form.skip + row + 1}, if {first[row]} is the header"

    @cached_property
    def head(self) -> pd.DataFrame:
        """The first rows, as text; empty cells and named marks of missing values are NaN."""
        types = dict.fromkeys(self.header, str)
        with in_one_line(self.path, self.form.encoding):
            return next(iter(self._pandas(types, min(LOOK, self.chunk))))

    def written(self, column: str) -> Written | None:
        """How a column of numbers is written; None if it holds words."""
        if column not in self._ways:
            words = self.head[column]
            self._ways[column] = written(words.mask(words.isin(MISSING)), self.form)
        return self._ways[column]

    def frames(self, numbers: list[str], words: list[str]) -> Iterator[pd.DataFrame]:
        """Reads columns, a chunk of rows at a time.

        Args:
            numbers: Columns to read as float64.
            words: Columns to read as text.

        Raises:
            ValueError: For a cell that does not hold a finite number.
        """
        ways = {name: self.written(name) or Written(self.form) for name in numbers}
        self.__dict__.pop("head", None)  # it may be large, and is not asked for again
        # what pandas reads by itself, and faster than from words
        plain = [name for name, way in ways.items() if way == Written(self.form)]
        plain = plain if self.form.thousands is None else []
        types = dict.fromkeys(numbers, str) | dict.fromkeys(plain, "float64")

        done = 0
        with in_one_line(self.path, self.form.encoding):
            try:
                for frame in self._pandas(types | dict.fromkeys(words, str), numbers=numbers):
                    for name in numbers:
                        if name not in plain:
                            frame[name] = ways[name].read(frame[name], name, done, self.rows)
                    check_finite(frame[numbers], done)
                    done += len(frame)
                    yield frame
            except ValueError as error:
                # "Could not convert", as pandas and NumPy write it: say where.
                if "onvert" in str(error):
                    self._find_word(plain)
                raise
        if done != self.rows:
            fail(f"the {self.rows} rows that were counted", f"{done} read, {self.name}")

    def _find_word(self, numbers: list[str]) -> None:
        """Raises for the first cell that does not hold a number."""
        done = 0
        for frame in self._pandas(dict.fromkeys(numbers, str), numbers=numbers):
            for name in numbers:
                Written(self.form).read(frame[name], name, done, self.rows)
            done += len(frame)

    def _pandas(
        self, types: dict[str, Any], rows: int | None = None, numbers: list[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Chunks of these columns; only in those of numbers do words as NA mean nothing."""
        form = self.form
        marks = {name: ["", *form.missing] for name in types}
        marks |= {name: [*MISSING, *form.missing] for name in numbers or []}
        how: dict[str, Any] = {"sep": form.separator, "decimal": form.decimal, "index_col": False}
        how |= {"names": self.header, "header": None if form.header is False else 0}
        how |= {"comment": form.comment, "skipinitialspace": form.separator != " "}
        how |= {"keep_default_na": False, "na_values": marks, "nrows": self.rows}
        how |= {"chunksize": rows or self.chunk, "usecols": list(types), "dtype": types}
        with self._open() as handle, pd.read_csv(handle, **how) as reader:
            yield from reader

    def _open(self) -> TextIO:
        """The file from the first line on that counts."""
        handle = open_text(self.path, self.form.encoding)
        for _ in range(self.form.skip):
            next(handle, None)
        return handle


def check_finite(frame: pd.DataFrame, done: int) -> None:
    """Raises for the first infinite number of a chunk that begins at row `done`."""
    infinite = np.isinf(frame.to_numpy())
    if infinite.any():
        row, column = (int(k[0]) for k in np.nonzero(infinite))
        fail("finite numbers", f"infinity in {in_cell(done + row, frame.columns[column])}")
