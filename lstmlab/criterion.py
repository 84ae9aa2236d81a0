"""When is a task solved? Rules over a sliding window of training sequences, or over whole sets."""

import inspect
from collections.abc import Callable, Iterator

import numpy as np

MEASURES = ("absolute", "squared")
ENOUGH = 1000  # sequences of a set after which a first error ends the trial


def sequence_errors(
    y: np.ndarray, prediction: np.ndarray, w: np.ndarray, measure: str
) -> np.ndarray:
    """Error of each sequence, float64 [n].

    'absolute': mean |y - prediction| over outputs and steps with an error; 'squared': sum (y - prediction)^2, eq. 16 of 1997.
    """
    difference = y.astype("float64") - prediction
    if measure == "squared":
        return np.sum(w[..., None] * difference**2, axis=(1, 2))
    counts = (w > 0)[..., None]
    return np.sum(counts * np.abs(difference), axis=(1, 2)) / (
        counts.sum(axis=(1, 2)) * y.shape[-1]
    )


class SlidingWindow:
    """Solved at the first sequence at which, of the last `sequences`, at most `wrong` were wrong and the mean error is small.

    sequences: length of the window, in training sequences; wrong: how many of them may be wrong;
    error_below: bound on their mean error, or None; measure: 'absolute' or 'squared' (see sequence_errors).
    Source: "ST3" of Hochreiter & Schmidhuber 1997, Table 11.
    """

    def __init__(
        self,
        sequences: int = 2000,
        wrong: int = 0,
        error_below: float | None = 0.01,
        measure: str = "absolute",
    ):
        if not isinstance(sequences, int) or isinstance(sequences, bool) or sequences < 1:
            raise ValueError(
                f"SlidingWindow: expected a positive integer. Received: criterion.sequences={sequences!r}"
            )
        if not isinstance(wrong, int) or isinstance(wrong, bool) or not 0 <= wrong < sequences:
            raise ValueError(
                f"SlidingWindow: expected an integer in 0..{sequences - 1}. Received: criterion.wrong={wrong!r}"
            )
        self.sequences, self.wrong, self.error_below, self.measure = (
            sequences,
            wrong,
            error_below,
            measure,
        )
        _check_bound("SlidingWindow", error_below, measure)
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
            bound = np.inf if self.error_below is None else self.error_below * self.sequences
            met = (_window_sums(wrongs, self.sequences) <= self.wrong) & (
                _window_sums(errors, self.sequences) < bound
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
    """Solved when, of the sequences of whole sets, at most `wrong` are wrong and the mean error is small.

    The sets are tried after each window of training: 1997 does not say how often, so solved_at is exact to one window, and
    never early. Of a set of more than 1000 sequences a trial ends at the first block with one wrong, if none may be.
    wrong: how many may be wrong, or a share of them, 0 < share < 1; error_below, measure: as in SlidingWindow;
    sets: names of the sets, None for all; redraw: True to try freshly drawn sets each time, where the task draws them.
    Source: Hochreiter & Schmidhuber 1997, section 5.1; "ST1", "ST2" and ABS of its Table 11.
    """

    def __init__(
        self,
        wrong: int | float = 0,
        error_below: float | None = None,
        measure: str = "absolute",
        sets: list[str] | None = None,
        redraw: bool = False,
    ):
        if (
            isinstance(wrong, bool)
            or not isinstance(wrong, (int, float))
            or wrong < 0
            or (wrong % 1 and wrong >= 1)
        ):
            raise ValueError(
                f"WholeSets: expected an integer >= 0 or a share below 1. Received: criterion.wrong={wrong!r}"
            )
        if sets is not None and not (
            isinstance(sets, list) and sets and all(isinstance(name, str) for name in sets)
        ):
            raise ValueError(
                f"WholeSets: expected a list of names, or null for all. Received: criterion.sets={sets!r}"
            )
        if not isinstance(redraw, bool):
            raise ValueError(
                f"WholeSets: expected true or false. Received: criterion.redraw={redraw!r}"
            )
        _check_bound("WholeSets", error_below, measure)
        self.wrong, self.error_below, self.measure, self.sets, self.redraw = (
            wrong,
            error_below,
            measure,
            sets,
            redraw,
        )
        self.solved_at: int | None = None
        self.recent_wrong: int | None = None
        self._seen = self._tried = 0

    def observe(
        self, task, y, prediction, w, evaluate: Callable[[list | None, int], Iterator[tuple]]
    ) -> bool:
        """Take in a window of training and try the sets; True once solved.

        evaluate(sets, draw) -> blocks of (y, prediction, w). draw: 0, or with redraw how often they were tried, from 1 on.
        """
        self._seen, self._tried = self._seen + len(y), self._tried + 1
        wrong, errors = 0, np.zeros(0)
        for y, prediction, w in evaluate(self.sets, self._tried if self.redraw else 0):
            wrong += int((~task.correct(y, prediction, w)).sum())
            errors = np.concatenate([errors, sequence_errors(y, prediction, w, self.measure)])
            if len(errors) >= ENOUGH and self.wrong == 0 < wrong:
                break
        allowed = self.wrong * len(errors) if isinstance(self.wrong, float) else self.wrong
        self.recent_wrong = wrong
        if (
            wrong <= allowed
            and (self.error_below is None or errors.mean() < self.error_below)
            and self.solved_at is None
        ):
            self.solved_at = self._seen
        return self.solved_at is not None

    label = "wrong in the sets"


class Budget:
    """Never solved: training uses its whole budget."""

    solved_at: int | None = None
    label = "wrong in the window"

    def __init__(self) -> None:
        self.recent_wrong: int | None = None

    def observe(self, task, y, prediction, w, evaluate: Callable | None = None) -> bool:
        self.recent_wrong = int((~task.correct(y, prediction, w)).sum())
        return False


RULES = {"sliding_window": SlidingWindow, "whole_sets": WholeSets, "budget": Budget}


def criterion(rule: str, **arguments) -> SlidingWindow | WholeSets | Budget:
    """The rule of that name with its arguments. Raises ValueError for another name or argument."""
    if rule not in RULES:
        raise ValueError(
            f"criterion: expected one of {sorted(RULES)}. Received: criterion.rule={rule!r}"
        )
    try:
        return RULES[rule](**arguments)
    except TypeError:
        allowed = ", ".join(inspect.signature(RULES[rule]).parameters) or "none"
        raise ValueError(
            f"criterion: unknown setting for rule {rule!r}; expected: {allowed}. Received: {arguments}"
        ) from None


def _check_bound(rule: str, error_below, measure) -> None:
    number = isinstance(error_below, (int, float)) and not isinstance(error_below, bool)
    if error_below is not None and not (number and error_below > 0):
        raise ValueError(
            f"{rule}: expected a positive number, or null for none. Received: criterion.error_below={error_below!r}"
        )
    if measure not in MEASURES:
        raise ValueError(
            f"{rule}: expected one of {MEASURES}. Received: criterion.measure={measure!r}"
        )


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sum of each run of `length` values, one for each end position from length - 1 on."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    return totals[length:] - totals[:-length]
