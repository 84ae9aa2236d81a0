"""The Reber grammar against a regular expression and the walk along its drawing in tests/tasks/test_embedded_reber.py."""

import re

import numpy as np
import pytest
from lstmlab.tasks.common.reber_grammar import REBER, draw_string
from lstmlab.tasks.reber import Reber
from scipy.stats import chisquare
from test_embedded_reber import EDGES
from test_embedded_reber import REBER as EXPRESSION

CERTAIN = 1e-4


@pytest.fixture(scope="module")
def strings():
    rng = np.random.default_rng(2)
    return [draw_string(rng, REBER) for _ in range(10_000)]


@pytest.fixture(scope="module")
def task():
    return Reber(pair=0)


def test_strings(strings):
    assert all(re.fullmatch(EXPRESSION, string) for string in strings)
    assert min(map(len, strings)) == 5
    assert abs(np.mean([len(s) for s in strings]) - 8.0) < 0.15
    assert chisquare([sum(s[1] == outer for s in strings) for outer in "TP"]).pvalue > CERTAIN


def test_sets_and_legal_symbols(task):
    assert (len(task.training_strings), len(task.test_strings)) == (256, 256)
    assert not set(task.training_strings) & set(task.test_strings)
    assert (
        len({*(distinct := Reber(distinct=True)).training_strings, *distinct.test_strings}) == 512
    )
    assert Reber(pair=1).training_strings != task.training_strings
    _, y, w = task.encode(task.test_strings)
    legal = task.legal(y)
    for row, string in enumerate(task.test_strings):
        state = 0
        for t, symbol in enumerate(string[:-1]):
            state = EDGES[state][symbol]
            assert {"BTPSXVE"[k] for k in np.flatnonzero(legal[row, t])} == set(EDGES[state])
        assert w[row].sum() == len(string) - 1


def test_two_symbols_tell_what_may_follow_and_one_does_not(strings):
    """The lag of the card."""
    for memory, enough in ((1, False), (2, True)):
        follow: dict = {}
        for string in strings:
            state = 0
            for t, symbol in enumerate(string[:-1]):
                state = EDGES[state][symbol]
                follow.setdefault(string[max(0, t + 1 - memory) : t + 1], set()).add(
                    frozenset(EDGES[state])
                )
        assert all(len(kinds) == 1 for kinds in follow.values()) == enough
    assert Reber.lag == 1


def test_perfect_predictor_is_right_and_one_without_memory_is_not(task):
    x, y, w = task.encode(task.test_strings)
    legal = task.legal(y)
    perfect = legal / legal.sum(axis=-1, keepdims=True).clip(1)
    assert task.correct(y, perfect, w).all()
    shares = np.stack(
        [
            y[x[..., k] == 1].mean(axis=0) if (x[..., k] == 1).any() else np.zeros(7)
            for k in range(7)
        ]
    )
    assert not task.correct(y, shares[x.argmax(axis=-1)], w).any()


def test_card_numbers():
    assert (round(Reber.chance, 4), round(Reber.memoryless, 4)) == (0.1181, 0.0961)
    with pytest.raises(ValueError, match=r"Reber: expected .* Received: task.pair=-1"):
        Reber(pair=-1)
