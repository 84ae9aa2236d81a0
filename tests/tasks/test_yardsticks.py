"""Exact yardsticks against predictors that are fitted by least squares."""

import numpy as np
import pytest
from lstmlab.tasks.common.yardsticks import yardsticks


def test_against_least_squares(rng):
    inputs, outputs = np.eye(4)[rng.integers(4, size=60)], rng.normal(size=(60, 3))
    weight = rng.random(60)
    chance, memoryless = yardsticks(inputs, outputs, weight)
    for design, expected in ((np.ones((60, 1)), chance), (inputs, memoryless)):
        root = np.sqrt(weight)[:, None]
        fitted = design @ np.linalg.lstsq(root * design, root * outputs, rcond=None)[0]
        assert expected == pytest.approx(
            np.average(((outputs - fitted) ** 2).mean(axis=1), weights=weight)
        )
    assert 0 < memoryless < chance


def test_an_input_that_tells_all_and_one_that_tells_nothing():
    y = np.array([[0.0], [1.0], [1.0], [1.0]])
    assert yardsticks(y, y, np.ones(4)) == pytest.approx((3 / 16, 0))
    assert yardsticks(np.zeros((4, 2)), y, np.ones(4)) == pytest.approx((3 / 16, 3 / 16))


def test_cases_that_are_never_met_do_not_count():
    x, y = np.eye(3), np.array([[0.0], [1.0], [9.0]])
    assert yardsticks(x, y, np.array([1.0, 1.0, 0.0])) == pytest.approx((1 / 4, 0))
