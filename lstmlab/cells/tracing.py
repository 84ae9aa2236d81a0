"""traces: what every GatedRNN of a finished Keras model does, step by step."""

from contextlib import contextmanager

import keras
from keras import ops

_collectors: list[dict] = []  # the dictionaries that `traces` wants filled, innermost last


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
    before = [(v, ops.convert_to_numpy(v)) for v in (*model.non_trainable_variables, *_states(model))]
    try:
        return _Traced(model).predict(x, batch_size=batch_size, verbose=0)
    finally:
        for state in _states(model):  # those of a model that was built just now
            state.assign(ops.zeros_like(state.value))
        for variable, value in before:
            variable.assign(value)


def _states(model) -> list:
    """The states of stateful layers, which Keras does not count among the variables of a model."""
    return keras.tree.flatten([layer.states or [] for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)])


class _Traced(keras.Model):
    """A model that answers with the traces of another."""

    def __init__(self, model):
        super().__init__(name="traced")
        self.model = model

    def call(self, x):
        with _collected() as found:
            self.model(x, training=False)
        if not found:
            raise ValueError(f"traces: expected a model with at least one GatedRNN. Received: model={self.model.name!r}")
        return found


@contextmanager
def _collected():
    _collectors.append({})
    try:
        yield _collectors[-1]
    finally:
        _collectors.pop()
