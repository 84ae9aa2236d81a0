"""The study of gates: its search of learning rates, its grid, and docs/studies/gates.md.

    python docs/scripts/study_gates.py search [SETTING ...]  rates to conf/, trials to docs/data/
    python docs/scripts/study_gates.py grid [SETTING ...]    the grid's trials to docs/data/
    python docs/scripts/study_gates.py                       page and picture, from docs/data/

Settings are those of lstmlab, such as outputs=FOLDER. A step that is broken off goes on where it
was, and what is in docs/data/ is not run again: without that file, all is.
"""

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import study
from study import Searched, Study, markdown

TASKS = ("adding", "temporal_order", "two_sequence", "flip_flop")
CELLS = ("peephole", "nig", "nfg", "nog", "niaf", "noaf", "cifg", "np", "fgr")
BIASES = {"1": 1.0, "log T": round(math.log(100), 1)}
# conf/cell/peephole.yaml has the functions and the biases of another paper
WHOLE = "cell.candidate_activation=tanh cell.output_activation=tanh cell.output_gate.bias=0.0"
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FIRST = (0.001, 0.003, 0.01)  # the rates that the search begins with
BUDGET = 60_000
COLOURS = {"none": "#444444", "1": "#0072b2", "log T": "#d55e00"}  # of the biases
LINE = ["task", "cell", "bias"]


def lines() -> list[tuple[str, str, str]]:
    """Task, cell and arm of each line; without a forget gate there is one arm."""
    return [
        (task, cell, bias)
        for task in TASKS
        for cell in CELLS
        for bias in (["none"] if cell == "nfg" else BIASES)
    ]


def command(task: str, cell: str, bias: str, rate: float) -> str:
    """The settings of a line, as the experiment lists them."""
    parts = [f"task={task} cell={cell}"]
    if cell == "peephole":
        parts.append(WHOLE)
    if cell == "cifg":
        parts.append(f"cell.input_gate.bias={-BIASES[bias]}")
    elif cell != "nfg":
        parts.append(f"cell.forget_gate.bias={BIASES[bias]}")
    return " ".join([*parts, f"optimizer.learning_rate={rate}"])


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """What is kept of result rows."""
    known = {value: name for name, value in BIASES.items()}
    biases = rows["cell.forget_gate.bias"].astype(float)
    biases = biases.where(rows["cell"] != "cifg", -rows["cell.input_gate.bias"].astype(float))
    trials = study.kept(
        rows,
        task=rows["task"],
        cell=rows["cell"],
        bias=biases.map(known).fillna("none"),
        rate=rows["optimizer.learning_rate"].astype(float),
    )
    trials.insert(0, "part", study.part_of(trials))
    return trials


# ---- the page


def comparisons(parts: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """Pairs of lines, `kind` 'cell' or 'bias'.

    'cell': a cell against the whole one of the same bias (without a forget gate: of each); 'bias':
    a bias of log T against one of 1, of the same cell.
    """
    pairs = {}
    for task, cell, bias in parts:
        against = BIASES if bias == "none" else [bias]
        if cell != "peephole":
            pairs |= {((task, cell, bias), (task, "peephole", one)): "cell" for one in against}
        if bias == "log T":
            pairs[(task, cell, bias), (task, cell, "1")] = "bias"
    return study.comparisons(parts, pairs).assign(kind=list(pairs.values()))


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    compared = comparisons(parts)
    tables = {task: markdown(table(task, parts, compared)) for task in TASKS}
    return {**tables, "bias": markdown(of_bias(compared)), "search": markdown(searched(trials))}


def table(task: str, parts: dict[tuple, pd.DataFrame], compared: pd.DataFrame) -> pd.DataFrame:
    """A line for each cell and bias."""
    told = []
    of_cells = compared[compared["kind"] == "cell"]
    for line, part in parts.items():
        if line[0] != task:
            continue
        against = of_cells[of_cells["first"] == line].to_dict("records")
        told.append(
            {
                "cell": line[1],
                "bias": line[2],
                "rate": f"{part['rate'].iloc[0]:g}",
                "solved": study.solved(part),
                "mean": study.mean(part),
                "median": study.median(part),
                "minus the whole cell": "; ".join(map(study.difference, against)),
                "p, Holm": "; ".join(f"{one['p']:.2g}" for one in against),
            }
        )
    return pd.DataFrame(told)


def of_bias(compared: pd.DataFrame) -> pd.DataFrame:
    """A line for each cell, a column for each task: bias log T minus bias 1."""
    told: dict[str, dict] = {}
    for one in compared[compared["kind"] == "bias"].to_dict("records"):
        task, cell, _ = one["first"]
        told.setdefault(cell, {"cell": cell})[task] = f"{study.difference(one)}, p {one['p']:.2g}"
    return pd.DataFrame(told.values())


def searched(trials: pd.DataFrame) -> pd.DataFrame:
    """Of each cell and bias the rates that were tried: how many of the trials each solved."""
    found = study.of_part(trials, "search")
    best, told = SEARCHED.chosen(found), []
    for (cell, bias), part in found.groupby(["cell", "bias"], sort=False):
        line = {"cell": cell, "bias": bias}
        for task, of_task in part.groupby("task", sort=False):
            counts = []
            for rate, one in of_task.groupby("rate"):
                text = f"{rate:g}: {(one['status'] == 'solved').sum()}"
                counts.append(f"**{text}**" if rate == best[(task, cell, bias)] else text)
            line[str(task)] = ", ".join(counts)
        told.append(line)
    return pd.DataFrame(told)


def draw(trials: pd.DataFrame, path: Path) -> None:
    """A panel for each task, a row for each cell, a colour for each bias."""
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    figure, panels = plt.subplots(1, 4, figsize=(13, 5.2), sharey=True, layout="constrained")
    for panel, task in zip(panels, TASKS, strict=True):
        for (_, cell, bias), part in ((k, v) for k, v in parts.items() if k[0] == task):
            at = CELLS.index(cell) + {"none": 0, "1": -0.2, "log T": 0.2}[bias]
            study.draw_trials(panel, at, part, COLOURS[bias])
        for place in range(len(CELLS) - 1):
            panel.axhline(place + 0.5, color="0.9", linewidth=0.8)
        panel.axvline(BUDGET, color="0.6", linewidth=0.8, linestyle=":")
        panel.set_title(task)
        study.log_axis(panel.xaxis)
        panel.tick_params(axis="x", labelsize=7, rotation=40)
    panels[0].set_yticks(range(len(CELLS)), CELLS)
    panels[0].set_ylim(len(CELLS) - 0.5, -0.5)
    figure.supxlabel("training sequences to solution (log); dotted: the budget", fontsize=9)
    for bias, colour in COLOURS.items():
        name = "no forget gate" if bias == "none" else f"forget bias {bias}"
        panels[0].plot([], [], "o", color=colour, label=name)
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    figure.savefig(path, dpi=110)


GATES = Study("gates", told, blocks, draw)
SEARCHED = Searched(GATES, lines(), LINE, command, FIRST, RATES, BUDGET)


if __name__ == "__main__":
    SEARCHED.main(sys.argv[1:])
