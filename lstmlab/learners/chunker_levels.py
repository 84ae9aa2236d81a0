"""The sequence chunker of several levels: each one looks at nothing but what all levels below it did not expect."""

from typing import Any

import keras
import tensorflow as tf

from lstmlab.learners.base import positive
from lstmlab.learners.chunker import Chunking, another_net, picked, share, sure


class ChunkerLevels(Chunking):
    """A predictor that no longer improves is frozen, and another one is set on top of it, fed by what is unexpected below.

    Targets y(t): the next input, and further targets. Level 1: the model's cell and head. Level l > 1: a cell and a head like
    them, which takes y as input; tau_l counts its steps:

        (1) o_1(t) = P_1(x(t), h_1(t-1))                o_l(tau_l) = P_l(z_l(tau_l), h_l(tau_l - 1)), z_l(0) = x(0)
        (2) reached_1(t);  reached_l(t) if max_j |y_j(t) - o_i,j| > threshold for every level i < l, and level l is there
        (3) if reached_top:  E = 1/2 |y(t) - o_top|^2, sent back h of its own steps; the weights of the top level alone change
        (4) if reached_l, l > 1:  tau_l grows by 1 and z_l(tau_l) = y(t)
        (5) each `window` sequences, with e the sum over their steps of |y - o_top|^2 where the top level was reached: once
            e > (1 - improvement) e_best in `patience` windows in a row, that level is frozen, and a next one is there

    A sequence begins with all states at zero and its first input given to all levels, without an error. Where no sequence ends,
    as in a stream, a new level begins with the first input of the stream. The answer at t is that of the lowest level that is
    sure, with no output between the threshold and 1 - threshold, else that of the top level. Where a sequence is answered and
    not learnt, levels above the first are shown inputs alone, and what was answered stands for further targets. The last h
    steps of a level are run again with the present weights (see TruncatedBPTT). All levels have their weights from the
    beginning; those of all but the top one have gradient 0, with which momentum or Adam may still move them.

    threshold: see (2). h: steps of the way back. units: of the cells above the first, None for as many as it has. levels: the
    most there can be. window, patience, improvement: see (5); a piece of a stream counts as a sequence.
    The result row and history.csv have `unexpected_1`, ...: inputs per sequence of the last window that this level was given
    and did not expect, and `levels`: how many there are.
    Raises ValueError for other settings, and see Chunking. Source: Schmidhuber 1992, Neural Computation 4:234-242, the
    multi-level form, without time codes; (5) and the choice of the level that answers are left open there.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        h: int = 3,
        units: int | None = None,
        levels: int = 2,
        window: int = 500,
        patience: int = 2,
        improvement: float = 0.01,
    ):
        super().__init__(threshold, h, units)
        sure(self)
        self.levels, self.window = (
            positive(self, "levels", levels),
            positive(self, "window", window),
        )
        self.patience, self.improvement = (
            positive(self, "patience", patience),
            share(self, "improvement", improvement),
        )

    def columns(self) -> list[str]:
        return [f"unexpected_{level}" for level in range(1, self.levels + 1)]

    def prepare(self, model) -> None:
        """The levels above the first: layers of the model, with initial weights drawn as those of its cell and head."""
        super().prepare(model)
        nets = [another_net(self, model, model.head.outputs) for _ in range(1, self.levels)]
        model.upper_levels = [layer for net in nets for layer in net]
        self._count(model)

        def number(name: str, initial: float, dtype: str = "float32"):
            constant = keras.initializers.Constant(initial)
            return model.add_weight(
                shape=(), dtype=dtype, initializer=constant, trainable=False, name=name
            )

        model.top_level = number("top_level", 1, "int32")
        model.growth = {  # of the present window and of those before, see (5)
            "sequences": number("growth_sequences", 0, "int32"),
            "bad": number("growth_bad", 0, "int32"),
            "error": number("growth_error", 0.0),
            "best": number("growth_best", float("inf")),
        }

    def result(self, model) -> dict:
        return {**super().result(model), "levels": int(model.top_level.numpy())}

    def scalars(self, model) -> dict[str, float]:
        return {**super().scalars(model), "levels": float(model.top_level.numpy())}

    def answer(self, model, x):
        return self.imagined(model, x)

    def nets(self, model) -> list[tuple[Any, Any]]:
        """(cell, head) of every level, the first one first."""
        upper = list(model.upper_levels)
        return [(model.cell, model.head), *zip(upper[::2], upper[1::2], strict=True)]

    def fresh(self, model, x_t):
        """Of every level its memory; of those above the first also pending: z_l(tau_l), and predicted: o_l(tau_l)."""
        first, nets = self._first(model, x_t), self.nets(model)
        inputs = [x_t] + [first] * (self.levels - 1)
        memories = [
            self.rule.begin(cell, None, z[:, None])
            for (cell, _), z in zip(nets, inputs, strict=True)
        ]
        looks = [
            self._look(*net, first, memory)[1]
            for net, memory in zip(nets[1:], memories[1:], strict=True)
        ]
        return {"levels": memories, "pending": [first] * (self.levels - 1), "predicted": looks}

    def step(self, model, x_t, told, w_t, memory, learns: bool):
        nets, top = self.nets(model), model.top_level.value
        memories, inputs = memory["levels"], [x_t, *memory["pending"]]
        predictions = [self._look(*nets[0], x_t, memories[0])[1], *memory["predicted"]]  # (1)
        answer = self._chosen(predictions, top)
        y_t = told(answer)

        reached, reaches, off = w_t > 0, [], []
        for level, prediction in enumerate(predictions, start=1):  # (2)
            reached = reached & (level <= top)
            reaches.append(reached)
            reached = reached & self._off(y_t, prediction)
            off.append(reached)
        squares = [tf.reduce_sum((y_t - prediction) ** 2, axis=1) for prediction in predictions]
        errors = tf.stack(
            [_total(tf.where(rows, e, 0)) for rows, e in zip(reaches, squares, strict=True)]
        )

        after, gradients = [], []
        for level, (net, z, rows, before) in enumerate(
            zip(nets, inputs, reaches, memories, strict=True), start=1
        ):
            if learns:
                weights = [
                    weight.value
                    for weight in net[0].trainable_variables + net[1].trainable_variables
                ]
                slopes = tf.cond(  # (3)
                    (level == top) & tf.reduce_any(rows),
                    lambda: self._slopes(*net, z, y_t, tf.where(rows, w_t, 0), before)[0],  # noqa: B023
                    lambda: [tf.zeros_like(weight) for weight in weights],  # noqa: B023
                )
                gradients += slopes
            later = self.rule.again(net[0], z[:, None], before)[1]
            after.append(later if level == 1 else picked(rows, later, before))
        if learns:
            self._change(model, gradients, w_t)
        pending, predicted = [], []
        for net, z, old, rows, later in zip(
            nets[1:], memory["pending"], memory["predicted"], reaches[1:], after[1:], strict=True
        ):  # (4)
            following = tf.where(rows[:, None], y_t, z)
            pending.append(following)
            predicted.append(
                tf.cond(
                    tf.reduce_any(rows),
                    lambda: self._look(*net, following, later)[1],  # noqa: B023
                    lambda: old,  # noqa: B023
                )
            )
        unexpected = tf.stack([_total(rows) for rows in off])
        return (
            answer,
            {"levels": after, "pending": pending, "predicted": predicted},
            unexpected,
            errors,
        )

    def watched(self, model, rows: int, unexpected, errors) -> None:
        """(5)"""
        super().watched(model, rows, unexpected, errors)
        growth, top = model.growth, model.top_level.value
        error = growth["error"].value + errors[top - 1]
        sequences = growth["sequences"].value + rows
        full, best = sequences >= self.window, growth["best"].value + 0.0
        mean = error / tf.cast(sequences, error.dtype)
        bad = tf.where(
            full,
            tf.where(mean > (1 - self.improvement) * best, growth["bad"].value + 1, 0),
            growth["bad"].value,
        )
        grows = full & (bad >= self.patience) & (top < self.levels)
        best = tf.where(grows, float("inf"), tf.where(full, tf.minimum(best, mean), best))
        model.top_level.assign(top + tf.cast(grows, "int32"))
        growth["bad"].assign(tf.where(grows, 0, bad))
        growth["best"].assign(best)
        growth["error"].assign(tf.where(full, 0.0, error))
        growth["sequences"].assign(tf.where(full, 0, sequences))

    def _chosen(self, predictions: list, top):
        """The answer [B, K]: of the lowest level that is sure, else of the top level."""
        answer = predictions[0]
        for level, prediction in enumerate(predictions, start=1):
            answer = tf.where(level == top, prediction, answer)
        for level, prediction in reversed(list(enumerate(predictions, start=1))):
            answer = tf.where((self._sure(prediction) & (level < top))[:, None], prediction, answer)
        return answer


def _total(values):
    return tf.reduce_sum(tf.cast(values, "float32"))
