"""Our trials beside published rows: conf/published.csv held against result rows."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from lstmlab import published
from lstmlab.errors import refusal
from lstmlab.files import write as write_file
from lstmlab.report import formats, statistics, survival, tables
from lstmlab.report.sections import Section
from lstmlab.results import load

PAPER = "Hochreiter & Schmidhuber 1997"

LSTM = "LSTM"  # the method that the paper proposes; all others are its rivals
FACTOR = 2.0  # means differ where one is more than so many times the other
LEVEL = 0.05  # of the test that shares are equal
FREE = ("trainer",)  # groups of settings that say how a run is carried out, not what is run
KEPT = ("experiment", "task", "cell", "learner", "optimizer", "seed", "status", "sequences")
MEASURED = ("sequences_to_solution", "test_wrong", "test_size", "seconds", "weights")
NOTE = (
    "Sequences: the mean over the solved trials, with its bootstrap interval. Reproduced: the "
    "share of solved trials does not differ from the published one (Fisher's exact test at 5 %; "
    "where no share is published, all trials count as solved), and the mean is within a factor of "
    "two of the published one, or within its published range. Faster, slower: the share agrees, "
    "the mean does not. Fewer solved: the share is lower. As published, none: no trial was solved, "
    "there and here."
)


class Candidate(NamedTuple):
    """A reading of a published row, and what a run of it has in its row.

    Attributes:
        place: The number of the published row, and of the reading within it.
        row: As `published.results` has it.
        reading: Its name and command.
        settings: {column: values, any of them}, of the command.
        entries: What `published.entries` makes of the row: a run fits one of them.
    """

    place: tuple[int, int]
    row: dict[str, Any]
    reading: published.Reading
    settings: dict[str, list]
    entries: list[dict[str, Any]]


def candidates(paper: str) -> list[Candidate]:
    """All readings of the rows of a paper."""
    return [
        Candidate((k, j), row, reading, _settings(reading.command), published.entries_of(row))
        for k, row in enumerate(published.results())
        if row["paper"] == paper
        for j, reading in enumerate(published.readings(row))
    ]


def found(rows: pd.DataFrame, paper: str) -> list[tuple[Candidate, pd.DataFrame]]:
    """The readings that were run, each with the rows of its trials, in the order of the file.

    A run belongs to the reading whose command says most of it.
    """
    readings = candidates(paper)
    columns = sorted(set(chain.from_iterable(one.settings for one in readings)) & {*rows.columns})
    of_reading: dict[tuple[int, int], list[int]] = {}
    alike: dict[tuple, Candidate | None] = {}
    by = [*KEPT[:5], *columns, *_of_entries(readings, rows)]
    for place, row in enumerate(rows.to_dict("records")):
        # trials of one setting are looked up once
        key = tuple(str(row.get(name)) for name in by)
        if key not in alike:
            fitting = [one for one in readings if _fits(one, row)]
            alike[key] = max(fitting, key=lambda one: len(one.settings), default=None)
        best = alike[key]
        if best is not None:
            of_reading.setdefault(best.place, []).append(place)
    return [(one, rows.iloc[of_reading[one.place]]) for one in readings if one.place in of_reading]


def kept(rows: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of published readings, without the columns that nothing here needs."""
    parts = [part for _, part in found(rows, paper)]
    readings = candidates(paper)
    settings = chain.from_iterable(one.settings for one in readings)
    wanted = [*KEPT, *MEASURED, *settings, *_of_entries(readings, rows)]
    columns = [name for name in dict.fromkeys(wanted) if name in rows.columns]
    return pd.concat(parts)[columns] if parts else rows[columns][:0]


def lines(rows: pd.DataFrame, paper: str) -> pd.DataFrame:
    """Return one line for each reading that was run.

    Args:
        rows: As `results.load` returns them.
        paper: As conf/published.csv names it.

    Returns:
        experiment, table, method, settings, reading; ours: trials, solved, share_low, share_high
        (Wilson), mean, mean_low, mean_high (over the solved trials), budget, test_wrong, seconds
        (the sum over trials); theirs: published_trials, published_solved (share), published (mean),
        lowest, highest; ratio (ours by theirs), verdict.
    """
    return pd.DataFrame([_line(one, part) for one, part in found(rows, paper)])


def verdict(line: dict[str, Any]) -> str:
    """What a line says: 'reproduced', 'faster', 'slower', 'fewer solved', ... (see NOTE)."""
    trials, solved, theirs = line["trials"], line["solved"], line["published_solved"]
    if trials == 0:
        return "not run"
    if theirs == 0:
        return "as published, none" if solved == 0 else "some solved, published none"
    if theirs is None and line["published"] is None:
        return "no figure published"
    share = 1.0 if theirs is None else theirs
    if _differs(solved, trials, share, line["published_trials"]):
        return "fewer solved" if solved / trials < share else "more solved"
    if line["published"] is None:
        return "reproduced"
    lowest, highest = line["lowest"], line["highest"]
    within = lowest is not None and lowest <= line["mean"] <= highest
    if within or 1 / FACTOR <= line["ratio"] <= FACTOR:
        return "reproduced"
    return "faster" if line["ratio"] < 1 else "slower"


def section(lines: pd.DataFrame, title: str = "Beside the published rows") -> Section:
    """The lines in words."""
    shown = [
        {
            "row": f"{line['experiment']} {line['method']}",
            "settings": line["settings"],
            "reading": line["reading"],
            "trials": f"{line['trials']}",
            "solved": _share(line),
            "sequences (95 %)": _mean(line),
            "published": _published(line),
            "ratio": "" if pd.isna(line["ratio"]) else f"{line['ratio']:.2f}",
            "verdict": line["verdict"],
        }
        for line in lines.astype(object).where(lines.notna(), None).to_dict("records")
    ]
    return Section(title, pd.DataFrame(shown), 3, NOTE)


def summary(lines: pd.DataFrame) -> str:
    """How many rows are reproduced, by their best reading, the method's and the rivals' apart."""
    good = lines["verdict"].isin(["reproduced", "as published, none"])
    told = []
    for of_lstm, name in ((True, "rows of LSTM"), (False, "rows of rivals")):
        part = lines.assign(good=good)[(lines["method"] == LSTM) == of_lstm]
        best = part.groupby(["experiment", "method", "settings"], sort=False)["good"].any()
        if len(best):
            told.append(f"{best.sum()} of {len(best)} {name} reproduced in one of their readings")
    return "; ".join(told)


def write(folder: str | Path, paper: str = PAPER) -> str:
    """Write published.md and published_rows.csv, of the runs under a folder, into it.

    Returns:
        The table and the summary, for a terminal of 100 columns.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        ValueError: No run is one of a published row.
        WriteError: One of the files cannot be written.
    """
    folder = Path(folder)
    rows = load(folder)
    told = lines(rows, paper)
    if not len(told):
        expected = f"runs of rows of {paper}, as experiment=hs97/all makes them"
        raise refusal("lstmlab.report", expected, {"folder": str(folder)})
    part = section(told)
    names = ["published.md", "published_rows.csv"]
    write_file(folder / names[0], f"{formats.markdown(part)}\n\n{summary(told)}.\n")
    write_file(folder / names[1], kept(rows, paper).to_csv(index=False))
    shown = "\n\n".join([formats.terminal(part), formats.note(part), f"{summary(told)}."])
    return f"{shown}\nwritten: {', '.join(str(tables.short(folder / name)) for name in names)}"


# ---- from runs to readings


def _settings(command: str) -> dict[str, list]:
    """'hs97/4_adding task.T=500' as {column of a result row: its values}."""
    experiment, *settings = command.split()
    found: dict[str, list] = {"experiment": [experiment]}
    for setting in settings:
        name, _, values = setting.partition("=")
        found[name] = [yaml.safe_load(value) for value in values.split(",")]
    return {name: values for name, values in found.items() if name.split(".")[0] not in FREE}


def _of_entries(readings: Sequence[Candidate], rows: pd.DataFrame) -> list[str]:
    """The columns by which runs are recognised as published ones."""
    names = chain.from_iterable(entry["where"] for reading in readings for entry in reading.entries)
    return [name for name in dict.fromkeys(names) if name in rows.columns]


def _fits(reading: Candidate, row: dict[str, Any]) -> bool:
    as_typed = all(
        any(_equal(row.get(name), value) for value in values)
        for name, values in reading.settings.items()
    )
    return as_typed and (
        not reading.entries or published.matching(reading.entries, _plain(row)) is not None
    )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in row.items()
    }


def _equal(found: Any, wanted: Any) -> bool:
    if wanted is None:
        return bool(pd.isna(found))
    return bool(found == wanted) or str(found) == str(wanted)


# ---- from trials to lines


def _line(one: Candidate, part: pd.DataFrame) -> dict[str, Any]:
    row, trials = one.row, statistics.trials(part)
    solved = trials[trials["status"] == "solved"]
    sequences = solved["sequences_to_solution"].to_numpy(float)
    low, high = statistics.wilson(len(solved), len(trials))
    mean = float(sequences.mean()) if len(sequences) else None
    mean_low, mean_high = survival.bootstrap(sequences)
    theirs = row["sequences"]
    line = {
        "experiment": row["experiment"],
        "table": row["table"],
        "method": row["method"],
        "settings": published.settings(row),
        "reading": one.reading.name,
        "command": one.reading.command,
        "trials": len(trials),
        "solved": len(solved),
        "share_low": low,
        "share_high": high,
        "mean": mean,
        "mean_low": mean_low,
        "mean_high": mean_high,
        "budget": trials["sequences"].max() if len(trials) else None,
        "test_wrong": solved["test_wrong"].mean() if "test_wrong" in solved else None,
        "seconds": trials["seconds"].sum() if "seconds" in trials else None,
        "published_trials": row["trials"],
        "published_solved": row["solved"],
        "published": theirs,
        "lowest": row["lowest"],
        "highest": row["highest"],
        "ratio": mean / theirs if mean and theirs else None,
    }
    return {**line, "verdict": verdict(line)}


def _differs(solved: int, trials: int, share: float, among: int | None) -> bool:
    """Whether the share of solved trials differs from the published one."""
    if among is None:
        low, high = statistics.wilson(solved, trials)
        return not low <= share <= high
    from scipy.stats import fisher_exact

    theirs = round(share * among)
    found = fisher_exact([[solved, trials - solved], [theirs, among - theirs]])
    return bool(found.pvalue < LEVEL)


def _share(line: dict[str, Any]) -> str:
    if not line["trials"]:
        return ""
    return f"{line['solved']} ({line['share_low']:.0%}-{line['share_high']:.0%})"


def _mean(line: dict[str, Any]) -> str:
    if line["mean"] is None:
        return f"none in {line['budget']:,.0f}" if line["budget"] else ""
    interval = (
        f" ({line['mean_low']:,.0f}-{line['mean_high']:,.0f})"
        if line["mean_low"] is not None
        else ""
    )
    return f"{line['mean']:,.0f}{interval}"


def _published(line: dict[str, Any]) -> str:
    share = line["published_solved"]
    parts = [] if share is None else [f"{share:.0%} of {line['published_trials'] or '?'}"]
    if line["published"] is not None:
        span = f" ({line['lowest']:,}-{line['highest']:,})" if line["lowest"] is not None else ""
        parts.append(f"{line['published']:,}{span}")
    return ", ".join(parts)
