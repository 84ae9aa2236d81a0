"""One drawn sequence of a task, with what texts and pictures say about it."""

from collections.abc import Sequence

import numpy as np

from lstmlab.task import Task, valid_steps

FEW = 40  # steps of a sequence whose symbols the picture writes out; a longer one shows squares


class Example:
    """One training sequence, without its padding.

    Attributes:
        x: Inputs, [T, F].
        y: Targets, [T, K].
        w: Weights of the errors, [T].
        events: The steps that the answer depends on, bool [T].
        asked: The steps with an error, bool [T].
        inputs: A name for each input line.
        targets: A name for each output line.
        symbols: Whether each input is a symbol.
        classes: Whether each target is a symbol, or a set of symbols.
        title: Which sequence it is.
    """

    def __init__(self, task: Task, seed: int, position: int):
        x, y, w = task.sequence(seed, "train", position)
        steps = int(valid_steps(w).sum())
        self.x, self.y, self.w = x[0, :steps], y[0, :steps], w[0, :steps]
        self.events = task.events(x, w)[0, :steps]
        self.asked = self.w > 0
        self.inputs = _names(task.inputs, task.features)
        self.targets = _names(task.targets, task.outputs)
        self.symbols = is_one_hot(self.x)
        self.classes = is_one_hot(self.y[self.asked], several=True)
        self.title = f"{type(task).__name__}: training sequence {position} of seed {seed}"


def is_one_hot(values: np.ndarray, several: bool = False) -> bool:
    """Says whether each step is a symbol: one line is 1 and the others are 0.

    Args:
        values: Inputs or targets, [T, lines].
        several: Whether a step may also be a set of symbols.
    """
    if values.shape[-1] == 1 or not np.isin(values, (0.0, 1.0)).all():
        return False
    return bool(several or (values.sum(axis=-1) == 1).all())


def written(value: float) -> str:
    """A number in few digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _names(given: Sequence[str], lines: int) -> list[str]:
    return [str(name) for name in given] or [str(k + 1) for k in range(lines)]
