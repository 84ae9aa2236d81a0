"""What differs between lines of a table beyond what their names say."""

from collections.abc import Sequence

import pandas as pd

from lstmlab.report.statistics import NOT_SETTINGS, completed, differing, groups

SHOWN = 4  # values of a setting that are listed


def unlike(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return the settings in which the lines of one task differ, beyond the swept ones.

    Cells of 1997 and of today differ in blocks, squashing functions, feedback and biases: a
    comparison of them is one of all these. Settings that a line bears in its name are swept, and
    left out.

    Args:
        rows: As `results.load` returns them.
        by: As for `statistics.table`.

    Returns:
        One line for each task and setting: `task`, `setting`, `within` (whether trials of one and
        the same line differ in it), and `values`: '1 (20 runs), 2 (10 runs)'.

    Raises:
        ValueError: There is no such column.
    """
    found = groups(rows, by)
    named = {*by} | {
        part.partition("=")[0] for names, _ in found for part in names["settings"].split(", ")
    }
    # the name of an option tells its class
    named |= {f"{name}._target_" for name in by or ("task", "cell", "learner")}
    mixed = {setting for _, part in found for setting in differing(part)} if by else set()
    lines = []
    for task, group in completed(rows, by).groupby("task"):
        for setting in differing(group):
            if setting not in named:
                lines.append(
                    {
                        "task": task,
                        "setting": setting,
                        "within": setting in mixed,
                        "values": _values(group[setting]),
                    }
                )
    return pd.DataFrame(lines)


def versions(rows: pd.DataFrame) -> list[str]:
    """Return what versions the runs were made with, of packages with several."""
    columns = [name for name in rows if name.startswith("version.") and NOT_SETTINGS.match(name)]
    return [
        f"{name.removeprefix('version.')} {_values(rows[name].dropna())}"
        for name in columns
        if rows[name].nunique() > 1
    ]


def _values(column: pd.Series) -> str:
    """Values and how many runs have each, the most frequent first."""
    counts = column.astype(object).where(column.notna(), "not set").value_counts()
    told = [f"{value} ({count:,} runs)" for value, count in counts.items()]
    more = f", {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more
