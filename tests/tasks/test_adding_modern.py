"""The adding problem of the papers after 1997, recomputed from the inputs alone."""

import numpy as np
import pytest
from lstmlab.tasks.adding_modern import AddingModern
from scipy.stats import chisquare, kstest

from lstmlab.task import loss

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed


@pytest.fixture(scope="module", params=[2, 25, 100])
def drawn(request):
    task = AddingModern(request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    assert x.shape == (N, task.T, 2)
    for shown, asked, weight in zip(x, y, w, strict=True):
        total = sum(float(value) for value, marker in shown if marker == 1)
        assert np.flatnonzero(weight).tolist() == [task.T - 1]
        assert asked[-1, 0] == pytest.approx(total, abs=1e-6)
        assert not asked[:-1].any()


def test_one_mark_in_each_half_at_uniform_places(drawn):
    task, x, _, w = drawn
    half = task.T // 2
    assert set(np.unique(x[..., 1])) <= {0.0, 1.0}
    for part in (x[:, :half, 1], x[:, half:, 1]):
        assert (part.sum(axis=1) == 1).all()
        counts = part.sum(axis=0)
        assert (counts > 0).all(), "first and last pair of the half are met"
        assert len(counts) == 1 or chisquare(counts).pvalue > CERTAIN
    first, second = x[:, :half, 1].argmax(axis=1), half + x[:, half:, 1].argmax(axis=1)
    assert (task.T - 1 - first).min() == task.lag
    assert (second - first).min() == 1, "marks next to each other are met"
    assert np.array_equal(task.events(x, w), (x[..., 1] == 1) | (w > 0))


def test_values_are_uniform(drawn):
    _, x, y, _ = drawn
    assert x[..., 0].min() >= 0
    assert x[..., 0].max() <= 1
    assert kstest(x[:, 0, 0], "uniform").pvalue > CERTAIN
    marked = np.concatenate([x[..., 0][x[..., 1] == 1]])
    assert len(marked) == 2 * N
    assert kstest(marked, "uniform").pvalue > CERTAIN
    assert abs(y[:, -1, 0].mean() - 1) < 4 * np.sqrt(1 / 6 / N)


def test_yardsticks(drawn):
    """1/6, and what the last pair tells when it is marked: then its value and the mean of the other."""
    task, x, y, w = drawn
    variance = loss("squared", y, np.full_like(y, 1.0), w)
    assert variance == pytest.approx(task.chance, rel=0.05)
    assert task.chance == pytest.approx(1 / 6)
    known = np.where(x[..., 1:] == 1, x[..., :1] + 0.5, 1.0)
    assert loss("squared", y, known, w) == pytest.approx(task.memoryless, rel=0.05)
    assert AddingModern(100).memoryless == pytest.approx(0.165)
    assert AddingModern(2).memoryless == pytest.approx(1 / 12), "the last pair is always marked"


def test_right_and_wrong(drawn):
    task, _, y, w = drawn
    at = w[..., None]
    assert task.correct(y, y + 0.039 * at, w).all()
    assert not task.correct(y, y - 0.041 * at, w).any()
    assert AddingModern(100, tolerance=0.08).correct(y, y + 0.079 * at, w).all()
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(at > 0, y, noise), w).all(), (
        "steps without an error do not count"
    )
    assert task.correct(y, np.ones_like(y), w).mean() == pytest.approx(
        0.0784, abs=0.012
    )  # 1 - (1 - 0.04)^2


def test_criterion_can_be_changed():
    assert AddingModern().criterion == {
        "rule": "sliding_window",
        "sequences": 2000,
        "wrong": 20,
        "error_below": None,
        "measure": "absolute",
    }
    assert AddingModern(criterion={"wrong": 0}).criterion["wrong"] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"T": 1}, "AddingModern: expected an integer >= 2. Received: task.T=1"),
        ({"T": 50.0}, "AddingModern: expected an integer >= 2. Received: task.T=50.0"),
        (
            {"tolerance": -0.1},
            "AddingModern: expected a number in [0, 1]. Received: task.tolerance=-0.1",
        ),
        (
            {"tolerance": "x"},
            "AddingModern: expected a number in [0, 1]. Received: task.tolerance='x'",
        ),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        AddingModern(**settings)
    assert str(refused.value) == message
