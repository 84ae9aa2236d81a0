"""The pictures of an audit, as PNG."""

import io
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lstmlab.explain.pictures import drawn

FLOW = {
    "cell_state": "whole, |dE/ds_t|",
    "carousel": "along the cell state only",
    "nets": "through gates and outputs",
    "output": "at the output, |dE/dy_t|",
}


def gates(values: dict[str, np.ndarray], valid: np.ndarray) -> bytes:
    """Draw each gate against time: the mean over sequences and cells, and where 80 % of it lies.

    Args:
        values: {gate: [B, T, m]}.
        valid: bool [B, T].
    """
    figure, axes = _figure()
    for colour, (gate, value) in enumerate(values.items()):
        here = np.where(valid[..., None], value.astype("float64"), np.nan)
        columns = np.moveaxis(here, 1, 0).reshape(here.shape[1], -1)
        low, high = np.nanpercentile(columns, (10, 90), axis=1)
        steps = np.arange(1, len(columns) + 1)
        marker = "o" if len(steps) == 1 else None
        axes.plot(steps, np.nanmean(columns, axis=1), marker=marker, label=gate.replace("_", " "))
        axes.fill_between(steps, low, high, alpha=0.15, color=f"C{colour}", linewidth=0)
    axes.set(xlabel="step, in the order of processing", ylabel="gate", ylim=(-0.03, 1.03))
    return _png(figure, axes)


def half_lives(table: pd.DataFrame, steps: int) -> bytes:
    """Draw the half-life of each cell from the shortest to the longest, on a log scale."""
    figure, axes = _figure()
    shown = np.sort(table["half_life"].clip(1e-2, 1e4))
    axes.plot(np.arange(1, len(shown) + 1), shown, ".-", label="half-life of a cell")
    axes.axhline(steps, color="0.4", linestyle="--", label="length of the longest sequence")
    low, high = np.log10([min(shown[0], steps), max(shown[-1], steps)])
    ends = 10 ** np.floor(low), 10 ** np.ceil(high + 0.01)
    axes.set(
        xlabel="cells, from the shortest half-life up", ylabel="steps", yscale="log", ylim=ends
    )
    axes.yaxis.set_major_formatter("{x:g}")
    return _png(figure, axes)


def flow(table: pd.DataFrame) -> bytes:
    """Draw the error flow against lag, by path."""
    rows = table[table["norm"] > 0].rename(columns={"path": "kind"})
    rows = rows.assign(value=np.log10(rows["norm"].astype("float64")))
    figure = drawn(rows, FLOW, "norm")
    return _png(figure, None)


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=110)
    return figure, figure.subplots()


def _png(figure: Figure, axes: Any) -> bytes:
    if axes is not None:
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
