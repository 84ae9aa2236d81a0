"""Helpers with which tasks draw their sequences, also piece by piece."""

import sys

import numpy as np
from numpy.random import PCG64, Generator

from lstmlab.task import Sequences

MANY = 1 << 15  # numbers from which on `uniform` is faster than NumPy
STRETCH = 64  # steps that `write_uniform` writes together


def empty_piece(n: int, length: int, features: int, outputs: int) -> Sequences:
    """Zeros, float32: x [n, length, features], y [n, length, outputs], w [n, length]."""
    return (
        np.zeros((n, length, features), "float32"),
        np.zeros((n, length, outputs), "float32"),
        np.zeros((n, length), "float32"),
    )


def uniform_by_step(rng: Generator, n: int, length: int) -> np.ndarray:
    """Numbers uniform in [0, 1), float32 [n, length].

    They are drawn step after step, so cutting a sequence into pieces changes no number.
    """
    return uniform(rng, length * n).reshape(length, n).T


def uniform(rng: Generator, size: int) -> np.ndarray:
    """The numbers of rng.random(size, dtype="float32"), float32 [size], in half the time.

    NumPy makes them one by one. Each is 24 bits of a half of one 64-bit number of PCG64, the lower
    half first; a half that is left over waits in the state of the generator.
    """
    bits = rng.bit_generator
    if type(bits) is not PCG64 or size < MANY or sys.byteorder != "little":
        return rng.random(size, dtype="float32")
    waiting = bits.state["has_uint32"]
    halves = bits.random_raw((size - waiting + 1) // 2).view("int32")
    state = bits.state
    drawn = np.empty(size, "float32")
    if waiting:
        drawn[0] = (state["uinteger"] >> 8) * 2.0**-24
    # the last half of all is the one that waits now, unless it is used up
    state |= {"has_uint32": (size - waiting) % 2, "uinteger": int(halves[-1]) & 0xFFFFFFFF}
    bits.state = state
    whole = halves.view("uint32")
    np.right_shift(whole, 8, out=whole)
    # through int32, which processors convert many at a time
    np.multiply(
        halves[: size - waiting], np.float32(2.0**-24), out=drawn[waiting:], casting="unsafe"
    )
    return drawn


def write_uniform(rng: Generator, part: np.ndarray, line: int, least: float = 0.0) -> None:
    """Writes the numbers of `uniform_by_step` into a line of a piece of x, in place.

    A few steps at a time: the processor's cache then holds all that is read and written together.

    Args:
        rng: The random numbers.
        part: The piece, [n, length, features].
        line: The input line.
        least: The numbers are uniform in [least, 1).
    """
    n, length = part.shape[:2]
    stretch = max(STRETCH, MANY // n) if n else length
    for start in range(0, length, stretch):
        stop = min(start + stretch, length)
        drawn = uniform_by_step(rng, n, stop - start)
        drawn *= 1 - least
        drawn += least
        part[:, start:stop, line] = drawn


def mark(
    part: np.ndarray,
    start: int,
    at: np.ndarray,
    value: float | np.ndarray = 1.0,
    line: int | None = None,
) -> None:
    """Writes a value into each sequence of a piece, in place.

    Args:
        part: The piece, [n, length, ...], whose first step is the step `start` of the sequence.
        start: See `part`.
        at: The step of each sequence at which to write, [n]. Steps outside the piece are skipped.
        value: One value for all sequences, or one each, [n].
        line: The input or output line to write, if `part` is a piece of x or y.
    """
    rows = np.flatnonzero((at >= start) & (at < start + part.shape[1]))
    where = (rows, at[rows] - start) if line is None else (rows, at[rows] - start, line)
    part[where] = value[rows] if isinstance(value, np.ndarray) else value


def cut_off(part: np.ndarray, start: int, last: np.ndarray) -> None:
    """Writes zeros after the last step of each sequence, in place.

    Args:
        part: The piece, [n, length, ...], whose first step is the step `start` of the sequence.
        start: See `part`.
        last: The last step of each sequence, [n].
    """
    # up to the end of the shortest sequence there is nothing to cut off
    first = max(0, int(last.min()) + 1 - start)
    padding = np.arange(start + first, start + part.shape[1]) > last[:, None]
    part[:, first:][padding] = 0.0


def one_hot(
    codes: np.ndarray, lines: int, start: int = 0, last: np.ndarray | None = None
) -> np.ndarray:
    """Symbols as lines of which one is 1, float32 [n, length, lines].

    Args:
        codes: The number of each symbol, integers [n, length].
        lines: How many symbols there are.
        start: The step of the sequence at which this piece begins.
        last: The last step of each sequence, [n]; later steps are zero. None for no padding.
    """
    n, length = codes.shape
    x = np.zeros(n * length * lines, "float32")
    steps = np.arange(length)

    # One flat index is several times faster here than three index arrays.
    at = (codes + lines * steps) + (lines * length) * np.arange(n)[:, None]
    x[at] = 1.0 if last is None else start + steps <= last[:, None]
    return x.reshape(n, length, lines)
