"""What a step of a trial costs: Native with and without sampling, and KerasFit, size by size.

    whole     the trainer, sampling included: Native.run_many
    kernel    learning alone, of sequences that lie ready: the bound of the trainer
    sampling  drawing sequences and laying them out alone
    keras     KerasFit, trial by trial

A measurement is a row: seconds on the wall, and of the processor, which other programs disturb
less. Of the steps those count that end with the last error of a sequence.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd

from lstmlab import config
from lstmlab.bench.defaults import TRIAL_SIZES
from lstmlab.bench.learners import began_mb, peak_mb
from lstmlab.errors import refusal
from lstmlab.runs.build import Built, build
from lstmlab.task import generator, valid_steps
from lstmlab.trainers import native
from lstmlab.trainers.feed import Feed, Part
from lstmlab.trainers.memory import kept
from lstmlab.trainers.served import plan

COLUMNS = (
    "part", "size", "learner", "what", "cores", "round", "trials", "steps", "seconds",
    "cpu_seconds", "ns", "cpu_ns", "peak_mb",
)  # fmt: skip
QUICK_SPANS = (100, 10_000)
WINDOWS = 8  # of a trial of Native in one measurement: the first ones wait for memory
QUICK_STEPS = 6_000  # of a trial instead
KERNEL_STEPS = {False: 200_000, True: 6_000}  # of a lane
KERAS_STEPS = {False: 100_000, True: 6_000}
READY = 20_000  # numbers of inputs or targets of a lane that lie ready for the kernel alone
LANES = native.LANES
SPAN_STEPS = {False: 500_000, True: 5_000}  # of a window there, or a sequence if that is longer


class Asked(NamedTuple):
    """What to measure; see the command's options. `quick` learns fewer steps."""

    sizes: list[str]
    learners: list[str]
    lengths: list[int]
    trials: int
    rounds: int
    quick: bool = False
    keras: bool = True


def run(asked: Asked) -> pd.DataFrame:
    """Measure, every kind in its turn in each round, in another order each time.

    Returns:
        Columns COLUMNS; ns is nanoseconds per step and trial. Part 'size' compares at each size,
        'length' goes over lengths, where peak_mb is memory beyond that before training.

    Raises:
        ValueError: There is no Numba; kernels do not serve a learner at a size.
    """
    if native.missing():
        raise refusal("trials", "Numba, which kernels need: pip install numba", native.missing())
    _one_thread()
    rows: list[dict] = []
    for size in asked.sizes:
        for learner in asked.learners:
            rows += _of_size(size, learner, asked)
    for number in range(asked.rounds):
        for length in np.random.default_rng(number).permutation(asked.lengths):
            rows += [{**row, "round": number} for row in _apart(int(length), asked.quick)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_thread() -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow runs already
        return


# ---- sizes


def _of_size(size: str, learner: str, asked: Asked) -> list[dict]:
    """The rows of one size and learner."""
    made = _native(size, learner, asked)
    calls: dict[tuple[str, int], Callable[[], float]] = {}
    for count in sorted({1, cores()}):
        calls["whole", count] = made.whole(count)
        calls["kernel", count] = made.kernel(count)
    calls["sampling", 1] = made.sampling
    if asked.keras:
        calls["keras", 1] = _keras(size, learner, asked.quick)
    for call in calls.values():
        call()  # compiles
    rows = []
    rng = np.random.default_rng(0)
    names = list(calls)
    for number in range(asked.rounds):
        for k in rng.permutation(len(names)):
            what, count = names[k]
            shown = {"part": "size", "size": size, "learner": learner, "what": what}
            measured = _timed(calls[names[k]])
            trials = {"whole": asked.trials, "kernel": LANES * count}.get(what, 1)
            rows.append({**shown, "cores": count, "round": number, "trials": trials, **measured})
    return rows


def _timed(call: Callable[[], float]) -> dict:
    """A call that says how many steps it took, of all trials together."""
    gc.collect()
    start = np.array([time.perf_counter(), time.process_time()])
    steps = call()
    wall, cpu = np.array([time.perf_counter(), time.process_time()]) - start
    return {
        "steps": steps, "seconds": wall, "cpu_seconds": cpu,
        "ns": 1e9 * wall / steps, "cpu_ns": 1e9 * cpu / steps,
    }  # fmt: skip


def _built(size: str, learner: str, trainer: str, *changes: str) -> Built:
    overrides = list(TRIAL_SIZES[size][1])
    if learner != "truncated1997":
        overrides = [one for one in overrides if not one.startswith("learner=")]
        overrides.append(f"learner={learner}")
    composed, _ = config.compose(*overrides, f"trainer={trainer}", "diagnostic=off", *changes)
    composed.pop("experiment", None)
    return build(composed)


def _steps(built: Built) -> float:
    """The mean number of steps of a sequence, without padding."""
    _, _, w = built.task.sample(generator(0, "train"), min(100, built.task.block))
    return float(valid_steps(w).sum() / len(w))


class _Trial:
    """A trial that goes on until its budget is used up."""

    def __init__(self, seed: int, weights: np.ndarray):
        self.seed, self.weights = seed, weights

    def begin(self) -> np.ndarray:
        return self.weights

    def kept(self) -> None:
        """Nothing: networks that grow are measured with their cells."""

    def after_window(self, *window: np.ndarray) -> bool:
        return False

    def failed(self, error: Exception) -> None:
        raise error


class _Native:
    """Measurements of Native at one size."""

    def __init__(self, built: Built, trials: int, quick: bool):
        self.built, self.trials, self.quick = built, trials, quick
        self.weights = native.flat(built.model)
        self.steps = _steps(built)
        self.symbols = native.as_symbols(built.task, 0)
        model = built.model
        self.plan, how = plan(model.cell, model.head, model.learner, model.optimizer, self.symbols)
        self.every, self.numbers = how["every"], np.array(how["numbers"])
        self.pieces, self.length = native.units(
            built.trainer, built.task, self.plan.rule, self.every
        )

    def whole(self, threads: int) -> Callable[[], float]:
        model, task, trainer = self.built.model, self.built.task, self.built.trainer

        def call() -> float:
            trials = [_Trial(seed, self.weights) for seed in range(self.trials)]
            trainer.run_many(model, task, trials, threads)
            return self.trials * trainer.budget * self.steps

        return call

    def sampling(self) -> float:
        n, trainer = self.built.trainer.budget, self.built.trainer
        feed = self._feed(0)
        at_once = trainer.window if self.pieces == 1 else 1
        with kept():
            for _ in range(n * self.pieces // at_once):
                feed.take(at_once)
        return n * self.steps

    def kernel(self, threads: int) -> Callable[[], float]:
        """Lanes full of sequences that lie ready, again and again; each thread has its own."""
        calls = [self._lanes(LANES * thread) for thread in range(threads)]
        pool = ThreadPoolExecutor(threads)

        def call() -> float:
            return sum(future.result() for future in [pool.submit(one) for one in calls])

        return call

    def _lanes(self, first: int) -> Callable[[], float]:
        model, task, trainer = self.built.model, self.built.task, self.built.trainer
        symbols, steps = self.symbols, self.length
        readouts = min(task.readouts, steps)
        if not isinstance(self.plan, native.Plan):
            name = type(model.learner).__name__
            raise refusal("bench", "a learner whose trials go in lanes", {"learner": name})
        engine = native.Engine(model.cell, model.head, self.plan, steps, readouts)
        n = max(2, READY // (steps * max(1 if symbols else task.features, task.outputs)))
        parts = [self._feed(first + lane).take(n)[0] for lane in range(LANES)]
        # copies: a part of a block would keep all of it
        parts = [type(part)(*(np.array(one) for one in part)) for part in parts]
        n = len(parts[0].x)
        for lane in range(LANES):
            engine.put(lane, self.weights)
        place, target, weight, begins = (
            np.stack([getattr(part, name) for part in parts])
            for name in ("place", "target", "weight", "begins")
        )
        x, codes = np.zeros(LANES, np.int64), np.zeros((LANES, 0, steps), "int16")
        if symbols:
            codes = np.stack([part.x for part in parts])
        else:
            x[:] = [engine.address(part.x) for part in parts]
        rates = np.full((n, LANES), float(np.asarray(model.optimizer.learning_rate)), "float32")
        arguments = x, codes, place, target, weight, begins, rates, self.numbers, self.every
        batch, through = trainer.batch_size * self.pieces, self.pieces > 1
        if through:
            walked = LANES * n * steps
        else:  # padding is not walked through
            walked = sum(int(_last(part).sum()) + n for part in parts)
        times = max(1, round(KERNEL_STEPS[self.quick] / (n * steps)))

        def call() -> float:
            for _ in range(times):
                engine.run(*arguments, batch, through, whole_sequences=True)
            return float(times * walked)

        call.parts = parts  # type: ignore[attr-defined]  # whose addresses the kernel has
        return call

    def _feed(self, seed: int) -> Feed:
        task, readouts = self.built.task, min(self.built.task.readouts, self.length)
        return Feed(task, seed, None, None, self.length, readouts, self.symbols)


def _last(part: Part) -> np.ndarray:
    """The step of the last error of each sequence, [n]."""
    return np.where(part.weight > 0, part.place[:, :-1], 0).max(axis=1)


def _native(size: str, learner: str, asked: Asked) -> _Native:
    task = _built(size, learner, "native").task
    window = min(task.block, 1000)
    windows = WINDOWS
    if asked.quick:
        window, windows = max(2, QUICK_STEPS // task.steps // 2), 2
    changes = f"trainer.window={window}", f"trainer.budget={window * windows}"
    return _Native(_built(size, learner, "native", *changes), asked.trials, asked.quick)


def _keras(size: str, learner: str, quick: bool) -> Callable[[], float]:
    """One trial through KerasFit, by the same steps."""
    task = _built(size, learner, "native").task
    window = 50 * max(1, round(KERAS_STEPS[quick] / task.steps / 50))
    budget = f"trainer.window={window}", f"trainer.budget={window}"
    built = _built(size, learner, "keras_fit", *budget, "trainer.steps_per_execution=50")
    steps = window * _steps(built)

    def call() -> float:
        built.trainer.run(built.model, built.task, 0, lambda: False)
        return steps

    return call


# ---- lengths


def _apart(length: int, quick: bool) -> list[dict]:
    """Rows of the part over length, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "lstmlab.bench.trials", json.dumps([length, quick])],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise refusal("trials", f"a process that learns sequences of {length} steps", last)
    return json.loads(done.stdout.splitlines()[-1])


def over_length(length: int, quick: bool) -> list[dict]:
    """Learn sequences of this length in 16 lanes on one core.

    Only the row of the whole trainer has peak_mb: memory beyond that before it begins.
    """
    _one_thread()
    window = min(1000, max(1, SPAN_STEPS[quick] // length))
    composed, _ = config.compose(
        "task=adding", f"task.T={length}", "task.inclusive=false", "cell=vanilla", "cell.units=4",
        "learner=truncated1997_forward", "trainer=native", f"trainer.window={window}",
        f"trainer.budget={2 * window}", "diagnostic=off", "probe=1",
    )  # fmt: skip
    made = _Native(build(composed), LANES, quick)
    made.kernel(1)()  # compiles
    gc.collect()
    before = began_mb()
    row = _timed(made.whole(1)) | {"peak_mb": max(peak_mb() - before, 0.0)}
    calls = {"kernel": made.kernel(1), "sampling": made.sampling}
    shown = {"part": "length", "size": length, "learner": "truncated1997_forward", "cores": 1}
    rows = [{**shown, "what": "whole", "trials": LANES, **row}]
    for what, call in calls.items():
        trials = LANES if what == "kernel" else 1
        rows.append({**shown, "what": what, "trials": trials, **_timed(call)})
    return rows


if __name__ == "__main__":
    print(json.dumps(over_length(*json.loads(sys.argv[1]))))
