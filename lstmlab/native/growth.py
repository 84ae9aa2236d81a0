"""Cells that join a network once the error without them stops falling: learners/growing.py.

A kernel counts and decides by itself, lane by lane: lanes begin at times of their own, a period may
end anywhere in a call, and the error needs pre-activations, which stay in the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmlab.native.layout import Group, Layout
from lstmlab.native.writing import LANES, Lines, indent

# rows of `sums`: the error of this batch, of this period and of the period before; 1 for cells
LOSS, PERIOD, BEFORE, THERE = range(4)
# rows of `counts`: sequences begun, those of whole batches, and those before the cells, or -1
SEEN, LEARNED, ADDED = range(3)
ARGUMENTS = "growth_flat, counts, drawn_flat"


class Growth:
    """What the lanes keep of it; a lane has its cells until `put` says otherwise.

    Args:
        layout: Of the kernel.

    Attributes:
        arguments: What a kernel takes as ARGUMENTS.
    """

    def __init__(self, layout: Layout):
        self.shape = layout.units, layout.outputs
        self.sums = np.zeros((4, LANES), "float32")
        self.counts = np.zeros((3, LANES), np.int64)
        self.drawn = np.zeros((layout.units * layout.outputs, LANES), "float32")
        self.arguments = self.sums, self.counts, self.drawn
        for lane in range(LANES):
            self._put(lane, np.array([0, np.inf]), 0, 0)

    def put(self, lane: int, state: dict[str, Any] | None) -> None:
        """Begin in a lane with drawn, errors, seen and added_at of Growing.init; None: grown.

        Raises:
            ValueError: drawn has another shape than the weights from the cells.
        """
        if state is None:
            self._put(lane, np.array([0, np.inf]), 0, 0)
            return
        drawn = np.asarray(state["drawn"])
        if drawn.shape != self.shape:
            raise ValueError(f"native: drawn: expected {self.shape}. Received: {drawn.shape}")
        self.drawn[:, lane] = drawn.T.ravel()
        self._put(lane, np.asarray(state["errors"]), int(state["seen"]), int(state["added_at"]))

    def _put(self, lane: int, errors: np.ndarray, seen: int, added_at: int) -> None:
        self.sums[:, lane] = 0, errors[0], errors[1], added_at >= 0
        self.counts[:, lane] = seen, seen, added_at

    def take(self, lane: int) -> dict[str, Any]:
        """The state of a lane, as Growing has it."""
        return {
            "drawn": self.drawn[:, lane].reshape(self.shape[::-1]).T.copy(),
            "errors": self.sums[[PERIOD, BEFORE], lane],
            "seen": self.counts[LEARNED, lane],
            "added_at": self.counts[ADDED, lane],
        }


# ---- what kernels do


def prepared() -> Lines:
    return [
        "growth = vec(growth_flat, LANES)",
        "period, share = np.int64(numbers[6]), f32(numbers[7])",
        f"waiting = growth_flat[{THERE}].min() < f32(1.0)",
    ]


def begun() -> Lines:
    """Where a sequence begins in lane l."""
    return [f"counts[{SEEN}, l] += 1"]


def noted() -> Lines:
    """After a readout, whose error is `error`."""
    return [f"growth[{LOSS}] = growth[{LOSS}] + weighted[0] * error"]


def held(layout: Layout) -> Lines:
    """Before a change: no gradient of the cells' weights, nor of those from the cells."""
    head = _head(layout)
    body = [f"there = growth[{THERE}]", f"for p in range({layout.of_cell}):"]
    body += ["    grad[p] = grad[p] * there"]
    body += [f"for r in range({head.size}):", f"    w = {head.base} + r * {head.width}"]
    body += [f"    for c in range({layout.units}):", "        grad[w + c] = grad[w + c] * there"]
    return ["if waiting:", *indent(body)]


def decided(layout: Layout) -> Lines:
    """After a batch: (1) and (2) of Growing, in each lane."""
    head = _head(layout)
    add = [
        f"counts[{ADDED}, l] = counts[{SEEN}, l]",
        f"growth_flat[{THERE}, l] = f32(1.0)",
        f"for r in range({head.size}):",
        f"    w = {head.base} + r * {head.width}",
        f"    for c in range({layout.units}):",
        f"        theta_flat[w + c, l] = drawn_flat[r * {layout.units} + c, l]",
    ]
    over = [
        f"e_k = growth_flat[{PERIOD}, l]",
        f"if counts[{ADDED}, l] < 0 and e_k > share * growth_flat[{BEFORE}, l]:",
        *indent(add),
        f"growth_flat[{BEFORE}, l] = e_k",
        f"growth_flat[{PERIOD}, l] = f32(0.0)",
    ]
    return [
        "for l in range(LANES):",
        f"    growth_flat[{PERIOD}, l] += growth_flat[{LOSS}, l]",
        f"    growth_flat[{LOSS}, l] = f32(0.0)",
        f"    if counts[{SEEN}, l] // period > counts[{LEARNED}, l] // period:",
        *indent(over, 2),
        f"    counts[{LEARNED}, l] = counts[{SEEN}, l]",
        f"waiting = growth_flat[{THERE}].min() < f32(1.0)",
    ]


def _head(layout: Layout) -> Group:
    """The readout; the first weights of its rows are those from the cells."""
    if layout.head is None:
        raise NotImplementedError("a network that grows, without a readout")
    return layout.head
