"""What the tests of GatedCell share: cells with random weights, and one step of them in NumPy."""

import numpy as np
import tensorflow as tf
from oracles import randomize

from lstmlab import Gate, GatedCell

B, T, F, N = 2, 5, 3, 4


def normal(rng, *shape, dtype="float64"):
    return tf.constant(rng.normal(size=shape), dtype)


def built(rng, **arguments) -> GatedCell:
    cell = GatedCell(N, **arguments, dtype="float64")
    cell.build((B, F))
    randomize(cell, rng)
    return cell


def unseen(**arguments):
    cell = GatedCell(N, **arguments)
    cell.build((None, F))
    return cell


def logistic(net):
    return 1 / (1 + np.exp(-net))


def wide(cell, gate):
    """[B, m] -> [B, n]."""
    return np.repeat(gate, cell.block_size, axis=1)


def stepped(cell, rng, training=False):
    """x, the states before, values and states after one step, by name, in NumPy."""
    x, before = (
        rng.normal(size=(B, F)),
        {
            n: rng.normal(size=(B, k))
            for n, k in zip(cell.state_names, cell.state_size, strict=True)
        },
    )
    values, after = cell.step(
        tf.constant(x), [tf.constant(before[name]) for name in cell.state_names]
    )
    after = {name: value.numpy() for name, value in zip(cell.state_names, after, strict=True)}
    return x, before, {name: value.numpy() for name, value in values.items()}, after


def net_of(cell, name, x, hidden):
    """Net input of a net of a cell that reads all back through one matrix and has all biases,
    without peephole.
    """
    order = ("input_gate", "forget_gate", "refine_gate", "reset_gate", "candidate", "output_gate")
    own = [n for n in order if n == "candidate" or isinstance(getattr(cell, n), Gate)]
    sizes = [N if n == "candidate" else cell.blocks for n in own]
    start = sum(sizes[: own.index(name)])
    columns = slice(start, start + sizes[own.index(name)])
    return (
        x @ cell.kernel.numpy()[:, columns]
        + hidden @ cell.recurrent_kernel.numpy()[:, columns]
        + cell.bias.numpy()[columns]
    )
