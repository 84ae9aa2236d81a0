"""Values: all that the cell does on the probe, compiled once for every measure that looks at it."""

import weakref
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lstmlab.diagnostics.base import compiled, trace

_compiled: weakref.WeakKeyDictionary[object, Callable] = weakref.WeakKeyDictionary()


def values(model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every named value of the model's cell at every step, {name: [B, T, ...]} as NumPy, for inputs x [B, T, F]."""
    if model not in _compiled:
        seen = weakref.ref(model)  # what is kept for a model must not keep it

        def traced(x):
            return trace(seen().cell, x)

        _compiled[model] = compiled(traced)
    return {name: value.numpy() for name, value in _compiled[model](tf.constant(x)).items()}
