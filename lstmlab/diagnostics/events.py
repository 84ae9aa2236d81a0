"""Which steps, and which cells: when events and errors come in the sequences of a probe, counted from 0; some of many."""

import numpy as np

from lstmlab.diagnostics.base import Probe


def first_steps(marks: np.ndarray, number: int = 1) -> np.ndarray:
    """[B]: the first, or the number-th, marked step of each sequence, marks bool [B, T]; -1 where there is none."""
    counted = np.cumsum(marks, axis=1)
    return np.where(counted[:, -1] >= number, np.argmax(counted == number, axis=1), -1)


def last_errors(probe: Probe) -> np.ndarray:
    """[B]: the last valid step with an error; -1 where there is none."""
    marks = (probe.w > 0) & probe.valid
    return np.where(marks, np.arange(marks.shape[1]), -1).max(axis=1)


def spans(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """first [B], last [B]: what has to be remembered, from when to when.

    first: the first event before the last error; where there is none, the first step. last: the last error; -1 without one.
    """
    last = last_errors(probe)
    earlier = probe.events & (np.arange(probe.w.shape[1]) < last[:, None])
    return np.maximum(first_steps(earlier), 0), last


def evenly(number: int, most: int) -> np.ndarray:
    """At most so many of 0 .. number - 1, evenly among all."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(int))
