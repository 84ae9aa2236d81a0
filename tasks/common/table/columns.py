"""Which column of a table is what."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from lstmlab.tasks.common.table.messages import below_header, columns_said, fail
from lstmlab.tasks.common.table.text import Text
from lstmlab.tasks.common.table.written import TRUTH

SHOWN = 8  # columns that a note names


@dataclass
class Named:
    """The columns that settings name, by their purpose.

    Attributes:
        target: The column asked for, or None.
        features: The columns shown, or None for all that hold numbers.
        group: The columns of the group; [] for none.
        time: The columns of the time; [] for none.
        part: The column of the part, or None.
        wide: Whether a row is a whole sequence.
        forecasts: Whether the target is forecast, and not a class.
    """

    target: str | None
    features: list[str] | None
    group: list[str]
    time: list[str]
    part: str | None
    wide: bool
    forecasts: bool

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each column with a purpose but the features, as (setting, name)."""
        one = {"target": self.target, "part": self.part}
        for setting in ("target", "group", "time", "part"):
            names = [one[setting]] if setting in one else getattr(self, setting)
            yield from ((setting, name) for name in names if name is not None)


@dataclass
class Columns(Named):
    """The columns of a table by their purpose.

    Attributes:
        numbers: Columns that are read as numbers.
        lines: The inputs of the task, the target of a forecast first.
        offsets: What was subtracted from each line when it was read.
        scales: What each line was then divided by.
        notes: What was left out, and how the rest was read.
    """

    numbers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1))
    scales: np.ndarray = field(default_factory=lambda: np.ones(1))
    notes: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """Columns that are read as text."""
        return [name for setting, name in self if setting != "target" or not self.forecasts]


def columns_of(text: Text, named: Named) -> Columns:
    """Finds the columns that the settings name, or all that hold numbers.

    Raises:
        ValueError: For a column that is not there, or that is named for two purposes.
    """
    named = _resolved(named, text)
    _check_there(text, named)
    _one_role_each(named)

    notes, features = list(text.notes), named.features
    if features is None:
        features, left_out = _of_numbers(text, named)
        notes += left_out

    # the task reads the target of a forecast from line 0
    target = named.target
    first = [target] if named.forecasts and not named.wide and target is not None else []
    numbers = first + [name for name in features if name not in first]
    if not numbers:
        received = f"task.features={named.features}, {text.name}"
        fail(f"at least one column of numbers{text.other(named.wide)}", received)
    notes += _notes_on(text, numbers)
    lines = ["value"] if named.wide else numbers
    return Columns(**vars(named), numbers=numbers, lines=lines, notes=notes)


def _notes_on(text: Text, numbers: list[str]) -> list[str]:
    """How numbers are read that are more than digits, one note for all columns alike."""
    alike: dict[str, list[str]] = {}
    for name in numbers:
        way = text.written(name)
        if way is not None and way.note:
            alike.setdefault(way.note, []).append(name)
    return [f"{columns_said(names[:SHOWN])}: {note}" for note, names in alike.items()]


def _resolved(named: Named, text: Text) -> Named:
    """The columns that are named, also those whose names were read as numbers."""
    several: dict[str, Any] = {
        setting: [_as_text(name, text) for name in getattr(named, setting)]
        for setting in ("features", "group", "time")
        if getattr(named, setting) is not None
    }
    one = {setting: _as_text(getattr(named, setting), text) for setting in ("target", "part")}
    return replace(named, **several, **one)


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


def _check_there(text: Text, named: Named) -> None:
    """Every column that a setting names must be in the header."""
    lower = [name.lower() for name in text.header]
    for setting, name in [*named, *(("features", name) for name in named.features or [])]:
        if name in text.header:
            continue
        # cutoff 0: the nearest name, however far away
        nearest = get_close_matches(name.lower(), lower, 1, cutoff=0)
        close = f"; nearest: {text.header[lower.index(nearest[0])]!r}" if nearest else ""
        expected = f"a column of the table{close}{text.other(named.wide)}"
        fail(expected, f"task.{setting}={name!r}, {text.name}")


def _one_role_each(named: Named) -> None:
    """Each column has one purpose.

    A target that is forecast may be among the features, because its past is shown in any case.
    """
    settings = list(named)
    for k, (setting, name) in enumerate(settings):
        others = [f"task.{other}={name!r}" for other, same in settings[:k] if same == name]
        if name in (named.features or []) and not (setting == "target" and named.forecasts):
            others.append(f"task.features={named.features}")
        if others:
            received = f"task.{setting}={name!r} and {others[0]}"
            fail("different columns, each for one purpose", received)


def _of_numbers(text: Text, named: Named) -> tuple[list[str], list[str]]:
    """The columns without another purpose that hold numbers, and notes on the others."""
    taken = {name for setting, name in named if not (setting == "target" and named.forecasts)}
    index = [name for name in text.unnamed if name not in {*taken, named.target}]
    left = [name for name in text.header if name not in {*taken, *index}]
    ways = {name: text.written(name) for name in left}
    # true and false is no step of a sequence, but may say something of it
    words = [name for name, way in ways.items() if way is None or (named.wide and way.truth)]

    if named.target in words:
        _fail_for_target(text, str(named.target))
    notes = []
    if words:
        said = ", ".join(f"{name}{_perhaps(text, name)}" for name in words)
        notes.append(f"columns left out, as they hold no numbers: {said}")
    if index:
        said = f"columns without a name left out: {', '.join(map(repr, index))}"
        notes.append(f"{said}; task.features may name them")
    return [name for name in left if name not in words], notes


def _fail_for_target(text: Text, target: str) -> None:
    """Raises for the first word of a target that must hold numbers."""
    words = text.head[target]
    others = words.notna() & ~words.str.lower().isin(TRUTH)
    row = int(others.to_numpy().argmax())
    where = f"{words.iloc[row]!r} in {below_header(row)}"
    expected = f"numbers in the target{text.form.perhaps(words.iloc[row])}"
    fail(expected, f"task.target={target!r} with {where}")


def _perhaps(text: Text, name: str) -> str:
    """How a column of words may hold numbers after all, in brackets, or ''."""
    word = text.head[name].dropna().iloc[0]
    perhaps = text.form.perhaps(word)
    return f" ({word!r}{perhaps})" if perhaps else ""
