"""Calls: what every GatedRNN of a Keras model is called with, and the derivatives of the model's error to what it gives."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.cells.layer import GatedRNN
from lstmlab.cells.tracing import listening, untouched


class Call(NamedTuple):
    """One call of a layer, as NumPy: x [B, T, F], its first states, mask [B, T] or None, and the derivatives of the error.

    of_output: dE/d(output), [B, T, n] in the order of processing or [B, n]; of_states: dE/d(last states).
    """

    layer: GatedRNN
    x: np.ndarray
    states: list[np.ndarray]
    mask: np.ndarray | None
    of_output: np.ndarray
    of_states: list[np.ndarray]

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """x [B, T, F] and the mask [B, T] in the order of processing."""
        mask = np.ones(self.x.shape[:2], bool) if self.mask is None else self.mask.astype(bool)
        return (self.x[:, ::-1], mask[:, ::-1]) if self.layer.go_backwards else (self.x, mask)

    def to_outputs(self, mask: np.ndarray) -> np.ndarray:
        """dE/d(output) [B, T, n], at a masked step that repeats an output added to that output's."""
        source = np.where(mask, np.arange(mask.shape[1]), -1)
        if not self.layer.zero_output_for_mask:
            source = np.maximum.accumulate(source, axis=1)
        every = self.of_output
        if not self.layer.return_sequences:
            every, source = every[:, None], source[:, -1:]
        y = np.zeros((*mask.shape, self.layer.units), every.dtype)
        rows, at = np.nonzero(source >= 0)
        np.add.at(y, (rows, source[rows, at]), every[rows, at])
        return y

    def add_through_states(self, y: np.ndarray, mask: np.ndarray) -> bool:
        """Add to y what comes back through the last output among the last states; False if other states bring some too."""
        hidden, n = self.of_states[0], self.layer.units
        rows = np.flatnonzero(mask.any(axis=1))
        last = mask.shape[1] - 1 - np.argmax(mask[rows, ::-1], axis=1)
        y[rows, last] += hidden[rows, :n]
        return not (np.any(hidden[:, n:]) or any(map(np.any, self.of_states[1:])))


class Calls:
    """Runs the model once, as it is when it predicts, while each GatedRNN adds zero taps to what it gives.

    The taps' derivatives of model.compute_loss are those to outputs and states. Weights, states, seeds and metrics of the model
    stay as they are.
    """

    def __init__(self, model):
        self.model = model
        self._layers: list[GatedRNN] = []
        self._heard = tf.function(self._hear, autograph=False)

    def __call__(self, x, y, w) -> list[Call]:
        """Every call of a GatedRNN, in order. Raises ValueError for a probe that the model does not take."""
        with untouched(self.model, *self.model.metrics_variables):
            try:
                heard = self._heard(*(tree.map_structure(_tensor, part) for part in (x, y, w)))
            except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
                shapes, line = tree.map_structure(np.shape, x), " ".join(str(error).split())
                raise ValueError(
                    f"parts: expected a probe that the model takes. Received: x of shapes {shapes}: {line}"
                ) from error
        return [
            Call(layer, *of_it)
            for layer, of_it in zip(self._layers, tree.map_structure(_numpy, heard), strict=True)
        ]

    def _hear(self, x, y, w) -> list:
        """For each call of a GatedRNN, what Call holds."""
        self._layers, calls, taps = [], [], []

        def tap(layer, given, output, states):
            here = [tf.zeros_like(value) for value in (output, *states)]
            tape.watch(here)
            sequences, first, mask = given
            self._layers.append(layer)
            calls.append(
                (sequences, [tf.identity(state) for state in first], mask)
            )  # a stateful layer changes its own
            taps.append(here)
            return output + here[0], [
                state + zero for state, zero in zip(states, here[1:], strict=True)
            ]

        with tf.GradientTape(watch_accessed_variables=False) as tape, listening(tap):
            prediction = self.model(x, training=False)
            error = self.model._compute_loss(x, y, prediction, w, training=False)
        derivatives = tape.gradient(error, taps, unconnected_gradients="zero")
        return [
            (*given, of_it[0], of_it[1:]) for given, of_it in zip(calls, derivatives, strict=True)
        ]


def time_distributed(model) -> set:
    """Layers inside a TimeDistributed, whose every step is a call of its own."""
    outer = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.TimeDistributed)
    ]
    return {inner for layer in outer for inner in layer._flatten_layers()}


def _tensor(value):
    return None if value is None else ops.convert_to_tensor(value)


def _numpy(value):
    """As NumPy; half precision, which few of its functions know, in float32."""
    if value is None:
        return None
    value = ops.convert_to_numpy(value)
    return value.astype("float32") if value.dtype.itemsize == 2 else value
