"""Arguments of the public functions: arrays in the cell's dtype, refused where they do not fit."""

from typing import Any

import numpy as np

from lstmlab.diagnostics.base import Probe
from lstmlab.errors import refusal


def checked(
    owner: str, model: Any, x: Any, y: Any = ..., w: Any = None, each: bool = True
) -> tuple[np.ndarray, Any, np.ndarray]:
    """Convert x, y and w to the cell's dtype.

    Args:
        owner: The function that complains.
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        y: Targets [B, T, K]; if left out, None is returned for them.
        w: Weight of the error at each step [B, T]; None: 1 everywhere.
        each: Whether every sequence needs an error, a step with w > 0.

    Returns:
        x, y and w as arrays.

    Raises:
        ValueError: For a model without a GatedCell, for shapes that do not fit it or one another,
            for an empty batch, and for numbers that are not finite.
    """
    with_cell(owner, model)
    dtype = model.cell.variable_dtype
    # `...` and not None: a None given by mistake is refused
    given = {"x": x, **({} if y is ... else {"y": y})}
    arrays = {name: _array(owner, name, value, dtype) for name, value in given.items()}

    ones = np.ones(arrays["x"].shape[:2], dtype)
    arrays["w"] = ones if w is None else _array(owner, "w", w, dtype)

    _check_shapes(owner, model, arrays)
    _check_finite(owner, arrays)
    if each and not (arrays["w"] > 0).any(axis=1).all():
        raise refusal(owner, "at least one step with w > 0 in every sequence", "w without one")
    return arrays["x"], arrays.get("y"), arrays["w"]


def checked_probe(owner: str, model: Any, probe: Any) -> Probe:
    """The probe with numbers in the cell's dtype and flags as bool.

    Raises ValueError as `checked`, and for anything that is not a Probe.
    """
    with_cell(owner, model)
    if not isinstance(probe, Probe):
        received = f"probe={type(probe).__name__}"
        raise refusal(owner, "a Probe (x, y, w, valid, events)", received)

    x, y, w = checked(owner, model, *probe[:3], each=False)
    valid, events = (np.asarray(part, bool) for part in probe[3:])

    if not valid.shape == events.shape == w.shape:
        received = f"valid={valid.shape}, events={events.shape}"
        raise refusal(owner, f"valid and events [B, T] = {w.shape}", received)
    if not valid.any():
        raise refusal(owner, "at least one valid step", "valid without one")
    return Probe(x, y, w, valid, events)


def with_cell(owner: str, model: Any) -> None:
    """Raise ValueError, naming the function `owner`, for a model whose cell has no `step`."""
    if not hasattr(getattr(model, "cell", None), "step"):
        received = f"model={type(model).__name__}"
        raise refusal(owner, "a lstmlab.Recurrent with a GatedCell", received)


def _array(owner: str, name: str, value: Any, dtype: str) -> np.ndarray:
    try:
        # a number too large for the dtype becomes infinite, and is refused as that
        with np.errstate(over="ignore"):
            return np.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise refusal(owner, "an array of numbers", f"{name}={type(value).__name__}") from error


def _check_finite(owner: str, arrays: dict[str, np.ndarray]) -> None:
    for name, value in arrays.items():
        wrong = value.size - np.count_nonzero(np.isfinite(value))
        if wrong:
            raise refusal(
                owner, "finite numbers", f"{name} with {wrong} of {value.size} not finite"
            )


def _check_shapes(owner: str, model: Any, arrays: dict[str, np.ndarray]) -> None:
    shapes = {"x": "x [B, T, F]", "y": "y [B, T, K]", "w": "w [B, T]"}
    ranks = {"x": 3, "y": 3, "w": 2}
    received = ", ".join(f"{name}={value.shape}" for name, value in arrays.items())

    begins = arrays["x"].shape[:2]
    fit = (
        value.ndim == ranks[name] and value.shape[:2] == begins for name, value in arrays.items()
    )
    if not all(fit):
        joint = ", " if "y" in arrays else " and "
        raise refusal(owner, joint.join(shapes[name] for name in arrays), received)
    if not arrays["w"].size:
        raise refusal(owner, "at least one sequence of at least one step", received)

    kernel, head = getattr(model.cell, "kernel", None), getattr(model, "head", None)
    sizes = {"x": None if kernel is None else kernel.shape[0], "y": getattr(head, "outputs", None)}
    for name, size in sizes.items():
        if name in arrays and size is not None and arrays[name].shape[2] != size:
            raise refusal(owner, f"{name} [B, T, {size}]", f"{name}={arrays[name].shape}")
