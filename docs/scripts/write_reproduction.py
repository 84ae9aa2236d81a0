"""The tables and pictures of docs/reproduction.md, from the rows and curves in docs/data/.

    python docs/scripts/write_reproduction.py           the page and its pictures, from the files
    python docs/scripts/write_reproduction.py FOLDER... first the files, from the runs in folders;
                                                        what was not run there stays as it is

tests/docs/test_reproduction_page.py compares the page with the files.
"""

import sys
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from tabulate import tabulate
from tabulate_cells import LAST

from lstmlab import published
from lstmlab.report import bands, reproduction, statistics
from lstmlab.report.reproduction import LEAST, LSTM, PAPER, lines, section, summary
from lstmlab.results import load

DOCS = Path(__file__).parents[1]
DATA, CURVES = (DOCS / "data" / f"reproduction{name}.csv" for name in ("", "_curves"))
PICTURES = [DOCS / "images" / name for name in ("reproduction.png", "reproduction_curves.png")]
PAGE = DOCS / "reproduction.md"
WHOLE = (reproduction.SOLUTION, reproduction.FEW_WRONG, "test_wrong", reproduction.PAIR)
POINTS = 40  # of a learning curve that are kept
MARK = "<!-- made by docs/scripts/write_reproduction.py: {} -->"
QUARTILES = ("low", "middle", "high")
GOOD = ("reproduced", "as published, none")
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # first, second, third reading


def blocks(found: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    lstm = found[found["method"] == LSTM]
    return {
        "summary": f"**{summary(found)}.** {strict(lstm)}",
        "glance": glance(lstm),
        "missed": missed(found),
        "lstm": table(lstm),
        "rivals": table(found[found["method"] != LSTM]),
        "missing": missing(found),
    }


def strict(found: pd.DataFrame) -> str:
    """How many rows agree by a rule that makes no use of how many trials were published."""
    share = found["published_solved"].astype(float).fillna(1.0)
    agrees = share.between(found["share_low"], found["share_high"])
    near = found["ratio"].astype(float).between(1 / reproduction.FACTOR, reproduction.FACTOR)
    rows = found.assign(agrees=agrees & near).groupby(["experiment", "settings"])["agrees"].any()
    return (
        "By a stricter rule (the published share, or all where none is, within our 95 % Wilson "
        "interval, and the mean within a factor of two) it is "
        f"{rows.sum()} of {len(rows)} rows of LSTM."
    )


def glance(found: pd.DataFrame) -> str:
    """One line per experiment: how many rows are reproduced, and by which readings."""
    told = []
    for experiment, part in found.groupby("experiment", sort=False):
        rows = list(part.groupby("settings", sort=False))
        by = {
            reading: sum(
                one.set_index("reading")["verdict"].get(reading) in GOOD for _, one in rows
            )
            for reading in dict.fromkeys(part["reading"])
        }
        told.append(
            {
                "experiment": experiment,
                "table": ", ".join(dict.fromkeys(part["table"])).replace("Table ", ""),
                "rows": len(rows),
                "reproduced": sum(one["verdict"].isin(GOOD).any() for _, one in rows),
                "as written": by.pop(published.AS_WRITTEN, 0),
                "by other readings": "; ".join(f"{name}: {count}" for name, count in by.items()),
            }
        )
    return markdown(pd.DataFrame(told))


def missed(found: pd.DataFrame) -> str:
    """The rows that no reading reproduces, with what each reading gives."""
    told = []
    names = ["experiment", "method", "settings"]
    for (experiment, method, settings), part in found.groupby(names, sort=False):
        if not part["verdict"].isin(GOOD).any():
            of_each = [
                f"{one.reading}: {one.verdict}, {one.solved} of {one.trials} solved"
                + ("" if pd.isna(one.ratio) else f", {one.ratio:.2f} of the published number")
                for one in part.itertuples()
            ]
            of = f", {settings}" if settings else ""
            told.append(f"- **{experiment} {method}**{of}: {'; '.join(of_each)}.")
    return "\n".join(told) or "None."


def table(found: pd.DataFrame) -> str:
    return markdown(section(found).table) if len(found) else ""


def missing(found: pd.DataFrame) -> str:
    """The commands that have not been run yet."""
    commands = [one.reading.command for one in reproduction.candidates(PAPER)]
    left = [one for one in dict.fromkeys(commands) if one not in set(found["command"])]
    return "\n".join(f"- `experiment={command}`" for command in left) or "None."


def markdown(shown: pd.DataFrame) -> str:
    return tabulate(shown.to_dict("list"), headers="keys", tablefmt="pipe", disable_numparse=True)


def with_blocks(text: str, made: dict[str, str], mark: str = MARK) -> str:
    """The page with what was made between its marks."""
    for name, block in made.items():
        before, rest = text.split(mark.format(name))
        text = f"{before}{mark.format(name)}\n\n{block}\n\n{LAST}{rest.split(LAST, 1)[1]}"
    return text


def draw(found: pd.DataFrame, path: Path) -> None:
    """Ours by the published mean, a line for each row, a colour for each reading."""
    lstm = found[(found["method"] == LSTM) & found["published"].notna()]
    rows = list(lstm.groupby(["experiment", "settings"], sort=False))
    figure, axes = plt.subplots(figsize=(9, 0.24 * len(rows) + 1.6), layout="constrained")
    axes.axvspan(0.5, 2, color="0.9", zorder=0)
    axes.axvline(1, color="0.4", linewidth=1)
    readings = {
        one.command: number
        for row in published.results()
        for number, one in enumerate(published.readings(row))
    }
    names = []
    for place, ((experiment, settings), part) in enumerate(rows):
        names.append(f"{experiment}  {settings.replace('cell.', '').replace('head.', '')}")
        for number, (_, line) in enumerate(part.iterrows()):
            at, theirs = place + 0.22 * (number - (len(part) - 1) / 2), line["published"]
            k = readings[line["command"]]
            if line["solved"]:
                span = [line["mean_low"] / theirs, line["mean_high"] / theirs]
                axes.plot(span, [at, at], color=COLOURS[k], linewidth=1.5)
                whole = line["solved"] == line["trials"]
                face = COLOURS[k] if whole else "white"
                axes.plot(line["ratio"], at, "o", color=COLOURS[k], mfc=face, markersize=4.5)
            else:
                axes.plot(line["budget"] / theirs, at, ">", color=COLOURS[k], mfc="white")
    for place, (one, other) in enumerate(pairwise(key[0] for key, _ in rows)):
        if one != other:
            axes.axhline(place + 0.5, color="0.85", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xscale="log", xlabel="sequences to solution, ours divided by the published mean")
    axes.set_title(
        "Filled: all trials solved; open: some; arrow: none within the budget.\n"
        "Blue: as written; orange, green: second and third reading. Grey: within a factor of two.",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of the error of each reading's trials, at some points of training."""
    parts = []
    by_command = {one.reading.command: part for one, part in reproduction.found(rows, PAPER)}
    for command, part in by_command.items():
        band = bands.band(statistics.trials(part))
        if band is not None and len(part) >= LEAST:
            at = np.linspace(0, len(band.sequences) - 1, POINTS).round().astype(int)
            at = np.unique(at)
            parts.append(
                pd.DataFrame(
                    {
                        "command": command,
                        "sequences": band.sequences[at],
                        **{name: getattr(band, name)[at].round(6) for name in QUARTILES},
                    }
                )
            )
    return pd.concat(parts)


def draw_curves(found: pd.DataFrame, bent: pd.DataFrame, path: Path) -> None:
    """A panel for each experiment: its rows, in the first reading that reproduces each.

    A row that none reproduces is drawn as written.
    """
    lstm = found[found["method"] == LSTM]
    experiments = list(dict.fromkeys(lstm["experiment"]))
    across = 3
    down = -(-len(experiments) // across)
    figure, panels = plt.subplots(down, across, figsize=(11, 3 * down), layout="constrained")
    for panel in panels.flat[len(experiments) :]:
        panel.set_axis_off()
    for panel, experiment in zip(panels.flat, experiments, strict=False):
        rows = lstm[lstm["experiment"] == experiment].groupby("settings", sort=False)
        for k, (settings, part) in enumerate(rows):
            good = part[part["verdict"].isin(GOOD)]
            command = (good if len(good) else part)["command"].iloc[0]
            one = bent[bent["command"] == command]
            label = settings.replace("cell.", "").replace("head.", "")
            panel.plot(one["sequences"], one["middle"], color=f"C{k}", linewidth=1.2, label=label)
            panel.fill_between(one["sequences"], one["low"], one["high"], color=f"C{k}", alpha=0.2)
        panel.set(yscale="log", xlim=(0, None))
        panel.set_title(f"{experiment}: {len(rows)} row{'s'[: len(rows) > 1]}", fontsize=9)
        if len(rows) > 1:
            panel.legend(fontsize=4.5, loc="upper right", framealpha=0.8, edgecolor="none")
        panel.tick_params(labelsize=7, which="both")
        panel.ticklabel_format(axis="x", style="sci", scilimits=(0, 3))
    figure.supxlabel("training sequences", fontsize=9)
    figure.supylabel("mean absolute error: median and quartiles of the trials", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def renewed(path: Path, new: pd.DataFrame) -> pd.DataFrame:
    """The rows of a file, those of commands that were run again replaced, in the rows' order."""
    commands = [one.reading.command for one in reproduction.candidates(PAPER)]
    order = {command: place for place, command in enumerate(dict.fromkeys(commands))}
    old = pd.read_csv(path) if path.exists() else new[:0]
    parts = [old[old["command"].isin(order) & ~old["command"].isin(new["command"])], new]
    both = pd.concat([part for part in parts if len(part)], ignore_index=True)
    whole = {name: "Int64" for name in WHOLE if name in both}
    both = both.astype(whole)  # also where an unsolved trial has none
    return both.sort_values("command", key=lambda names: names.map(order), kind="stable")


def main() -> None:
    if sys.argv[1:]:
        rows = pd.concat([load(folder) for folder in sys.argv[1:]], ignore_index=True)
        DATA.parent.mkdir(exist_ok=True)
        kept = reproduction.kept(rows, PAPER)
        whole = kept.groupby("command")["seed"].transform("size") >= LEAST
        for path, new in ((DATA, kept[whole]), (CURVES, curves(rows))):
            renewed(path, new).to_csv(path, index=False)
    found = lines(pd.read_csv(DATA), PAPER)
    draw(found, PICTURES[0])
    draw_curves(found, pd.read_csv(CURVES), PICTURES[1])
    PAGE.write_text(with_blocks(PAGE.read_text(encoding="utf-8"), blocks(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
