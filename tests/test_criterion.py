"""Rules for "solved": exact to the sequence, however training is cut into windows."""

import itertools

import numpy as np
import pytest

from lstmlab.criterion import SlidingWindow, WholeSets, criterion, sequence_errors


class Told:
    """A task to which a sequence is right if its prediction says so: y is 1 for right."""

    def correct(self, y, prediction, w):
        return y[:, 0, 0] > 0


def chunks(rng, n):
    """Cuts 0 .. n at random, also into chunks of 1 and chunks longer than the window."""
    cuts = np.unique(np.concatenate([[0, n], rng.integers(0, n, size=rng.integers(1, 12))]))
    return list(itertools.pairwise(cuts))


def brute_force(right, errors, length, wrong, below):
    for end in range(length, len(right) + 1):
        if (~right[end - length : end]).sum() <= wrong and errors[
            end - length : end
        ].mean() < below:
            return end
    return None


def test_sliding_window_against_brute_force():
    rng = np.random.default_rng(3)
    found, earlier = [], []
    for _ in range(300):
        n, length, wrong = (
            int(rng.integers(1, 120)),
            int(rng.integers(2, 25)),
            int(rng.integers(0, 2)),
        )
        right = rng.random(n) < rng.choice([0.8, 0.95, 1.0])
        # the error of a sequence is |y - prediction|: the prediction lies beside y by `errors`
        errors = np.round(rng.random(n) * 0.2, 3)
        y = right.astype(float)[:, None, None]
        rule = SlidingWindow(sequences=length, wrong=wrong, error_below=0.1)
        answers = [
            rule.observe(Told(), y[a:b], y[a:b] - errors[a:b, None, None], np.ones((b - a, 1)))
            for a, b in chunks(rng, n)
        ]
        expected = brute_force(right, errors, length, wrong, 0.1)
        assert rule.solved_at == expected
        few_wrong = brute_force(right, errors, length, wrong, np.inf)
        assert rule.few_wrong_at == few_wrong
        earlier.append(few_wrong != expected)
        assert answers[-1] is (expected is not None)
        assert answers == sorted(answers), "once solved, always solved"
        assert rule.recent_wrong == (~right[-length:]).sum()
        found.append(expected)
    assert 50 < sum(e is not None for e in found) < 250, "both outcomes must have been met"
    assert 10 < sum(earlier) < 290, "one clause met before both, and not"


def test_sliding_window_keeps_the_first_solution():
    right = np.r_[np.zeros(3), np.ones(4), np.zeros(3), np.ones(4)].astype(float)[:, None, None]
    rule = SlidingWindow(sequences=4, error_below=1.0)
    rule.observe(Told(), right, right, np.ones((14, 1)))
    assert rule.solved_at == 7


def test_sequence_errors_against_loops(rng):
    y, prediction, w = (
        rng.random((5, 4, 2)),
        rng.random((5, 4, 2)),
        (rng.random((5, 4)) < 0.5).astype(float),
    )
    w[:, 0] = 1
    for n in range(5):
        asked = [t for t in range(4) if w[n, t]]
        absolute = np.mean([abs(y[n, t, k] - prediction[n, t, k]) for t in asked for k in range(2)])
        squared = sum((y[n, t, k] - prediction[n, t, k]) ** 2 for t in asked for k in range(2))
        assert sequence_errors(y, prediction, w, "absolute")[n] == pytest.approx(
            absolute, rel=1e-12
        )
        assert sequence_errors(y, prediction, w, "squared")[n] == pytest.approx(squared, rel=1e-12)


def tries(rule, *windows):
    """What the rule says after each window of 7 sequences and sets {name: [right per sequence]}."""
    asked, y = [], np.zeros((7, 1, 1))
    outcomes = []
    for sets in windows:

        def evaluate(names, draw, sets=sets):
            for name in names or sets:
                asked.append((name, draw))
                right = np.array(sets[name], float)[:, None, None]
                yield right, right + 0.1, np.ones(right.shape[:2])

        outcomes.append(rule.observe(Told(), y, y, np.ones((7, 1)), evaluate))
    return outcomes, asked


def test_whole_sets():
    rule = WholeSets()
    wrong = []
    for sets in (
        {"training": [1, 0], "test": [0]},
        {"training": [1, 1], "test": [1]},
        {"test": [0]},
    ):
        wrong.append((*tries(rule, sets)[0], rule.recent_wrong))
    assert wrong == [(False, 2), (True, 0), (True, 1)]
    assert rule.solved_at == 14


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"wrong": 1}, [False, True]),
        ({"wrong": 0.25}, [False, True]),
        ({"wrong": 0.2}, [False, False]),
        ({"wrong": 1, "error_below": 0.11}, [False, True]),
        ({"wrong": 1, "error_below": 0.09}, [False, False]),
        ({"wrong": 1, "error_below": 0.02, "measure": "squared"}, [False, True]),
    ],
)
def test_whole_sets_with_bounds(settings, expected):
    assert (
        tries(WholeSets(**settings), {"test": [1, 1, 0, 0]}, {"test": [1, 0, 1, 1]})[0] == expected
    )


def test_when_few_enough_were_wrong_is_kept_whatever_their_error():
    sets = [{"test": [0, 0]}, {"test": [1, 0]}, {"test": [1, 1]}]
    rule = WholeSets(wrong=1, error_below=0.09)
    assert tries(rule, *sets)[0] == [False, False, False]
    assert (rule.solved_at, rule.few_wrong_at) == (None, 14)


def test_whole_sets_asks_for_its_sets_and_draws():
    both = {"a": [1], "b": [0]}
    assert tries(WholeSets(sets=["b"]), both, both) == ([False, False], [("b", 0), ("b", 0)])
    assert tries(WholeSets(sets=["a"], redraw=True), both, both) == (
        [True, True],
        [("a", 1), ("a", 2)],
    )


def test_a_large_set_is_given_up_once_it_failed():
    large = {"first": [0] + [1] * 999, "second": [1] * 10}
    assert tries(WholeSets(), large)[1] == [("first", 0)]
    assert tries(WholeSets(wrong=1), large) == ([True], [("first", 0), ("second", 0)])


def test_a_bound_is_not_needed():
    y = np.ones((5, 1, 1))
    assert SlidingWindow(3, error_below=None).observe(Told(), y, y + 100, np.ones((5, 1)))


def test_budget_is_never_solved():
    rule, y = criterion("budget"), np.array([1, 0, 1])[:, None, None]
    assert not rule.observe(Told(), y, y, np.ones((3, 1)))
    assert (rule.recent_wrong, rule.solved_at) == (1, None)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"rule": "luck"}, "criterion.rule='luck'"),
        ({"rule": "sliding_window", "sequences": 0}, "criterion.sequences=0"),
        ({"rule": "sliding_window", "sequences": 10, "wrong": 10}, "criterion.wrong=10"),
        ({"rule": "sliding_window", "error_below": "small"}, "criterion.error_below='small'"),
        ({"rule": "sliding_window", "measure": "cubic"}, "criterion.measure='cubic'"),
        ({"rule": "whole_sets", "sequences": 5}, "sequences"),
        ({"rule": "whole_sets", "wrong": 1.5}, "criterion.wrong=1.5"),
        ({"rule": "whole_sets", "wrong": 1.0}, "criterion.wrong=1.0"),
        ({"rule": "whole_sets", "wrong": -1}, "criterion.wrong=-1"),
        ({"rule": "whole_sets", "sets": "test"}, "criterion.sets='test'"),
        ({"rule": "whole_sets", "redraw": 1}, "criterion.redraw=1"),
        ({"rule": "whole_sets", "error_below": 0}, "criterion.error_below=0"),
        ({"rule": "budget", "wrong": 1}, "none"),
    ],
)
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match=r"expected") as error:
        criterion(**arguments)
    assert received in str(error.value)
