"""Experiment 2b against what section 5.2 says of it, recomputed from the symbols."""

from collections import Counter

import numpy as np
import pytest
from lstmlab.tasks.no_local_regularities import NoLocalRegularities
from scipy.stats import chisquare

from lstmlab.criterion import criterion

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[2, 5, 12])
def drawn(request):
    task = NoLocalRegularities(request.param)
    return task, *task.sample(np.random.default_rng(2), N)


def words(task, part):
    names = [f"a{k}" for k in range(1, task.p)] + ["x", "y"]
    assert (list(task.inputs), list(task.targets)) == (names, names)
    assert set(np.unique(part)) == {0.0, 1.0}
    assert (part.sum(axis=-1) == 1).all()
    return [[names[k] for k in row] for row in part.argmax(-1)]


def test_targets_from_the_symbols_alone(drawn):
    task, x, y, w = drawn
    for shown, asked in zip(words(task, x), words(task, y), strict=True):
        assert shown[0] in "xy"
        assert all(symbol.startswith("a") for symbol in shown[1:])
        assert asked == [*shown[1:], shown[0]]
    assert (w == 1).all()
    assert x.shape == y.shape == (N, task.p, task.p + 1)


def test_symbols_are_uniform_with_replacement(drawn):
    task, x, _, _ = drawn
    shown = words(task, x)
    first = Counter(symbols[0] for symbols in shown)
    assert chisquare([first["x"], first["y"]]).pvalue > CERTAIN
    names = [f"a{k}" for k in range(1, task.p)]
    for t in {1, task.p - 1}:
        counts = Counter(symbols[t] for symbols in shown)
        assert set(counts) == set(names)
        assert len(names) == 1 or chisquare([counts[name] for name in names]).pvalue > CERTAIN
    if task.p > 2:
        pairs = Counter((symbols[1], symbols[2]) for symbols in shown)
        assert chisquare([pairs[a, b] for a in names for b in names]).pvalue > CERTAIN, (
            "repetitions included"
        )


def test_only_the_end_counts(drawn):
    task, _, y, w = drawn
    noise = np.random.default_rng(0).normal(size=y.shape)
    at_end = (np.arange(task.steps) == task.steps - 1)[:, None]
    assert task.correct(y, y, w).all()
    assert task.correct(y, np.where(at_end, y, noise), w).all()
    assert task.correct(y, y + 0.249 * at_end, w).all()
    assert not task.correct(y, y + 0.251 * at_end * np.eye(task.p + 1)[0], w).any(), (
        "one output is enough"
    )
    assert not task.correct(y, np.broadcast_to(y.mean(axis=(0, 1)), y.shape), w).any()
    assert not task.correct(
        y, np.where(at_end, np.array([0.0] * (task.p - 1) + [0.5, 0.5]), y), w
    ).any()


def test_the_end_is_the_last_step_with_an_error(drawn):
    task, _, y, w = drawn
    y, w = (np.concatenate([part, np.zeros_like(part)], axis=1) for part in (y, w))
    noise = np.where(w[..., None] > 0, y, 7.0)
    assert task.correct(y, noise, w).all(), "padding does not count"
    noise[:, task.p - 1] += 1
    assert not task.correct(y, noise, w).any()


def test_chance_and_memoryless_by_monte_carlo(drawn):
    task, x, y, _ = drawn
    x, y = x.reshape(-1, task.p + 1), y.reshape(-1, task.p + 1).astype(float)
    assert task.chance == pytest.approx(np.mean((y - y.mean(axis=0)) ** 2), rel=3e-3)
    follow = np.zeros_like(y)
    for k in range(task.p + 1):
        follow[x[:, k] == 1] = y[x[:, k] == 1].mean(axis=0)
    assert task.memoryless == pytest.approx(np.mean((y - follow) ** 2), rel=3e-3)


def test_memoryless_by_enumeration():
    """p = 3: x or y, two symbols of a1, a2, then the first again: all 8 strings, equally likely."""
    cases = [
        (shown, follows)
        for f in "xy"
        for a in "12"
        for b in "12"
        for shown, follows in ((f, a), (a, b), (b, f))
    ]
    total = 0.0
    for shown, follows in cases:
        answers = [other for present, other in cases if present == shown]
        total += sum(
            ((symbol == follows) - answers.count(symbol) / len(answers)) ** 2 for symbol in "12xy"
        )
    assert NoLocalRegularities(3).memoryless == pytest.approx(total / len(cases) / 4)
    assert (
        round(NoLocalRegularities().chance, 4)
        == round(NoLocalRegularities().memoryless, 4)
        == 0.0098
    )


def test_sets_have_ten_thousand_sequences():
    task = NoLocalRegularities(4)
    sets, anew = task.sets(0), task.sets(0, draw=1)
    assert {name: sum(len(x) for x, _, _ in blocks) for name, blocks in sets.items()} == {
        "test": N,
        "validation": N,
    }
    x_of = [
        next(iter(blocks))[0]
        for blocks in (sets["test"], anew["test"], sets["validation"], anew["validation"])
    ]
    assert np.array_equal(x_of[0], x_of[1])
    assert not np.array_equal(x_of[2], x_of[3])
    rule = criterion(**task.criterion)
    assert (rule.sets, rule.wrong, rule.error_below, rule.redraw) == (["test"], 0, None, False)


def test_lag(drawn):
    task, x, _, w = drawn
    assert task.lag == task.p - 1 == w.shape[1] - 1
    assert all(np.flatnonzero(row).tolist() == [0, task.lag] for row in task.events(x[:20], w[:20]))


@pytest.mark.parametrize("p", [1, -3, None])
def test_bad_settings(p):
    with pytest.raises(
        ValueError, match=r"NoLocalRegularities: expected an integer >= 2.*Received: task.p="
    ):
        NoLocalRegularities(p)


def test_asked_at_the_last_step_alone():
    """The same sequences; two of the p + 1 outputs have a target of 1/2 on average."""
    every, last = NoLocalRegularities(5), NoLocalRegularities(5, asked="last")
    drawn = [task.sample(np.random.default_rng(1), N) for task in (every, last)]
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    np.testing.assert_array_equal(drawn[0][1], drawn[1][1])
    _, y, w = drawn[1]
    assert np.array_equal(w, np.broadcast_to([0, 0, 0, 0, 1], (N, 5)))
    assert last.readouts == w[0].sum()
    asked = y[:, -1]
    assert last.chance == pytest.approx(np.mean((asked - asked.mean(axis=0)) ** 2), rel=3e-3)
    pieces = list(last.pieces(np.random.default_rng(1), N, [2, 3]))
    np.testing.assert_array_equal(np.concatenate([part[2] for part in pieces], axis=1), w)
    with pytest.raises(ValueError, match=r"expected one of \('all', 'last'\).*task.asked='first'"):
        NoLocalRegularities(5, asked="first")
