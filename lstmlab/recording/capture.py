"""What each recurrent layer of a Keras model is called with, and dE/d(its output).

It runs the model and leaves its weights, states, random seeds and metrics as they were.
"""

import re
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.cells.fingerprint import fingerprint
from lstmlab.cells.layer import GatedRNN
from lstmlab.cells.stock import Twins
from lstmlab.cells.tracing import alone, ready, recurrent, untouched
from lstmlab.cells.watching import listening
from lstmlab.errors import refusal
from lstmlab.recording.targets import check_targets

OWNER = "GateTensorBoard"  # through which users mostly meet this module and `layers`


class CapturedCall(NamedTuple):
    """One call of a layer, as NumPy arrays.

    layer: the GatedRNN that was called, or that ran in place of a layer of Keras.
    x: its inputs [B, T, F].
    states: the states in which it began.
    mask: [B, T], or None.
    of_output: dE/d(output), [B, T, n] in the order of processing, or [B, n].
    of_states: dE/d(final states).
    """

    layer: GatedRNN
    x: np.ndarray
    states: list[np.ndarray]
    mask: np.ndarray | None
    of_output: np.ndarray
    of_states: list[np.ndarray]

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x [B, T, F] and the mask [B, T], both in the order of processing."""
        mask = np.ones(self.x.shape[:2], bool) if self.mask is None else self.mask.astype(bool)
        return (self.x[:, ::-1], mask[:, ::-1]) if self.layer.go_backwards else (self.x, mask)

    def to_outputs(self, mask: np.ndarray) -> np.ndarray:
        """Return dE/d(output) [B, T, n] at the steps that the mask keeps.

        A masked step that repeats an output passes its derivative on to the step with that output.

        Args:
            mask: [B, T] in the order of processing, as `steps` returns it.
        """
        source = np.where(mask, np.arange(mask.shape[1]), -1)
        if not self.layer.zero_output_for_mask:
            source = np.maximum.accumulate(source, axis=1)  # the last step before that counts

        every = self.of_output
        if not self.layer.return_sequences:
            every, source = every[:, None], source[:, -1:]

        y = np.zeros((*mask.shape, self.layer.units), every.dtype)
        rows, at = np.nonzero(source >= 0)
        # several steps may repeat one output; y[...] += would count the last of them only
        np.add.at(y, (rows, source[rows, at]), every[rows, at])
        return y

    def add_through_states(self, y: np.ndarray, mask: np.ndarray) -> bool:
        """Add to y, in place, the derivative with respect to the output among the final states.

        Args:
            y: dE/d(output) [B, T, n], as `to_outputs` returns it.
            mask: [B, T] in the order of processing.

        Returns:
            False if derivatives come back through other final states too: y cannot hold those.
        """
        hidden, n = self.of_states[0], self.layer.units
        rows = np.flatnonzero(mask.any(axis=1))
        last = mask.shape[1] - 1 - np.argmax(mask[rows, ::-1], axis=1)
        y[rows, last] += hidden[rows, :n]
        return not (np.any(hidden[:, n:]) or any(map(np.any, self.of_states[1:])))


def joined(calls: list[CapturedCall]) -> CapturedCall:
    """Return several calls of a layer as one call of a larger batch."""

    def one(parts: Any) -> Any:
        if isinstance(parts[0], list):
            return [one(some) for some in zip(*parts, strict=True)]
        return None if parts[0] is None else np.concatenate(parts)

    first, *fields = zip(*calls, strict=True)
    return CapturedCall(first[0], *map(one, fields))


class Capture:
    """Runs a model once, in inference mode, and captures every call of a recurrent layer.

    Each layer adds zero taps to its output and final states. The derivatives of model.compute_loss
    with respect to the taps are those with respect to outputs and states. A layer of Keras is run
    by its twin (see lstmlab.cells.stock), which follows its weights.

    Args:
        model: A compiled Keras model. Its weights, states, seeds and metrics stay as they are.
        owner: Who refuses a model or a probe.
    """

    def __init__(self, model: keras.Model, owner: str = OWNER):
        self.model, self.owner = model, owner
        self._layers: list[GatedRNN] = []
        self._of: Any = None
        self._twins: Any = None

    def __call__(self, x: Any, y: Any, w: Any) -> list[CapturedCall]:
        """Capture every call of a recurrent layer, in order.

        Args:
            x, y, w: Inputs, targets and sample weights (or None), as model.fit takes them.

        Raises:
            ValueError: The model has no such layer, or does not take this batch.
        """
        batch = [tree.map_structure(_tensor, part) for part in (x, y, w)]
        # the metrics too: Keras counts each loss in one when it computes it
        with alone(self.model), untouched(self.model, *self.model.metrics_variables):
            try:
                ready(self.model, batch[0])
                self._prepare()
                with self._twins.in_place():
                    captured = tree.map_structure(_numpy, self._captured(*batch))
            except (ValueError, TypeError, tf.errors.OpError) as error:
                if str(error).startswith(f"{self.owner}: "):
                    raise
                raise self._refused(x, y, w, error) from error
        calls = zip(self._layers, captured, strict=True)
        return [CapturedCall(layer, *values) for layer, values in calls]

    @property
    def left_out(self) -> dict[str, str]:
        """{name: why} of the recurrent layers that cannot be measured."""
        return {} if self._twins is None else self._twins.left_out

    def time_distributed(self) -> set[keras.Layer]:
        """Return the layers in a TimeDistributed, which calls them anew for each of its steps."""
        layers = self.model._flatten_layers()
        outer = [layer for layer in layers if isinstance(layer, keras.layers.TimeDistributed)]
        inside = {inner for layer in outer for inner in layer._flatten_layers()}
        return inside | self._twins.of(inside)

    def _prepare(self) -> None:
        """Follow the weights; begin anew where a layer or the loss is another one than before."""
        now = fingerprint(self.model), id(self.model._compile_loss)
        if self._of != now:
            self._twins = Twins(self.model)
            recurrent(self.owner, self.model, self._twins)
            # a partial, since TensorFlow would count the graphs of all models as one made anew
            self._captured = tf.function(partial(self._capture), autograph=False)
            # with the loss itself, so that no other one can come to have its id
            self._of, self._loss = now, self.model._compile_loss
        self._twins.follow()

    def _refused(self, x: Any, y: Any, w: Any, error: Exception) -> ValueError:
        parts = {"x": x, "y": y} if w is None else {"x": x, "y": y, "w": w}
        shapes = {name: tree.map_structure(np.shape, part) for name, part in parts.items()}
        received = ", ".join(f"{name} of shapes {shape}" for name, shape in shapes.items()) + ": "
        # without the colours and the list of arguments that Keras adds
        text = re.sub(r"\x1b\[\d+m", "", str(error)).partition("Arguments received by")[0]
        received += " ".join(text.split())
        return refusal(self.owner, "a probe that the model takes", received)

    def _capture(self, x: Any, y: Any, w: Any) -> list[tuple]:
        """For each call of a GatedRNN, the fields of CapturedCall after `layer`."""
        # this runs while the graph is traced; later calls meet the same layers in the same order
        self._layers = []
        calls: list[tuple] = []
        taps: list[list] = []

        def tap(layer: GatedRNN, given: tuple, output: Any, states: list) -> tuple[Any, list]:
            here = [tf.zeros_like(value) for value in (output, *states)]
            tape.watch(here)
            taps.append(here)

            sequences, first, mask = given
            # copies: a stateful layer overwrites its states
            calls.append((sequences, [tf.identity(state) for state in first], mask))
            self._layers.append(layer)

            of_output, *of_states = here
            tapped = [state + zero for state, zero in zip(states, of_states, strict=True)]
            return output + of_output, tapped

        with tf.GradientTape(watch_accessed_variables=False) as tape, listening(tap):
            prediction = self.model(x, training=False)
            check_targets(self.owner, self.model.loss, y, prediction)
            # not compute_loss: that of a subclass may have no argument `training`
            error = self.model._compute_loss(x, y, prediction, w, training=False)
        derivatives = tape.gradient(error, taps, unconnected_gradients="zero")
        return [
            (*call, of_output, of_states)
            for call, (of_output, *of_states) in zip(calls, derivatives, strict=True)
        ]


def _tensor(value: Any) -> Any:
    return None if value is None else ops.convert_to_tensor(value)


def _numpy(value: Any) -> np.ndarray | None:
    """As NumPy; half precision, which few NumPy functions support, becomes float32."""
    if value is None:
        return None
    value = ops.convert_to_numpy(value)
    return value.astype("float32") if value.dtype.itemsize == 2 else value
