"""When is a task solved? Rules over a sliding window of training sequences, or over whole sets."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from lstmlab.checks import flag, integer, number, one_of
from lstmlab.errors import refusal

MEASURES = ("absolute", "squared")
ENOUGH = 1000  # sequences of a set after which one wrong sequence ends the trial, if none may be
Judged = tuple[np.ndarray, np.ndarray, np.ndarray]  # y [n, T, K], prediction [n, T, K], w [n, T]
Evaluate = Callable[[list[str] | None, int], Iterable[Judged]]


class Judge(Protocol):
    """What a rule asks of a task: which sequences are right (see lstmlab.task.Task.correct)."""

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray: ...


def sequence_errors(
    y: np.ndarray, prediction: np.ndarray, w: np.ndarray, measure: str
) -> np.ndarray:
    """Error of each sequence, float64 [n].

    Args:
        y: Targets, [n, T, K].
        prediction: Predictions, [n, T, K].
        w: Weights of the errors, [n, T].
        measure: 'absolute', the mean |y - prediction| over outputs and steps with an error; or
            'squared', the sum of (y - prediction)^2, equation 16 of 1997.
    """
    difference = y.astype("float64") - prediction
    if measure == "squared":
        return np.sum(w[..., None] * difference**2, axis=(1, 2))
    asked = (w > 0)[..., None]
    count = asked.sum(axis=(1, 2)) * y.shape[-1]
    return np.sum(asked * np.abs(difference), axis=(1, 2)) / count


class SlidingWindow:
    """Solved as soon as the most recent training sequences are good enough.

    Of the last `sequences`, at most `wrong` may be wrong, and their mean error must be small.

    Args:
        sequences: The length of the window, in training sequences.
        wrong: How many of them may be wrong.
        error_below: The bound on their mean error, or None.
        measure: 'absolute' or 'squared', see `sequence_errors`.

    Raises:
        ValueError: For any other value.

    References:
        "ST3" of Hochreiter & Schmidhuber 1997, Table 11.
    """

    def __init__(
        self,
        sequences: int = 2000,
        wrong: int = 0,
        error_below: float | None = 0.01,
        measure: str = "absolute",
    ):
        owner = "SlidingWindow"
        self.sequences = integer(owner, "criterion.sequences", sequences)
        self.wrong = integer(owner, "criterion.wrong", wrong, least=0, most=sequences - 1)
        self.error_below = _bound(owner, error_below)
        self.measure = one_of(owner, "criterion.measure", measure, MEASURES)

        self.solved_at: int | None = None
        self.few_wrong_at: int | None = None
        self.recent_wrong: int | None = None
        self._seen = 0
        self._wrongs, self._errors = np.zeros(0), np.zeros(0)

    def observe(
        self,
        task: Judge,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        evaluate: Evaluate | None = None,
    ) -> bool:
        """Takes in the next training sequences, in order.

        Args:
            task: The task, which says what is right.
            y: Targets, [n, T, K].
            prediction: Predictions, [n, T, K].
            w: Weights of the errors, [n, T].
            evaluate: Not called.

        Returns:
            Whether the task is solved; `solved_at` is the sequence at which it was, counted from 1,
            and `few_wrong_at` that at which few enough were wrong, whatever their error.
        """
        wrongs = np.concatenate([self._wrongs, ~task.correct(y, prediction, w)])
        errors = np.concatenate([self._errors, sequence_errors(y, prediction, w, self.measure)])
        # sequences seen before the first of `wrongs`
        first = self._seen - len(self._wrongs)
        self._seen += len(y)

        if len(wrongs) >= self.sequences and self.solved_at is None:
            bound = np.inf if self.error_below is None else self.error_below * self.sequences
            few_wrong = _window_sums(wrongs, self.sequences) <= self.wrong
            met = few_wrong & (_window_sums(errors, self.sequences) < bound)
            # window k ends with sequence first + k + `sequences`, counted from 1
            if few_wrong.any() and self.few_wrong_at is None:
                self.few_wrong_at = first + int(np.argmax(few_wrong)) + self.sequences
            if met.any():
                self.solved_at = first + int(np.argmax(met)) + self.sequences

        self._wrongs, self._errors = wrongs[-self.sequences :], errors[-self.sequences :]
        self.recent_wrong = int(self._wrongs.sum())
        return self.solved_at is not None

    @property
    def label(self) -> str:
        """What `recent_wrong` counts."""
        return f"wrong of last {self.sequences}"


class WholeSets:
    """Solved when few enough sequences of whole sets are wrong and their mean error is small.

    The sets are tested after each window of training. The 1997 paper does not say how often; so
    `solved_at` is exact to one window, and never too early. If no sequence may be wrong, the test
    of a set of more than 1000 stops at the first block with a wrong sequence.

    Args:
        wrong: How many sequences may be wrong, or what share of them, 0 < share < 1.
        error_below: The bound on their mean error, or None.
        measure: 'absolute' or 'squared', see `sequence_errors`.
        sets: Names of the sets, or None for all.
        redraw: Whether freshly drawn sets are tested each time, if the task draws them.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.1; "ST1", "ST2" and ABS of its Table 11.
    """

    label = "wrong in the sets"

    def __init__(
        self,
        wrong: int | float = 0,
        error_below: float | None = None,
        measure: str = "absolute",
        sets: list[str] | None = None,
        redraw: bool = False,
    ):
        owner = "WholeSets"
        self.wrong = _count_or_share(owner, wrong)
        self.error_below = _bound(owner, error_below)
        self.measure = one_of(owner, "criterion.measure", measure, MEASURES)
        names = isinstance(sets, list) and all(isinstance(name, str) for name in sets)
        if sets is not None and not (sets and names):
            raise refusal(owner, "a list of names, or null for all", {"criterion.sets": sets})
        self.sets, self.redraw = sets, flag(owner, "criterion.redraw", redraw)

        self.solved_at: int | None = None
        self.few_wrong_at: int | None = None
        self.recent_wrong: int | None = None
        self._seen = self._tried = 0

    def observe(
        self,
        task: Judge,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        evaluate: Evaluate,
    ) -> bool:
        """Takes in a window of training, and tries the sets.

        Args:
            task: The task, which says what is right.
            y: Targets, [n, T, K]; only their number counts.
            prediction: Not used.
            w: Not used.
            evaluate: (sets, draw) -> blocks of (y, prediction, w) of these sets. draw is 0, or with
                `redraw` how often they were tried, from 1 on.

        Returns:
            Whether the task is solved; `solved_at` is how many sequences were trained on by then,
            and `few_wrong_at` by when few enough were wrong, whatever their error.
        """
        self._seen, self._tried = self._seen + len(y), self._tried + 1
        wrong, count, error = 0, 0, 0.0
        # from here on y, prediction and w are those of the sets
        for y, prediction, w in evaluate(self.sets, self._tried if self.redraw else 0):
            wrong += int((~task.correct(y, prediction, w)).sum())
            count += len(y)
            if self.error_below is not None:
                error += sequence_errors(y, prediction, w, self.measure).sum()
            if count >= ENOUGH and self.wrong == 0 < wrong:
                break

        # a share is a float, see _count_or_share
        allowed = self.wrong * count if isinstance(self.wrong, float) else self.wrong
        small = self.error_below is None or error / count < self.error_below
        self.recent_wrong = wrong
        few_wrong = wrong <= allowed
        if few_wrong and self.few_wrong_at is None:
            self.few_wrong_at = self._seen
        if few_wrong and small and self.solved_at is None:
            self.solved_at = self._seen
        return self.solved_at is not None


class Budget:
    """Never solved: training uses its whole budget."""

    solved_at: int | None = None
    few_wrong_at: int | None = None
    label = "wrong in the window"

    def __init__(self) -> None:
        self.recent_wrong: int | None = None

    def observe(
        self,
        task: Judge,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        evaluate: Evaluate | None = None,
    ) -> bool:
        """Counts the wrong sequences of a window: y, prediction [n, T, K], w [n, T]."""
        self.recent_wrong = int((~task.correct(y, prediction, w)).sum())
        return False


RULES: dict[str, type[SlidingWindow] | type[WholeSets] | type[Budget]] = {
    "sliding_window": SlidingWindow,
    "whole_sets": WholeSets,
    "budget": Budget,
}


def criterion(rule: str, **arguments: Any) -> SlidingWindow | WholeSets | Budget:
    """Builds the rule of that name.

    Args:
        rule: 'sliding_window', 'whole_sets' or 'budget'.
        **arguments: The arguments of its class.

    Raises:
        ValueError: For another name or argument.
    """
    made = RULES[one_of("criterion", "criterion.rule", rule, sorted(RULES))]
    known = inspect.signature(made).parameters
    # by hand: the TypeError of made(**arguments) would not name the setting
    for name in arguments:
        if name not in known:
            expected = f"settings of the rule {rule!r} ({', '.join(known) or 'none'})"
            raise refusal("criterion", expected, {f"criterion.{name}": arguments[name]})
    return made(**arguments)


def check_sets(owner: str, rule: Any, known: Iterable[str]) -> None:
    """Raises ValueError if a rule names sets that the task does not have.

    Args:
        owner: Who complains.
        rule: The rule.
        known: The names of the task's sets.
    """
    names = getattr(rule, "sets", None) or []
    if not {*names} <= {*known}:
        raise refusal(owner, f"names among {sorted(known)}", {"criterion.sets": names})


def _bound(owner: str, error_below: float | None) -> float | None:
    """The bound of a mean error, or None."""
    return number(owner, "criterion.error_below", error_below, above=0, optional=True)


def _count_or_share(owner: str, wrong: int | float) -> int | float:
    """A number of sequences as an int, or a share of them as a float below 1."""
    if isinstance(wrong, float) and 0 <= wrong < 1:
        return wrong
    if isinstance(wrong, int) and not isinstance(wrong, bool) and wrong >= 0:
        return wrong
    raise refusal(owner, "an integer >= 0 or a share below 1", {"criterion.wrong": wrong})


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sum of each run of `length` values, one for each end position from length - 1 on."""
    # differences of running sums: the time does not grow with `length`
    totals = np.concatenate([[0.0], np.cumsum(values)])
    return totals[length:] - totals[:-length]
