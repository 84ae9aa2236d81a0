"""The recurrent layers of Keras in a finished model, each looked at through a GatedRNN.

The model keeps its layers and weights. While somebody looks, and in that thread only, the loop of
such a layer is run by its twin: a GatedRNN with a copy of its weights that is the same function.
"""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
from keras import ops, tree

from lstmlab.cells.convert import arguments, kind_and_cell, take
from lstmlab.cells.gated import GatedCell
from lstmlab.cells.layer import GatedRNN
from lstmlab.errors import refusal

_lock = threading.Lock()


class Twins:
    """The twins of all Keras layers of a model that have one.

    It does not keep the model or its layers alive.

    Args:
        model: A Keras model, built.

    Attributes:
        left_out: {layer name: why it has no twin}, of recurrent layers.
    """

    def __init__(self, model: keras.Layer):
        self.left_out: dict[str, str] = {}
        self._twins: list[_Twin] = []
        for layer in stock_layers(model):
            try:
                self._twins.append(_Twin(layer))
            except ValueError as error:
                reason = " ".join(str(error).split())
                self.left_out[layer.name] = reason.removeprefix(f"{layer.name}: ")
        flat = model._flatten_layers()
        self._pairs = [
            weakref.ref(one) for one in flat if isinstance(one, keras.layers.Bidirectional)
        ]

    @property
    def layers(self) -> list[GatedRNN]:
        """Every twin."""
        return [layer for twin in self._twins for layer in twin.layers]

    def of(self, layers: Any) -> set[keras.Layer]:
        """The twins of these layers."""
        return {twin for one in self._twins if one.layer in layers for twin in one.layers}

    def follow(self) -> None:
        """Take on the present weights."""
        for twin in self._twins:
            twin.follow()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the twins run in place of their layers, in this thread."""
        with ExitStack() as stack:
            for twin in self._twins:
                stack.enter_context(_replaced(twin.layer, "inner_loop", twin.inner_loop))
            for pair in self._pairs:  # whose one kernel for both directions would go past them
                for name in ("_can_attempt_fused_lstm", "_can_attempt_fused_gru"):
                    stack.enter_context(_replaced(pair(), name, _never))
            yield


def stock_layers(model: keras.Layer) -> list[keras.layers.RNN]:
    """The recurrent layers of a model that are no GatedRNN, each once."""
    found = [one for one in model._flatten_layers() if isinstance(one, keras.layers.RNN)]
    return [one for one in dict.fromkeys(found) if not isinstance(one, GatedRNN)]


class _Twin:
    """The twin of one layer: a GatedRNN, or a chain of them for StackedRNNCells."""

    def __init__(self, layer: keras.layers.RNN):
        self._layer = weakref.ref(layer)
        plain = type(layer) is keras.layers.RNN
        stacked = plain and isinstance(layer.cell, keras.layers.StackedRNNCells)
        self.cells = list(layer.cell.cells) if stacked else [layer.cell]
        names = [f"{layer.name}_{cell.name}" for cell in self.cells] if stacked else [layer.name]
        if not stacked and not isinstance(layer.cell, GatedCell):
            kind_and_cell(layer.name, layer)  # refuses a class derived from a layer of Keras
        pairs = zip(self.cells, names, strict=True)
        self.layers = [_gated(cell, name, layer) for cell, name in pairs]
        self._stacked = stacked
        self.follow()

    @property
    def layer(self) -> Any:
        return self._layer()

    def follow(self) -> None:
        """Take on the present weights and flags of the layer."""
        last, layer = self.layers[-1], self.layer
        last.return_sequences = layer.return_sequences
        last.zero_output_for_mask = layer.zero_output_for_mask
        last.go_backwards = layer.go_backwards and not self._stacked
        for gated, cell in zip(self.layers, self.cells, strict=True):
            if gated.cell is not cell:
                take(gated.cell, kind_and_cell(gated.name, cell)[0], cell)

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple:
        """As that of the layer: last output, all outputs, last states."""
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if not self._stacked:
            return _run(self.layers[0], sequences, initial_state, mask)

        if self.layer.go_backwards:  # turned once, and not by each of the chain
            sequences, mask = ops.flip(sequences, 1), None if mask is None else ops.flip(mask, 1)
        last, after = sequences, []
        for gated, states in zip(self.layers, initial_state, strict=True):
            last, sequences, new = _run(gated, sequences, states, mask)
            after.append(new if tree.is_nested(states) else new[0])
        return last, sequences, after[0] if len(after) == 1 else after


def _run(gated: GatedRNN, sequences: Any, states: Any, mask: Any) -> tuple:
    states = list(states) if tree.is_nested(states) else [states]
    # a Keras cell would cast them when it is called
    states = [ops.cast(state, gated.cell.compute_dtype) for state in states]
    return gated.looked_at(sequences, states, mask)


def _gated(cell: Any, name: str, layer: keras.layers.RNN) -> GatedRNN:
    """The GatedRNN of a cell: of a Keras cell a copy, of a GatedCell itself."""
    if not isinstance(cell, GatedCell):
        cell = _copied(cell, name)
    # flags of a member of a chain; `follow` sets those of the last, or only, one
    return GatedRNN(cell, return_sequences=True, name=name, dtype=layer.dtype_policy)


def _copied(cell: Any, name: str) -> GatedCell:
    kind, _ = kind_and_cell(name, cell)
    if not cell.built:
        raise refusal(name, "a built layer, which has weights", {"built": False})
    drawn = random.getstate()  # Keras draws a seed even for what starts at zero
    try:
        made = GatedCell(**arguments(kind, _Bare(cell)), name=cell.name)
        made.build((None, cell.kernel.shape[0]))
    finally:
        random.setstate(drawn)
    made.built = True
    return made


class _Bare:
    """A Keras cell without what is of no account for the values of finished weights."""

    _without: dict[str, Any] = {
        f"{w}_initializer": keras.initializers.Zeros() for w in ("kernel", "recurrent", "bias")
    }
    _without |= {
        f"{w}_{kind}": None
        for w in ("kernel", "recurrent", "bias")
        for kind in ("regularizer", "constraint")
    }
    _without |= {"dropout": 0.0, "recurrent_dropout": 0.0, "seed": None}

    def __init__(self, cell: Any):
        self._cell = cell

    def __getattr__(self, name: str) -> Any:
        return self._without[name] if name in self._without else getattr(self._cell, name)


# ---- methods replaced for a while


class _Replaced:
    """A method of one object that is another one in those threads that asked for it."""

    def __init__(self, original: Any, own: Any):
        self.original, self.users = original, 0
        self.own = own  # what stood in the place of the class's method before
        self.here = threading.local()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        stack = getattr(self.here, "stack", None)
        return (stack[-1] if stack else self.original)(*args, **kwargs)

    def leave(self, owner: Any, name: str) -> None:
        """Make the object as it was."""
        if self.own is None:
            del vars(owner)[name]
        else:
            vars(owner)[name] = self.own


@contextmanager
def _replaced(owner: Any, name: str, method: Any) -> Iterator[None]:
    """Let owner.name be `method` in this thread; an attribute of the object, not of its class."""
    with _lock:
        one = vars(owner).get(name)
        if not isinstance(one, _Replaced):
            one = _Replaced(getattr(owner, name), own=one)
        # past __setattr__, by which Keras and TensorFlow take note of attributes
        vars(owner)[name] = one
        one.users += 1
    one.here.stack = [*getattr(one.here, "stack", []), method]
    try:
        yield
    finally:
        one.here.stack.pop()
        with _lock:
            one.users -= 1
            if not one.users:
                one.leave(owner, name)


def _never(*args: Any, **kwargs: Any) -> bool:
    return False
