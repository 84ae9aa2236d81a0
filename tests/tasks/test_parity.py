"""The parity problem: ones counted in the inputs alone."""

import numpy as np
import pytest
from lstmlab.tasks.parity import Parity
from scipy.stats import chisquare, kstest

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[(20, 29, 0.0), (2, 4, 0.2), (50, 50, 0.9)])
def drawn(request):
    task = Parity(*request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    for shown, asked, weight in zip(x[..., 0], y[..., 0], w, strict=True):
        assert np.flatnonzero(weight).tolist() == [end := np.flatnonzero(shown)[-1]]
        assert asked[end] == sum(1 for value in shown if value > 0) % 2
        assert np.count_nonzero(asked) == asked[end]
    assert np.array_equal(task.events(x, w), x[..., 0] > 0)


def test_cuts_do_not_lose_the_count(drawn):
    task, x, y, w = drawn
    lengths = [1, task.steps - 1] if task.steps < 10 else [7, 1, task.steps - 8]
    parts = [
        np.concatenate(part, axis=1)
        for part in zip(*task.pieces(np.random.default_rng(4), N, lengths), strict=True)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(parts, (x, y, w), strict=True))


def test_lengths_bits_and_classes_are_uniform(drawn):
    task, x, y, w = drawn
    values, counts = np.unique(w.argmax(axis=1), return_counts=True)
    assert values.tolist() == list(range(task.shortest - 1, task.steps))
    assert len(values) == 1 or chisquare(counts).pvalue > CERTAIN
    assert values[0] == task.lag
    for t in (0, 1):
        assert chisquare(np.bincount(x[:, t, 0] > 0)).pvalue > CERTAIN
    assert chisquare(np.bincount(x[:, 0, 0] * x[:, 1, 0] > 0)).pvalue > CERTAIN, (
        "neighbours are independent"
    )
    assert chisquare(np.bincount(y[w > 0][:, 0].astype(int))).pvalue > CERTAIN


def test_noise_is_uniform(drawn):
    task, x, _, _ = drawn
    noise = x[:, 1, 0] - np.sign(x[:, 1, 0])
    if task.noise == 0:
        assert not noise.any()
    else:
        for part in (noise[x[:, 1, 0] > 0], noise[x[:, 1, 0] < 0]):
            assert kstest(part, "uniform", args=(-task.noise, 2 * task.noise)).pvalue > CERTAIN


def test_perfect_and_constant_predictor(drawn):
    task, x, y, w = drawn
    assert task.correct(y, np.abs(y - 0.099), w).all()
    assert not task.correct(y, np.abs(y - 0.101), w).any()
    assert not task.correct(y, np.full_like(y, 0.5), w).any()
    answers = y[w > 0][:, 0]
    assert task.chance == pytest.approx(answers.var(), abs=0.001)
    last = x[w > 0][:, 0] > 0
    within = [answers[last == value].var() for value in (False, True)]
    assert task.memoryless == pytest.approx(np.mean(within), abs=0.001)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"shortest": 1}, "an integer >= 2. Received: task.shortest=1"),
        (
            {"shortest": 9, "longest": 8},
            "an integer >= 9, which is task.shortest. Received: task.longest=8",
        ),
        (
            {"noise": 1.0},
            "a number in [0, 0.99], so that the sign stays. Received: task.noise=1.0",
        ),
        ({"noise": "a"}, "task.noise='a'"),
    ],
)
def test_bad_settings(arguments, expected):
    with pytest.raises(ValueError, match="Parity: expected") as error:
        Parity(**arguments)
    assert expected in str(error.value)


@pytest.mark.parametrize(("shortest", "longest"), [(2, 5), (20, 29)])
def test_every_step(shortest, longest):
    """The count so far at every valid step; the inputs are those of the task that asks once."""
    task = Parity(shortest, longest, every_step=True, tolerance=0.4)
    x, y, w = task.sample(np.random.default_rng(4), N)
    once = Parity(shortest, longest).sample(np.random.default_rng(4), N)
    assert np.array_equal(x, once[0])
    assert np.array_equal(w, x[..., 0] != 0)
    assert np.array_equal(y[..., 0], w * (np.cumsum(x[..., 0] > 0, axis=1) % 2))
    assert np.array_equal(y[once[2] > 0], once[1][once[2] > 0])
    assert (task.readouts, task.lag) == (longest, 1)
    parts = [
        np.concatenate(part, axis=1)
        for part in zip(*task.pieces(np.random.default_rng(4), N, [1, longest - 1]), strict=True)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(parts, (x, y, w), strict=True))
    answers, bits = y[w > 0][:, 0], x[w > 0][:, 0] > 0
    error = np.mean([answers[bits == bit].var() for bit in (False, True)])
    assert task.memoryless == pytest.approx(error, abs=0.003)
    wrong = np.abs(y - 0.41 * (np.arange(longest) == 1)[None, :, None])
    assert task.correct(y, np.abs(y - 0.39), w).all()
    assert not task.correct(y, wrong, w).any()
