"""A first-order recurrence over time, all steps at once.

    s_t = (f_t x s_tm1) + a_t        `x` and `+` of a semiring: LINEAR, or MAXIMUM for logarithms

References:
    Blelloch 1990, "Prefix sums and their applications", section 1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops
from keras.src import backend


class Semiring(NamedTuple):
    """What `x` and `+` are. A step with the factor `one` and the addend `zero` changes nothing."""

    times: Callable
    plus: Callable
    one: float
    zero: float


LINEAR = Semiring(ops.multiply, ops.add, 1.0, 0.0)
MAXIMUM = Semiring(ops.add, ops.maximum, 0.0, float("-inf"))
BLOCK = 16  # steps; of 4 to 32 none was clearly the fastest


def over_time(factor: Any, addend: Any, start: Any, kind: Semiring = LINEAR) -> Any:
    """s_t of every step.

    JAX has a scan of its own. Under XLA on TensorFlow a loop of one line costs no more than blocks,
    and blocks take up to 44 s to compile; a number of steps that is not known also needs the loop.
    Keras' associative_scan on TensorFlow takes eight times as long as blocks, and XLA rejects its
    gradient.

    Args:
        factor, addend: f and a, [B, T, n].
        start: The state before the first step, [B, n].
        kind: The semiring.

    Returns:
        [B, T, n].
    """
    if backend.backend() == "jax":
        return _associative(factor, addend, start, kind)
    if backend.backend() == "tensorflow":
        # here and not above: the other backends need no TensorFlow
        from lstmlab.unroll import compiled_by_xla

        if addend.shape[1] is None or compiled_by_xla():
            return _in_a_loop(factor, addend, start, kind)
    return _in_blocks(factor, addend, start, kind)


def before(values: Any, start: Any) -> Any:
    """The value before each step, [B, T, n]: `start` [B, n], then all values but the last."""
    return ops.concatenate([start[:, None], values[:, :-1]], axis=1)


def _associative(factor: Any, addend: Any, start: Any, kind: Semiring) -> Any:
    times, plus = kind.times, kind.plus

    def both(first: tuple, then: tuple) -> tuple:
        return times(first[0], then[0]), plus(times(then[0], first[1]), then[1])

    product, summed = ops.associative_scan(both, (factor, addend), axis=1)
    return plus(times(product, start[:, None]), summed)


def _in_a_loop(factor: Any, addend: Any, start: Any, kind: Semiring) -> Any:
    from lstmlab.unroll import unroll

    def step(at_t: tuple, states: list) -> tuple[Any, list]:
        s_t = kind.plus(kind.times(at_t[0], states[0]), at_t[1])
        return s_t, [s_t]

    return unroll(step, [start], (factor, addend))[0]


def _in_blocks(factor: Any, addend: Any, start: Any, kind: Semiring) -> Any:
    """Blocks of BLOCK steps side by side; what enters them is the same recurrence over blocks."""
    times, plus = kind.times, kind.plus
    steps, n = addend.shape[1:]
    if steps <= BLOCK:
        each = ops.unstack(factor, axis=1), ops.unstack(addend, axis=1)
        return ops.stack(_chain(start, *each, kind), axis=1)

    count = -(-steps // BLOCK)
    spare = [[0, 0], [0, count * BLOCK - steps], [0, 0]]  # behind the last step: never read

    def by_place(values: Any) -> list:
        """The values at each place of a block, [B, blocks, n]."""
        values = ops.reshape(ops.pad(values, spare), (-1, count, BLOCK, n))
        return ops.unstack(values, axis=2)

    factors, addends = by_place(factor), by_place(addend)
    product, summed = factors[0], addends[0]  # the whole block as one step
    for f, a in zip(factors[1:], addends[1:], strict=True):
        product, summed = times(f, product), plus(times(f, summed), a)
    entering = before(_in_blocks(product, summed, start, kind), start)
    states = ops.stack(_chain(entering, factors, addends, kind), axis=2)
    return ops.reshape(states, (-1, count * BLOCK, n))[:, :steps]


def _chain(state: Any, factors: list, addends: list, kind: Semiring) -> list:
    states = []
    for f, a in zip(factors, addends, strict=True):
        state = kind.plus(kind.times(f, state), a)
        states.append(state)
    return states
