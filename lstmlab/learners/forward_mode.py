"""ForwardMode: what learners share that never go back, and the watch on what they carry forward."""

import abc

import numpy as np
import tensorflow as tf

from lstmlab.learners.base import OnLine, like


class ForwardMode(OnLine):
    """A learner that needs no way back: at each step the memory and the error of this step give the gradient of this step.

    A subclass says how the memory goes on (`step`), what an error at the output then means for the weights (`slopes`), and
    in which form these are summed (`nothing`, `finish`). Its memory does not grow with T.
    What the memory knows of the weights, its traces, is watched in groups (`groups`, `sizes`); a window in which that of one
    group, in one sequence, became larger than `largest` ends the run as one that exploded.
    """

    largest = 1e30  # sum of the magnitudes of a trace

    @abc.abstractmethod
    def step(self, cell, x_t, memory):
        """output [B, n], the memory after it, and what `slopes` needs to know of this step."""

    @abc.abstractmethod
    def slopes(self, cell, of_output, known):
        """A nest of sums over the batch from dE(t)/dy(t) [B, n], of the same form as `nothing`."""

    @abc.abstractmethod
    def nothing(self, cell):
        """The nest of zeros with which the sum over the steps begins."""

    @abc.abstractmethod
    def finish(self, cell, total) -> list:
        """The gradients of cell.trainable_variables from the sum over the steps."""

    def groups(self, cell) -> list[str]:
        """Names of the groups of weights whose traces are watched. Default: each of the cell's weights."""
        return [weight.name for weight in cell.trainable_variables]

    @abc.abstractmethod
    def sizes(self, cell, memory):
        """Sum of the magnitudes of each sequence's traces [B, groups]."""

    def force(self, head, memory, y_t, w_t):
        """The memory after the targets of a step are known. Default: as it is."""
        return memory

    def watched(self, cell, memory: dict) -> dict:
        """The memory of a sequence that begins, watched from here on.

        sizes [B, groups] of the last traces, or of those that passed the limit; sound [B]: the steps before and with the first
        of these, or all steps so far.
        """
        of_each = next(part for part in tf.nest.flatten(memory) if part.dtype.is_floating)
        sizes = tf.zeros((of_each.shape[0], len(self.groups(cell))), of_each.dtype)
        return {**memory, "sizes": sizes, "sound": tf.zeros((of_each.shape[0],), "int32")}

    def prepare(self, model) -> None:
        """Room for a trace that exploded: the step of its sequence, 0 where none has, and the size of each group's."""
        model.exploded_at = tf.Variable(0, trainable=False, dtype="int32")
        sizes = tf.zeros((len(self.groups(model.cell)),), model.cell.compute_dtype)
        model.trace_sizes = tf.Variable(sizes, trainable=False)

    def go_on(self, model, x, y, w, carried: tuple, whole: bool = False):
        loss, prediction, carried = super().go_on(model, x, y, w, carried, whole)
        self._note(model, carried[1])
        return loss, prediction, carried

    def after_window(self, model) -> None:
        step, sizes = int(model.exploded_at.numpy()), model.trace_sizes.numpy()
        if step:
            worst = int(np.argmax(np.where(np.isfinite(sizes), sizes, np.inf)))
            raise FloatingPointError(
                f"{type(self).__name__}: the trace of the {self.groups(model.cell)[worst]} exploded at step {step} of a "
                f"sequence; expected a norm of at most {self._largest}, which a smaller rate may give. "
                f"Received: norm={sizes[worst]:g}"
            )

    @property
    def _largest(self) -> str:
        return f"{self.largest:g}"

    def _watch(self, cell, before: dict, after: dict) -> dict:
        sound, now = self._sound(before), self.sizes(cell, after)
        sizes = tf.where(sound[:, None], now, before["sizes"])
        return {**after, "sizes": sizes, "sound": before["sound"] + tf.cast(sound, "int32")}

    def _sound(self, memory: dict):
        return tf.reduce_all(memory["sizes"] <= self.largest, axis=1)  # a NaN is not

    def _note(self, model, memory: dict) -> None:
        """Write the first explosion of the batch into the variables of `prepare`, unless there was one before."""
        bad = tf.logical_not(self._sound(memory))
        first = tf.argmin(tf.where(bad, memory["sound"], tf.int32.max))
        new = tf.logical_and(tf.reduce_any(bad), model.exploded_at == 0)
        model.exploded_at.assign(tf.where(new, memory["sound"][first], model.exploded_at))
        model.trace_sizes.assign(tf.where(new, memory["sizes"][first], model.trace_sizes))

    def advance(self, cell, head, x, y, w, memory):
        if x.shape[1] == 1:
            loss, prediction, total, of_head, memory = self._one(
                cell, head, x[:, 0], y[:, 0], w[:, 0], memory
            )
            return loss, prediction[:, None], [*self.finish(cell, total), *of_head], memory
        xs, ys, ws = (tf.transpose(part, [1, 0, *range(2, part.shape.rank)]) for part in (x, y, w))
        predictions = tf.TensorArray(y.dtype, size=x.shape[1], element_shape=y[:, 0].shape)
        nothing = [tf.zeros_like(weight.value) for weight in head.trainable_variables]

        def body(t, loss, predictions, total, of_head, memory):
            error, prediction, more, more_of_head, after = self._one(
                cell, head, xs[t], ys[t], ws[t], memory
            )
            total, of_head = tf.nest.map_structure(tf.add, (total, of_head), (more, more_of_head))
            return (
                t + 1,
                loss + error,
                predictions.write(t, prediction),
                total,
                of_head,
                like(after, memory),
            )

        start = (
            tf.constant(0),
            tf.zeros((), y.dtype),
            predictions,
            self.nothing(cell),
            nothing,
            memory,
        )
        *_, loss, predictions, total, of_head, memory = tf.while_loop(
            lambda t, *_: t < x.shape[1], body, start, maximum_iterations=x.shape[1]
        )
        return (
            loss,
            tf.transpose(predictions.stack(), [1, 0, 2]),
            [*self.finish(cell, total), *of_head],
            memory,
        )

    def _one(self, cell, head, x_t, y_t, w_t, memory):
        output, after, known = self.step(cell, x_t, memory)
        error, prediction, of_output, of_head = error_at(head, output, x_t, y_t, w_t)
        after = self._watch(cell, memory, self.force(head, after, y_t, w_t))
        return error, prediction, self.slopes(cell, of_output, known), of_head, after


def error_at(head, output, x_t, y_t, w_t):
    """E(t) of the batch, the prediction [B, K], dE(t)/dy(t) [B, n] and the gradients of the head, for one step's output."""
    readout = [weight.value for weight in head.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([output, *readout])
        prediction = head(output[:, None], x_t[:, None])
        error = tf.reduce_sum(head.error(y_t[:, None], prediction, w_t[:, None]))
    of_output, *of_head = tape.gradient(error, [output, *readout], unconnected_gradients="zero")
    return error, prediction[:, 0], of_output, of_head
