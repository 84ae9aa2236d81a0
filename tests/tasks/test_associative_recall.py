"""Associative recall, recomputed from the inputs alone by a dictionary."""

import math
from itertools import permutations

import numpy as np
import pytest
from lstmlab.tasks.associative_recall import AssociativeRecall
from scipy.stats import chisquare

from lstmlab.task import loss

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed
AT_MOST = "at most task.keys, for each pair has a key of its own"
FORMS = [
    {},
    {"pairs": 1, "delay": 0},
    {"pairs": 3, "keys": 3, "values": 2, "delay": 5},
    {"pairs": 5, "keys": 40},
]


@pytest.fixture(scope="module", params=FORMS, ids=str)
def drawn(request):
    task = AssociativeRecall(**request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def words(task, x):
    assert (x.sum(axis=-1) == 1).all()
    assert (x.max(axis=-1) == 1).all()
    return np.array(task.inputs)[x.argmax(axis=-1)].tolist()


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    for shown, asked, weight in zip(words(task, x), y, w, strict=True):
        pairs, rest = shown[: 2 * task.pairs], shown[2 * task.pairs :]
        value_of = dict(zip(pairs[::2], pairs[1::2], strict=True))
        assert len(value_of) == task.pairs, "no key twice"
        assert set(value_of) <= set(task.inputs[: task.keys])
        assert set(value_of.values()) <= set(task.targets)
        assert rest[:-1] == ["?"] * task.delay
        assert asked[-1].tolist() == [float(name == value_of[rest[-1]]) for name in task.targets]
        assert weight.tolist() == [0] * (task.steps - 1) + [1]
        assert not asked[:-1].any()


def test_keys_values_and_questions_are_uniform(drawn):
    task, x, y, _ = drawn
    for k in range(task.pairs):
        assert chisquare(x[:, 2 * k, : task.keys].sum(axis=0)).pvalue > CERTAIN
        assert chisquare(x[:, 2 * k + 1, task.keys : -1].sum(axis=0)).pvalue > CERTAIN
    assert chisquare(x[:, -1, : task.keys].sum(axis=0)).pvalue > CERTAIN
    assert chisquare(y[:, -1].sum(axis=0)).pvalue > CERTAIN
    asked = (x[:, : 2 * task.pairs : 2, : task.keys] * x[:, -1:, : task.keys]).sum(axis=(0, 2))
    assert asked.sum() == N
    assert task.pairs == 1 or chisquare(asked).pvalue > CERTAIN


def test_every_order_of_keys_is_equally_likely():
    x, _, _ = AssociativeRecall(pairs=3, keys=4).sample(np.random.default_rng(1), N)
    orders = [tuple(row) for row in x[:, 0:6:2, :4].argmax(axis=-1).tolist()]
    counts = [orders.count(order) for order in permutations(range(4), 3)]
    assert sum(counts) == N
    assert chisquare(counts).pvalue > CERTAIN


def test_events_are_the_pair_that_is_asked_and_the_question(drawn):
    task, x, _, w = drawn
    events = task.events(x, w)
    for row, shown in zip(events[:200], words(task, x[:200]), strict=True):
        at = shown.index(shown[-1])
        assert np.flatnonzero(row).tolist() == [at, at + 1, task.steps - 1]


def test_lag_is_the_least_from_value_to_answer(drawn):
    task, x, _, w = drawn
    values = np.array([np.flatnonzero(row)[1] for row in task.events(x, w)])
    lags = task.steps - 1 - values
    assert (lags.min(), lags.max()) == (task.lag, 2 * task.pairs + task.delay - 1)


def test_yardsticks(drawn):
    task, _, y, w = drawn
    assert task.chance == task.memoryless == pytest.approx(math.log(task.values))
    assert loss("crossentropy", y, np.full_like(y, 1 / task.values), w) == pytest.approx(
        task.chance
    )
    assert round(AssociativeRecall().chance, 3) == 2.303


def test_right_and_wrong(drawn):
    task, _, y, w = drawn
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, 0.2 * y, noise), w).all(), (
        "steps without an error do not count"
    )
    assert not task.correct(y, np.roll(y, 1, axis=-1), w).any()


def test_sizes_of_the_card():
    task = AssociativeRecall()
    assert (task.features, task.outputs, task.steps, task.lag) == (37, 10, 11, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"pairs": 0},
            f"AssociativeRecall: expected an integer in 1..26, {AT_MOST}. Received: task.pairs=0",
        ),
        (
            {"pairs": 30},
            f"AssociativeRecall: expected an integer in 1..26, {AT_MOST}. Received: task.pairs=30",
        ),
        (
            {"pairs": 5, "keys": 4},
            f"AssociativeRecall: expected an integer in 1..4, {AT_MOST}. Received: task.pairs=5",
        ),
        ({"keys": 0}, "AssociativeRecall: expected a positive integer. Received: task.keys=0"),
        ({"values": 1}, "AssociativeRecall: expected an integer >= 2. Received: task.values=1"),
        ({"delay": -1}, "AssociativeRecall: expected an integer >= 0. Received: task.delay=-1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        AssociativeRecall(**settings)
    assert str(refused.value) == message
