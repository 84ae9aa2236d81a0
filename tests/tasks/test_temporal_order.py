"""The temporal order problem against what section 5.6 says, recomputed from the symbols."""

from collections import Counter

import numpy as np
import pytest
from lstmlab.tasks.temporal_order import TemporalOrder
from scipy.stats import chisquare

from lstmlab.task import valid_steps

N = 10_000
CERTAIN = 1e-4
CLASSES = {
    "XX": "Q", "XY": "R", "YX": "S", "YY": "U",
    "XXX": "Q", "XXY": "R", "XYX": "S", "XYY": "U", "YXX": "V", "YXY": "A", "YYX": "B", "YYY": "C",
}  # fmt: skip
# symbols, T -> the places of the symbols, counted from 1, written out by hand
PLACES = {
    (2, 100): [(10, 20), (50, 60)],
    (3, 100): [(10, 20), (33, 43), (66, 76)],
    (2, 20): [(2, 4), (10, 12)],
    (3, 1000): [(100, 200), (330, 430), (660, 760)],
}


@pytest.fixture(scope="module", params=[(2, 100), (3, 100), (2, 20)])
def drawn(request):
    task = TemporalOrder(*request.param)
    return task, *task.sample(np.random.default_rng(6), N)


def read(x):
    """The sequences as strings; silence is no symbol."""
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.sum(axis=-1).max() == 1
    lengths = x.any(axis=-1).sum(axis=1)
    return [
        "".join("EBabcdXY"[k] for k in row[:length].argmax(-1))
        for row, length in zip(x, lengths, strict=True)
    ]


def test_target_from_the_symbols_alone(drawn):
    task, x, y, w = drawn
    names = {2: "QRSU", 3: "QRSUVABC"}[task.symbols]
    assert task.targets == tuple(names)
    for string, asked, weight in zip(read(x), y, w, strict=True):
        assert (string[0], string[-1], string.count("E"), string.count("B")) == ("E", "B", 1, 1)
        order = "".join(symbol for symbol in string if symbol in "XY")
        assert np.flatnonzero(weight).tolist() == [len(string) - 1]
        assert [names[k] for k in np.flatnonzero(asked[len(string) - 1])] == [CLASSES[order]]
        assert asked.sum() == 1


def test_places_are_uniform_and_inclusive(drawn):
    task, x, _, _ = drawn
    places = np.array([[k for k, s in enumerate(string, 1) if s in "XY"] for string in read(x)])
    windows = PLACES[task.symbols, task.T]
    assert places.shape == (N, len(windows))
    for at, (low, high) in zip(places.T, windows, strict=True):
        values, counts = np.unique(at, return_counts=True)
        assert values.tolist() == list(range(low, high + 1))
        assert chisquare(counts).pvalue > CERTAIN


def test_lengths_are_uniform_and_the_lag_is_met(drawn):
    task, x, _, w = drawn
    strings = read(x)
    values, counts = np.unique([len(s) for s in strings], return_counts=True)
    assert values.tolist() == list(range(task.T, task.T + task.T // 10 + 1))
    assert chisquare(counts).pvalue > CERTAIN
    assert x.shape[1] == task.steps == values[-1]
    assert min(len(s) - 1 - max(s.rfind("X"), s.rfind("Y")) for s in strings) == task.lag
    assert not x[~valid_steps(w)].any(), "padding is silent"


def test_lags_of_table_10():
    assert (TemporalOrder(2).lag, TemporalOrder(3).lag) == (40, 24)
    assert [(low, high) for low, high in TemporalOrder(3, 1000).windows] == PLACES[3, 1000]


def test_classes_and_distractors_are_balanced(drawn):
    task, x, y, _ = drawn
    classes = y.sum(axis=(0, 1))
    assert classes.sum() == N
    assert chisquare(classes).pvalue > CERTAIN
    counts = Counter("".join(read(x)))
    assert chisquare([counts[s] for s in "abcd"]).pvalue > CERTAIN
    follows = Counter(
        string[5:7] for string in read(x)
    )  # neighbours are independent, 2 to 8 of T >= 20
    if task.T == 100:
        pairs = [follows[a + b] for a in "abcd" for b in "abcd"]
        assert sum(pairs) == N
        assert chisquare(pairs).pvalue > CERTAIN


def test_inclusive_false_leaves_out_the_greatest_length():
    task = TemporalOrder(inclusive=False)
    x, _, _ = task.sample(np.random.default_rng(0), 2000)
    assert x.shape[1] == task.steps == 109
    assert {len(s) for s in read(x)} == set(range(100, 110))


def test_perfect_and_mean_predictor(drawn):
    task, _, y, w = drawn
    asked = w[..., None] > 0
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.29 * asked, w).all()
    assert not task.correct(y, y + np.eye(task.outputs)[0] * 0.31 * asked, w).any(), (
        "one output is enough"
    )
    assert not task.correct(y, np.full_like(y, 1 / task.outputs), w).any()
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(asked, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_chance(drawn):
    task, _, y, w = drawn
    share = y[w > 0].mean(axis=0)
    error = np.mean((y[w > 0] - share) ** 2)
    assert task.chance == task.memoryless == pytest.approx(error, rel=0.01)
    assert task.chance == {2: 0.1875, 3: 0.109375}[task.symbols]


def test_events_are_what_the_answer_hangs_on(drawn):
    task, x, _, w = drawn
    events = task.events(x, w)
    for string, marked in zip(read(x[:100]), events, strict=False):
        assert [k for k, symbol in enumerate(string) if symbol in "XYB"] == np.flatnonzero(
            marked
        ).tolist()


def test_pieces_cut_anywhere(drawn):
    task, x, y, w = drawn
    lengths = [1, 9, 1, task.steps - 12, 1]
    parts = zip(*task.pieces(np.random.default_rng(6), N, lengths), strict=True)
    for joined, sampled in zip(parts, (x, y, w), strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), sampled)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"symbols": 4}, "task.symbols=4"),
        ({"symbols": True}, "task.symbols=True"),
        ({"T": 19}, "task.T=19"),
        ({"T": 100.0}, "task.T=100.0"),
        ({"inclusive": 1}, "task.inclusive=1"),
    ],
)
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match="TemporalOrder: expected") as error:
        TemporalOrder(**arguments)
    assert received in str(error.value)
