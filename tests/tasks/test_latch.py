"""The latch problem: the answer is the first input, all else is noise."""

import numpy as np
import pytest
from lstmlab.tasks.latch import Latch
from scipy.stats import chisquare, kstest

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(scope="module", params=[(20, 29, 1.0), (2, 4, 0.8)])
def drawn(request):
    shortest, longest, answer = request.param
    task = Latch(shortest, longest, answer=answer)
    return task, *task.sample(np.random.default_rng(4), N)


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    assert set(np.unique(x[:, 0])) == {-1.0, 1.0}
    assert ((w > 0).sum(axis=1) == 1).all()
    assert np.array_equal(y[w > 0], x[:, 0] * np.float32(task.answer))
    assert np.count_nonzero(y) == N
    assert np.array_equal(task.events(x, w)[:, 1:], w[:, 1:] > 0)
    assert task.events(x, w)[:, 0].all()


def test_lengths_and_classes_are_uniform(drawn):
    task, x, _, w = drawn
    last = w.argmax(axis=1)
    values, counts = np.unique(last, return_counts=True)
    assert values.tolist() == list(range(task.shortest - 1, task.steps))
    assert last.min() == task.lag
    assert chisquare(counts).pvalue > CERTAIN
    assert chisquare(np.unique(x[:, 0], return_counts=True)[1]).pvalue > CERTAIN
    assert all(not row[end + 1 :].any() for row, end in zip(x, last, strict=True)), (
        "padding is silent"
    )


def test_noise_is_normal_and_independent_of_the_bit(drawn):
    _, x, _, _ = drawn
    noise = x[:, 1, 0]
    assert kstest(noise, "norm", args=(0, 0.2**0.5)).pvalue > CERTAIN
    assert abs(np.mean(noise * x[:, 0, 0])) < 4 * (0.2 / N) ** 0.5


def test_perfect_and_constant_predictor(drawn):
    task, _, y, w = drawn
    assert task.correct(y, y + 0.099, w).all()
    assert not task.correct(y, y + 0.101, w).any()
    assert not task.correct(y, np.zeros_like(y), w).any()
    assert task.chance == task.memoryless == pytest.approx(y[w > 0].var(), abs=0.001)
    noise = np.random.default_rng(0).normal(size=y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, y, noise), w).all(), (
        "steps without an error do not count"
    )


def test_an_answer_may_be_a_whole_number():
    task, same = Latch(20, 29, answer=1), Latch(20, 29)
    assert type(task.answer) is float
    for a, b in zip(*(t.sample(np.random.default_rng(4), 9) for t in (task, same)), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"shortest": 1}, "an integer >= 2. Received: task.shortest=1"),
        (
            {"shortest": 9, "longest": 8},
            "an integer >= 9, which is task.shortest. Received: task.longest=8",
        ),
        ({"variance": -0.1}, r"a number >= 0. Received: task.variance=-0.1"),
        ({"answer": 0.5}, "one of (1.0, 0.8). Received: task.answer=0.5"),
        ({"answer": 2}, "one of (1.0, 0.8). Received: task.answer=2"),
        ({"answer": True}, "one of (1.0, 0.8). Received: task.answer=True"),
    ],
)
def test_bad_settings(arguments, expected):
    with pytest.raises(ValueError, match="Latch: expected") as error:
        Latch(**arguments)
    assert expected in str(error.value)


def test_a_test_set_of_another_size():
    x, _, _ = next(iter(Latch(5, 6, test_size=7).sets(0)["test"]))
    assert len(x) == 7
    with pytest.raises(ValueError, match=r"task\.test_size=0"):
        Latch(test_size=0)
