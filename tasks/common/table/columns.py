"""Which column of a table is what."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from lstmlab.tasks.common.table.text import Text, fail


@dataclass
class Columns:
    """The columns of a table by their purpose.

    Attributes:
        numbers: Columns that are read as numbers.
        lines: The inputs of the task, the target of a forecast first.
        target: The column asked for, or None.
        group: The column of the group, or None.
        time: The column of the time, or None.
        part: The column of the part, or None.
        wide: Whether a row is a whole sequence.
        forecasts: Whether the target is forecast, and not a class.
        offsets: What was subtracted from each line when it was read.
        notes: What was left out.
    """

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


def columns_of(
    text: Text,
    target: str | None,
    features: list[str] | None,
    group: str | None,
    time: str | None,
    part: str | None,
    wide: bool,
    forecasts: bool,
) -> Columns:
    """Finds the columns that the settings name, or all that hold numbers.

    Arguments are those of Csv and of Columns.

    Raises:
        ValueError: For a column that is not there, or that is named for two purposes.
    """
    target, group, time, part = (_as_text(name, text) for name in (target, group, time, part))
    if isinstance(features, list):
        features = [_as_text(name, text) for name in features]
    named = {"target": target, "group": group, "time": time, "part": part}
    _check_features(features)
    _check_there(text, named, features or [])
    _one_role_each(named, features or [], forecasts)

    notes = [f"{text.blank} blank lines left out"] if text.blank else []
    if features is None:
        features, words = _of_numbers(text, named, forecasts)
        if words:
            notes.append(f"columns left out, as they hold no numbers: {', '.join(words)}")

    # the task reads the target of a forecast from line 0
    first = [target] if forecasts and not wide and target is not None else []
    numbers = first + [name for name in features if name not in first]
    if not numbers:
        received = f"task.features={features}, {text.name}"
        fail(f"at least one column of numbers{text.other(text.header)}", received)
    lines = ["value"] if wide else numbers
    return Columns(numbers, lines, target, group, time, part, wide, forecasts, notes=notes)


def _as_text(name: Any, text: Text) -> Any:
    """The column whose name was read as a number or as true: 2008 means '2008'.

    Other values stay as they are, and so does one that several names are written forms of.
    """
    if isinstance(name, str) or not isinstance(name, (int, float)):
        return name
    if str(name) in text.header:
        return str(name)
    like = [column for column in text.header if _means(column, name)]
    return like[0] if len(like) == 1 else str(name)


def _means(column: str, value: float) -> bool:
    """Whether the name of a column is another way to write a value: 1.50, 1e3, TRUE."""
    if isinstance(value, bool):
        return column.lower() == str(value).lower()
    try:
        return float(column) == value
    except ValueError:
        return False


def _check_features(features: list[str] | None) -> None:
    if features is None:
        return
    if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
        fail("a list of columns, or null", f"task.features={features!r}")
    if len(set(features)) < len(features):
        fail("different columns", f"task.features={features}")


def _check_there(text: Text, named: dict[str, str | None], features: list[str]) -> None:
    """Every column that a setting names must be in the header."""
    lower = [name.lower() for name in text.header]
    for setting, name in [*named.items(), *(("features", name) for name in features)]:
        if name is None or name in text.header:
            continue
        # cutoff 0: the nearest name, however far away
        nearest = get_close_matches(str(name).lower(), lower, 1, cutoff=0)
        close = f"; nearest: {text.header[lower.index(nearest[0])]!r}" if nearest else ""
        expected = f"a column of the table{close}{text.other(text.header)}"
        fail(expected, f"task.{setting}={name!r}, {text.name}")


def _one_role_each(named: dict[str, str | None], features: list[str], forecasts: bool) -> None:
    """Each column has one purpose.

    A target that is forecast may be among the features, because its past is shown in any case.
    """
    settings = [(setting, name) for setting, name in named.items() if name is not None]
    for k, (setting, name) in enumerate(settings):
        others = [f"task.{other}={name!r}" for other, same in settings[:k] if same == name]
        if name in features and not (setting == "target" and forecasts):
            others.append(f"task.features={features}")
        if others:
            received = f"task.{setting}={name!r} and {others[0]}"
            fail("different columns, each for one purpose", received)


def _of_numbers(
    text: Text, named: dict[str, str | None], forecasts: bool
) -> tuple[list[str], list[str]]:
    """The columns without another purpose: those that hold numbers, and those that hold words."""
    taken = {name for setting, name in named.items() if not (setting == "target" and forecasts)}
    head = text.head()
    left = [name for name in text.header if name not in taken]
    words = [
        name
        for name in left
        # a column that begins with empty cells may hold numbers later
        if head[name].notna().any() and not text.as_numbers(head[name]).notna().any()
    ]

    target = named["target"]
    if target in words:
        word = head[target].dropna().iloc[0]
        fail("numbers in the target", f"task.target={target!r} with {word!r}")
    return [name for name in left if name not in words], words
