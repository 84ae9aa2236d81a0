"""The stream of the chunker, read off the inputs alone."""

import re

import numpy as np
import pytest
from lstmlab.tasks.chunk_stream import ChunkStream
from scipy.stats import chisquare

CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[(20, 210), (5, 23), (1, 2)])
def drawn(request):
    task = ChunkStream(*request.param)
    x, y, w = next(task.pieces(np.random.default_rng(5), 40, [270 * (task.lag + 1) + 1]))
    return task, x, y, w


def test_streams_and_answers_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    middle = "".join(chr(ord("A") + k) for k in range(task.lag))
    assert (w == 1).all()
    assert (x.sum(axis=-1) == 1).all()
    assert set(np.unique(y)) == {0.0, 1.0}
    for shown, asked in zip(x.argmax(axis=-1), y, strict=True):
        stream = "".join(("ax" + middle)[k] for k in shown)
        assert re.fullmatch(f"([ax]{middle}){{270}}[ax]", stream)
        assert np.array_equal(asked[:-1, :-1].argmax(axis=-1), shown[1:])
        assert (asked[:, :-1].sum(axis=-1) == 1).all()
        for t in range(len(stream)):
            assert asked[t, -1] == (stream[t] == middle[-1] and stream[t - task.lag] == "a")


def test_sequences_are_drawn_fairly(drawn):
    task, x, _, _ = drawn
    firsts = x[:, :: task.lag + 1, 0].astype(int)
    assert firsts.size > 10_000
    assert chisquare(np.bincount(firsts.ravel())).pvalue > CERTAIN
    assert (
        chisquare(np.bincount((2 * firsts[:, :-1:2] + firsts[:, 1::2]).ravel(), minlength=4)).pvalue
        > CERTAIN
    )


def test_cuts_change_no_number(drawn):
    task, x, y, _ = drawn
    lengths = [1, 1, task.lag, 3 * task.lag + 2, task.lag + 1]
    parts = list(task.pieces(np.random.default_rng(5), 40, [*lengths, x.shape[1] - sum(lengths)]))
    assert np.array_equal(np.concatenate([p[0] for p in parts], axis=1), x)
    assert np.array_equal(np.concatenate([p[1] for p in parts], axis=1), y)


def test_only_the_answer_decides(drawn):
    task, _, y, w = drawn
    prediction = np.random.default_rng(0).random(y.shape)
    prediction[..., -1] = np.abs(y[..., -1] - 0.24)
    assert task.correct(y, prediction, w).all()
    prediction[3, task.lag, -1] = abs(y[3, task.lag, -1] - 0.26)
    assert np.flatnonzero(~task.correct(y, prediction, w)).tolist() == [3]
    assert not task.correct(y, np.zeros_like(y), w).any()


def test_yardsticks_by_monte_carlo(drawn):
    task = drawn[0]
    x, y, _ = task.sample(np.random.default_rng(1), 5000)
    y = y.astype("float64")
    assert task.chance == pytest.approx(y.reshape(-1, task.outputs).var(axis=0).mean(), abs=1e-3)
    within = sum(
        y[x[..., k] > 0].var(axis=0).mean() * (x[..., k] > 0).mean() for k in range(task.features)
    )
    assert task.memoryless == pytest.approx(within, abs=3e-3 * task.chance)


def test_the_card_has_the_numbers_of_the_defaults():
    task = ChunkStream()
    assert f"{task.chance:.4f} for always" in task.__doc__
    assert f"{task.memoryless:.4f} for the best" in task.__doc__


def test_events_are_the_firsts_and_where_they_are_asked_for(drawn):
    task, x, _, w = drawn
    place = np.arange(x.shape[1]) % (task.lag + 1)
    assert (task.events(x, w) == ((place == 0) | (place == task.lag))).all()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"lag": 0}, "a positive integer. Received: task.lag=0"),
        ({"steps": 20}, r"an integer >= 21, which is task.lag \+ 1. Received: task.steps=20"),
        ({"lag": 2.0}, "task.lag=2.0"),
    ],
)
def test_bad_settings(arguments, expected):
    with pytest.raises(ValueError, match=f"ChunkStream: expected .*{expected}"):
        ChunkStream(**arguments)
