"""Continual temporal order: sequences, places and classes read off the inputs alone."""

import re

import numpy as np
import pytest
from lstmlab.tasks.continual_temporal_order import CLASSES, ContinualTemporalOrder
from scipy.stats import chisquare

CERTAIN = 1e-4
ORDERS = {
    "XXX": "Q",
    "XXY": "R",
    "XYX": "S",
    "XYY": "U",
    "YXX": "V",
    "YXY": "A",
    "YYX": "B",
    "YYY": "C",
}
SEQUENCE = re.compile("E[abcdXY]{98,108}B")


@pytest.fixture(scope="module")
def drawn():
    task = ContinualTemporalOrder(steps=53_000)
    return task, *task.sample(np.random.default_rng(3), 20)


@pytest.fixture(scope="module")
def sequences(drawn):
    """(stream, first step, string) of every complete sequence."""
    _, x, _, _ = drawn
    assert (x.sum(axis=-1) == 1).all()
    found = []
    for row, codes in enumerate(x.argmax(axis=-1)):
        stream = "".join("EBabcdXY"[k] for k in codes)
        matches = list(SEQUENCE.finditer(stream))
        assert [m.start() for m in matches] == [0, *(m.end() for m in matches[:-1])], (
            "nothing between two sequences"
        )
        assert len(stream) - matches[-1].end() < 110
        found += [(row, m.start(), m.group()) for m in matches]
    assert len(found) >= 10_000
    return found


def test_answers_from_the_inputs_alone(drawn, sequences):
    _, _, y, w = drawn
    for row, start, string in sequences:
        order = "".join(s for s in string if s in "XY")
        end = start + len(string) - 1
        assert CLASSES[y[row, end].argmax()] == ORDERS[order]
        assert y[row, end].sum() == w[row, end] == 1
    assert w.sum() == len(sequences) == y.sum()


def test_places_lengths_and_classes_are_uniform(drawn, sequences):
    task, _, y, w = drawn
    places = np.array(
        [[i for i, s in enumerate(string) if s in "XY"] for _, _, string in sequences]
    )
    lengths = np.array([len(string) for _, _, string in sequences])
    for values, low, high in zip(
        (*places.T, lengths), (10, 33, 66, 100), (20, 43, 76, 110), strict=True
    ):
        kinds, counts = np.unique(values, return_counts=True)
        assert kinds.tolist() == list(range(low, high + 1))
        assert chisquare(counts).pvalue > CERTAIN
    assert chisquare(y[w > 0].sum(axis=0)).pvalue > CERTAIN
    assert (lengths - 1 - places[:, 2]).min() == task.lag


def test_distractors_are_uniform(sequences):
    text = "".join(string[1:9] + string[-5:-1] for _, _, string in sequences)
    assert set(text) == set("abcd")
    assert chisquare([text.count(s) for s in "abcd"]).pvalue > CERTAIN


def test_cuts_change_no_number():
    task = ContinualTemporalOrder(steps=500)
    for n in (1, 5000):
        cut = [
            np.concatenate(p, axis=1)
            for p in zip(*task.pieces(np.random.default_rng(0), n, [1, 99, 400]), strict=True)
        ]
        assert all(
            np.array_equal(a, b)
            for a, b in zip(cut, task.sample(np.random.default_rng(0), n), strict=True)
        )


def test_test_streams():
    task = ContinualTemporalOrder(steps=110, test_symbols=2000)
    blocks = list(task.sets(1)["test"])
    assert [x.shape for x, _, _ in blocks] == [(1, 2000, 8)] * 10
    assert len({x.tobytes() for x, _, _ in blocks}) == 10
    assert task.readouts == 1
    x, _, w = task.sample(np.random.default_rng(0), 10_000)
    assert (w.sum(axis=1) == 1).all(), "the least number of steps has one answer in every stream"
    assert x.shape == (10_000, 110, 8)


def test_yardsticks_and_decisions(drawn):
    task, _, y, w = drawn
    answers = y[w > 0]
    assert task.chance == task.memoryless == pytest.approx(answers.var(axis=0).mean(), abs=1e-3)
    assert task.correct(y, np.abs(y - 0.48), w).all()
    assert not task.correct(y, np.full_like(y, 1 / 8), w).any()
    wrong = y.copy()
    t = np.flatnonzero(w[4])[-1]
    wrong[4, t, 2] = abs(wrong[4, t, 2] - 0.5)
    assert np.flatnonzero(~task.correct(y, wrong, w)).tolist() == [4]
    noise = np.random.default_rng(0).random(y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_events_are_the_ordered_symbols_and_the_answers(drawn, sequences):
    task, x, _, w = drawn
    events = task.events(x, w)
    assert events.sum() == 4 * len(sequences)
    row, start, string = sequences[0]
    assert {string[t] for t in np.flatnonzero(events[row, start : start + len(string)])} <= set(
        "XYB"
    )


@pytest.mark.parametrize("arguments", [{"steps": 109}, {"test_symbols": 0}, {"steps": 110.5}])
def test_bad_settings(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError,
        match=f"ContinualTemporalOrder: expected an integer >= 110. Received: task.{name}={value}",
    ):
        ContinualTemporalOrder(**arguments)
