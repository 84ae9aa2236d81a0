"""Measure what README.md and docs/start.md say of runs: python docs/scripts/measure_pages.py

It types their commands, some minutes of work, and writes docs/measured.json. The pages quote it:
tests/docs/test_numbers.py says which sentence quotes which number.
"""

import json
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from lstmlab import results

# of always answering 0.5: the mean of |X1 + X2| / 4, and of |X2| / 4 in a tenth of the cases
CONSTANT_ERROR = 0.9 / 6 + 0.1 / 8
MEASURED = Path(__file__).parents[1] / "measured.json"
Folder = Path


def make_run(outputs: Folder) -> dict[str, Any]:
    """How the run of `make run` ended, and what its gates do."""
    run = results.Run(next(outputs.glob("*/*/result.json")).parent)
    names = ("weights", "sequences", "sequences_to_solution", "test_wrong", "test_size")
    row, example, gates = run.read_row(), run.read("example"), run.read("gates")
    first, last = (example[example["sequences"] == at] for at in (0, row["sequences"]))
    input_gate = gates[gates["gate"] == "input_gate"].iloc[-1]
    history = run.read("history")
    better = history[history["absolute_error"] < CONSTANT_ERROR].iloc[0]
    return {name: row[name] for name in names} | {
        "no_better_until": better["sequences"] - row["trainer.window"],
        "input_gate_at_marks": last[last["event"] == 1]["input_gate_1"].max(),
        "input_gate_near_0": input_gate["near_0"],
        "output_gate_before": first["output_gate_1"].mean(),
        "output_gate_after": last["output_gate_1"].mean(),
    }


def sweep(outputs: Folder) -> dict[str, Any]:
    """The report's row for each learner, as the page shows it."""
    report = next(outputs.glob("sweeps/*/*/report.md")).read_text(encoding="utf-8")
    lines = [line.strip()[1:-1].split("|") for line in report.splitlines() if line.startswith("|")]
    heads, _, *rows = ([cell.strip() for cell in line] for line in lines)
    return {row[heads.index("learner")]: dict(zip(heads, row, strict=True)) for row in rows}


def carousel(outputs: Folder) -> dict[str, Any]:
    """The error flow along the carousel before any training, at lags 0 and 99."""
    flow = pd.read_csv(next(outputs.glob("*/*/error_flow.csv")))
    flow = flow[(flow["sequences"] == 0) & (flow["path"] == "carousel")].set_index("lag")["norm"]
    return {f"lag {lag}": flow[lag] for lag in (0, 99)}


def two_runs(outputs: Folder) -> dict[str, Any]:
    """What the runs of two cells keep, and what it changes to hold a gate open."""
    found = {}
    for path in outputs.glob("sweeps/evening/*/result.json"):
        run = results.Run(path.parent)
        row, memory, held = run.read_row(), run.read("memory"), run.read("interventions")
        last = held[(held["sequences"] == row["sequences"]) & (held["value"] == "open")]
        found[row["cell"]] = {
            "sequences_to_solution": row["sequences_to_solution"],
            "half_life": memory[memory["sequences"] == row["sequences"]]["half_life"].median(),
            "lag": memory["lag"].mean(),
            "held_open": last.set_index("gate")[list(HELD)].to_dict("index"),
        }
    return found


HELD = ("error_before", "error_after", "retention_carousel_before", "retention_carousel_after")
Reader = Callable[[Folder], dict[str, Any]]
RUNS: dict[str, tuple[str, Reader]] = {  # name -> the settings of its command, and what is kept
    "make run": ("experiment=hs97/4_adding_100", make_run),
    "sweep": ("-m learner=truncated1997,bptt 'seed=range(0,2)'", sweep),
    "carousel": ("trainer.budget=1000", carousel),
    "vanilla": ("cell=vanilla trainer.budget=1000", carousel),
    "two runs": (
        "-m cell=lstm1997,vanilla diagnostic=full trainer.budget=100000 sweep=evening",
        two_runs,
    ),
}


def measure(name: str, outputs: Folder) -> dict[str, Any]:
    """Run the command of that name; what is kept of it.

    Of one that is no sweep also the seconds of processor time: jobs of a sweep are no children.
    """
    settings, read = RUNS[name]
    before = _seconds()
    program = Path(sys.executable).with_name("lstmlab")
    subprocess.run([program, *shlex.split(settings), f"outputs={outputs}"], check=True)
    used = {} if settings.startswith("-m ") else {"seconds": round(_seconds() - before, 1)}
    return {"command": f"lstmlab {settings}", **used, **read(outputs)}


def _seconds() -> float:
    """Processor time of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measure(name, Path(folder) / name) for name in RUNS}
    MEASURED.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")
    print(MEASURED)


if __name__ == "__main__":
    main()
