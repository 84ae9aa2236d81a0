"""Everything the cell computes on the probe, compiled once for all measures that look at it."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from lstmlab.diagnostics.common.graphs import compiled
from lstmlab.diagnostics.common.tracing import trace

NEAR = 0.1  # a gate is "near 0" or "near 1" within this distance

_compiled: weakref.WeakKeyDictionary[object, Callable] = weakref.WeakKeyDictionary()


def values(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every named value of the model's cell, {name: [B, T, ...]}, for inputs x [B, T, F]."""
    if model not in _compiled:
        seen = weakref.ref(model)  # the graph kept for a model must not keep the model

        def traced(x: Any) -> dict[str, Any]:
            kept: Any = seen()
            return trace(kept.cell, x)

        # a partial, since TensorFlow would count the graphs of all models as one made anew
        _compiled[model] = compiled(partial(traced))
    return {name: value.numpy() for name, value in _compiled[model](tf.constant(x)).items()}
