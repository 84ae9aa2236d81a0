"""The engine "native" of GatedRNN on JAX: the kernels as callbacks, with a gradient.

JAX copies the arrays of a callback, and those that the way back reads are by far the largest. So
they stay here, and JAX carries their number. Where it is unknown, since they were dropped or have
been read before, the way ahead is gone again.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from keras import ops

from lstmlab.native.sequence.kernels import Kernels, Tape
from lstmlab.native.sequence.orders import Order, kernels

MOST = 1 << 31  # bytes of tapes that wait for their way back


class Given(NamedTuple):
    """What a call is given. mask: [B, T] or None. x: [B, T, F]. theta: the weights, flat."""

    mask: Any
    x: Any
    theta: Any
    initial: list


class Waiting:
    """Tapes whose way back is to come, by number; the oldest are dropped above MOST bytes."""

    def __init__(self) -> None:
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def put(self, tape: Tape) -> np.ndarray:
        """Keep a tape; its number, int32."""
        with self._lock:
            number = next(self._numbers) % 2**31
            self._tapes[number] = tape
            held = sum(map(_bytes, self._tapes.values()))
            while held > MOST and len(self._tapes) > 1:
                held -= _bytes(self._tapes.popitem(last=False)[1])
        return np.int32(number)

    def take(self, number: int) -> Tape | None:
        """The tape, which is not kept any longer; None if it is not there."""
        with self._lock:
            return self._tapes.pop(number, None)

    def __len__(self) -> int:
        return len(self._tapes)


def _bytes(tape: Tape) -> int:
    return sum(part.nbytes for part in tape)


waiting = Waiting()


def run(
    layer: Any, sequences: Any, states: list, mask: Any, drop: Any, every_step: bool, wanted: dict
) -> tuple[dict, list]:
    """Run the layer's cell over sequences [B, T, F]; as lstmlab.cells.engines.run."""
    cell = layer.cell
    made = kernels(cell, sequences.shape[-1])
    x = jnp.asarray(sequences, "float32")
    weights = [jnp.ravel(ops.convert_to_tensor(getattr(cell, name))) for name in made.weights]
    initial = [
        jnp.broadcast_to(jnp.asarray(state, "float32"), (x.shape[0], size))
        for state, size in zip(states, made.sizes, strict=True)
    ]
    shown = None if mask is None else jnp.asarray(mask, bool)
    order = Order(every_step, layer.go_backwards, layer.zero_output_for_mask)
    through = _through(made, order)
    out, *final = through(*Given(shown, x, jnp.concatenate(weights), initial))
    return {"output": out}, final


def _through(made: Kernels, order: Order) -> Callable:
    """The outputs and the last states, with their gradient."""

    @jax.custom_vjp
    def through(*given: Any) -> tuple:
        def ahead(given: Given) -> list:
            return _answer(order, *_forward(made, order, given, False)[:2])

        return tuple(_called(ahead, _shapes(made, order, given), Given(*given)))

    def forward(*given: Any) -> tuple:
        def ahead(given: Given) -> list:
            out, final, tape = _forward(made, order, given, True)
            return [waiting.put(tape), *_answer(order, out, final)]

        # of x nothing is computed where nobody asks; () and None are no arrays, so known here
        asked = () if given[1].perturbed else None
        given = Given(*jax.tree.map(lambda leaf: leaf.value, given))
        number = jax.ShapeDtypeStruct((), "int32")
        found = _called(ahead, [number, *_shapes(made, order, given)], given)
        return tuple(found[1:]), (found[0], asked, given)

    def backward(kept: tuple, of: tuple) -> tuple:
        number, asked, given = kept
        of = [jnp.zeros(one.shape, one.dtype) if _nothing(one) else one for one in of]
        of_theta, of_x, *of_initial = _once(made, order, asked is not None)(number, given, of)
        return None, of_x if asked is not None else None, of_theta, of_initial

    through.defvjp(forward, backward, symbolic_zeros=True)
    return through


def _nothing(one: Any) -> bool:
    return isinstance(one, SymbolicZero)


def _once(made: Kernels, order: Order, of_inputs: bool) -> Callable:
    """The gradients of weights, inputs (or of none) and first states; they have none themselves."""

    def back(number: Any, given: Given, of: list) -> list:
        valid, counts, given = _arrays(order, given)
        tape = waiting.take(int(number)) or _forward(made, order, given, True)[2]
        of_out, *of_final = map(np.asarray, of)
        of_out = of_out if order.every else of_out[:, None]
        of_theta, of_initial, delta = made.backward(
            given.theta, tape, of_out, of_final, valid, counts
        )
        of_x = _of_inputs(made, order, given.theta, delta) if of_inputs else np.zeros(0, "float32")
        return [of_theta, of_x, *of_initial]

    @jax.custom_jvp
    def once(number: Any, given: Given, of: list) -> list:
        shape = given.x.shape if of_inputs else (0,)
        shapes = [_float(*given.theta.shape), _float(*shape)]
        shapes += [_float(*one.shape) for one in given.initial]
        return _called(back, shapes, number, given, of)

    @once.defjvp
    def twice(*_: Any) -> Any:
        raise NotImplementedError(
            "GatedRNN: the engine 'native' has no second derivatives. "
            "Take GatedRNN(..., engine='xla')"
        )

    return once


# ---- on this side of the callbacks


def _called(function: Callable, shapes: list, *given: Any) -> list:
    return list(jax.pure_callback(function, shapes, *given, vmap_method="sequential"))


def _float(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


def _shapes(made: Kernels, order: Order, given: tuple) -> list:
    """Of the outputs and of the last states."""
    batch, steps, _ = given[1].shape
    out = (batch, steps, made.units) if order.every else (batch, made.units)
    return [_float(*out), *(_float(batch, size) for size in made.sizes)]


def _arrays(order: Order, given: Given) -> tuple[np.ndarray, np.ndarray, Given]:
    """Where there is an input, where an output counts, and what is given, as NumPy arrays."""
    given = jax.tree.map(np.asarray, given)
    mask = np.zeros((0, 0), bool) if given.mask is None else given.mask
    return *order.masks(mask), given


def _forward(
    made: Kernels, order: Order, given: Given, kept: bool
) -> tuple[np.ndarray, list[np.ndarray], Any]:
    valid, counts, given = _arrays(order, given)
    x, theta, initial = given.x, given.theta, given.initial
    return made.forward(x, theta, initial, valid, counts, order.every, order.backwards, kept)


def _answer(order: Order, out: np.ndarray, final: list[np.ndarray]) -> list[np.ndarray]:
    return [out if order.every else out[:, 0], *final]


def _of_inputs(made: Kernels, order: Order, theta: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """The gradient of the inputs [B, T, F] from those of the pre-activations [T, B, ...]."""
    places = made.layout.of_inputs
    weights = np.append(theta, np.float32(0))[np.where(places < 0, made.size, places)]
    of_x = (delta @ weights).swapaxes(0, 1)
    return of_x[:, ::-1] if order.backwards else of_x


def processors_alone() -> bool:
    """Whether JAX computes on processors."""
    return jax.default_backend() == "cpu"
