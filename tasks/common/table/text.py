"""A csv file: its header, the number of its rows, and its columns chunk by chunk."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import numpy as np
import pandas as pd

from lstmlab.errors import refusal

SEPARATORS = (";", "\t", "|", ",")
LOOK = 1000  # rows by which a column counts as numbers or as text


def fail(expected: str, received: str) -> NoReturn:
    """Raises the ValueError of a table, or of a setting that does not fit it."""
    raise refusal("Csv", expected, received)


def below_header(row: int) -> str:
    """Where the row with that number, counted from 0, is in the file."""
    return f"row {row + 1} below the header"


def in_cell(row: int, column: str) -> str:
    """Where the cell in the row with that number, counted from 0, and in that column is."""
    return f"{below_header(row)}, column {column!r}"


def check_finite(
    kept: np.ndarray, cells: np.ndarray, names: list[str], done: int, expected: str
) -> None:
    """Raises for the first infinite number.

    Args:
        kept: Numbers as they are kept, [rows, columns].
        cells: The same as they stand in the file.
        names: The columns.
        done: The number of the first row, counted from 0.
        expected: What the message says that was expected.
    """
    infinite = np.isinf(kept)
    if infinite.any():
        row, column = (int(k[0]) for k in np.nonzero(infinite))
        cell = cells[row, column]
        what = "infinity" if np.isinf(cell) else f"{cell:g}"
        fail(expected, f"{what} in {in_cell(done + row, names[column])}")


class Text:
    """A csv file.

    Args:
        file: Its path, also of a .gz.
        separator: One character, or the two of an escaped tab.
        decimal: The decimal sign.
        encoding: The name of its encoding.
        chunk: Rows to read at once.

    Raises:
        ValueError: For a file that cannot be read, or rows that are not as wide as the header.
    """

    def __init__(self, file: str, separator: str, decimal: str, encoding: str, chunk: int):
        separator = "\t" if separator == r"\t" else separator  # as it is typed in a shell
        for name, value in (("separator", separator), ("decimal", decimal)):
            if not isinstance(value, str) or len(value) != 1:
                fail("one character", f"task.{name}={value!r}")
        if not isinstance(encoding, str):
            fail("the name of an encoding", f"task.encoding={encoding!r}")

        self.path, self.chunk = Path(file).expanduser(), chunk
        self.separator, self.decimal = separator, decimal
        # With or without the mark that some programs write at the beginning.
        self.encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
        with self._errors():
            self.header, self.rows, self.blank = self._survey()

    @property
    def name(self) -> str:
        """The file as a message shows it."""
        return f"task.file={str(self.path)!r}"

    def _survey(self) -> tuple[list[str], int, int]:
        """The header, and the numbers of rows and of blank lines between them.

        Every row must be as wide as the header: pandas would cut longer ones off and fill shorter
        ones.
        """
        with self._open() as handle:
            lines = csv.reader(handle, delimiter=self.separator)
            header = next((line for line in lines if line), [])
            if not header:
                fail("a table", f"the empty file {self.name}")

            rows = blank = since = 0
            for line in lines:
                if len(line) == len(header):
                    # blank lines count when a row follows: those at the end lie between nothing
                    rows, blank, since = rows + 1, blank + since, 0
                elif not line:
                    since += 1
                else:
                    wide = f"{len(header)} cells in every row, as in the header"
                    received = f"{len(line)} in line {lines.line_num} of {self.name}"
                    fail(f"{wide}{self.other(header)}", received)

        self._check_header(header)
        if not rows:
            fail("rows below the header", f"none in {self.name}")
        return header, rows, blank

    def other(self, header: list[str]) -> str:
        """A hint, if the header is one name that holds what separates the names in other files."""
        if len(header) > 1:
            return ""
        for sign in SEPARATORS:
            if sign != self.separator and sign in header[0]:
                return f'; perhaps "task.separator={sign!r}", for the header is {header[0]!r}'
        return ""

    def _check_header(self, header: list[str]) -> None:
        twice = [name for k, name in enumerate(header) if name in header[:k] or not name]
        if twice:
            fail("different names in the header", f"{twice[0]!r} twice or empty")
        if not pd.to_numeric(pd.Series(header), errors="coerce").isna().any():
            expected = "a header with the names of the columns"
            fail(expected, f"only numbers in the first line: {header[:4]}")

    def frames(self, numbers: list[str], words: list[str]) -> Iterator[pd.DataFrame]:
        """Reads columns, a chunk of rows at a time.

        Args:
            numbers: Columns to read as float64.
            words: Columns to read as text.

        Raises:
            ValueError: For a cell that does not hold a number that is finite in float32.
        """
        done = 0
        types = dict.fromkeys(numbers, "float64") | dict.fromkeys(words, str)

        with self._errors():
            try:
                for frame in self._pandas(types):
                    self._check_finite(frame[numbers], done)
                    done += len(frame)
                    yield frame
            except ValueError as error:
                # "Could not convert", as pandas and NumPy write it: say where.
                if "onvert" in str(error):
                    self._find_word(numbers)
                raise
        if done != self.rows:
            fail(f"the {self.rows} rows that were counted", f"{done} read, {self.name}")

    def head(self) -> pd.DataFrame:
        """The first rows, as text."""
        with self._errors():
            return next(iter(self._pandas(dict.fromkeys(self.header, str), min(LOOK, self.chunk))))

    def _pandas(self, types: dict[str, Any], rows: int | None = None) -> Iterator[pd.DataFrame]:
        how: dict[str, Any] = {"sep": self.separator, "decimal": self.decimal, "index_col": False}
        how |= {"chunksize": rows or self.chunk, "usecols": list(types), "dtype": types}
        with self._open() as handle, pd.read_csv(handle, **how) as reader:
            yield from reader

    def _open(self) -> TextIO:
        opener = gzip.open if self.path.suffix == ".gz" else open
        return cast(TextIO, opener(self.path, "rt", encoding=self.encoding, newline=""))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what reading may raise into one line."""
        try:
            yield
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x}"
            expected = f"text in the encoding {self.encoding!r}; see task.encoding"
            fail(expected, f"{byte} ({error.reason}), {self.name}")
        except LookupError as error:
            fail("an encoding that Python knows", f"task.encoding={self.encoding!r} ({error})")
        except (OSError, EOFError, zlib.error) as error:
            cause = getattr(error, "strerror", None) or error
            fail("a file that can be read", f"{self.name} ({cause})")
        except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            fail("a table", f"{self.name} ({' '.join(str(error).split())})")

    def _find_word(self, numbers: list[str]) -> None:
        """Raises for the first cell that does not hold a number."""
        done = 0
        for frame in self._pandas(dict.fromkeys(numbers, str)):
            for name in numbers:
                words = frame[name].notna() & self.as_numbers(frame[name]).isna()
                if words.any():
                    row = int(words.to_numpy().argmax())
                    where = in_cell(done + row, name)
                    fail("numbers", f"{frame[name].iloc[row]!r} in {where}")
            done += len(frame)

    def as_numbers(self, words: pd.Series) -> pd.Series:
        """Words of the file as numbers; NaN where they are not."""
        words = words if self.decimal == "." else words.str.replace(self.decimal, ".", regex=False)
        return pd.to_numeric(words, errors="coerce")

    def _check_finite(self, frame: pd.DataFrame, done: int) -> None:
        numbers, names = frame.to_numpy(), list(frame)
        check_finite(numbers, numbers, names, done, "finite numbers")
        with np.errstate(over="ignore"):
            kept = numbers.astype("float32")
        most = f"{np.finfo('float32').max:.2g}"
        check_finite(kept, numbers, names, done, f"finite numbers in float32, up to {most}")
