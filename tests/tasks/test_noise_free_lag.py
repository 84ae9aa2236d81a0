"""Two noise-free sequences against what section 5.2 says of experiment 2a."""

import numpy as np
import pytest
from lstmlab.tasks.noise_free_lag import NoiseFreeLag
from scipy.stats import chisquare

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[2, 4, 10])
def drawn(request):
    task = NoiseFreeLag(request.param)
    return task, *task.sample(np.random.default_rng(2), N)


def words(task, part):
    """Names of the lines that are 1, one per step."""
    names = [f"a{k}" for k in range(1, task.p)] + ["x", "y"]
    assert (list(task.inputs), list(task.targets)) == (names, names)
    assert set(np.unique(part)) == {0.0, 1.0}
    assert (part.sum(axis=-1) == 1).all()
    return [[names[k] for k in row] for row in part.argmax(-1)]


def both(p):
    """The two sequences as the paper prints them."""
    middle = [f"a{k}" for k in range(1, p)]
    return [["x", *middle, "x"], ["y", *middle, "y"]]


def test_sequences_and_targets(drawn):
    task, x, y, w = drawn
    expected = both(task.p)
    count = [0, 0]
    for shown, asked in zip(words(task, x), words(task, y), strict=True):
        which = [sequence[:-1] for sequence in expected].index(shown)
        assert asked == expected[which][1:]
        count[which] += 1
    assert (w == 1).all()
    assert chisquare(count).pvalue > CERTAIN


def test_both_sequences_are_the_set():
    for p in (2, 7, 100):
        task = NoiseFreeLag(p)
        for seed, draw in ((0, 0), (3, 5)):
            ((x, y, w),) = task.sets(seed, draw)["test"]
            assert [
                [*row, end[-1]] for row, end in zip(words(task, x), words(task, y), strict=True)
            ] == both(p)
            assert w.shape == (2, p) == (task.test_size, task.steps)


def test_lag(drawn):
    """Steps between the first symbol and the prediction of the last."""
    task, x, _, w = drawn
    assert task.lag == task.p - 1 == w.shape[1] - 1
    assert all(np.flatnonzero(row).tolist() == [0, task.lag] for row in task.events(x[:20], w[:20]))
    assert NoiseFreeLag().lag == 99


def test_every_output_at_every_step_counts(drawn):
    task, _, y, w = drawn
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.249, w).all()
    for t in range(task.steps):
        wrong = y.copy()
        wrong[:, t, task.p // 2] += 0.251
        assert not task.correct(y, wrong, w).any()
    assert not task.correct(y, np.broadcast_to(y.mean(axis=(0, 1)), y.shape), w).any()
    forgetful = y.copy()
    forgetful[:, -1, -2:] = 0.5
    assert not task.correct(y, forgetful, w).any(), "the long lag counts"


def test_chance_and_memoryless(drawn):
    """The best constant is the mean target; of what follows a symbol, the best answer to it."""
    task, *_ = drawn
    ((x, y, _),) = task.sets(0)["test"]
    x, y = (part.reshape(-1, task.p + 1).astype(float) for part in (x, y))
    assert task.chance == pytest.approx(np.mean((y - y.mean(axis=0)) ** 2))
    follow = np.stack([y[(x == symbol).all(axis=1)].mean(axis=0) for symbol in x])
    assert task.memoryless == pytest.approx(np.mean((y - follow) ** 2))


def test_numbers_of_the_card():
    task = NoiseFreeLag()
    assert (round(task.chance, 4), round(task.memoryless, 7)) == (0.0098, 0.0000495)


def test_published_rows_have_the_weights_of_table_2():
    """(p + 2)^2 with one self-recurrent hidden unit.

    LSTM: its recurrent weight is fixed, and an input gate sees all inputs.

    Chunker: both nets, of which the table counts the one with one more output.
    """
    for row in NoiseFreeLag.published:
        p, weights = row["where"]["task.p"], row["where"]["weights"]
        memory = (p + 1) ** 2 + 3 * (p + 1)
        expected = {"chunker": 2 * (p + 2) ** 2 + p + 2, "LSTM": memory}
        assert weights == expected.get(row["method"], (p + 2) ** 2)


@pytest.mark.parametrize("p", [1, 0, 4.0, True, "4"])
def test_bad_settings(p):
    with pytest.raises(
        ValueError, match=r"NoiseFreeLag: expected an integer >= 2.*Received: task.p="
    ):
        NoiseFreeLag(p)
