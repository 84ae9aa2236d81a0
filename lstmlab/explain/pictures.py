"""The pictures of an explanation, from the tables of the diagnostics."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lstmlab.files import whole

FLOOR = -40  # log10 below which a curve is cut off
SPAN = 1  # the log10 axis shows at least this many decades: a change of a few percent looks small


def retention(jacobians: pd.DataFrame, path: Path) -> Path:
    """Draw |ds_T/ds_t| against lag next to the product of the forget gates."""
    rows = jacobians[jacobians["measure"] == "log10_norm"].rename(columns={"path": "kind"})
    names = {
        "cell_state": "measured |ds_T/ds_t|",
        "carousel": "product of the forget gates",
        "output": "measured |dy_T/dy_t|",
    }
    return _curves(rows, names, "log10 of the norm", path)


def flow(error_flow: pd.DataFrame, path: Path) -> Path:
    """Draw |dE/ds_t| against lag, by path."""
    rows = error_flow[error_flow["norm"] > 0].assign(value=lambda table: np.log10(table["norm"]))
    names = {
        "cell_state": "whole, |dE/ds_t|",
        "carousel": "along the carousel",
        "nets": "through the pre-activations",
        "used": "used by the learner",
    }
    return _curves(rows.rename(columns={"path": "kind"}), names, "log10 of |dE/ds_t|", path)


def bound(table: pd.DataFrame, path: Path) -> Path:
    """Draw the measured derivative under its bound, or next to the carousel."""
    names = {
        "log10_norm": "measured |ds_T/ds_t|, largest over sequences",
        "log10_bound_spectral": "bound (f'max |W|_2)^q",
        "log10_carousel": "carousel: largest product of forget gates",
    }
    return _curves(table, names, "log10", path)


def _curves(rows: pd.DataFrame, names: dict[str, str], label: str, path: Path) -> Path:
    with whole(path) as draft:
        FigureCanvasAgg(drawn(rows, names, label)).print_png(draft)
    return path


def drawn(rows: pd.DataFrame, names: dict[str, str], label: str) -> Figure:
    """Draw curves against lag.

    Args:
        rows: lag, kind, value (log10).
        names: {kind: its name in the legend}, in order.
        label: Label of the log10 axis.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=110)
    axes = figure.subplots()
    # counted over all names: a curve keeps its colour where another has no points
    for colour, (kind, name) in enumerate(names.items()):
        curve = rows[(rows["kind"] == kind) & (rows["value"] > FLOOR)].sort_values("lag")
        if len(curve) > 1:
            style = ("-", "--", ":", "-.")[colour % 4]
            axes.plot(curve["lag"], curve["value"], style, color=f"C{colour}", label=name)

    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")

    low, high = axes.get_ylim()
    wider = max(SPAN - (high - low), 0) / 2
    axes.set_ylim(low - wider, high + wider)
    return figure
