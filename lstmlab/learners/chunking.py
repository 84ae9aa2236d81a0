"""Chunking: what both forms of the sequence chunker share."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Batch, Learner, Report, Traits
from lstmlab.learners.refusals import refuse_dropout, refuse_stacked
from lstmlab.learners.states import apply_where, begun, like
from lstmlab.learners.truncated_bptt import TruncatedBPTT
from lstmlab.typing import Cell, Head, Nest, Net, Tensor
from lstmlab.unroll import time_major


class Pair(NamedTuple):
    """One of the networks of a chunker."""

    cell: Any
    head: Any

    @property
    def weights(self) -> list:
        """Trainable weights, in the order of their gradients."""
        return [*self.cell.trainable_variables, *self.head.trainable_variables]

    def no_gradients(self) -> list:
        """Return zeros in the shapes of the gradients."""
        return [tf.zeros_like(weight.value) for weight in self.weights]


class Shown(NamedTuple):
    """What is shown to a chunker at one step.

    x_t: [B, F]. told: Returns the targets y(t) [B, K], given the answer [B, K], which may stand for
    targets that are not known. w_t: [B].
    """

    x_t: Tensor
    told: Callable[[Tensor], Tensor]
    w_t: Tensor


class Stepped(NamedTuple):
    """What one step of a chunker gives.

    answer: [B, K]. memory: after it. unexpected [levels]: inputs that each network did not expect,
    summed over the batch. errors [levels]: the squared error of each network where it was reached.
    """

    answer: Tensor
    memory: Nest
    unexpected: Tensor
    errors: Tensor


class Chunking(Learner, abc.ABC):
    """Networks that predict their next input, on-line, and a threshold for what is unexpected.

    The weights change after every step that has an error, by errors sent `horizon` steps back in
    each network's own time. The model's own cell and head are the network that sees every input.

    Args:
        threshold: In (0, 1): an input is unexpected where some output is off by more than this.
        horizon: Steps that an error goes back.
        units: Number of units of the cells of further networks; None for as many as the model's
            cell has.

    Raises:
        ValueError: For any other value; for stacked cells or dropout; for a head without weights or
            with an error other than the squared one; for a task that does not ask at every step for
            the next input, first among its targets.
    """

    traits = Traits(streams=True)

    def __init__(self, threshold: float = 0.1, horizon: int = 3, units: int | None = None):
        owner = type(self).__name__
        self.threshold = checks.number(owner, "learner.threshold", threshold, above=0, below=1)
        self.horizon = checks.integer(owner, "learner.horizon", horizon)
        self.units = checks.integer(owner, "learner.units", units, optional=True)
        self.rule = TruncatedBPTT(horizon, 1)

    @abc.abstractmethod
    def step(self, net: Net, state: dict, shown: Shown, memory: Nest, learns: bool) -> Stepped:
        """Take one step, with changes of the weights if the learner `learns` in it."""

    @abc.abstractmethod
    def fresh(self, net: Net, x_t: Tensor) -> dict[str, Nest]:
        """Return the memory before the first step of sequences that begin with x_t [B, F]."""

    def columns(self) -> list[str]:
        """Return names for the inputs per sequence that each network did not expect."""
        return ["unexpected"]

    def remember(self, state: dict, rows: int, errors: Tensor) -> dict:
        """Return the state after `rows` sequences or pieces with these errors [levels]."""
        return state

    def check(self, cell: Cell) -> None:
        refuse_stacked(self, cell)
        refuse_dropout(self, cell)

    def check_task(self, task: Any) -> None:
        x, y, w = task.sample(np.random.default_rng(0), 4)
        until = task.valid(w)
        name, of_task = type(self).__name__, f"task={type(task).__name__}"

        missing = int((until & (w == 0)).sum())
        if missing:
            received = f"{of_task}, with {missing} of {int(until.sum())} steps without"
            raise refusal(name, "targets at every step", received)
        following = until[:, 1:, None]
        if not np.array_equal(y[:, :-1, : x.shape[2]] * following, x[:, 1:] * following):
            raise refusal(name, "targets that begin with the next input", f"{of_task}, with others")

    def check_chunk(self, steps: int) -> None:
        """Any piece will do, since the weights change after every step."""

    def layers(self, net: Net) -> dict[str, Any]:
        head, name = net.head, type(self).__name__
        if head.outputs < net.features:
            expected = f"targets that begin with the next input, so at least {net.features}"
            raise refusal(name, expected, {"outputs": head.outputs})
        if not head.trainable_variables or head.loss != "squared":
            received = f"head={type(head).__name__}, loss={head.loss!r}"
            raise refusal(name, "a head with weights and head.loss=squared", received)
        return {}

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return window: unexpected inputs of each network and sequences, since the report."""
        unexpected = tf.zeros((len(self.columns()),))
        state: dict = {"window": {"unexpected": unexpected, "sequences": tf.constant(0.0)}}
        if streams is not None:
            x_t = tf.zeros((streams, net.features), net.cell.compute_dtype)
            state["carried"] = self.fresh(net, x_t)
        return state

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        x, y, w, begins = batch
        memory = self.fresh(net, x[:, 0])
        if begins is not None:
            memory = begun(memory, state["carried"], begins)
        xs, ys, ws = (time_major(part) for part in (x, y, w))

        def shown(t: Tensor) -> Shown:
            return Shown(xs[t], lambda _: ys[t], ws[t])

        prediction, memory, unexpected, errors = self._run(
            net, state, x, shown, memory, learns=True
        )
        rows, window = x.shape[0], state["window"]
        window = {
            "unexpected": window["unexpected"] + unexpected,
            "sequences": window["sequences"] + rows,
        }
        state = self.remember({**state, "window": window}, rows, errors)
        if begins is not None:
            state = {**state, "carried": memory}
        return state, tf.reduce_sum(net.head.error(y, prediction, w)), prediction

    def imagined(self, net: Net, state: dict, x: Tensor) -> Tensor:
        """Return the answers [B, T, K] of all networks together for x only, weights as they are.

        An input was unexpected once the next one is there. Targets that are not inputs are not
        shown, and what was answered stands for them.
        """
        features = x.shape[2]
        following = time_major(tf.concat([x[:, 1:], tf.zeros_like(x[:, :1])], axis=1))
        xs, ones = time_major(x), tf.ones((x.shape[0],), x.dtype)

        def shown(t: Tensor) -> Shown:
            def told(answer: Tensor) -> Tensor:
                return tf.concat([following[t], answer[:, features:]], axis=1)

            return Shown(xs[t], told, ones)

        return self._run(net, state, x, shown, self.fresh(net, x[:, 0]), learns=False)[0]

    def report(self, net: Net, state: dict) -> Report:
        window = state["window"]
        sequences = max(float(window["sequences"]), 1.0)
        counts = (float(count) / sequences for count in window["unexpected"])
        found = dict(zip(self.columns(), counts, strict=True))
        return Report(row=found, history=found)

    def _run(
        self,
        net: Net,
        state: dict,
        x: Tensor,
        shown: Callable[[Tensor], Shown],
        memory: Nest,
        learns: bool,
    ) -> tuple[Tensor, Nest, Tensor, Tensor]:
        """step() over the steps of x.

        Answers [B, T, K], memory, and sums of unexpected and errors.
        """
        length, counts = x.shape[1], [tf.zeros((len(self.columns()),), "float32")] * 2
        shape = (x.shape[0], net.head.outputs)
        answers = tf.TensorArray(x.dtype, size=length, element_shape=shape)

        def body(t, answers, memory, counts):  # type: ignore[no-untyped-def]  # of a loop
            answer, after, *more = self.step(net, state, shown(t), memory, learns)
            counts = [tf.ensure_shape(a + b, a.shape) for a, b in zip(counts, more, strict=True)]
            return t + 1, answers.write(t, answer), like(after, memory), counts

        start = tf.constant(0), answers, memory, counts
        _, answers, memory, counts = tf.while_loop(
            lambda t, *_: t < length, body, start, maximum_iterations=length
        )
        return tf.transpose(answers.stack(), [1, 0, 2]), memory, *counts

    def change(self, net: Net, gradients: list, w_t: Tensor) -> None:
        """Change all weights once, where any row of the batch has an error at this step."""
        apply_where(tf.reduce_any(w_t != 0), net, gradients)

    def look(self, pair: Pair, z: Tensor, memory: dict) -> tuple[Tensor, Tensor]:
        """Return hidden state [B, n] and prediction [B, K] of a network after input z [B, F]."""
        outputs, _ = self.rule.again(pair.cell, z[:, None], memory)
        return outputs[:, 0], pair.head(outputs, z[:, None])[:, 0]

    def slopes(
        self, cell: Cell, head: Head, z: Tensor, y: Tensor, w: Tensor, memory: dict
    ) -> tuple[list, dict]:
        """Return gradients of the error of a network's prediction after z, and the memory after z.

        The error goes `horizon` of the network's own steps back.
        """
        _, _, gradients, memory = self.rule.advance(
            cell, head, z[:, None], y[:, None], w[:, None], memory
        )
        return gradients, memory

    def first(self, net: Net, x_t: Tensor) -> Tensor:
        """Return the first input of a sequence as further networks take it: other targets are 0."""
        return tf.pad(x_t, [(0, 0), (0, net.head.outputs - net.features)])

    def sure(self, prediction: Tensor) -> Tensor:
        """Return whether no output lies between the threshold and 1 - threshold, bool [B]."""
        low, high = prediction <= self.threshold, prediction >= 1 - self.threshold
        return tf.reduce_all(low | high, axis=1)

    def off(self, y: Tensor, prediction: Tensor) -> Tensor:
        """Return whether some output is off by more than the threshold, bool [B]."""
        return tf.reduce_any(tf.abs(y - prediction) > self.threshold, axis=1)


def check_sure(learner: Chunking) -> None:
    """Raise ValueError for a threshold with which a network is sure of every answer."""
    if learner.threshold >= 0.5:
        expected = (
            "a number in (0, 0.5), since a network is sure of outputs below the threshold or above "
            "one minus it"
        )
        received = {"learner.threshold": learner.threshold}
        raise refusal(type(learner).__name__, expected, received)


def another_net(learner: Chunking, net: Net, features: int) -> Pair:
    """Return a cell and a head like the network's, built, with initial weights of their own."""
    cell = another(net.cell, **({} if learner.units is None else {"units": learner.units}))
    head = another(net.head)
    cell.build((None, features))
    head.build((None, cell.output_size), (None, features))
    return Pair(cell, head)


def another(layer: keras.Layer, **settings: Any) -> Any:
    """Return a layer like another one, with some other settings, and weights of its own."""
    config = {name: value for name, value in layer.get_config().items() if name != "name"}
    if set(settings) - set(config):
        raise refusal("chunker", "a cell with a number of units", f"cell={type(layer).__name__}")
    return type(layer).from_config({**config, **settings})
