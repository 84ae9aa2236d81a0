"""One drawn sequence as a picture: inputs above, what is asked below, events dotted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmlab.describe.example import FEW, Example, written
from lstmlab.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 4  # numeric lines that are drawn as curves; more are a heat map
TICKS = 20  # names of lines beside a panel
Panel = tuple[Callable[..., None], float, tuple[Any, ...]]  # what draws it, inches, its arguments


def picture(task: Task, seed: int = 0, position: int = 0) -> Figure:
    """One training sequence as a matplotlib Figure.

    Args:
        task: The task that draws the sequence.
        seed: The seed of the training stream.
        position: The position in that stream, from 0.
    """
    from matplotlib.figure import Figure

    example = Example(task, seed, position)
    total, asked = len(example.w), np.flatnonzero(example.asked)
    steps, answers = np.arange(total), example.y[asked]
    parts = _panels(steps, example.x, example.inputs, example.symbols, "C0", "", total)
    parts += _panels(asked, answers, example.targets, example.classes, "C3", "asked", total)

    heights = [height for _, height, _ in parts]
    figure = Figure(figsize=(8, 0.8 + sum(heights)), layout="constrained", dpi=100)
    rows = figure.subplots(len(parts), 1, sharex=True, height_ratios=heights, squeeze=False)
    panels: list[Axes] = list(rows[:, 0])
    for panel, (draw, _, arguments) in zip(panels, parts, strict=True):
        draw(panel, *arguments)
    _mark_events(panels, example)
    _label(panels, example)
    return figure


def _panels(
    steps: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    one_hot: bool,
    colour: str,
    label: str,
    total: int,
) -> list[Panel]:
    """One panel for all lines, or, of a few numbers, one for each."""
    lines = values.shape[1]
    high = 0.4 + min(0.2 * lines, 2.6)
    if one_hot:
        return [(_dots, high, (steps, values, names, colour, label, total))]
    if lines > CURVES:
        return [(_heat, high, (steps, values, names, label))]
    titles = [f"{label}:\n{name}" if label else name for name in names]
    return [(_curve, 1.0, (steps, values[:, k], title, colour)) for k, title in enumerate(titles)]


def _curve(panel: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    """A line through neighbouring steps; points where they are few or far between."""
    joined = len(steps) > 1 and bool((np.diff(steps) == 1).all())
    points = len(steps) <= 60 or not joined
    panel.plot(
        steps + 1,
        values,
        color=colour,
        linewidth=0.9 if joined else 0,
        marker="." if points else None,
        markersize=5,
        drawstyle="steps-mid" if len(steps) <= 300 else "default",
    )

    margin = 0.12 * float(values.max() - values.min()) or 0.5
    panel.set_ylim(values.min() - margin, values.max() + margin)
    panel.set_ylabel(label, fontsize=9)

    if len(steps) == 1:  # a value without neighbours is written beside its point
        at, text = (steps[0] + 1, values[0]), f"{written(values[0])}  "
        panel.annotate(text, at, ha="right", va="center", fontsize=9, color=colour)
        panel.lines[0].set_markersize(10)
        panel.set_yticks([])


def _dots(
    panel: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    colour: str,
    label: str,
    total: int,
) -> None:
    """Each line that is 1: its name where there is room, else a square."""
    where, line = np.nonzero(values)
    at, lines = steps[where] + 1, values.shape[1]
    if total <= FEW or len(at) == 1:
        how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "weight": "bold"}
        for step, k in zip(at.tolist(), line.tolist(), strict=True):
            panel.text(step, k, names[k], color=colour, **how)
    else:
        room = min(480 / total, 360 / lines)  # points between neighbours, to the side and above
        size = float(np.clip(room, 4.0 if len(at) < FEW else 2.0, 7.0))
        panel.plot(at, line, "s", color=colour, markersize=size, mew=0)

    panel.set_ylim(lines - 0.4, -0.6)
    panel.set_ylabel(label, fontsize=9)
    _ticks(panel, names)


def _heat(
    panel: Axes, steps: np.ndarray, values: np.ndarray, names: Sequence[str], label: str
) -> None:
    """Colours from the least value (blue) to the greatest (red); white is 0, and missing steps."""
    most = float(np.abs(values).max()) or 1.0
    image = np.zeros((values.shape[1], steps[-1] - steps[0] + 1))
    image[:, steps - steps[0]] = values.T

    panel.imshow(
        image,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        extent=(steps[0] + 0.5, steps[-1] + 1.5, values.shape[1] - 0.5, -0.5),
        interpolation="nearest" if len(steps) < 400 else "antialiased",
    )

    panel.set_ylabel(f"{label or 'inputs'}, ±{written(most)}", fontsize=9)
    _ticks(panel, names)


def _ticks(panel: Axes, names: Sequence[str]) -> None:
    """At most TICKS names beside a panel, the last one among them."""
    every = -(-len(names) // TICKS)
    last = len(names) - 1
    places = [place for place in range(0, last, every) if 2 * (last - place) >= every] + [last]
    panel.set_yticks(places, [names[k] for k in places])


def _mark_events(panels: Sequence[Axes], example: Example) -> None:
    """Dotted lines at the events, or, if there are many, arrow heads above them."""
    from matplotlib.transforms import offset_copy

    at = np.flatnonzero(example.events) + 1
    top = panels[0]
    if len(at) > TICKS:
        above = offset_copy(
            top.get_xaxis_transform(), top.get_figure(root=True), y=5, units="points"
        )
        heads = np.ones(len(at))
        top.plot(at, heads, "v", color="black", markersize=3, transform=above, clip_on=False)
        return

    for panel in panels:
        for step in at.tolist():
            panel.axvline(step, color="black", linestyle=":", linewidth=0.9, zorder=0)
    # Beside the panel there is no room for all names: those at the events are written inside.
    if example.symbols and len(example.inputs) > TICKS and len(example.w) > FEW:
        how: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9}
        for step in at.tolist():
            k = int(example.x[step - 1].argmax())
            top.annotate(example.inputs[k], (step, k), (4, 0), **how)


def _label(panels: Sequence[Axes], example: Example) -> None:
    """The title, the axis of the steps, and what all panels share."""
    for panel in panels:
        panel.tick_params(labelsize=8, length=2)
        panel.spines[["top", "right"]].set_visible(False)

    events, margin = int(example.events.sum()), 0.01 * len(example.w)
    panels[-1].set_xlim(0.5 - margin, len(example.w) + 0.5 + margin)
    marked = "; dotted" if 0 < events <= TICKS else "; arrow heads"
    told = f"{marked}: the steps that the answer hangs on" if events else ""
    panels[-1].set_xlabel(f"step{told}", fontsize=9)
    panels[0].set_title(example.title, fontsize=10, pad=12 if events > TICKS else 4)
