"""Helpers with which tasks draw their sequences, also piece by piece."""

import numpy as np
from numpy.random import Generator

from lstmlab.task import Sequences


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
    return rng.random((length, n), dtype="float32").T


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
