"""The weights of a network that cascade correlation grows: as matrices, and as a table."""

from typing import Any

import numpy as np
import tensorflow as tf

from lstmlab.typing import Array, Tensor


def weights_in(cell: Any) -> Tensor:
    """Return the weights into each place of a CascadeCell, [n, P + 1].

    They come from the bias, the inputs, the units, and from the unit itself.
    """
    n = cell.units
    between = tf.zeros((n, n), cell.kernel.dtype)
    if n > 1:
        between = tf.scatter_nd(_places(cell), cell.cascade.value, (n, n))
    parts = [cell.bias[:, None], tf.transpose(cell.kernel), between, cell.recurrent[:, None]]
    return tf.concat(parts, axis=1)


def assign_weights_in(cell: Any, net: Tensor, units: Tensor) -> None:
    """Set the weights that `weights_in` returns, and how many units there are."""
    n = cell.units
    cell.bias.assign(net[:, 0])
    cell.kernel.assign(tf.transpose(net[:, 1 : -n - 1]))
    cell.recurrent.assign(net[:, -1])
    if n > 1:
        cell.cascade.assign(tf.gather_nd(net[:, -n - 1 : -1], _places(cell)))
    cell.installed.assign(tf.cast(tf.range(n) < units, net.dtype))


def weights_out(head: Any) -> Tensor:
    """Return the weights to the outputs, [P, K]: from the bias, the inputs and the units."""
    return tf.concat([head.bias[None], head.shortcut_kernel, head.kernel], axis=0)


def assign_weights_out(head: Any, outputs: Tensor, features: int) -> None:
    """Set the weights that `weights_out` returns."""
    head.bias.assign(outputs[0])
    head.shortcut_kernel.assign(outputs[1 : 1 + features])
    head.kernel.assign(outputs[1 + features :])


def table(cell: Any, head: Any, features: int, units: int) -> dict[str, list]:
    """Return every weight of the network as columns to, from, weight.

    A self weight is from itself.
    """
    inputs = [f"input_{f + 1}" for f in range(features)]
    names = [f"unit_{k + 1}" for k in range(units)]
    sources = ["bias", *inputs, *names]
    into, out = weights_in(cell).numpy(), weights_out(head).numpy()

    rows: list[tuple] = []
    for k, name in enumerate(names):
        before = sources[: 1 + features + k]
        rows += [(name, source, weight) for source, weight in zip(before, into[k], strict=False)]
        rows.append((name, name, into[k, -1]))
    for o in range(out.shape[1]):
        weights = zip(sources, out[:, o], strict=False)
        rows += [(f"output_{o + 1}", source, weight) for source, weight in weights]

    columns = zip(*rows, strict=True)
    return {
        name: list(column) for name, column in zip(("to", "from", "weight"), columns, strict=True)
    }


def _places(cell: Any) -> Array:
    """Where the weights between units lie in a matrix [n, n]."""
    return np.stack([cell.targets, cell.sources], axis=1)
