"""Our trials beside published rows: conf/published.csv held against result rows."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lstmlab import published
from lstmlab.config import compose
from lstmlab.errors import refusal
from lstmlab.files import write as write_file
from lstmlab.report import formats, statistics, survival, tables
from lstmlab.report.sections import Section
from lstmlab.results import flat, load

PAPER = "Hochreiter & Schmidhuber 1997"
LSTM = "LSTM"  # the method that the paper proposes; all others are its rivals
FACTOR = 2.0  # means differ where one is more than so many times the other
LEAST = 10  # trials on which a verdict stands
NONE = "as published, none"  # a verdict
LEVEL = 0.05  # of the test that shares are equal
# how a run is carried out, and what it measures on the way: no reading says it
FREE = re.compile(
    r"(diagnostic|version)\.|trainer\.(_target_|budget|steps_per_execution|jit_compile)$|"
    r"task\.pair$"
)
GROUPS = ("task", "cell", "head", "learner", "trainer", "optimizer")
NAMED = ("experiment", "task", "cell", "learner", "optimizer")
SOME = "some fraction of the trials solved"  # a remark of the file: no share is published
SOLUTION, FEW_WRONG = "sequences_to_solution", "sequences_to_few_wrong"
RATE = "optimizer.learning_rate"  # rows of rivals have several
PAIR = "task.pair"  # rows of experiment 1 have three
KEPT = ("command", *NAMED, RATE, PAIR, "seed", "status", "sequences", SOLUTION, FEW_WRONG)
MEASURED = ("test_wrong", "test_size", "seconds", "weights")
NOTE = (
    "Sequences: the mean over the solved trials, with its bootstrap interval. Reproduced: the "
    "share of solved trials does not differ from the published one (Fisher's exact test at 5 %; "
    "without a published number of trials: it lies within our Wilson interval), and the mean is "
    "within a factor of two of the published one, or within its published range. Where no share is "
    "published, all trials count as solved; where the text says 'some fraction', any share agrees. "
    "Faster, slower: the share agrees, the mean does not. Fewer, more solved: the share does not. "
    "As published, none: no trial was solved, there and here. Undecided: no trial was solved here, "
    "and the published share is so small that so few trials cannot tell. Too few trials: fewer "
    f"than {LEAST}. Wrong: of the test sequences, mean of the solved trials, the published number "
    "in parentheses."
)


class Candidate(NamedTuple):
    """A reading of a published row."""

    row: dict[str, Any]
    reading: published.Reading


def candidates(paper: str) -> list[Candidate]:
    """All readings of the rows of a paper."""
    return [
        Candidate(row, reading)
        for row in published.results()
        if row["paper"] == paper
        for reading in published.readings(row)
    ]


def found(rows: pd.DataFrame, paper: str) -> list[tuple[Candidate, pd.DataFrame]]:
    """The readings that were run, each with the rows of its trials, in the order of the file.

    A run belongs to a reading if it has all the settings of its command, those of FREE aside. A
    seed counts once, with the first of its rows; once at each value of a setting for which the
    command lists several.

    Args:
        rows: As `results.load` returns them; or as `kept`, whose column `command` says it.
        paper: As conf/published.csv names it.
    """
    if "sequences" not in rows:
        return []  # none has begun to train
    rows = statistics.trials(rows)
    readings = candidates(paper)
    if "command" not in rows:
        rows = rows.assign(command=_commands(rows, [one.reading.command for one in readings]))
    return [
        (one, part.drop_duplicates(["seed", *_listed(one.reading.command, part)]))
        for one in readings
        if (one.row["column"] or SOLUTION) in rows
        if len(part := rows[rows["command"] == one.reading.command])
    ]


def kept(rows: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of published readings, with their command and without most settings."""
    parts = found(rows, paper)
    return _kept(parts) if parts else pd.DataFrame(columns=KEPT)


def _kept(parts: list[tuple[Candidate, pd.DataFrame]]) -> pd.DataFrame:
    # by command: one training may tell of several published rows
    whole = pd.concat({one.reading.command: part for one, part in parts}.values())
    return whole[[name for name in (*KEPT, *MEASURED) if name in whole]]


def lines(rows: pd.DataFrame, paper: str) -> pd.DataFrame:
    """Return one line for each reading that was run.

    Args:
        rows: As `results.load` returns them.
        paper: As conf/published.csv names it.

    Returns:
        experiment, table, method, settings, reading; ours: trials, solved, share_low, share_high
        (Wilson), mean, mean_low, mean_high (over the solved trials), budget, test_wrong, seconds
        (the sum over trials); theirs: published_trials, published_solved (share), published_some
        (whether they say 'some fraction'), published (mean), published_wrong, lowest, highest;
        ratio (ours by theirs), verdict.
    """
    return _lines(found(rows, paper))


def _lines(parts: list[tuple[Candidate, pd.DataFrame]]) -> pd.DataFrame:
    return pd.DataFrame([_line(one, part) for one, part in parts])


def verdict(line: dict[str, Any]) -> str:
    """What a line says: 'reproduced', 'faster', 'slower', 'fewer solved', ... (see NOTE)."""
    trials, solved, theirs = line["trials"], line["solved"], line["published_solved"]
    if trials < LEAST:
        return "too few trials"
    if theirs == 0:
        return NONE if solved == 0 else "some solved, published none"
    if theirs is None and line["published"] is None:
        return "no figure published"
    share = 1.0 if theirs is None else theirs
    if line["published_some"]:
        if not solved:
            return "fewer solved"
    elif _differs(solved, trials, share, line["published_trials"]):
        return "fewer solved" if solved / trials < share else "more solved"
    if line["published"] is None:
        return "reproduced"
    if line["ratio"] is None:
        return "undecided"
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
            "wrong": _wrong(line),
            "verdict": line["verdict"],
        }
        for line in lines.astype(object).where(lines.notna(), None).to_dict("records")
    ]
    return Section(title, pd.DataFrame(shown), 3, NOTE)


def summary(lines: pd.DataFrame) -> str:
    """How many rows are reproduced, by their best reading, the method's and the rivals' apart."""
    good = lines["verdict"].isin(["reproduced", NONE])
    told = []
    for of_lstm, name in ((True, "rows of LSTM"), (False, "rows of rivals")):
        part = lines.assign(good=good)[(lines["method"] == LSTM) == of_lstm]
        best = part.groupby(["experiment", "method", "settings"], sort=False)["good"].any()
        if len(best):
            how = ", ".join(f"{count} {by}" for by, count in _by(part).items() if count)
            of_rows = part[part["good"]].groupby(["experiment", "method", "settings"])["verdict"]
            if empty := sum((verdicts == NONE).all() for _, verdicts in of_rows):
                how += f"; in {empty} of them no trial is solved, there and here"
            how = f" ({how})" if how else ""
            of_all = f"{best.sum()} of {len(best)} {name}"
            told.append(f"{of_all} reproduced in one of their readings{how}")
    return "; ".join(told)


def _by(lines: pd.DataFrame) -> dict[str, int]:
    """How many rows are reproduced by each kind of reading, the plainest that does."""
    kinds = {"as written": 0, "in another reading": 0, "in one found by search": 0}
    for _, part in lines[lines["good"]].groupby(["experiment", "method", "settings"], sort=False):
        readings = part["reading"]
        if (readings == published.AS_WRITTEN).any():
            kinds["as written"] += 1
        elif readings.str.contains("found by search").all():
            kinds["in one found by search"] += 1
        else:
            kinds["in another reading"] += 1
    return kinds


def write(folder: str | Path, paper: str = PAPER) -> str:
    """Write published.md and published_rows.csv, of the runs under a folder, into it.

    Returns:
        The table and the summary, for a terminal of 100 columns.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        ValueError: No run is one of a published row.
        WriteError: One of the files cannot be written.
    """
    if told := beside_published(folder, paper):
        return told
    expected = f"runs of rows of {paper}, as experiment=hs97/all makes them"
    raise refusal("lstmlab.report", expected, {"folder": str(folder)})


def beside_published(folder: str | Path, paper: str = PAPER) -> str:
    """As `write`, but return '' where no run is one of a published row."""
    folder = Path(folder)
    parts = found(load(folder), paper)
    if not parts:
        return ""
    told = _lines(parts)
    part = section(told)
    names = ["published.md", "published_rows.csv"]
    write_file(folder / names[0], f"{formats.markdown(part)}\n\n{summary(told)}.\n")
    write_file(folder / names[1], _kept(parts).to_csv(index=False))
    shown = "\n\n".join([formats.terminal(part), formats.note(part), f"{summary(told)}."])
    return f"{shown}\nwritten: {', '.join(str(tables.short(folder / name)) for name in names)}"


# ---- from runs to readings


def _commands(rows: pd.DataFrame, commands: Sequence[str]) -> list[str | None]:
    """The command whose settings each row has; of several that which says most."""
    seen = {name for name in rows.get("experiment", pd.Series(dtype=object)).dropna()}
    known = [
        (command, settings)
        for command in sorted(set(commands), key=lambda one: -len(one.split()))
        if command.split()[0] in seen
        for settings in _composed(command)
    ]
    names = [name for name in rows if name in NAMED or _is_setting(name)]
    alike: dict[str, str | None] = {}
    told = []
    for row in rows.to_dict("records"):
        own = {name: row[name] for name in names if not _is_missing(row[name])}
        key = str(sorted(own.items()))
        if key not in alike:  # the trials of one setting are looked up once
            fitting = (command for command, settings in known if _same(own, settings))
            alike[key] = next(fitting, None)
        told.append(alike[key])
    return told


def _composed(command: str) -> list[dict[str, Any]]:
    """The settings of each job of a command, as columns of a row."""
    experiment, *settings = command.split()
    several = [
        [f"{name}={value}" for value in values.split(",")]
        for name, _, values in (setting.partition("=") for setting in settings)
        if not FREE.match(name)
    ]
    jobs = []
    for job in product(*several):
        config, choices = compose(f"experiment={experiment}", *job)
        leaves = flat({group: config.get(group) for group in GROUPS})
        jobs.append(
            {name: value for name, value in leaves.items() if _is_setting(name)}
            | {name: choices.get(name) for name in NAMED}
        )
    return jobs


def _listed(command: str, rows: pd.DataFrame) -> list[str]:
    """The columns of the settings for which a command lists several values."""
    settings = [setting.partition("=") for setting in command.split()[1:]]
    return [name for name, _, values in settings if "," in values and name in rows]


def _is_setting(name: str) -> bool:
    return "." in name and name.partition(".")[0] in GROUPS and not FREE.match(name)


def _same(own: dict[str, Any], settings: dict[str, Any]) -> bool:
    # null in the head is what the task suggests, and the row of a run says what that is
    ours = {name: value for name, value in settings.items() if not _is_missing(value)}
    open_ones = {name for name in settings if name.startswith("head.") and name not in ours}
    return {*own} - open_ones == {*ours} and all(_equal(own[name], ours[name]) for name in ours)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA


def _equal(found: Any, wanted: Any) -> bool:
    return bool(found == wanted) or str(found) == str(wanted)


# ---- from trials to lines


def _line(one: Candidate, trials: pd.DataFrame) -> dict[str, Any]:
    row = one.row
    column = row["column"] or SOLUTION
    # in another column than that of the solution, a trial that has a number has got there
    got_there = trials["status"] == "solved" if column == SOLUTION else trials[column].notna()
    solved = trials[got_there]
    sequences = solved[column].to_numpy(float)
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
        "budget": trials["sequences"].max(),
        # the networks that were tested are those of the solution
        "test_wrong": solved["test_wrong"].mean()
        if column == SOLUTION and "test_wrong" in solved
        else None,
        "seconds": trials["seconds"].sum() if "seconds" in trials else None,
        "published_trials": row["trials"],
        "published_solved": row["solved"],
        "published_some": row["remark"] == SOME,
        "published": theirs,
        "published_wrong": row["test_wrong"],
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
    return f"{line['solved']} ({line['share_low']:.0%}-{line['share_high']:.0%})"


def _mean(line: dict[str, Any]) -> str:
    if line["mean"] is None:
        return f"none in {line['budget']:,.0f}" if line["budget"] else ""
    return f"{line['mean']:,.0f}{tables.between(line['mean_low'], line['mean_high'])}"


def _wrong(line: dict[str, Any]) -> str:
    theirs = line["published_wrong"]
    if line["test_wrong"] is None:
        return ""
    return f"{line['test_wrong']:.1f}{'' if theirs is None else f' ({theirs:g})'}"


def _published(line: dict[str, Any]) -> str:
    share = line["published_solved"]
    among = line["published_trials"]
    parts = [f"{among:.0f} trials"] if among and share is None else []
    if share is not None:
        parts = [f"{share:.0%} of {'?' if among is None else f'{among:.0f}'}"]
    if line["published_some"]:
        parts = ["some of ?"]
    if line["published"] is not None:
        span = tables.between(line["lowest"], line["highest"])
        parts.append(f"{line['published']:,.0f}{span}")
    return ", ".join(parts)
