"""What the scripts of the studies share: trials that are kept, tables, comparisons, the page.

    python docs/scripts/study_NAME.py            page and picture, from docs/data/study_NAME.csv
    python docs/scripts/study_NAME.py FOLDER...  first these data, from the runs in folders

tests/docs/test_studies.py compares each page in docs/studies/ with its data.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from write_reproduction import markdown, with_blocks

from lstmlab import results
from lstmlab.report import paired, survival
from lstmlab.report.statistics import wilson

__all__ = ["markdown"]
DOCS = Path(__file__).parents[1]
MARK = "<!-- made by docs/scripts/study_{}.py: {{}} -->"
FIRST_OF_SEARCH = 1000  # no seed that is shown is greater
PARTS = ("search", "grid")
KEPT = ["seed", "status", "sequences", "sequences_to_solution", "test_loss"]


class Study(NamedTuple):
    """How a study's data, tables and picture are made."""

    name: str  # of experiment=study/NAME, study_NAME.csv, studies/NAME.md
    told: Callable[[pd.DataFrame], pd.DataFrame]  # result rows -> a line for each trial
    blocks: Callable[[pd.DataFrame], dict[str, str]]  # trials -> what stands between the marks
    draw: Callable[[pd.DataFrame, Path], None]  # trials -> the picture

    @property
    def data(self) -> Path:
        return DOCS / "data" / f"study_{self.name}.csv"

    @property
    def experiment(self) -> Path:
        return DOCS.parent / "conf" / "experiment" / "study" / f"{self.name}.yaml"

    @property
    def page(self) -> Path:
        return DOCS / "studies" / f"{self.name}.md"

    @property
    def picture(self) -> Path:
        return DOCS / "images" / f"study_{self.name}.png"

    def trials(self) -> pd.DataFrame:
        """The trials in docs/data/; text where it is not a number, also 'none'."""
        return pd.read_csv(self.data, keep_default_na=False, na_values=[""], low_memory=False)

    def keep(self, trials: pd.DataFrame) -> None:
        whole = ["sequences", "sequences_to_solution"]
        trials = trials.astype({name: "Int64" for name in whole if name in trials})
        self.data.parent.mkdir(exist_ok=True)
        trials.to_csv(self.data, index=False, float_format="%.4g")

    def sweep(
        self, part: str, trials: str, settings: list[str], commands: list[str] | None = None
    ) -> pd.DataFrame:
        """Run a sweep of the experiment, or what is missing of it; return its trials.

        Args:
            part: Names the sweep.
            trials: How many, and the first seed, as lstmlab takes them.
            settings: Further settings of lstmlab, such as outputs=FOLDER.
            commands: The jobs; without, those that the experiment lists.
        """
        name = f"study_{self.name}_{part}"
        own = [] if commands is None else [f"hydra.sweeper.commands={json.dumps(commands)}"]
        typed = ["-m", f"experiment=study/{self.name}", *trials.split(), f"sweep={name}", *own]
        program = Path(sys.executable).with_name("lstmlab")
        # a trial that diverges fails, and so does its sweep: it counts as one not solved
        subprocess.run([program, *typed, *settings], check=False)
        outputs = dict(one.split("=", 1) for one in settings if "=" in one).get("outputs")
        return self.told(results.load(Path(outputs or "outputs") / "sweeps" / name))

    def list_jobs(self, commands: Iterable[str]) -> None:
        """Put jobs into the experiment, in place of those that it lists."""
        text = self.experiment.read_text(encoding="utf-8").partition("    commands:\n")[0]
        text += "    commands:\n" + "".join(f"      - {one}\n" for one in commands)
        self.experiment.write_text(text, encoding="utf-8")

    def filled(self, trials: pd.DataFrame, text: str) -> str:
        """The text of the page with its tables."""
        return with_blocks(text, self.blocks(trials), MARK.format(self.name))

    def write(self) -> None:
        """The page and its picture, from the trials in docs/data/."""
        trials = self.trials()
        self.draw(trials, self.picture)
        plt.close("all")
        text = self.page.read_text(encoding="utf-8")
        self.page.write_text(self.filled(trials, text), encoding="utf-8")

    def main(self, folders: Sequence[str]) -> None:
        if folders:
            self.keep(self.told(pd.concat(map(results.load, folders), ignore_index=True)))
        self.write()


class Searched(NamedTuple):
    """A study in which each line has a learning rate of its own, found by search."""

    study: Study
    lines: list[tuple]
    line: list[str]  # the columns that name a line
    command: Callable[..., str]  # of a line's names and its rate: the settings of a job
    first: Sequence[float]  # the rates that the search begins with
    rates: Sequence[float]  # all that it may try
    budget: int

    def chosen(self, trials: pd.DataFrame | None = None) -> dict[tuple, float]:
        """The best rate of each line, by these trials of the search or by those in docs/data/."""
        found = of_part(self.study.trials(), "search") if trials is None else trials
        return best_rates(found, self.line, self.budget)

    def search(self, settings: list[str]) -> None:
        """Try rates, more of them until none that is chosen has only one neighbour."""
        tried = {line: list(self.first) for line in self.lines}
        while True:
            jobs = [(*line, rate) for line, rates in tried.items() for rate in rates]
            found = self.trials("search", "trials=8 seed=1000", jobs, settings)
            best = self.chosen(found)
            wider = {line: beside(best[line], tried[line], self.rates) for line in tried}
            if not any(wider.values()):
                break
            for line, more in wider.items():
                tried[line] += more
        self.keep("search", found)
        best = self.chosen()  # of losses as they are kept, which may be equal where they were not
        self.study.list_jobs(self.command(*line, best[line]) for line in self.lines)

    def grid(self, settings: list[str]) -> None:
        """Run the jobs that the experiment lists."""
        jobs = [(*line, rate) for line, rate in self.chosen().items()]
        self.keep("grid", self.trials("grid", "trials=16", jobs, settings))

    def trials(
        self, part: str, trials: str, jobs: list[tuple], settings: list[str]
    ) -> pd.DataFrame:
        """The trials of jobs (a line's names, then its rate); run where docs/data/ has none."""
        by = [*self.line, "rate"]
        kept = [of_part(self.study.trials(), part)] if self.study.data.exists() else []
        there = {job for one in kept for job in one[by].itertuples(index=False, name=None)}
        if due := [self.command(*job) for job in jobs if job not in there]:
            kept.append(self.study.sweep(part, trials, settings, due))
        # the folder of the sweep may hold others, of an earlier search
        found = pd.concat(kept).drop_duplicates([*by, "seed"]).set_index(by)
        count, there = int(re.findall(r"trials=(\d+)", trials)[0]), found.index.value_counts()
        if short := [job for job in jobs if there.get(job, 0) < count]:
            sys.exit(f"{part}: fewer than {count} trials of {len(short)} jobs, as {short[0]}")
        return found[found.index.isin(jobs)].reset_index()[list(kept[0])]

    def keep(self, part: str, found: pd.DataFrame) -> None:
        """Put the trials of one part into the data, in place of those that were there."""
        others = self.study.trials() if self.study.data.exists() else found.iloc[:0]
        both = pd.concat([others[others["part"] != part], found], ignore_index=True)
        order = both.assign(
            part=both["part"].map(PARTS.index), line=[*map(self.lines.index, self._names(both))]
        )
        order = order.sort_values(["part", "line", "rate", "seed"])
        self.study.keep(both.loc[order.index])

    def main(self, arguments: list[str]) -> None:
        step, settings = (arguments or ["page"])[0], arguments[1:]
        steps = {"search": self.search, "grid": self.grid, "page": lambda _: self.study.write()}
        if step not in steps:
            sys.exit(f"step: {step}, one of {', '.join(steps)}")
        steps[step](settings)

    def _names(self, trials: pd.DataFrame) -> list[tuple]:
        return list(trials[self.line].itertuples(index=False, name=None))


def kept(rows: pd.DataFrame, **columns: pd.Series) -> pd.DataFrame:
    """A line for each trial: columns of the study's own, then what all studies keep."""
    numbers = {name: pd.to_numeric(rows[name], errors="coerce") for name in KEPT[2:]}
    return pd.DataFrame({**columns, "seed": rows["seed"], "status": rows["status"], **numbers})


def parts(trials: pd.DataFrame, line: list[str]) -> dict[tuple, pd.DataFrame]:
    """The trials of each line of a table, in the order of their first trials, sorted by seed."""
    return {key: part.sort_values("seed") for key, part in trials.groupby(line, sort=False)}


def solved(part: pd.DataFrame) -> str:
    """How many trials of a line are solved, with the Wilson interval."""
    count = int((part["status"] == "solved").sum())
    low, high = wilson(count, len(part))
    return f"{count} of {len(part)} ({low:.0%}-{high:.0%})"


def mean(part: pd.DataFrame) -> str:
    """The restricted mean of the sequences to solution, with its bootstrap interval."""
    return interval(survival.line(part), "spent_mean", "spent_low", "spent_high")


def median(part: pd.DataFrame) -> str:
    """The median of the sequences to solution by Kaplan and Meier, with its interval."""
    return interval(survival.line(part), "time_median", "time_low", "time_high")


def interval(stats: dict, middle: str, low: str, high: str) -> str:
    """A number with its interval; what lies beyond the budget is open."""
    if np.isnan(stats["spent_mean"]):
        return "none solved"
    told = [f"{stats[one]:,.0f}" if not np.isnan(stats[one]) else "open" for one in (low, high)]
    value = "open" if np.isnan(stats[middle]) else f"{stats[middle]:,.0f}"
    return f"{value} ({' to '.join(told)})"


def searched(trials: pd.DataFrame) -> pd.Series:
    """Which trials belong to a search: their seeds begin at 1000."""
    return trials["seed"] >= FIRST_OF_SEARCH


def part_of(trials: pd.DataFrame) -> pd.Series:
    """The part that each trial belongs to, by its seed."""
    return searched(trials).map(dict(zip((True, False), PARTS, strict=True)))


def of_part(trials: pd.DataFrame, part: str) -> pd.DataFrame:
    """The trials of one part of a study, such as those of its search."""
    return trials[trials["part"] == part]


def beside(rate: float, tried: Sequence[float], rates: Sequence[float]) -> list[float]:
    """The neighbours of a rate among all rates that were not tried yet."""
    at = rates.index(rate)
    return [one for one in rates[max(at - 1, 0) : at + 2] if one not in tried]


def best_rates(found: pd.DataFrame, line: list[str], budget: int) -> dict[tuple, float]:
    """The rate of each line with the fewest sequences to solution, then the smallest test loss.

    An unsolved trial counts with the whole budget.
    """
    spent = found["sequences_to_solution"].astype(float).fillna(budget)
    means = found.assign(spent=spent, test_loss=found["test_loss"].fillna(np.inf))
    means = means.groupby([*line, "rate"])[["spent", "test_loss"]].mean().reset_index()
    best = means.sort_values(["spent", "test_loss"]).drop_duplicates(line)
    return {tuple(row[name] for name in line): row["rate"] for _, row in best.iterrows()}


def rates(found: pd.DataFrame, line: list[str], budget: int) -> pd.DataFrame:
    """Of each line the rates that were tried: how many trials each solved; the best one in bold."""
    best, told = best_rates(found, line, budget), []
    for key, part in found.groupby(line, sort=False):
        counts = {}
        for rate, one in part.groupby("rate"):
            text = f"{(one['status'] == 'solved').sum()} of {len(one)}"
            counts[f"{rate:g}"] = f"**{text}**" if rate == best[key] else text
        told.append({**dict(zip(line, key, strict=True)), **counts})
    return pd.DataFrame(told)


def comparisons(parts: dict[tuple, pd.DataFrame], pairs: Iterable[tuple]) -> pd.DataFrame:
    """Pairs of lines on equal seeds; `p` corrected by Holm for all of them together.

    Args:
        parts: As `parts` gives them.
        pairs: The keys of the two lines of each pair.

    Returns:
        `first` and `second`, what `report.paired.pair` returns, and `p`.
    """
    told = []
    for first, second in pairs:
        one, other = (parts[key].set_index("seed") for key in (first, second))
        seeds = one.index.intersection(other.index)
        found = paired.pair(survival.watched(one.loc[seeds]), survival.watched(other.loc[seeds]))
        told.append({"first": first, "second": second, **found})
    return pd.DataFrame(told).assign(p=lambda all: paired.holm(all["p_permutation"]))


def difference(one: dict) -> str:
    """The mean difference of a comparison, with its interval."""
    return f"{one['difference']:+,.0f} ({one['low']:+,.0f} to {one['high']:+,.0f})"


def log_axis(axis: Axis) -> None:
    """Make an axis of numbers logarithmic, with ticks at 1, 2 and 5 written out."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def draw_trials(panel: Axes, at: float, part: pd.DataFrame, colour: str) -> None:
    """Draw a line's trials across, at a height: solved ones as dots, the mean, its interval.

    The mean counts an unsolved trial with its budget: filled where all are solved, open where
    some are, an arrow where none is. How many are solved stands at the right.
    """
    seen = survival.watched(part)
    dots = seen.sequences[seen.solved]
    panel.plot(dots, np.full(len(dots), at), ".", color=colour, alpha=0.3, markersize=4, mew=0)
    middle = seen.sequences.mean()
    if seen.solved.any():
        panel.plot(survival.bootstrap(seen.sequences), [at, at], color=colour, linewidth=1.8)
        face = colour if seen.solved.all() else "white"
        panel.plot(middle, at, "o", color=colour, mfc=face, markersize=5)
    else:
        panel.plot(middle, at, ">", color=colour, mfc="white", markersize=5)
    said = f"{seen.solved.sum()} of {len(seen.solved)}"
    panel.annotate(said, (1.01, at), xycoords=("axes fraction", "data"), va="center", fontsize=7)
