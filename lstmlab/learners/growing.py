"""Sequential network construction.

Cells join the network once the error without them stops falling.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Batch, Found, GradientLearner, Learner, Report
from lstmlab.typing import Cell, Head, Nest, Net, Tensor


class Growing(GradientLearner):
    """Run another learner, at first on the network without its cells.

        (1) E_k = sum of the errors of training sequences number (k-1) period + 1 to k period
        (2) the cells are added after the first period with E_k > (1 - improvement) E_(k-1)

    Until then the outputs see only the inputs (head.shortcuts), and no weight of a cell or from a
    cell changes; at (2) the weights from the cells take the values that were drawn for them at the
    start. This is the remedy of 1997 for cells that are used up as bias cells before their memory
    is needed. The paper does not say when an error "stops decreasing": (2) is our choice.
    `gradients` are those of the other learner for the whole network. The result row has
    `cells_added_at`, the number of sequences before the cells were added (empty until then).

    Args:
        learner: The learner that trains; it must give gradients of cell and head.
        period: Sequences over which errors are summed.
        improvement: The smallest fraction, in (0, 1), by which the error of a period must fall.

    Raises:
        ValueError: For any other value, for a head without shortcuts, and for whatever the other
            learner rejects.

    References:
        Hochreiter & Schmidhuber 1997, section 3.2 ("abuse problem") and 5.2; Fahlman 1991.
    """

    def __init__(self, learner: Learner, period: int = 100, improvement: float = 0.25):
        if not isinstance(learner, Learner):
            raise refusal("Growing", "a learner", {"learner.learner": learner})
        if not isinstance(learner, GradientLearner) or isinstance(learner, Growing):
            expected = "a learner that changes weights by gradients of cell and head"
            raise refusal("Growing", expected, f"learner.learner={type(learner).__name__}")
        self.learner = learner
        self.period = checks.integer("Growing", "learner.period", period)
        self.improvement = checks.number(
            "Growing", "learner.improvement", improvement, above=0, below=1
        )
        self.traits = replace(learner.traits, streams=False)

    def check(self, cell: Cell) -> None:
        self.learner.check(cell)

    def check_task(self, task: Any) -> None:
        self.learner.check_task(task)

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return the state, and set the weights from the cells to zero.

        learner: state of the other learner. drawn: the weights from the cells. errors: E so far,
        and that of the last period. seen: sequences so far. added_at: `seen` when the cells were
        added, or -1.
        """
        if not getattr(net.head, "shortcuts", False):
            expected = "head.shortcuts=true: without its cells the network is its shortcuts"
            raise refusal("Growing", expected, "head.shortcuts=false")
        kernel = net.head.kernel
        state = {
            "learner": self.learner.init(net),
            "drawn": tf.identity(kernel.value),
            "errors": tf.constant([0.0, float("inf")], kernel.dtype),
            "seen": tf.constant(0, "int64"),
            "added_at": tf.constant(-1, "int64"),
        }
        kernel.assign(tf.zeros_like(kernel.value))
        return state

    def gradients(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        return self.learner.gradients(cell, head, x, y, w, states)

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        there = state["added_at"] >= 0
        inner, loss, prediction = self.learner.update(
            WithoutCells(net, there), state["learner"], batch
        )
        before, errors = state["seen"], state["errors"]
        seen = before + batch.x.shape[0]
        e_k, e_before = tf.unstack(errors + tf.stack([tf.cast(loss, errors.dtype), 0.0]))  # (1)

        over = seen // self.period > before // self.period
        add = over & ~there & (e_k > (1 - self.improvement) * e_before)  # (2)
        kernel = net.head.kernel
        kernel.assign(tf.where(add, state["drawn"], tf.identity(kernel.value)))
        state = {
            "learner": inner,
            "drawn": state["drawn"],
            "errors": tf.where(
                over, tf.stack([tf.zeros_like(e_k), e_k]), tf.stack([e_k, e_before])
            ),
            "seen": seen,
            "added_at": tf.where(add, seen, state["added_at"]),
        }
        return state, loss, prediction

    def report(self, net: Net, state: dict) -> Report:
        report, added = self.learner.report(net, state["learner"]), int(state["added_at"])
        return replace(report, row={**report.row, "cells_added_at": None if added < 0 else added})


class WithoutCells:
    """The network as the other learner sees it: while there are no cells, none of theirs change."""

    def __init__(self, net: Net, there: Tensor):
        self.net, self.there = net, there
        self.cell, self.head, self.features = net.cell, net.head, net.features
        self.trainable_variables = net.trainable_variables

    def apply(self, gradients: Sequence, change: Callable[[list], list] | None = None) -> None:
        # the cell's weights, and the first of the head: those from the cells
        late = len(self.cell.trainable_variables) + 1

        def held(gradients: list) -> list:
            there = tf.cast(self.there, gradients[0].dtype)
            early = [gradient * there for gradient in gradients[:late]]
            return [*early, *(tf.identity(gradient) for gradient in gradients[late:])]

        self.net.apply(gradients, held)

    def part(self, name: str) -> Any:
        return self.net.part(name)
