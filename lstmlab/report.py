"""From rows and csv files to summaries, tables and pictures; also the command `lstmlab-report`."""

import argparse
import os
import sys
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import binomtest

from lstmlab.results import FINISHED, Run, load

GROUPS = ["task", "cell", "learner"]
NOT_SETTINGS = ("version.", "diagnostic.", "task.pair", "hydra.")
COLOURS = {"input_gate": "C0", "forget_gate": "C1", "output_gate": "C2"}


def summary(folder: str | Path) -> str:
    """What came of one run, in a few lines."""
    row, folder = Run(folder).read_row(), _short(Path(folder))
    lines = [("result", _verdict(row)), ("test", _test(row)), ("run", f"{folder}/")]
    if (folder / "picture.png").exists():
        lines.append(("picture", f"{folder}/picture.png"))
    if (folder / "tb").exists():
        lines.append(("TensorBoard", f"{_short(Path(sys.executable).parent / 'tensorboard')} --logdir {folder}/tb"))
    return "\n".join(f"{name:<12} {text}" for name, text in lines if text)


def picture(folder: str | Path) -> Path | None:
    """picture.png of one run: learning curve, one example sequence, error flow against lag; None if nothing was measured."""
    run = Run(folder)
    history, example, flow = run.read("history"), run.read("example"), run.read("error_flow")
    panels = [(draw, table) for draw, table in ((_learning, history), (_example, example), (_flow, flow)) if len(table)]
    if not panels:
        return None
    figure = Figure(figsize=(9, 3.2 * len(panels) + (2.6 if len(example) else 0)), layout="constrained", dpi=110)
    row = run.read_row()
    figure.suptitle(f"{row['task']}, cell {row['cell']}, learner {row['learner']}, seed {row['seed']}: {_verdict(row)}")
    heights = [1.8 if draw is _example else 1 for draw, _ in panels]
    for part, (draw, table) in zip(figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0], panels, strict=True):
        draw(part, table, row)
    FigureCanvasAgg(figure).print_png(run.folder / "picture.png")
    return run.folder / "picture.png"


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per task x cell x learner (and per setting that differs within): trials, solved, sequences, test, published.

    A trial is a run that was solved, used up its budget, or failed in training; `unfinished` counts all others.
    low, high: 95 % Wilson interval of the share solved. sequences_*: over the solved trials.
    """
    lines = []
    for names, group in rows.groupby(GROUPS, dropna=False):
        settings = _differing(group)
        parts = [("", group)] if not settings else group.groupby(settings, dropna=False)
        for values, part in parts:
            label = ", ".join(f"{s}={v}" for s, v in zip(settings, values, strict=True)) if settings else ""
            lines.append({**dict(zip(GROUPS, names, strict=True)), "settings": label, **_line(part)})
    return pd.DataFrame(lines)


def write(folder: str | Path) -> str:
    """Write report.md, report.csv and report.png for all runs under `folder`, and return the table as Markdown."""
    folder = Path(folder)
    rows = load(folder)
    lines = table(rows)
    lines.to_csv(folder / "report.csv", index=False)
    text = _markdown(lines)
    (folder / "report.md").write_text(f"# Runs in {folder.name}\n\n{text}\n\n{_notes(rows)}\n", encoding="utf-8")
    _figure(rows, lines, folder / "report.png")
    return f"{text}\n\n{_notes(rows)}\nwritten: {_short(folder)}/report.md, report.csv, report.png"


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
    return f"{row['status']} after {row.get('sequences') or 0:,} sequences: {row.get('reason')}"


def _test(row: dict) -> str | None:
    if row.get("test_wrong") is None:
        return None
    published = row.get("published_test_wrong")
    beside = f" (published: {published} wrong)" if published is not None else ""
    return f"{row['test_wrong']} of {row['test_size']} wrong{beside}, mean absolute error {row['test_error']:.4f}"


def _differing(group: pd.DataFrame) -> list[str]:
    settings = [c for c in group.columns if "." in c and not c.startswith(NOT_SETTINGS)]
    return [c for c in settings if group[c].nunique(dropna=False) > 1]


def _line(part: pd.DataFrame) -> dict:
    trained = part["sequences"].fillna(0) > 0 if "sequences" in part else pd.Series(False, part.index)
    trials = part[part["status"].isin(FINISHED) | ((part["status"] == "failed") & trained)]
    solved = trials[trials["status"] == "solved"]
    line = {"trials": len(trials), "unfinished": len(part) - len(trials), "solved": len(solved)}
    if len(trials):
        interval = binomtest(len(solved), len(trials)).proportion_ci(method="wilson")
        line |= {"share": len(solved) / len(trials), "low": interval.low, "high": interval.high}
    if len(solved):
        n = solved["sequences_to_solution"]
        line |= {"sequences_mean": n.mean(), "sequences_median": n.median(), "sequences_min": n.min(), "sequences_max": n.max()}
    if len(trials):
        tested = trials.dropna(subset=["test_size"])
        line |= {"test_wrong_mean": tested["test_wrong"].mean(), "test_size": tested["test_size"].max()}
        line |= {"seconds_median": trials["seconds"].median()}
    if "published_sequences" in part and part["published_sequences"].notna().any():
        line |= {"published_sequences": part["published_sequences"].max(), "published_source": part["published_source"].dropna().iloc[0]}
    return line


def _markdown(lines: pd.DataFrame) -> str:
    def number(line, name: str, digits: int = 0) -> str:
        value = line.get(name)
        return "" if value is None or pd.isna(value) else f"{value:,.{digits}f}"

    shown = []
    for line in lines.to_dict("records"):
        share = "" if pd.isna(line.get("share")) else f" ({line['share']:.0%}; {line['low']:.0%}-{line['high']:.0%})"
        span = number(line, "sequences_min") and f"{number(line, 'sequences_min')}-{number(line, 'sequences_max')}"
        wrong = number(line, "test_wrong_mean", 1) and f"{number(line, 'test_wrong_mean', 1)} of {number(line, 'test_size')}"
        shown.append(
            {
                **{name: line[name] for name in GROUPS},
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
    """Every run that is no finished trial, by name: nothing is dropped silently."""
    others = rows[~rows["status"].isin(FINISHED)]
    lines = [f"- {row['status']}: {_short(Path(row['run']))}: {row.get('reason') or 'no reason given'}" for row in others.to_dict("records")]
    return "\n".join(["Runs that did not finish:", *lines]) if lines else "All runs finished."


def _figure(rows: pd.DataFrame, lines: pd.DataFrame, path: Path) -> None:
    figure = Figure(figsize=(9, 1.6 + 0.6 * len(lines)), layout="constrained", dpi=110)
    axes = figure.subplots()
    labels = []
    for height, line in enumerate(lines.to_dict("records")):
        part = rows
        for name in GROUPS:
            part = part[part[name].eq(line[name]) | (part[name].isna() & pd.isna(line[name]))]
        n = part["sequences_to_solution"].dropna() if "sequences_to_solution" in part else pd.Series(dtype=float)
        unsolved = part[part["status"] == "budget"]["sequences"]
        for values, marker, colour in ((n, "o", "C0"), (unsolved, ">", "C3")):
            if len(values):
                axes.plot(values, [height] * len(values), marker, color=colour, alpha=0.7)
        if not pd.isna(line.get("published_sequences")):
            axes.plot(line["published_sequences"], height, "|", color="black", markersize=22, markeredgewidth=2)
        labels.append(f"{line['task']}, {line['cell']}, {line['learner']}\n{line['solved']} of {line['trials']} solved")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    if axes.lines:
        axes.set_xscale("log")
    axes.set_xlabel("training sequences   (o: solved, >: budget used up, |: published mean)")
    axes.grid(axis="x", alpha=0.3, which="both")
    FigureCanvasAgg(figure).print_png(path)


def _learning(part, history: pd.DataFrame, row: dict) -> None:
    axes = part.subplots()
    axes.plot(history["sequences"], history["absolute_error"], color="C0")
    axes.set_yscale("log")
    axes.set_ylabel("mean absolute error", color="C0")
    axes.set_xlabel("training sequences")
    wrong = axes.twinx()
    wrong.plot(history["sequences"], history["recent_wrong"], color="C3")
    wrong.set_yscale("symlog", linthresh=10)
    wrong.set_ylim(bottom=0)
    wrong.set_ylabel("wrong, as the criterion counts", color="C3")
    if row.get("published_sequences"):
        axes.axvline(row["published_sequences"], color="black", linestyle=":", label="published mean")
        axes.legend(loc="upper right")


def _example(part, example: pd.DataFrame, row: dict) -> None:
    last = example[example["sequences"] == example["sequences"].max()]
    inputs = [c for c in last if c.startswith("input_") and not c.startswith("input_gate")]
    gates = [c for c in last if c.rsplit("_", 1)[0] in COLOURS]
    states = [c for c in last if c.startswith("cell_state_")]
    rows = [0.28 * len(inputs) + 0.4, 2.2, 2.2] if gates else [0.28 * len(inputs) + 0.4, 2.2]
    panels = part.subplots(len(rows), 1, sharex=True, height_ratios=rows)
    t = last["t"]
    panels[0].imshow(last[inputs].T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest",
                     extent=(t.min() - 0.5, t.max() + 0.5, len(inputs) - 0.5, -0.5))  # fmt: skip
    panels[0].set_yticks(range(len(inputs)), [c.replace("_", " ") for c in inputs])
    panels[0].set_title(f"one probe sequence after {last['sequences'].max():,} training sequences; vertical lines: its events")
    for column in gates:
        gate, number = column.rsplit("_", 1)
        style = ("-", "--", "-.", ":")[(int(number) - 1) % 4]
        panels[1].plot(t, last[column], color=COLOURS[gate], linestyle=style, label=column.replace("_", " "))
    if gates:
        panels[1].set_ylim(-0.03, 1.03)
        panels[1].set_ylabel("gates")
        panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    for column in states:
        panels[-1].plot(t, last[column], label=column.replace("_", " "))
    panels[-1].set_ylabel("cell state")
    panels[-1].set_xlabel("time step")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    for panel in panels[1:]:
        for step in t[last["event"] > 0]:
            panel.axvline(step, color="grey", linewidth=0.8, alpha=0.6, zorder=0)


def _flow(part, flow: pd.DataFrame, row: dict) -> None:
    axes = part.subplots()
    moments = sorted(flow["sequences"].unique())
    for moment, strength in ((moments[0], 0.35), (moments[-1], 1.0)):
        for colour, (path, curve) in enumerate(flow[flow["sequences"] == moment].groupby("path")):
            curve = curve[curve["norm"] > 0]
            label = f"{path}, after {moment:,}"
            axes.plot(curve["lag"], curve["norm"], color=f"C{colour}", alpha=strength, label=label,
                      linestyle="--" if path == "carousel" else "-")  # fmt: skip
        if moments[0] == moments[-1]:
            break
    axes.set_yscale("log")
    axes.set_xlabel("lag: steps before the last target")
    axes.set_ylabel("norm of dE/dvalue")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", title="error flow")


def _short(path: Path) -> Path:
    """The path as typed from here, where that is shorter."""
    relative = os.path.relpath(path)
    return Path(relative) if not relative.startswith("..") else path


if __name__ == "__main__":
    main()
