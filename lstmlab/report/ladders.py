"""Ladders: the largest lag that each setting solves."""

from collections.abc import Sequence

import pandas as pd

from lstmlab.report.statistics import NAMES, completed, differing, trials

# settings of a task that say over how long something is to be remembered
RUNGS = ("task.T", "task.q", "task.lag", "task.p", "task.delay")
ENOUGH = 0.5  # share of the trials of a rung


def ladders(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return the largest lag that each setting solves, of tasks with trials at several lags.

    A rung is solved where at least half of its trials are. The lag is the first of `RUNGS` that
    differs between the rows of a task.

    Args:
        rows: As `results.load` returns them.
        by: What tells settings apart. Default: cell, learner, and settings that differ, but for
            those that have one value at each lag, as a budget that grows with it.

    Returns:
        One line for each setting with trials on two rungs or more: `task`, `setting`, `lag` (its
        name), `largest` (NaN if none is solved), `gaps` (rungs below it that are not), `trials`
        (on all rungs), and `rungs`: '100: 10/10, 200: 3/10'.

    Raises:
        ValueError: There is no such column.
    """
    lines = []
    for task, group in completed(rows, by).groupby("task"):
        name = next((name for name in RUNGS if name in group and group[name].nunique() > 1), None)
        if name is None:
            continue
        counted = trials(group).dropna(subset=name).astype({name: float})
        told = [column for column in by or NAMES if column not in ("task", name)]
        told += [] if by else _settings(counted, name)
        parts = counted.groupby(told, dropna=False) if told else [((), counted)]
        for values, part in parts:
            if part[name].nunique() > 1:
                setting = ", ".join(
                    str(value) if column in NAMES else f"{column}={value}"
                    for column, value in zip(told, values, strict=True)
                )
                lines.append({"task": task, "setting": setting, "lag": name, **_climb(part, name)})
    return pd.DataFrame(lines)


def _climb(part: pd.DataFrame, name: str) -> dict:
    solved = (part["status"] == "solved").groupby(part[name]).agg(["sum", "count"])
    enough = solved["sum"] >= ENOUGH * solved["count"]
    largest = enough[enough].index.max() if enough.any() else float("nan")
    rungs = [f"{lag:g}: {line['sum']}/{line['count']}" for lag, line in solved.iterrows()]
    return {
        "largest": largest,
        "gaps": int((~enough[enough.index < largest]).sum()),
        "trials": len(part),
        "rungs": ", ".join(rungs),
    }


def _settings(rows: pd.DataFrame, name: str) -> list[str]:
    """The settings that differ within a cell and a learner, at one lag."""
    found = dict.fromkeys(
        setting
        for _, group in rows.groupby(["cell", "learner", name])
        for setting in differing(group)
    )
    return [setting for setting in found if setting != name]
