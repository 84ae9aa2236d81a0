"""traces: what every recurrent layer of a finished Keras model does, step by step."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
from keras import ops

from lstmlab.cells.fingerprint import fingerprint
from lstmlab.cells.layer import GatedRNN
from lstmlab.cells.stock import Twins, stock_layers
from lstmlab.cells.watching import collected
from lstmlab.errors import refusal

_lock = threading.Lock()
_locks: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_kept: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()


def traces(model: Any, x: Any, batch_size: int = 32) -> dict[str, dict]:
    """Show what every recurrent layer in a Keras model does, step by step.

    These are the GatedRNN layers, and of Keras' own LSTM, GRU and SimpleRNN, and RNN around their
    cells: the model need not be rebuilt for it. What is compiled for a model is kept as long as the
    model lives; weights that change are followed, and a changed layer is compiled anew. Training
    arguments, states and random seeds of the model stay as they are; dropout is off. A recurrent
    layer that cannot be looked at is named on stderr.

    Args:
        model: Any built or callable Keras model (Sequential, functional, subclassed, nested, with
            Bidirectional, ...).
        x: What model.predict takes.
        batch_size: Sequences taken together.

    Returns:
        {layer name: {value name: array [B, T, ...]}}, values as GatedCell.step names them; the
        update gate of a Keras GRU, which multiplies the old state, is the forget gate. A layer that
        is called twice has its second call under "name_1". In the RNN of several cells each has an
        entry "layer_cell".

    Raises:
        ValueError: For a model without such a layer, and for no sequences.
    """
    if not isinstance(model, keras.Layer):
        raise refusal("traces", "a Keras model", {"model": model})
    if any(_is_empty(part) for part in keras.tree.flatten(x)):
        raise refusal("traces", "at least one sequence", "an empty x")
    with alone(model), untouched(model):
        ready(model, x, batch_size)
        look = _look(model)
        look.twins.follow()
        with look.twins.in_place(), _not_lost(look):
            return look.predict(x, batch_size=batch_size, verbose=0)


def ready(model: Any, x: Any, batch_size: int | None = None) -> None:
    """Call a model on a batch of x if it has recurrent layers of Keras without weights.

    Raises:
        ValueError: x is an iterator, of which nothing can be taken without losing it.
    """
    if all(layer.built for layer in stock_layers(model)) and _complete(model):
        return
    if hasattr(x, "element_spec"):  # a tf.data.Dataset
        x = next(iter(x.take(1)))
    elif isinstance(x, keras.utils.PyDataset):
        x = x[0]
    elif hasattr(x, "__next__"):
        raise refusal("traces", "a built model: call it once on a batch", {"built": False})
    else:
        x = keras.tree.map_structure(lambda part: ops.convert_to_tensor(part[:batch_size]), x)
    known = {id(state) for state in _states(model)}
    model(x[0] if isinstance(x, tuple) else x, training=False)
    for state in _states(model):
        if id(state) not in known:  # which this call has moved on
            state.assign(ops.zeros_like(state.value))


def _complete(model: Any) -> bool:
    """Whether the layers of a model are known: a Sequential one may have none before its inputs."""
    return model.built or any(isinstance(one, GatedRNN) for one in model._flatten_layers())


def recurrent(owner: str, model: Any, twins: Twins) -> None:
    """Refuse a model in which no recurrent layer can be looked at; name those that cannot.

    Raises:
        ValueError: There is none.
    """
    why = "; ".join(f"{name}: {reason}" for name, reason in twins.left_out.items())
    if not twins.layers and not has_gated_rnn(model):
        expected = (
            "a model with at least one GatedRNN, keras.layers.LSTM, GRU, SimpleRNN, or RNN "
            "of their cells"
        )
        received = f"model={model.name!r}" + (f", with {why}" if why else "")
        raise refusal(owner, expected, received)
    for name, reason in twins.left_out.items():
        print(f"{owner}: {name}: left out, {reason}", file=sys.stderr)


def has_gated_rnn(model: Any) -> bool:
    """Whether a GatedRNN is anywhere in the model."""
    return any(isinstance(layer, GatedRNN) for layer in model._flatten_layers())


@contextmanager
def alone(model: Any) -> Iterator[None]:
    """Wait until no other thread looks at the model, whose states are put back after each look."""
    with _lock:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        yield


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


@contextmanager
def _not_lost(look: Any) -> Iterator[None]:
    """Give the variables their values back after an error: for JAX, Keras takes them away."""
    away = keras.backend.backend() == "jax"
    values = [(one, one.value) for one in look.variables] if away else []
    try:
        yield
    except Exception:
        for variable, value in values:
            variable.assign(value)
        raise


# ---- a compiled look, which is kept


class _Kept(NamedTuple):
    """A look at a model, and what the model was like when it was made."""

    of: tuple
    look: Any


def _look(model: Any) -> Any:
    """The look that was kept for this model, or a new one where a layer has changed."""
    now = fingerprint(model)
    with _lock:
        kept = _kept.get(model)
    if kept is None or kept.of != now:
        kept = _Kept(now, _Look(model))
        with _lock:
            _kept[model] = kept
    return kept.look


class _Look(keras.Model):
    """A model that answers with the traces of another, which it does not keep alive."""

    def __init__(self, model: Any):
        super().__init__(name="traced")
        self._seen = weakref.ref(model)
        self.twins = Twins(model)
        recurrent("traces", model, self.twins)

    # of the other model: a backend without state, such as JAX, is handed them at each call

    @property
    def trainable_variables(self) -> list:
        return self._all("trainable_variables")

    @property
    def non_trainable_variables(self) -> list:
        return self._all("non_trainable_variables")

    @property
    def variables(self) -> list:
        return [*self.trainable_variables, *self.non_trainable_variables]

    def _all(self, kind: str) -> list:
        found = [getattr(self._seen(), kind), *(getattr(one, kind) for one in self.twins.layers)]
        return list({id(one): one for part in found for one in part}.values())

    def call(self, x: Any) -> dict:
        model: Any = self._seen()
        if not model.built:  # first, since building calls the layers on what has no values
            model(x, training=False)
        with collected() as found:
            model(x, training=False)
        return found
