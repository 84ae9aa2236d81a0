"""The cost of measuring: each preset beside a run without, and each measure on a large probe."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstmlab import config
from lstmlab.errors import refusal

UNITS, FEATURES = 4, 2  # of the nets on whose probe measures are timed


def presets(names: Sequence[str], budget: int, rounds: int) -> pd.DataFrame:
    """Time whole runs of the default config under each preset, a process each, in random order.

    Args:
        names: Presets; ratios are those to the first, taken within each round.
        budget: Training sequences of a run.
        rounds: How often each preset is run; the table has medians over the rounds.

    Returns:
        DataFrame(preset, s, cpu s, ratio, lower quartile, upper quartile, cpu ratio).
    """
    taken: list[dict] = []
    order = np.random.default_rng(0)
    for k in range(rounds):
        for name in order.permutation(list(names)):
            taken.append({"round": k, "preset": str(name), **_whole_run(str(name), budget)})

    raw = pd.DataFrame(taken)
    wall, cpu = (
        raw.pivot_table(index="round", columns="preset", values=what)[list(names)]
        for what in ("s", "cpu s")
    )
    ratios, cpu_ratios = (table.div(table.iloc[:, 0], axis=0) for table in (wall, cpu))

    columns = {"s": wall.median(), "cpu s": cpu.median(), "ratio": ratios.median()}
    columns |= {"lower quartile": ratios.quantile(0.25), "upper quartile": ratios.quantile(0.75)}
    return (
        pd.DataFrame(columns | {"cpu ratio": cpu_ratios.median()})
        .rename_axis("preset")
        .reset_index()
    )


def measures(
    names: Sequence[str], cells: Sequence[str], steps: int, batch: int, rounds: int
) -> pd.DataFrame:
    """Time each measure on each cell, in a process that does nothing else.

    A measure that does not serve the cell is left out; one that fails is named on stderr.

    Returns:
        DataFrame(cell, measure, first s, s, rows, MB). first s: the first measurement, which
        compiles. s: the median of `rounds` more. MB: growth of the process's peak memory.
    """
    rows = []
    for cell in cells:
        for name in names:
            arguments = [
                sys.executable,
                "-m",
                "lstmlab.bench.diagnostics",
                json.dumps([name, cell, steps, batch, rounds]),
            ]
            done = subprocess.run(
                arguments, env=_environment(), capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["no word"])[-1]
                print(f"left out: {name} of {cell}: {said}", file=sys.stderr)
            elif answer := json.loads(done.stdout):
                rows.append({"cell": cell, "measure": name, **answer})
    return pd.DataFrame(rows, columns=["cell", "measure", "first s", "s", "rows", "MB"])


def measure(name: str, cell: str, steps: int, batch: int, rounds: int) -> dict:
    """One measure in this process; {} where it does not serve the cell."""
    from lstmlab.diagnostics.base import Probe

    diagnostic, model = _diagnostic(name), _model(cell)
    if not diagnostic.serves(model):
        return {}

    rng, w = np.random.default_rng(0), np.zeros((batch, steps), "float32")
    # one error, at the end: lags as long as the probe
    w[:, -1] = 1.0
    events = rng.random((batch, steps)) < 2 / steps
    x, y = (rng.normal(size=(batch, steps, size)).astype("float32") for size in (FEATURES, 1))
    probe = Probe(x, y, w, np.ones((batch, steps), bool), events)

    before, times = _peak(), []
    for _ in range(1 + rounds):
        start = time.perf_counter()
        table = diagnostic.measure(model, probe)
        times.append(time.perf_counter() - start)

    return {
        "first s": times[0],
        "s": float(np.median(times[1:])),
        "rows": len(table),
        "MB": _peak() - before,
    }


def _model(cell: str) -> Any:
    from lstmlab.cells import variant
    from lstmlab.learners import BPTT
    from lstmlab.model import Head, Recurrent

    model = Recurrent(variant(cell, units=UNITS), Head(1), BPTT(), FEATURES)
    model.compile("sgd")
    return model


def _diagnostic(name: str) -> Any:
    """The diagnostic of conf/diagnostic/<name>.yaml."""
    return config.made(config.settings("diagnostic", name))


def _whole_run(preset: str, budget: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"trainer.budget={budget}", f"diagnostic={preset}", f"outputs={folder}"]
        # of all children that have ended: the difference is that of this run
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", "from lstmlab.app import main; main()", *settings],
            env=_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise refusal("bench", "a run that ends", done.stderr.strip().splitlines()[-1])
        row = json.loads(next(Path(folder).rglob("result.json")).read_text(encoding="utf-8"))
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return {"s": row["seconds"], "cpu s": cpu}


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _peak() -> float:
    """The peak memory of this process in MB."""
    # Linux counts it in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(measure(*json.loads(sys.argv[1]))))
