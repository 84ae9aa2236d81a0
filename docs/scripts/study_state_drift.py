"""The study of drifting states: docs/studies/state_drift.md, its picture and its data.

python docs/scripts/study_state_drift.py            page and picture, from docs/data/
python docs/scripts/study_state_drift.py FOLDER...  first the data, from the runs in folders
"""

import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from study import Study, markdown

from lstmlab.report import paired, survival

ARMS = ("full", "cells", "gates", "none")
COLOURS = {"full": "#444444", "cells": "#0072b2", "gates": "#d55e00", "none": "#009e73"}
LINE = ["lag", "reads"]
MOMENTS = ("first", "last")  # before training, after it
MEASURES = ("drift", "largest", "slope")


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """What is kept of result rows, and of each run's memory.csv."""
    measured = pd.DataFrame([states(run) for run in rows["run"]], index=rows.index)
    lag = rows["task.p"].astype(int)
    trials = study.kept(rows, lag=lag, reads=rows["cell.candidate_recurrent"]).join(measured)
    order = trials["reads"].map(ARMS.index)
    trials = trials.assign(_order=order).sort_values(["lag", "_order", "seed"])
    return trials.drop(columns="_order")


def states(run: str) -> dict[str, float]:
    """Before and after training: the larger drift and state of the two cells, the smaller slope."""
    table = pd.read_csv(Path(run) / "memory.csv")
    cells = table.assign(drift=table["drift"].abs()).groupby("sequences")
    found = cells.agg({"drift": "max", "largest": "max", "slope": "min"})
    at = dict(zip(MOMENTS, (found.iloc[0], found.iloc[-1]), strict=True))
    return {f"{one}_{moment}": at[moment][one] for moment in MOMENTS for one in MEASURES}


# ---- the page


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(trials, LINE)
    compared, shifted, linked = tests(parts)
    return {
        "arms": markdown(table(parts)),
        "sequences": markdown(of_pairs(compared, study.difference)),
        "drift": markdown(of_pairs(shifted, drift)),
        "growth": markdown(growth(trials)),
        "links": markdown(linked),
    }


def table(parts: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """A line for each lag and arm."""
    return pd.DataFrame(
        [
            {
                "lag": lag,
                "reads": reads,
                "solved": study.solved(part),
                "mean": study.mean(part),
                "drift, before": average(part["drift_first"], ".3f"),
                "largest, before": average(part["largest_first"], ".1f"),
                "slope, before": average(part["slope_first"], ".2f"),
                "drift, after": average(part["drift_last"], ".3f"),
                "largest, after": average(part["largest_last"], ".1f"),
            }
            for (lag, reads), part in parts.items()
        ]
    )


def average(values: pd.Series, form: str) -> str:
    """A mean over trials with its bootstrap interval."""
    low, high = survival.bootstrap(values.to_numpy())
    return f"{values.mean():{form}} ({low:{form}} to {high:{form}})"


def tests(parts: dict[tuple, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Sequences compared, drifts compared, drift and sequences linked; `p` by Holm for all."""
    lags = dict.fromkeys(lag for lag, _ in parts)
    pairs = [((lag, a), (lag, b)) for lag in lags for a, b in combinations(ARMS, 2)]
    compared = study.comparisons(parts, pairs)
    shifted = pd.DataFrame([drifts(parts, *pair) for pair in pairs if pair[1][1] == "none"])
    some = {key: part for key, part in parts.items() if any(part["status"] == "solved")}
    links = [link(key, part) for key, part in some.items() if key[1] != "none"]
    linked = pd.DataFrame(links, columns=["lag", "reads", "correlation", "p"])
    p = paired.holm([*compared["p_permutation"], *shifted["p"], *linked["p"]])
    first, second = len(compared), len(compared) + len(shifted)
    linked["p"] = [f"{one:.2g}" for one in p[second:]]
    return compared.assign(p=p[:first]), shifted.assign(p=p[first:second]), linked


def drifts(parts: dict[tuple, pd.DataFrame], one: tuple, other: tuple) -> dict:
    """The difference of two arms' drifts before training, seed by seed."""
    a, b = (parts[key].set_index("seed")["drift_first"] for key in (one, other))
    apart = (a - b).to_numpy()
    low, high = survival.bootstrap(apart)
    mean, p = apart.mean(), paired.permutation(apart)
    return {"first": one, "second": other, "difference": mean, "low": low, "high": high, "p": p}


def link(key: tuple, part: pd.DataFrame) -> dict:
    """Spearman's rank correlation of the largest state before training with the sequences."""
    from scipy import stats

    found = stats.spearmanr(part["largest_first"], survival.watched(part).sequences)
    told = {"lag": key[0], "reads": key[1], "correlation": f"{found.statistic:+.2f}"}
    return {**told, "p": found.pvalue}


def of_pairs(compared: pd.DataFrame, shown: Callable[[dict], str]) -> pd.DataFrame:
    """A line for each pair, a column for each lag."""
    lines: dict[str, dict] = {}
    for one in compared.to_dict("records"):
        (lag, a), (_, b) = one["first"], one["second"]
        name = f"{a} minus {b}"
        line = lines.setdefault(name, {"pair": name})
        line[f"lag {lag}"] = f"{shown(one)}, p {one['p']:.2g}"
    return pd.DataFrame(lines.values())


def drift(one: dict) -> str:
    """The mean difference of two drifts, with its interval."""
    return f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"


def growth(trials: pd.DataFrame) -> pd.DataFrame:
    """How the largest state before training grows with the lag: the exponent of a power of it."""
    lines = []
    for reads in ARMS:
        part = trials[trials["reads"] == reads]
        sizes = part.pivot_table("largest_first", "seed", "lag")
        exponents = np.polyfit(np.log(sizes.columns.to_numpy()), np.log(sizes.to_numpy().T), 1)[0]
        lines.append({"reads": reads, "exponent": average(pd.Series(exponents), ".2f")})
    return pd.DataFrame(lines)


def draw(trials: pd.DataFrame, path: Path) -> None:
    """Sequences to solution, drift before training, and states before and after it, by lag."""
    parts = study.parts(trials, LINE)
    lags = list(dict.fromkeys(trials["lag"]))
    figure, panels = plt.subplots(1, 3, figsize=(11.5, 4.4), layout="constrained")
    for (lag, reads), part in parts.items():
        at = lags.index(lag) + 0.2 * (ARMS.index(reads) - 1.5)
        study.draw_trials(panels[0], at, part, COLOURS[reads])
    panels[0].axvline(trials["sequences"].max(), color="0.6", linewidth=0.8, linestyle=":")
    panels[0].set_yticks(range(len(lags)), [str(lag) for lag in lags])
    panels[0].set(ylim=(len(lags) - 0.5, -0.5), ylabel="lag")
    for place in range(len(lags) - 1):
        panels[0].axhline(place + 0.5, color="0.9", linewidth=0.8)
    study.log_axis(panels[0].xaxis)
    panels[0].set_xlabel("training sequences (log)")
    panels[0].set_title("sequences to solution; dotted: the budget", fontsize=9)
    for reads, colour in COLOURS.items():
        part = trials[trials["reads"] == reads]
        band(panels[1], part, "drift_first", colour, "-")
        band(panels[2], part, "largest_first", colour, "-")
        band(panels[2], part, "largest_last", colour, ":")
    for panel in panels[1:]:
        panel.set(xscale="log", xlabel="lag (log)")
        panel.set_xticks(lags, [str(lag) for lag in lags])
        study.log_axis(panel.yaxis)
        panel.minorticks_off()
    panels[1].yaxis.set_major_formatter("{x:g}")
    panels[1].set_title("drift per step before training (log)", fontsize=9)
    panels[2].set_title("largest state (log); dotted: after training", fontsize=9)
    for reads, colour in COLOURS.items():
        panels[0].plot([], [], "o", color=colour, label=reads)
    name = "what the cell inputs read back"
    figure.legend(loc="outside upper center", ncols=4, fontsize=9, title=name, title_fontsize=9)
    figure.savefig(path, dpi=110)


def band(panel: plt.Axes, part: pd.DataFrame, name: str, colour: str, line: str) -> None:
    """The mean over trials at each lag, and its interval."""
    at = part.groupby("lag")[name]
    spans = np.array([survival.bootstrap(values.to_numpy()) for _, values in at]).T
    means = at.mean()
    panel.plot(means.index, means, line, marker="o", markersize=3.5, color=colour)
    panel.fill_between(means.index, *spans, color=colour, alpha=0.15, linewidth=0)


DRIFT = Study("state_drift", told, blocks, draw)

if __name__ == "__main__":
    DRIFT.main(sys.argv[1:])
