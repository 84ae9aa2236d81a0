"""From measurements to PNG files: the picture of one run, and the trials of many."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from lstmlab.files import whole
from lstmlab.results import Run

FLOWS = {  # path of the error flow -> in the words of the legend
    "cell_state": "cell state, by all paths",
    "carousel": "cell state, by the carousel alone",
    "nets": "cell state, by all but the carousel",
    "output": "cell output",
}
LINES_WITH_NAMES = 12  # a panel with more lines has no legend: it would be larger than the panel
BESIDE: dict[str, Any] = {
    "loc": "center left",
    "bbox_to_anchor": (1, 0.5),
    "fontsize": "small",
}  # of a legend
WHOLE = StrMethodFormatter("{x:,.0f}")


def of_run(run: Run, row: dict, verdict: str) -> Path | None:
    """Draw picture.png of one run: learning curve, one example sequence, error flow against lag.

    Args:
        run: The run.
        row: Its row.
        verdict: How it ended, for the title.

    Returns:
        The path of the picture; None if nothing was measured.
    """
    tables = (
        (_learning, run.read("history"), 2.6),
        (_example, run.read("example"), 5.4),
        (_flow, run.read("error_flow"), 3.2),
        (_net, run.read("net"), 3.6),
    )
    panels = [(draw, table, height) for draw, table, height in tables if len(table)]
    if not panels:
        return None
    heights = [height for _, _, height in panels]

    figure = Figure(figsize=(9, 0.6 + sum(heights)), layout="constrained", dpi=110)
    what = f"{row['task']}, cell {row['cell']}, learner {row['learner']}, seed {row['seed']}"
    figure.suptitle(f"{what}\n{verdict}", fontsize="medium")
    parts = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (draw, table, _) in zip(parts, panels, strict=True):
        draw(part, table, row)
    return save(figure, run.folder / "picture.png")


def of_trials(lines: list[tuple[str, pd.DataFrame, pd.Series]], path: Path) -> Path:
    """Draw every trial as a point, with training sequences to the right.

    Args:
        lines: For each line a label, the rows that are trials, and the published means.
        path: The PNG file; an SVG file is written beside it.

    Returns:
        The path.
    """
    most = max((label.count("\n") + 2 for label, *_ in lines), default=1)  # lines of a name
    tall = 1.6 + max(0.7, 0.15 * most + 0.2) * len(lines)
    figure = Figure(figsize=(9, tall), layout="constrained", dpi=110)
    axes = figure.subplots()
    labels = []
    for height, (label, trials, published) in enumerate(lines):
        solved = trials[trials["status"] == "solved"]["sequences_to_solution"]
        rest = trials[trials["status"] != "solved"]["sequences"]
        _points(axes, height, solved, "o", "C0", "solved")
        _points(axes, height, rest, ">", "C3", "not solved: budget used up, or failed")
        mean = published.dropna().unique()[:1]
        heights = [height] * len(mean)
        axes.plot(mean, heights, "|", color="black", ms=18, mew=2, label="published mean")
        labels.append(f"{label}\n{len(solved)} of {len(trials)} solved")

    axes.set_yticks(range(len(labels)), labels, fontsize="medium" if most <= 3 else "small")
    # upside down: the first group on top, as in the table
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("training sequences")
    _whole_decades(axes.xaxis, np.concatenate([line.get_xdata() for line in axes.lines]))
    axes.grid(axis="x", alpha=0.3, which="both")

    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # one for each label
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return save_both(figure, path)


def _points(
    axes: Axes, height: int, values: pd.Series, marker: str, colour: str, label: str
) -> None:
    """Points a little apart, so that equal values remain visible."""
    apart = height + 0.25 * np.linspace(-1, 1, len(values)) * (len(values) > 1)
    axes.plot(values, apart, marker, color=colour, alpha=0.7, label=label)


def _whole_decades(axis: Any, values: Any) -> None:
    """A log scale that begins and ends at a power of ten, so that there are always labels."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return

    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    limits = 10.0**low * 0.9, 10.0 ** max(high, low + 1) * 1.1

    if axis.axis_name == "x":
        axis.axes.set_xscale("log")
        axis.axes.set_xlim(*limits)
    else:
        axis.axes.set_yscale("log")
        axis.axes.set_ylim(*limits)

    # matplotlib labels the minor ticks too where a log axis is short
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _learning(part: SubFigure, history: pd.DataFrame, row: dict) -> None:
    """Mean error and wrong sequences against training sequences."""
    axes = part.subplots()
    axes.plot(history["sequences"], history["absolute_error"], color="C0")
    _whole_decades(axes.yaxis, history["absolute_error"])
    axes.set_ylabel("mean absolute error", color="C0")
    axes.set_xlabel("training sequences")
    axes.xaxis.set_major_formatter(WHOLE)

    wrong = axes.twinx()
    wrong.plot(history["sequences"], history["recent_wrong"], color="C3")
    # a plain log scale has no place for 0 wrong, which is what training is after
    wrong.set_yscale("symlog", linthresh=10)
    wrong.set_ylim(0, 2 * max(5, history["recent_wrong"].max()))
    wrong.yaxis.set_major_formatter(WHOLE)
    last = row.get("task.criterion.sequences")
    wrong.set_ylabel(f"wrong of the last {last:,}" if last else "wrong in the sets", color="C3")

    title, published = "training", row.get("published_sequences")
    if published:
        axes.axvline(published, color="black", linestyle=":")
        title += f"; dotted line: published mean, {published:,} sequences"
    axes.set_title(title, fontsize="medium")


def _example(part: SubFigure, example: pd.DataFrame, row: dict) -> None:
    """The inputs of one probe sequence above its gates and cell states, at the last measurement."""
    last = example[example["sequences"] == example["sequences"].max()]
    # input_gate_1 begins like an input
    inputs = [c for c in last if c.startswith("input_") and "_gate" not in c]
    gates = [c for c in last if c.rsplit("_", 1)[0].endswith("_gate")]
    states = [c for c in last if c.startswith("cell_state_")]
    named = ((gates, "gate activation"), (states, "cell state"))
    lines = [(columns, name) for columns, name in named if columns]

    heights = [0.28 * len(inputs) + 0.4, *[2.2] * len(lines)]
    panels = np.atleast_1d(part.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    t = last["t"]
    _strips(panels[0], last[inputs], t, _names(row, len(inputs)))
    panels[0].set_title(_question(last), fontsize="medium")

    for panel, (columns, name) in zip(panels[1:], lines, strict=True):
        _curves(panel, last, columns)
        panel.set_ylabel(name)
        for step in t[last["event"] > 0]:
            panel.axvline(step, color="black", linestyle=":", linewidth=1.2, zorder=0)
    if gates:
        panels[1].set_ylim(-0.03, 1.03)

    marked = "; dotted lines: the marked steps" if last["event"].any() else ""
    panels[-1].set_xlim(t.min() - 1, t.max() + 1)
    panels[-1].set_xlabel(f"time step{marked}")


def _names(row: dict, count: int) -> list[str]:
    """The task's name for each input; their numbers where it has none."""
    names = row["inputs"].split(", ") if row.get("inputs") else []
    return names if len(names) == count else [f"input {k + 1}" for k in range(count)]


def _strips(panel: Axes, inputs: pd.DataFrame, t: pd.Series, names: list[str]) -> None:
    """A coloured strip over time for each input."""
    panel.imshow(
        inputs.T,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        interpolation="nearest",
        extent=(t.min() - 0.5, t.max() + 0.5, inputs.shape[1] - 0.5, -0.5),
    )
    panel.set_yticks(range(inputs.shape[1]), names)


def _question(last: pd.DataFrame) -> str:
    """What the sequence asked and what the network answered, if that is one number."""
    after = f"after {last['sequences'].max():,} training sequences"
    title = f"one probe sequence, {after}; inputs from -1 (blue) to 1 (red)"
    asked = last[last["weight"] > 0]
    if len(asked) == 1 and "target_2" not in last:
        target, answer = asked["target_1"].item(), asked["prediction_1"].item()
        title += f"\nasked at step {asked['t'].item()}: {target:.3f}, answered: {answer:.3f}"
    return title


def _curves(panel: Axes, last: pd.DataFrame, columns: list[str]) -> None:
    """One line per column over time.

    The colour shows the name and the style the number; where all share one name, the colour shows
    the number.
    """
    stems = list(dict.fromkeys(c.rsplit("_", 1)[0] for c in columns))
    for column in columns:
        stem, end = column.rsplit("_", 1)
        number = int(end) - 1
        colour, style = (stems.index(stem), number) if len(stems) > 1 else (number, 0)
        panel.plot(
            last["t"],
            last[column],
            color=f"C{colour % 10}",
            linestyle=("-", "--", "-.", ":")[style % 4],
            label=column.replace("_", " "),
        )
    if len(columns) <= LINES_WITH_NAMES:
        panel.legend(**BESIDE)


def _flow(part: SubFigure, flow: pd.DataFrame, row: dict) -> None:
    """Error flow against lag, at the first measurement (pale) and the last."""
    axes, flow = part.subplots(), flow[flow["path"].isin(FLOWS)]
    moments = {flow["sequences"].min(): 0.35, flow["sequences"].max(): 1.0}  # and how opaque
    looks: dict[str, dict[str, Any]] = {
        path: {"color": f"C{k}", "linestyle": "--" if path == "carousel" else "-"}
        for k, path in enumerate(sorted(flow["path"].unique()))
    }

    for moment, alpha in moments.items():
        for path, curve in flow[flow["sequences"] == moment].groupby("path"):
            curve = curve[curve["norm"] > 0]
            axes.plot(curve["lag"], curve["norm"], alpha=alpha, **looks[str(path)])

    axes.set_yscale("log")
    title = "error flow: how much of the error at the last target arrives this many steps earlier"
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel("norm of dE/d(value)")
    lines = [Line2D([], [], label=FLOWS[path], **look) for path, look in looks.items()]
    lines += [
        Line2D([], [], color="black", alpha=alpha, label=f"after {moment:,} sequences")
        for moment, alpha in moments.items()
    ]
    axes.legend(handles=lines, **BESIDE, title="value")


def _net(part: SubFigure, net: pd.DataFrame, row: dict) -> None:
    """A network that has grown: a square for each weight, its area the size of the weight.

    The largest weight of each row has the same size.
    """
    axes = part.subplots()
    sources, targets = list(dict.fromkeys(net["from"])), list(dict.fromkeys(net["to"]))
    units = [name for name in targets if name.startswith("unit")]
    # units in one order on both axes
    sources = [name for name in sources if not name.startswith("unit")] + units

    largest = net.groupby("to")["weight"].transform(lambda weights: weights.abs().max())
    # replace: a row of zeros has no largest weight to divide by
    side = 100 * np.sqrt(net["weight"].abs() / largest.replace(0, 1)) / max(len(targets), 1) * 1.2
    places = net["from"].map(sources.index), net["to"].map(targets.index)
    axes.scatter(*places, s=side**2, c=np.where(net["weight"] > 0, "C0", "C3"), marker="s")

    across = [name.replace("_", " ") for name in sources]
    axes.set_xticks(range(len(sources)), across, rotation=90, fontsize="small")
    down = [name.replace("_", " ") for name in targets]
    axes.set_yticks(range(len(targets)), down, fontsize="small")
    axes.set_xlim(-0.7, len(sources) - 0.3)
    axes.set_ylim(len(targets) - 0.3, -0.7)
    title = "the network that has grown: weights into each unit, positive blue, negative red"
    axes.set_title(title, fontsize="medium")


def save(figure: Figure, path: Path) -> Path:
    with whole(path) as draft:
        FigureCanvasAgg(figure).print_png(draft)
    return path


def save_both(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, and as SVG beside it; returns the path. Raises WriteError."""
    # equal results are equal files: no date, and names of parts that are not drawn by chance
    with rc_context({"svg.hashsalt": "lstmlab"}), whole(path.with_suffix(".svg")) as draft:
        dpi = figure.dpi
        FigureCanvasSVG(figure).print_svg(draft, metadata={"Date": None})
        figure.dpi = dpi  # an SVG is drawn at 72, and the figure would keep that
    return save(figure, path)
