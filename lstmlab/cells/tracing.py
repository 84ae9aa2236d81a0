"""traces: what every GatedRNN of a finished Keras model does, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from lstmlab.errors import refusal

_collectors: list[dict] = []  # the dictionaries that `traces` fills, innermost last
_listeners: list[Callable] = []  # called with what layers get and answer, innermost last


def collecting() -> bool:
    """Whether a layer that is called now is asked for its values."""
    return bool(_collectors)


def collect(name: str, values: dict) -> None:
    """Keep a layer's values for the caller of `traces`; a layer called again gets a number."""
    if not _collectors:
        return
    found, again, unique = _collectors[-1], 1, name
    while unique in found:
        unique, again = f"{name}_{again}", again + 1
    found[unique] = values


@contextmanager
def listening(listener: Callable) -> Iterator[None]:
    """Let a listener hear, and perhaps change, what every GatedRNN answers meanwhile.

    Args:
        listener: (layer, given, output, states) -> (output, states) of the same shapes, with which
            the layer goes on. given: (sequences [B, T, F], initial states, mask or None) as they
            reach the loop; output: [B, T, n] in the order of processing, or [B, n]; states: the
            list of the last ones.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def passed(layer: Any, given: tuple, output: Any, states: list) -> tuple:
    """The output and last states of a layer, after the innermost listener."""
    return _listeners[-1](layer, given, output, states) if _listeners else (output, states)


def traces(model: Any, x: Any, batch_size: int = 32) -> dict[str, dict]:
    """Show what every GatedRNN in a Keras model does, step by step.

    Training arguments, states and random seeds of the model stay as they are; dropout is off.

    Args:
        model: Any built or callable Keras model (Sequential, functional, subclassed, nested, with
            Bidirectional, ...).
        x: What model.predict takes.
        batch_size: Sequences taken together.

    Returns:
        {layer name: {value name: array [B, T, ...]}}, values as GatedCell.step names them. A layer
        that is called twice has its second call under "name_1".

    Raises:
        ValueError: For a model without a GatedRNN, and for no sequences.
    """
    if not isinstance(model, keras.Layer):
        raise refusal("traces", "a Keras model", {"model": model})
    if any(_is_empty(part) for part in keras.tree.flatten(x)):
        raise refusal("traces", "at least one sequence", "an empty x")
    with untouched(model):
        return _Traced(model).predict(x, batch_size=batch_size, verbose=0)


def _is_empty(part: Any) -> bool:
    """Whether it has no sequences, as far as it knows its length: not every dataset does."""
    try:
        return len(part) == 0
    except TypeError:
        return False


@contextmanager
def untouched(model: Any, *more: Any) -> Iterator[None]:
    """Restore the model's states, seeds and counts, and the variables `more`, afterwards."""
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


def _states(model: Any) -> list:
    """The states of stateful layers, which Keras does not count as variables of a model."""
    return keras.tree.flatten(
        [
            layer.states or []
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.RNN)
        ]
    )


class _Traced(keras.Model):
    """A model that answers with the traces of another."""

    def __init__(self, model: Any):
        super().__init__(name="traced")
        self.model = model

    def call(self, x: Any) -> dict:
        with _collected() as found:
            self.model(x, training=False)
        if not found:
            expected = "a model with at least one GatedRNN"
            raise refusal("traces", expected, {"model": self.model.name})
        return found


@contextmanager
def _collected() -> Iterator[dict]:
    _collectors.append({})
    try:
        yield _collectors[-1]
    finally:
        _collectors.pop()
