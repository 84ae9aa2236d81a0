"""The sequence chunker of several levels.

Each sees only what all levels below it did not expect.
"""

from dataclasses import replace
from typing import Any

import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.base import Report
from lstmlab.learners.chunking import Chunking, Pair, Shown, Stepped, another_net, check_sure
from lstmlab.learners.states import begun
from lstmlab.typing import Nest, Net, Tensor


class ChunkerLevels(Chunking):
    """Freeze a predictor that no longer improves and put another one above it.

    The new one is fed by what is unexpected below.

    Targets y(t): the next input, and further targets. Level 1: the model's cell and head. Level
    l > 1: a cell and a head like them, which takes y as input; tau_l counts its steps:

        (1) o_1(t) = P_1(x(t), h_1(t-1))
            o_l(tau_l) = P_l(z_l(tau_l), h_l(tau_l - 1)), z_l(0) = x(0)
        (2) reached_1(t);  reached_l(t) if max_j |y_j(t) - o_i,j| > threshold for every level i < l,
            and level l is there
        (3) if reached_top:  E = 1/2 |y(t) - o_top|^2, sent `horizon` of its own steps back; only
            the weights of the top level change
        (4) if reached_l, l > 1:  tau_l grows by 1 and z_l(tau_l) = y(t)
        (5) each `window` sequences, with e the sum over their steps of |y - o_top|^2 where the top
            level was reached: once e > (1 - improvement) e_best in `patience` windows in a row,
            that level is frozen, and a next one is there

    A sequence begins with all states at zero and its first input given to all levels, without an
    error. Where no sequence ends, as in a stream, a new level begins with the first input of the
    stream. The answer at t is that of the lowest level that is sure, with no output between the
    threshold and 1 - threshold, else that of the top level. Where a sequence is answered and not
    learned, levels above the first are shown inputs only, and what was answered stands for further
    targets. The last steps of a level are run again with the present weights (see TruncatedBPTT).
    All levels have their weights from the beginning; those of all but the top one have gradient 0,
    with which momentum or Adam may still move them.

    The result row and history.csv have `unexpected_1`, ...: inputs per sequence of the window that
    this level was given and did not expect, and `levels`: how many there are.

    Args:
        threshold: See (2).
        horizon: See (3).
        units: Number of units of the cells above the first; None for as many as it has.
        levels: The most there can be.
        window: See (5); a piece of a stream counts as a sequence.
        patience: See (5).
        improvement: See (5).

    Raises:
        ValueError: For any other value, and see Chunking.

    References:
        Schmidhuber 1992, Neural Computation 4:234-242, the multi-level form, without time codes;
        (5) and the choice of the level that answers are left open there.
    """

    older_names = {"top": "1"}

    def __init__(
        self,
        threshold: float = 0.1,
        horizon: int = 3,
        units: int | None = None,
        levels: int = 2,
        window: int = 500,
        patience: int = 2,
        improvement: float = 0.01,
    ):
        super().__init__(threshold, horizon, units)
        check_sure(self)
        name = "ChunkerLevels"
        self.levels = checks.integer(name, "learner.levels", levels)
        self.window = checks.integer(name, "learner.window", window)
        self.patience = checks.integer(name, "learner.patience", patience)
        self.improvement = checks.number(name, "learner.improvement", improvement, above=0, below=1)

    def columns(self) -> list[str]:
        return [f"unexpected_{level}" for level in range(1, self.levels + 1)]

    def layers(self, net: Net) -> dict[str, Any]:
        """Return the levels above the first, with initial weights as those of cell and head."""
        super().layers(net)
        pairs = [another_net(self, net, net.head.outputs) for _ in range(1, self.levels)]
        return {"upper_levels": [layer for pair in pairs for layer in pair]}

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return the state of Chunking, and top: the top level; growth: what (5) looks at."""
        growth = {
            "sequences": tf.constant(0),
            "bad": tf.constant(0),
            "error": tf.constant(0.0),
            "best": tf.constant(float("inf")),
        }
        return {**super().init(net, streams), "top": tf.constant(1), "growth": growth}

    def predict(self, net: Net, state: dict, x: Tensor) -> Tensor:
        return self.imagined(net, state, x)

    def report(self, net: Net, state: dict) -> Report:
        report, levels = super().report(net, state), int(state["top"])
        history = {**report.history, "levels": float(levels)}
        return replace(report, row={**report.row, "levels": levels}, history=history)

    def pairs(self, net: Net) -> list[Pair]:
        """Return the network of every level, the first one first."""
        upper = list(net.part("upper_levels"))
        above = [Pair(*pair) for pair in zip(upper[::2], upper[1::2], strict=True)]
        return [Pair(net.cell, net.head), *above]

    def fresh(self, net: Net, x_t: Tensor) -> dict[str, Nest]:
        """Return the memory of every level; above the first also pending, z_l; predicted, o_l."""
        first, pairs = self.first(net, x_t), self.pairs(net)
        inputs = [x_t] + [first] * (self.levels - 1)
        memories = [
            self.rule.begin(pair.cell, None, z[:, None])
            for pair, z in zip(pairs, inputs, strict=True)
        ]
        predicted = [
            self.look(pair, first, memory)[1]
            for pair, memory in zip(pairs[1:], memories[1:], strict=True)
        ]
        return {"levels": memories, "pending": [first] * (self.levels - 1), "predicted": predicted}

    def step(self, net: Net, state: dict, shown: Shown, memory: dict, learns: bool) -> Stepped:
        (x_t, told, w_t), pairs, top = shown, self.pairs(net), state["top"]
        before, inputs = memory["levels"], [x_t, *memory["pending"]]

        predictions = [self.look(pairs[0], x_t, before[0])[1], *memory["predicted"]]  # (1)
        answer = self._chosen(predictions, top)
        y_t = told(answer)

        reached, reaches, off = w_t > 0, [], []
        for level, prediction in enumerate(predictions, start=1):  # (2)
            reached = reached & (level <= top)
            reaches.append(reached)
            reached = reached & self.off(y_t, prediction)
            off.append(reached)

        after, gradients = [], []
        for level, (pair, z, rows, old) in enumerate(
            zip(pairs, inputs, reaches, before, strict=True), start=1
        ):
            if learns:
                asked = (level == top) & tf.reduce_any(rows)
                gradients += self._slopes_where(asked, pair, z, y_t, tf.where(rows, w_t, 0), old)
            new = self.rule.again(pair.cell, z[:, None], old)[1]
            after.append(new if level == 1 else begun(new, old, rows))
        if learns:
            self.change(net, gradients, w_t)  # (3)

        pending, predicted = [], []
        for pair, z, old, rows, new in zip(
            pairs[1:], memory["pending"], memory["predicted"], reaches[1:], after[1:], strict=True
        ):
            z = tf.where(rows[:, None], y_t, z)  # (4)
            pending.append(z)
            predicted.append(self._look_where(tf.reduce_any(rows), pair, z, new, old))

        squares = [tf.reduce_sum((y_t - prediction) ** 2, axis=1) for prediction in predictions]
        errors = [_total(tf.where(rows, e, 0)) for rows, e in zip(reaches, squares, strict=True)]
        memory = {"levels": after, "pending": pending, "predicted": predicted}
        return Stepped(answer, memory, tf.stack([_total(rows) for rows in off]), tf.stack(errors))

    def remember(self, state: dict, rows: int, errors: Tensor) -> dict:
        """(5)"""
        growth, top = state["growth"], state["top"]
        error, sequences = growth["error"] + errors[top - 1], growth["sequences"] + rows
        best, full = growth["best"], sequences >= self.window

        mean = error / tf.cast(sequences, error.dtype)
        worse = tf.where(mean > (1 - self.improvement) * best, growth["bad"] + 1, 0)
        bad = tf.where(full, worse, growth["bad"])
        grows = full & (bad >= self.patience) & (top < self.levels)

        best = tf.where(full, tf.minimum(best, mean), best)
        growth = {
            "sequences": tf.where(full, 0, sequences),
            "bad": tf.where(grows, 0, bad),
            "error": tf.where(full, 0.0, error),
            "best": tf.where(grows, float("inf"), best),
        }
        return {**state, "top": top + tf.cast(grows, "int32"), "growth": growth}

    def _slopes_where(
        self, asked: Tensor, pair: Pair, z: Tensor, y_t: Tensor, w_t: Tensor, memory: dict
    ) -> list:
        """The gradients of a level, or zeros where it is not asked."""
        return tf.cond(asked, lambda: self.slopes(*pair, z, y_t, w_t, memory)[0], pair.no_gradients)

    def _look_where(
        self, asked: Tensor, pair: Pair, z: Tensor, memory: dict, old: Tensor
    ) -> Tensor:
        """The prediction of a level for z, or the old one where nothing has changed."""
        return tf.cond(asked, lambda: self.look(pair, z, memory)[1], lambda: old)

    def _chosen(self, predictions: list, top: Tensor) -> Tensor:
        """The answer [B, K]: of the lowest level that is sure, else of the top level."""
        answer = predictions[0]
        for level, prediction in enumerate(predictions, start=1):
            answer = tf.where(level == top, prediction, answer)
        for level, prediction in reversed(list(enumerate(predictions, start=1))):
            answer = tf.where((self.sure(prediction) & (level < top))[:, None], prediction, answer)
        return answer


def _total(values: Tensor) -> Tensor:
    """The sum of values or truths, as the counts of a window are kept."""
    return tf.reduce_sum(tf.cast(values, "float32"))
