"""What a compiled look at a model depends on besides weights: its layers and their switches."""

from __future__ import annotations

import types
import weakref
from functools import cache
from typing import Any

import keras
import numpy as np

DEEP = 4  # objects within objects that are looked into
# attributes that calling or training a model changes, though not what it computes
VOLATILE = {
    "history",
    "optimizer",
    "stop_training",
    "stop_evaluating",
    "stop_predicting",
    "_compile_config",
    "_compiled_trainable_state",
    "_eval_epoch_iterator",
    "_dropout_mask",
    "_recurrent_dropout_mask",
    "_expected_batch_size",
    "states",
    "_chosen",
}
STAY = {"name", "_dtype_policy", "_trainable"}  # of what every layer has


def fingerprint(model: keras.Layer) -> tuple:
    """A value that is another one after a layer, or a switch of one, has been changed.

    Weights do not matter, nor what training changes. It keeps nothing of the model alive. Not seen
    are changes in what a layer's own Python code reads from elsewhere.
    """
    layers = [model, *model._flatten_layers(include_self=False)]
    return tuple((_Same(layer), *_attributes(layer)) for layer in layers)


def _attributes(layer: keras.Layer) -> list:
    ignored = _of_every_layer() | VOLATILE
    return [
        (name, _value(value, DEEP))
        for name, value in sorted(vars(layer).items())
        if name not in ignored and not name.startswith("_self_")
    ]


@cache
def _of_every_layer() -> frozenset[str]:
    """The attributes that Keras gives to every layer and every model."""
    return frozenset({*vars(keras.Layer()), *vars(keras.Model())} - STAY)


def _value(value: Any, deep: int) -> Any:
    """A number or a text as it is, and of other objects which one it is, and what it holds."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return type(value), value
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, dict):
        return [(str(key), _value(one, deep)) for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return [_value(one, deep) for one in value]
    if not deep or not hasattr(value, "__dict__") or _has_a_place_of_its_own(value):
        return _Same(value)
    held = [(name, _value(one, deep - 1)) for name, one in sorted(vars(value).items())]
    return _Same(value), held


def _has_a_place_of_its_own(value: Any) -> bool:
    """Layers are in the list themselves; variables, functions and classes are what they are."""
    alone = (keras.Layer, keras.Variable, types.FunctionType, types.ModuleType, type)
    return isinstance(value, alone) or type(value).__module__.startswith(("tensorflow", "keras."))


class _Same:
    """Equal to another one of the same object, as long as the object lives."""

    def __init__(self, value: Any):
        try:
            # one reference to an object is shared as long as it lives, and so no id is used twice
            self.of: Any = weakref.ref(value)
        except TypeError:
            self.of = id(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return False
        return self.of is other.of or (isinstance(self.of, int) and self.of == other.of)

    __hash__ = None  # type: ignore[assignment]
