"""What a call and a training step of GatedRNN cost, by engine, beside recurrent layers elsewhere.

Every backend has a process of its own; they take turns, so that one at a time works.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pandas as pd

from lstmlab import files
from lstmlab.bench import devices
from lstmlab.bench.defaults import LAYER_SHAPES, LAYERS
from lstmlab.errors import refusal

COLUMNS = ("part", "shape", "layer", "mode", "round", "ms", "first_s", "mb")
MODES = ("forward", "training")


def run(
    names: Sequence[str], shapes: dict[str, tuple], lengths: dict[str, tuple], rounds: int,
    seconds: float, modes: Sequence[str] = MODES, memory: bool = False, gpu: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Measure layers at shapes, every layer in its turn in each round, in another order each time.

    Args:
        names: Of LAYERS. Those whose package is not installed are left out, with a word.
        shapes, lengths: {name: (batch, steps, features, units)}.
        rounds: Turns of each layer, each of about `seconds`.
        modes: Of MODES.
        memory: Whether to measure the memory of training steps too, each layer at each shape in a
            process of its own: part 'memory'.
        gpu: Whether to compute on a GPU; otherwise it is hidden. Backends that see none are left
            out, with a word.

    Returns:
        Columns COLUMNS: ms of one batch; first_s, of the first call, which compiles; mb, the
        largest memory beyond that of the process which has trained a small layer; with `gpu`, the
        largest that arrays on the GPU have held at once.

    Raises:
        ValueError: A process ended before it answered; or `gpu`, and no backend sees one.
    """
    names = [name for name in names if _installed(name)]
    rows: list[dict] = []
    with _processes({LAYERS[name][0] for name in names}, gpu) as processes:
        if gpu:
            names = _on_gpu(processes, names)
        parts = [("shape", one) for one in shapes.items()]
        parts += [("length", one) for one in lengths.items()]
        for part, (label, shape) in parts:
            for mode in modes:
                shown = {"part": part, "shape": label, "mode": mode}
                order = {"shape": shape, "mode": mode, "seconds": seconds, "gpu": gpu}
                rows += [{**shown, **row} for row in _of(processes, names, order, rounds)]
    if memory:
        rows += [_memory(name, *one, gpu) for one in shapes.items() for name in names]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _on_gpu(processes: dict, names: list[str]) -> list[str]:
    """Those whose backend sees a GPU."""
    order = {"shape": (), "mode": "gpu", "seconds": 0.0, "count": None}
    asked = {LAYERS[name][0]: name for name in names}
    answers = {
        backend: _ask(processes[backend], {**order, "name": name})
        for backend, name in asked.items()
    }
    seen = {backend for backend, answer in answers.items() if answer.get("gpu")}
    if not seen:
        raise refusal("layer", f"a GPU that {' or '.join(sorted(asked))} can use", {"gpu": None})
    for backend in sorted(asked.keys() - seen):
        print(f"left out: layers of {backend}, which sees no GPU", file=sys.stderr)
    return [name for name in names if LAYERS[name][0] in seen]


def _of(processes: dict, names: list[str], order: dict, rounds: int) -> list[dict]:
    """The rows of one shape."""
    began = {}
    for name in names:
        answer = _ask(processes[LAYERS[name][0]], {**order, "name": name, "count": None})
        if "error" in answer:
            print(f"left out: {name}: {answer['error']}", file=sys.stderr)
        else:
            began[name] = answer
    rows, rng = [], np.random.default_rng(0)
    for number in range(rounds):
        for name in rng.permutation(list(began)):
            again = {**order, "name": str(name), "count": began[name]["count"]}
            answer = _ask(processes[LAYERS[name][0]], again)
            row = {"layer": str(name), "round": number, "ms": 1000 * answer["seconds"]}
            rows.append(row | {"first_s": began[name]["first"]})
    return rows


def _memory(name: str, label: str, shape: tuple, gpu: bool) -> dict:
    """The row of a layer that trains at a shape, in a process that does nothing else."""
    backend = LAYERS[name][0]
    order = {"name": name, "shape": shape, "mode": "memory", "seconds": 0.0, "count": None}
    order["gpu"] = gpu
    with _processes({backend}, gpu) as processes:
        answer = _ask(processes[backend], order)
    if "error" in answer:
        print(f"left out: {name}: {answer['error']}", file=sys.stderr)
    row = {"part": "memory", "shape": label, "layer": name, "mode": "training", "round": 0}
    return row | {"mb": answer.get("mb")}


def _installed(name: str) -> bool:
    backend = LAYERS[name][0]
    if importlib.util.find_spec(backend) is not None:
        return True
    print(f"left out: {name}: {backend} is not installed", file=sys.stderr)
    return False


@contextmanager
def _processes(backends: set[str], gpu: bool) -> Iterator[dict]:
    """{backend: a process that answers orders}, as long as they are needed."""
    command = [sys.executable, "-m", "lstmlab.bench.layer_peers"]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **(devices.SHARED if gpu else devices.HIDDEN)}
    made: dict[str, Any] = {}
    try:
        for backend in sorted(backends):
            made[backend] = subprocess.Popen(
                command,
                env={**os.environ, **quiet, "KERAS_BACKEND": backend},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        yield made
    finally:
        for process in made.values():
            with suppress(BrokenPipeError):  # one that has ended reads no more
                process.stdin.close()
            process.wait()
            process.stdout.close()


def _ask(process: Any, order: dict) -> dict:
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        expected = f"a process that runs {order['name']} at {tuple(order['shape'])}"
        raise refusal("layer", expected, f"exit code {process.wait()}")
    return json.loads(answer)


# ---- shown


def summary(raw: pd.DataFrame, part: str, mode: str, what: str = "ms") -> pd.DataFrame:
    """Medians over the rounds: a row for each layer, a column for each shape.

    Args:
        raw: As `run` returns it.
        what: 'ms' or 'mb'; or 'ratio' to the first layer, taken within each round.
    """
    some = raw[(raw["part"] == part) & (raw["mode"] == mode)]
    layers = list(dict.fromkeys(some["layer"]))
    layers.sort(key=list(LAYERS).index)
    columns = {}
    for shape in dict.fromkeys(some["shape"]):
        own = some[some["shape"] == shape]
        values = "mb" if what == "mb" else "ms"
        found = own.pivot_table(index="round", columns="layer", values=values)
        found = found.reindex(columns=layers)
        if what == "ratio":
            found = found.div(found.iloc[:, 0], axis=0)
        columns[shape] = found.median()
    return pd.DataFrame(columns).rename_axis("layer").reset_index()


def tables(raw: pd.DataFrame, gpu: bool = False) -> str:
    """What the command prints, of processors or of a GPU."""
    text = []
    timed = raw[raw["part"] != "memory"]
    for part in dict.fromkeys(timed["part"]):
        for mode in dict.fromkeys(timed["mode"]):
            for what, digits in (("ms", ".4g"), ("ratio", ".3g")):
                table = summary(raw, part, mode, what)
                words = "milliseconds" if what == "ms" else f"ratio to {table['layer'][0]}"
                text.append(f"{mode}, {words}, by {part}\n")
                text.append(table.to_markdown(index=False, floatfmt=digits, missingval="") + "\n")
    if len(timed) < len(raw):
        table = summary(raw, "memory", "training", "mb")
        words = "MB of the GPU" if gpu else "MB beyond those of the process"
        text.append(f"training, {words}, by shape\n")
        text.append(table.to_markdown(index=False, floatfmt=".0f", missingval="") + "\n")
    return "\n".join(text)


def draw(raw: pd.DataFrame, path: str) -> None:
    """Milliseconds of a batch by shape, and against the number of steps. Raises WriteError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    raw = raw[raw["part"] != "memory"]
    parts = [(part, mode) for part in dict.fromkeys(raw["part"]) for mode in MODES
             if len(raw[(raw["part"] == part) & (raw["mode"] == mode)])]  # fmt: skip
    figure = Figure(figsize=(9, 3.8 * len(parts)), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    for axis, (part, mode) in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts,
                                  strict=True):  # fmt: skip
        table = summary(raw, part, mode).set_index("layer")
        for layer, values in table.iterrows():
            axis.plot(range(len(values)), values, "o-" if part == "length" else "o", label=layer)
        names = {name: f"{name}\n{sizes}" for name, sizes in LAYER_SHAPES.items()}
        axis.set_xticks(range(len(table.columns)), [names.get(one, one) for one in table.columns])
        axis.set(title=f"{mode}: milliseconds of a batch, by {part}", yscale="log")
        axis.set_xlabel("batch, steps, features, units" if part == "shape" else "steps")
        axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    with files.whole(path) as draft:
        figure.savefig(draft)
