"""Which steps, lags and cells to look at. Steps are counted from 0."""

import numpy as np

from lstmlab.diagnostics.base import Probe


def first_steps(marks: np.ndarray, number: int = 1) -> np.ndarray:
    """[B]: the number-th marked step of each sequence, -1 where there is none; marks [B, T]."""
    counted = np.cumsum(marks, axis=1)
    # argmax: the first step at which so many have been counted
    return np.where(counted[:, -1] >= number, np.argmax(counted == number, axis=1), -1)


def last_steps(marks: np.ndarray) -> np.ndarray:
    """[B]: the last marked step of each sequence, -1 where there is none; marks [B, T]."""
    return np.where(marks, np.arange(marks.shape[1]), -1).max(axis=1)


def last_errors(probe: Probe) -> np.ndarray:
    """[B]: the last valid step with an error; -1 where there is none."""
    return last_steps((probe.w > 0) & probe.valid)


def until_last_error(w: np.ndarray) -> np.ndarray:
    """bool [B, T]: the steps with an error, w > 0, and all that an error follows; w [B, T]."""
    return np.arange(w.shape[1]) <= last_steps(w > 0)[:, None]


def spans(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """first [B], last [B]: the steps between which something has to be remembered.

    first: the first event before the last error; where there is none, the first step. last: the
    last error; -1 without one.
    """
    last = last_errors(probe)
    earlier = probe.events & (np.arange(probe.w.shape[1]) < last[:, None])
    return np.maximum(first_steps(earlier), 0), last


def evenly(number: int, most: int) -> np.ndarray:
    """At most `most` of 0 .. number - 1, spread evenly."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(int))


def thinned(longest: int, most: int = 500) -> np.ndarray:
    """The lags 0 .. longest at which a curve is kept, at most `most` of them.

    All of them if they are fewer; otherwise all up to 64, and geometrically spaced ones beyond.
    """
    if longest < most:
        return np.arange(longest + 1)
    near = min(64, most // 2)
    far = np.geomspace(near, longest, most - near).round().astype(int)
    # unique: near is in both, and rounding makes lags coincide
    return np.unique(np.r_[: near + 1, far])
