"""A task whose every sequence is given, for tests of texts and pictures."""

import numpy as np

from lstmlab.task import Task


class ByHand(Task):
    """A task whose every sequence is the given one.

    The rest of the card.
    """

    lag, test_size = 1, 1

    def __init__(self, x, y, w, events=(), inputs=(), targets=()):
        self.parts = [np.asarray(part, "float32")[None] for part in (x, y, w)]
        self.steps, self.features, self.outputs = len(x), len(x[0]), len(y[0])
        self.at, self.inputs, self.targets = list(events), inputs, targets

    def sample(self, rng, n):
        return tuple(np.repeat(part, n, axis=0) for part in self.parts)

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)

    def events(self, x, w):
        events = np.zeros(w.shape, bool)
        events[:, self.at] = True
        return events


def symbols(text: str, alphabet: str) -> np.ndarray:
    return np.array([[float(letter == symbol) for symbol in alphabet] for letter in text])


def question(text: str, alphabet: str = "ab?", events=()) -> ByHand:
    """The text is shown; at its last step the class Q of Q, R is asked; then two steps of padding."""
    x = symbols(text + "  ", alphabet)
    y, w = np.zeros((len(x), 2)), np.zeros(len(x))
    y[len(text) - 1, 0] = w[len(text) - 1] = 1
    return ByHand(x, y, w, events, tuple(alphabet), ("Q", "R"))
