"""The adding problem against what section 5.4 says of it, recomputed from the inputs alone."""

import numpy as np
import pytest
from lstmlab.tasks.adding import Adding
from scipy.stats import chisquare, kstest

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed


@pytest.fixture(scope="module", params=[24, 100, 131])
def drawn(request):
    task = Adding(request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def places(x):
    """For each sequence: its length, and the 0-based places of the markers 1."""
    lengths = [int(np.flatnonzero(markers == -1)[-1]) + 1 for markers in x[..., 1]]
    return np.array(lengths), [np.flatnonzero(markers == 1) for markers in x[..., 1]]


def test_target_from_the_inputs_alone(drawn):
    _, x, y, w = drawn
    for shown, asked, weight in zip(x, y, w, strict=True):
        marked = shown[shown[:, 1] == 1, 0].astype(
            float
        )  # a first pair drawn as a mark keeps -1 and counts as 0
        end = int(np.flatnonzero(shown[:, 1] == -1)[-1])
        assert np.flatnonzero(weight).tolist() == [end]
        assert asked[end, 0] == pytest.approx(0.5 + marked.sum() / 4, abs=1e-6)
        assert not asked[:end].any()
        assert not asked[end + 1 :].any()


def test_markers_and_padding(drawn):
    task, x, _, w = drawn
    lengths, marks = places(x)
    assert set(np.unique(x[..., 1])) == {-1.0, 0.0, 1.0}
    assert (x[:, 0, 1] == -1).all()
    assert ((x[..., 1] == -1).sum(axis=1) == 2).all()
    assert {len(m) for m in marks} == {1, 2}
    for n, (length, at) in enumerate(zip(lengths, marks, strict=True)):
        assert at.max() < task.T // 2 - 1
        assert at.min() >= 1
        if len(at) == 2:
            assert at.min() < 10
        assert not x[n, length:].any(), "padding is silent"
    assert np.array_equal(task.events(x, w), x[..., 1] != 0)


def test_lengths_are_uniform(drawn):
    task, x, _, _ = drawn
    lengths, _ = places(x)
    values, counts = np.unique(lengths, return_counts=True)
    assert values.tolist() == list(range(task.T, task.T + task.T // 10 + 1))
    assert chisquare(counts).pvalue > CERTAIN
    assert x.shape[1] == task.steps == values[-1]


def test_values_are_uniform(drawn):
    task, x, _, _ = drawn
    values = x[:, : task.T, 0]
    assert -1 <= values.min() < -0.999
    assert 0.999 < values.max() <= 1
    assert kstest(values[:, 5], "uniform", args=(-1, 2)).pvalue > CERTAIN


def test_second_mark_is_uniform_where_it_cannot_be_confused(drawn):
    """A tenth of the cases: the first mark fell on the first pair, the other on 2 to T/2 - 1."""
    task, x, _, _ = drawn
    _, marks = places(x)
    alone = np.array([at[0] for at in marks if len(at) == 1])
    assert abs(len(alone) / N - 0.1) < 4 * np.sqrt(0.09 / N)
    counts = np.bincount(alone, minlength=task.T // 2 - 1)[1:]
    assert (counts > 0).all()
    assert chisquare(counts).pvalue > CERTAIN


def test_pairs_of_marks_by_the_rule(drawn):
    """Unordered pairs: first uniform on 2 to 10, second on the others of the first T/2 - 1."""
    task, x, _, _ = drawn
    _, marks = places(x)
    half = task.T // 2 - 1
    expected = {}
    for first in range(1, 10):
        for second in set(range(1, half)) - {first}:
            pair = tuple(sorted((first, second)))
            expected[pair] = expected.get(pair, 0) + 0.1 / (half - 2)
    seen = dict.fromkeys(expected, 0)
    for at in marks:
        if len(at) == 2:
            seen[tuple(int(place) for place in at)] += 1
    total = sum(seen.values())
    probability = np.array(list(expected.values()))
    assert chisquare(list(seen.values()), probability / probability.sum() * total).pvalue > CERTAIN


def test_perfect_and_mean_predictor(drawn):
    task, _, y, w = drawn
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.039 * w[..., None], w).all()
    assert not task.correct(y, y + 0.041 * w[..., None], w).any()
    mean = np.full_like(y, 0.5)
    assert 0.05 < task.correct(y, mean, w).mean() < 0.3
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_chance_by_monte_carlo(drawn):
    task, x, y, w = drawn
    squares = (y[w > 0].astype(float) - 0.5) ** 2
    assert (
        task.chance
        == task.memoryless
        == pytest.approx(squares.mean(), abs=4 * squares.std() / np.sqrt(N))
    )
    assert task.chance == pytest.approx(0.9 / 24 + 0.1 / 48)
    last = x[w > 0][:, 0]
    assert abs(np.corrcoef(last, y[w > 0][:, 0])[0, 1]) < 4 / np.sqrt(N), (
        "the last pair tells nothing"
    )


def test_every_branch_is_met(drawn):
    task, x, _, _ = drawn
    _, marks = places(x)
    pairs = [at for at in marks if len(at) == 2]
    assert any(at[1] - at[0] == 1 for at in pairs), "neighbours"
    assert {1, 9} <= {int(at[0]) for at in pairs}
    assert max(int(at.max()) for at in marks) == task.T // 2 - 2
    assert min(int(at[0]) for at in marks if len(at) == 1) == 1, "after a first pair that is a mark"


def test_lag_is_that_of_the_sequences(drawn):
    """From the second mark to the answer at the shortest length: the paper's T/2 for even T."""
    task, x, _, w = drawn
    _, marks = places(x)
    steps = [int(np.argmax(weight)) - int(at.max()) for at, weight in zip(marks, w, strict=True)]
    assert min(steps) == task.T - 1 - (task.T // 2 - 2)
    assert task.lag == min(steps)


def test_pieces_cut_anywhere(drawn):
    task, x, y, w = drawn
    lengths = [1, 1, 9, task.steps - 12, 1]
    parts = zip(*task.pieces(np.random.default_rng(4), N, lengths), strict=True)
    for joined, sampled in zip(parts, (x, y, w), strict=True):
        assert np.array_equal(np.concatenate(joined, axis=1), sampled)


@pytest.mark.parametrize("T", [23, 0, -5, "x", 50.0, True])
def test_too_short(T):
    with pytest.raises(ValueError, match=r"Adding: expected an integer >= 24.*Received: task.T="):
        Adding(T)
