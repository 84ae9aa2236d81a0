"""From measurements to PNG files: the picture of one run, and the trials of many."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from lstmlab.results import Run

PATHS = ("cell_state", "output", "carousel", "nets")  # of the error flow
LINES_WITH_NAMES = 12  # a panel with more lines has no legend: it would be larger than the panel


def of_run(run: Run, verdict: str) -> Path | None:
    """picture.png of one run: learning curve, one example sequence, error flow against lag; None if nothing was measured."""
    tables = ((_learning, run.read("history"), 2.6), (_example, run.read("example"), 5.4), (_flow, run.read("error_flow"), 3.2),
              (_net, run.read("net"), 3.6))  # fmt: skip
    panels = [(draw, table, height) for draw, table, height in tables if len(table)]
    if not panels:
        return None
    row, heights = run.read_row(), [height for _, _, height in panels]
    figure = Figure(figsize=(9, 0.6 + sum(heights)), layout="constrained", dpi=110)
    what = f"{row['task']}, cell {row['cell']}, learner {row['learner']}, seed {row['seed']}"
    figure.suptitle(f"{what}\n{verdict}", fontsize="medium")
    parts = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (draw, table, _) in zip(parts, panels, strict=True):
        draw(part, table, row)
    return _save(figure, run.folder / "picture.png")


def of_trials(lines: list[tuple[str, pd.DataFrame, pd.Series]], path: Path) -> Path:
    """Every trial as a point, training sequences to the right; lines: a label, the rows that are trials, published means."""
    figure = Figure(figsize=(9, 1.6 + 0.7 * len(lines)), layout="constrained", dpi=110)
    axes = figure.subplots()
    labels = []
    for height, (label, trials, published) in enumerate(lines):
        solved = trials[trials["status"] == "solved"]["sequences_to_solution"]
        rest = trials[trials["status"] != "solved"]["sequences"]
        _points(axes, height, solved, "o", "C0", "solved")
        _points(axes, height, rest, ">", "C3", "not solved: budget used up, or failed")
        mean = published.dropna().unique()[:1]
        axes.plot(
            mean, [height] * len(mean), "|", color="black", ms=18, mew=2, label="published mean"
        )
        labels.append(f"{label}\n{len(solved)} of {len(trials)} solved")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("training sequences")
    _whole_decades(axes.xaxis, np.concatenate([line.get_xdata() for line in axes.lines]))
    axes.grid(axis="x", alpha=0.3, which="both")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # one for each label
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return _save(figure, path)


def _points(
    axes: Axes, height: int, values: pd.Series, marker: str, colour: str, label: str
) -> None:
    """Points a little apart, so that equal values remain visible."""
    apart = height + 0.25 * np.linspace(-1, 1, len(values)) * (len(values) > 1)
    axes.plot(values, apart, marker, color=colour, alpha=0.7, label=label)


def _whole_decades(axis, values) -> None:
    """A log scale from a power of ten to a power of ten, so that there are always labels to read."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & (values > 0)]
    if len(values):
        low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
        set_scale, set_limits = (axis.axes.set_xscale, axis.axes.set_xlim) if axis.axis_name == "x" else (
            axis.axes.set_yscale, axis.axes.set_ylim)  # fmt: skip
        set_scale("log")
        set_limits(10.0**low * 0.9, 10.0 ** max(high, low + 1) * 1.1)
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _learning(part, history: pd.DataFrame, row: dict) -> None:
    axes = part.subplots()
    axes.plot(history["sequences"], history["absolute_error"], color="C0")
    _whole_decades(axes.yaxis, history["absolute_error"])
    axes.set_ylabel("mean absolute error", color="C0")
    axes.set_xlabel("training sequences")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    wrong = axes.twinx()
    wrong.plot(history["sequences"], history["recent_wrong"], color="C3")
    wrong.set_yscale("symlog", linthresh=10)
    wrong.set_ylim(0, 2 * max(5, history["recent_wrong"].max()))
    wrong.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    last = row.get("task.criterion.sequences")
    wrong.set_ylabel(f"wrong of the last {last:,}" if last else "wrong in the sets", color="C3")
    published = row.get("published_sequences")
    if published:
        axes.axvline(published, color="black", linestyle=":")
    axes.set_title(
        "training"
        + (f"; dotted line: published mean, {published:,} sequences" if published else ""),
        fontsize="medium",
    )


def _example(part, example: pd.DataFrame, row: dict) -> None:
    last = example[example["sequences"] == example["sequences"].max()]
    inputs = [c for c in last if c.startswith("input_") and "_gate" not in c]
    gates = [c for c in last if c.rsplit("_", 1)[0].endswith("_gate")]
    states = [c for c in last if c.startswith("cell_state_")]
    lines = [
        (columns, name)
        for columns, name in ((gates, "gate activation"), (states, "cell state"))
        if columns
    ]
    panels = part.subplots(
        1 + len(lines),
        1,
        sharex=True,
        height_ratios=[0.28 * len(inputs) + 0.4, *[2.2] * len(lines)],
    )
    panels = np.atleast_1d(panels)
    t = last["t"]
    panels[0].imshow(last[inputs].T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest",
                     extent=(t.min() - 0.5, t.max() + 0.5, len(inputs) - 0.5, -0.5))  # fmt: skip
    panels[0].set_yticks(range(len(inputs)), [c.replace("_", " ") for c in inputs])
    panels[0].set_title(_question(last), fontsize="medium")
    for panel, (columns, name) in zip(panels[1:], lines, strict=True):
        _traces(panel, last, columns)
        panel.set_ylabel(name)
    if gates:
        panels[1].set_ylim(-0.03, 1.03)
    for panel in panels[1:]:
        for step in t[last["event"] > 0]:
            panel.axvline(step, color="black", linestyle=":", linewidth=1.2, zorder=0)
    panels[-1].set_xlim(t.min() - 1, t.max() + 1)
    panels[-1].set_xlabel(
        "time step; dotted lines: the marked steps" if last["event"].any() else "time step"
    )


def _question(last: pd.DataFrame) -> str:
    """What the picture's sequence asked and what the net answered, where that is one number."""
    title = f"one probe sequence, after {last['sequences'].max():,} training sequences; inputs from -1 (blue) to 1 (red)"
    asked = last[last["weight"] > 0]
    if len(asked) == 1 and "target_2" not in last:
        target, answer = asked["target_1"].item(), asked["prediction_1"].item()
        title += f"\nasked at step {asked['t'].item()}: {target:.3f}, answered: {answer:.3f}"
    return title


def _traces(panel: Axes, last: pd.DataFrame, columns: list[str]) -> None:
    """One line per column over time: a colour for each name or, where all share one name, for each number."""
    stems = list(dict.fromkeys(c.rsplit("_", 1)[0] for c in columns))
    for column in columns:
        stem, number = column.rsplit("_", 1)
        colour, style = (
            (stems.index(stem), int(number) - 1) if len(stems) > 1 else (int(number) - 1, 0)
        )
        panel.plot(last["t"], last[column], color=f"C{colour % 10}", linestyle=("-", "--", "-.", ":")[style % 4],
                   label=column.replace("_", " "))  # fmt: skip
    if len(columns) <= LINES_WITH_NAMES:
        panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _flow(part, flow: pd.DataFrame, row: dict) -> None:
    axes, flow = part.subplots(), flow[flow["path"].isin(PATHS)]
    moments = sorted({flow["sequences"].min(), flow["sequences"].max()})
    colours = {path: f"C{k}" for k, path in enumerate(sorted(flow["path"].unique()))}
    for moment in moments:
        for path, curve in flow[flow["sequences"] == moment].groupby("path"):
            curve, label = curve[curve["norm"] > 0], f"{path.replace('_', ' ')}, after {moment:,}"
            axes.plot(curve["lag"], curve["norm"], color=colours[path], alpha=1.0 if moment == moments[-1] else 0.35,
                      linestyle="--" if path == "carousel" else "-", label=label)  # fmt: skip
    axes.set_yscale("log")
    axes.set_title(
        "error flow: how much of the error at the last target arrives so many steps earlier",
        fontsize="medium",
    )
    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel("norm of dE/d(value)")
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        fontsize="small",
        title="value, training sequences",
    )


def _net(part, net: pd.DataFrame, row: dict) -> None:
    """A net that has grown: a square for each weight, its area the weight's size; each row by its own largest weight."""
    axes = part.subplots()
    sources, targets = list(dict.fromkeys(net["from"])), list(dict.fromkeys(net["to"]))
    sources = [name for name in sources if not name.startswith("unit")] + [
        name for name in targets if name.startswith("unit")
    ]
    largest = net.groupby("to")["weight"].transform(lambda weights: weights.abs().max())
    side = 100 * np.sqrt(net["weight"].abs() / largest.replace(0, 1)) / max(len(targets), 1) * 1.2
    places = net["from"].map(sources.index), net["to"].map(targets.index)
    axes.scatter(*places, s=side**2, c=np.where(net["weight"] > 0, "C0", "C3"), marker="s")
    axes.set_xticks(
        range(len(sources)),
        [name.replace("_", " ") for name in sources],
        rotation=90,
        fontsize="small",
    )
    axes.set_yticks(
        range(len(targets)), [name.replace("_", " ") for name in targets], fontsize="small"
    )
    axes.set_xlim(-0.7, len(sources) - 0.3)
    axes.set_ylim(len(targets) - 0.3, -0.7)
    axes.set_title(
        "the net that has grown: weights into each unit, positive blue, negative red",
        fontsize="medium",
    )


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure).print_png(path)
    return path
