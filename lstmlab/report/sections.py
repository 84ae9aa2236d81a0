"""The parts of a report: tables in words, each with a sentence on how to read it."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from lstmlab.errors import refusal
from lstmlab.report import paired, statistics, tables
from lstmlab.report.ladders import ladders
from lstmlab.report.unlike import unlike, versions


class Section(NamedTuple):
    """One table of a report.

    Attributes:
        title: A few words.
        table: All text.
        names: How many columns, from the left, name a line.
        note: How to read it.
    """

    title: str
    table: pd.DataFrame
    names: int
    note: str


Groups = list[tuple[dict, pd.DataFrame]]


def sections(
    rows: pd.DataFrame, groups: Groups, by: Sequence[str] = (), against: str = ""
) -> list[Section]:
    """Return the parts of the report on runs; parts with nothing to say are left out.

    Args:
        rows: As `results.load` returns them.
        groups: Their groups, as `statistics.groups(rows, by)` returns them.
        by: The columns that make a group; by default task, cell, learner and differing settings.
        against: A piece of the name of the line with which all others are compared.

    Raises:
        ValueError: No line has `against` in its name.
    """
    found = [_settings(groups), _compared(groups, against), _ladders(rows, by), _unlike(rows, by)]
    return [section for section in found if len(section.table)]


def _settings(groups: Groups) -> Section:
    lines = statistics.lines(groups)
    words = tables.in_words(lines)
    names = list(words.columns).index("trials")
    known = [not statistics.nameless(*group) for group in groups]  # the notes list the others
    words = words[known].reset_index(drop=True)
    note = (
        "Solved: with the 95 % Wilson interval. Mean to horizon and median: sequences to "
        "solution over all trials; one that used up its budget counts as not solved until then "
        "(Kaplan-Meier), one that failed as not solved through its budget. The horizon, after "
        "'of', is how far every trial was watched; no trial counts with more. Intervals: bootstrap "
        "of the mean, Brookmeyer-Crowley of the median; 'open': beyond what was watched. "
        "Sequences, mean, median and range: over the solved trials only."
    )
    return Section("Settings", words, names, note)


def _compared(groups: Groups, against: str) -> Section:
    by_task: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for names, part in groups:
        task, label = _question(names)
        by_task.setdefault(task, []).append((label, statistics.trials(part)))
    labels = [label for settings in by_task.values() for label, _ in settings]
    if against and not any(against in label for label in labels):
        told = "; ".join(dict.fromkeys(labels))
        raise refusal("lstmlab.report", f"a piece of one of: {told}", {"against": against})

    found = []
    for task, settings in by_task.items():
        short = dict(zip([label for label, _ in settings], _shortened(settings), strict=True))
        for line in paired.compare(settings, against).to_dict("records"):
            named = {"task": task, "first": short[line["first"]], "second": short[line["second"]]}
            found.append(_pair({**line, **named}))
    # Holm's correction is for all comparisons of the report, and not for those of one task
    if found:
        corrected = paired.holm([line.pop("p") for line in found])
        found = [{**line, "p, Holm": f"{p:.2g}"} for line, p in zip(found, corrected, strict=True)]
    note = (
        "Trials with the same seed are compared, on the same task with the same settings of it. "
        "Unsolved ones count with the horizon of both lines; seeds that a line has more than once "
        "are left out. Difference: first minus second in mean sequences, with bootstrap interval; "
        "below 0 the first is faster. Effect: the mean difference over the standard deviation of "
        "the differences. p: two-sided, of the permutation test and of the sign test; Holm: that "
        f"of the permutation test corrected for {len(found)} comparison{'s' * (len(found) > 1)}."
    )
    return Section("Compared on equal seeds", pd.DataFrame(found), 3, note)


def _question(names: dict) -> tuple[str, str]:
    """A group's task with its settings, and whatever else names it."""
    settings = [piece for piece in names["settings"].split(", ") if piece]
    pieces = [
        (name, str(value) if name in statistics.NAMES else f"{name}={value}")
        for name, value in names.items()
        if name != "settings"
    ] + [(piece.partition("=")[0], piece) for piece in settings]
    of_task = [text for name, text in pieces if name.partition(".")[0] == "task"]
    others = [text for name, text in pieces if name.partition(".")[0] != "task"]
    return ", ".join(of_task) or "all", ", ".join(others) or "all"


def _pair(line: dict) -> dict:
    difference = f"{line['difference']:+,.0f}{tables.between(line['low'], line['high'])}"
    effect = "" if pd.isna(line["effect"]) else f"{line['effect']:+.2f}"
    return {
        "task": line["task"],
        "first": line["first"],
        "second": line["second"],
        "seeds": f"{line['seeds']:,}",
        "faster: first, second": f"{line['first_faster']}, {line['second_faster']}",
        "difference (95 %)": difference,
        "horizon": f"{line['horizon']:,.0f}",
        "effect": effect,
        "p, permutation": f"{line['p_permutation']:.2g}",
        "p, sign": f"{line['p_sign']:.2g}",
        "p": line["p_permutation"],
    }


def _shortened(settings: list[tuple[str, pd.DataFrame]]) -> list[str]:
    """Labels without the pieces that all of them have."""
    pieces = [label.split(", ") for label, _ in settings]
    common = set(pieces[0]).intersection(*pieces[1:]) if len(pieces) > 1 else set()
    return [", ".join(p for p in own if p not in common) or ", ".join(own) for own in pieces]


def _ladders(rows: pd.DataFrame, by: Sequence[str]) -> Section:
    found = ladders(rows, by)
    if len(found):
        found["largest"] = [
            "none" if pd.isna(value) else f"{value:g}" for value in found["largest"]
        ]
        found["trials"] = [f"{value:,}" for value in found["trials"]]
        found["gaps"] = found["gaps"].astype(str)
        found = found.rename(columns={"largest": "largest solved", "rungs": "solved at each lag"})
    note = (
        "The largest lag at which at least half of the trials were solved; gaps: smaller lags at "
        "which fewer were. At each lag: solved/trials."
    )
    return Section("Ladders", found, 3, note)


def _unlike(rows: pd.DataFrame, by: Sequence[str]) -> Section:
    found = unlike(rows, by)
    if len(found):
        found["within"] = ["yes" if within else "no" for within in found["within"]]
        found = found.rename(columns={"within": "within one line"})
    different = versions(rows)
    note = "Lines of one task differ in these settings, too: a comparison of lines is one of all."
    note += f" Versions differ: {'; '.join(different)}." if different else ""
    return Section("What else differs", found, 2, note)
