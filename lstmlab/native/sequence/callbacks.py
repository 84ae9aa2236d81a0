"""The engine "native" of GatedRNN on JAX: the kernels as callbacks, with a gradient.

The kernels read and write JAX's own buffers, by `buffer_callback`. `jax.pure_callback` would make
arrays of JAX of them, and wait for copies: for ever, where JAX has a single thread, which is busy
with the callback.

The arrays that the way back reads are by far the largest. JAX would copy them, so they stay here,
and JAX carries their number. Where it is unknown, since they were dropped or have been read before,
the way ahead is gone again.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.experimental.buffer_callback import buffer_callback
from keras import ops

from lstmlab.native.sequence.kernels import Kernels, Tape
from lstmlab.native.sequence.orders import NO_SECOND, Order, kernels

MOST = 1 << 31  # bytes of tapes that wait for their way back
MANY = 1024  # tapes that wait
KNOWN = 256  # functions that are kept: JAX compiles a new one, where it is called without jit


class Given(NamedTuple):
    """What a call is given. mask: [B, T] or None. x: [B, T, F]. theta: the weights, flat."""

    mask: Any
    x: Any
    theta: Any
    initial: list


class Waiting:
    """Tapes whose way back is to come, by number; above MOST bytes or MANY the oldest are dropped.

    The last one is kept, whatever its size.
    """

    def __init__(self) -> None:
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.held = 0  # bytes

    def put(self, tape: Tape) -> int:
        """Keep a tape; its number, an int32."""
        with self._lock:
            number = next(self._numbers) % 2**31
            self._tapes[number] = tape
            self.held += _bytes(tape)
            while len(self._tapes) > 1 and (self.held > MOST or len(self._tapes) > MANY):
                self.held -= _bytes(self._tapes.popitem(last=False)[1])
        return number

    def take(self, number: int) -> Tape | None:
        """The tape, which is not kept any longer; None if it is not there."""
        with self._lock:
            tape = self._tapes.pop(number, None)
            self.held -= _bytes(tape) if tape else 0
        return tape

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


@lru_cache(KNOWN)
def _through(made: Kernels, order: Order) -> Callable:
    """The outputs and the last states, with their gradient."""

    def alone(given: Given) -> list:
        return _answer(order, *_forward(made, order, given, False)[:2])

    def numbered(given: Given) -> list:
        out, final, tape = _forward(made, order, given, True)
        return [waiting.put(tape), *_answer(order, out, final)]

    alone, numbered = _into(alone), _into(numbered)  # once, so that JAX knows them again

    @jax.custom_vjp
    def through(*given: Any) -> tuple:
        return tuple(_called(alone, _shapes(made, order, given), Given(*given)))

    def forward(*given: Any) -> tuple:
        # of x nothing is computed where nobody asks; () and None are no arrays, so known here
        asked = () if given[1].perturbed else None
        given = Given(*jax.tree.map(lambda leaf: leaf.value, given))
        number = jax.ShapeDtypeStruct((), "int32")
        found = _called(numbered, [number, *_shapes(made, order, given)], given)
        return tuple(found[1:]), (found[0], asked, given)

    def backward(kept: tuple, of: tuple) -> tuple:
        number, asked, given = kept
        full = [jnp.zeros(one.shape, one.dtype) if _nothing(one) else one for one in of]
        of_theta, of_x, *of_initial = _once(made, order, asked is not None)(number, given, full)
        return None, of_x if asked is not None else None, of_theta, of_initial

    through.defvjp(forward, backward, symbolic_zeros=True)
    return through


def _nothing(one: Any) -> bool:
    return isinstance(one, SymbolicZero)


@lru_cache(KNOWN)
def _once(made: Kernels, order: Order, of_inputs: bool) -> Callable:
    """The gradients of weights, inputs (or of none) and first states."""

    def back(number: Any, given: Given, of: list) -> list:
        tape = waiting.take(int(number)) or _forward(made, order, given, True)[2]
        of_out, *of_final = of
        of_out = of_out if order.every else of_out[:, None]
        of_theta, of_initial, delta = made.backward(
            given.theta, tape, of_out, of_final, *_masks(order, given)
        )
        of_x = _of_inputs(made, order, given.theta, delta) if of_inputs else np.zeros(0, "float32")
        return [of_theta, of_x, *of_initial]

    back = _into(back)

    def once(number: Any, given: Given, of: list) -> list:
        shape = given.x.shape if of_inputs else (0,)
        shapes = [_float(*given.theta.shape), _float(*shape)]
        shapes += [_float(*one.shape) for one in given.initial]
        return _called(back, shapes, number, given, of)

    return once


# ---- on this side of the callbacks


def _into(function: Callable) -> Callable:
    """The function as JAX calls it, with buffers of what is given and for what is returned."""

    def callback(_: Any, out: list, *given: Any) -> None:
        found = function(*jax.tree.map(np.asarray, given))
        for buffer, one in zip(out, found, strict=True):
            np.asarray(buffer)[...] = one

    return callback


def _called(callback: Callable, shapes: list, *given: Any) -> list:
    """What the callback gives, arrays of these shapes; it has no derivative itself."""
    called = jax.custom_jvp(buffer_callback(callback, shapes, vmap_method="sequential"))
    called.defjvp(_again)
    return list(called(*given))


def _again(*_: Any) -> Any:
    raise NotImplementedError(NO_SECOND)


def _float(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


def _shapes(made: Kernels, order: Order, given: tuple) -> list:
    """Of the outputs and of the last states."""
    batch, steps, _ = given[1].shape
    out = (batch, steps, made.units) if order.every else (batch, made.units)
    return [_float(*out), *(_float(batch, size) for size in made.sizes)]


def _masks(order: Order, given: Given) -> tuple[np.ndarray, np.ndarray]:
    return order.masks(np.zeros((0, 0), bool) if given.mask is None else given.mask)


def _forward(
    made: Kernels, order: Order, given: Given, kept: bool
) -> tuple[np.ndarray, list[np.ndarray], Any]:
    x, theta, initial = given.x, given.theta, given.initial
    masks = _masks(order, given)
    return made.forward(x, theta, initial, *masks, order.every, order.backwards, kept)


def _answer(order: Order, out: np.ndarray, final: list[np.ndarray]) -> list[np.ndarray]:
    return [out if order.every else out[:, 0], *final]


def _of_inputs(made: Kernels, order: Order, theta: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """The gradient of the inputs [B, T, F] from those of the pre-activations [T, B, ...]."""
    places = made.layout.of_inputs
    weights = np.append(theta, np.float32(0))[np.where(places < 0, made.size, places)]
    flat = delta.reshape(-1, len(places)) @ weights
    of_x = flat.reshape(*delta.shape[:2], made.layout.features).swapaxes(0, 1)
    return of_x[:, ::-1] if order.backwards else of_x


def processors_alone() -> bool:
    """Whether JAX computes on processors."""
    return jax.default_backend() == "cpu"
