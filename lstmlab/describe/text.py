"""One drawn sequence as text: symbols side by side, or a table of numbers."""

from collections.abc import Sequence

import numpy as np

from lstmlab.describe.example import Example, written
from lstmlab.task import Task

MOST = 40  # steps that the text shows; the others are counted
ENDS = 3  # first and last steps that it always shows
WIDTH = 110  # characters in a line
MOST_LINES = 8  # numeric lines that the text shows


def describe(task: Task, seed: int = 0, position: int = 0) -> str:
    """One training sequence as text: symbols in rows, numbers as a table of steps.

    Args:
        task: The task that draws the sequence.
        seed: The seed of the training stream.
        position: The position in that stream, from 0.
    """
    example = Example(task, seed, position)
    steps = np.arange(len(example.w))
    counts = f"{len(steps)} steps, {example.asked.sum()} with an error, lag at least {task.lag}"
    parts = _cut(important(example))
    draw = _rows if example.symbols else _table
    return "\n".join([f"{example.title}: {counts}", *draw(example, parts)])


def important(example: Example) -> np.ndarray:
    """The steps that the text shows, bool [T].

    These are events, steps with an error, and the first and last ones; if there are too many, the
    middle ones are left out.
    """
    steps = np.arange(len(example.w))
    shown = example.events | (steps < ENDS) | (steps >= len(steps) - ENDS)
    if example.asked.sum() <= MOST:
        shown |= example.asked
    else:
        # Where nearly all steps are asked, those count at which the answer changes.
        changed = (np.diff(example.y, axis=0) != 0).any(axis=-1)
        shown[1:] |= changed & example.asked[1:]
    if len(steps) <= MOST:
        shown[:] = True

    # To say that one step is left out would take more room than the step itself.
    between = ~shown[1:-1] & shown[:-2] & shown[2:]
    shown[1:-1] |= between
    if shown.sum() > MOST:
        order = np.flatnonzero(shown)
        shown[order[MOST // 2 : -(MOST // 2)]] = False
    return shown


def _cut(shown: np.ndarray) -> list[int | str]:
    """The steps that are shown, and between them how many are not."""
    parts: list[int | str] = []
    steps = np.flatnonzero(shown)
    for before, step in zip([-1, *steps[:-1]], steps, strict=True):
        if step > before + 1:
            parts.append(f"... {step - before - 1} steps ...")
        parts.append(int(step))
    return parts


def _rows(example: Example, parts: list[int | str]) -> list[str]:
    """Symbols side by side, what is asked below them; as many lines of text as they need."""
    heads = ["step", "shown", "asked"] + ["event"] * bool(example.events.any())
    columns = [heads]
    for part in parts:
        if isinstance(part, str):
            column = ["", part, "", ""]
        else:
            symbol = _symbol(example.x[part], example.inputs)
            column = [str(part + 1), symbol, _answer(example, part), _event(example, part)]
        columns.append(column[: len(heads)])

    lines: list[str] = []
    together: list[list[str]] = []
    for column in columns:
        if sum(_width(other) + 1 for other in [*together, column]) > WIDTH and len(together) > 1:
            lines += [*_side_by_side(together), ""]
            together = [heads]
        together.append(column)
    return lines + _side_by_side(together)


def _width(column: list[str]) -> int:
    return max(map(len, column))


def _side_by_side(columns: list[list[str]]) -> list[str]:
    head, *rest = columns
    rows = (
        [f"{entry:<{_width(head)}}", *(f"{column[k]:>{_width(column)}}" for column in rest)]
        for k, entry in enumerate(head)
    )
    return [" ".join(row).rstrip() for row in rows]


def _table(example: Example, parts: list[int | str]) -> list[str]:
    """A line per step: inputs, what is asked, and a star at the events."""
    inputs = example.inputs[:MOST_LINES]
    left_out = len(example.inputs) - len(inputs)
    heads = ["step", *inputs, *([f"({left_out} more)"] if left_out else []), "asked", ""]
    body: list[str | list[str]] = []
    for part in parts:
        if isinstance(part, str):
            body.append(part)
            continue
        shown = [written(value) for value in example.x[part, :MOST_LINES]]
        shown += [""] if left_out else []
        body.append([str(part + 1), *shown, _answer(example, part), _event(example, part)])

    cells = [heads, *(row for row in body if not isinstance(row, str))]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]
    return [_line(row, widths) for row in [heads, *body]]


def _line(row: str | list[str], widths: list[int]) -> str:
    if isinstance(row, str):
        return f"  {row}"
    cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _answer(example: Example, step: int) -> str:
    """The target at a step with an error: its symbol or symbols, or its numbers."""
    if not example.asked[step]:
        return ""
    if example.classes:
        return _symbol(example.y[step], example.targets)
    numbers = [written(value) for value in example.y[step, :MOST_LINES]]
    return ", ".join([*numbers, "..."] if example.y.shape[1] > MOST_LINES else numbers)


def _event(example: Example, step: int) -> str:
    return "*" if example.events[step] else ""


def _symbol(values: np.ndarray, names: Sequence[str]) -> str:
    return "/".join(names[k] for k in np.flatnonzero(values).tolist()) or "-"
