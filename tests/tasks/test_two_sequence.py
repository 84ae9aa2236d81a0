"""The two-sequence problem against what section 5.3 says, recomputed from the inputs."""

import numpy as np
import pytest
from lstmlab.tasks.two_sequence import TwoSequence
from scipy.stats import chisquare, kstest

from lstmlab.criterion import criterion

N = 10_000
CERTAIN = 1e-4
SD = 0.2**0.5


@pytest.fixture(
    scope="module",
    params=[
        ("3a", 3, 100),
        ("3a", 1, 20),
        ("3b", 3, 100),
        ("3b", 1, 100),
        ("3c", 3, 100),
        ("3c", 5, 30),
    ],
)
def drawn(request):
    task = TwoSequence(*request.param)
    return task, *task.sample(np.random.default_rng(3), N)


def lengths_of(x):
    """Noise is never exactly zero, silence always."""
    return np.array([int(np.flatnonzero(row)[-1]) + 1 for row in x[..., 0]])


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    if task.form == "3a":
        assert set(np.unique(x[:, : task.N])) == {-1.0, 1.0}
        assert (x[:, : task.N] == x[:, :1]).all()
        for row, asked, weight in zip(x[..., 0], y[..., 0], w, strict=True):
            end = int(np.flatnonzero(row)[-1])
            assert np.flatnonzero(weight).tolist() == [end]
            assert asked[end] == (1.0 if row[0] == 1 else 0.0)
            assert asked.sum() == asked[end]
    ends = lengths_of(x) - 1
    assert np.array_equal(np.argmax(w, axis=1), ends)
    assert np.array_equal(w.sum(axis=1), np.ones(N))


def test_noise_on_the_telling_elements(drawn):
    """3b: about the mean of their class, and independent of each other."""
    task, x, y, w = drawn
    if task.form == "3b":
        centre = np.where(y[w > 0] == 1, 1.0, -1.0)
        noise = x[:, : task.N, 0] - centre
        assert all(
            kstest(noise[:, k], "norm", args=(0, SD)).pvalue > CERTAIN for k in range(task.N)
        )
        if task.N > 1:
            assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 4 / np.sqrt(N)
    else:
        assert np.abs(x[:, : task.N]).min() == np.abs(x[:, : task.N]).max() == 1.0


def test_noise_of_the_targets(drawn):
    task, x, y, w = drawn
    answers = y[w > 0][:, 0].astype(float)
    if task.form == "3c":
        clean = np.where(x[:, 0, 0] == 1, 0.2, 0.8)
        assert kstest(answers - clean, "norm", args=(0, 0.1**0.5)).pvalue > CERTAIN
        assert abs(np.corrcoef(answers - clean, clean)[0, 1]) < 4 / np.sqrt(N)
    else:
        assert set(answers) == {0.0, 1.0}


def test_noise_that_follows(drawn):
    task, x, _, _ = drawn
    noise = x[:, task.N : task.T, 0]
    assert kstest(noise[:, 0], "norm", args=(0, SD)).pvalue > CERTAIN
    assert kstest(noise[:, -1], "norm", args=(0, SD)).pvalue > CERTAIN
    assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 4 / np.sqrt(N)
    assert abs(np.corrcoef(noise[:, 0], x[:, 0, 0])[0, 1]) < 4 / np.sqrt(N)


def test_classes_and_lengths(drawn):
    task, x, y, w = drawn
    first = int((y[w > 0] < 0.5).sum()) if task.form != "3c" else int((x[:, 0, 0] == 1).sum())
    assert chisquare([first, N - first]).pvalue > CERTAIN
    values, counts = np.unique(lengths_of(x), return_counts=True)
    assert values.tolist() == list(range(task.T, task.T + task.T // 10 + 1))
    assert chisquare(counts).pvalue > CERTAIN
    assert x.shape[1] == task.steps == values[-1]
    assert task.lag == task.T - task.N == values[0] - task.N


def test_inclusive_false_leaves_out_the_greatest_length():
    task = TwoSequence(inclusive=False)
    x, _, _ = task.sample(np.random.default_rng(0), 2000)
    assert set(lengths_of(x)) == set(range(100, 110))
    assert x.shape[1] == task.steps == 109
    assert TwoSequence(T=5, inclusive=False).steps == 5


def test_sets_have_targets_without_noise_and_validation_is_drawn_anew():
    task = TwoSequence("3c")
    sets, again, anew = task.sets(5), task.sets(5), task.sets(5, draw=2)
    test, validation = (
        [np.concatenate(part) for part in zip(*sets[name], strict=True)]
        for name in ("test", "validation")
    )
    assert (len(test[0]), len(validation[0])) == (2560, 256)
    for x, y, w in (test, validation):
        assert np.array_equal(
            y[w > 0][:, 0], np.where(x[:, 0, 0] == 1, np.float32(0.2), np.float32(0.8))
        )
    assert task.target_noise > 0, "training keeps its noise"
    for _ in range(2):
        assert np.array_equal(next(iter(again["validation"]))[0], validation[0])
    assert not np.array_equal(next(iter(anew["validation"]))[0], validation[0])
    assert np.array_equal(next(iter(anew["test"]))[0], next(iter(again["test"]))[0])
    assert not {row.tobytes() for row in test[0]} & {row.tobytes() for row in validation[0]}


@pytest.mark.parametrize(
    ("form", "stop", "wrong", "error_below"),
    [
        ("3a", "ST1", 0, None),
        ("3a", "ST2", 0, 0.01),
        ("3b", "ST1", 5, None),
        ("3b", "ST2", 5, 0.04),
        ("3c", "ST2", 0, 0.015),
    ],
)
def test_criterion_of_the_form(form, stop, wrong, error_below):
    """Met at the allowed number of wrong ones and just below the mean, not at one more or above."""
    task = TwoSequence(form, stop=stop)
    ((_, y, w),) = task.sets(0)["validation"]

    def solved(wrongs, error):
        prediction = y + error
        prediction[:wrongs] = 0.5
        rule = criterion(**task.criterion)
        return rule.observe(
            task,
            y[:10],
            y[:10],
            w[:10],
            lambda sets, draw: iter([(y, prediction, w)] if sets else []),
        )

    bound = task.tolerance if error_below is None else error_below
    below = bound - 1e-3 - wrong * 0.5 / 256  # what the wrong ones add to the mean
    assert solved(wrong, below)
    assert not solved(wrong + 1, below)
    assert not solved(0, bound + 1e-3)


def test_settings_of_the_criterion_can_be_changed():
    rule = TwoSequence("3b", criterion={"wrong": 9, "redraw": True}).criterion
    assert (rule["wrong"], rule["redraw"], rule["error_below"], rule["rule"]) == (
        9,
        True,
        0.04,
        "whole_sets",
    )


def test_perfect_and_mean_predictor(drawn):
    task, _, y, w = drawn
    asked = w[..., None] > 0
    bound = 0.1 if task.form == "3c" else 0.2
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + (bound - 0.001) * asked, w).all()
    assert not task.correct(y, y - (bound + 0.001) * asked, w).any()
    assert not task.correct(y, np.full_like(y, 0.5), w).all()
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(asked, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_chance(drawn):
    task, _, _, _ = drawn
    squares = np.concatenate([(y[w > 0] - 0.5) ** 2 for _, y, w in task.sets(0)["test"]])
    assert task.chance == task.memoryless == pytest.approx(squares.mean(), rel=1e-5)
    assert task.chance == pytest.approx(0.09 if task.form == "3c" else 0.25)


def test_events_are_the_telling_elements(drawn):
    task, x, _, w = drawn
    assert all(
        np.flatnonzero(row).tolist() == list(range(task.N)) for row in task.events(x[:50], w[:50])
    )


def test_pieces_cut_anywhere(drawn):
    task, x, y, w = drawn
    lengths = [2, 1, 9, 1, task.steps - 14, 1]
    parts = zip(*task.pieces(np.random.default_rng(3), N, lengths), strict=True)
    for joined, sampled in zip(parts, (x, y, w), strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), sampled)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"form": "3d"}, "task.form='3d'"),
        ({"N": 0}, "task.N=0"),
        ({"N": 100}, "task.N=100"),
        ({"T": 1}, "task.T=1"),
        ({"stop": "ST3"}, "task.stop='ST3'"),
        ({"inclusive": None}, "task.inclusive=None"),
        ({"N": "3"}, "task.N='3'"),
    ],
)
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match="TwoSequence: expected") as error:
        TwoSequence(**arguments)
    assert received in str(error.value)
