"""Associative recall: pairs of a key and a value, then one of the keys."""

import math

import numpy as np

from lstmlab.task import Task, most_active, whole


class AssociativeRecall(Task):
    """Pairs of a key and a value, then one of the keys again: say its value.

    Shown   `pairs` = 4 times a key and, at the next step, its value: different keys of `keys` = 26, all sets and orders alike,
            and values of `values` = 10, each as likely as any other, also twice. Then `delay` = 2 question marks, then one of
            the keys shown, each as likely as any other. One of 37 lines set to 1 (26 keys a, b, ..., 10 values 0, 1, ..., the
            question mark). 2 * pairs + delay + 1 = 11 steps.
    Asked   At the last step the value that came after this key, one of 10 lines set to 1. No error at any other step.
    Lag     At least delay + 1 = 3 steps from a value to the answer, at most 2 * pairs + delay - 1 = 9.
    Right   The greatest output is the right one.
    Chance  Crossentropy ln 10 = 2.303 for always answering all values alike; the key alone tells nothing more.
    Solved  Of the last 2000 training sequences at most 20 wrong.
    Published  We know of no published numbers of sequences.

    Decisions where the text leaves a choice:
    - the form with letters, digits and two question marks is one of several in circulation; a key is never shown twice;
    - there is no rule for "solved": here 99 % right over a sliding window.

    pairs: at least 1; keys: at least `pairs`; values: at least 2; delay: at least 0, it sets the lag. criterion: settings of
    the rule to change.
    Raises ValueError for other values. Source: the form of Ba, Hinton, Mnih, Leibo & Ionescu 2016 (from memory, unverified).
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
        self.keys = whole("AssociativeRecall", "keys", keys)
        why = "at most task.keys, for each pair has a key of its own"
        self.pairs = whole("AssociativeRecall", "pairs", pairs, most=keys, why=why)
        self.values = whole("AssociativeRecall", "values", values, least=2)
        self.delay = whole("AssociativeRecall", "delay", delay, least=0)
        self.lag, self.steps = delay + 1, 2 * pairs + delay + 1
        self.features, self.outputs = keys + values + 1, values
        self.targets = tuple(str(k) for k in range(values))
        self.inputs = (
            *(chr(ord("a") + k) if keys <= 26 else f"k{k + 1}" for k in range(keys)),
            *self.targets,
            "?",
        )
        self.chance = self.memoryless = math.log(values)
        self.criterion = {
            "rule": "sliding_window",
            "sequences": 2000,
            "wrong": 20,
            "error_below": None,
            **(criterion or {}),
        }

    def pieces(self, rng, n, lengths):
        keys, values = self._keys(rng, n), rng.integers(0, self.values, size=(self.pairs, n))
        rows, asked = np.arange(n), rng.integers(0, self.pairs, size=n)
        shown = {
            2 * k + part: codes
            for part, all_codes in ((0, keys), (1, self.keys + values))
            for k, codes in enumerate(all_codes)
        }
        shown[self.steps - 1] = keys[asked, rows]
        start = 0
        for length in lengths:
            x, y, w = (
                np.zeros((n, length, *lines), "float32")
                for lines in ((self.features,), (self.outputs,), ())
            )
            x[..., -1] = 1.0
            for at, codes in shown.items():
                if start <= at < start + length:
                    x[:, at - start, -1] = 0.0
                    x[rows, at - start, codes] = 1.0
            if start + length == self.steps:
                y[rows, -1, values[asked, rows]] = w[:, -1] = 1.0
            yield x, y, w
            start += length

    def _keys(self, rng, n) -> np.ndarray:
        """[pairs, n]: different keys, all orders alike: the k-th is drawn from those that are left."""
        keys = np.empty((self.pairs, n), int)
        for k in range(self.pairs):
            keys[k] = rng.integers(0, self.keys - k, size=n)
            for smaller in np.sort(keys[:k], axis=0):
                keys[k] += keys[k] >= smaller
        return keys

    def correct(self, y, prediction, w):
        return most_active(y, prediction, w)

    def events(self, x, w):
        """The key that is asked, where it was shown and its value; and the question."""
        query = x[np.arange(len(x)), np.argmax(w, axis=1)][:, : self.keys]
        same = (x[..., : self.keys] * query[:, None]).any(axis=-1)
        same[:, 1:] |= same[:, :-1] & x[:, 1:, self.keys : -1].any(axis=-1)
        return same
