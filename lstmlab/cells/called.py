"""What a GatedRNN may be called with. Each function raises ValueError for anything else."""

from __future__ import annotations

from typing import Any

from lstmlab.errors import refusal

HERE = "GatedRNN"


def inputs(cell: Any, shape: tuple) -> None:
    """The shape of the inputs is [B, T, F]."""
    features = cell.kernel.shape[0] if cell.built else None
    known = len(shape) == 3 and shape[1] != 0 and isinstance(shape[2], int)
    if not known or (features and shape[2] != features):
        expected = f"inputs [B, T, F], T at least 1, F {features or 'known'}"
        raise refusal(HERE, expected, {"shape": tuple(shape)})


def all_of(cell: Any, sequences: Any, initial_state: Any, mask: Any) -> None:
    """Inputs, a mask or None, and states or None fit together."""
    if isinstance(sequences, (list, tuple)):
        expected = "one tensor of inputs, with states as initial_state=[...]"
        raise refusal(HERE, expected, f"{len(sequences)} tensors")
    inputs(cell, sequences.shape)
    if hasattr(sequences, "row_splits"):
        expected = "a dense tensor; pad it and give a mask"
        raise refusal(HERE, expected, "a ragged tensor")
    batch, steps = sequences.shape[:2]
    if mask is not None:
        _mask(mask, (batch, steps))
    if initial_state is not None:
        _states(cell, initial_state, batch)


def _mask(mask: Any, shape: tuple) -> None:
    if not hasattr(mask, "shape"):
        raise refusal(HERE, f"a mask [B, T] = {shape}", {"mask": mask})
    if not _fits(mask.shape, shape):
        expected = f"a mask [B, T] = {shape}{_of_time_distributed(mask.shape, shape)}"
        raise refusal(HERE, expected, {"mask.shape": tuple(mask.shape)})


def _of_time_distributed(shape: Any, expected: tuple) -> str:
    """What to do about a mask that TimeDistributed has cut, or has handed on whole."""
    if len(shape) == 1 and _fits(shape, expected[:1]):
        return " (in TimeDistributed: cut from a mask [B, K, T])"
    if len(shape) == 3 and _fits(shape[:2], expected):
        return " (behind TimeDistributed: keras.ops.any(mask, axis=-1))"
    return ""


def _states(cell: Any, initial_state: Any, batch: Any) -> None:
    states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
    expected_shapes = [(batch, size) for size in cell.state_size]
    shapes = [tuple(getattr(state, "shape", ())) for state in states]
    if len(shapes) != len(expected_shapes) or not all(map(_fits, shapes, expected_shapes)):
        pairs = zip(cell.state_names, cell.state_size, strict=True)
        named = ", ".join(f"{name} [B, {size}]" for name, size in pairs)
        raise refusal(HERE, f"initial_state=[{named}], B={batch}", f"shapes {shapes}")


def _fits(shape: Any, expected: tuple) -> bool:
    """Whether a shape is the expected one, as far as both are known."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )
