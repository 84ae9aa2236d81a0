"""The timing tasks: intervals, answers and waves read off the lines alone."""

import numpy as np
import pytest
from lstmlab.tasks.timing import Timing
from scipy.stats import chisquare

CERTAIN = 1e-4
SIZES = [(10, 1), (4, 2), (3, 7)]


@pytest.fixture(scope="module", params=SIZES)
def size(request):
    return request.param


def drawn(kind, F, I_max, steps, n=40, **settings):
    task = Timing(kind, F, I_max, steps=steps, **settings)
    return task, *task.sample(np.random.default_rng(6), n)


def extra_steps(spikes, F):
    """I(n) from the steps of the spikes; the first interval begins before the first step."""
    return np.diff(spikes, prepend=-1) - F


def test_measured_intervals(size):
    F, I_max = size
    _, x, y, w = drawn("measure", F, I_max, steps=300 * F)
    seen = []
    for shown, asked, weight in zip(x[..., 0], y[..., 0], w, strict=True):
        spikes = np.flatnonzero(shown)
        assert (shown[spikes] == 1).all()
        assert np.array_equal(np.flatnonzero(weight), spikes)
        assert np.allclose(asked[spikes], extra_steps(spikes, F) / I_max)
        assert not asked[weight == 0].any()
        seen += list(extra_steps(spikes, F)[:100])
    assert len(seen) > 3000
    assert chisquare(np.bincount(seen, minlength=I_max + 1)).pvalue > CERTAIN


def test_first_and_next_interval_are_independent(size):
    F, I_max = size
    _, x, _, _ = drawn("measure", F, I_max, steps=2 * (F + I_max), n=10_000)
    pairs = [extra_steps(np.flatnonzero(row)[:2], F) for row in x[..., 0]]
    counts = np.bincount(
        [first * (I_max + 1) + second for first, second in pairs], minlength=(I_max + 1) ** 2
    )
    assert chisquare(counts).pvalue > CERTAIN


def test_single_interval(size):
    F, I_max = size
    task, x, y, w = drawn("single", F, I_max, steps=100, n=10_000)
    assert x.shape == (10_000, F + I_max, 1) == (10_000, task.steps, 1)
    assert (x.sum(axis=1) == 1).all()
    extra = x[..., 0].argmax(axis=1) + 1 - F
    assert chisquare(np.bincount(extra, minlength=I_max + 1)).pvalue > CERTAIN
    assert np.array_equal(w, x[..., 0])
    assert np.allclose(y[w > 0][:, 0], extra / I_max)
    test_x, *_ = next(iter(task.sets(0)["test"]))
    assert test_x[..., 0].argmax(axis=1).tolist() == [F + k - 1 for k in range(I_max + 1)]
    assert task.test_size == I_max + 1
    assert not task.endless


@pytest.mark.parametrize("steps", [300, 5])
def test_a_single_interval_may_be_longer_than_the_steps_it_does_not_use(steps):
    task, x, _, w = drawn("single", 400, 2, steps, n=20)
    assert x.shape == (20, 402, 1)
    assert (task.steps, task.readouts) == (402, 1)
    assert (w.sum(axis=1) == 1).all()


def test_generated_spikes(size):
    F, I_max = size
    _, x, y, w = drawn("generate", F, I_max, steps=300 * F)
    assert (w == 1).all()
    for shown, asked in zip(x[..., 0], y[..., 0], strict=True):
        spikes = np.flatnonzero(asked)
        begins = np.append(0, spikes + 1)[: len(spikes)]
        assert np.allclose(shown[begins] * I_max, extra_steps(spikes, F))
        for begin, end in zip(begins[:20], spikes[:20], strict=True):
            assert (shown[begin : end + 1] == shown[begin]).all()


@pytest.mark.parametrize("F", [10, 25])
def test_waves(F):
    t = np.arange(3 * F + 4)
    expected = {
        "cos": 0.5 - 0.5 * np.cos(2 * np.pi * t / F),
        "triangle": np.interp(t / F % 1, [0, 0.5, 1], [0, 1, 0]),
        "rectangle": t % F >= F / 2,
    }
    for wave, values in expected.items():
        task, x, y, w = drawn("periodic", F, 1, steps=len(t), n=3, wave=wave)
        assert not x.any()
        assert (w == 1).all()
        assert np.allclose(y[..., 0], values, atol=1e-6)
        assert (task.chance, task.memoryless) == pytest.approx((np.var(values),) * 2)
        assert task.correct(y, y + 0.29, w).all()
        assert not task.correct(y, y + 0.31, w).any()
        assert len(list(task.sets(0)["test"])) == task.test_size == 1


@pytest.mark.parametrize("kind", ["measure", "single", "generate", "periodic"])
def test_cuts_and_yardsticks(kind, size):
    F, I_max = size
    task, x, y, w = drawn(kind, F, I_max, steps=77, n=20_000)
    cut = task.pieces(np.random.default_rng(6), 20_000, [1, F - 1, task.steps - F])
    assert all(
        np.array_equal(np.concatenate(p, axis=1), q)
        for p, q in zip(zip(*cut, strict=True), (x, y, w), strict=True)
    )
    shown, asked = x[w > 0][:, 0], y[w > 0][:, 0].astype(float)
    assert task.chance == pytest.approx(asked.var(), abs=2e-3)
    within = sum(
        asked[shown == value].var() * np.mean(shown == value) for value in np.unique(shown)
    )
    assert task.memoryless == pytest.approx(within, abs=2e-3)
    assert (w > 0).sum(axis=1).max() <= task.readouts
    assert (w > 0).any(axis=1).all()
    assert np.array_equal(task.events(x, w), (x[..., 0] > 0) & (kind in ("measure", "single")))


def test_tolerance_tells_neighbours_apart(size):
    F, I_max = size
    task, _, y, w = drawn("measure", F, I_max, steps=100)
    assert task.correct(y, y + 0.48 / I_max, w).all()
    assert not task.correct(y, y + 0.5 / I_max, w).any()
    assert not task.correct(y, np.full_like(y, y[w > 0].mean()), w).any()
    generate, _, y, w = drawn("generate", F, I_max, steps=100)
    assert generate.correct(y, np.abs(y - 0.48), w).all()
    assert not generate.correct(y, np.zeros_like(y), w).any()


def test_test_streams_and_card():
    task = Timing()
    assert sum(len(x) for x, _, _ in task.sets(0)["test"]) == task.test_size == 100
    assert f"{task.chance:.4f} for always answering the mean" in task.__doc__
    assert Timing("periodic").output_activation == "linear"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"kind": "msd"}, "one of .*task.kind='msd'"), ({"F": 1}, "in 2..10000. Received: task.F=1"),
     ({"I_max": 0}, "task.I_max=0"), ({"wave": "sine"}, "one of .*task.wave='sine'"),
     ({"kind": "single", "F": 1}, "in 2..10000. Received: task.F=1"),
     ({"steps": None}, r">= 11, which is task.F \+ task.I_max. Received: task.steps=None"),
     ({"kind": "periodic", "F": 400}, r">= 401, which .*Received: task.steps=300$"),
     ({"steps": 10}, r">= 11, which is task.F \+ task.I_max. Received: task.steps=10")],
)  # fmt: skip
def test_bad_settings(arguments, expected):
    with pytest.raises(ValueError, match=f"Timing: expected .*{expected}"):
        Timing(**arguments)
