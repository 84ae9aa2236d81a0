"""From rows to summaries and tables, with their pictures; also the command `lstmlab-report`."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from lstmlab.report import pictures
from lstmlab.results import FINISHED, Run, load

NAMES = ["task", "cell", "learner"]
NOT_SETTINGS = ("version.", "diagnostic.", "task.pair")
NUMBERS = (
    "sequences",
    "sequences_to_solution",
    "test_wrong",
    "test_size",
    "test_loss",
    "seconds",
    "published_sequences",
)


def summary(folder: str | Path) -> str:
    """What came of one run, in a few lines."""
    row, folder = Run(folder).read_row(), _short(Path(folder))
    lines = [
        ("result", _verdict(row)),
        ("test", _test(row)),
        ("test loss", _losses(row)),
        ("published", row.get("published_source")),
        ("run", f"{folder}/"),
    ]
    if (folder / "picture.png").exists():
        lines.append(("picture", f"{folder}/picture.png"))
    if (folder / "tb").exists():
        program = str(_short(Path(sys.executable).parent / "tensorboard"))
        lines.append(("TensorBoard", shlex.join([program, "--logdir", f"{folder}/tb"])))
    return "\n".join(f"{name:<12} {text}" for name, text in lines if text)


def picture(folder: str | Path) -> Path | None:
    """picture.png of one run, or None if nothing was measured (see lstmlab.report.pictures)."""
    run = Run(folder)
    return pictures.of_run(run, _verdict(run.read_row()))


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per task x cell x learner (and per setting that differs within): trials, solved, sequences, test, published.

    A trial is a run that was solved, used up its budget, or failed in training; `unfinished` counts all others.
    low, high: 95 % Wilson interval of the share solved. sequences_*: over the solved trials. *_loss_mean: over the trials
    that were tested, of the net ('test') and of what it has to beat; NaN where a task has no such loss.
    """
    return pd.DataFrame([{**names, **_line(part)} for names, part in _groups(rows)])


def write(folder: str | Path) -> str:
    """Write report.md, report.csv and report.png for all runs under `folder`, and return the table as Markdown."""
    folder = Path(folder)
    rows = load(folder)
    lines = table(rows)
    lines.to_csv(folder / "report.csv", index=False)
    text = f"{_markdown(lines)}\n\n{_notes(rows)}"
    (folder / "report.md").write_text(f"# Runs in {folder.name}\n\n{text}\n", encoding="utf-8")
    labelled = [
        (_label(names), _trials(part), part["published_sequences"]) for names, part in _groups(rows)
    ]
    pictures.of_trials(labelled, folder / "report.png")
    return f"{text}\nwritten: {_short(folder)}/report.md, report.csv, report.png"


def main() -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(
        prog="lstmlab-report",
        description="One table over all runs in a folder: printed, and written as Markdown, csv and PNG.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        default="outputs",
        help="folder with runs, at any depth (default: outputs)",
    )
    try:
        print(write(parser.parse_args().folder))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-report: {error}")


def _verdict(row: dict) -> str:
    published = row.get("published_sequences")
    beside = f" (published mean: {published:,})" if published else ""
    if row["status"] == "solved":
        return f"solved after {row['sequences_to_solution']:,} sequences{beside}"
    if row["status"] == "budget":
        return f"not solved in {row['sequences']:,} sequences{beside}"
    return f"{row['status']} after {row.get('sequences') or 0:,} sequences"


def _test(row: dict) -> str | None:
    if row.get("test_wrong") is None:
        return None
    published = row.get("published_test_wrong")
    beside = f" (published: {published} wrong)" if published is not None else ""
    return f"{row['test_wrong']} of {row['test_size']} wrong{beside}, mean absolute error {row['test_error']:.4f}"


def _losses(row: dict) -> str | None:
    """The net's mean loss on the test set, and those that it has to beat there."""
    if row.get("test_loss") is None:
        return None
    beat = _to_beat({name: row[name] for name in _yardsticks(row)})
    return f"{row['test_loss']:.4g}" + (f" (to beat: {beat})" if beat else "")


def _yardsticks(columns: Iterable[str]) -> list[str]:
    """Of a row's columns the losses that a net has to beat: every NAME_loss but its own. Names with a dot are settings."""
    return [
        name
        for name in columns
        if name.endswith("_loss") and "." not in name and name != "test_loss"
    ]


def _to_beat(losses: dict) -> str:
    return ", ".join(
        f"{name.removesuffix('_loss')} {value:.4g}"
        for name, value in losses.items()
        if not pd.isna(value)
    )


def _label(names: dict) -> str:
    return ", ".join(names[name] for name in NAMES) + (
        f"\n{names['settings']}" if names["settings"] else ""
    )


def _groups(rows: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """The rows that are trials of one and the same thing: its names and differing settings, and those rows."""
    columns = dict.fromkeys([*rows.columns, *NAMES, *NUMBERS])
    rows = rows.reindex(columns=list(columns))
    rows[NAMES] = rows[NAMES].astype(object).fillna("?")
    numbers = [*NUMBERS, *_yardsticks(rows)]
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce")
    groups = []
    for names, group in rows.groupby(NAMES):
        settings = _differing(group)
        for values, part in group.groupby(settings, dropna=False) if settings else [((), group)]:
            label = ", ".join(
                f"{name}={value}" for name, value in zip(settings, values, strict=True)
            )
            groups.append(({**dict(zip(NAMES, names, strict=True)), "settings": label}, part))
    return groups


def _differing(group: pd.DataFrame) -> list[str]:
    """The settings, columns with a dot in their name, that are not the same in all rows; rows without settings aside."""
    settings = [c for c in group.columns if "." in c and not c.startswith(NOT_SETTINGS)]
    known = group[group[settings].notna().any(axis=1)]
    # head.activation is null, which stands for the task's, in rows whose net was never built: no difference
    return [c for c in settings if known[c].nunique(dropna=c == "head.activation") > 1]


def _trials(part: pd.DataFrame) -> pd.DataFrame:
    failed_in_training = (part["status"] == "failed") & (part["sequences"] > 0)
    return part[part["status"].isin(FINISHED) | failed_in_training]


def _line(part: pd.DataFrame) -> dict:
    trials = _trials(part)
    solved = trials[trials["status"] == "solved"]
    line = {"trials": len(trials), "unfinished": len(part) - len(trials), "solved": len(solved)}
    low, high = _wilson(len(solved), len(trials))
    n, tested, published = (
        solved["sequences_to_solution"],
        trials.dropna(subset=["test_size"]),
        part["published_sequences"],
    )
    source = part.get("published_source", pd.Series(dtype=object))
    losses = trials.dropna(subset=["test_loss"])[["test_loss", *_yardsticks(part)]].mean()
    return line | {
        "share": len(solved) / len(trials) if len(trials) else np.nan,
        "low": low,
        "high": high,
        "sequences_mean": n.mean(),
        "sequences_median": n.median(),
        "sequences_min": n.min(),
        "sequences_max": n.max(),
        "test_wrong_mean": tested["test_wrong"].mean(),
        "test_size": tested["test_size"].max(),
        **losses.add_suffix("_mean"),
        "seconds_median": trials["seconds"].median(),
        "published_sequences": published.max(),
        "published_solved": share.max()
        if (share := part.get("published_solved")) is not None
        else np.nan,
        "published_source": source.dropna().iloc[0] if len(source.dropna()) else None,
    }


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if trials == 0:
        return np.nan, np.nan
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return interval.low, interval.high


def _markdown(lines: pd.DataFrame) -> str:
    def number(line: dict, name: str, digits: int = 0) -> str:
        return "" if pd.isna(line[name]) else f"{line[name]:,.{digits}f}"

    shown, yardsticks = [], _yardsticks(name.removesuffix("_mean") for name in lines)
    for line in lines.to_dict("records"):
        share = (
            ""
            if pd.isna(line["share"])
            else f" ({line['share']:.0%}; {line['low']:.0%}-{line['high']:.0%})"
        )
        span = (
            number(line, "sequences_min")
            and f"{number(line, 'sequences_min')}-{number(line, 'sequences_max')}"
        )
        wrong = (
            number(line, "test_wrong_mean", 1)
            and f"{number(line, 'test_wrong_mean', 1)} of {number(line, 'test_size')}"
        )
        losses = {
            "test loss, mean": ""
            if pd.isna(line["test_loss_mean"])
            else f"{line['test_loss_mean']:.4g}",
            "to beat": _to_beat({name: line[f"{name}_mean"] for name in yardsticks}),
        }
        shown.append(
            {
                **{name: line[name] for name in NAMES},
                **({"settings": line["settings"]} if lines["settings"].any() else {}),
                "trials": line["trials"],
                "solved (95 % Wilson)": f"{line['solved']}{share}",
                "sequences, mean": number(line, "sequences_mean"),
                "median": number(line, "sequences_median"),
                "range": span,
                "test wrong, mean": wrong,
                **(losses if lines["test_loss_mean"].notna().any() else {}),
                "seconds, median": number(line, "seconds_median"),
                "published": " ".join(
                    [number(line, "published_sequences"), _percent(line["published_solved"])]
                ).strip(),
            }
        )
    return pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True)


def _percent(share) -> str:
    return "" if share is None or pd.isna(share) else f"({share:.0%})"


def _notes(rows: pd.DataFrame) -> str:
    """Where published figures stand, and every run that is no finished trial, by name: nothing is dropped silently."""
    sources = rows["published_source"].dropna().unique() if "published_source" in rows else []
    notes = [f"Published: {'; '.join(sources)}."] if len(sources) else []
    others = rows[~rows["status"].isin(FINISHED)].to_dict("records")
    notes.append("Runs that did not finish:\n" if others else "All runs finished.")
    for row in others:
        reason = row.get("reason") if isinstance(row.get("reason"), str) else "no reason given"
        notes.append(f"- {row['status']}: {_short(Path(row['run']))}: {reason}")
    return "\n".join(notes)


def _short(path: Path) -> Path:
    """The path as typed from here, where that is shorter."""
    relative = os.path.relpath(path)
    return Path(relative) if not relative.startswith("..") else path


if __name__ == "__main__":
    main()
