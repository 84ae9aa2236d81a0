"""The engine "xla" of GatedRNN: the cell's step in a loop over time.

It serves every cell and every call on every backend, and XLA compiles it where the model is
compiled. The other engines are held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops
from keras.src import backend

from lstmlab.cells.recurrence import split


def run(
    layer: Any, sequences: Any, states: list, mask: Any, drop: Any, every_step: bool, wanted: dict
) -> tuple[dict, list]:
    """Run the layer's cell over sequences [B, T, F]; arguments and results as in `engines.run`."""
    cell = layer.cell
    inputs, net = _nets(cell, sequences, drop)

    def step(x_t: Any, states: list) -> tuple[dict, list]:
        if backend.backend() == "torch" and layer.stateful:
            # PyTorch would change them in place under its own gradient.
            states = [ops.copy(state) for state in states]
        values, states = cell.step(x_t, list(states), net=net)
        return {name: values[name] for name in wanted}, states

    if mask is not None:
        step, inputs, states = _masked(layer, step, inputs, states, mask, wanted)
    values, states = _over_time(layer, step, inputs, states, every_step, wanted)
    # behind the cell's own states the masked loop carries the values of the step before
    return values, list(states[: len(cell.state_size)])


def _over_time(
    layer: Any, step: Callable, inputs: Any, states: list, every_step: bool, wanted: dict
) -> tuple:
    """{name: value} of every step [B, T, size], or of the last [B, size]; and the last states."""
    # Here Keras' own loop takes a time quadratic in T.
    if backend.backend() == "tensorflow" and not layer.unroll:
        # here and not above: the other backends need no TensorFlow
        from lstmlab.unroll import unroll

        return unroll(step, list(states), inputs, every_step, layer.go_backwards)

    def joined(x_t: Any, states: list) -> tuple[Any, list]:
        values, states = step(x_t, states)
        return ops.concatenate(list(values.values()), axis=-1), states

    last, values, states = backend.rnn(
        joined,
        inputs,
        states,
        go_backwards=layer.go_backwards,
        unroll=layer.unroll,
        input_length=inputs.shape[1],
        return_all_outputs=every_step,
    )
    return split(values if every_step else last, wanted), states


def _masked(
    layer: Any, step: Callable, inputs: Any, states: list, mask: Any, wanted: dict
) -> tuple:
    """The loop with a mask.

    A masked step changes no state and repeats what the step before gave, at first zeros. The mask
    goes along as one more input. Not by the mask of `backend.rnn`: with JAX that begins with the
    first state instead of zeros, and wants outputs as wide as it.
    """
    dtype = layer.cell.compute_dtype
    start = [ops.zeros((ops.shape(mask)[0], size), dtype) for size in wanted.values()]

    def masked(x_t: Any, states: list) -> tuple[dict, list]:
        here = ops.greater(x_t[:, -1:], 0)
        states, before = states[: -len(wanted)], states[-len(wanted) :]
        values, after = step(x_t[:, :-1], states)
        after = [ops.where(here, new, old) for new, old in zip(after, states, strict=True)]
        values = {
            name: ops.where(here, values[name], old)
            for name, old in zip(wanted, before, strict=True)
        }
        # `before` begins as zeros and then stays zeros: that is what a masked step gives
        return values, [*after, *(before if layer.zero_output_for_mask else values.values())]

    column = ops.cast(ops.cast(mask, "bool")[:, :, None], dtype)
    return masked, ops.concatenate([inputs, column], axis=-1), [*states, *start]


def _nets(cell: Any, sequences: Any, drop: Any) -> tuple[Any, Callable]:
    """What the loop runs over, and the cell's `net` at one step of it.

    W x is taken ahead, or joined with R hidden.
    """

    def kept(hidden: Any) -> Any:
        return hidden if drop is None else hidden * drop

    if sequences.shape[-1] >= cell.units or not cell.one_product:
        return cell.project(sequences), lambda projected, hidden: cell.sums(projected, kept(hidden))
    weights = [
        ops.cast(weight, cell.compute_dtype) for weight in (cell.kernel, cell.recurrent_kernel)
    ]
    joined, bias = ops.concatenate(weights, axis=0), cell.whole_bias()

    def net(x_t: Any, hidden: Any) -> tuple[dict, None]:
        sums = ops.matmul(ops.concatenate([x_t, kept(hidden)], axis=-1), joined)
        return split(sums + bias, cell.nets), None

    return ops.cast(sequences, cell.compute_dtype), net
