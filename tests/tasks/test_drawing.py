"""Helpers for drawing, and rules for right and solved, against values worked out by hand."""

import numpy as np
import pytest
from lstmlab.tasks.common.drawing import (
    MANY,
    cut_off,
    mark,
    one_hot,
    uniform,
    uniform_by_step,
    write_uniform,
)
from lstmlab.tasks.common.rules import (
    most_active,
    sliding_window,
    validation_or_budget,
    whole_sets,
    within,
)

from lstmlab.criterion import criterion


def test_rules_for_right():
    """One sequence is off, one off where nothing is asked, one not a number there, one right."""
    y, w = np.tile(np.eye(3)[[0, 1]], (4, 1, 1)), np.array([[1.0, 1.0]] + [[1.0, 0.0]] * 3)
    prediction = y.copy()
    prediction[0, 1], prediction[1, 1], prediction[2, 1] = [0.6, 0.5, 0.0], [0.6, 0.5, 0.0], np.nan
    assert within(0.5, y, prediction, w).tolist() == [False, True, True, True]
    assert within(0.61, y, prediction, w).tolist() == [True] * 4
    assert within(0.6, y, prediction, w).tolist() == [False, True, True, True], (
        "the bound itself is outside"
    )
    assert most_active(y, prediction, w).tolist() == [False, True, True, True]


def test_mark_and_cut_off():
    part = np.ones((3, 4, 2))
    mark(part, 10, np.array([9, 10, 13]), np.array([5.0, 6.0, 7.0]), line=1)
    assert part[..., 1].tolist() == [[1, 1, 1, 1], [6, 1, 1, 1], [1, 1, 1, 7]]
    cut_off(part, 10, np.array([8, 11, 20]))
    assert part.any(axis=-1).tolist() == [[False] * 4, [True, True, False, False], [True] * 4]
    weights = np.zeros((2, 3))
    mark(weights, 0, np.array([2, 5]))
    assert weights.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_one_hot():
    codes = np.array([[2, 0, 1], [1, 1, 2]])
    assert one_hot(codes, 3).argmax(axis=-1).tolist() == codes.tolist()
    assert one_hot(codes, 3).sum() == 6
    padded = one_hot(codes, 3, start=10, last=np.array([10, 12]))
    assert padded.any(axis=-1).tolist() == [[True, False, False], [True, True, True]]


def test_numbers_by_step_do_not_depend_on_the_cuts():
    whole = uniform_by_step(np.random.default_rng(0), 3, 7)
    rng = np.random.default_rng(0)
    parts = [uniform_by_step(rng, 3, length) for length in (1, 4, 2)]
    assert whole.shape == (3, 7)
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_settings_of_the_rules():
    """The user's settings go over those of the task, and the criterion takes them all."""
    window = sliding_window({"wrong": 3}, sequences=100, wrong=1, error_below=0.1)
    assert (window["rule"], window["sequences"], window["error_below"]) == (
        "sliding_window",
        100,
        0.1,
    )
    assert window["wrong"] == 3
    sets = whole_sets({"redraw": True}, ["test"], wrong=2, redraw=False)
    assert (sets["rule"], sets["sets"], sets["wrong"]) == ("whole_sets", ["test"], 2)
    assert sets["redraw"] is True
    for settings in (window, sets, validation_or_budget(None)):
        assert criterion(**settings).solved_at is None
    assert validation_or_budget({"rule": "budget", "wrong": 0.1}) == {"rule": "budget"}


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("size", [5, MANY, MANY + 1])
def test_uniform_draws_what_numpy_draws(size, before):
    """And leaves the generator as NumPy does: what is drawn afterwards is the same too."""
    own, theirs = np.random.default_rng(3), np.random.default_rng(3)
    for rng in (own, theirs):
        rng.random(before, dtype="float32")
    assert np.array_equal(uniform(own, size), theirs.random(size, dtype="float32"))
    assert own.bit_generator.state == theirs.bit_generator.state
    assert np.array_equal(own.random(3, dtype="float32"), theirs.random(3, dtype="float32"))


def test_a_line_of_uniform_numbers():
    part = np.zeros((3, 200, 2), "float32")
    write_uniform(np.random.default_rng(0), part, 1, least=-1.0)
    drawn = np.random.default_rng(0).random((200, 3), dtype="float32").T
    assert np.array_equal(part[..., 1], 2 * drawn - 1)
    assert not part[..., 0].any()
