"""From rows and csv files to summaries, tables and pictures; also the command `lstmlab-report`."""

import argparse
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from scipy.stats import binomtest

from lstmlab.results import FINISHED, Run, load

NAMES = ["task", "cell", "learner"]
NOT_SETTINGS = ("version.", "diagnostic.", "task.pair")
NUMBERS = ("sequences", "sequences_to_solution", "test_wrong", "test_size", "seconds", "published_sequences")
LINES_WITH_NAMES = 12  # a panel with more lines has no legend: it would be larger than the panel


def summary(folder: str | Path) -> str:
    """What came of one run, in a few lines."""
    row, folder = Run(folder).read_row(), _short(Path(folder))
    lines = [("result", _verdict(row)), ("test", _test(row)), ("published", row.get("published_source")), ("run", f"{folder}/")]
    if (folder / "picture.png").exists():
        lines.append(("picture", f"{folder}/picture.png"))
    if (folder / "tb").exists():
        program = str(_short(Path(sys.executable).parent / "tensorboard"))
        lines.append(("TensorBoard", shlex.join([program, "--logdir", f"{folder}/tb"])))
    return "\n".join(f"{name:<12} {text}" for name, text in lines if text)


def picture(folder: str | Path) -> Path | None:
    """picture.png of one run: learning curve, one example sequence, error flow against lag; None if nothing was measured."""
    run = Run(folder)
    tables = ((_learning, run.read("history"), 2.6), (_example, run.read("example"), 5.4), (_flow, run.read("error_flow"), 3.2))
    panels = [(draw, table, height) for draw, table, height in tables if len(table)]
    if not panels:
        return None
    row, heights = run.read_row(), [height for _, _, height in panels]
    figure = Figure(figsize=(9, 0.6 + sum(heights)), layout="constrained", dpi=110)
    what = f"{row['task']}, cell {row['cell']}, learner {row['learner']}, seed {row['seed']}"
    figure.suptitle(f"{what}\n{_verdict(row)}", fontsize="medium")
    parts = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (draw, table, _) in zip(parts, panels, strict=True):
        draw(part, table, row)
    return _save(figure, run.folder / "picture.png")


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per task x cell x learner (and per setting that differs within): trials, solved, sequences, test, published.

    A trial is a run that was solved, used up its budget, or failed in training; `unfinished` counts all others.
    low, high: 95 % Wilson interval of the share solved. sequences_*: over the solved trials.
    """
    return pd.DataFrame([{**names, **_line(part)} for names, part in _groups(rows)])


def write(folder: str | Path) -> str:
    """Write report.md, report.csv and report.png for all runs under `folder`, and return the table as Markdown."""
    folder = Path(folder)
    rows = load(folder)
    lines = table(rows)
    lines.to_csv(folder / "report.csv", index=False)
    text = f"{_markdown(lines)}\n\n{_notes(rows)}"
    (folder / "report.md").write_text(f"# Runs in {folder.name}\n\n{text}\n", encoding="utf-8")
    _figure(rows, folder / "report.png")
    return f"{text}\nwritten: {_short(folder)}/report.md, report.csv, report.png"


def main() -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(
        prog="lstmlab-report", description="One table over all runs in a folder: printed, and written as Markdown, csv and PNG."
    )
    parser.add_argument("folder", nargs="?", default="outputs", help="folder with runs, at any depth (default: outputs)")
    try:
        print(write(parser.parse_args().folder))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-report: {error}")


def _verdict(row: dict) -> str:
    published = row.get("published_sequences")
    beside = f" (published mean: {published:,})" if published else ""
    if row["status"] == "solved":
        return f"solved after {row['sequences_to_solution']:,} sequences{beside}"
    if row["status"] == "budget":
        return f"not solved in {row['sequences']:,} sequences{beside}"
    return f"{row['status']} after {row.get('sequences') or 0:,} sequences"


def _test(row: dict) -> str | None:
    if row.get("test_wrong") is None:
        return None
    published = row.get("published_test_wrong")
    beside = f" (published: {published} wrong)" if published is not None else ""
    return f"{row['test_wrong']} of {row['test_size']} wrong{beside}, mean absolute error {row['test_error']:.4f}"


def _groups(rows: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """The rows that are trials of one and the same thing: its names and differing settings, and those rows."""
    columns = dict.fromkeys([*rows.columns, *NAMES, *NUMBERS])
    rows = rows.reindex(columns=list(columns))
    rows[NAMES] = rows[NAMES].astype(object).fillna("?")
    rows[list(NUMBERS)] = rows[list(NUMBERS)].apply(pd.to_numeric, errors="coerce")
    groups = []
    for names, group in rows.groupby(NAMES):
        settings = _differing(group)
        for values, part in group.groupby(settings, dropna=False) if settings else [((), group)]:
            label = ", ".join(f"{name}={value}" for name, value in zip(settings, values, strict=True))
            groups.append(({**dict(zip(NAMES, names, strict=True)), "settings": label}, part))
    return groups


def _differing(group: pd.DataFrame) -> list[str]:
    """The settings, columns with a dot in their name, that are not the same in all rows; rows without settings aside."""
    settings = [c for c in group.columns if "." in c and not c.startswith(NOT_SETTINGS)]
    known = group[group[settings].notna().any(axis=1)]
    # head.activation is null, which stands for the task's, in rows whose net was never built: no difference
    return [c for c in settings if known[c].nunique(dropna=c == "head.activation") > 1]


def _trials(part: pd.DataFrame) -> pd.DataFrame:
    failed_in_training = (part["status"] == "failed") & (part["sequences"] > 0)
    return part[part["status"].isin(FINISHED) | failed_in_training]


def _line(part: pd.DataFrame) -> dict:
    trials = _trials(part)
    solved = trials[trials["status"] == "solved"]
    line = {"trials": len(trials), "unfinished": len(part) - len(trials), "solved": len(solved)}
    low, high = _wilson(len(solved), len(trials))
    n, tested, published = solved["sequences_to_solution"], trials.dropna(subset=["test_size"]), part["published_sequences"]
    return line | {
        "share": len(solved) / len(trials) if len(trials) else np.nan,
        "low": low,
        "high": high,
        "sequences_mean": n.mean(),
        "sequences_median": n.median(),
        "sequences_min": n.min(),
        "sequences_max": n.max(),
        "test_wrong_mean": tested["test_wrong"].mean(),
        "test_size": tested["test_size"].max(),
        "seconds_median": trials["seconds"].median(),
        "published_sequences": published.max(),
        "published_source": part["published_source"].dropna().iloc[0] if published.notna().any() else None,
    }


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if trials == 0:
        return np.nan, np.nan
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return interval.low, interval.high


def _markdown(lines: pd.DataFrame) -> str:
    def number(line: dict, name: str, digits: int = 0) -> str:
        return "" if pd.isna(line[name]) else f"{line[name]:,.{digits}f}"

    shown = []
    for line in lines.to_dict("records"):
        share = "" if pd.isna(line["share"]) else f" ({line['share']:.0%}; {line['low']:.0%}-{line['high']:.0%})"
        span = number(line, "sequences_min") and f"{number(line, 'sequences_min')}-{number(line, 'sequences_max')}"
        wrong = number(line, "test_wrong_mean", 1) and f"{number(line, 'test_wrong_mean', 1)} of {number(line, 'test_size')}"
        shown.append(
            {
                **{name: line[name] for name in NAMES},
                **({"settings": line["settings"]} if lines["settings"].any() else {}),
                "trials": line["trials"],
                "solved (95 % Wilson)": f"{line['solved']}{share}",
                "sequences, mean": number(line, "sequences_mean"),
                "median": number(line, "sequences_median"),
                "range": span,
                "test wrong, mean": wrong,
                "seconds, median": number(line, "seconds_median"),
                "published": number(line, "published_sequences"),
            }
        )
    return pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True)


def _notes(rows: pd.DataFrame) -> str:
    """Where published figures stand, and every run that is no finished trial, by name: nothing is dropped silently."""
    sources = rows["published_source"].dropna().unique() if "published_source" in rows else []
    notes = [f"Published: {'; '.join(sources)}."] if len(sources) else []
    others = rows[~rows["status"].isin(FINISHED)].to_dict("records")
    notes.append("Runs that did not finish:\n" if others else "All runs finished.")
    for row in others:
        reason = row.get("reason") if isinstance(row.get("reason"), str) else "no reason given"
        notes.append(f"- {row['status']}: {_short(Path(row['run']))}: {reason}")
    return "\n".join(notes)


def _figure(rows: pd.DataFrame, path: Path) -> None:
    """Every trial as a point: one line per line of the table, training sequences to the right."""
    groups = _groups(rows)
    figure = Figure(figsize=(9, 1.6 + 0.7 * len(groups)), layout="constrained", dpi=110)
    axes = figure.subplots()
    labels = []
    for height, (names, part) in enumerate(groups):
        trials = _trials(part)
        solved = trials[trials["status"] == "solved"]["sequences_to_solution"]
        rest = trials[trials["status"] != "solved"]["sequences"]
        _points(axes, height, solved, "o", "C0", "solved")
        _points(axes, height, rest, ">", "C3", "not solved: budget used up, or failed")
        published = part["published_sequences"].dropna().unique()[:1]
        axes.plot(published, [height] * len(published), "|", color="black", ms=18, mew=2, label="published mean")
        setting = f"\n{names['settings']}" if names["settings"] else ""
        labels.append(f"{', '.join(names[n] for n in NAMES)}{setting}\n{len(solved)} of {len(trials)} solved")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("training sequences")
    _whole_decades(axes.xaxis, np.concatenate([line.get_xdata() for line in axes.lines]))
    axes.grid(axis="x", alpha=0.3, which="both")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))  # one for each label
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    _save(figure, path)


def _points(axes: Axes, height: int, values: pd.Series, marker: str, colour: str, label: str) -> None:
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
        "training" + (f"; dotted line: published mean, {published:,} sequences" if published else ""), fontsize="medium"
    )


def _example(part, example: pd.DataFrame, row: dict) -> None:
    last = example[example["sequences"] == example["sequences"].max()]
    inputs = [c for c in last if c.startswith("input_") and "_gate" not in c]
    gates = [c for c in last if c.rsplit("_", 1)[0].endswith("_gate")]
    states = [c for c in last if c.startswith("cell_state_")]
    lines = [(columns, name) for columns, name in ((gates, "gate activation"), (states, "cell state")) if columns]
    panels = part.subplots(1 + len(lines), 1, sharex=True, height_ratios=[0.28 * len(inputs) + 0.4, *[2.2] * len(lines)])
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
    panels[-1].set_xlabel("time step; dotted lines: the marked steps" if last["event"].any() else "time step")


def _question(last: pd.DataFrame) -> str:
    """What the picture's sequence asked and what the net answered, where that is one number."""
    title = f"one probe sequence, after {last['sequences'].max():,} training sequences; inputs from -1 (blue) to 1 (red)"
    asked = last[last["weight"] > 0]
    if len(asked) == 1 and "target_2" not in last:
        title += (
            f"\nasked at step {asked['t'].item()}: {asked['target_1'].item():.3f}, answered: {asked['prediction_1'].item():.3f}"
        )
    return title


def _traces(panel: Axes, last: pd.DataFrame, columns: list[str]) -> None:
    """One line per column over time: a colour for each name or, where all share one name, for each number."""
    stems = list(dict.fromkeys(c.rsplit("_", 1)[0] for c in columns))
    for column in columns:
        stem, number = column.rsplit("_", 1)
        colour, style = (stems.index(stem), int(number) - 1) if len(stems) > 1 else (int(number) - 1, 0)
        panel.plot(last["t"], last[column], color=f"C{colour % 10}", linestyle=("-", "--", "-.", ":")[style % 4],
                   label=column.replace("_", " "))  # fmt: skip
    if len(columns) <= LINES_WITH_NAMES:
        panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _flow(part, flow: pd.DataFrame, row: dict) -> None:
    axes = part.subplots()
    moments = sorted({flow["sequences"].min(), flow["sequences"].max()})
    colours = {path: f"C{k}" for k, path in enumerate(sorted(flow["path"].unique()))}
    for moment in moments:
        for path, curve in flow[flow["sequences"] == moment].groupby("path"):
            curve, label = curve[curve["norm"] > 0], f"{path.replace('_', ' ')}, after {moment:,}"
            axes.plot(curve["lag"], curve["norm"], color=colours[path], alpha=1.0 if moment == moments[-1] else 0.35,
                      linestyle="--" if path == "carousel" else "-", label=label)  # fmt: skip
    axes.set_yscale("log")
    axes.set_title("error flow: how much of the error at the last target arrives so many steps earlier", fontsize="medium")
    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel("norm of dE/d(value)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", title="value, training sequences")


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure).print_png(path)
    return path


def _short(path: Path) -> Path:
    """The path as typed from here, where that is shorter."""
    relative = os.path.relpath(path)
    return Path(relative) if not relative.startswith("..") else path


if __name__ == "__main__":
    main()
