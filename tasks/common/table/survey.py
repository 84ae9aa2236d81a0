"""The first reading of a table: is it one, and how many rows does it have?"""

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

import pandas as pd
from lstmlab.tasks.common.table.form import Form
from lstmlab.tasks.common.table.messages import fail, setting

SEPARATORS = (";", "\t", "|", ",")
COMMENTS = ("#", "%", "//", "!")


class Survey:
    """Goes through all lines of a table once.

    Every row must be as wide as the header: pandas would cut longer ones off and fill shorter ones.

    Args:
        handle: The file, from the first line on that counts.
        form: How it is written.
        name: What messages call the file.

    Attributes:
        header: The names of the columns.
        unnamed: Those that have no name of their own.
        rows: How many rows there are, up to the last that is not empty.
        notes: What does not count.

    Raises:
        ValueError: For what is not a table.
    """

    def __init__(self, handle: TextIO, form: Form, name: str):
        self.form, self.name = form, name
        self.notes: list[str] = []
        sign, initial = form.separator, form.separator != " "
        text = handle if form.comment is None else without_comments(handle, form.comment)
        lines = csv.reader(text, delimiter=sign, skipinitialspace=initial)

        first = next((line for line in lines if line), [])
        if not first:
            fail("a table", f"the empty file {name}")
        if "\0" in "".join(first):
            expected = f"text in the encoding {form.encoding!r}, or perhaps task.encoding=utf-16-le"
            fail(expected, f"a byte of 0 in the header of {name}")
        self.header, self.unnamed = self._names([cell.strip() for cell in first])
        self.rows = int(form.header is False)
        self._count(lines)
        if not self.rows:
            fail("rows below the header", f"none in {name}")

    def _names(self, cells: list[str]) -> tuple[list[str], list[str]]:
        """The names of the columns, and which of them are not in the file."""
        if self.form.header is False:
            return [str(k) for k in range(len(cells))], []
        filled = pd.Series([cell for cell in cells if cell])
        if self.form.header is None and self.form.numbers(filled).notna().all() and all(cells):
            expected = (
                "a header with the names of the columns; task.header=false if there is none, "
            )
            expected += "task.header=true if these are names"
            fail(expected, f"only numbers in the first line: {cells[:4]}")

        twice = next((cell for k, cell in enumerate(cells) if cell and cell in cells[:k]), None)
        if twice is not None:
            places = [k + 1 for k, cell in enumerate(cells) if cell == twice]
            fail("different names in the header", f"{twice!r} in the columns {places}")
        # as pandas calls them, also in files that it has written and read before
        names = [cell or f"Unnamed: {k}" for k, cell in enumerate(cells)]
        names = [f"{n}.1" if not c and n in cells else n for n, c in zip(names, cells, strict=True)]
        unnamed = [name for name in names if name.startswith("Unnamed: ")]
        return names, unnamed

    def _count(self, lines: Iterable[list[str]]) -> None:
        """Counts the rows, and what lies between them."""
        # plain names: this loop goes through the whole file
        wide, rows, blank, cut = len(self.header), self.rows, 0, 0
        since = empty = 0  # lines that only count when a row follows: those at the end do not
        for line in lines:
            if len(line) != wide:
                if not line:
                    since += 1
                    continue
                self.rows = rows
                wide, extra = self._width_of(line, lines.line_num)  # type: ignore[attr-defined]
                cut += extra
            if not any(line):
                empty += 1
                continue
            rows += 1
            if since or empty:
                rows, blank, since, empty = rows + empty, blank + since, 0, 0
        self.rows = rows

        what = "blank lines" if self.form.comment is None else "blank lines and comments"
        counts = {
            f"{blank} {what} left out": blank,
            f"{empty} empty rows at the end left out": empty,
        }
        counts[f"{cut} rows end with a separator, which does not count"] = cut
        self.notes += [note for note, count in counts.items() if count]

    def _width_of(self, line: list[str], number: int) -> tuple[int, int]:
        """The width of rows, and whether this one has an empty cell more than that."""
        wide = len(self.header)
        if len(line) == wide - 1 and not self.rows and self.header[-1:] == self.unnamed[-1:]:
            # only the header ends with a separator
            self.header, self.unnamed = self.header[:-1], self.unnamed[:-1]
            return wide - 1, 0
        if len(line) != wide + 1 or line[-1]:
            self._fail_for_width(line, number + self.form.skip)
        return wide, 1

    def _fail_for_width(self, line: list[str], number: int) -> None:
        expected = f"{len(self.header)} cells in every row, as in the header"
        received = f"{len(line)} in line {number} of {self.name}"
        fail(f"{expected}{self._why(line, number)}", received)

    def _why(self, line: list[str], number: int) -> str:
        """What may be the reason for a line that is wider or narrower than the header."""
        if separator := other_separator(self.header, self.form):
            return separator
        first = self.header[0]
        if self.form.comment is None and first.startswith(COMMENTS):
            return f"; perhaps {setting('comment', first[0])}, for the header is {first!r}"
        if len(line) > len(self.header) and self.rows == 0 and like_header(line, self.form):
            return f"; perhaps task.skip={number - 1}, if the header is in this line"
        if len(line) == len(self.header) + 1 and self.rows == 0 and line[-1]:
            return "; a first column without a name needs a separator before the first name"
        if len(line) > len(self.header) == 1 or (len(line) > 1 and self.rows == 0):
            return f"; perhaps task.skip={number - 1}, if the header is in this line"
        return ""


def like_header(cells: list[str], form: Form) -> bool:
    """Whether cells may be the names of columns: words, and all of them different."""
    words = all(isinstance(cell, str) and cell.strip() for cell in cells)
    different = len({*cells}) == len(cells) > 1
    return words and different and not form.numbers(pd.Series(cells)).notna().any()


def other_separator(header: list[str], form: Form) -> str:
    """A hint, if the header is one name that holds what separates the names in other files."""
    if len(header) > 1:
        return ""
    for sign in SEPARATORS:
        if sign != form.separator and sign in header[0]:
            typed = setting("separator", sign)
            # as some spreadsheets name the separator in a line of its own
            typed += " and task.skip=1" if header[0].lower() == f"sep={sign}" else ""
            return f"; perhaps {typed}, for the header is {header[0]!r}"
    return ""


def without_comments(lines: Iterable[str], sign: str) -> Iterator[str]:
    """Lines without what follows the sign of a comment, outside of quotes, as pandas reads them."""
    quoted = False
    for line in lines:
        parts = line.split(sign)
        # the first piece that ends outside of quotes ends what counts
        ends = (sign.join(parts[: k + 1]) for k in range(len(parts)))
        kept = next((end for end in ends if not quoted ^ _opens(end)), line)
        quoted ^= _opens(kept)
        # an empty line takes the place of a comment, so that the numbers of lines stay
        yield line if kept == line else "\n" if not kept.strip() else f"{kept}\n"


def _opens(text: str) -> bool:
    """Whether a text leaves a quote open, or closes one."""
    return text.count('"') % 2 == 1
