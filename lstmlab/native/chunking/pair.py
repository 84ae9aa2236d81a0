"""The steps of SequenceChunker: networks are A, C, and the lines q of A."""

from typing import Any

import numpy as np

from lstmlab.native.chunking.steps import (
    answer,
    ask,
    ask_network,
    change,
    change_head,
    forget,
    hear,
    inner,
    is_off,
    is_sure,
    look,
    move,
    read,
    see,
    show,
    slow_down,
)


@inner
def begin(networks: Any, x: Any, codes: Any) -> None:
    """Begin a sequence: C is given the first input."""
    a, c, _ = networks
    forget(a)
    forget(c)
    see(c, x, codes, np.intp(0))
    look(c)


@inner
def step(
    networks: Any, how: Any, growth: Any, y: Any, row: int, weight: Any, rate: Any,
    theta: Any, velocity: Any, prediction: Any, unexpected: Any,
) -> Any:  # fmt: skip
    """One step with an error, A having been shown its input.

    Args:
        networks: A, C and the lines.
        how: Settings.
        growth: Of levels only.
        y, row: Targets [., K], and which of them counts.
        weight, rate: Of the error, not 0, and of learning.
        theta, velocity: All weights, and their velocities, or an empty array.
        prediction: Where the answer goes [., K].
        unexpected: What the networks did not expect is added here [1].

    Returns:
        An error that only levels need.
    """
    a, c, lines = networks
    look(a)  # (1)
    off = weight > 0 and is_off(a.head, y, row, how.threshold)  # (2)
    if how.system and not is_sure(a.head, how.threshold, how.high):
        answer(c.head, prediction, row)
    else:
        answer(a.head, prediction, row)

    slow_down(velocity, how.momentum)
    ask_network(a, y, row, weight)  # (3)
    if lines.slopes.shape[1]:
        _distill(a, c, lines, how.distill_weight * weight, rate)
    change(a, rate)  # (5)
    if off:
        if len(velocity):  # C's weights have moved since it looked
            look(c)
        ask_network(c, y, row, weight)  # (4)
        change(c, rate)  # (5)
    move(theta, velocity)

    if off:
        unexpected[0] += 1
        show(c, y, row)  # (6)
        look(c)
    return weight


@inner
def end(growth: Any, how: Any, error: Any) -> None:
    """End a sequence."""


@inner
def _distill(a: Any, c: Any, lines: Any, weight: Any, rate: Any) -> None:
    """Let the lines learn the state of C, whose last output stands in its last row."""
    units, count = c.error.shape[1], lines.slopes.shape[1]
    read(a, lines)
    ask(lines, 0, c.hidden, len(c.many), units, weight)
    ask(lines, units, c.head.output, 0, count - units, weight)
    hear(a, lines)
    change_head(a, lines, rate)
