"""A step function over time, on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def unroll(
    step: Callable, states: list, xs: Any, every_step: bool = True, backwards: bool = False
) -> tuple[Any, list]:
    """Run a step over time. Learners, model and layer all use it.

    XLA can differentiate it in a time linear in T: there is a static bound on the number of steps
    where T is static, shapes inside the loop are static, and the gradient of a stack is read and
    never written (see _gradient_of_one_write).

    Args:
        step: (x_t, states) -> values, states.
        states: The first ones.
        xs: One tensor [B, T, ...] or a nest of them.
        every_step: Whether the values of all steps are wanted, or only those of the last.
        backwards: From the last step to the first.

    Returns:
        values: The nest that `step` returns, each [B, T, ...] in the order of processing, or, with
            every_step=False, [B, ...] of the last step.
        states: The last ones.
    """
    xs = tf.nest.map_structure(time_major, xs)
    some = tf.nest.flatten(xs)[0]
    steps = some.shape[0] if some.shape[0] is not None else tf.shape(some)[0]

    def inputs(t: Any) -> Any:
        at = steps - 1 - t if backwards else t
        return tf.nest.map_structure(lambda x: x[at], xs)

    # At least 1, because XLA makes no stacks of 0 places.
    most = tf.maximum(steps - 1, 1) if tf.is_tensor(steps) else max(steps - 1, 1)
    if not every_step:
        before = _before_the_last(step, list(states), inputs, steps, some.shape[1], most)
        values, states = step(inputs(steps - 1), before)
        return values, list(states)

    values, states = step(inputs(0), states)  # outside the loop: it tells the structure
    kept = [_stack(steps, value).write(0, value) for value in tf.nest.flatten(values)]

    def body(t: Any, kept: list, states: list) -> tuple:
        at_t, after = step(inputs(t), list(states))
        flat = zip(kept, tf.nest.flatten(at_t), strict=True)
        return t + 1, [_written(stack, t, value) for stack, value in flat], _read(t, states, after)

    loop = tf.constant(1), kept, list(states)
    _, kept, states = tf.while_loop(lambda t, *_: t < steps, body, loop, maximum_iterations=most)
    kept = [time_major(stack.stack()) for stack in kept]
    return tf.nest.pack_sequence_as(values, kept), list(states)


def _before_the_last(
    step: Callable, states: list, inputs: Callable, steps: Any, batch: int | None, most: Any
) -> list:
    """The states before the last step, which `unroll` takes outside the loop.

    The loop so carries nothing but states, and a gradient enters it as every one of its steps hands
    it on. A value of the last step, carried along and never read, would have a gradient that
    vanishes after one step: the vectorized loops of `jacobian` refuse that.
    """

    def body(t: Any, states: list) -> tuple:
        return t + 1, _read(t, states, step(inputs(t), list(states))[1])

    # a first state of one row serves all rows of a batch of unknown size
    shapes = [state.shape if batch else [None, *state.shape[1:]] for state in states]
    _, states = tf.while_loop(
        lambda t, _: t < steps - 1,
        body,
        (tf.constant(0), states),
        shape_invariants=(tf.TensorShape([]), [tf.TensorShape(shape) for shape in shapes]),
        maximum_iterations=most,
    )
    return list(states)


def _read(t: Any, before: list, after: list) -> list:
    """The states after a step, each of which has read the one before.

    A state that no step reads, as the output of a cell without feedback, would stop the vectorized
    loops of `jacobian`.
    """
    return [
        new if tf.executing_eagerly() or old.consumers() else tf.where(t < 0, old, new)
        for old, new in zip(before, after, strict=True)
    ]


def compiled_by_xla() -> bool:
    """Whether what is traced now belongs to a function with jit_compile=True."""
    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def time_major(x: Any) -> Any:
    """[B, T, ...] as [T, B, ...], or back."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _stack(steps: Any, value: Any) -> tf.TensorArray:
    return tf.TensorArray(value.dtype, size=steps, element_shape=value.shape)


def _written(stack: tf.TensorArray, t: Any, value: Any) -> tf.TensorArray:
    stack = stack.write(t, value)
    # In a graph, TensorFlow asks the operation before its registry of gradients.
    if not tf.executing_eagerly():
        stack.flow.op._gradient_function = _gradient_of_one_write
    return stack


def _gradient_of_one_write(write: Any, of_list: Any) -> tuple:
    """The gradient of writing to a stack of which every place is written once.

    TensorFlow's own also sets the gradient at that place to zero, for the value that was there
    before. Here there was none; and XLA would copy the gradient of the whole stack at every step,
    in a time quadratic in the number of steps.
    """
    _, index, value = write.inputs
    of_value = tf.raw_ops.TensorListGetItem(
        input_handle=of_list, index=index, element_shape=tf.shape(value), element_dtype=value.dtype
    )
    return of_list, None, of_value
