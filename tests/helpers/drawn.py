"""Two small tasks: one draws whole sequences, the other step by step."""

import numpy as np

from lstmlab.task import Task


class Numbers(Task):
    """Sequences that carry the random numbers they were made of."""

    features, outputs, steps, readouts = 2, 1, 3, 3
    test_size, block = 50, 6

    def sample(self, rng, n):
        x = rng.random((n, 3, 2)).astype("float32")
        return x, x[..., :1] + 1, np.ones((n, 3), "float32")

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)


class Steps(Task):
    """Drawn step by step; x carries the random numbers, y the number of the step."""

    features, outputs, steps, readouts = 1, 1, 10, 10
    test_size, block = 50, 6

    def pieces(self, rng, n, lengths):
        start = 0
        for length in lengths:
            y = np.broadcast_to(
                np.arange(start, start + length, dtype="float32")[None, :, None], (n, length, 1)
            )
            yield (
                rng.random((length, n), dtype="float32").T[..., None],
                y,
                np.ones((n, length), "float32"),
            )
            start += length

    correct = Numbers.correct
