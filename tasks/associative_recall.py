"""Associative recall: pairs of a key and a value, then one of the keys."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.drawing import empty_piece
from lstmlab.tasks.common.rules import most_active, sliding_window
from numpy.random import Generator

from lstmlab.checks import integer
from lstmlab.task import Sequences, Task


class AssociativeRecall(Task):
    """Pairs of a key and a value, then one of the keys again: say its value.

    Shown   `pairs` = 4 pairs, each a key followed at the next step by its value. The keys differ
            and come from `keys` = 26, all sets and orders equally likely; each of `values` = 10
            values is equally likely, and a value may occur more than once. Then come `delay` = 2
            question marks and one of the keys shown, each equally likely. One of 37 lines is 1 (26
            keys a, b, ..., 10 values 0, 1, ..., the question mark). In all 2 * pairs + delay + 1 =
            11 steps.
    Asked   At the last step: the value that came after this key, as one of 10 lines set to 1. There
            is no error at any other step.
    Lag     At least delay + 1 = 3 steps from a value to the answer, at most 2 * pairs + delay - 1 =
            9.
    Right   The largest output is the right one.
    Chance  Crossentropy ln 10 = 2.303 for giving all values the same probability; the key at the
            last step tells nothing more.
    Solved  At most 20 of the last 2000 training sequences are wrong.
    Published  We know of no published figures for the number of sequences.

    Decisions where the text leaves a choice:
    - the form with letters, digits and two question marks is one of several in circulation; a key
      is never shown twice;
    - there is no rule for "solved": here it is 99 % right over a sliding window.

    Args:
        pairs: Pairs of a key and a value, in 1..keys.
        keys: Different keys, at least 1.
        values: Different values, at least 2.
        delay: Question marks between the last pair and the key asked about, at least 0. It sets
            the lag.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        The form of Ba, Hinton, Mnih, Leibo & Ionescu 2016 (from memory, unverified).
    """

    output_activation, loss = "softmax", "crossentropy"
    readouts = 1
    test_size = 2560

    def __init__(
        self,
        pairs: int = 4,
        keys: int = 26,
        values: int = 10,
        delay: int = 2,
        criterion: dict | None = None,
    ):
        owner = "AssociativeRecall"
        self.keys = integer(owner, "task.keys", keys)
        why = "at most task.keys, for each pair has a key of its own"
        self.pairs = integer(owner, "task.pairs", pairs, most=keys, why=why)
        self.values = integer(owner, "task.values", values, least=2)
        self.delay = integer(owner, "task.delay", delay, least=0)

        self.lag, self.steps = delay + 1, 2 * pairs + delay + 1
        self.features, self.outputs = keys + values + 1, values
        letters = (chr(ord("a") + k) if keys <= 26 else f"k{k + 1}" for k in range(keys))
        self.targets = tuple(str(k) for k in range(values))
        self.inputs = (*letters, *self.targets, "?")
        self.chance = self.memoryless = math.log(values)
        self.criterion = sliding_window(criterion, wrong=20)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        keys, values = self._keys(rng, n), rng.integers(0, self.values, size=(self.pairs, n))
        rows, asked = np.arange(n), rng.integers(0, self.pairs, size=n)

        # The step -> the lines that are 1 there; all other steps show a question mark.
        shown = {2 * k: codes for k, codes in enumerate(keys)}
        shown |= {2 * k + 1: self.keys + codes for k, codes in enumerate(values)}
        shown[self.steps - 1] = keys[asked, rows]

        start = 0
        for length in lengths:
            x, y, w = empty_piece(n, length, self.features, self.outputs)
            x[..., -1] = 1.0
            for at, codes in shown.items():
                if start <= at < start + length:
                    x[:, at - start, -1] = 0.0
                    x[rows, at - start, codes] = 1.0
            if start + length == self.steps:
                y[rows, -1, values[asked, rows]] = w[:, -1] = 1.0
            yield x, y, w
            start += length

    def _keys(self, rng: Generator, n: int) -> np.ndarray:
        """Different keys, [pairs, n], all orders equally likely."""
        keys = np.empty((self.pairs, n), int)
        for k in range(self.pairs):
            # Draw the rank among the keys that are left, then skip those that are taken.
            keys[k] = rng.integers(0, self.keys - k, size=n)
            # in rising order: a rank that has skipped one may thereby reach the next
            for smaller in np.sort(keys[:k], axis=0):
                keys[k] += keys[k] >= smaller
        return keys

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return most_active(y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The key that is asked, where it was shown, and its value; and the question."""
        query = x[np.arange(len(x)), np.argmax(w, axis=1)][:, : self.keys]
        same = (x[..., : self.keys] * query[:, None]).any(axis=-1)
        # a value is shown one step after its key
        same[:, 1:] |= same[:, :-1] & x[:, 1:, self.keys : -1].any(axis=-1)
        return same
