"""How a table, or a setting that does not fit it, is refused: where in the file, and what may
help."""

from collections.abc import Iterable
from typing import Any, NoReturn

from lstmlab.errors import refusal


def fail(expected: str, received: str) -> NoReturn:
    """Raises the ValueError of a table, or of a setting that does not fit it."""
    raise refusal("Csv", expected, received)


def below_header(row: int) -> str:
    """Where the row with that number, counted from 0, is in the file."""
    return f"row {row + 1} below the header"


def in_cell(row: int, column: str) -> str:
    """Where the cell in the row with that number, counted from 0, and in that column is."""
    return f"{below_header(row)}, column {column!r}"


def cell_of(word: Any) -> str:
    """A cell as a message shows it."""
    return repr(word) if isinstance(word, str) and word else "an empty cell"


def columns_said(names: Iterable[str]) -> str:
    """One column, or several, as a message names them."""
    names = list(names)
    return f"column {names[0]!r}" if len(names) == 1 else f"columns {names}"


def setting(name: str, value: str) -> str:
    """A setting as it can be typed in a shell, whatever signs the value has."""
    typed = f"task.{name}={value!r}".replace('"', r"\"")
    return f'"{typed}"'
