"""Two settings compared on equal seeds.

Trials with the same seed share their data and, where shapes agree, their initial weights. What is
compared is how many sequences each trial took, unsolved ones counting with the horizon up to which
all trials of both settings were watched.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lstmlab.report import survival
from lstmlab.report.survival import Watched

EXCHANGES = 2**16
ALL_PAIRS = 6  # with more settings, each is compared with the first one only


def compare(settings: list[tuple[str, pd.DataFrame]], against: str = "") -> pd.DataFrame:
    """Compare settings in pairs, each pair on the seeds that both have.

    Where trials differ in their task or its settings, these have to be equal, too. Up to six
    settings are all compared with one another, more with the first one. A seed that a setting has
    more than once is left out of it: which trial it means is not known.

    Args:
        settings: A name and its trials, rows of `statistics.trials`, for each.
        against: All are compared with the first one whose name contains this, and with no other.

    Returns:
        One line for each pair with a seed in common: `first`, `second`, `seeds` (how many),
        `first_faster`, `second_faster`, `equal` (how many; one that is solved is faster than one
        that is not), `horizon`, `first_mean`, `second_mean` (restricted), `difference` (first minus
        second), `low`, `high` (its bootstrap interval), `effect` (difference over the standard
        deviation of the differences: Cohen's d for pairs), `superiority` (share of seeds on which
        the first is faster, ties half), `p_permutation`, `p_sign` (both two-sided) and `p_holm`,
        `p_permutation` corrected for the number of lines.
    """
    settings = [(name, trials) for name, trials in settings if len(trials) and "seed" in trials]
    together = pd.concat([trials for _, trials in settings]) if settings else pd.DataFrame()
    task = [name for name in together if name.partition(".")[0] == "task" and name != "task.pair"]
    equal = ["seed", *(name for name in task if together[name].nunique(dropna=False) > 1)]
    alone = [(name, _alone(trials, equal)) for name, trials in settings]
    count = len(alone)
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    if against or count > ALL_PAIRS:
        first = next((k for k, (name, _) in enumerate(alone) if against in name), None)
        pairs = [(first, b) for b in range(count) if b != first] if first is not None else []
    lines = []
    for a, b in pairs:
        seeds = alone[a][1].index.intersection(alone[b][1].index)
        if len(seeds):
            watched = (survival.watched(alone[k][1].loc[seeds]) for k in (a, b))
            lines.append({"first": alone[a][0], "second": alone[b][0], **pair(*watched)})
    if not lines:
        return pd.DataFrame()
    return pd.DataFrame(lines).assign(p_holm=holm([line["p_permutation"] for line in lines]))


def pair(first: Watched, second: Watched) -> dict:
    """Compare two settings; trial k of both has the same seed.

    Returns:
        The columns of `compare` but names and `p_holm`.
    """
    horizon = survival.horizon(first, second)
    a, b = (survival.spent(one, horizon) for one in (first, second))
    difference = a - b
    faster, slower = int((difference < 0).sum()), int((difference > 0).sum())
    low, high = survival.bootstrap(difference)
    spread = difference.std(ddof=1) if len(difference) > 1 else np.nan
    return {
        "seeds": len(difference),
        "first_faster": faster,
        "second_faster": slower,
        "equal": len(difference) - faster - slower,
        "horizon": horizon,
        "first_mean": a.mean(),
        "second_mean": b.mean(),
        "difference": difference.mean(),
        "low": low,
        "high": high,
        "effect": difference.mean() / spread if spread > 0 else np.nan,
        "superiority": (faster + (len(difference) - faster - slower) / 2) / len(difference),
        "p_permutation": permutation(difference),
        "p_sign": sign(faster, slower),
    }


def permutation(difference: np.ndarray) -> float:
    """Return the two-sided p of a mean difference, by exchanging the settings within seeds.

    Exact for up to 16 seeds, else over 65,536 exchanges, always the same ones, so that no p is
    below 2 / 65,537.

    References:
        Fisher 1935, section 21.
    """
    if len(difference) < 2 or not difference.any():  # of one seed both exchanges are as extreme
        return 1.0
    from scipy import stats

    found = stats.permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=EXCHANGES,
        batch=max(1, 1_000_000 // len(difference)),
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def sign(faster: int, slower: int) -> float:
    """Return the two-sided p of the sign test; ties aside, 1 if there is nothing else."""
    if faster + slower == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(faster, faster + slower).pvalue)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p values corrected for their number, so that any false one is rare among all.

    References:
        Holm 1979. SciPy has the false discovery rate only.
    """
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def _alone(trials: pd.DataFrame, equal: list[str]) -> pd.DataFrame:
    """The trials by seed and the like, those without one and those that share one left out."""
    known = trials.dropna(subset="seed")
    return known.drop_duplicates(equal, keep=False).set_index(equal)
