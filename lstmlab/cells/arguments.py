"""What GatedCell accepts beyond the validators of lstmlab.checks.

Each function returns the argument in its final form, or raises ValueError with its name and value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from lstmlab import checks
from lstmlab.cells.gates import GATES, LOGARITHMS, Coupled, Gate, mover, squashing
from lstmlab.cells.initializers import Opposite, is_another
from lstmlab.errors import refusal

HERE = "GatedCell"


def divisor(argument: str, value: Any, of: str, number: int) -> int:
    """A divisor of `number`, which the message calls `of`."""
    value = checks.integer(HERE, argument, value)
    if number % value:
        allowed = [d for d in range(1, number + 1) if number % d == 0]
        raise refusal(HERE, f"a divisor of {of}={number}, one of {allowed}", {argument: value})
    return value


def of_keras(kind: str, argument: str, value: Any) -> Any:
    """A Keras regularizer or constraint, its name, its config, or None."""
    try:
        found = getattr(keras, f"{kind}s").get(value)
    except (ValueError, TypeError):
        # not None, which is a valid answer: no regularizer, no constraint
        found = False
    if found is False or is_another(kind, found):
        raise refusal(HERE, f"a Keras {kind}, its name or None", {argument: value})
    return found


def gate(argument: str, value: Any) -> Gate | Coupled | str | None:
    """A Gate, a Coupled, 'closed' or None from what the user wrote."""
    entry = GATES[argument]
    if value is None or isinstance(value, Gate):
        return value

    if isinstance(value, Coupled) and entry.may_couple:
        return value
    if value == "coupled" and entry.partner is not None:
        return Coupled(entry.partner)
    if value == "closed" and entry.may_close:
        return value
    if isinstance(value, str) and value not in ("coupled", "closed"):
        # called for its message, which names the argument of the cell and not that of Gate
        squashing(HERE, argument, value)
        return Gate(value)

    words = ["a Gate", "the name of an activation"]
    words += [f"None ({'no gate: the constant 1' if entry.may_close else 'no such gate'})"]
    words += ["'closed' (the constant 0)"] if entry.may_close else []
    words += ["'coupled' (one minus the other)"] if entry.partner is not None else []
    words += ["a Coupled"] if entry.may_couple else []
    raise refusal(HERE, f"{', '.join(words[:-1])} or {words[-1]}", {argument: value})


def gates(cell: Any) -> None:
    """The gates of a cell fit together."""
    for name, one in cell.own.items():
        _peephole(cell, name, one)
        _opposite(cell, name, one)

    if isinstance(cell.candidate_bias, Opposite):
        received = f"candidate_bias=Opposite({cell.candidate_bias.of!r})"
        raise refusal(HERE, "Opposite as the bias of a gate", received)
    for name, one in cell.gates.items():
        if isinstance(one, Coupled):
            _coupled(cell, name, one)
        moved = GATES[name].moves
        if moved and moved not in cell.own:
            expected = f"a Gate that the {GATES[name].words} can move"
            raise refusal(HERE, expected, {moved: getattr(cell, moved)})

    _reset_gate(cell)
    _normaliser(cell)
    _recurrence(cell)


def _opposite(cell: Any, name: str, one: Gate) -> None:
    """An Opposite bias follows that of another gate which has its own."""
    if isinstance(one.bias, Opposite):
        biased = [other for other, gate in cell.own.items() if gate.bias is not None]
        allowed = [n for n in biased if n != name and not isinstance(cell.own[n].bias, Opposite)]
        if one.bias.of not in allowed:
            meaning = "the name of another gate with a bias of its own"
            received = f"{name}.bias=Opposite({one.bias.of!r})"
            raise refusal(HERE, f"{meaning}, here one of {allowed}", received)


def _coupled(cell: Any, name: str, one: Coupled) -> None:
    """A Coupled follows a gate that is open before it; a shift needs that gate's plain value."""
    # a gate that looks at the new state opens too late to be followed
    allowed = [n for n, g in cell.own.items() if n != name and g.peephole != "current"]
    if one.to not in allowed:
        there = getattr(cell, one.to) if one.to in GATES and one.to != name else one.to
        plain = one.to in cell.own or there is one.to
        expected = f"the name of another gate with a Gate of its own, here one of {allowed}"
        received = f"{name}={one!r}" + ("" if plain else f" with {one.to}={there!r}")
        raise refusal(HERE, expected, received)
    if one.shift and (cell.normaliser or mover(cell.gates, one.to)):
        expected = "shift=0.0 where the gate that is followed is refined or normalised"
        raise refusal(HERE, expected, {name: one})


def _reset_gate(cell: Any) -> None:
    """A reset gate multiplies what the candidates read back, and only outputs."""
    if cell.reset_gate is None:
        if cell.reset_after:
            raise refusal(HERE, "False without a reset gate", {"reset_after": True})
        return
    if cell.feedback != "cells":
        raise refusal(HERE, "'cells' with a reset gate", {"feedback": cell.feedback})
    if cell.candidate_recurrent == "none":
        expected = "candidates that read back, for the reset gate"
        raise refusal(HERE, expected, {"candidate_recurrent": "none"})


def _recurrence(cell: Any) -> None:
    """What is said of reading back agrees with `feedback` and `heads`."""
    kinds = {f"{name}.recurrent": one.recurrent for name, one in cell.own.items()}
    kinds["candidate_recurrent"] = cell.candidate_recurrent
    for argument, kind in kinds.items():
        if cell.feedback == "none" and kind not in ("full", "none"):
            expected = "'none', or 'full' as by default, because feedback='none' reads nothing back"
            raise refusal(HERE, expected, {argument: kind})
        if kind == "gates" and cell.feedback != "all":
            expected = "another kind without feedback='all', where no gate is fed back to it"
            raise refusal(HERE, expected, {argument: kind, "feedback": cell.feedback})
    if cell.heads > 1 and "block_diagonal" not in kinds.values():
        expected = "1 where nothing is read back by recurrent='block_diagonal'"
        raise refusal(HERE, expected, {"heads": cell.heads})


def _peephole(cell: Any, name: str, one: Gate) -> None:
    """A peephole needs a carousel, and the new state is seen only by what comes after it."""
    if one.peephole is None:
        return
    received = {f"{name}.peephole": one.peephole}
    if cell.forget_gate == "closed":
        expected = "None where the forget gate is 'closed': a peephole needs a carousel"
        raise refusal(HERE, expected, received)
    if one.peephole == "current" and name != "output_gate":
        expected = "None or 'previous': only the output gate comes after the new state"
        raise refusal(HERE, expected, received)


def _normaliser(cell: Any) -> None:
    """A normaliser takes the logarithms of input and forget gate."""
    if cell.normaliser is None:
        return
    for name in ("input_gate", "forget_gate"):
        if name not in cell.own:
            expected = f"a Gate with normaliser={cell.normaliser!r}"
            raise refusal(HERE, expected, {name: getattr(cell, name)})
        activation = cell.own[name].activation
        if not any(activation is getattr(keras.activations, a) for a in LOGARITHMS):
            expected = f"an activation in {LOGARITHMS} with normaliser={cell.normaliser!r}"
            raise refusal(HERE, expected, {name: cell.own[name]})
        # a logarithm of the pre-activation would be that of the gate before it is moved
        moving = mover(cell.gates, name)
        if moving is not None:
            raise refusal(HERE, f"None with a {moving.words}", {"normaliser": cell.normaliser})


def inputs(shape: tuple) -> None:
    """The shape of the inputs of a step."""
    if len(shape) != 2 or shape[1] is None:
        raise refusal(HERE, "inputs [B, F] of one step, F known", {"shape": tuple(shape)})


OF_KERAS = (  # what every Keras layer takes
    "name",
    "dtype",
    "trainable",
    "autocast",
    "activity_regularizer",
    "batch_size",
    "input_dtype",
    "input_shape",
    "input_dim",
    "batch_shape",
    "batch_input_shape",
)


def keywords(owner: str, given: dict, known: Sequence[str]) -> None:
    """No argument that neither we nor Keras know."""
    unknown = {name: value for name, value in given.items() if name not in (*known, *OF_KERAS)}
    if unknown:
        raise refusal(owner, f"arguments among {sorted(known)}", unknown)


def states(cell: Any, given: Sequence) -> None:
    """The states of a step are as many and as wide as the cell says, where shapes are known."""
    shapes, sizes = [tuple(state.shape) for state in given], cell.state_size
    fit = [
        len(shape) == 2 and shape[1] in (None, size)
        for shape, size in zip(shapes, sizes, strict=False)
    ]
    if len(shapes) != len(sizes) or not all(fit):
        named = zip(cell.state_names, sizes, strict=True)
        expected = ", ".join(f"{name} [B, {size}]" for name, size in named)
        raise refusal(HERE, f"states=[{expected}]", f"shapes {shapes}")


def weights(owner: str, own: Sequence, shapes: Sequence) -> None:
    """What is loaded has the number and the shapes of the layer's own weights."""
    if [tuple(shape) for shape in shapes] != [tuple(weight.shape) for weight in own]:
        named = ", ".join(f"{weight.name} {tuple(weight.shape)}" for weight in own)
        received = ", ".join(str(tuple(shape)) for shape in shapes) or "none for this cell"
        raise refusal(owner, f"weights {named}; {OF_STOCK}", received)


OF_STOCK = (
    "load those of a keras.layers.LSTM, GRU or SimpleRNN into that layer, and take "
    "lstmlab.GatedRNN.from_keras(layer)"
)
