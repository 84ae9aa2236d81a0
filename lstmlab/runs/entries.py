"""The entries of a sweep in TensorBoard: a short name for each run, which says what differs.

TensorBoard calls an entry by the folder of its event files. Those of a sweep lie in SWEEP/tb/NAME,
and tb.txt in the folder of a run leads there. The names are kept in SWEEP/tb/names.json, which the
process that leads the sweep writes before the jobs begin. A name that was given never changes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstmlab import files
from lstmlab.runs.identity import NOT_COUNTED, identity, parsed

LONGEST = 36  # characters of a name: with tb/ before it below 40
ALWAYS = ("cell", "learner")  # in every name
DIGITS = 4  # of the identity, in a name that is taken or too long


def give(jobs: Sequence[Any], sweep: Path) -> None:
    """Give a name to each job that has none.

    Args:
        jobs: Jobs of the sweep, as lstmlab.runs.launch plans them.
        sweep: The sweep's folder, which this process leads.

    Raises:
        WriteError: The names cannot be written.
    """
    known = _read(sweep)
    new = {job.name: job for job in jobs if job.name not in known}
    if not new:
        return
    typed = {name: entry["typed"] for name, entry in known.items()}
    typed |= {name: _typed(job) for name, job in new.items()}
    varied = swept(typed.values())

    taken = {entry["name"].casefold() for entry in known.values()}
    for folder, job in new.items():
        names = _candidates(typed[folder], varied, identity(job.settings))
        name = next(one for one in names if one.casefold() not in taken)
        taken.add(name.casefold())
        known[folder] = {"name": name, "typed": typed[folder]}

    path = _path(sweep)
    with files.writing(path.parent, "folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps({"swept": varied, "runs": known}, indent=1) + "\n")


def place(sweep: Path, job: str) -> Path | None:
    """Return the folder of a job's event files; None for a job without a name.

    Args:
        sweep: The sweep's folder.
        job: The job's folder, below the sweep's.
    """
    entry = _read(sweep).get(job)
    return None if entry is None else _path(sweep).with_name(entry["name"])


def swept_beside(events: Path) -> list[str]:
    """Return what is swept in the sweep of a run, none outside of a sweep.

    Args:
        events: The folder of the run's event files.
    """
    from lstmlab.results import NAMES

    return list(_content(events.parent / NAMES).get("swept", ()))


def swept(typed: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the settings that differ between jobs, in their order. A missing one is a value."""
    jobs = list(typed)
    keys = dict.fromkeys(key for one in jobs for key in one)
    return [key for key in keys if len({one.get(key) for one in jobs}) > 1]


def name(typed: Mapping[str, Any], varied: Sequence[str], rest: str = "") -> str:
    """Return the name of a job, at most LONGEST characters.

    Args:
        typed: Its settings by name, as text.
        varied: The settings that differ between the jobs.
        rest: What comes at the end.
    """
    seed = f"s{typed['seed']}"
    end = f" {rest} {seed}" if rest else f" {seed}"
    others = [
        _part(key, typed[key], varied)
        for key in varied
        if key in typed and key not in (*ALWAYS, "seed")
    ]
    whole = " ".join([*(_clean(typed[key]) for key in ALWAYS), *others])
    if len(whole) + len(end) > LONGEST:  # what all have in common need not be said
        short = [_clean(typed[key]) for key in ALWAYS if key in varied]
        whole = " ".join([*short, *others]) or whole
    return whole[: LONGEST - len(end)].rstrip(" .") + end


def _candidates(typed: Mapping[str, Any], varied: Sequence[str], whole: str) -> list[str]:
    """Names for a job, the best first: without and with the identity of its settings."""
    return [name(typed, varied, rest) for rest in ("", whole[:DIGITS], whole)]


def _typed(job: Any) -> dict[str, str]:
    """What was chosen for a job, with what was typed, as text."""
    chosen = {key: str(job.choices.get(key) or "custom") for key in (*ALWAYS, "task")}
    typed = {}
    for one in parsed(job.overrides):
        key = str(one.get_key_element()).lstrip("+~")
        if key.partition(".")[0] not in NOT_COUNTED:
            typed[key] = "" if one.is_delete() else str(one.get_value_element_as_str())
    # the names of options as Hydra resolved them, and the seed also where it was not typed
    return {**chosen, **typed, **chosen, "seed": str(job.settings.get("seed"))}


def _part(key: str, value: str, varied: Sequence[str]) -> str:
    """A setting in a name: its last word, or two where another setting ends in the same one."""
    words = key.split(".")
    if len(words) == 1 or "@" in key:  # a group
        return _clean(value)
    alike = sum(other.split(".")[-1] == words[-1] for other in varied)
    return f"{'.'.join(words[-2:] if alike > 1 else words[-1:])}={_clean(value)}"


def _clean(value: str) -> str:
    """A value as a part of the name of a folder."""
    last = value.rstrip("/").rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "._,=+-" else "_" for letter in last)


def _path(sweep: Path) -> Path:
    from lstmlab.results import EVENTS, NAMES  # loads pandas

    return sweep / EVENTS / NAMES


def _read(sweep: Path) -> dict[str, dict]:
    return dict(_content(_path(sweep)).get("runs", {}))


def _content(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
