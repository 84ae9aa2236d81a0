"""When is a task solved? Rules over a sliding window of training sequences, or over whole sets."""

from collections.abc import Callable, Mapping

import numpy as np


def sequence_errors(y: np.ndarray, prediction: np.ndarray, w: np.ndarray, measure: str) -> np.ndarray:
    """Error of each sequence, float64 [n].

    'absolute': mean |y - prediction| over outputs and steps with an error; 'squared': sum (y - prediction)^2, eq. 16 of 1997.
    """
    difference = y.astype("float64") - prediction
    if measure == "squared":
        return np.sum(w[..., None] * difference**2, axis=(1, 2))
    counts = (w > 0)[..., None]
    return np.sum(counts * np.abs(difference), axis=(1, 2)) / (counts.sum(axis=(1, 2)) * y.shape[-1])


class SlidingWindow:
    """Solved at the first sequence at which, of the last `sequences`, at most `wrong` were wrong and the mean error is small.

    sequences: length of the window, in training sequences; wrong: how many of them may be wrong;
    error_below: bound on their mean error; measure: 'absolute' or 'squared' (see sequence_errors).
    Source: "ST3" of Hochreiter & Schmidhuber 1997, Table 11.
    """

    def __init__(self, sequences: int = 2000, wrong: int = 0, error_below: float = 0.01, measure: str = "absolute"):
        if not isinstance(sequences, int) or isinstance(sequences, bool) or sequences < 1:
            raise ValueError(f"SlidingWindow: expected a positive integer. Received: criterion.sequences={sequences!r}")
        if not isinstance(wrong, int) or isinstance(wrong, bool) or not 0 <= wrong < sequences:
            raise ValueError(f"SlidingWindow: expected an integer in 0..{sequences - 1}. Received: criterion.wrong={wrong!r}")
        if isinstance(error_below, bool) or not isinstance(error_below, (int, float)) or not error_below > 0:
            raise ValueError(f"SlidingWindow: expected a positive number. Received: criterion.error_below={error_below!r}")
        if measure not in ("absolute", "squared"):
            raise ValueError(f"SlidingWindow: expected 'absolute' or 'squared'. Received: criterion.measure={measure!r}")
        self.sequences, self.wrong, self.error_below, self.measure = sequences, wrong, error_below, measure
        self.solved_at: int | None = None
        self.recent_wrong: int | None = None
        self._seen = 0
        self._wrongs, self._errors = np.zeros(0), np.zeros(0)

    def observe(self, task, y, prediction, w, evaluate: Callable | None = None) -> bool:
        """Take in the next sequences, in order; True once solved. `evaluate` is not asked."""
        wrongs = np.concatenate([self._wrongs, ~task.correct(y, prediction, w)])
        errors = np.concatenate([self._errors, sequence_errors(y, prediction, w, self.measure)])
        first = self._seen - len(self._wrongs)
        self._seen += len(y)
        if len(wrongs) >= self.sequences and self.solved_at is None:
            met = (_window_sums(wrongs, self.sequences) <= self.wrong) & (
                _window_sums(errors, self.sequences) < self.error_below * self.sequences
            )
            if met.any():
                self.solved_at = first + int(np.argmax(met)) + self.sequences
        self._wrongs, self._errors = wrongs[-self.sequences :], errors[-self.sequences :]
        self.recent_wrong = int(self._wrongs.sum())
        return self.solved_at is not None

    @property
    def label(self) -> str:
        return f"wrong of last {self.sequences}"


class WholeSets:
    """Solved when every sequence of every set is right; the sets are tried after each window of training.

    1997 does not say how often they were tried: solved_at is exact to one window, and never early.
    Source: Hochreiter & Schmidhuber 1997, section 5.1.
    """

    def __init__(self) -> None:
        self.solved_at: int | None = None
        self.recent_wrong: int | None = None
        self._seen = 0

    def observe(self, task, y, prediction, w, evaluate: Callable[[], Mapping[str, np.ndarray]]) -> bool:
        """Take in a window of training and try the sets: evaluate() -> {set: bool per sequence}; True once solved."""
        self._seen += len(y)
        self.recent_wrong = int(sum((~right).sum() for right in evaluate().values()))
        if self.recent_wrong == 0 and self.solved_at is None:
            self.solved_at = self._seen
        return self.solved_at is not None

    label = "wrong in the sets"


RULES = {"sliding_window": SlidingWindow, "whole_sets": WholeSets}


def criterion(rule: str, **arguments) -> SlidingWindow | WholeSets:
    """The rule of that name with its arguments. Raises ValueError for another name or argument."""
    if rule not in RULES:
        raise ValueError(f"criterion: expected one of {sorted(RULES)}. Received: criterion.rule={rule!r}")
    try:
        return RULES[rule](**arguments)
    except TypeError:
        allowed = {"sliding_window": "sequences, wrong, error_below, measure", "whole_sets": "none"}[rule]
        raise ValueError(f"criterion: unknown setting for rule {rule!r}; expected: {allowed}. Received: {arguments}") from None


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sum of each run of `length` values, one for each end position from length - 1 on."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    return totals[length:] - totals[:-length]
