"""Published results, from conf/published.csv: the one place where a published figure is written.

Tasks, result rows, cards and docs take their figures from here. Columns of the file: `task`,
`experiment` (its number in the paper), `paper` and `table`, `method`; `cell`, `learner` and `rate`
(learning rate of plain gradient descent), each one value or several, and `where`, other settings,
by which a run is recognised; `departure`, settings that a run may have instead, and `departs`, what
its source then says; `weights`, `trials`, `solved` (share), `sequences` (mean, `lowest`, `highest`;
`unit` where it is not sequences; `column`, that of our rows which it is held against, where that is
not sequences_to_solution), `test_wrong` (of the test set) or `test_share`, `remark`; `commands`,
the experiments of conf/experiment/ with their settings, and `readings`, what each of them makes of
the text where it is not 'as written'. '; ' separates several departures, commands and readings.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import yaml

from lstmlab import config

TESTED = 2560  # sequences in the test sets of which `test_share` is the share
AS_WRITTEN = "as written"
FIGURES = ("weights", "trials", "solved", "sequences", "lowest", "highest", "test_wrong")


class Reading(NamedTuple):
    """One way to read the text of a published row: what it is called, and its command."""

    name: str
    command: str


@cache
def results() -> tuple[dict[str, Any], ...]:
    """The rows of the file in their order: numbers as numbers, None for an empty field."""
    return tuple(_parsed(row) for row in config.records("published.csv"))


def entries(task: str) -> list[dict[str, Any]]:
    """What `Task.published` holds for the task of that name.

    Returns:
        One dict for each row with a cell and a learner, and one more for its departure: `where`,
        setting -> value or list of values; `sequences`, `solved`, `test_wrong`, `trials`,
        `weights`, `method` and `source`.
    """
    return [entry for row in results() if row["task"] == task for entry in entries_of(row)]


def entries_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of `entries` that one row of the file makes; none without a cell and a learner."""
    found = []
    if row["cell"] and row["learner"]:
        where = _where(row)
        found.append({**_figures(row), "where": where, "source": source(row)})
        for departure, departs in zip(parts(row["departure"]), parts(row["departs"]), strict=True):
            departing = f"{source(row)}, {departs}"
            differing = {**where, **_settings(departure)}
            found.append({**_figures(row), "where": differing, "source": departing})
    return found


def matching(published: Iterable[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any] | None:
    """The first of a task's published entries whose settings a result row has, or None."""
    for entry in published:
        if all(row.get(name) in _several(value) for name, value in entry["where"].items()):
            return entry
    return None


def readings(row: dict[str, Any]) -> list[Reading]:
    """The commands of a row of the file, each with the reading of the text that it is."""
    names, commands = parts(row["readings"]), parts(row["commands"])
    names = names or [AS_WRITTEN] * len(commands)
    return [Reading(*both) for both in zip(names, commands, strict=True)]


def parts(text: str | None) -> list[str]:
    """The parts of a field with several."""
    return text.split("; ") if text else []


def settings(row: dict[str, Any]) -> str:
    """The settings of a row of the file, for people: 'rate 0.5, T=10'."""
    told = [f"rate {' to '.join(row['rate'].split())}"] if row["rate"] else []
    told += [
        f"{name.removeprefix('task.')}={value}"
        for name, value in _settings(row["where"]).items()
        if name != "weights"
    ]
    return ", ".join(told)


def source(row: dict[str, Any]) -> str:
    """Where a row of the file is from, with its remark in parentheses."""
    return f"{_place(row)} ({row['remark']})" if row["remark"] else _place(row)


def table(task: str) -> tuple[str, list[list[str]]]:
    """A task's published results for people.

    Returns:
        A title, which names the source where all rows have the same one, and the table: a row of
        heads, then one row for each result; no rows at all where nothing is published. Columns
        that say nothing are left out.
    """
    rows = [_shown(row) for row in results() if row["task"] == task]
    if not rows:
        return "", []
    heads = [head for head in rows[0] if any(row[head] for row in rows)]
    title = "Published"
    if len({row["source"] for row in rows}) == 1:
        title += f" ({rows[0]['source']})"
        heads.remove("source")
    return title, [heads, *([row[head] for head in heads] for row in rows)]


# ---- from text to values


def _parsed(row: dict[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = {name: text or None for name, text in row.items()}
    for name in (*FIGURES, "test_share"):
        parsed[name] = yaml.safe_load(row[name]) if row[name] else None
    if parsed["test_share"] is not None:
        parsed["test_wrong"] = round(TESTED * parsed["test_share"], 1)
    return parsed


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (*FIGURES, "method")}


def _where(row: dict[str, Any]) -> dict[str, Any]:
    """The settings by which a run of this row is recognised."""
    where: dict[str, Any] = {"cell": _one_or_several(row["cell"])}
    where["learner"] = _one_or_several(row["learner"])
    if row["rate"]:
        where["optimizer"] = "sgd"
        where["optimizer.learning_rate"] = _one_or_several(row["rate"])
    if row["weights"]:
        where["weights"] = row["weights"]
    return {**where, **_settings(row["where"])}


def _settings(text: str | None) -> dict[str, Any]:
    """'task.p=4 weights=36' as a dict."""
    parts = (part.partition("=") for part in (text or "").split())
    return {name: yaml.safe_load(value) for name, _, value in parts}


def _one_or_several(text: str) -> Any:
    # read as conf/ is: then a value equals that in the row of a run
    values = [yaml.safe_load(part) for part in text.split()]
    return values[0] if len(values) == 1 else values


def _place(row: dict[str, Any]) -> str:
    return ", ".join(part for part in (row["paper"], row["table"]) if part)


def _several(value: Any) -> list:
    return value if isinstance(value, list) else [value]


# ---- from values to text


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """The row by the heads of `table`."""
    runs = [f"experiment={command}" for command in parts(row["commands"])]

    return {
        "experiment": row["experiment"] or "",
        "method": row["method"],
        "settings": settings(row),
        "weights": _count(row["weights"]),
        "trials": _count(row["trials"]),
        "solved": "" if row["solved"] is None else f"{100 * row['solved']:g} %",
        "sequences, mean": _mean(row),
        "test": _test(row),
        "remark": row["remark"] or "",
        "source": _place(row),
        "run by": "; ".join(runs),
    }


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _mean(row: dict[str, Any]) -> str:
    text = _count(row["sequences"])
    if row["lowest"] is not None:
        text += f" ({row['lowest']:,}-{row['highest']:,})"
    return f"{text} {row['unit']}" if text and row["unit"] else text


def _test(row: dict[str, Any]) -> str:
    if row["test_share"] is not None:
        return f"{100 * row['test_share']:.4g} % wrong"
    return "" if row["test_wrong"] is None else f"{row['test_wrong']:g} of {TESTED} wrong"
