"""A step function over time, on TensorFlow."""

from collections.abc import Callable

import tensorflow as tf


def unroll(step: Callable, states: list, xs, every_step: bool = True, backwards: bool = False):
    """Run `step(x_t, states) -> values, states` over T steps: values and final states. Learners, model and layer all use it.

    xs: one tensor [B, T, ...] or a nest of them. values: the same nest that step returns, each [B, T, ...] in the order of
    processing, or with every_step=False those of the last step alone. backwards: from the last step to the first.

    Built so that XLA can differentiate it in a time linear in T: a static bound on the number of steps where T is static,
    static shapes inside the loop, and stacks whose gradient is read and never written (see _gradient_of_one_write).
    """
    xs = tf.nest.map_structure(_time_major, xs)
    some = tf.nest.flatten(xs)[0]
    steps = some.shape[0] if some.shape[0] is not None else tf.shape(some)[0]

    def inputs(t):
        at = steps - 1 - t if backwards else t
        return tf.nest.map_structure(lambda x: x[at], xs)

    values, states = step(inputs(0), states)  # outside the loop: it tells the structure
    flat = tf.nest.flatten(values)
    kept = [_stack(steps, value).write(0, value) for value in flat] if every_step else flat

    def body(t, kept, states):
        at_t, states = step(inputs(t), list(states))
        flat = tf.nest.flatten(at_t)
        if every_step:
            flat = [_written(stack, t, value) for stack, value in zip(kept, flat, strict=True)]
        return t + 1, flat, list(states)

    loop = tf.constant(1), kept, list(states)
    most = (
        tf.maximum(steps - 1, 1) if tf.is_tensor(steps) else max(steps - 1, 1)
    )  # XLA makes no stacks of 0 places
    _, kept, states = tf.while_loop(lambda t, *_: t < steps, body, loop, maximum_iterations=most)
    kept = [_time_major(stack.stack()) for stack in kept] if every_step else kept
    return tf.nest.pack_sequence_as(values, kept), list(states)


def _time_major(x):
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _stack(steps, value) -> tf.TensorArray:
    return tf.TensorArray(value.dtype, size=steps, element_shape=value.shape)


def _written(stack: tf.TensorArray, t, value) -> tf.TensorArray:
    stack = stack.write(t, value)
    if (
        not tf.executing_eagerly()
    ):  # where there is a graph: TensorFlow asks the operation before its registry of gradients
        stack.flow.op._gradient_function = _gradient_of_one_write
    return stack


def _gradient_of_one_write(write, of_list):
    """The gradient of writing to a stack of which every place is written once.

    TensorFlow's own also sets the gradient at that place to zero, for the value that was there before. Here there was none;
    and XLA would copy the gradient of the whole stack at every step, in a time quadratic in the number of steps.
    """
    _, index, value = write.inputs
    of_value = tf.raw_ops.TensorListGetItem(
        input_handle=of_list, index=index, element_shape=tf.shape(value), element_dtype=value.dtype
    )
    return of_list, None, of_value
