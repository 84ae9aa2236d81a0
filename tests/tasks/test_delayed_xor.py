"""Delayed XOR: places, bits and answers recomputed from the inputs alone."""

import numpy as np
import pytest
from lstmlab.tasks.delayed_xor import DelayedXor
from scipy.stats import chisquare, kstest

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[20, 100, 137])
def drawn(request):
    task = DelayedXor(request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def places(x):
    """For each sequence: the steps of its two marks and the last step."""
    return np.array(
        [[*np.flatnonzero(markers == 1), *np.flatnonzero(markers == -1)] for markers in x[..., 1]]
    )


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    for row, (first, second, last) in enumerate(places(x)):
        bits = x[row, [first, second], 0]
        assert set(np.abs(bits)) == {1.0}
        assert y[row, last, 0] == (bits[0] * bits[1] < 0)
        assert np.flatnonzero(w[row]).tolist() == [last]
        assert not x[row, last + 1 :].any(), "padding is silent"
    assert np.count_nonzero(y) == np.count_nonzero(y[w > 0])
    assert np.array_equal(task.events(x, w), x[..., 1] != 0)


def test_places_are_uniform(drawn):
    task, x, _, _ = drawn
    tenth = task.T // 10
    for at, start, many in zip(
        places(x).T, (0, task.T // 2, task.T - 1), (tenth, tenth, tenth + 1), strict=True
    ):
        values, counts = np.unique(at, return_counts=True)
        assert values.tolist() == list(range(start, start + many))
        assert chisquare(counts).pvalue > CERTAIN
    first, second = places(x).T[:2] - np.array([[0], [task.T // 2]])
    assert chisquare(np.bincount(first * tenth + second, minlength=tenth**2)).pvalue > CERTAIN, (
        "they are independent"
    )


def test_lag_is_the_shortest_that_is_met(drawn):
    task, x, _, _ = drawn
    first, second, last = places(x).T
    assert task.lag <= (last - second).min() <= task.lag + 2
    assert (second - first).min() > 0.4 * task.T - 1
    assert x.shape[1] == task.steps


def test_four_cases_and_two_classes_are_balanced(drawn):
    _, x, y, w = drawn
    at = places(x)
    bits = [x[np.arange(N), at[:, k], 0] > 0 for k in (0, 1)]
    assert chisquare(np.bincount(2 * bits[0] + bits[1], minlength=4)).pvalue > CERTAIN
    for bit in bits:
        assert y[w > 0][bit].mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(N / 2)), (
            "one bit alone tells nothing"
        )


def test_noise_is_uniform(drawn):
    _, x, _, _ = drawn
    noise = x[:, :15][x[:, :15, 1] == 0][:, 0]
    assert kstest(noise[::17], "uniform", args=(-1, 2)).pvalue > CERTAIN


def test_perfect_and_constant_predictor(drawn):
    task, _, y, w = drawn
    assert task.correct(y, np.abs(y - 0.29), w).all()
    assert not task.correct(y, np.abs(y - 0.31), w).any()
    assert not task.correct(y, np.full_like(y, 0.5), w).any()
    assert task.chance == task.memoryless == pytest.approx(y[w > 0].var(), abs=0.001)


@pytest.mark.parametrize("T", [19, 0, -5, "x", 50.0, True])
def test_too_short(T):
    with pytest.raises(
        ValueError, match=r"DelayedXor: expected an integer >= 20.*Received: task.T="
    ):
        DelayedXor(T)
