"""A forward pass that keeps every named value of the cell."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lstmlab.unroll import unroll


def trace(
    cell: Any,
    x: Any,
    see: Callable | None = None,
    taps: dict | None = None,
    clamps: dict | None = None,
    **filters: Any,
) -> dict[str, Any]:
    """Run the cell from its initial state and return every named value at every step.

    A tap is added before a clamp takes effect.

    Args:
        cell: A GatedCell, or a cell with its `step` and `net`.
        x: Inputs [B, T, F].
        see: As in GatedCell.step.
        taps: {name: [B, T, ...]}, added to the values of that name as they arise, or, named
            net_<name>, to pre-activations. The derivative by a tap is that by the value.
        clamps: {name: (where [B, T, 1], value [B, T, 1 or size])}. Where `where` is not 0, the
            value replaces the one that arises there.
        **filters: More filters of GatedCell.step (see_candidate).

    Returns:
        {name: [B, T, ...]}, tensors.
    """
    taps, clamps = taps or {}, clamps or {}
    filters |= {} if see is None else {"see": see}
    of_nets = {name.removeprefix("net_") for name in taps if name.startswith("net_")}

    def step(at_t: tuple, states: list) -> tuple:
        x_t, taps_t, clamps_t = at_t

        def touch(name: str, value: Any) -> Any:
            value = value + taps_t[name] if name in taps_t else value
            if name in clamps_t:
                where, held = clamps_t[name]
                value = tf.where(where != 0, held, value)
            return value

        def net(inputs: Any, hidden: Any) -> tuple:
            nets, waiting = cell.net(inputs, hidden)
            tapped = {name: nets[name] + taps_t[f"net_{name}"] for name in nets if name in of_nets}
            return {**nets, **tapped}, waiting

        return cell.step(x_t, states, touch=touch, **({"net": net} if of_nets else {}), **filters)

    states = list(cell.get_initial_state(batch_size=x.shape[0]))
    # as one nest, of which each step gets its slice at t
    values, _ = unroll(step, states, (x, taps, clamps))
    return {name: tf.cast(value, cell.variable_dtype) for name, value in values.items()}
