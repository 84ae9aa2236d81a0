"""Sequences to solution where some trials used up their budget: censored, not left out.

A trial that used up its budget would have been solved later or never: it is known to have been
watched without a solution, and counts as that (right-censored). A trial that failed in training is
never solved, and counts as watched through its whole budget.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 9999
CONFIDENCE = 0.95


class Watched(NamedTuple):
    """How long each of n trials was watched, and what was seen.

    Attributes:
        sequences: Training sequences until solved, or until the watching ended, float [n].
        solved: Whether it was solved, bool [n].
    """

    sequences: np.ndarray
    solved: np.ndarray


class Curve(NamedTuple):
    """The Kaplan-Meier curve: the share of trials that is not solved yet, with its 95 % band.

    Attributes:
        sequences: Where the curve has steps, and where the watching of trials ended, rising.
        unsolved: The share from there on.
        low: Of the band, log-log form of Greenwood; NaN where it is not defined.
        high: Of the band.
    """

    sequences: np.ndarray
    unsolved: np.ndarray
    low: np.ndarray
    high: np.ndarray


def horizon(*seen: Watched) -> float:
    """Return the sequences up to which it is known of every trial whether it was solved.

    The smallest number at which the watching of an unsolved trial ended; where all are solved,
    the largest number until one was. NaN without trials.
    """
    sequences = np.concatenate([one.sequences for one in seen])
    unsolved = sequences[~np.concatenate([one.solved for one in seen])]
    if not len(sequences):
        return np.nan
    return float(unsolved.min() if len(unsolved) else sequences.max())


def watched(trials: pd.DataFrame) -> Watched:
    """Return what was seen of trials, rows of `statistics.trials`."""
    solved = (trials["status"] == "solved").to_numpy(bool)
    ends = _floats(trials, "sequences")
    budget = _floats(trials, "trainer.budget")
    failed = (trials["status"] == "failed").to_numpy(bool)
    # without a known budget, a trial that failed was watched as long as any other
    through = np.where(np.isnan(budget), ends.max(initial=0), budget)
    ends = np.where(failed, np.fmax(ends, through), ends)
    return Watched(np.where(solved, _floats(trials, "sequences_to_solution"), ends), solved)


def kaplan_meier(seen: Watched) -> Curve:
    """Return the share of trials that is not solved yet, against sequences.

    References:
        Kaplan and Meier 1958; the band: Greenwood 1926, on the log-log scale.
    """
    if not seen.solved.any():
        ends = np.unique(seen.sequences)
        unknown = np.full(len(ends), np.nan)
        return Curve(ends, np.ones(len(ends)), unknown, unknown)
    from scipy import stats  # takes a second to load, which reports on no solution do not need

    data = stats.CensoredData(
        uncensored=seen.sequences[seen.solved], right=seen.sequences[~seen.solved]
    )
    share = stats.ecdf(data).sf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # the band does not exist before the first solution, nor when none is left: 0 / 0
        warnings.simplefilter("ignore", RuntimeWarning)
        band = share.confidence_interval(CONFIDENCE, method="log-log")
    return Curve(
        share.quantiles,
        share.probabilities,
        band.low.probabilities,
        band.high.probabilities,
    )


def median(curve: Curve) -> tuple[float, float, float]:
    """Return the sequences after which half of the trials are solved, and the 95 % interval.

    Each is NaN where its curve does not come down to one half: it is then beyond what was watched.
    Once all trials are solved, no limit lies beyond, although the band has no value there.

    References:
        Brookmeyer and Crowley 1982.
    """
    all_solved = curve.unsolved == 0
    shares = (np.where(all_solved, 0.0, share) for share in curve[1:])
    middle, low, high = (_falls(curve.sequences, share) for share in shares)
    return middle, low, high


def spent(seen: Watched, most: float) -> np.ndarray:
    """Return the sequences spent on each trial, none counting with more than `most`, float [n].

    Their mean is the restricted mean: the area under the Kaplan-Meier curve up to there.

    Args:
        seen: The trials.
        most: At most their `horizon`.
    """
    return np.minimum(seen.sequences, most)


def bootstrap(values: np.ndarray, statistic: Callable[..., Any] = np.mean) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic over trials.

    The percentiles of 9,999 resamplings, always the same ones. NaN for fewer than two trials.

    Args:
        values: One for each trial.
        statistic: Takes values and `axis`.

    References:
        Efron and Tibshirani 1993, section 13.
    """
    if len(values) < 2:
        return np.nan, np.nan
    from scipy import stats

    # percentiles and not BCa, which is not defined where all trials but one are equal
    found = stats.bootstrap(
        (values,),
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // len(values)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def line(trials: pd.DataFrame) -> dict:
    """Return the statistics of sequences to solution over trials, the unsolved ones included.

    spent_mean, spent_low, spent_high: the mean restricted to spent_horizon, and its bootstrap
    interval. time_median, time_low, time_high: the median by Kaplan and Meier and its interval.
    All are NaN where no trial was solved.
    """
    seen = watched(trials)
    names = ["spent_horizon", "spent_mean", "spent_low", "spent_high"]
    names += ["time_median", "time_low", "time_high"]
    if not seen.solved.any():
        return dict.fromkeys(names, np.nan)
    most = horizon(seen)
    counted = spent(seen, most)
    values = [most, counted.mean(), *bootstrap(counted)]
    return dict(zip(names, [*values, *median(kaplan_meier(seen))], strict=True))


def _floats(trials: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN for what is none or unknown."""
    if name not in trials:
        return np.full(len(trials), np.nan)
    return pd.to_numeric(trials[name], errors="coerce").to_numpy(float, na_value=np.nan)


def _falls(sequences: np.ndarray, share: np.ndarray) -> float:
    """Where a share first is one half or less; NaN if nowhere."""
    [at] = np.nonzero(share <= 0.5)
    return float(sequences[at[0]]) if len(at) else np.nan
