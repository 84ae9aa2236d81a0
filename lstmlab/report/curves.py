"""The picture of many trials of one setting: all their learning curves."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from lstmlab.report.pictures import WHOLE, save

WORST = 1e300  # the error of a trial that failed: infinity cannot be interpolated
SOURCE = 125  # characters of a line of the picture
WIDE = 10  # a log scale of sequences, where the longest trial is so many times the typical one
ENDS: dict[str, tuple[str, str]] = {  # how a trial ended -> colour of its curve, mark at its end
    "solved": ("C0", "o"),
    "not solved": ("C3", ">"),
    "failed": ("C1", "X"),
    "not finished": ("C7", "D"),
}


class Curve(NamedTuple):
    """The learning curve of one trial.

    Attributes:
        sequences: Training sequences at the end of each window, up to the solution.
        errors: Mean absolute error of the window.
        end: A name in ENDS.
    """

    sequences: np.ndarray
    errors: np.ndarray
    end: str


def curve(history: pd.DataFrame, row: dict) -> Curve:
    """The curve of a trial from its history.csv, which may be empty, and its row."""
    ends = {"solved": "solved", "budget": "not solved", "failed": "failed"}
    end = ends.get(row["status"], "not finished")
    if not len(history):
        return Curve(np.zeros(0), np.zeros(0), end)
    sequences = history["sequences"].to_numpy(float)
    if end == "solved":  # the trial was solved inside of its last window
        sequences = np.minimum(sequences, row["sequences_to_solution"])
    errors = history["absolute_error"].to_numpy(float)
    return Curve(sequences, np.where(np.isfinite(errors), errors, np.nan), end)


def median(curves: list[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """The median error over all trials, against sequences.

    A solved trial keeps its last error, a failed one counts as worse than all others. The curve
    ends where a trial was not finished: what came then is not known. A trial that did not finish
    its first window is left out, unless it failed.
    """
    sequences, [middle] = quantiles(curves, (0.5,))
    return sequences, middle


def quantiles(curves: list[Curve], shares: Sequence[float]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return quantiles of the error over all trials, against sequences; see `median`.

    A quantile between a trial that failed and one that did not is NaN.

    Args:
        curves: One for each trial; at least one came to the end of its first window.
        shares: The shares of trials below each quantile.
    """
    lost = sum(one.end == "failed" and not len(one.sequences) for one in curves)
    curves = [one for one in curves if len(one.sequences)]
    known = [one.sequences[-1] for one in curves if one.end in ("not solved", "not finished")]
    grid = np.unique(np.concatenate([one.sequences for one in curves]))
    grid = grid[grid <= min(known, default=np.inf)]
    beyond = {"failed": WORST}
    values = [
        np.interp(grid, one.sequences, one.errors, right=beyond.get(one.end)) for one in curves
    ]
    values += [np.full(len(grid), WORST)] * lost
    highest = np.nanmax(np.concatenate([one.errors for one in curves]), initial=0.0)
    found = np.quantile(values, shares, axis=0)
    return grid, [np.where(one <= highest, one, np.nan) for one in found]


def draw(curves: list[Curve], title: str, row: dict, path: Path) -> Path | None:
    """Draw the learning curves of all trials, and their median.

    Args:
        curves: One for each trial.
        title: What was trained, and how it ended; one line or several.
        row: The row of a trial, for the published mean and its source.
        path: The PNG file.

    Returns:
        The path; None if no trial came to the end of its first window.
    """
    errors = np.concatenate([one.errors for one in curves])
    if not np.isfinite(errors).any():
        return None
    figure = Figure(figsize=(9, 5.6), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize="medium")
    axes = figure.subplots()

    # error 0 has no place on a log axis: it is drawn at the lower end
    lowest = min(errors[errors > 0], default=1e-3)
    for end, (colour, mark) in ENDS.items():
        _curves(axes, [one for one in curves if one.end == end], end, colour, mark, lowest)
    if len(curves) > 2:
        grid, middle = median(curves)
        label = "median (a solved trial keeps its last error)" if np.isfinite(middle).any() else ""
        middle = np.maximum(middle, lowest)
        axes.plot(grid, middle, color="black", linewidth=2.5, label=label, zorder=4)
    _upwards(axes, lowest, np.nanmax(errors))
    axes.set_ylabel("mean absolute error")
    axes.set_xlabel("\n".join(["training sequences", *_published(axes, row)]))
    ends = [float(one.sequences[-1]) for one in curves if len(one.sequences)]
    _across(axes, ends, row.get("published_sequences"))
    axes.grid(alpha=0.3, which="major")
    figure.legend(loc="outside lower center", ncols=6, fontsize="small")
    return save(figure, path)


def _curves(
    axes: Axes, curves: list[Curve], end: str, colour: str, mark: str, lowest: float
) -> None:
    """Thin lines, each with a mark where it ends."""
    drawn = [one for one in curves if len(one.sequences)]
    # many thin lines would hide one another
    opaque = float(np.clip(6 / max(len(drawn), 1), 0.2, 0.8))
    for one in drawn:
        errors = np.maximum(one.errors, lowest)
        axes.plot(one.sequences, errors, color=colour, linewidth=0.8, alpha=opaque)
    if not curves:
        return
    last = [(one.sequences[-1], max(_last(one.errors), lowest)) for one in drawn]
    axes.plot(
        [x for x, _ in last],
        [y for _, y in last],
        mark,
        color=colour,
        label=f"{end} ({len(curves)})",
        zorder=5,
    )


def _last(errors: np.ndarray) -> float:
    """The last error that is a number; NaN if none is."""
    known = errors[np.isfinite(errors)]
    return float(known[-1]) if len(known) else np.nan


def _published(axes: Axes, row: dict) -> list[str]:
    """Draw the published mean as a line; returns the lines of text that say where it is from."""
    mean = row.get("published_sequences")
    if not mean:
        return []
    axes.axvline(mean, color="black", linestyle=":", label="published mean")
    source = row.get("published_source")
    text = f"published mean: {mean:,} sequences" + (f" ({source})" if source else "")
    return textwrap.wrap(text, SOURCE)


def _upwards(axes: Axes, lowest: float, highest: float) -> None:
    """A log scale of errors, of a decade at least: noise looks as small as it is."""
    axes.set_yscale("log")
    highest = max(highest, lowest)
    axes.set_ylim(min(0.8 * lowest, highest / 10), 1.3 * highest)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _across(axes: Axes, ends: list[float], published: float | None) -> None:
    """The scale of sequences: plain, or a log scale where few trials last far longer than most."""
    if max([*ends, published or 0]) > WIDE * np.median(ends):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(WHOLE)
