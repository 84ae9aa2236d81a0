"""What GatedCell accepts: each function returns the argument in its final form or raises ValueError with its name and value."""

from collections.abc import Sequence
from numbers import Integral, Real

import keras

from lstmlab.cells.gates import LOGARITHMS, Coupled, Gate, squashing
from lstmlab.cells.initializers import Opposite, PerBlock

PARTNER = {"input_gate": "forget_gate", "forget_gate": "input_gate"}
CONSTANT = (
    "input_gate",
    "forget_gate",
    "output_gate",
)  # these may be absent (1) or closed (0); the others absent only


def count(argument: str, value) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"GatedCell: expected a positive integer. Received: {argument}={value!r}")
    return int(value)


def divisor(argument: str, value, of: str, number: int) -> int:
    """A divisor of `number`, which the message calls `of`."""
    if number % count(argument, value):
        allowed = [d for d in range(1, number + 1) if number % d == 0]
        raise ValueError(
            f"GatedCell: {argument} must divide {of}={number}; expected one of {allowed}. Received: {argument}={value}"
        )
    return int(value)


def flag(argument: str, value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"GatedCell: expected true or false. Received: {argument}={value!r}")
    return value


def rate(argument: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ValueError(f"GatedCell: expected a number in [0, 1). Received: {argument}={value!r}")
    return float(value)


def seed(value) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise ValueError(f"GatedCell: expected an integer or None. Received: seed={value!r}")
    return None if value is None else int(value)


def length(argument: str, bias, number: int, meaning: str) -> None:
    bias = bias.values if isinstance(bias, PerBlock) else bias
    if isinstance(bias, (list, tuple)) and len(bias) != number:
        raise ValueError(
            f"GatedCell: expected {number} numbers, {meaning}. Received: {argument}={list(bias)}"
        )


def initializer(argument: str, value):
    try:
        found = keras.initializers.get(value)
    except ValueError:
        found = None
    if found is None or _is_another("initializer", found):
        raise ValueError(
            f"GatedCell: expected a Keras initializer or its name. Received: {argument}={value!r}"
        )
    return found


KINDS = {"initializer": "Initializer", "regularizer": "Regularizer", "constraint": "Constraint"}


def _is_another(kind: str, value) -> bool:
    """Whether it is an object of Keras, but of another kind; Keras itself would take it for a function."""
    return any(
        isinstance(value, getattr(getattr(keras, f"{k}s"), name))
        for k, name in KINDS.items()
        if k != kind
    )


def of_keras(kind: str, argument: str, value):
    """A Keras regularizer or constraint, its name, its config, or None."""
    try:
        found = getattr(keras, f"{kind}s").get(value)
    except (ValueError, TypeError):
        found = False
    if found is False or _is_another(kind, found):
        raise ValueError(
            f"GatedCell: expected a Keras {kind}, its name or None. Received: {argument}={value!r}"
        )
    return found


def gate(argument: str, value) -> Gate | Coupled | str | None:
    """A Gate, a Coupled, 'closed' or None from what the user wrote."""
    closed, coupled = argument in CONSTANT, argument in PARTNER
    if isinstance(value, str):
        if value == "coupled" and coupled:
            return Coupled(PARTNER[argument])
        if value == "closed" and closed:
            return value
        if value not in ("coupled", "closed"):
            squashing("GatedCell", argument, value)
            return Gate(value)
    elif (
        value is None
        or isinstance(value, Gate)
        or (isinstance(value, Coupled) and argument != "refine_gate")
    ):
        return value
    words = [
        "a Gate",
        "the name of an activation",
        "None (no gate: the constant 1)" if closed else "None (no such gate)",
    ]
    words += ["'closed' (the constant 0)"] if closed else []
    words += ["'coupled' (one minus the other)"] if coupled else []
    words += ["a Coupled"] if argument != "refine_gate" else []
    raise ValueError(
        f"GatedCell: expected {', '.join(words[:-1])} or {words[-1]}. Received: {argument}={value!r}"
    )


def gates(cell) -> None:
    """The gates of a cell, one with another."""
    own = cell.own
    for name, one in own.items():
        _peephole(cell, name, one)
        if isinstance(one.bias, Opposite):
            allowed = [
                n
                for n, g in own.items()
                if n != name and g.bias is not None and not isinstance(g.bias, Opposite)
            ]
            _among(
                f"{name}.bias",
                one.bias.of,
                allowed,
                "the name of another gate with a bias of its own",
                f"Opposite({one.bias.of!r})",
            )
    if isinstance(cell.candidate_bias, Opposite):
        raise ValueError(
            f"GatedCell: Opposite is for gates. Received: candidate_bias=Opposite({cell.candidate_bias.of!r})"
        )
    for name, one in cell.gates.items():
        if isinstance(one, Coupled):
            allowed = [n for n, g in own.items() if n != name and g.peephole != "current"]
            there = getattr(cell, one.to) if one.to in cell.GATES and one.to != name else one.to
            shown = (
                repr(one)
                if one.to in own or there is one.to
                else f"{one!r} with {one.to}={there!r}"
            )
            _among(
                name, one.to, allowed, "the name of another gate with a net input of its own", shown
            )
            if one.shift and (
                cell.normaliser or (one.to == "forget_gate" and cell.refine_gate is not None)
            ):
                raise ValueError(
                    "GatedCell: a shift goes with neither refine gate nor normaliser; expected shift=0.0. "
                    f"Received: {name}={one!r}"
                )
    if cell.refine_gate is not None and "forget_gate" not in own:
        raise ValueError(
            f"GatedCell: a refine gate needs a forget gate. Received: forget_gate={cell.forget_gate!r}"
        )
    if cell.reset_gate is not None and cell.feedback != "cells":
        raise ValueError(
            f"GatedCell: a reset gate needs feedback='cells'. Received: feedback={cell.feedback!r}"
        )
    if cell.reset_gate is None and cell.reset_after:
        raise ValueError(
            "GatedCell: reset_after needs a reset gate; expected False without one. Received: reset_after=True"
        )
    if cell.reset_gate is not None and cell.candidate_recurrent == "none":
        raise ValueError(
            "GatedCell: a reset gate needs candidates that read back. Received: candidate_recurrent='none'"
        )
    _normaliser(cell, own)
    _recurrence(cell, own)


def _recurrence(cell, own: dict) -> None:
    kinds = {f"{name}.recurrent": one.recurrent for name, one in own.items()}
    kinds["candidate_recurrent"] = cell.candidate_recurrent
    for argument, kind in kinds.items():
        if cell.feedback == "none" and kind not in ("full", "none"):
            raise ValueError(
                "GatedCell: feedback='none' reads nothing back; expected 'none', or 'full' as by default. "
                f"Received: {argument}={kind!r}"
            )
    if cell.heads > 1 and "block_diagonal" not in kinds.values():
        raise ValueError(
            f"GatedCell: heads are for recurrent='block_diagonal', which no net has; expected 1. Received: heads={cell.heads}"
        )


def _peephole(cell, name: str, one: Gate) -> None:
    if one.peephole is None:
        return
    if cell.forget_gate == "closed":
        raise ValueError(
            "GatedCell: a peephole needs a carousel; expected peephole=None, or a forget gate that is not 'closed'. "
            f"Received: {name}.peephole={one.peephole!r}"
        )
    if one.peephole == "current" and name != "output_gate":
        raise ValueError(
            "GatedCell: only the output gate comes after the new state; expected None or 'previous'. "
            f"Received: {name}.peephole='current'"
        )


def _normaliser(cell, own: dict) -> None:
    if cell.normaliser is None:
        return
    for name in ("input_gate", "forget_gate"):
        if name not in own:
            raise ValueError(
                f"GatedCell: normaliser={cell.normaliser!r} needs a Gate. Received: {name}={getattr(cell, name)!r}"
            )
        activation = own[name].activation
        if not any(activation is getattr(keras.activations, a) for a in LOGARITHMS):
            raise ValueError(
                f"GatedCell: normaliser={cell.normaliser!r} takes the logarithm of the gates; expected an activation in "
                f"{LOGARITHMS}. Received: {name}={own[name]!r}"
            )
    if cell.refine_gate is not None:
        raise ValueError(
            f"GatedCell: expected a refine gate or a normaliser, not both. Received: normaliser={cell.normaliser!r}"
        )


def _among(argument: str, value: str, allowed: Sequence[str], meaning: str, shown: str) -> None:
    if value not in allowed:
        raise ValueError(
            f"GatedCell: expected {meaning}, here one of {list(allowed)}. Received: {argument}={shown}"
        )


def inputs(shape) -> None:
    """The shape of the inputs of a step."""
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"GatedCell: expected inputs [B, F] of one step, F known. Received: shape={tuple(shape)}"
        )


OF_KERAS: tuple[str, ...] = (
    "name",
    "dtype",
    "trainable",
    "autocast",
    "activity_regularizer",
    "batch_size",
    "input_dtype",
)
OF_KERAS += (
    "input_shape",
    "input_dim",
    "batch_shape",
    "batch_input_shape",
)  # what every Keras layer takes


def keywords(owner: str, given: dict, known: Sequence[str]) -> None:
    """No argument that neither we nor Keras know."""
    unknown = {name: value for name, value in given.items() if name not in (*known, *OF_KERAS)}
    if unknown:
        received = ", ".join(f"{name}={value!r}" for name, value in unknown.items())
        raise ValueError(
            f"{owner}: unknown argument; expected some of {sorted(known)}. Received: {received}"
        )


def states(cell, given: Sequence) -> None:
    """The states that a step is given: as many and as wide as the cell says, as far as their shapes are known."""
    shapes, sizes = [tuple(state.shape) for state in given], cell.state_size
    fit = [
        len(shape) == 2 and shape[1] in (None, size)
        for shape, size in zip(shapes, sizes, strict=False)
    ]
    if len(shapes) != len(sizes) or not all(fit):
        expected = ", ".join(
            f"{name} [B, {size}]" for name, size in zip(cell.state_names, sizes, strict=True)
        )
        raise ValueError(f"GatedCell: expected states=[{expected}]. Received: shapes {shapes}")
