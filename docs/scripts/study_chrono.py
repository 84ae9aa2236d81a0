"""The study of initial biases: its search of learning rates, its grid, docs/studies/chrono.md.

    python docs/scripts/study_chrono.py search [SETTING ...]  rates to conf/, trials to docs/data/
    python docs/scripts/study_chrono.py grid [SETTING ...]    the grid's trials to docs/data/
    python docs/scripts/study_chrono.py                       page and picture, from docs/data/

Settings are those of lstmlab, such as outputs=FOLDER. A step that is broken off goes on where it
was, and what is in docs/data/ is not run again: without that file, all is.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from study import Searched, Study, markdown

T = 128
TASKS = ("adding", "two_sequence")
BIAS = "cell.forget_gate.bias"
STARTS = {
    "0": f"cell=vanilla {BIAS}=0.0",
    "1": f"cell=vanilla {BIAS}=1.0",
    "log T": f"cell=vanilla {BIAS}=4.9",
    "log T, input closed": f"cell=vanilla {BIAS}=4.9 cell.input_gate.bias=-4.9",
    "chrono": f"cell=chrono {BIAS}.lag={T}",
    "chrono, T/16": f"cell=chrono {BIAS}.lag={T // 16}",
    "chrono, 16 T": f"cell=chrono {BIAS}.lag={16 * T}",
}
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FIRST = (0.001, 0.003, 0.01)  # the rates that the search begins with
BUDGET = 60_000
COLOURS = ("#444444", "#999999", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#cc79a7")
LINE = ["task", "start"]
PAIRS = (  # what is compared, on each task
    ("1", "0"),
    ("log T", "1"),
    ("log T, input closed", "log T"),
    ("chrono", "1"),
    ("chrono", "log T"),
    ("chrono", "log T, input closed"),
    ("chrono, T/16", "chrono"),
    ("chrono, 16 T", "chrono"),
)


def lines() -> list[tuple[str, str]]:
    return [(task, start) for task in TASKS for start in STARTS]


def command(task: str, start: str, rate: float) -> str:
    """The settings of a line, as the experiment lists them."""
    return f"task={task} {STARTS[start]} optimizer.learning_rate={rate}"


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """What is kept of result rows."""
    names = [
        f"{BIAS}={row[BIAS]} {row['cell.input_gate.bias']}"
        if row["cell"] == "vanilla"
        else f"{BIAS}.lag={row[f'{BIAS}.lag']:.0f}"
        for row in rows.to_dict("records")
    ]
    known = {
        f"{BIAS}=0.0 0.0": "0",
        f"{BIAS}=1.0 0.0": "1",
        f"{BIAS}=4.9 0.0": "log T",
        f"{BIAS}=4.9 -4.9": "log T, input closed",
    }
    known |= {text.split()[1]: start for start, text in STARTS.items() if ".lag=" in text}
    trials = study.kept(
        rows,
        task=rows["task"],
        start=[known[name] for name in names],
        rate=rows["optimizer.learning_rate"].astype(float),
    )
    trials.insert(0, "part", study.part_of(trials))
    return trials


# ---- the page


def comparisons(parts: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    pairs = [((task, one), (task, other)) for task in TASKS for one, other in PAIRS]
    return study.comparisons(parts, pairs)


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    rates = study.rates(study.of_part(trials, "search"), LINE, BUDGET)
    return {
        **{task: markdown(table(task, parts)) for task in TASKS},
        "comparisons": markdown(compared(comparisons(parts))),
        "search": markdown(rates.fillna("")),
    }


def table(task: str, parts: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """A line for each kind of initial biases."""
    told = [
        {
            "biases": line[1],
            "rate": f"{part['rate'].iloc[0]:g}",
            "solved": study.solved(part),
            "mean": study.mean(part),
            "median": study.median(part),
        }
        for line, part in parts.items()
        if line[0] == task
    ]
    return pd.DataFrame(told)


def compared(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each pair, a column for each task."""
    told: dict[tuple, dict] = {}
    for one in found.to_dict("records"):
        (task, first), (_, second) = one["first"], one["second"]
        line = told.setdefault((first, second), {"biases": first, "minus": second})
        line[task] = f"{study.difference(one)}, p {one['p']:.2g}"
    return pd.DataFrame(told.values())


def draw(trials: pd.DataFrame, path: Path) -> None:
    """A panel for each task, a row for each kind of initial biases."""
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    for panel, task in zip(panels, TASKS, strict=True):
        for at, (start, colour) in enumerate(zip(STARTS, COLOURS, strict=True)):
            study.draw_trials(panel, at, parts[task, start], colour)
        panel.axvline(BUDGET, color="0.6", linewidth=0.8, linestyle=":")
        panel.set_title(f"{task}, T={T}")
        study.log_axis(panel.xaxis)
        panel.tick_params(axis="x", labelsize=7)
    panels[0].set_yticks(np.arange(len(STARTS)), STARTS)
    panels[0].set_ylim(len(STARTS) - 0.5, -0.5)
    figure.supxlabel("training sequences to solution (log); dotted: the budget", fontsize=9)
    figure.savefig(path, dpi=110)


CHRONO = Study("chrono", told, blocks, draw)
SEARCHED = Searched(CHRONO, lines(), LINE, command, FIRST, RATES, BUDGET)


if __name__ == "__main__":
    SEARCHED.main(sys.argv[1:])
