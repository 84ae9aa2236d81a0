"""Diagnostic: the interface of every measure, the probe batch, and a traced forward pass."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.unroll import unroll

FEW = 8000  # steps of all sequences of a probe


class Probe(NamedTuple):
    """The fixed batch: x [B, T, F], y [B, T, K], w [B, T]; bool [B, T]: valid, the steps that are no padding, and events."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    valid: np.ndarray
    events: np.ndarray


class Diagnostic(abc.ABC):
    """A measure on the probe batch.

    every: training sequences between two measurements, or 'window': after each window, or 'doubling': after 1000, 2000,
    4000, ... sequences, for what is wide to look at. Whatever it is, a run measures before its first and after its last window.
    Each measurement is a table; the run keeps all of them in <name>.csv with the number of sequences trained in front.
    Raises ValueError for another `every`.
    """

    name: str
    _model: Any = None

    def __init__(self, every: int | str = 10_000):
        if every not in ("window", "doubling") and (
            isinstance(every, bool) or not isinstance(every, int) or every < 1
        ):
            raise ValueError(
                f"{type(self).__name__}: expected a positive integer, 'window' or 'doubling'. Received: every={every!r}"
            )
        self.every = every

    def serves(self, model) -> bool:
        """Whether the model has what is measured; a run leaves out, with a word, a diagnostic that does not serve it."""
        return hasattr(model.cell, "step")

    def due(self, before: int, now: int) -> bool:
        """Whether a measurement falls due between `before` and `now` training sequences."""
        if self.every == "doubling":
            return (before // 1000).bit_length() != (now // 1000).bit_length()
        return isinstance(self.every, str) or before // self.every != now // self.every

    @abc.abstractmethod
    def measure(self, model, probe: Probe) -> pd.DataFrame:
        """One measurement. Leaves for `show` what a picture needs beyond the table."""

    def compiled(self, model, function: Callable) -> Callable:
        """function(model, *tensors), one function for each diagnostic and model, compiled as `compiled` does it."""
        if self._model is not model:
            self._model = model
            self._compiled = compiled(partial(function, model))
        return self._compiled

    @abc.abstractmethod
    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        """Write the measurement to a TensorBoard (see diagnostics.tensorboard)."""


def compiled(function: Callable) -> Callable:
    """function(x [B, T, ...], *tensors) as a graph, for each shape once; by XLA where there are many steps.

    XLA is about four times faster at each step, and takes a second or more to compile: too much for a small probe.
    """
    graphs = {xla: tf.function(function, jit_compile=xla, autograph=False) for xla in (False, True)}
    return lambda x, *more: graphs[x.shape[0] * x.shape[1] > FEW](x, *more)


def trace(cell, x, see=None, taps=None, clamps=None, **filters):
    """Every named value of the cell at every step, {name: [B, T, ...]}, from the zero state.

    see, filters: as GatedCell.step takes them (see_candidate). taps: {name: [B, T, ...]} added to values of that name as they
    arise, or, named net_<name>, to the net inputs; their derivative is that of the value. clamps: {name: (where [B, T, 1],
    value [B, T, 1 or size])}: where `where` is not 0, the value stands in for what arises there. A tap comes before a clamp.
    """
    taps, clamps = taps or {}, clamps or {}
    filters |= {} if see is None else {"see": see}
    of_nets = {name.removeprefix("net_") for name in taps if name.startswith("net_")}

    def step(at_t, states):
        x_t, taps_t, clamps_t = at_t

        def touch(name, value):
            value = value + taps_t[name] if name in taps_t else value
            if name in clamps_t:
                where, held = clamps_t[name]
                value = tf.where(where != 0, held, value)
            return value

        def net(inputs, hidden):
            nets, waiting = cell.net(inputs, hidden)
            return {
                name: value + taps_t[f"net_{name}"] if name in of_nets else value
                for name, value in nets.items()
            }, waiting

        return cell.step(x_t, states, touch=touch, **({"net": net} if of_nets else {}), **filters)

    values, _ = unroll(step, list(cell.get_initial_state(batch_size=x.shape[0])), (x, taps, clamps))
    return {name: tf.cast(value, cell.variable_dtype) for name, value in values.items()}


def thinned(longest: int, most: int = 500) -> np.ndarray:
    """The lags 0 .. longest at which a curve is kept: all, if `most` hold them; else all up to 64, and geometrically beyond."""
    if longest < most:
        return np.arange(longest + 1)
    near = min(64, most // 2)
    return np.unique(
        np.r_[: near + 1, np.geomspace(near, longest, most - near).round().astype(int)]
    )


def checked(owner: str, model, x, y: Any = ..., w=None, each: bool = True) -> tuple:
    """x [B, T, F], y [B, T, K] (left out: None comes back) and w [B, T] (None: 1 everywhere), in the cell's dtype.

    each: every sequence needs an error, a step with w > 0. Raises ValueError, naming the function `owner`, for a model without
    a GatedCell, for shapes that do not fit it or each other, for nothing, and for numbers that are not finite.
    """
    with_cell(owner, model)
    given = {"x": x, **({} if y is ... else {"y": y})}
    arrays = {
        name: _array(owner, name, value, model.cell.variable_dtype) for name, value in given.items()
    }
    ones = np.ones(arrays["x"].shape[:2], model.cell.variable_dtype)
    arrays["w"] = ones if w is None else _array(owner, "w", w, ones.dtype)
    _check_shapes(owner, model, arrays)
    for name, value in arrays.items():
        wrong = value.size - np.count_nonzero(np.isfinite(value))
        if wrong:
            raise ValueError(
                f"{owner}: expected finite numbers. Received: {name} with {wrong} of {value.size} not finite"
            )
    if each and not (arrays["w"] > 0).any(axis=1).all():
        raise ValueError(
            f"{owner}: expected at least one step with w > 0 in every sequence. Received: w without one"
        )
    return arrays["x"], arrays.get("y"), arrays["w"]


def checked_probe(owner: str, model, probe) -> Probe:
    """The probe, numbers in the cell's dtype, flags bool. Raises ValueError as `checked`, and for a probe that is none."""
    with_cell(owner, model)
    if not isinstance(probe, Probe):
        raise ValueError(
            f"{owner}: expected a Probe (x, y, w, valid, events). Received: probe={type(probe).__name__}"
        )
    x, y, w = checked(owner, model, *probe[:3], each=False)
    valid, events = (np.asarray(part, bool) for part in probe[3:])
    if not valid.shape == events.shape == w.shape:
        raise ValueError(
            f"{owner}: expected valid and events [B, T] = {w.shape}. Received: valid={valid.shape}, events={events.shape}"
        )
    if not valid.any():
        raise ValueError(f"{owner}: expected at least one valid step. Received: valid without one")
    return Probe(x, y, w, valid, events)


def with_cell(owner: str, model) -> None:
    """Raises ValueError, naming the function `owner`, for a model without a cell that has `step`."""
    if not hasattr(getattr(model, "cell", None), "step"):
        raise ValueError(
            f"{owner}: expected a lstmlab.Recurrent with a GatedCell. Received: model={type(model).__name__}"
        )


def _array(owner: str, name: str, value, dtype) -> np.ndarray:
    try:
        with np.errstate(
            over="ignore"
        ):  # what the dtype does not hold is infinite, and refused as that
            return np.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{owner}: expected an array of numbers. Received: {name}={type(value).__name__}"
        ) from error


def _check_shapes(owner: str, model, arrays: dict[str, np.ndarray]) -> None:
    ranks = {"x": ("x [B, T, F]", 3), "y": ("y [B, T, K]", 3), "w": ("w [B, T]", 2)}
    received = ", ".join(f"{name}={value.shape}" for name, value in arrays.items())
    if any(
        value.ndim != ranks[name][1] or value.shape[:2] != arrays["x"].shape[:2]
        for name, value in arrays.items()
    ):
        asked = (", " if "y" in arrays else " and ").join(ranks[name][0] for name in arrays)
        raise ValueError(f"{owner}: expected {asked}. Received: {received}")
    if not arrays["w"].size:
        raise ValueError(
            f"{owner}: expected at least one sequence of at least one step. Received: {received}"
        )
    kernel, head = getattr(model.cell, "kernel", None), getattr(model, "head", None)
    sizes = {"x": None if kernel is None else kernel.shape[0], "y": getattr(head, "outputs", None)}
    for name, size in sizes.items():
        if name in arrays and size is not None and arrays[name].shape[2] != size:
            raise ValueError(
                f"{owner}: expected {name} [B, T, {size}]. Received: {name}={arrays[name].shape}"
            )
