"""What kernels are fed: steps with an error side by side, and symbols, against plain loops."""

import numpy as np
import pytest

from lstmlab.task import Task
from lstmlab.trainers.feed import Feed, ends, marked


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_marked_against_a_loop(share):
    rng = np.random.default_rng(0)
    w = ((rng.random((5, 7)) < share) * rng.choice([0.5, 1.0], (5, 7))).astype("float32")
    y = rng.normal(size=(5, 7, 2)).astype("float32")
    place, target, weight = marked(y, w, 7)
    assert (place.dtype, target.dtype, weight.dtype) == ("int32", "float32", "float32")
    for n in range(5):
        at = np.flatnonzero(w[n])
        assert place[n].tolist() == [*at, *[7] * (8 - len(at))]
        assert np.array_equal(target[n, : len(at)], y[n, at])
        assert weight[n].tolist() == [*w[n, at], *[0] * (7 - len(at))]


def test_marked_refuses_more_errors_than_the_task_says():
    y, w = np.zeros((2, 3, 1), "float32"), np.ones((2, 3), "float32")
    with pytest.raises(ValueError, match=r"at most readouts=2 steps .* Received: 3$"):
        marked(y, w, 2)


def test_ends_against_a_loop():
    w = (np.random.default_rng(1).random((50, 6)) < 0.2).astype("float32")
    expected = [max((t + 1 for t in range(6) if row[t]), default=0) for row in w]
    assert ends(w).tolist() == expected
    assert 0 in expected
    assert 6 in expected


class Silent(Task):
    """Symbols, then no line at 1 for a while, and a symbol again at the end."""

    features, outputs, steps, readouts = 13, 1, 12, 1
    output_activation = "linear"

    def __init__(self, silent):
        self.silent = silent

    def sample(self, rng, n):
        x = np.eye(13, dtype="float32")[rng.integers(0, 13, (n, 12))]
        x[:, self.silent] = 0
        w = np.zeros((n, 12), "float32")
        w[:, -1] = 1
        return x, np.zeros((n, 12, 1), "float32"), w

    def correct(self, y, prediction, w):
        raise NotImplementedError


@pytest.mark.parametrize("silent", [slice(3, 5), slice(4, 8), slice(2, 10)])
def test_a_silence_in_pieces_is_no_padding(silent):
    pytest.importorskip("numba")
    fed = Feed(Silent(silent), 0, None, None, steps=4, readouts=1, symbols=True)
    with pytest.raises(ValueError, match="one input being 1 at each step"):
        fed.take(3)
    spoken = Feed(Silent(slice(0, 0)), 0, None, None, steps=4, readouts=1, symbols=True)
    assert [part.begins.tolist() for part in spoken.take(4)] == [[True], [False], [False], [True]]
