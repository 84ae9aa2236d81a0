"""Draw the pictures of what learners cost and see.

    python docs/scripts/draw_learners.py --bench FILE --run FOLDER

FILE is what `lstmlab-bench learners --csv FILE` wrote, FOLDER a run with diagnostic=[learners].
Either may be left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from draw_diagnostics import save
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from lstmlab.bench.defaults import LEARNERS
from lstmlab.bench.learners import exponent

IMAGES = Path(__file__).parents[1] / "images"
COLOURS = {
    name: f"C{k}"
    for k, name in enumerate(
        ("truncated1997_forward", "uoro", "snap1", "rtrl", "bptt", "elman", "truncated_bptt")
    )
}
COLOURS["truncated1997"] = COLOURS["truncated1997_forward"]  # the same gradients, found otherwise


def scaling(raw: pd.DataFrame) -> Figure:
    """Time per step against width, and peak memory against length; a row for each cell."""
    cells = list(raw["cell"].unique())
    figure = Figure(figsize=(9, 0.5 + 3.3 * len(cells)), layout="constrained", dpi=110)
    panels = figure.subplots(len(cells), 2, squeeze=False)
    for (left, right), cell in zip(panels, cells, strict=True):
        of_cell = raw[raw["cell"] == cell]
        for learner, rows in of_cell[of_cell["part"] == "width"].groupby("learner", sort=False):
            per_step = 1e6 * rows.groupby("units")["seconds"].median() / rows["steps"].iloc[0]
            label = (
                f"{learner}: exponent {exponent(per_step):.1f}, theory {LEARNERS[str(learner)][3]}"
            )
            left.plot(per_step.index, per_step, "o-", color=colour(learner), label=label)
        peaks = (
            of_cell[of_cell["part"] == "memory"]
            .groupby(["learner", "steps"], sort=False)["peak_mb"]
            .max()
        )
        for learner in peaks.index.get_level_values("learner").unique():
            right.plot(
                peaks[learner].index, peaks[learner], "o-", color=colour(learner), label=learner
            )
        left.set(title=f"{cell}: microseconds per step", xlabel="cells", xscale="log", yscale="log")
        right.set(
            title=f"{cell}: peak memory of the process, MB",
            xlabel="steps of the sequence",
            xscale="log",
            ylim=(0, None),
        )
        _only_at(left, of_cell[of_cell["part"] == "width"]["units"])
        _only_at(right, of_cell[of_cell["part"] == "memory"]["steps"])
        for panel in (left, right):
            _finish(panel)
    return figure


def against_lag(table: pd.DataFrame, what: str) -> Figure:
    """Share of the exact gradient that each learner has, and its angle, against lag.

    Before and after training.
    """
    moments = sorted({table["sequences"].min(), table["sequences"].max()})
    rows = table[(table["lag"] > 0) & (table["weight"] == "cell")]
    figure = Figure(figsize=(9, 0.6 + 2.9 * len(moments)), layout="constrained", dpi=110)
    figure.suptitle(f"What each learner sees of the error, by lag. {what}", fontsize="medium")
    panels = figure.subplots(len(moments), 2, squeeze=False, sharex=True)
    for (left, right), moment in zip(panels, moments, strict=True):
        for learner, of_learner in rows[rows["sequences"] == moment].groupby("learner", sort=False):
            seen = of_learner[of_learner["norm"] > 0]
            left.plot(
                of_learner["lag"], of_learner["ratio"], "o-", color=colour(learner), label=learner
            )
            right.errorbar(
                seen["lag"],
                seen["angle"],
                seen["angle_spread"],
                fmt="o-",
                color=colour(learner),
                label=learner,
            )
        left.set(
            title=f"after {moment:,} sequences: norm / exact norm", xscale="log", ylim=(-0.05, None)
        )
        left.set_yscale(
            "symlog", linthresh=1
        )  # what learners draw at random may be many times too long
        right.set(
            title="angle to the exact gradient, degrees",
            xscale="log",
            ylim=(-5, 185),
            yticks=[0, 45, 90, 135, 180],
        )
        for panel in (left, right):
            _only_at(panel, rows["lag"])
            _finish(panel)
    for panel in panels[-1]:
        panel.set_xlabel("lag: steps on the way back, down to the lag before")
    return figure


def angles(table: pd.DataFrame, what: str) -> Figure:
    """The angle of each learner's gradient to the exact one during training.

    All weights, and those of the cell alone.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=110)
    figure.suptitle(f"Angle to the exact gradient, degrees. {what}", fontsize="medium")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (weight, title) in zip(
        panels, {"all": "all weights", "cell": "weights of the cell"}.items(), strict=True
    ):
        rows = table[(table["lag"] == 0) & (table["weight"] == weight)]
        for learner, of_learner in rows.groupby("learner", sort=False):
            at, middle, spread = (
                of_learner[name] for name in ("sequences", "angle", "angle_spread")
            )
            panel.plot(at, middle, "o-", color=colour(learner), label=learner)
            panel.fill_between(
                at, middle - spread, middle + spread, color=colour(learner), alpha=0.2
            )
        panel.set(title=title, xlabel="training sequences", ylim=(-5, None))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        _finish(panel)
    return figure


def colour(learner) -> str:
    """The same for a learner in all pictures; grey for one that is not known here."""
    return COLOURS.get(str(learner), "0.5")


def _only_at(panel: Axes, places: pd.Series) -> None:
    """Ticks of a logarithmic axis at these places alone."""
    places = sorted(places.unique())
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xticks(places, [f"{place:,}" for place in places])


def _finish(panel: Axes) -> None:
    panel.grid(alpha=0.3)
    panel.title.set_fontsize("small")
    panel.tick_params(labelsize="small")
    if panel.get_legend_handles_labels()[1]:
        panel.legend(fontsize="x-small")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, metavar="FILE", help="draws learners_scaling.png")
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="draws learners_lags.png and learners_angles.png"
    )
    parser.add_argument(
        "--to", type=Path, default=IMAGES, metavar="FOLDER", help="where the pictures go"
    )
    options = parser.parse_args(argv)
    if options.bench is None and options.run is None:
        parser.error("expected --bench, --run or both")
    if options.bench is not None:
        save(scaling(pd.read_csv(options.bench)), options.to / "learners_scaling.png")
    if options.run is not None:
        from lstmlab.results import Run

        table, row = pd.read_csv(options.run / "learners.csv"), Run(options.run).read_row()
        what = f"{row['task']}, cell {row['cell']}, trained by {row['learner']}, seed {row['seed']}"
        save(against_lag(table, what), options.to / "learners_lags.png")
        save(angles(table, what), options.to / "learners_angles.png")


if __name__ == "__main__":
    main()
