"""Stepwise: what learners share that need no way back, and the watch on what they carry forward."""

import abc
from typing import Any

import numpy as np
import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.base import Report
from lstmlab.learners.forward import Advanced, Forward
from lstmlab.learners.one_step import as_weights, count_of
from lstmlab.learners.states import like
from lstmlab.typing import Cell, Head, Nest, Net, Tensor
from lstmlab.unroll import time_major

MAX_TRACE = 1e30


class Readout:
    """The head at one time step. Called with the output y(t) [B, n], it returns dE(t)/dy(t) [B, n].

    After the call it has the error `loss` [] of this step, the `prediction` [B, K], and the
    gradients `of_head`. y_t [B, K], w_t [B]: the targets of this step, and the weight of their
    error.
    """

    loss: Tensor
    prediction: Tensor
    of_head: list

    def __init__(self, head: Head, x_t: Tensor, y_t: Tensor, w_t: Tensor):
        self.head: Any = head
        self.x_t, self.y_t, self.w_t = x_t, y_t, w_t

    def __call__(self, output: Tensor) -> Tensor:
        weights = [weight.value for weight in self.head.trainable_variables]

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([output, *weights])
            prediction = self.head(output[:, None], self.x_t[:, None])
            error = self.head.error(self.y_t[:, None], prediction, self.w_t[:, None])
            self.loss = tf.reduce_sum(error)

        self.prediction = prediction[:, 0]
        of_output, *self.of_head = tape.gradient(
            self.loss, [output, *weights], unconnected_gradients="zero"
        )
        return of_output


class Stepwise(Forward):
    """A learner to which each step's error and the memory give the gradient of this step at once.

    The algorithm is the method `step`. The memory does not grow with T. What it knows of the
    weights, its eligibility traces, is watched by groups of weights: `traced` names them, and
    `trace_sizes` measures them. When a trace exceeds `max_trace`, `report` says so and thereby ends
    the run.

    Args:
        update_every: See Forward.
        decay: See Forward.
        decay_steps: See Forward.
        max_trace: The largest sum of magnitudes that the trace of one group may have in a sequence.

    Raises:
        ValueError: For any other value.
    """

    def __init__(
        self,
        update_every: int | None = None,
        decay: float = 1.0,
        decay_steps: int = 100,
        max_trace: float = MAX_TRACE,
    ):
        super().__init__(update_every, decay, decay_steps)
        name = type(self).__name__
        self.max_trace = checks.number(name, "learner.max_trace", max_trace, above=0)

    @abc.abstractmethod
    def initial(self, cell: Cell, x: Tensor, states: Nest) -> dict[str, Nest]:
        """Return the memory, [B, ...] by name, before the first step of x [B, T, F]."""

    @abc.abstractmethod
    def step(
        self, cell: Cell, x_t: Tensor, memory: dict, readout: Readout
    ) -> tuple[dict[str, Nest], Nest]:
        """Return the memory after one step, and what the step adds to the gradients of the cell.

        Args:
            cell: The cell.
            x_t: Inputs [B, F].
            memory: The memory before.
            readout: Called once, with the output y(t); returns dE(t)/dy(t).

        Returns:
            The memory, and a nest like `zeros`, summed over the batch.
        """

    @abc.abstractmethod
    def trace_sizes(self, cell: Cell, memory: dict) -> Tensor:
        """Return the sum of magnitudes of each sequence's traces, [B, groups of `traced`]."""

    def traced(self, cell: Cell) -> list[str]:
        """Return names of the groups of weights that are watched. Default: each of the cell's."""
        return [weight.name for weight in cell.trainable_variables]

    def zeros(self, cell: Cell) -> Nest:
        """Return the sum over no steps. Default: a row [P], one number for each weight."""
        return tf.zeros((count_of(cell),), cell.trainable_variables[0].dtype)

    def finish(self, cell: Cell, total: Nest) -> list:
        """Return the gradients of cell.trainable_variables from the sum over all steps."""
        return as_weights(cell, total)

    def begin(self, cell: Cell, head: Head, x: Tensor, states: Nest = None) -> dict[str, Nest]:
        memory = self.initial(cell, x, states)
        some = next(part for part in tf.nest.flatten(memory) if part.dtype.is_floating)
        # sizes of the last traces, or of those that exploded; steps up to then, or so far
        sizes = tf.zeros((x.shape[0], len(self.traced(cell))), some.dtype)
        return {**memory, "watch": {"sizes": sizes, "sound": tf.zeros((x.shape[0],), "int32")}}

    def advance(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, memory: Nest
    ) -> Advanced:
        if x.shape[1] == 1:
            loss, prediction, total, of_head, memory = self._one(
                cell, memory, Readout(head, x[:, 0], y[:, 0], w[:, 0])
            )
            return loss, prediction[:, None], [*self.finish(cell, total), *of_head], memory

        xs, ys, ws = (time_major(part) for part in (x, y, w))
        predictions = tf.TensorArray(y.dtype, size=x.shape[1], element_shape=y[:, 0].shape)
        of_head = [tf.zeros_like(weight.value) for weight in head.trainable_variables]

        def body(t, loss, predictions, total, of_head, memory):  # type: ignore[no-untyped-def]
            error, prediction, more, more_of_head, after = self._one(
                cell, memory, Readout(head, xs[t], ys[t], ws[t])
            )
            total, of_head = tf.nest.map_structure(tf.add, (total, of_head), (more, more_of_head))
            predictions = predictions.write(t, prediction)
            return t + 1, loss + error, predictions, total, of_head, like(after, memory)

        zero = tf.zeros((), y.dtype)
        start = tf.constant(0), zero, predictions, self.zeros(cell), of_head, memory
        *_, loss, predictions, total, of_head, memory = tf.while_loop(
            lambda t, *_: t < x.shape[1], body, start, maximum_iterations=x.shape[1]
        )
        gradients = [*self.finish(cell, total), *of_head]
        return loss, tf.transpose(predictions.stack(), [1, 0, 2]), gradients, memory

    def _one(
        self, cell: Cell, memory: dict, readout: Readout
    ) -> tuple[Tensor, Tensor, Nest, list, dict]:
        """One step with its watch: error, prediction, sums of cell and of head, memory."""
        after, sums = self.step(cell, readout.x_t, memory, readout)
        watch = memory["watch"]
        sound = self._sound(watch)
        sizes = tf.where(sound[:, None], self.trace_sizes(cell, after), watch["sizes"])
        watch = {"sizes": sizes, "sound": watch["sound"] + tf.cast(sound, "int32")}
        return readout.loss, readout.prediction, sums, readout.of_head, {**after, "watch": watch}

    # ---- what exploded

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        sizes = tf.zeros((len(self.traced(net.cell)),), net.cell.compute_dtype)
        # the step of its sequence at which a trace exploded, 0 where none has, and all traces'
        # sizes
        return {**super().init(net, streams), "exploded": {"at": tf.constant(0), "sizes": sizes}}

    def remember(self, state: dict, memory: Nest) -> dict:
        """Note the first explosion of the batch, unless there was one before."""
        watch, exploded = memory["watch"], state["exploded"]
        bad = tf.logical_not(self._sound(watch))
        first = tf.argmin(tf.where(bad, watch["sound"], tf.int32.max))
        new = tf.logical_and(tf.reduce_any(bad), exploded["at"] == 0)
        at = tf.where(new, watch["sound"][first], exploded["at"])
        sizes = tf.where(new, watch["sizes"][first], exploded["sizes"])
        return {**state, "exploded": {"at": at, "sizes": sizes}}

    def report(self, net: Net, state: dict) -> Report:
        step, sizes = int(state["exploded"]["at"]), np.asarray(state["exploded"]["sizes"])
        if step:
            worst = int(np.argmax(np.where(np.isfinite(sizes), sizes, np.inf)))
            raise FloatingPointError(
                f"{type(self).__name__}: the trace of the {self.traced(net.cell)[worst]} exploded "
                f"at step {step} of a sequence; expected a norm of at most "
                f"learner.max_trace={self.max_trace:g}, which a smaller rate may give. "
                f"Received: norm={sizes[worst]:g}"
            )
        return Report()

    def _sound(self, watch: dict) -> Tensor:
        """Which sequences [B] have no trace that exploded; one that is NaN has."""
        return tf.reduce_all(watch["sizes"] <= self.max_trace, axis=1)
