"""The summary of many trials of one setting, as printed at their end, and their picture.

They are the runs in the folder of the first trial, which holds the others in trials/.
"""

import textwrap
from pathlib import Path

import pandas as pd

from lstmlab.report import curves, statistics
from lstmlab.report.one_run import places
from lstmlab.report.tables import to_beat
from lstmlab.results import Run, load

WIDTH = 100  # columns of the summary; paths may be longer
PICTURE = "trials.png"


def many(folder: str | Path) -> bool:
    """Whether the run in a folder is the first of many trials."""
    return (Path(folder) / "trials").is_dir()


def summary_of_trials(folder: str | Path) -> str:
    """Return the result of many trials in a few lines.

    Args:
        folder: The folder of the first trial.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
    """
    rows = load(folder)
    line, wanted = statistics.summed(rows), _wanted(folder, rows)
    lines = [
        ("result", share(line, wanted)),
        ("", others(rows, wanted)),
        ("sequences", sequences(line, wanted)),
        ("test", _test(line, rows)),
        ("test loss", _losses(line, rows)),
        ("published", line["published_source"]),
    ]
    wrapped = [
        (name if k == 0 else "", part)
        for name, text in lines
        for k, part in enumerate(textwrap.wrap(text or "", WIDTH - 13))
    ]
    wrapped += places(Path(folder), ("picture.png", PICTURE, "report.md"))
    return "\n".join(f"{name:<12} {text}" for name, text in wrapped)


def picture(folder: str | Path) -> Path | None:
    """Draw trials.png, the learning curves of all trials (see `curves.draw`).

    Args:
        folder: The folder of the first trial.

    Returns:
        The path of the picture; None if no trial came to the end of its first window.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        WriteError: The picture cannot be written.
    """
    rows, folder = load(folder), Path(folder)
    first, wanted = Run(folder).read_row(), _wanted(folder, rows)
    line = statistics.summed(rows)
    task, cell, learner, seed = (first.get(name) for name in ("task", "cell", "learner", "seed"))
    title = (
        f"{task}, cell {cell}, learner {learner}, {wanted} trials from seed {seed}\n"
        f"{share(line, wanted)}\n"
        f"sequences to solution: {sequences(line, wanted)}"
    )

    records = rows.to_dict("records")
    drawn = [curves.curve(Run(row["run"]).read("history"), row) for row in records]
    return curves.draw(drawn, title, first, folder / PICTURE)


# ---- in words


def share(line: dict, wanted: int) -> str:
    """How many of the trials were solved, with the 95 % Wilson interval.

    Where some did not come to their end there is no interval: those that are solved end first.
    """
    said = f"{line['solved']} of {wanted} trials solved"
    published = line["published_solved"]
    if line["trials"] == wanted:
        low, high = line["low"], line["high"]
        said += f": {line['share']:.0%}, 95 % Wilson interval {low:.0%} to {high:.0%}"
    return said + ("" if pd.isna(published) else f" (published: {published:.0%})")


def sequences(line: dict, wanted: int) -> str:
    """The sequences to solution over the solved trials, beside the published mean."""
    published = line["published_sequences"]
    beside = "" if pd.isna(published) else f" (published mean: {published:,.0f})"
    if not line["solved"]:
        return f"none{beside}"
    mean, middle, least, most = (
        f"{line[f'sequences_{name}']:,.0f}" for name in ("mean", "median", "min", "max")
    )
    so_far = "" if line["trials"] == wanted else "so far: "
    return f"{so_far}mean {mean}, median {middle}, range {least} to {most}{beside}"


def others(rows: pd.DataFrame, wanted: int) -> str:
    """How the trials ended that were not solved; '' if all were."""
    counts = rows["status"].value_counts().to_dict()
    counts.pop("solved", None)
    told = {"budget": "used up the budget", "running": "still running"}
    parts = [f"{count} {told.get(status, status)}" for status, count in counts.items()]
    if wanted > len(rows):
        parts.append(f"{wanted - len(rows)} not begun")
    met = rows.get("criterion_met_by", pd.Series(dtype=object)).dropna().unique()
    if len(met):
        parts.append(f"the criterion is met without learning, by {', '.join(met)}")
    return "; ".join(parts)


def _wanted(folder: str | Path, rows: pd.DataFrame) -> int:
    """How many trials were asked for: some may not have begun."""
    return max(Run(folder).read_row().get("trials") or 1, len(rows))


def _test(line: dict, rows: pd.DataFrame) -> str:
    if pd.isna(line["test_wrong_mean"]):
        return ""
    published = rows.get("published_test_wrong", pd.Series(dtype=object)).dropna()
    beside = f" (published: {published.iloc[0]} wrong)" if len(published) else ""
    return f"mean {line['test_wrong_mean']:,.1f} of {line['test_size']:,.0f} wrong{beside}"


def _losses(line: dict, rows: pd.DataFrame) -> str:
    if pd.isna(line.get("test_loss_mean")):
        return ""
    beat = to_beat({name: line[f"{name}_mean"] for name in statistics.yardsticks(rows)})
    return f"mean {line['test_loss_mean']:.4g}" + (f" (to beat: {beat})" if beat else "")
