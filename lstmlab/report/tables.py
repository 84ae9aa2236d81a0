"""Statistics as Markdown; numbers, losses and paths as text."""

import textwrap
from pathlib import Path

import pandas as pd

from lstmlab import files
from lstmlab.report.statistics import NAMES, yardsticks
from lstmlab.results import FINISHED


def markdown(lines: pd.DataFrame) -> str:
    """Return the lines of `statistics.table` as a Markdown table."""
    # no numparse: the numbers are written out, and tabulate would write them anew
    return in_words(lines).to_markdown(index=False, disable_numparse=True)


def in_words(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of `statistics.table` as text, in the columns that people read."""
    with_settings, with_losses = lines["settings"].any(), lines["test_loss_mean"].notna().any()
    to_beat = yardsticks(name.removesuffix("_mean") for name in lines)

    shown = []
    for line in lines.to_dict("records"):
        shown.append(
            {
                **{name: str(line[name]) for name in names_in(lines)},
                **({"settings": line["settings"]} if with_settings else {}),
                "trials": f"{line['trials']:,}",
                "solved (95 % Wilson)": _solved(line),
                "mean to horizon (95 %)": _spent(line),
                "median (95 %)": _time(line),
                "sequences, mean": _number(line, "sequences_mean"),
                "median": _number(line, "sequences_median"),
                "range": _range(line),
                "test wrong, mean": _wrong(line),
                **(_losses(line, to_beat) if with_losses else {}),
                "seconds, median": _number(line, "seconds_median"),
                "published": _published(line),
            }
        )
    return pd.DataFrame(shown)


def names_in(lines: pd.DataFrame) -> list[str]:
    """Return the columns that name the lines of `statistics.table`, settings aside."""
    return list(lines.columns[: list(lines.columns).index("settings")])


def notes(rows: pd.DataFrame) -> str:
    """Return where published figures come from, which criteria tell nothing, and every run that did
    not finish, by name."""
    sources = rows["published_source"].dropna().unique() if "published_source" in rows else []
    lines = [f"Published: {'; '.join(sources)}."] if len(sources) else []
    if "criterion_met_by" in rows:
        met = rows.dropna(subset="criterion_met_by")
        names = ", ".join(sorted({*met["criterion_met_by"]}))
        line = f"Criterion met without learning, by {names}, in {len(met)} runs: none is solved."
        lines += [line] if len(met) else []
    others = rows[~rows["status"].isin(FINISHED)].to_dict("records")
    lines.append("Runs that did not finish:\n" if others else "All runs finished.")
    for row in others:
        reason = row.get("reason") if isinstance(row.get("reason"), str) else "no reason given"
        lines.append(f"- {row['status']}: {short(Path(row['run']))}: {reason}")
    return "\n".join(lines)


def to_beat(losses: dict) -> str:
    """Return losses {NAME_loss: value} in words, those that are not known left out."""
    known = {name: value for name, value in losses.items() if not pd.isna(value)}
    return ", ".join(f"{name.removesuffix('_loss')} {value:.4g}" for name, value in known.items())


def label(names: dict) -> str:
    """Return the names of a group, its settings in a second line."""
    settings = f"\n{names['settings']}" if names["settings"] else ""
    told = (
        str(value) if name in NAMES else f"{name}={value}"
        for name, value in names.items()
        if name != "settings"
    )
    return ", ".join(told) + settings


def wrapped(text: str, width: int) -> str:
    """Return a label of a picture in lines of so many characters, its own lines apart."""
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False) for line in text.splitlines()
    )


def short(path: Path) -> Path:
    """Return the path as seen from the working directory, if it is inside it."""
    return Path(files.shown(path))


def _number(line: dict, name: str, digits: int = 0) -> str:
    return "" if pd.isna(line[name]) else f"{line[name]:,.{digits}f}"


def _solved(line: dict) -> str:
    if pd.isna(line["share"]):
        return f"{line['solved']}"
    return f"{line['solved']} ({line['share']:.0%}; {line['low']:.0%}-{line['high']:.0%})"


def _spent(line: dict) -> str:
    """The restricted mean over all trials, its interval, and what it is restricted to."""
    mean, horizon = _number(line, "spent_mean"), _number(line, "spent_horizon")
    return mean and f"{mean}{between(line['spent_low'], line['spent_high'])} of {horizon}"


def _time(line: dict) -> str:
    """The median by Kaplan and Meier; 'open' where it is beyond what was watched."""
    if pd.isna(line["spent_mean"]):
        return ""
    middle, low, high = (_number(line, f"time_{name}") for name in ("median", "low", "high"))
    return f"{middle or 'open'} ({low or 'open'}-{high or 'open'})"


def between(low: float, high: float, digits: int = 0) -> str:
    """Return an interval in brackets, after a space; '' if it is not known."""
    if pd.isna(low) or pd.isna(high):
        return ""
    if min(low, high) < 0:
        return f" ({low:,.{digits}f} to {high:,.{digits}f})"
    return f" ({low:,.{digits}f}-{high:,.{digits}f})"


def _range(line: dict) -> str:
    least, most = (_number(line, f"sequences_{end}") for end in ("min", "max"))
    return least and f"{least}-{most}"


def _wrong(line: dict) -> str:
    wrong = _number(line, "test_wrong_mean", 1)
    return wrong and f"{wrong} of {_number(line, 'test_size')}"


def _losses(line: dict, names: list[str]) -> dict[str, str]:
    own = line["test_loss_mean"]
    return {
        "test loss, mean": "" if pd.isna(own) else f"{own:.4g}",
        "to beat": to_beat({name: line[f"{name}_mean"] for name in names}),
    }


def _published(line: dict) -> str:
    share = line["published_solved"]
    solved = "" if share is None or pd.isna(share) else f"({share:.0%})"
    return f"{_number(line, 'published_sequences')} {solved}".strip()
