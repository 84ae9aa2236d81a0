"""What a task shows and asks: one drawn sequence as text and as a picture; also the command `lstmlab-tasks`."""

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstmlab import config, published
from lstmlab.criterion import criterion
from lstmlab.task import Task, valid_steps

MOST = 40  # steps that the text of one sequence shows; the others are counted
ENDS = 3  # first and last steps that it always shows
WIDTH = 110  # characters in a line
MOST_LINES = 8  # numeric lines that the text shows
CURVES = 4  # numeric lines that the picture draws as curves; more are a heat map
TICKS = 20  # names of lines beside a panel
FEW = 40  # steps of a sequence whose symbols the picture writes out; those of a longer one are squares


class Example:
    """One sequence, without its padding: x [T, F], y [T, K], w [T], events [T], and names for its lines."""

    def __init__(self, task: Task, seed: int, position: int):
        x, y, w = task.sequence(seed, "train", position)
        steps = int(valid_steps(w).sum())
        self.x, self.y, self.w, self.events = (
            x[0, :steps],
            y[0, :steps],
            w[0, :steps],
            task.events(x, w)[0, :steps],
        )
        self.asked = self.w > 0
        self.inputs, self.targets = (
            _names(task.inputs, task.features),
            _names(task.targets, task.outputs),
        )
        self.symbols, self.classes = (
            is_one_hot(self.x),
            is_one_hot(self.y[self.asked], several=True),
        )
        self.title = f"{type(task).__name__}: training sequence {position} of seed {seed}"


def is_one_hot(values: np.ndarray, several: bool = False) -> bool:
    """Whether each step [T, lines] is a symbol: one line 1 and the others 0. several: also sets of symbols."""
    if values.shape[-1] == 1 or not np.isin(values, (0.0, 1.0)).all():
        return False
    return bool(several or (values.sum(axis=-1) == 1).all())


def describe(task: Task, seed: int = 0, position: int = 0) -> str:
    """The sequence at that position of the training stream as text: symbols in rows, numbers as a table of steps."""
    example = Example(task, seed, position)
    steps = np.arange(len(example.w))
    counts = f"{len(steps)} steps, {example.asked.sum()} with an error, lag at least {task.lag}"
    parts = _cut(important(example))
    draw = _rows if example.symbols else _table
    return "\n".join([f"{example.title}: {counts}", *draw(example, parts)])


def picture(task: Task, seed: int = 0, position: int = 0):
    """The same sequence as a matplotlib Figure: inputs above, targets at the steps with an error below, events dotted."""
    from matplotlib.figure import Figure

    example = Example(task, seed, position)
    total, asked = len(example.w), np.flatnonzero(example.asked)
    parts = _panels(np.arange(total), example.x, example.inputs, example.symbols, "C0", "", total)
    parts += _panels(
        asked, example.y[asked], example.targets, example.classes, "C3", "asked", total
    )
    heights = [height for _, height, _ in parts]
    figure = Figure(figsize=(8, 0.8 + sum(heights)), layout="constrained", dpi=100)
    panels = figure.subplots(len(parts), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for panel, (draw, _, arguments) in zip(panels, parts, strict=True):
        draw(panel, *arguments)
    _mark(panels, example)
    return figure


def build(name: str, settings: Sequence[str] = (), seed: int = 0) -> Task:
    """The task of that name in conf/task/, with settings as 'T=50', 'criterion.wrong=3', read as `lstmlab` reads them.

    Raises ValueError for an unknown name or setting, with the nearest that there is, and for what the task itself or its
    criterion refuses.
    """
    task = config.changed("task", name, settings, seed)
    _check_criterion(name, task, seed)
    return task


def _check_criterion(name: str, task: Task, seed: int) -> None:
    """What training would say of the criterion. Raises ValueError."""
    wanted = getattr(criterion(**task.criterion), "sets", None) or []
    if wanted and not set(wanted) <= set(known := task.sets(seed)):
        raise ValueError(
            f"{name}: expected names among {sorted(known)}. Received: criterion.sets={wanted}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(
        prog="lstmlab-tasks",
        description="The tasks there are; with a name: the card of that task, and one drawn sequence.",
    )
    parser.add_argument("name", nargs="?", help="a task of conf/task/")
    parser.add_argument(
        "settings", nargs="*", metavar="SETTING=VALUE", help="settings of the task, as T=50"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawn sequence (default 0)")
    parser.add_argument(
        "--position", type=int, default=0, help="of the sequence in the training stream (default 0)"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="write the sequence as a picture, too (png, svg, pdf)",
    )
    options = parser.parse_intermixed_args(argv)
    try:
        print(_list() if options.name is None else _one(options))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-tasks: {error}")


def _list() -> str:
    known = config.options("task")
    docs = {name: inspect.getdoc(config.target("task", name)) or "" for name in known}
    width = max(map(len, known))
    return "\n".join(f"{name:<{width}}  {docs[name].splitlines()[0]}" for name in known)


def _one(options: argparse.Namespace) -> str:
    task = build(options.name, options.settings, options.seed)
    settings = config.text("task", options.name).partition("\n")[2].rstrip()
    parts = [
        inspect.getdoc(type(task)) or "",
        _published(options.name),
        f"Settings of task={options.name}, with their defaults:\n{settings}",
    ]
    parts.append(describe(task, options.seed, options.position))
    if options.picture is not None:
        picture(task, options.seed, options.position).savefig(options.picture)
        parts.append(f"picture: {options.picture}")
    return "\n\n".join(part for part in parts if part)


def _published(name: str) -> str:
    """The task's published results as text; '' where conf/published.csv has none."""
    from tabulate import tabulate

    title, rows = published.table(name)
    if not rows:
        return ""
    return f"{title}:\n{tabulate(rows, headers='firstrow', disable_numparse=True)}"


# ---- text


def important(example: Example) -> np.ndarray:
    """Which steps the text shows, bool [T]: events, steps with an error, first and last; of too many the first and last."""
    steps = np.arange(len(example.w))
    shown = example.events | (steps < ENDS) | (steps >= len(steps) - ENDS)
    if example.asked.sum() <= MOST:
        shown |= example.asked
    else:
        changed = (np.diff(example.y, axis=0) != 0).any(
            axis=-1
        )  # where all steps are asked: those with another answer
        shown[1:] |= changed & example.asked[1:]
    if len(steps) <= MOST:
        shown[:] = True
    alone = ~shown[1:-1] & shown[:-2] & shown[2:]
    shown[1:-1] |= alone  # one step left out would take more room than it
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


def _rows(example: Example, parts: list) -> list[str]:
    """Symbols side by side, what is asked below them; as many lines of text as they need."""
    heads = ["step", "shown", "asked"] + ["event"] * bool(example.events.any())
    columns = [heads]
    for part in parts:
        if isinstance(part, str):
            columns.append(["", part, "", ""][: len(heads)])
        else:
            event = "*" if example.events[part] else ""
            columns.append(
                [
                    str(part + 1),
                    _symbol(example.x[part], example.inputs),
                    _answer(example, part),
                    event,
                ][: len(heads)]
            )
    lines: list[str] = []
    block: list[list[str]] = []
    for column in columns:
        if sum(_width(other) + 1 for other in [*block, column]) > WIDTH and len(block) > 1:
            lines += [*_side_by_side(block), ""]
            block = [heads]
        block.append(column)
    return lines + _side_by_side(block)


def _width(column: list[str]) -> int:
    return max(map(len, column))


def _side_by_side(columns: list[list[str]]) -> list[str]:
    head, *rest = columns
    rows = (
        [f"{entry:<{_width(head)}}", *(f"{c[k]:>{_width(c)}}" for c in rest)]
        for k, entry in enumerate(head)
    )
    return [" ".join(row).rstrip() for row in rows]


def _table(example: Example, parts: list) -> list[str]:
    """A line per step: inputs, what is asked, and a star at the events."""
    inputs = example.inputs[:MOST_LINES]
    left_out = len(example.inputs) - len(inputs)
    heads = ["step", *inputs, *([f"({left_out} more)"] if left_out else []), "asked", ""]
    body: list[str | list[str]] = []
    for part in parts:
        if isinstance(part, str):
            body.append(part)
            continue
        shown = [_number(value) for value in example.x[part, :MOST_LINES]]
        event = "*" if example.events[part] else ""
        body.append(
            [str(part + 1), *shown, *([""] if left_out else []), _answer(example, part), event]
        )
    cells = [heads, *(row for row in body if not isinstance(row, str))]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]

    def line(row) -> str:
        return (
            f"  {row}"
            if isinstance(row, str)
            else "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
        )

    return [line(row) for row in [heads, *body]]


def _answer(example: Example, step: int) -> str:
    """The target at a step with an error: its symbol or symbols, or its numbers."""
    if not example.asked[step]:
        return ""
    if example.classes:
        return _symbol(example.y[step], example.targets)
    numbers = [_number(value) for value in example.y[step, :MOST_LINES]]
    return ", ".join([*numbers, "..."] if example.y.shape[1] > MOST_LINES else numbers)


def _symbol(values: np.ndarray, line_names: Sequence[str]) -> str:
    return "/".join(line_names[k] for k in np.flatnonzero(values).tolist()) or "-"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _names(given: Sequence[str], lines: int) -> list[str]:
    return [str(name) for name in given] or [str(k + 1) for k in range(lines)]


# ---- picture


def _panels(
    steps, values, line_names, one_hot: bool, colour: str, label: str, total: int
) -> list[tuple]:
    """(function that draws, inches, its arguments without the panel): one panel for all lines, or few numbers one each."""
    lines = values.shape[1]
    high = 0.4 + min(0.2 * lines, 2.6)
    if one_hot:
        return [(_dots, high, (steps, values, line_names, colour, label, total))]
    if lines > CURVES:
        return [(_heat, high, (steps, values, line_names, label))]
    names = [f"{label}:\n{name}" if label else name for name in line_names]
    return [(_curve, 1.0, (steps, values[:, k], name, colour)) for k, name in enumerate(names)]


def _curve(panel, steps, values, label: str, colour: str) -> None:
    """A line through neighbouring steps; points where they are few or far between; one value alone as a number."""
    joined = len(steps) > 1 and bool((np.diff(steps) == 1).all())
    points, style = len(steps) <= 60 or not joined, "steps-mid" if len(steps) <= 300 else "default"
    panel.plot(steps + 1, values, color=colour, linewidth=0.9 if joined else 0, marker="." if points else None,
               markersize=5, drawstyle=style)  # fmt: skip
    room = 0.12 * float(values.max() - values.min()) or 0.5
    panel.set_ylim(values.min() - room, values.max() + room)
    panel.set_ylabel(label, fontsize=9)
    if len(steps) == 1:
        panel.annotate(
            f"{_number(values[0])}  ",
            (steps[0] + 1, values[0]),
            ha="right",
            va="center",
            fontsize=9,
            color=colour,
        )
        panel.lines[0].set_markersize(10)
        panel.set_yticks([])


def _dots(panel, steps, values, line_names, colour: str, label: str, total: int) -> None:
    """Each line that is 1: its name where there is room, else a square. total: steps of the sequence."""
    where, line = np.nonzero(values)
    at, lines = steps[where] + 1, values.shape[1]
    if total <= FEW or len(at) == 1:
        for step, k in zip(at, line, strict=True):
            panel.text(
                step,
                k,
                line_names[k],
                color=colour,
                ha="center",
                va="center",
                fontsize=9,
                weight="bold",
            )
    else:
        room = 480 / total, 360 / lines  # points between neighbours, to the side and above
        panel.plot(
            at,
            line,
            "s",
            color=colour,
            markersize=float(np.clip(min(room), 4.0 if len(at) < FEW else 2.0, 7.0)),
            mew=0,
        )
    panel.set_ylim(lines - 0.4, -0.6)
    panel.set_ylabel(label, fontsize=9)
    _ticks(panel, line_names)


def _heat(panel, steps, values, line_names, label: str) -> None:
    """Colours from the least value (blue) to the greatest (red); white is 0, and steps that are not there."""
    most = float(np.abs(values).max()) or 1.0
    image = np.zeros((values.shape[1], steps[-1] - steps[0] + 1))
    image[:, steps - steps[0]] = values.T
    extent = (steps[0] + 0.5, steps[-1] + 1.5, values.shape[1] - 0.5, -0.5)
    panel.imshow(image, aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most, extent=extent,
                 interpolation="nearest" if len(steps) < 400 else "antialiased")  # fmt: skip
    panel.set_ylabel(f"{label or 'inputs'}, ±{_number(most)}", fontsize=9)
    _ticks(panel, line_names)


def _ticks(panel, line_names) -> None:
    every = -(-len(line_names) // TICKS)
    last = len(line_names) - 1
    places = [place for place in range(0, last, every) if 2 * (last - place) >= every] + [last]
    panel.set_yticks(places, [line_names[k] for k in places])


def _mark(panels, example: Example) -> None:
    """Dotted lines at the events, or arrow heads above where they are many; and what all panels share."""
    from matplotlib.transforms import offset_copy

    at = np.flatnonzero(example.events) + 1
    for panel in panels:
        for step in at if len(at) <= TICKS else ():
            panel.axvline(step, color="black", linestyle=":", linewidth=0.9, zorder=0)
        panel.tick_params(labelsize=8, length=2)
        panel.spines[["top", "right"]].set_visible(False)
    if (
        example.symbols
        and len(example.inputs) > TICKS
        and len(at) <= TICKS
        and len(example.w) > FEW
    ):
        for step in at:  # beside the panel there is no room for all names
            k = int(example.x[step - 1].argmax())
            panels[0].annotate(
                example.inputs[k],
                (step, k),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    if len(at) > TICKS:
        top = offset_copy(panels[0].get_xaxis_transform(), panels[0].figure, y=5, units="points")
        panels[0].plot(
            at, np.ones(len(at)), "v", color="black", markersize=3, transform=top, clip_on=False
        )
    panels[-1].set_xlim(0.5 - 0.01 * len(example.w), len(example.w) + 0.5 + 0.01 * len(example.w))
    marked = "; dotted" if 0 < len(at) <= TICKS else "; arrow heads"
    panels[-1].set_xlabel(
        "step" + (f"{marked}: the steps that the answer hangs on" if len(at) else ""), fontsize=9
    )
    panels[0].set_title(example.title, fontsize=10, pad=12 if len(at) > TICKS else 4)


if __name__ == "__main__":
    main()
