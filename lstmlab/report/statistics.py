"""From the rows of many runs to one line of statistics for each group of trials."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from statistics import NormalDist

import numpy as np
import pandas as pd

from lstmlab.errors import refusal
from lstmlab.report import survival
from lstmlab.results import FINISHED

NAMES = ["task", "cell", "learner"]
# these may differ within one group of trials: task.pair follows the seed
NOT_SETTINGS = re.compile(r"(version|diagnostic)\.|task\.pair$")
NUMBERS = (
    "sequences",
    "sequences_to_solution",
    "test_wrong",
    "test_size",
    "test_loss",
    "seconds",
    "published_sequences",
)


def table(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return one line for each task, cell and learner, and for each setting that differs within.

    A trial is a run that was solved, used up its budget, or failed in training; `unfinished`
    counts all others.

    Args:
        rows: One row for each run, as `lstmlab.results.load` returns them.
        by: One line for each combination of values in these columns instead.

    Returns:
        The names and the differing settings of each group, and its statistics. share, low, high:
        the share solved and its 95 % Wilson interval. sequences_*: over the solved trials.
        spent_* and time_*: over all trials, see `survival.line`. test_wrong_mean: over the trials
        that were tested. *_loss_mean: over the trials with a test loss, of the network ('test') and
        of what it has to beat; NaN where a task has no such loss.

    Raises:
        ValueError: There is no such column.
    """
    return lines(groups(rows, by))


def lines(found: list[tuple[dict, pd.DataFrame]]) -> pd.DataFrame:
    """Return the statistics that `table` has, of `groups`."""
    return pd.DataFrame([{**names, **_line(part)} for names, part in found])


def summed(rows: pd.DataFrame) -> dict:
    """Return the statistics that `table` has, over all rows as one group of trials."""
    return _line(completed(rows))


def groups(rows: pd.DataFrame, by: Sequence[str] = ()) -> list[tuple[dict, pd.DataFrame]]:
    """Return the rows that belong together: [(names and differing settings, their rows)].

    Args:
        rows: As `results.load` returns them.
        by: Columns that make a group. Default: task, cell, learner, and within these every setting
            that differs.

    Raises:
        ValueError: There is no such column.
    """
    rows, names = completed(rows, by), list(by) or NAMES
    found = []
    for values, group in rows.groupby(names, dropna=False):
        named = dict(zip(names, values, strict=True))
        settings = [] if by else differing(group)
        parts = group.groupby(settings, dropna=False) if settings else [((), group)]
        for chosen, part in parts:
            pairs = zip(settings, chosen, strict=True)
            # a setting that only others have is told by its absence
            label = ", ".join(f"{name}={value}" for name, value in pairs if not pd.isna(value))
            found.append(({**named, "settings": label}, part))
    return found


def nameless(names: dict, part: pd.DataFrame) -> bool:
    """Whether a group of `groups` is one of runs without a row: no trials, and no name."""
    known = [value for value in names.values() if not pd.isna(value) and value not in ("?", "")]
    return not known and not len(trials(part))


def check_columns(rows: pd.DataFrame, by: Sequence[str]) -> None:
    """Raise ValueError for a column that the rows do not have, with the nearest names."""
    known = [str(name) for name in rows.columns]
    for name in by:
        if name not in known:
            ends = {column.rpartition(".")[2]: column for column in known}
            near = get_close_matches(name, known, 3) or [
                ends[end] for end in get_close_matches(name, list(ends), 3)
            ]
            hint = f" (nearest: {', '.join(near)})" if near else ""
            expected = f"a column of the result rows{hint}"
            raise refusal("lstmlab.report", expected, {"by": name})


def trials(part: pd.DataFrame) -> pd.DataFrame:
    """Return those rows that count as trials: finished runs, and those that failed in training."""
    failed_in_training = (part["status"] == "failed") & (part["sequences"] > 0)
    return part[part["status"].isin(FINISHED) | failed_in_training]


def yardsticks(columns: Iterable[str]) -> list[str]:
    """Return the losses that a network has to beat: each NAME_loss but its own, 'test_loss'.

    Names with a dot are settings, not losses.
    """
    losses = [name for name in columns if name.endswith("_loss") and "." not in name]
    return [name for name in losses if name != "test_loss"]


def wilson(successes: int, among: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; NaN without trials.

    References:
        Wilson 1927.
    """
    if among == 0:
        return np.nan, np.nan
    # written out: scipy.stats has it, but takes longer to load than all else that a report needs
    z = NormalDist().inv_cdf(0.975)
    share, spread = successes / among, z**2 / among
    half = z * np.sqrt(share * (1 - share) / among + z**2 / (4 * among**2))
    low, high = ((share + spread / 2 + side * half) / (1 + spread) for side in (-1, 1))
    return max(float(low), 0.0), min(float(high), 1.0)


def completed(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows with all columns that statistics need, numbers being numbers.

    Raises:
        ValueError: There is no column that `by` names.
    """
    check_columns(rows, by)
    columns = dict.fromkeys([*rows.columns, *NAMES, *NUMBERS])
    # rows of runs that never began lack most columns
    rows = rows.reindex(columns=list(columns))
    # groupby would drop rows without a name, and no run is dropped
    rows[NAMES] = rows[NAMES].astype(object).fillna("?")
    # a figure that cannot be read as a number counts as unknown
    numbers = [*NUMBERS, *yardsticks(rows)]
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce").astype(float)
    return rows


def differing(group: pd.DataFrame) -> list[str]:
    """Return the settings that differ between rows; rows without settings aside.

    Settings are the columns with a dot.
    """
    settings = [c for c in group.columns if "." in c and not NOT_SETTINGS.match(c)]
    known = group[group[settings].notna().any(axis=1)]
    # null in head.activation means the task's own; a run that was never built still has it
    return [c for c in settings if known[c].nunique(dropna=c == "head.activation") > 1]


def _line(part: pd.DataFrame) -> dict:
    """The statistics of one group."""
    counted = trials(part)
    solved = counted[counted["status"] == "solved"]
    tested = counted.dropna(subset=["test_size"])
    losses = counted.dropna(subset=["test_loss"])[["test_loss", *yardsticks(part)]].mean()

    low, high = wilson(len(solved), len(counted))
    sequences = solved["sequences_to_solution"]
    return {
        "trials": len(counted),
        "unfinished": len(part) - len(counted),
        "solved": len(solved),
        "share": len(solved) / len(counted) if len(counted) else np.nan,
        "low": low,
        "high": high,
        "sequences_mean": sequences.mean(),
        "sequences_median": sequences.median(),
        "sequences_min": sequences.min(),
        "sequences_max": sequences.max(),
        **survival.line(counted),
        "test_wrong_mean": tested["test_wrong"].mean(),
        "test_size": tested["test_size"].max(),
        **losses.add_suffix("_mean"),
        "seconds_median": counted["seconds"].median(),
        **_published(part),
    }


def _published(part: pd.DataFrame) -> dict:
    """The published figures of a group, where its rows have them."""
    nothing = pd.Series(dtype=object)
    sources = part.get("published_source", nothing).dropna()
    return {
        "published_sequences": part["published_sequences"].max(),
        "published_solved": part.get("published_solved", nothing).max(),
        "published_source": sources.iloc[0] if len(sources) else None,
    }
