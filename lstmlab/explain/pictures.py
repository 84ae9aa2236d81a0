"""The pictures of an explanation, from the tables of the diagnostics."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from lstmlab.explain.page import words
from lstmlab.files import whole

FLOOR = -40  # log10 below which a curve is cut off, and 0 is drawn
NEAR = 0.1  # log10: as near as this to a power of ten, a curve needs no further decade
MARGIN = 0.05  # of the axis, beyond its whole powers of ten; at least NEAR
SIZE = (8, 3.2)  # inches
# held: its sign
SIGNS = {"closed": "s", "mean": "D", "open": "o"}
# {forget_gate as in explain.why: what the carousel keeps, in words}
CAROUSEL = {
    "a gate": "product of the forget gates",
    "absent": "the carousel's constant 1",
    "closed": "without a carousel: 0",
}


def answer(
    jacobians: pd.DataFrame,
    held: pd.DataFrame | None,
    lag: float,
    forget_gate: str,
    path: Path,
) -> Path:
    """Draw what is kept over the task's lag and, with every gate held, by which gate.

    Args:
        jacobians: The table of diagnostics.Jacobians.
        held: The table of diagnostics.Interventions, or None for a cell without gates.
        lag: Of the task, in steps.
        forget_gate: 'a gate', 'absent' or 'closed'.
        path: Where to write the PNG.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=110)
    left, *right = figure.subplots(1, 1 if held is None else 2, squeeze=False)[0]
    _draw(left, *_kept(jacobians, forget_gate))
    left.axvline(lag, color="0.4", linewidth=1, linestyle=":", label="the task's lag")
    left.set(xlabel="lag: steps before the last target", title="What is kept")
    left.legend(loc="best", fontsize="small")
    if held is not None:
        _draw_held(right[0], held)
        right[0].set(title="With one gate held over the lag", xlabel="kept, mean over cells")
    return _written(figure, path)


def _draw_held(axes: Any, held: pd.DataFrame) -> None:
    """One line for each gate: what is kept, |ds/ds|, with it closed, at its mean and open."""
    gates = [*dict.fromkeys(held["gate"])]
    before = abs(held["retention_before"].iloc[0])
    kept = held.assign(kept=held["retention_after"].abs())
    sizes = [size for size in [before, *kept["kept"]] if size > 10.0**FLOOR]
    low, high = decades(np.log10(sizes) if sizes else [0.0])

    def place(size: float) -> float:
        return math.log10(size) if size > 10.0**FLOOR else low

    axes.axvline(place(before), color="0.4", linewidth=1, linestyle="--", label="none held")
    for value, sign in SIGNS.items():
        rows = kept[kept["value"] == value]
        across = [place(size) for size in rows["kept"]]
        along = [gates.index(gate) for gate in rows["gate"]]
        axes.plot(
            across, along, sign, fillstyle="none", markersize=8, label=_held(value), clip_on=False
        )
    # above the markers at the left end, one text for all of a gate
    for gate, least in kept[kept["kept"] <= 10.0**FLOOR].groupby("gate")["kept"].max().items():
        axes.annotate(
            "0" if least == 0 else f"$<10^{{{FLOOR}}}$", (low, gates.index(gate)), (0, 7),
            textcoords="offset points", ha="center", va="bottom", fontsize="small",
        )  # fmt: skip
    _powers(axes, axes.xaxis, low, high)
    axes.set_yticks(range(len(gates)), [words(gate) for gate in gates])
    axes.set_ylim(len(gates) - 0.5, -0.5)
    axes.grid(alpha=0.3)
    figure = axes.figure
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower right", ncols=4, fontsize="small"
    )


def _held(value: str) -> str:
    return {"mean": "held at its mean"}.get(value, f"held {value}")


def _kept(jacobians: pd.DataFrame, forget_gate: str) -> tuple[pd.DataFrame, dict[str, str]]:
    rows = jacobians[jacobians["measure"] == "log10_norm"].rename(columns={"path": "kind"})
    return rows, {"cell_state": "measured |ds_T/ds_t|", "carousel": CAROUSEL[forget_gate]}


def retention(jacobians: pd.DataFrame, forget_gate: str, path: Path) -> Path:
    """Draw |ds_T/ds_t| against lag next to what the carousel keeps."""
    rows, names = _kept(jacobians, forget_gate)
    return _curves(rows, {**names, "output": "measured |dy_T/dy_t|"}, "norm (no unit)", path)


def flow(error_flow: pd.DataFrame, path: Path) -> Path:
    """Draw |dE/ds_t| against lag, by path."""
    rows = error_flow[error_flow["norm"] > 0].assign(value=lambda table: np.log10(table["norm"]))
    names = {
        "cell_state": "whole, |dE/ds_t|",
        "carousel": "along the carousel",
        "nets": "through the pre-activations",
        "used": "used by the learner",
    }
    return _curves(rows.rename(columns={"path": "kind"}), names, "|dE/ds_t|", path)


def bound(table: pd.DataFrame, forget_gate: str, path: Path) -> Path:
    """Draw the measured derivative under its bound, or next to the carousel."""
    kept = CAROUSEL[forget_gate]
    names = {
        "log10_norm": "measured |ds_T/ds_t|, largest over sequences",
        "log10_bound_spectral": "bound (f'max |W|_2)^q",
        "log10_carousel": f"largest {kept}" if forget_gate == "a gate" else kept,
    }
    return _curves(table, names, "norm (no unit)", path)


def _curves(rows: pd.DataFrame, names: dict[str, str], label: str, path: Path) -> Path:
    return _written(drawn(rows, names, label), path)


def _written(figure: Figure, path: Path) -> Path:
    with whole(path) as draft:
        FigureCanvasAgg(figure).print_png(draft)
    return path


def drawn(rows: pd.DataFrame, names: dict[str, str], label: str) -> Figure:
    """Draw curves against lag.

    Args:
        rows: lag, kind, value (log10).
        names: {kind: its name in the legend}, in order.
        label: Label of the axis, whose ticks are powers of ten.
    """
    figure = Figure(figsize=SIZE, layout="constrained", dpi=110)
    axes = figure.subplots()
    _draw(axes, rows, names)
    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel(label)
    if axes.lines:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


def _draw(axes: Any, rows: pd.DataFrame, names: dict[str, str]) -> None:
    # counted over all names: a curve keeps its colour where another has no points
    found: list[float] = []
    for colour, (kind, name) in enumerate(names.items()):
        curve = rows[(rows["kind"] == kind) & (rows["value"] > FLOOR)].sort_values("lag")
        if len(curve) > 1:
            style = ("-", "--", ":", "-.")[colour % 4]
            axes.plot(curve["lag"], curve["value"], style, color=f"C{colour}", label=name)
            found += [*curve["value"]]
    _powers(axes, axes.yaxis, *decades(found or [0.0]))
    axes.grid(alpha=0.3)


def decades(log10s: Any) -> tuple[int, int]:
    """Return the whole powers of ten around numbers, one or more apart: of 1, the decade below.

    A number may lie outside them by NEAR.
    """
    low, high = math.floor(min(log10s) + NEAR), math.ceil(max(log10s) - NEAR)
    return (low - 1, low) if low >= high else (low, high)


def _powers(axes: Any, axis: Any, low: int, high: int) -> None:
    """Mark the powers of ten on an axis that shows log10."""
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(lambda exponent, _: f"$10^{{{exponent:.0f}}}$")
    if high - low <= 4:  # as on a logarithmic axis
        between = [k + math.log10(digit) for k in range(low, high) for digit in range(2, 10)]
        axis.set_minor_locator(FixedLocator(between))
    wider = max(MARGIN * (high - low), 1.2 * NEAR)
    limits = axes.set_ylim if axis is axes.yaxis else axes.set_xlim
    limits(low - wider, high + wider)
