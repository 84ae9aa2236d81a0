"""Pairs of settings on equal seeds, against counting by hand and statsmodels."""

import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from lstmlab.report import paired
from lstmlab.report.survival import Watched


def seen(*sequences, budget=100.0):
    times = np.array(sequences, float)
    return Watched(np.minimum(times, budget), times < budget)


def trials(sequences, budget=100, **more):
    """A setting whose trials have the seeds 0, 1, ...; those at the budget are not solved."""
    return pd.DataFrame(
        {
            "seed": range(len(sequences)),
            "status": ["solved" if n < budget else "budget" for n in sequences],
            "sequences": budget,
            "sequences_to_solution": [n if n < budget else None for n in sequences],
            "trainer.budget": budget,
            **more,
        }
    )


@pytest.mark.parametrize("seeds", [1, 2, 6, 8, 16])
def test_permutation_against_all_exchanges(seeds):
    difference = np.random.default_rng(seeds).normal(0.5, 1, seeds)
    means = np.array(list(itertools.product([1, -1], repeat=seeds))) @ difference / seeds
    wanted = np.mean(np.abs(means) >= abs(difference.mean()) - 1e-12)
    assert paired.permutation(difference) == pytest.approx(wanted)


def test_permutation_of_many_is_the_same_twice():
    difference = np.random.default_rng(0).normal(0.3, 1, 40)
    assert paired.permutation(difference) == paired.permutation(difference)
    assert paired.permutation(difference) != paired.permutation(difference + 0.1)


def test_no_difference_is_no_evidence():
    assert paired.permutation(np.zeros(5)) == 1
    assert paired.sign(0, 0) == 1


@pytest.mark.parametrize(
    ("faster", "slower", "wanted"),
    # twice the tail of 2^-n: by hand
    [(5, 0, 2 / 32), (0, 5, 2 / 32), (4, 1, 2 * 6 / 32), (3, 3, 1.0), (9, 1, 2 * 11 / 1024)],
)
def test_sign_by_hand(faster, slower, wanted):
    assert paired.sign(faster, slower) == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.8, 0.7], [0.02, 0.02, 0.3]]
)
def test_holm_against_statsmodels(values):
    np.testing.assert_allclose(paired.holm(values), multipletests(values, method="holm")[1])


def test_holm_by_hand():
    assert paired.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_a_pair_by_hand():
    """Unsolved trials count with 100, the budget of both; two of them are equal."""
    found = paired.pair(seen(10, 20, 30, 120), seen(40, 20, 120, 120))
    assert {name: found[name] for name in ("seeds", "first_faster", "second_faster", "equal")} == {
        "seeds": 4,
        "first_faster": 2,
        "second_faster": 0,
        "equal": 2,
    }
    assert (found["horizon"], found["first_mean"], found["second_mean"]) == (100, 40, 65)
    differences = np.array([-30, 0, -70, 0])
    assert found["difference"] == -25
    assert found["effect"] == pytest.approx(-25 / differences.std(ddof=1))
    assert found["superiority"] == (2 + 1) / 4
    assert found["p_sign"] == pytest.approx(0.5)
    assert found["p_permutation"] == pytest.approx(0.5)  # 8 of 16 sign patterns
    assert found["low"] <= -25 <= found["high"]


def test_budgets_of_two_sizes_have_the_smaller_as_horizon():
    found = paired.pair(seen(10, 80, 200), seen(40, 70, 70, budget=50))
    assert found["horizon"] == 50
    assert (found["first_mean"], found["second_mean"]) == (
        pytest.approx(110 / 3),
        pytest.approx(140 / 3),
    )


def test_only_seeds_that_both_have_once():
    one, two = trials([10, 20, 30, 40]), trials([11, 21, 31])
    two = pd.concat([two, two[two["seed"] == 1]])
    [line] = paired.compare([("one", one), ("two", two)]).to_dict("records")
    assert (line["seeds"], line["first_mean"], line["second_mean"]) == (2, 20, 21)


def test_seeds_are_matched_within_a_task():
    """Trials of two lags under one name: seed 0 at T=1 goes with seed 0 at T=1."""
    one = pd.concat([trials([10], **{"task.T": 1}), trials([50], **{"task.T": 2})])
    two = pd.concat([trials([60], **{"task.T": 2}), trials([30], **{"task.T": 1})])
    [line] = paired.compare([("one", one), ("two", two)]).to_dict("records")
    assert (line["seeds"], line["difference"], line["first_faster"]) == (2, -15, 2)


@pytest.mark.parametrize(
    ("count", "against", "pairs"),
    [(1, "", 0), (2, "", 1), (6, "", 15), (7, "", 6), (4, "s2", 3), (4, "none", 0)],
)
def test_which_pairs(count, against, pairs):
    settings = [(f"s{k}", trials([10 + k, 20 - k, 30])) for k in range(count)]
    found = paired.compare(settings, against)
    assert len(found) == pairs
    if against == "s2":
        assert set(found["first"]) == {"s2"}
        assert found["second"].tolist() == ["s0", "s1", "s3"]
    if pairs:
        np.testing.assert_allclose(found["p_holm"], paired.holm(found["p_permutation"]))


def test_no_seed_in_common():
    assert paired.compare([("a", trials([1])), ("b", trials([1]).assign(seed=7))]).empty


@pytest.mark.parametrize("second", [100, 80])
def test_a_single_seed_of_each_is_no_evidence(second):
    settings = [("a", trials([70])), ("b", trials([second]))]
    [found] = paired.compare(settings).to_dict("records")
    assert (found["seeds"], found["difference"]) == (1, 70 - second)
    assert (found["p_permutation"], found["p_sign"], found["p_holm"]) == (1, 1, 1)
