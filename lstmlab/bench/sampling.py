"""How fast tasks draw their training sequences."""

import sys
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lstmlab import config
from lstmlab.describe import build
from lstmlab.task import Task, generator, valid_steps


def sampling(tasks: dict[str, Task], rounds: int, seconds: float) -> pd.DataFrame:
    """Measure how fast `sample` draws training sequences, on one core.

    Steps of padding are not counted. The median over the rounds is quoted, in which every task has
    its turn for about `seconds`, in another order each time.

    Returns:
        Columns task, steps (on average over the sequences), million steps/s, and its quartiles.
    """
    order, blocks = np.random.default_rng(0), dict.fromkeys(tasks, 0)
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    lengths: dict[str, list[float]] = {name: [] for name in tasks}

    def draw(name: str) -> tuple[float, float]:
        """Seconds of one block, and its steps."""
        task, rng = tasks[name], generator(0, "train", blocks[name])
        blocks[name] += 1
        start = time.perf_counter()
        _, _, w = task.sample(rng, task.block)
        duration = time.perf_counter() - start
        lengths[name].append(valid_steps(w).sum() / task.block)
        return duration, lengths[name][-1] * task.block

    for name in tasks:
        draw(name)  # tables, caches
    for _ in range(rounds):
        for name in order.permutation(list(tasks)):
            total, steps = draw(name)
            while total < seconds:
                total, steps = np.add((total, steps), draw(name))
            taken[name].append(steps / total / 1e6)

    speeds = pd.DataFrame(taken)
    columns = {"steps": pd.Series({name: np.mean(values) for name, values in lengths.items()})}
    columns |= {"million steps/s": speeds.median(), "lower quartile": speeds.quantile(0.25)}
    return (
        pd.DataFrame(columns | {"upper quartile": speeds.quantile(0.75)})
        .rename_axis("task")
        .reset_index()
    )


def chosen(wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of those names with their defaults; without names all that need no setting."""
    if wanted is not None:
        return {name: build(name) for name in wanted}
    found = {}
    for name in config.options("task"):
        try:
            found[name] = build(name)
        except ValueError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    return found
