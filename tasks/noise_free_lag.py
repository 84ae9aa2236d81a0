"""Noise-free sequences with a long lag (experiment 2a)."""

import numpy as np

from lstmlab.task import Task, mark, one_hot, whole, within

TOLERANCE = 0.25


class NoiseFreeLag(Task):
    """Two sequences that differ in their first and last symbol alone: predict every next symbol.

    Shown   One of p + 1 symbols per step, as one of p + 1 lines set to 1: x, a_1, ... a_{p-1} or y, a_1, ... a_{p-1}, each
            with probability 1/2. p steps, always.
    Asked   At every step the symbol that follows; at the last one x or y, whichever came first.
    Lag     p - 1 steps from the first symbol to the answer that needs it (the paper counts to the symbol itself: p).
    Right   |error| < 0.25 at every output and every step.
    Chance  Squared error 0.0098 for always answering the mean target; 0.0000495 for the best answer to the present symbol
            alone, which tells all but the last symbol (p = 100).
    Solved  Both sequences right.

    Decisions where the text leaves a choice:
    - there are two sequences, so that 10,000 right ones are both of them right; they are training set and test set at once,
      and are tried after each window of training (trainer.window sequences);
    - weights change once per sequence, by the sum of the errors of its steps.

    p: delay, at least 2; it sets the lag. criterion: settings of the rule to change.
    Raises ValueError for a smaller p. Source: Hochreiter & Schmidhuber 1997, section 5.2.
    """

    output_activation = "sigmoid"
    test_size = 2

    def __init__(self, p: int = 100, criterion: dict | None = None):
        self.p = self.steps = self.readouts = whole(type(self).__name__, "p", p, least=2)
        self.features = self.outputs = p + 1
        self.lag = p - 1
        self.inputs = self.targets = (*(f"a{k}" for k in range(1, p)), "x", "y")
        # a_1 ... a_{p-1} have a share 1/p of the targets each, x and y half of that
        self.chance = (1 - (p - 1) / p**2 - 2 / (2 * p) ** 2) / (p + 1)
        self.memoryless = self._guessed() / (p + 1)
        self.criterion = {
            "rule": "whole_sets", "sets": ["test"], "wrong": 0, "error_below": None, "measure": "absolute", **(criterion or {}),
        }  # fmt: skip

    def pieces(self, rng, n, lengths):
        yield from self._pieces(
            rng, rng.integers(self.p - 1, self.p, size=n, endpoint=True), lengths
        )

    def sets(self, seed, draw=0):
        both = np.array([self.p - 1, self.p])
        return {"test": list(self._pieces(np.random.default_rng(0), both, [self.steps]))}

    def correct(self, y, prediction, w):
        return within(TOLERANCE, y, prediction, w)

    def events(self, x, w):
        steps = np.arange(w.shape[1])
        return np.broadcast_to((steps == 0) | (steps == self.p - 1), w.shape)

    def _pieces(self, rng, first, lengths):
        """Pieces of sequences that begin and end with the codes `first` [n]; the code of a_k is k - 1."""
        n, shown, start = len(first), first, 0
        for length in lengths:
            following = self._middle(rng, n, start, length)
            mark(following, start, np.full(n, self.p - 1), first)
            codes = np.concatenate([shown[:, None], following], axis=1)
            yield (
                one_hot(codes[:, :-1], self.features),
                one_hot(following, self.outputs),
                np.ones((n, length), "float32"),
            )
            shown, start = codes[:, -1], start + length

    def _middle(self, rng, n, start, length):
        """The codes [n, length] that follow the steps from `start` on, up to the last but one: a_1, a_2, ..."""
        return np.tile(np.arange(start, start + length), (n, 1))

    def _guessed(self):
        """Sum over the outputs of the squared error of the best answer to the present symbol: 1/2 after a_{p-1}, else none."""
        return 0.5 / self.p
