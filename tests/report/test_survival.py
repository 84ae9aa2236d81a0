"""Censored trials: against tables in print, statsmodels, lifelines, and counting by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from lstmlab.report import survival
from lstmlab.report.survival import Watched

# Freireich et al. 1963, remission in weeks under 6-MP, as in every textbook; + is censored
PUBLISHED = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
SHARES = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def of(text):
    words = text.split()
    times = np.array([float(word.rstrip("+")) for word in words])
    return Watched(times, np.array([not word.endswith("+") for word in words], bool))


def made_up(seed, count=40, budget=1000.0):
    rng = np.random.default_rng(seed)
    times = np.ceil(rng.exponential(700, count))
    ends = np.where(rng.random(count) < 0.2, np.ceil(rng.uniform(1, budget, count)), budget)
    return Watched(np.minimum(times, ends), times <= ends)


CASES = [
    of(PUBLISHED),
    *map(made_up, range(4)),
    of("5 3 9"),
    of("5 5+ 8"),
    of("4+ 4+ 7"),
    of("4+ 9+ 9+"),
]


def test_the_published_table():
    curve = survival.kaplan_meier(of(PUBLISHED))
    found = dict(zip(curve.sequences, curve.unsolved, strict=True))
    assert {week: round(found[week], 3) for week in SHARES} == SHARES
    assert survival.median(curve)[0] == 23


@pytest.mark.parametrize("seen", CASES)
def test_the_curve_against_statsmodels(seen):
    curve = survival.kaplan_meier(seen)
    oracle = SurvfuncRight(seen.sequences, seen.solved)
    at = np.searchsorted(curve.sequences, oracle.surv_times)
    np.testing.assert_array_equal(curve.sequences[at], oracle.surv_times)
    np.testing.assert_allclose(curve.unsolved[at], oracle.surv_prob, rtol=1e-12)


@pytest.mark.parametrize("seen", CASES)
def test_band_median_and_area_against_lifelines(seen):
    lifelines = pytest.importorskip("lifelines")
    utils = pytest.importorskip("lifelines.utils")
    oracle = lifelines.KaplanMeierFitter().fit(seen.sequences, seen.solved)
    curve = survival.kaplan_meier(seen)
    low, high = oracle.confidence_interval_.loc[curve.sequences].to_numpy().T
    known = np.isfinite(curve.low) & (curve.unsolved > 0) & (curve.unsolved < 1)
    np.testing.assert_allclose(curve.low[known], low[known], rtol=1e-9)
    np.testing.assert_allclose(curve.high[known], high[known], rtol=1e-9)

    wanted = oracle.median_survival_time_
    assert survival.median(curve)[0] == pytest.approx(wanted, nan_ok=True) or np.isinf(wanted)
    most = survival.horizon(seen)
    area = utils.restricted_mean_survival_time(oracle, t=most)
    assert survival.spent(seen, most).mean() == pytest.approx(area, rel=1e-9)


def test_the_interval_of_the_median_by_hand():
    """Where the band comes down to one half; open above, where it does not."""
    curve = survival.Curve(
        np.array([10.0, 20, 30, 40]),
        np.array([0.9, 0.5, 0.3, 0.3]),
        np.array([0.5, 0.2, 0.1, 0.1]),
        np.array([0.99, 0.8, 0.6, 0.51]),
    )
    middle, low, high = survival.median(curve)
    assert (middle, low) == (20, 10)
    assert np.isnan(high)


@pytest.mark.parametrize(
    ("seen", "wanted"), [("5 3 9", 9), ("5 3 9+", 9), ("5 8+ 7+ 100", 7), ("4+", 4), ("", None)]
)
def test_horizon(seen, wanted):
    found = survival.horizon(of(seen))
    assert np.isnan(found) if wanted is None else found == wanted


def test_the_horizon_of_two_where_one_is_solved_throughout():
    """Of trials that are solved it is known for ever that they are."""
    assert survival.horizon(of("5 3 9"), of("50+ 70")) == 50


def rows(*trials):
    columns = ["status", "sequences", "sequences_to_solution", "trainer.budget"]
    return pd.DataFrame(trials, columns=columns)


def test_what_was_seen_of_each_kind_of_trial():
    seen = survival.watched(
        rows(
            ("solved", 3000, 2345, 9000),
            ("budget", 9000, None, 9000),
            ("failed", 2000, None, 9000),
        )
    )
    assert seen.sequences.tolist() == [2345, 9000, 9000]
    assert seen.solved.tolist() == [True, False, False]


def test_a_failed_trial_of_unknown_budget_was_watched_as_long_as_any():
    trials = rows(("solved", 3000, 2345, None), ("failed", 10, None, None))
    assert survival.watched(trials.drop(columns="trainer.budget")).sequences.tolist() == [
        2345,
        3000,
    ]


@pytest.mark.parametrize("values", [[1.0, 2, 4, 8], [0.0, 0, 0, 10], [3.0, 3, 5, 5, 11]])
def test_bootstrap_against_all_resamplings(values):
    """The percentiles of the means of all n^n resamplings."""
    means = [np.mean(drawn) for drawn in itertools.product(values, repeat=len(values))]
    wanted = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose(survival.bootstrap(np.array(values)), wanted)


def test_bootstrap_says_the_same_twice_and_nothing_about_one_trial():
    values = made_up(1).sequences
    assert survival.bootstrap(values) == survival.bootstrap(values)
    assert survival.bootstrap(values) != survival.bootstrap(values + 1)
    assert np.isnan(survival.bootstrap(values[:1])).all()


def test_nothing_solved_is_no_mean():
    line = survival.line(rows(("budget", 9000, None, 9000)))
    assert np.isnan([*line.values()]).all()


def test_a_line():
    solved = [("solved", 9000, n, 9000) for n in (1000, 2000, 3000)]
    line = survival.line(rows(*solved, ("budget", 9000, None, 9000)))
    assert line["spent_horizon"] == 9000
    assert line["spent_mean"] == (1000 + 2000 + 3000 + 9000) / 4
    assert line["time_median"] == 2000
    assert line["spent_low"] < line["spent_mean"] < line["spent_high"]


def test_a_median_of_trials_that_are_all_solved_has_both_limits():
    seen = survival.Watched(np.array([500.0, 500, 500, 500]), np.ones(4, bool))
    assert survival.median(survival.kaplan_meier(seen)) == (500, 500, 500)
