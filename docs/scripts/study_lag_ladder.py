"""The ladder of lags: its search of rates, its climb, and docs/studies/lag_ladder.md.

    python docs/scripts/study_lag_ladder.py search [SETTING ...]  rates into conf/ and data
    python docs/scripts/study_lag_ladder.py climb [SETTING ...]   trials into data
    python docs/scripts/study_lag_ladder.py                       page and picture, from data

Settings are those of lstmlab, such as outputs=FOLDER. A step that is broken off goes on where it
was, and trials that docs/data/ has are not run again: without that file, all are. The climb runs a
rung for those cells only that solved the one below. Rungs are a factor of four apart; in the end
the one between the last that was solved and the first that was not is tried.
"""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from study import Study, markdown

from lstmlab import results
from lstmlab.report import ladders, statistics, survival

TASKS = {
    "adding": "task=adding",
    "two_sequence": "task=two_sequence",
    "copy_memory": "task=copy_memory task.length=1 task.symbols=4",
}
LAG = "cell.forget_gate.bias.lag=\\${task.T}"
CELLS = {
    "lstm1997": "cell=lstm1997",
    "lstm1997, its rule": "cell=lstm1997 learner=truncated1997",
    "vanilla": "cell=vanilla",
    "chrono": f"cell=chrono {LAG}",
    "janet": f"cell=janet {LAG}",
    "gru": "cell=gru",
    "irnn": "cell=irnn",
}
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
FIRST = (0.003, 0.01, 0.001)  # the rates that the search begins with
TRIALS = 16
SEARCH, CLIMB = f"seed=1000 trials={TRIALS}", f"trials={TRIALS}"
SEARCHED = 50_000  # sequences of a trial of the search
RUNGS = (64, 256, 1024, 4096, 16384)
TOP = {"copy_memory": 4096}  # the last rung of a task, where that is not the last of all
WINDOW, MOST, STEPS = 500, 100_000, 4 * 10**8
COLOURS = ("#444444", "#999999", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
LINE = ["task", "cell"]
RUNG = [*LINE, "lag"]
JOB = [*RUNG, "rate", "trainer.budget"]

Line = tuple[str, str]


def lines() -> list[Line]:
    return [(task, cell) for task in TASKS for cell in CELLS]


def command(line: Line, rate: float) -> str:
    """The settings of a line, as the experiment lists them."""
    task, cell = line
    return f"{TASKS[task]} {CELLS[cell]} optimizer.learning_rate={rate}"


def budget(T: int) -> int:
    """Sequences of a trial: a hundred thousand, fewer where so many would be too many steps."""
    return min(MOST, STEPS // T // WINDOW * WINDOW)


def top(task: str) -> int:
    return TOP.get(task, RUNGS[-1])


# ---- the search


def search(settings: list[str]) -> None:
    """Try rates, and more of them where the best one of a line that is solved lies at the edge."""
    tried = {line: list(FIRST) for line in lines()}
    due = dict(tried)
    while due:
        jobs = [(line, rate) for line, rates in due.items() for rate in rates]
        found = trials("search", jobs, RUNGS[0], SEARCHED, settings)
        rates = chosen(found)
        some = found[found["status"] == "solved"].groupby(LINE).groups
        due = {
            line: study.beside(rates[line], tried[line], RATES) for line in tried if line in some
        }
        due = {line: more for line, more in due.items() if more}
        for line, more in due.items():
            tried[line] = tried[line] + more
    keep("search", found)
    rates = chosen(study.of_part(LADDER.trials(), "search"))  # of losses as they are kept
    LADDER.list_jobs(command(line, rates[line]) for line in lines())


def chosen(found: pd.DataFrame) -> dict[tuple, float]:
    """The rate of each line that the search found best."""
    return study.best_rates(found, LINE, SEARCHED)


# ---- the climb


def climb(settings: list[str]) -> None:
    """Run each rung for those that solved the one below, then the rungs between."""
    rates = chosen(study.of_part(LADDER.trials(), "search"))
    ends: dict[Line, int] = {}  # the last rung that a line solved
    going = lines()
    for T in RUNGS:
        going = solving([line for line in going if top(line[0]) >= T], rates, T, settings)
        ends |= dict.fromkeys(going, T)
    for T in (RUNGS[0] // 2, *(2 * rung for rung in RUNGS[:-1])):
        between = [
            line for line in lines() if 2 * ends.get(line, RUNGS[0] // 4) == T < top(line[0])
        ]
        solving(between, rates, T, settings)


def solving(going: list[Line], rates: dict[Line, float], T: int, settings: list[str]) -> list[Line]:
    """Run a rung; return those that solved at least half of their trials."""
    if not going:
        return []
    found = trials("climb", [(line, rates[line]) for line in going], T, budget(T), settings)
    known = [rates.get(line) for line in found[LINE].itertuples(index=False, name=None)]
    own = (found["rate"] == known) & (found["trainer.budget"] == found["lag"].map(budget))
    keep("climb", found[own])  # not those of an earlier search, or of other budgets
    solved = (found["status"] == "solved")[own].groupby([found[name] for name in RUNG]).mean()
    return [line for line in going if solved[(*line, T)] >= ladders.ENOUGH]


def trials(
    part: str, jobs: list[tuple[Line, float]], T: int, sequences: int, settings: list[str]
) -> pd.DataFrame:
    """Return all trials of a part; those of jobs at T are run where docs/data/ has none."""
    kept = [study.of_part(LADDER.trials(), part)] if LADDER.data.exists() else []
    there = {job for one in kept for job in one[JOB].itertuples(index=False, name=None)}
    due = [job for job in jobs if (*job[0], T, job[1], sequences) not in there]
    if due:
        kept.insert(0, sweep(part, [command(*job) for job in due], T, sequences, settings))
    found = pd.concat(kept).drop_duplicates([*JOB, "seed"])
    count = found.groupby(JOB).size()
    short = [job for job in jobs if count.get((*job[0], T, job[1], sequences), 0) < TRIALS]
    if short:
        sys.exit(f"{part}: fewer than {TRIALS} trials at T={T} of {len(short)} jobs, as {short[0]}")
    return found


def sweep(
    part: str, listed: list[str], T: int, sequences: int, settings: list[str]
) -> pd.DataFrame:
    """Run a sweep, or what is missing of it; return its trials."""
    name = f"lag_ladder_{part}_{T}"  # a sweep for each rung, since each ends with its report
    commands = json.dumps([one.replace("\\${task.T}", str(T)) for one in listed])
    own = [f"task.T={T}", f"trainer.budget={sequences}", f"hydra.sweeper.commands={commands}"]
    many = (SEARCH if part == "search" else CLIMB).split()
    typed = ["-m", "experiment=study/lag_ladder", *many, f"sweep={name}", *own, *settings]
    # a trial that diverges fails, and so does its sweep: it counts as one not solved
    subprocess.run([Path(sys.executable).with_name("lstmlab"), *typed], check=False)
    outputs = dict(one.split("=", 1) for one in settings if "=" in one).get("outputs", "outputs")
    return told(results.load(Path(outputs) / "sweeps" / name), part)


def told(rows: pd.DataFrame, part: str = "climb") -> pd.DataFrame:
    """What is kept of result rows; a trial that diverged counts with its budget."""
    rows = statistics.trials(rows)
    cell = rows["cell"] + rows["learner"].map({"truncated1997": ", its rule"}).fillna("")
    trials = study.kept(
        rows,
        task=rows["task"],
        cell=cell,
        lag=rows["task.T"].astype(int),
        rate=rows["optimizer.learning_rate"].astype(float),
    )
    trials["trainer.budget"] = rows["trainer.budget"].astype(int)
    trials.insert(0, "part", part)
    return trials


def keep(part: str, found: pd.DataFrame) -> None:
    """Put the trials of one part into the data, in place of those that were there."""
    others = LADDER.trials() if LADDER.data.exists() else found.iloc[:0]
    both = pd.concat([others[others["part"] != part], found])
    places = {"part": ("search", "climb"), "task": tuple(TASKS), "cell": tuple(CELLS)}
    order = {f"_{name}": both[name].map(names.index) for name, names in places.items()}
    both = both.assign(**order).sort_values([*order, "rate", "lag", "seed"])
    LADDER.keep(both[list(found)])


# ---- the page


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    found = study.of_part(trials, "climb")
    parts = study.parts(found, RUNG)
    pairs = [(key, (key[0], "lstm1997", key[2])) for key in parts if key[1] != "lstm1997"]
    compared = study.comparisons(parts, [pair for pair in pairs if pair[1] in parts])
    tables = {task: markdown(table(task, parts, compared)) for task in TASKS}
    return {
        "largest": markdown(largest(found)),
        **tables,
        "search": markdown(searched(study.of_part(trials, "search"))),
    }


def largest(found: pd.DataFrame) -> pd.DataFrame:
    """The largest lag of each cell and task."""
    told = ladders.ladders(found.assign(learner="", **{"task.T": found["lag"]}), LINE)
    rungs = told.set_index(["task", "setting"])["largest"]
    shown: list[dict] = []
    for cell in CELLS:
        shown.append({"cell": cell})
        for task in TASKS:
            lag = rungs[task, cell]
            more = " and more" if lag == top(task) else ""
            shown[-1][task] = "below 32" if np.isnan(lag) else f"{lag:,.0f}{more}"
    return pd.DataFrame(shown)


def table(task: str, parts: dict[tuple, pd.DataFrame], compared: pd.DataFrame) -> pd.DataFrame:
    """A line for each cell and lag of a task."""
    against = {one["first"]: one for one in compared.to_dict("records")}
    shown = []
    for key, part in parts.items():
        if key[0] != task:
            continue
        one = against.get(key)
        shown.append(
            {
                "cell": key[1],
                "lag": f"{key[2]:,}",
                "budget": f"{budget(key[2]):,}",
                "solved": study.solved(part),
                "mean": study.mean(part),
                "minus lstm1997": study.difference(one) if one else "",
                "p, Holm": f"{one['p']:.2g}" if one else "",
            }
        )
    return pd.DataFrame(shown)


def searched(found: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the rates that were tried: how many of the trials each solved."""
    best, shown = chosen(found), []
    for cell, part in found.groupby("cell", sort=False):
        line = {"cell": cell}
        for task, of_task in part.groupby("task", sort=False):
            counts = []
            for rate, one in of_task.groupby("rate"):
                text = f"{rate:g}: {(one['status'] == 'solved').sum()}"
                counts.append(f"**{text}**" if rate == best[str(task), str(cell)] else text)
            line[task] = ", ".join(counts)
        shown.append(line)
    return pd.DataFrame(shown)


def draw(trials: pd.DataFrame, path: Path) -> None:
    """A panel for each task, a line for each cell: sequences to solution against the lag."""
    parts = study.parts(study.of_part(trials, "climb"), RUNG)
    figure, panels = plt.subplots(1, len(TASKS), figsize=(13, 4.6), layout="constrained")
    for panel, task in zip(panels, TASKS, strict=True):
        lags = sorted({lag for one, _, lag in parts if one == task})
        for k, (cell, colour) in enumerate(zip(CELLS, COLOURS, strict=True)):
            own = {key[2]: part for key, part in parts.items() if key[:2] == (task, cell)}
            draw_cell(panel, own, colour, aside=1.06 ** (k - len(CELLS) // 2))
        whole = np.array([RUNGS[0] // 2, *RUNGS])
        panel.plot(whole, [budget(T) for T in whole], ":", color="0.6", linewidth=0.8)
        panel.set_title(task)
        panel.set_xscale("log", base=2)
        panel.set_xticks(lags, [f"{lag:,}" for lag in lags], fontsize=7, rotation=40)
        study.log_axis(panel.yaxis)
        panel.tick_params(axis="y", labelsize=8)
    panels[0].set_ylabel("training sequences to solution (log)")
    figure.supxlabel("lag T (log); crosses: fewer than half are solved; dotted: budget", fontsize=9)
    for cell, colour in zip(CELLS, COLOURS, strict=True):
        panels[0].plot([], [], "o-", color=colour, label=cell)
    figure.legend(loc="outside upper center", ncols=7, fontsize=9)
    figure.savefig(path, dpi=110)


def draw_cell(panel: plt.Axes, rungs: dict[int, pd.DataFrame], colour: str, aside: float) -> None:
    """The means of a cell's rungs with their intervals; a cross at the one where it ends."""
    means = {}
    for T in sorted(rungs):
        lag = T * aside  # beside those of the other cells
        seen = survival.watched(rungs[T])
        middle = seen.sequences.mean()
        if seen.solved.mean() >= ladders.ENOUGH:
            means[lag] = middle
            panel.plot([lag, lag], survival.bootstrap(seen.sequences), color=colour, linewidth=1.8)
            face = colour if seen.solved.all() else "white"
            panel.plot(lag, middle, "o", color=colour, mfc=face, markersize=5)
        else:
            panel.plot(lag, middle, "x", color=colour, markersize=6)
    panel.plot(list(means), list(means.values()), color=colour, linewidth=1)


LADDER = Study("lag_ladder", told, blocks, draw)


def main(arguments: list[str]) -> None:
    step, settings = (arguments or ["page"])[0], arguments[1:]
    if step == "search":
        search(settings)
    elif step == "climb":
        climb(settings)
    elif step == "page":
        LADDER.write()
    else:
        sys.exit(f"step: {step}, one of search, climb, page")


if __name__ == "__main__":
    main(sys.argv[1:])
