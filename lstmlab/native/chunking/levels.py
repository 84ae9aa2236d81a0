"""The steps of ChunkerLevels: networks are the levels, the first one first."""

from typing import Any

import numpy as np

from lstmlab.native.chunking.parts import BAD, BEST, ERROR, SEQUENCES, TOP
from lstmlab.native.chunking.steps import (
    answer,
    ask_network,
    change,
    forget,
    inner,
    is_off,
    is_sure,
    look,
    move,
    see,
    show,
    slow_down,
)

f32 = np.float32


@inner
def begin(networks: Any, x: Any, codes: Any) -> None:
    """Begin a sequence: all levels are given the first input, the first one at its first step."""
    forget(networks[0])
    for level in range(1, len(networks)):
        forget(networks[level])
        see(networks[level], x, codes, np.intp(0))
        look(networks[level])


@inner
def step(
    networks: Any, how: Any, growth: Any, y: Any, row: int, weight: Any, rate: Any,
    theta: Any, velocity: Any, prediction: Any, unexpected: Any,
) -> Any:  # fmt: skip
    """One step with an error, level 1 having been shown its input: see pair.step.

    growth: What (5) looks at. unexpected: [levels].

    Returns:
        The squared error of the top level, 0 where it was not reached.
    """
    top = int(growth[TOP])
    look(networks[0])  # (1)
    for level in range(top):
        if level == top - 1 or is_sure(networks[level].head, how.threshold, how.high):
            answer(networks[level].head, prediction, row)
            break

    last = -1 if weight <= 0 else 0  # (2): the last level that was reached
    for level in range(top):
        if level == last and is_off(networks[level].head, y, row, how.threshold):
            unexpected[level] += 1
            last = min(level + 1, top - 1)
    learns, error = last == top - 1, f32(0.0)
    if learns:
        error = _squared(networks[top - 1].head, y, row)

    if len(velocity):  # weights have moved since the levels looked
        for level in range(1, last + 1):
            look(networks[level])
    slow_down(velocity, how.momentum)
    if learns:
        ask_network(networks[top - 1], y, row, weight)  # (3)
        change(networks[top - 1], rate)
    move(theta, velocity)

    for level in range(1, last + 1):
        show(networks[level], y, row)  # (4)
        look(networks[level])
    return error


@inner
def end(growth: Any, how: Any, error: Any) -> None:
    """(5), after a sequence with this error of the top level."""
    growth[ERROR] += error
    growth[SEQUENCES] += f32(1.0)
    if growth[SEQUENCES] < how.window:
        return
    mean = growth[ERROR] / growth[SEQUENCES]
    worse = mean > how.enough * growth[BEST]
    growth[BAD] = growth[BAD] + f32(1.0) if worse else f32(0.0)
    growth[BEST] = min(growth[BEST], mean)
    growth[ERROR] = growth[SEQUENCES] = f32(0.0)
    if growth[BAD] >= how.patience and growth[TOP] < how.levels:
        growth[TOP] += f32(1.0)
        growth[BAD], growth[BEST] = f32(0.0), f32(np.inf)


@inner
def _squared(head: Any, y: Any, row: int) -> Any:
    total = f32(0.0)
    for k in range(y.shape[1]):
        off = y[row, k] - head.output[0, k]
        total += off * off
    return total
