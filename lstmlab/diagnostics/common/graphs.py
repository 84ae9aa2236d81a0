"""Functions as graphs: plain ones for small probes, XLA's for large ones."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

FEW = 8000  # steps of all sequences of a probe


def compiled(function: Callable) -> Callable:
    """Compile function(x [B, T, ...], *tensors), once for each shape, and by XLA for many steps.

    XLA is about four times faster at each step, but takes a second or more to compile: too much
    for a small probe.
    """
    graphs = {xla: tf.function(function, jit_compile=xla, autograph=False) for xla in (False, True)}

    def run(x: Any, *more: Any) -> Any:
        many = x.shape[0] * x.shape[1] > FEW
        return graphs[many](x, *more)

    return run
