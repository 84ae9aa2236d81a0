"""Which steps and lags are looked at, by hand and by brute force."""

import numpy as np
import pytest

from lstmlab.diagnostics import Probe
from lstmlab.diagnostics.common.steps import (
    evenly,
    first_steps,
    last_errors,
    last_steps,
    spans,
    thinned,
    until_last_error,
)

MARKS = np.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool)


@pytest.mark.parametrize(
    ("number", "expected"), [(1, [1, -1, 0]), (2, [3, -1, 1]), (3, [-1, -1, 2])]
)
def test_the_first_steps_that_are_marked(number, expected):
    assert first_steps(MARKS, number).tolist() == expected


def test_the_last_steps_that_are_marked():
    assert last_steps(MARKS).tolist() == [3, -1, 2]


def test_the_steps_until_the_last_error_whatever_the_weights_sum_to():
    w = np.array([[0, 1, 0, 1, -5], [0, 0, -1, 0, 0], [2, -3, 1, 0, 0]], "float32")
    assert until_last_error(w).sum(axis=1).tolist() == [4, 0, 3]
    assert until_last_error(w)[2].tolist() == [True, True, True, False, False]


def probe(w, valid, events) -> Probe:
    x = np.zeros((*np.shape(w), 1))
    return Probe(x, x, np.array(w, float), np.array(valid, bool), np.array(events, bool))


def test_a_span_is_from_the_first_event_to_the_last_error_that_is_no_padding():
    one = probe(
        w=[[0, 0, 0, 1, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
        valid=[[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]],
        events=[[0, 1, 1, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
    )
    assert last_errors(one).tolist() == [3, 1, -1]
    first, last = spans(one)
    assert first.tolist() == [1, 0, 0], "where no event comes before the error: the first step"
    assert last.tolist() == [3, 1, -1]


@pytest.mark.parametrize(("number", "most"), [(1, 5), (5, 5), (5, 9), (9, 5), (1000, 7)])
def test_evenly_has_both_ends_and_no_gap_much_wider_than_another(number, most):
    taken = evenly(number, most)
    assert len(taken) == min(number, most)
    assert (taken[0], taken[-1]) == (0, number - 1)
    assert np.ptp(np.diff(taken)) <= 1 if number > 1 else True


@pytest.mark.parametrize(
    ("longest", "most"), [(0, 500), (499, 500), (500, 500), (10**6, 500), (99, 32)]
)
def test_thinned_keeps_all_lags_or_the_short_ones_and_both_ends(longest, most):
    lags = thinned(longest, most)
    assert (lags[0], lags[-1]) == (0, longest)
    assert len(lags) <= most + 1
    assert (np.diff(lags) > 0).all()
    if longest < most:
        assert lags.tolist() == list(range(longest + 1))
    else:
        near = min(64, most // 2)
        assert lags[: near + 1].tolist() == list(range(near + 1))
        far = lags[near:]
        ratios = far[1:] / far[:-1]
        assert ratios.max() < 2.5, "geometric beyond"
