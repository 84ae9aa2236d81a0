"""The engine "native" of GatedRNN: the kernels behind TensorFlow operations, with a gradient.

TensorFlow calls the kernels by `tf.numpy_function`, and hands arrays over without copying them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import gradients_util

from lstmlab.native.sequence.kernels import Kernels, Tape
from lstmlab.native.sequence.orders import NO_SECOND, Order, kernels


def run(
    layer: Any, sequences: Any, states: list, mask: Any, drop: Any, every_step: bool, wanted: dict
) -> tuple[dict, list]:
    """Run the layer's cell over sequences [B, T, F]; as lstmlab.cells.engines.run."""
    cell = layer.cell
    made = kernels(cell, sequences.shape[-1])
    x = tf.cast(sequences, tf.float32)
    weights = [tf.reshape(tf.convert_to_tensor(getattr(cell, name)), [-1]) for name in made.weights]
    theta = tf.concat(weights, axis=0)
    initial = [_for_all(tf.cast(state, tf.float32), x) for state in states]
    shown = tf.zeros([0, 0], tf.bool) if mask is None else tf.cast(mask, tf.bool)
    order = Order(every_step, layer.go_backwards, layer.zero_output_for_mask)
    out, *final = _through(made, order, shown, x, theta, initial)
    steps = [x.shape[1]] if every_step else []
    out.set_shape([x.shape[0], *steps, made.units])
    for state, size in zip(final, made.sizes, strict=True):
        state.set_shape([x.shape[0], size])
    return {"output": out}, final


def _for_all(state: Any, x: Any) -> Any:
    """A first state for every sequence of the batch: one row serves all."""
    if state.shape[0] is not None and state.shape[0] == x.shape[0]:
        return state
    return tf.broadcast_to(state, [tf.shape(x)[0], state.shape[1]])


def _through(
    made: Kernels, order: Order, mask: Any, x: Any, theta: Any, initial: list
) -> tuple[Any, ...]:
    """The outputs and the last states, with their gradient."""
    recorded = record.should_record_backprop([x, theta, *initial])
    told_x = not tf.executing_eagerly() or record.should_record_backprop([x])

    @tf.custom_gradient
    def through(x: Any, theta: Any, *initial: Any) -> Any:
        given = [mask, x, theta, *initial]
        # where nobody has asked for a gradient so far, whoever does waits for another pass
        out, *more = _forward(made, order, recorded, given)
        final, tape = more[: len(initial)], more[len(initial) :]

        def gradient(of_out: Any, *of_final: Any) -> Any:
            kept = tape or _forward(made, order, True, given)[1 + len(initial) :]
            of_theta, delta, *of_initial = _once(
                made, order, [*kept, mask, theta, of_out, *of_final]
            )
            of_x = _of_inputs(made, order, theta, delta, x) if told_x else None
            return of_x, of_theta, *of_initial

        return (out, *final), gradient

    return through(x, theta, *initial)


def _forward(made: Kernels, order: Order, kept: bool, given: list) -> list:
    """The outputs, the last states and, if it is kept, the tape."""

    def forward(mask: Any, x: Any, theta: Any, *initial: Any) -> list:
        valid, counts = order.masks(mask)
        out, final, tape = made.forward(
            x, theta, list(initial), valid, counts, order.every, order.backwards, kept
        )
        return [out if order.every else out[:, 0], *final, *(tape or ())]

    count = 1 + len(made.sizes) + (len(Tape._fields) if kept else 0)
    # stateless: TensorFlow may leave out a call that nobody needs
    return list(tf.numpy_function(forward, given, [tf.float32] * count, stateful=False))


def _once(made: Kernels, order: Order, given: list) -> list:
    """The gradients of weights, pre-activations and first states; they have none themselves."""

    def backward(source: Any, second: Any, keep: Any, states: Any, mask: Any, *more: Any) -> list:
        theta, of_out, *of_final = more
        valid, counts = order.masks(mask)
        of_out = of_out if order.every else of_out[:, None]
        of_theta, of_initial, delta = made.backward(
            theta, Tape(source, second, keep, states), of_out, of_final, valid, counts
        )
        return [of_theta, delta, *of_initial]

    @tf.custom_gradient
    def once(*given: Any) -> Any:
        found = tf.numpy_function(
            backward, list(given), [tf.float32] * (2 + len(made.sizes)), stateful=False
        )

        def twice(*_: Any) -> Any:
            raise NotImplementedError(NO_SECOND)

        return tuple(found), twice

    return list(once(*given))


def _of_inputs(made: Kernels, order: Order, theta: Any, delta: Any, x: Any) -> Any:
    """The gradient of the inputs from those of the pre-activations."""
    places = made.layout.of_inputs
    weights = tf.gather(tf.pad(theta, [[0, 1]]), np.where(places < 0, made.size, places))
    steps, batch = tf.shape(x)[1], tf.shape(x)[0]
    flat = tf.matmul(tf.reshape(delta, [steps * batch, len(places)]), weights)
    of_x = tf.transpose(tf.reshape(flat, [steps, batch, made.layout.features]), [1, 0, 2])
    of_x = tf.reverse(of_x, [1]) if order.backwards else of_x
    of_x.set_shape(x.shape)
    return of_x


# ---- what stands in the way


def exported() -> bool:
    """Whether what is traced now is saved for processes without this Python.

    Neither Keras nor TensorFlow say so while they trace: it is read from who calls.
    """
    if tf.executing_eagerly():
        return False
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_EXPORTERS):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


_EXPORTERS = ("keras.src.export", "tensorflow.python.saved_model", "tensorflow.lite")


def differentiated_again(sequences: Any, states: list, cell: Any) -> bool:
    """Whether more than one tape watches, or one that may be asked several times."""
    # a tape watches a variable from the moment that it is read
    watched = [tf.convert_to_tensor(one) for one in (sequences, *states, *cell.trainable_variables)]
    found = gradients_util.PossibleTapeGradientTypes(watched)
    return found == gradients_util.POSSIBLE_GRADIENT_TYPES_HIGHER_ORDER


def processors_alone() -> bool:
    """Whether TensorFlow sees no other device."""
    return not tf.config.list_physical_devices("GPU")
