"""The study of the forget gate: docs/studies/forget_gate.md, its picture and its data.

    python docs/scripts/study_forget_gate.py           page and picture, from docs/data/
    python docs/scripts/study_forget_gate.py FOLDER    first the data, from the page's sweep

With a folder, each trained net is also run over its ten test streams.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from study import Study, markdown

from lstmlab.report.survival import bootstrap

GATES = {"with": "with forget gates", "without": "without"}
COLOURS = {"with": "#0072b2", "without": "#d55e00"}
PLACES = (10, 100, 1000, 10_000, 100_000)  # symbols up to which the largest cell state is kept
TOLERANCE = 0.49  # on each output


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials, with what the trained nets do on the test streams."""
    without = rows["cell.forget_gate._target_"].isna()
    trials = study.kept(rows, gate=pd.Series(np.where(without, "without", "with"), rows.index))
    found = [one for _, part in rows.groupby(without) for one in tried(part)]
    trials = trials.join(pd.DataFrame(dict(found)).T)
    return trials.sort_values(["gate", "seed"])


def tried(rows: pd.DataFrame) -> list[tuple]:
    """Of each run of one cell its index, and what its net does on the test streams."""
    import tensorflow as tf

    from lstmlab.runs.build import reopen

    net = reopen(rows["run"].iloc[0])
    run = tf.function(streams(net.model), jit_compile=True, autograph=False)
    told = []
    for index, row in rows.iterrows():
        net.model.load_weights(str(Path(row["run"]) / "model.weights.h5"))
        told.append((index, measured(run, net.task.sets(int(row["seed"]))["test"])))
    return told


def streams(model) -> Callable:
    """Inputs of streams [B, T, F] -> predictions [B, T, K], and the largest |s| [B, T]."""
    import tensorflow as tf

    from lstmlab.diagnostics.common.tracing import trace

    def run(x):
        values = trace(model.cell, x)
        return model.head(values["output"], x), tf.reduce_max(tf.abs(values["cell_state"]), axis=-1)

    return run


def measured(run: Callable, test) -> dict[str, float]:
    """Means over the test streams: symbols before the first error, the largest |s| so far."""
    x, y = (np.concatenate(part) for part in list(zip(*test, strict=True))[:2])
    prediction, states = (part.numpy() for part in run(x))
    wrong = (np.abs(prediction - y) >= TOLERANCE).any(axis=-1)
    correct = np.where(wrong.any(axis=1), wrong.argmax(axis=1), wrong.shape[1])
    largest = np.maximum.accumulate(states, axis=1)[:, np.array(PLACES) - 1].mean(axis=0)
    by_place = {f"state_{n}": float(one) for n, one in zip(PLACES, largest, strict=True)}
    return {"correct": float(correct.mean()), **by_place}


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(trials, ["gate"])
    [one] = study.comparisons(parts, [(("with",), ("without",))]).to_dict("records")
    solved = [
        {
            "network": GATES[name],
            "solved": study.solved(part),
            "streams, mean": study.mean(part),
            "minus without": study.difference(one) if name == "with" else "",
            "p": f"{one['p']:.2g}" if name == "with" else "",
            "symbols before the first error": with_interval(part["correct"], ",.0f"),
        }
        for (name,), part in parts.items()
    ]
    states = [
        {
            "network": GATES[name],
            **{f"{n:,}": with_interval(part[f"state_{n}"], ",.1f") for n in PLACES},
        }
        for (name,), part in parts.items()
    ]
    return {"solved": markdown(pd.DataFrame(solved)), "states": markdown(pd.DataFrame(states))}


def with_interval(values: pd.Series, form: str) -> str:
    """The median over trials, and its bootstrap interval."""
    low, high = bootstrap(values.to_numpy(), np.median)
    return f"{values.median():{form}} ({low:{form}} to {high:{form}})"


def draw(trials: pd.DataFrame, path: Path) -> None:
    """Left: how long each trained net is right. Right: the largest cell state by then."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for name, part in trials.groupby("gate"):
        colour, lengths = COLOURS[name], np.sort(part["correct"])
        share = 1 - np.arange(len(lengths)) / len(lengths)
        left.step(lengths, share, where="pre", color=colour, label=GATES[name])
        left.plot(lengths, share, ".", color=colour)
        states = [part[f"state_{n}"].to_numpy() for n in PLACES]
        bands = np.array([bootstrap(one, np.median) for one in states]).T
        right.plot(PLACES, [np.median(one) for one in states], "o-", color=colour, markersize=4)
        right.fill_between(PLACES, *bands, color=colour, alpha=0.2, linewidth=0)
    left.set(xscale="log", ylim=(0, 1.05), ylabel="share of nets that last as long")
    left.set_xlabel("symbols before the first error, mean of ten streams (log)")
    left.legend(fontsize=9, loc="center")
    right.set(xscale="log", yscale="log", ylabel="largest |cell state| so far")
    right.set_xlabel("symbols of a test stream (log)")
    figure.savefig(path, dpi=110)


FORGET_GATE = Study("forget_gate", told, blocks, draw)

if __name__ == "__main__":
    FORGET_GATE.main(sys.argv[1:])
