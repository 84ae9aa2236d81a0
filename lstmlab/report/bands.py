"""Learning curves of groups of trials, with bands; and their Kaplan-Meier curves."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lstmlab.report import survival
from lstmlab.report.curves import Curve, curve, quantiles
from lstmlab.report.pictures import WHOLE, save_both
from lstmlab.report.tables import wrapped
from lstmlab.results import Run

GROUPS = 10  # colours; a picture of more lines could not be read
LABEL = 110  # characters of a line of the legend


class Band(NamedTuple):
    """The error of one group of trials against training sequences.

    Attributes:
        sequences: Where the errors stand, rising.
        low: The lower quartile over the trials there.
        middle: The median.
        high: The upper quartile.
        trials: How many trials it stands on.
    """

    sequences: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    trials: int


def band(trials: pd.DataFrame) -> Band | None:
    """Return median and quartiles of the learning curves of trials; None if there is no curve.

    A solved trial keeps its last error, and one that failed counts as worse than all others.

    Args:
        trials: Rows of `statistics.trials`; the histories lie in the folders of the column `run`.
    """
    curves: list[Curve] = [
        curve(Run(row["run"]).read("history"), row) for row in trials.to_dict("records")
    ]
    if not any(len(one.sequences) for one in curves):
        return None
    sequences, (low, middle, high) = quantiles(curves, (0.25, 0.5, 0.75))
    return Band(sequences, low, middle, high, len(curves))


def draw(groups: list[tuple[str, pd.DataFrame]], path: Path) -> Path | None:
    """Draw the shares not solved yet and the errors of the first ten groups, as PNG and SVG.

    Args:
        groups: A label and its trials for each.
        path: The PNG file; the SVG lies beside it.

    Returns:
        The path; None if there are no trials.
    """
    drawn = [(label, trials) for label, trials in groups if len(trials)][:GROUPS]
    if not drawn:
        return None
    names = [
        wrapped(" ".join(label.split("\n")) + f" ({len(trials)} trials)", LABEL)
        for label, trials in drawn
    ]
    rows = sum(name.count("\n") + 1 for name in names)
    figure = Figure(figsize=(9, 6.4 + 0.1 * len(names) + 0.2 * rows), layout="constrained", dpi=110)
    above, below = figure.subplots(2, 1)
    for number, (name, (_, trials)) in enumerate(zip(names, drawn, strict=True)):
        colour, seen = f"C{number}", survival.watched(trials)
        steps = survival.kaplan_meier(seen)
        x = np.concatenate([[0.0], steps.sequences])
        above.step(x, [1.0, *steps.unsolved], where="post", color=colour, label=name)
        above.fill_between(
            x, [1.0, *steps.low], [1.0, *steps.high], step="post", color=colour, alpha=0.15
        )
        ends = seen.sequences[~seen.solved]
        at = np.searchsorted(steps.sequences, ends, side="right")
        above.plot(ends, np.array([1.0, *steps.unsolved])[at], "+", color=colour, markersize=9)
        found = band(trials)
        if found is not None:
            below.plot(found.sequences, found.middle, color=colour)
            below.fill_between(found.sequences, found.low, found.high, color=colour, alpha=0.15)
    above.set_ylim(-0.03, 1.03)
    above.set_ylabel("share not solved yet")
    title = "Kaplan-Meier, 95 % band; +: a trial whose budget was used up, or that failed"
    above.set_title(title, fontsize="medium")
    below.set_title("median and quartiles over the trials", fontsize="medium")
    below.set_ylabel("mean absolute error")
    if below.lines:
        below.set_yscale("log")
    for axes in (above, below):
        axes.set_xlim(left=0)
        axes.set_xlabel("training sequences")
        axes.xaxis.set_major_formatter(WHOLE)
        axes.grid(alpha=0.3)
    left = len([1 for _, trials in groups if len(trials)]) - len(drawn)
    more = f"the first {len(drawn)} groups; {left} more are not drawn" if left else None
    figure.legend(loc="outside lower center", ncols=1, fontsize="small", title=more)
    return save_both(figure, path)
