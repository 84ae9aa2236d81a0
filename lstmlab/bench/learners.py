"""What learners cost against the length of a sequence and the width of a net.

Time per step, and peak memory of a process.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lstmlab import files
from lstmlab.bench.defaults import LEARNERS

STEPS = 200  # of the nets that are measured against width
UNITS, FEATURES = 4, 2  # of the nets that are measured against length
SMALL = 1000  # the length of the quoted ratio
LARGEST = 3  # of the widths that an exponent is fitted to
COLUMNS = ("part", "cell", "learner", "units", "steps", "round", "seconds", "peak_mb")


def run(
    learners: Sequence[str],
    cells: Sequence[str],
    lengths: Sequence[int],
    widths: Sequence[int],
    rounds: int,
    seconds: float,
    csv: str | None = None,
) -> pd.DataFrame:
    """Return every measurement as one row.

    Columns: part, cell, learner, units, steps, round, seconds of a call, peak_mb of the process.

    memory: one process each, which does nothing else. length, width: one process for each learner,
    in which the lengths or widths take turns. ratio: truncated1997_forward and bptt take turns in
    one process. A measurement that cannot be done is named on stderr and left out. csv: a file that
    holds all rows so far, at every moment.
    """
    if csv:
        files.check(csv)
    rows: list[dict] = []
    for part, items in _processes(learners, cells, lengths, widths):
        rows += _apart(part, items, *((0, 0.0) if part == "memory" else (rounds, seconds)))
        if csv:
            files.write(csv, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _processes(learners, cells, lengths, widths) -> Iterator[tuple[str, list[dict]]]:
    """What each process measures: the part, and its items."""
    for cell in cells:
        pair = [
            _item(cell, learner, UNITS, SMALL)
            for learner in ("bptt", "truncated1997_forward")
            if learner in learners
        ]
        if len(pair) == 2:
            yield "ratio", pair
        for learner in learners:
            of_length = [_item(cell, learner, UNITS, steps) for steps in sorted(lengths)]
            # a process each: the peak of a process never falls
            yield from (("memory", [item]) for item in of_length)
            yield "length", of_length
            yield "width", [_item(cell, learner, units, STEPS) for units in sorted(widths)]


def tables(raw: pd.DataFrame) -> str:
    """All that can be said of the measurements, in markdown."""
    texts = []
    for part, title, of in (
        ("length", LENGTH_TITLE, against_length),
        ("width", WIDTH_TITLE, against_width),
    ):
        if (raw["part"] == part).any():
            texts.append(f"{title}\n\n{of(raw).to_markdown(index=False, floatfmt='.2f')}")
    texts += [
        f"{cell}, {UNITS} cells, {SMALL} steps: a step of truncated1997_forward costs "
        f"{middle:.2f} x that of bptt (quartiles {low:.2f}, {high:.2f})"
        for cell, (low, middle, high) in ratios(raw).items()
    ]
    return "\n\n".join(texts)


LENGTH_TITLE = (
    f"Against length: {UNITS} cells, {FEATURES} inputs, batch 1, an error at every step, XLA, "
    "one thread. peak MB: of a process that does this alone, most of it TensorFlow; growth, and "
    "bytes per step: against the shortest length. us per step: median of the rounds; to the "
    "longest: ratio of the time per step to that of the longest, in the same round; off line: how "
    "far the time lies from a + b T, which has the overhead of a call in a."
)
WIDTH_TITLE = (
    f"Against width: microseconds per step, {STEPS} steps. measured: exponent of the time, fitted "
    f"on logarithms to the {LARGEST} largest widths; theory: of the multiplications per step. Of "
    "small nets, and of learners with few multiplications, the time is mostly the overhead of a "
    "step, so that the measured exponent lies below."
)


def against_length(raw: pd.DataFrame) -> pd.DataFrame:
    """Memory and time against length: growth to the longest, and the distance from a line."""
    rows = []
    peaks = raw[raw["part"] == "memory"].groupby(["cell", "learner", "steps"])["peak_mb"].max()
    for (cell, learner), times in raw[raw["part"] == "length"].groupby(
        ["cell", "learner"], sort=False
    ):
        table = times.pivot_table(index="round", columns="steps", values="seconds")
        lengths = table.columns.to_numpy(float)
        per_step = table / lengths
        ratio, median = (
            per_step.div(per_step.iloc[:, -1], axis=0).median(),
            table.median().to_numpy(),
        )

        fit = _line(lengths, median)
        shortest = table.columns[0]
        for k, steps in enumerate(table.columns):
            peak, least = (
                peaks.get((cell, learner, length), np.nan) for length in (steps, shortest)
            )
            rows.append({
                "cell": cell, "learner": learner, "steps": int(steps),
                "peak MB": peak, "growth %": 100 * (peak / least - 1),
                "bytes per step":
                    2**20 * (peak - least) / (steps - shortest) if steps > shortest else 0.0,
                "us per step": 1e6 * per_step.iloc[:, k].median(), "to the longest": ratio.iloc[k],
                "off line %": 100 * (median[k] / fit[k] - 1),
            })  # fmt: skip
    return pd.DataFrame(rows)


def against_width(raw: pd.DataFrame) -> pd.DataFrame:
    """Microseconds per step against width, with measured and theoretical exponents."""
    rows = []
    for (cell, learner), times in raw[raw["part"] == "width"].groupby(
        ["cell", "learner"], sort=False
    ):
        per_step = 1e6 * times.groupby("units")["seconds"].median() / times["steps"].iloc[0]
        columns = {f"{units} cells": value for units, value in per_step.items()}
        rows.append(
            {
                "cell": cell,
                "learner": learner,
                **columns,
                "measured": exponent(per_step),
                "theory": LEARNERS[learner][3],
            }
        )
    return pd.DataFrame(rows)


def exponent(per_step: pd.Series) -> float:
    """Of a power law through the times of the largest widths, which are the index.

    NaN for fewer than two.
    """
    largest = per_step.sort_index().iloc[-LARGEST:]
    if len(largest) < 2:
        return np.nan
    return float(
        np.polyfit(np.log(largest.index.to_numpy(float)), np.log(largest.to_numpy()), 1)[0]
    )


def ratios(raw: pd.DataFrame) -> dict[str, list[float]]:
    """Quartiles of the time of truncated1997_forward over that of bptt, within each round."""
    found = {}
    for cell, times in raw[raw["part"] == "ratio"].groupby("cell", sort=False):
        table = times.pivot_table(index="round", columns="learner", values="seconds")
        found[str(cell)] = list(
            (table["truncated1997_forward"] / table["bptt"]).quantile([0.25, 0.5, 0.75])
        )
    return found


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """a + b x by least squares of the relative deviations, with a >= 0."""
    if len(x) < 2:
        return y
    # polyfit multiplies deviations by w: 1 / y makes them relative
    b, a = np.polyfit(x, y, 1, w=1 / y)
    # a < 0 is no overhead: then a = 0, with the b that minimises sum (b x / y - 1)^2
    return a + b * x if a >= 0 else x * np.sum(x / y) / np.sum((x / y) ** 2)


def _item(cell: str, learner: str, units: int, steps: int) -> dict:
    return {"cell": cell, "learner": learner, "units": units, "steps": steps}


def _apart(part: str, items: list[dict], rounds: int, seconds: float) -> list[dict]:
    """Rows of the items, measured in a process of their own; rounds=0: the memory of one call."""
    order = json.dumps({"items": items, "rounds": rounds, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, "-m", "lstmlab.bench.learners", order],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        what = ", ".join(
            f"{item['learner']} ({item['cell']}, {item['units']} cells, {item['steps']} steps)"
            for item in items
        )
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        print(f"left out: {part} of {what}: {last}", file=sys.stderr)
        return []

    answer = json.loads(done.stdout.splitlines()[-1])
    for line in answer["left_out"]:
        print(f"left out: {part} of {line}", file=sys.stderr)
    return [{"part": part, **row, "peak_mb": answer["peak_mb"]} for row in answer["rows"]]


def measure(items: list[dict], rounds: int, seconds: float) -> dict:
    """Call every item, in this process, for about `seconds` in each round.

    The order is another one each time.

    rows: item, round and the seconds of one call; left_out: a line for each item that could not be
    built; peak_mb. rounds=0: each is called once, and its seconds are those of that call,
    compilation included.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    calls, rows, left_out = {}, [], []
    for k, item in enumerate(items):
        try:
            call = _call(**item)
            taken = _seconds(call, 1)  # compiles
        except (ValueError, AttributeError, ImportError) as error:
            line = " ".join(str(error).split())
            left_out.append(
                f"{item['learner']} ({item['cell']}, {item['units']} cells, "
                f"{item['steps']} steps): {line}"
            )
            continue
        if rounds:
            calls[k] = call, _count(call, seconds)
        else:
            rows.append({**item, "round": 0, "seconds": taken})

    rng = np.random.default_rng(0)
    for number in range(rounds):
        for k in rng.permutation(list(calls)):
            rows.append({**items[k], "round": number, "seconds": _seconds(*calls[k])})
    return {"rows": rows, "left_out": left_out, "peak_mb": peak_mb()}


def _call(cell: str, learner: str, units: int, steps: int):
    """Make a call that computes the gradient of one sequence, with an error at every step."""
    import keras
    import tensorflow as tf

    from lstmlab.cells import variant
    from lstmlab.model import Head, Recurrent

    keras.utils.set_random_seed(0)
    name, module, settings, _ = LEARNERS[learner]
    made = getattr(importlib.import_module(f"lstmlab.learners.{module}"), name)(**settings)
    model = Recurrent(variant(cell, units), Head(1), made, FEATURES)

    rng = np.random.default_rng(0)
    x, y = (
        tf.constant(rng.uniform(-1, 1, (1, steps, width)), "float32") for width in (FEATURES, 1)
    )
    w = tf.ones((1, steps))

    compiled = tf.function(
        lambda x, y, w: made.gradients(model.cell, model.head, x, y, w),
        jit_compile=True,
        autograph=False,
    )
    return lambda: compiled(x, y, w)[0].numpy()


def _seconds(call, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _count(call, seconds: float) -> int:
    """Calls that take about so long."""
    return max(1, round(seconds / max(_seconds(call, 1), 1e-9))) if seconds else 1


def peak_mb() -> float:
    """The largest memory that this process has held.

    Not that of the one that started it, which ru_maxrss may have.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def began_mb() -> float:
    """The memory that this process holds; its peak is counted anew from here on, on Linux."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
    return peak_mb()


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
