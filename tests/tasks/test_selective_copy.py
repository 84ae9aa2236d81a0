"""Selective copying, recomputed from the inputs alone."""

import math
from itertools import combinations

import numpy as np
import pytest
from lstmlab.tasks.selective_copy import SelectiveCopy
from scipy.stats import chisquare

from lstmlab.task import loss

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed
FORMS = [
    {"T": 40},
    {"T": 16},
    {"T": 5, "tokens": 2, "symbols": 3},
    {"T": 30, "tokens": 4, "noise": 3},
]


@pytest.fixture(scope="module", params=FORMS, ids=str)
def drawn(request):
    task = SelectiveCopy(**request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    assert (x.sum(axis=-1) == 1).all()
    assert (x.max(axis=-1) == 1).all()
    for shown, asked, weight in zip(x.argmax(axis=-1), y, w, strict=True):
        symbols = [code for code in shown.tolist() if code < task.symbols]
        assert len(symbols) == task.tokens
        assert (shown[task.T :] == task.features - 1).all()
        assert (shown[: task.T] < task.features - 1).all()
        assert np.flatnonzero(weight).tolist() == list(range(task.T, task.steps))
        assert asked[task.T :].argmax(axis=-1).tolist() == symbols
        assert np.array_equal(asked.sum(axis=-1), weight)


def test_places_are_uniform(drawn):
    task, x, _, w = drawn
    at = x[:, : task.T, : task.symbols].any(axis=-1)
    assert np.array_equal(np.pad(at, [(0, 0), (0, task.tokens)]), task.events(x, w))
    share = task.tokens / task.T
    counts = at.sum(axis=0)
    assert (counts > 0).all()
    if share < 1:
        assert (np.abs(counts / N - share) < 5 * np.sqrt(share * (1 - share) / N)).all()


def test_every_set_of_places_is_equally_likely():
    x, _, _ = SelectiveCopy(T=6, tokens=3).sample(np.random.default_rng(1), N)
    sets = [tuple(np.flatnonzero(row).tolist()) for row in x[:, :6, :14].any(axis=-1)]
    counts = [sets.count(places) for places in combinations(range(6), 3)]
    assert sum(counts) == N
    assert chisquare(counts).pvalue > CERTAIN


def test_symbols_and_noise_are_uniform(drawn):
    task, x, y, _ = drawn
    for place in (task.T, task.steps - 1):
        assert chisquare(y[:, place].sum(axis=0)).pvalue > CERTAIN
    noise = x[:, : task.T, task.symbols : -1].sum(axis=(0, 1))
    assert noise.sum() == N * (task.T - task.tokens)
    if task.noise > 1:
        assert chisquare(noise).pvalue > CERTAIN


def test_lags_of_the_card():
    """From each symbol to its answer: least `tokens`, most T, on average (T + tokens) / 2."""
    task = SelectiveCopy(T=20, tokens=4)
    x, _, w = task.sample(np.random.default_rng(2), N)
    places = np.array([np.flatnonzero(row) for row in task.events(x, w)])
    lags = task.T + np.arange(4) - places
    assert (lags.min(), lags.max()) == (task.lag, 20) == (4, 20)
    assert lags.mean() == pytest.approx((20 + 4) / 2, abs=0.1)


def test_yardsticks(drawn):
    task, _, y, w = drawn
    assert task.chance == task.memoryless == pytest.approx(math.log(task.symbols))
    assert loss("crossentropy", y, np.full_like(y, 1 / task.symbols), w) == pytest.approx(
        task.chance
    )
    assert round(SelectiveCopy().chance, 3) == 2.639


def test_right_and_wrong(drawn):
    task, _, y, w = drawn
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, 0.2 * y, noise), w).all(), (
        "steps without an error do not count"
    )
    for step in (task.T, task.steps - 1):
        wrong = y.copy()
        wrong[:, step] = np.roll(wrong[:, step], 1, axis=-1)
        assert not task.correct(y, wrong, w).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"T": 15},
            "SelectiveCopy: expected an integer >= 16, which is task.tokens. Received: task.T=15",
        ),
        ({"tokens": 0}, "SelectiveCopy: expected a positive integer. Received: task.tokens=0"),
        ({"symbols": 1}, "SelectiveCopy: expected an integer >= 2. Received: task.symbols=1"),
        ({"noise": 0}, "SelectiveCopy: expected a positive integer. Received: task.noise=0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        SelectiveCopy(**settings)
    assert str(refused.value) == message
