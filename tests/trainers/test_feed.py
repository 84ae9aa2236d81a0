"""What kernels are fed: steps with an error side by side, and symbols, against plain loops."""

import numpy as np
import pytest

from lstmlab.trainers.feed import marked, symbols_of


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


def test_symbols():
    codes = np.array([[2, 0, 1], [1, 1, 2]])
    x, w = np.eye(3, dtype="float32")[codes], np.ones((2, 3), "float32")
    assert symbols_of(x, w).tolist() == codes.tolist()
    for place, value in (((0, 1, 2), 0.5), ((1, 2, slice(None)), 0.0), ((0, 0, 2), np.nan)):
        other = x.copy()
        other[place] = value
        assert symbols_of(other, w) is None, value
    # padding, after the last error, may be anything
    x[1, 2], w[1, 2] = 0.0, 0.0
    assert symbols_of(x, w)[0].tolist() == codes[0].tolist()
