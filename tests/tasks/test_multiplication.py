"""The multiplication problem against what section 5.5 says, recomputed from the inputs."""

import numpy as np
import pytest
from lstmlab.tasks.multiplication import Multiplication
from scipy.stats import chisquare, kstest

from lstmlab.criterion import criterion

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[24, 100, 131])
def drawn(request):
    task = Multiplication(request.param)
    return task, *task.sample(np.random.default_rng(5), N)


def marks(x):
    return [np.flatnonzero(markers == 1) for markers in x[..., 1]]


def test_target_from_the_inputs_alone(drawn):
    """A first pair drawn as a mark keeps -1 and counts as 1: the other value is the product."""
    task, x, y, w = drawn
    seen = set()
    for shown, asked, weight, at in zip(x, y, w, marks(x), strict=True):
        end = int(np.flatnonzero(shown[:, 1] == -1)[-1])
        assert np.flatnonzero(weight).tolist() == [end]
        assert asked[end, 0] == pytest.approx(np.prod(shown[at, 0].astype(float)), abs=1e-6)
        assert np.count_nonzero(asked) <= 1
        seen.add((len(at), len(at) == 2 and at[1] - at[0] == 1, end + 1))
    lengths = range(task.T, task.T + task.T // 10 + 1)
    assert {(count, length) for count, _, length in seen} == {
        (count, length) for count in (1, 2) for length in lengths
    }
    assert any(neighbours for _, neighbours, _ in seen)


def test_markers_and_places(drawn):
    task, x, _, _ = drawn
    assert set(np.unique(x[..., 1])) == {-1.0, 0.0, 1.0}
    assert (x[:, 0, 1] == -1).all()
    assert ((x[..., 1] == -1).sum(axis=1) == 2).all()
    alone = np.array([at[0] for at in marks(x) if len(at) == 1])
    assert abs(len(alone) / N - 0.1) < 4 * np.sqrt(0.09 / N)
    counts = np.bincount(alone, minlength=task.T // 2 - 1)
    assert len(counts) == task.T // 2 - 1
    assert counts[0] == 0
    assert chisquare(counts[1:]).pvalue > CERTAIN
    assert all(at[0] < 10 for at in marks(x) if len(at) == 2)


def test_lengths_are_uniform(drawn):
    task, x, _, w = drawn
    values, counts = np.unique(np.argmax(w, axis=1) + 1, return_counts=True)
    assert values.tolist() == list(range(task.T, task.T + task.T // 10 + 1))
    assert chisquare(counts).pvalue > CERTAIN
    assert x.shape[1] == task.steps == values[-1]
    assert (
        min(int(np.argmax(weight)) - at.max() for weight, at in zip(w, marks(x), strict=True))
        == task.lag
    )


def test_inclusive_false_leaves_out_the_greatest_length():
    task = Multiplication(inclusive=False)
    _, _, w = task.sample(np.random.default_rng(0), 2000)
    assert set(np.argmax(w, axis=1) + 1) == set(range(100, 110))
    assert w.shape[1] == task.steps == 109


def test_values_are_uniform(drawn):
    task, x, _, _ = drawn
    assert x[..., 0].min() >= 0
    assert x[..., 0].max() <= 1
    unmarked = np.where(x[:, : task.T, 1] == 0, x[:, : task.T, 0], np.nan)
    for values in (unmarked[:, task.T // 2], x[:, 0, 0], x[x[..., 1] == 1, 0]):
        assert kstest(values[~np.isnan(values)], "uniform").pvalue > CERTAIN


def test_perfect_and_mean_predictor(drawn):
    task, _, y, w = drawn
    asked = w[..., None] > 0
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.039 * asked, w).all()
    assert not task.correct(y, y - 0.041 * asked, w).any()
    assert 0.05 < task.correct(y, np.full_like(y, 0.275), w).mean() < 0.3


def test_chance_by_monte_carlo(drawn):
    task, x, y, w = drawn
    answers = y[w > 0][:, 0].astype(float)
    squares = (answers - 0.275) ** 2
    assert (
        task.chance
        == task.memoryless
        == pytest.approx(squares.mean(), abs=4 * squares.std() / np.sqrt(N))
    )
    assert round(task.chance, 4) == 0.0577
    assert abs(np.corrcoef(x[w > 0][:, 0], answers)[0, 1]) < 4 / np.sqrt(N), (
        "the last pair tells nothing"
    )


@pytest.mark.parametrize("n_seq", [140, 13])
def test_criterion_of_the_paper(n_seq):
    """Fewer than n_seq of the last 2000 wrong, however large the mean error."""
    settings = {} if n_seq == 140 else {"wrong": n_seq - 1}
    task = Multiplication(24, criterion=settings)
    _, y, w = task.sample(np.random.default_rng(0), 2000)
    solved = {}
    for wrong in (n_seq - 1, n_seq):
        prediction = y.copy()
        prediction[:wrong] += 100
        solved[wrong] = criterion(**task.criterion).observe(task, y, prediction, w)
    assert solved == {n_seq - 1: True, n_seq: False}


def test_pieces_cut_anywhere(drawn):
    task, x, y, w = drawn
    lengths = [1, 1, 9, task.steps - 12, 1]
    parts = zip(*task.pieces(np.random.default_rng(5), N, lengths), strict=True)
    for joined, sampled in zip(parts, (x, y, w), strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), sampled)


@pytest.mark.parametrize(
    ("arguments", "received"), [({"T": 23}, "task.T=23"), ({"inclusive": 0}, "task.inclusive=0")]
)
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match="Multiplication: expected") as error:
        Multiplication(**arguments)
    assert received in str(error.value)
