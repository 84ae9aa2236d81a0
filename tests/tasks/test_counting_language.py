"""The counting languages against strings written out and a regular expression of what may follow."""

import re

import numpy as np
import pytest
from lstmlab.tasks.counting_language import CountingLanguage
from scipy.stats import chisquare

N = 10_000
CERTAIN = 1e-4


@pytest.fixture(params=["anbn", "anbncn"])
def task(request):
    return CountingLanguage(request.param, N=7, M=60)


def language(letters, largest=70):
    return {"S" + "".join(letter * n for letter in letters) + "T" for n in range(1, largest)}


def read(task, x, w):
    """The strings shown."""
    return [
        "".join(task.inputs[k] for k in row[: int(weight.sum())].argmax(-1))
        for row, weight in zip(x, w, strict=True)
    ]


def legal(task, prefix, strings):
    return {string[len(prefix)] for string in strings if string.startswith(prefix)}


def test_targets_from_the_inputs_alone(task):
    """The symbols that follow the prefix in some string of the language, by search through all its strings."""
    strings = language(task.letters)
    for x, y, w in (task.sample(np.random.default_rng(0), 100), *task.sets(0)["test"]):
        for shown, asked, row in zip(read(task, x, w), y, x, strict=True):
            assert shown + "T" in strings
            assert row.sum() == len(shown)
            for t in range(len(shown)):
                assert {task.targets[k] for k in np.flatnonzero(asked[t])} == legal(
                    task, shown[: t + 1], strings
                )
            assert not asked[len(shown) :].any()


def test_lengths_are_uniform(task):
    x, _, w = task.sample(np.random.default_rng(3), N)
    strings = read(task, x, w)
    assert all(re.fullmatch("Sa+b+(c+)?", string) for string in set(strings))
    counts = np.bincount([string.count("a") for string in strings], minlength=8)[1:]
    assert counts.shape == (7,)
    assert chisquare(counts).pvalue > CERTAIN
    assert x.shape[1] == task.steps == max(map(len, strings))


def test_sets_are_all_lengths_in_order(task):
    sets = task.sets(0)
    assert [s.count("a") for x, _, w in sets["training"] for s in read(task, x, w)] == list(
        range(1, 8)
    )
    blocks = list(sets["test"])
    assert [s.count("b") for x, _, w in blocks for s in read(task, x, w)] == list(range(1, 61))
    assert [x.shape[1] for x, _, _ in blocks] == [task.length(n) for n in (7, 14, 28, 56, 60)]
    again = list(sets["test"])
    assert all(
        np.array_equal(a, b)
        for one, two in zip(blocks, again, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_blocks_of_the_test_set_stay_small():
    task = CountingLanguage("anbncn", N=1, M=3000)
    sizes = [x.nbytes + y.nbytes for x, y, _ in task.sets(0)["test"]]
    assert max(sizes) <= 2**26
    assert len(sizes) < 60


def test_a_decision_at_every_output(task):
    _, y, w = next(iter(task.sets(0)["training"]))
    assert task.correct(y, np.where(y > 0, 0.51, 0.49), w).all()
    assert not task.correct(y, np.full_like(y, 0.5), w).any()
    for t, k in ((0, 0), (1, 1), (2, 2)):
        wrong = y.copy()
        wrong[:, t, k] = 1 - wrong[:, t, k]
        assert not task.correct(y, wrong, w).any()
    noise = np.random.default_rng(0).random(y.shape)
    assert task.correct(y, np.where(w[..., None] > 0, y, noise), w).all(), "padding does not count"


def test_the_memoryless_answer_is_wrong_for_every_string(task):
    x, y, w = next(iter(task.sets(0)["training"]))
    answer = {
        tuple(key): y[(x == key).all(-1) & (w > 0)].mean(axis=0) for key in np.eye(task.features)
    }
    predicted = np.array(
        [[answer.get(tuple(step), np.zeros(task.outputs)) for step in row] for row in x]
    )
    assert not task.correct(y, predicted, w).any()
    each = ((y - predicted) ** 2).mean(axis=-1)
    assert task.memoryless == pytest.approx(each[w > 0].mean())


def test_the_card_has_the_numbers_of_the_defaults():
    task = CountingLanguage()
    assert f"{task.chance:.4f} for always" in task.__doc__
    assert f"{task.memoryless:.4f} for the best answer" in task.__doc__
    _, y, w = task.sample(np.random.default_rng(1), N)
    answers = y[w > 0]
    assert task.chance == pytest.approx(((answers - answers.mean(axis=0)) ** 2).mean(), abs=0.002)


def test_summary(task):
    right = np.ones(60, bool)
    assert task.summary(right, {}) == {"generalises_to": 60}
    right[[20, 40]] = False
    assert task.summary(right, {}) == {"generalises_to": 20}
    right[0] = False
    assert task.summary(right, {}) == {"generalises_to": 0}


def test_events_are_the_borders(task):
    x, _, w = task.encode(np.array([3]))
    assert np.flatnonzero(task.events(x, w)[0]).tolist() == [
        1 + 3 * k for k in range(len(task.letters))
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"language": "anbm"}, r"one of .*task.language='anbm'"), ({"N": 0}, r"a positive integer. Received: task.N=0"),
     ({"N": 10, "M": 9}, r">= 10, which is task.N. Received: task.M=9"), ({"N": 2.0}, r"task.N=2.0"),
     ({"M": True}, "task.M=True")],
)  # fmt: skip
def test_bad_settings(arguments, expected):
    with pytest.raises(ValueError, match=f"CountingLanguage: expected .*{expected}"):
        CountingLanguage(**arguments)
