"""Experiment 2c against what section 5.2 says of it, recomputed from the symbols."""

from collections import Counter

import numpy as np
import pytest
from lstmlab.tasks.very_long_lag import VeryLongLag
from scipy.stats import chisquare

from lstmlab import published
from lstmlab.criterion import criterion
from lstmlab.task import valid_steps

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[(7, 20, 131), (30, 5, 131), (5, 5, 3), (1, 1, 0)])
def drawn(request):
    task = VeryLongLag(*request.param)
    return task, *task.sample(np.random.default_rng(2), N)


@pytest.fixture(scope="module")
def strings(drawn):
    return read(drawn[0], drawn[1])


def read(task, x):
    """The sequences as lists of the names of symbols; silence is no symbol."""
    names = [f"a{k + 1}" for k in range(task.p)] + ["e", "b", "x", "y"]
    assert list(task.inputs) == names
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.sum(axis=-1).max() == 1
    lengths = x.any(axis=-1).sum(axis=1)
    return [
        [names[k] for k in row[:length].argmax(-1)] for row, length in zip(x, lengths, strict=True)
    ]


def test_target_from_the_symbols_alone(drawn, strings):
    task, _, y, w = drawn
    for symbols, asked, weight in zip(strings, y, w, strict=True):
        assert symbols[0] == "b"
        assert symbols[1] in "xy"
        assert symbols[-1] == "e"
        distractors = symbols[2:-1]
        assert all(symbol.startswith("a") for symbol in distractors)
        assert task.q <= len(distractors) <= task.steps - 3
        assert np.flatnonzero(weight).tolist() == [len(symbols) - 1]
        assert asked.sum() == asked[len(symbols) - 1].sum() == 1
        assert asked[len(symbols) - 1, 0] == (symbols[1] == "x")


def test_number_of_more_distractors_is_geometric(drawn, strings):
    """Each time with probability 9/10 one more; the whole of the rest in one class."""
    task = drawn[0]
    longest = task.steps - task.q - 3
    more = np.array([len(symbols) - 3 - task.q for symbols in strings])
    assert more.min() == 0
    assert more.max() <= longest
    classes = min(30, longest) + 1
    probability = np.array([0.1 * 0.9**k for k in range(longest + 1)])
    probability /= probability.sum()
    expected = [*probability[:classes], probability[classes:].sum()]
    counts = [*np.bincount(more, minlength=classes)[:classes], (more >= classes).sum()]
    keep = np.array(expected) > 0
    assert sum(counts) == N
    if keep.sum() > 1:
        assert chisquare(np.array(counts)[keep], np.array(expected)[keep] * N).pvalue > CERTAIN
    if longest == 131:
        assert abs(more.mean() - 9) < 4 * np.sqrt(90 / N)


def test_the_default_leaves_out_less_than_one_in_a_million():
    task = VeryLongLag()
    assert task.steps == 100 + 131 + 3
    assert 0.9**132 < 1e-6 < 0.9**131


def test_distractors_are_uniform_and_independent(drawn, strings):
    task = drawn[0]
    first = Counter(symbols[2] for symbols in strings)
    assert set(first) == {f"a{k}" for k in range(1, task.p + 1)}
    everywhere = Counter(symbol for symbols in strings for symbol in symbols[2:-1])
    if task.p > 1:
        assert chisquare(list(first.values())).pvalue > CERTAIN
        assert chisquare(list(everywhere.values())).pvalue > CERTAIN
        pairs = Counter((symbols[2], symbols[3]) for symbols in strings)
        assert (
            chisquare(
                [
                    pairs[f"a{i}", f"a{j}"]
                    for i in range(1, task.p + 1)
                    for j in range(1, task.p + 1)
                ]
            ).pvalue
            > CERTAIN
        )


def test_classes_are_balanced(drawn):
    task, _, y, _ = drawn
    classes = y.sum(axis=(0, 1))
    assert classes.sum() == N
    assert chisquare(classes).pvalue > CERTAIN
    assert task.chance == task.memoryless == pytest.approx(np.mean((y.sum(axis=1) - 0.5) ** 2))


def test_lag_and_padding(drawn):
    task, x, _, w = drawn
    assert min(np.argmax(w, axis=1)) - 1 == task.lag == task.q + 1
    assert not x[~valid_steps(w)].any()
    events = task.events(x[:50], w[:50])
    assert all(
        np.flatnonzero(row).tolist() == [1, int(np.argmax(weight))]
        for row, weight in zip(events, w[:50], strict=True)
    )


def test_perfect_and_mean_predictor(drawn):
    task, _, y, w = drawn
    asked = w[..., None] > 0
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.19 * asked, w).all()
    assert not task.correct(y, y + np.array([0.0, 0.21]) * asked, w).any(), "one output is enough"
    assert not task.correct(y, np.full_like(y, 0.5), w).any()
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(asked, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_sets_have_ten_thousand_sequences_and_none_may_be_wrong():
    task = VeryLongLag(2, 1, criterion={"sets": ["validation"], "redraw": True})
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
    assert not np.array_equal(x_of[0], x_of[2])
    draws = []

    def one_wrong(names, draw):
        draws.append((names, draw))
        _, y, w = next(iter(task.sets(0, draw)["validation"]))
        yield y, np.where(np.arange(len(y))[:, None, None] == 500, 0.5, y), w

    rule = criterion(**task.criterion)
    _, y, w = task.sample(np.random.default_rng(0), 10)
    assert not rule.observe(task, y, y, w, one_wrong)
    assert not rule.observe(task, y, y, w, one_wrong)
    assert draws == [(["validation"], 1), (["validation"], 2)]
    assert VeryLongLag().criterion["sets"] == ["test"]


def test_weights_of_table_3():
    """In the table's order: p + 4 inputs, 2 blocks that see inputs, cells and gates, 2 outputs."""
    rows = [row for row in published.results() if row["task"] == "very_long_lag"]
    weights = [row["weights"] for row in rows]
    assert weights == [364, 664, 1264, 3064, 6064, 3064, 1264, 664, 364]


def test_pieces_cut_anywhere(drawn):
    task, n = drawn[0], 500
    lengths = [1, 1, 1, task.steps - 3]
    parts = zip(*task.pieces(np.random.default_rng(2), n, lengths), strict=True)
    for joined, sampled in zip(parts, task.sample(np.random.default_rng(2), n), strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), sampled)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"p": 0}, "task.p=0"),
        ({"q": 0}, "task.q=0"),
        ({"q": 1.5}, "task.q=1.5"),
        ({"extra": -1}, "task.extra=-1"),
    ],
)
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match="VeryLongLag: expected") as error:
        VeryLongLag(**arguments)
    assert received in str(error.value)


def test_a_task_made_from_it_with_sequences_of_its_own_has_no_symbols_of_its_parent():
    class Reversed(VeryLongLag):
        def pieces(self, rng, n, lengths):
            for x, y, w in super().pieces(rng, n, lengths):
                yield x[::-1], y[::-1], w[::-1]

    rng = np.random.default_rng(0)
    assert VeryLongLag(3, 4).coded(rng, 2) is not None
    assert Reversed(3, 4).coded(rng, 2) is None
