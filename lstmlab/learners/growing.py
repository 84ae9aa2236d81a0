"""Sequential network construction: the memory cells join the net once the error without them has stopped falling."""

import tensorflow as tf

from lstmlab.learners.base import Learner, positive


class Growing(Learner):
    """Another learner, at first on the net without its cells; they are added when the error has stopped falling.

        (1) E_k = sum of the errors of the k-th `block` training sequences
        (2) the cells are added after the first block with E_k > (1 - improvement) E_(k-1)

    Until then the outputs see the inputs alone (head.shortcuts) and no weight of a cell or from a cell changes; with (2) the
    weights from the cells take the values that were drawn for them at the start. The remedy of 1997 for cells that are used up
    as bias cells before their memory is needed; when an error "stops decreasing" is not said there: (2) is ours.
    learner: the one that trains; block: sequences; improvement: least share by which the error of a block must fall.
    Serves what that learner serves, with a head that has shortcuts. Columns of the result row: `cells_added_at`, the number of
    sequences before (empty while there are none). `gradients` are those of the learner, of the whole net.
    Raises ValueError for a block that is no positive integer, an improvement outside (0, 1), and a head without shortcuts.
    Source: Hochreiter & Schmidhuber 1997, section 3.2 ("abuse problem") and 5.2; Fahlman 1991.
    """

    def __init__(self, learner: Learner, block: int = 100, improvement: float = 0.25):
        if not isinstance(learner, Learner):
            raise ValueError(f"Growing: expected a learner. Received: learner.learner={learner!r}")
        if type(learner).gradients is Learner.gradients or isinstance(learner, Growing):
            raise ValueError(
                "Growing: expected a learner that changes weights by gradients of cell and head. "
                f"Received: learner.learner={type(learner).__name__}"
            )
        if (
            isinstance(improvement, bool)
            or not isinstance(improvement, (int, float))
            or not 0 < improvement < 1
        ):
            raise ValueError(
                f"Growing: expected a number in (0, 1). Received: learner.improvement={improvement!r}"
            )
        self.learner, self.block, self.improvement = (
            learner,
            positive(self, "block", block),
            float(improvement),
        )
        self.stochastic, self.horizon = learner.stochastic, learner.horizon

    def check(self, cell) -> None:
        self.learner.check(cell)

    def check_task(self, task) -> None:
        self.learner.check_task(task)

    def after_window(self, model) -> None:
        self.learner.after_window(model)

    def scalars(self, model) -> dict[str, float]:
        return self.learner.scalars(model)

    def prepare(self, model) -> None:
        if not getattr(model.head, "shortcuts", False):
            raise ValueError(
                "Growing: without its cells the net is its shortcuts; expected head.shortcuts=true. Received: false"
            )
        self.learner.prepare(model)
        kernel = model.head.kernel
        model.drawn = tf.Variable(kernel.value, trainable=False)
        kernel.assign(tf.zeros_like(kernel.value))
        dtype = kernel.dtype
        model.errors = tf.Variable(
            [0.0, float("inf")], trainable=False, dtype=dtype
        )  # of this block so far, and the last
        model.seen = tf.Variable(0, trainable=False, dtype="int64")
        model.added_at = tf.Variable(-1, trainable=False, dtype="int64")

    def filters(self) -> dict | None:
        return self.learner.filters()

    def exact_case(self) -> dict:
        return self.learner.exact_case()

    def gradients(self, cell, head, x, y, w, states=None):
        return self.learner.gradients(cell, head, x, y, w, states)

    def learn(self, model, x, y, w):
        loss, prediction = self.learner.learn(_Held(model), x, y, w)
        model.seen.assign_add(x.shape[0])
        model.errors.assign_add(tf.stack([tf.cast(loss, model.errors.dtype), 0.0]))
        tf.cond(
            model.seen // self.block > (model.seen - x.shape[0]) // self.block,
            lambda: self._end_block(model),
            lambda: 0,
        )
        return loss, prediction

    def result(self, model) -> dict:
        added = int(model.added_at.numpy())
        return {**self.learner.result(model), "cells_added_at": None if added < 0 else added}

    def _end_block(self, model) -> int:
        """(1) and (2)."""
        now, before = tf.unstack(model.errors)
        add = tf.logical_and(model.added_at < 0, now > (1 - self.improvement) * before)
        kernel = model.head.kernel
        kernel.assign(tf.where(add, tf.identity(model.drawn), tf.identity(kernel.value)))
        model.added_at.assign(tf.where(add, tf.identity(model.seen), tf.identity(model.added_at)))
        model.errors.assign(tf.stack([tf.zeros_like(now), now]))
        return 0


class _Held:
    """The model, as the learner sees it, but for its changes: while there are no cells, none of theirs take place."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def apply(self, gradients: list) -> None:
        model = self._model
        late = (
            len(model.cell.trainable_variables) + 1
        )  # the cell's weights, and the first of the head: those from the cells
        changes = model.regularised(gradients)
        there = tf.cast(model.added_at >= 0, changes[0].dtype)
        held = [
            change * there if k < late else tf.identity(change) for k, change in enumerate(changes)
        ]
        model.optimizer.apply(held, model.trainable_variables)
