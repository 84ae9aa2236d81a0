"""traces: what every GatedRNN of a finished Keras model does, step by step."""

from collections.abc import Callable
from contextlib import contextmanager

import keras
from keras import ops

_collectors: list[dict] = []  # the dictionaries that `traces` wants filled, innermost last
_listeners: list[Callable] = []  # who hears what layers are called with and answer, innermost last


def collecting() -> bool:
    """Whether a layer that is called now is asked for its values."""
    return bool(_collectors)


def collect(name: str, values: dict) -> None:
    """A layer's values, for whoever asked; a layer that is called again gets a number."""
    if not _collectors:
        return
    found, again, unique = _collectors[-1], 1, name
    while unique in found:
        unique, again = f"{name}_{again}", again + 1
    found[unique] = values


@contextmanager
def listening(listener: Callable):
    """Meanwhile every GatedRNN that is called asks listener(layer, given, output, states) for the output and states to go on.

    given: (sequences [B, T, F], initial states, mask or None) as they reach the loop; output [B, T, n] in the order of
    processing, or [B, n]; states: the list of the last ones. The listener answers with (output, states) of the same shapes.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def passed(layer, given: tuple, output, states: list) -> tuple:
    """The output and last states of a layer after whoever listens has heard, and perhaps tapped, them."""
    return _listeners[-1](layer, given, output, states) if _listeners else (output, states)


def traces(model, x, batch_size: int = 32) -> dict[str, dict]:
    """{layer name: {value name: array [B, T, ...]}} for every GatedRNN in a Keras model, on inputs x: what it does as it is.

    model: any built or callable Keras model (Sequential, functional, subclassed, nested, with Bidirectional, ...); x: what
    model.predict takes. Values as GatedCell.step names them; a layer that is called twice has its second call under "name_1".
    Training arguments, states and random seeds of the model stay as they are. Nothing is sampled: dropout is off.
    Raises ValueError for a model without a GatedRNN.
    """
    if not isinstance(model, keras.Layer):
        raise ValueError(f"traces: expected a Keras model. Received: model={model!r}")
    if any(len(part) == 0 for part in keras.tree.flatten(x) if hasattr(part, "__len__")):
        raise ValueError("traces: expected at least one sequence. Received: an empty x")
    with untouched(model):
        return _Traced(model).predict(x, batch_size=batch_size, verbose=0)


@contextmanager
def untouched(model, *more):
    """Afterwards the model's states, seeds and counts, and the variables `more`, are what they were."""
    before = [
        (v, ops.convert_to_numpy(v))
        for v in (*model.non_trainable_variables, *_states(model), *more)
    ]
    try:
        yield
    finally:
        for state in _states(model):  # those of a model that was built just now
            state.assign(ops.zeros_like(state.value))
        for variable, value in before:
            variable.assign(value)


def _states(model) -> list:
    """The states of stateful layers, which Keras does not count among the variables of a model."""
    return keras.tree.flatten(
        [
            layer.states or []
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.RNN)
        ]
    )


class _Traced(keras.Model):
    """A model that answers with the traces of another."""

    def __init__(self, model):
        super().__init__(name="traced")
        self.model = model

    def call(self, x):
        with _collected() as found:
            self.model(x, training=False)
        if not found:
            raise ValueError(
                f"traces: expected a model with at least one GatedRNN. Received: model={self.model.name!r}"
            )
        return found


@contextmanager
def _collected():
    _collectors.append({})
    try:
        yield _collectors[-1]
    finally:
        _collectors.pop()
