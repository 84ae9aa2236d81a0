"""Learner: the interface of every algorithm; OnLine: what those share that go forward with a memory."""

import abc
from collections.abc import Callable

import tensorflow as tf
from keras import ops, tree

from lstmlab.unroll import unroll


class Learner:
    """How errors become weight changes: an object of its own, beside the cell. Any number of cells may use one.

    A learner overrides `gradients`, or, if it changes weights in another way or more than once per batch, `learn`.
    stochastic: True where two calls of `gradients` differ.
    whole_set: True where a batch must be the whole training set. horizon: the most steps that an error goes back, or None.
    """

    stochastic = False
    whole_set = False
    horizon: int | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.gradients is Learner.gradients and cls.learn is Learner.learn:
            raise TypeError(
                f"{cls.__name__}: expected a method gradients or learn of its own. Received: neither"
            )

    def gradients(self, cell, head, x, y, w, states=None):
        """loss [], prediction [B, T, K], gradients in the order cell.trainable_variables + head.trainable_variables.

        x [B, T, F]; y [B, T, K]; w [B, T]: weight of the error at each step. states: the nest of states that the cell begins
        with (None: its zero state), in which nothing is known of what came before.
        The gradients are those of head.error(y, prediction, w), summed over the batch.
        Raises NotImplementedError for a learner that changes weights in another way.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: changes weights in a way of its own, and has no gradients"
        )

    def learn(self, model, x, y, w):
        """Change the model's weights for one batch; loss [], and the prediction [B, T, K] made on the way."""
        loss, prediction, gradients = self.gradients(model.cell, model.head, x, y, w)
        model.apply(gradients)
        return loss, prediction

    def check(self, cell) -> None:
        """Raise ValueError if this learner cannot serve the cell. Called before anything is traced."""

    def prepare(self, model) -> None:
        """Give the model what this learner needs besides cell and head. Raise ValueError if it cannot serve the model."""

    def check_task(self, task) -> None:
        """Raise ValueError if this learner cannot learn the task. Called before training."""

    def answer(self, model, x):
        """The prediction [B, T, K] for x [B, T, F] on which the model is judged. Default: that of cell and head."""
        return model.head(forward(model.cell, x), x)

    def scalars(self, model) -> dict[str, float]:
        """Columns that this learner adds to history.csv, and scalars to TensorBoard: of the time since the last call.

        Called after each window, outside of compiled code, and before `result`. Default: none.
        """
        return {}

    def result(self, model) -> dict:
        """Columns that this learner adds to the result row. Default: none."""
        return {}

    def net(self, model) -> dict:
        """What this learner grew, as columns to, from, weight, for the run's net.csv. Default: none."""
        return {}

    def after_window(self, model) -> None:
        """Raise FloatingPointError if what was learnt from in the last window went wrong; called outside of compiled code."""

    def filters(self) -> dict | None:
        """Arguments of GatedCell.step under which its derivatives are those that this learner uses, within `horizon` steps.

        {}: the exact ones. None: no such argument says it. Diagnostics show with them the error flow that is used.
        """
        return None

    def exact_case(self) -> dict:
        """Overrides of GatedCell under which this learner equals BPTT; the conformance test uses it."""
        return {}


class OnLine(Learner, abc.ABC):
    """A learner that goes forward piece by piece and carries a memory, so that weights may change within a sequence.

    updates: steps between two changes of the weights, or None for one change after each sequence, or after each piece of a
    stream. Where no step of a piece has an error there is no change. What the memory holds was found with the weights of its
    time, as in Williams & Zipser 1989.
    decay: factor on the changes after each `decay_steps` steps of a sequence, against forgetting within long streams (Gers,
    Schmidhuber & Cummins 2000: 0.99, 100); it begins anew with each sequence, and is the mean over a batch.
    Raises ValueError for updates or decay_steps that are no positive integers, and a decay outside (0, 1].
    """

    def __init__(self, updates: int | None = None, decay: float = 1.0, decay_steps: int = 100):
        self.updates = None if updates is None else positive(self, "updates", updates)
        self.decay_steps = positive(self, "decay_steps", decay_steps)
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 < decay <= 1:
            raise ValueError(
                f"{type(self).__name__}: expected a number in (0, 1]. Received: learner.decay={decay!r}"
            )
        self.decay = float(decay)

    @abc.abstractmethod
    def begin(self, cell, head, x, states=None):
        """The memory at the beginning of sequences such as x [B, T, F]: a nest of [B, ...]. states: as in `gradients`."""

    @abc.abstractmethod
    def advance(self, cell, head, x, y, w, memory):
        """loss [], prediction [B, T, K], gradients and memory after a piece x [B, T, F], y, w; the weights stay as they are."""

    def gradients(self, cell, head, x, y, w, states=None):
        return self.advance(cell, head, x, y, w, self.begin(cell, head, x, states))[:3]

    def learn(self, model, x, y, w):
        return self.go_on(model, x, y, w, self.start(model, x), whole=True)[:2]

    def start(self, model, x) -> tuple:
        """What `go_on` carries, at the beginning of sequences such as x: the steps so far [B], and the memory."""
        return tf.zeros((x.shape[0],), "int32"), self.begin(model.cell, model.head, x)

    def check_chunk(self, steps: int) -> None:
        """Raise ValueError if a stream cannot come in pieces of so many steps."""
        if self.updates is not None and steps % self.updates:
            raise ValueError(
                f"{type(self).__name__}: expected a multiple of learner.updates={self.updates}. Received: trainer.chunk={steps}"
            )

    def go_on(self, model, x, y, w, carried: tuple, whole: bool = False):
        """Change the model's weights, now and then, along a piece: loss, prediction [B, T, K], and what is carried on.

        whole: the piece is all of its sequences, so that nothing after the last error needs to be done.
        """
        steps, memory = carried
        if self.updates is None or self.updates >= x.shape[1]:
            loss, prediction, gradients, memory = self.advance(
                model.cell, model.head, x, y, w, memory
            )
            self._apply(model, gradients, steps, w, always=whole and self.updates is None)
            return loss, prediction, (steps + x.shape[1], memory)

        def change(gradients, k, w):
            self._apply(model, gradients, steps + k * self.updates, w)
            return []

        used = last_error(w) if whole else x.shape[1]
        loss, prediction, memory, _ = self.along(
            model.cell, model.head, x, y, w, memory, self.updates, change, [], used
        )
        return loss, prediction, (steps + x.shape[1], memory)

    def along(self, cell, head, x, y, w, memory, length: int, use: Callable, total: list, used):
        """Advance by pieces of `length` steps over the first `used` ones: loss, prediction, memory, and the total.

        use(gradients, k, w): called with those of piece number k, returns a nest that is added to the total.
        """
        pieces = [_cut(part, length) for part in (x, y, w)]
        count = pieces[0].shape[0]
        stack = tf.TensorArray(y.dtype, size=count, element_shape=pieces[1].shape[1:])

        def body(k, loss, predictions, total, memory):
            here = [part[k] for part in pieces]
            more, prediction, gradients, after = self.advance(cell, head, *here, memory)
            total = tf.nest.map_structure(tf.add, total, use(gradients, k, here[2]))
            return k + 1, loss + more, predictions.write(k, prediction), total, like(after, memory)

        start = tf.constant(0), tf.zeros((), y.dtype), stack, total, memory
        *_, loss, predictions, total, memory = tf.while_loop(
            lambda k, *_: k * length < used, body, start, maximum_iterations=count
        )
        prediction = tf.transpose(predictions.stack(), [1, 0, 2, 3])
        prediction = tf.reshape(prediction, (x.shape[0], count * length, y.shape[-1]))[
            :, : x.shape[1]
        ]
        return loss, prediction, memory, total

    def _apply(self, model, gradients: list, steps, w, always: bool = False) -> None:
        if self.decay != 1.0:
            passed = tf.cast(steps // self.decay_steps, gradients[0].dtype)
            gradients = [gradient * tf.reduce_mean(self.decay**passed) for gradient in gradients]
        if always:
            model.apply(gradients)
        else:
            tf.cond(tf.reduce_any(w != 0), lambda: (model.apply(gradients), 0)[1], lambda: 0)


def initial_states(cell, batch: int, states=None) -> list:
    """The cell's states as a flat list: those given, or its zero state."""
    return tree.flatten(cell.get_initial_state(batch_size=batch) if states is None else states)


def packed(cell, batch: int, states: list):
    """A flat list of states in the structure that the cell takes."""
    return tree.pack_sequence_as(cell.get_initial_state(batch_size=batch), states)


def last_error(w):
    """The number of steps up to and with the last error of the batch, for w [B, T]."""
    steps = tf.range(1, w.shape[1] + 1)
    return tf.reduce_max(tf.where(tf.reduce_any(w != 0, axis=0), steps, 0))


def like(values, model):
    """A nest with the structure and the static shapes of another; loops over time ask for both."""
    flat = [
        tf.ensure_shape(value, old.shape)
        for value, old in zip(tf.nest.flatten(values), tf.nest.flatten(model), strict=True)
    ]
    return tf.nest.pack_sequence_as(model, flat)


def positive(learner, name: str, value) -> int:
    """`value` if it is a positive integer; else ValueError that names the setting."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{type(learner).__name__}: expected a positive integer. Received: learner.{name}={value!r}"
        )
    return value


def single(learner, cell) -> None:
    """Raise ValueError for stacked cells."""
    if hasattr(cell, "cells"):
        raise ValueError(
            f"{type(learner).__name__}: expected a single cell. Received: cell={type(cell).__name__} of {len(cell.cells)} cells"
        )


def refuse_dropout(learner: Learner, cell) -> None:
    """Raise ValueError for a cell with dropout, or stacked cells with one."""
    for part in getattr(cell, "cells", [cell]):
        rates = {name: getattr(part, name, 0) for name in ("dropout", "recurrent_dropout")}
        if any(rates.values()):
            raise ValueError(
                f"{type(learner).__name__}: no dropout is applied here; expected dropout=0 and recurrent_dropout=0. "
                f"Received: {', '.join(f'{name}={rate}' for name, rate in rates.items())}"
            )


def forward(cell, x, see: Callable | None = None, states=None):
    """The cell's outputs [B, T, n] for x [B, T, F]; `see` as in GatedCell.step (None: any Keras cell); states: see Learner."""
    return run_on(cell, x, see, states)[0]


def run_on(cell, x, see: Callable | None = None, states=None):
    """`forward`, and the flat list of the states after it."""
    batch = x.shape[0] if x.shape[0] is not None else ops.shape(x)[0]
    initial = cell.get_initial_state(batch_size=batch)

    def step(x_t, states):
        if see is None:
            output, states = cell(x_t, tree.pack_sequence_as(initial, states))
            return output, tree.flatten(states)
        values, states = cell.step(x_t, states, see=see)
        return values["output"], states

    return unroll(step, tree.flatten(initial if states is None else states), x)


def _cut(part, length: int):
    """[B, T, ...] as pieces [ceil(T / length), B, length, ...], the last one padded by zeros."""
    missing = -part.shape[1] % length
    part = tf.pad(part, [(0, 0), (0, missing), *[(0, 0)] * (part.shape.rank - 2)])
    part = tf.reshape(part, (part.shape[0], -1, length, *part.shape[2:]))
    return tf.transpose(part, [1, 0, *range(2, part.shape.rank)])
