"""A step function over time. Learners, model and diagnostics all run their cells through this one loop."""

from collections.abc import Callable

import tensorflow as tf


def unroll(step: Callable, states: list, xs):
    """Run `step(x_t, states) -> values, states` over T steps: values stacked over time, final states.

    xs: one tensor [B, T, ...] or a nest of them, T static. values: the same nest that step returns, each [B, T, ...].
    Built so that XLA can differentiate it: a static bound on the number of steps, static shapes inside the loop.
    """
    xs = tf.nest.map_structure(_time_major, xs)
    steps = tf.nest.flatten(xs)[0].shape[0]
    values, states = step(tf.nest.map_structure(lambda x: x[0], xs), states)  # outside the loop: it tells the structure
    stacks = [_stack(steps, v).write(0, v) for v in tf.nest.flatten(values)]

    def body(t, stacks, states):
        at_t, states = step(tf.nest.map_structure(lambda x: x[t], xs), list(states))
        return t + 1, [s.write(t, v) for s, v in zip(stacks, tf.nest.flatten(at_t), strict=True)], list(states)

    _, stacks, states = tf.while_loop(
        lambda t, *_: t < steps, body, (tf.constant(1), stacks, list(states)), maximum_iterations=steps - 1
    )
    return tf.nest.pack_sequence_as(values, [_time_major(s.stack()) for s in stacks]), list(states)


def _time_major(x):
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _stack(steps: int, value) -> tf.TensorArray:
    return tf.TensorArray(value.dtype, size=steps, element_shape=value.shape)
