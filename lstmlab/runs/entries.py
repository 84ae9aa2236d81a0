"""The entries of a sweep in TensorBoard: a short name for each run, which says what differs.

TensorBoard calls an entry by the folder of its event files. Those of a sweep lie in SWEEP/tb/NAME,
and tb.txt in the folder of a run leads there. The names are kept in SWEEP/tb/names.json, which the
process that leads the sweep writes before the jobs begin. A name that was given never changes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstmlab import files
from lstmlab.runs.identity import NOT_COUNTED, identity, parsed

LONGEST = 36  # characters of a name: with tb/ before it below 40
ALWAYS = ("cell", "learner")  # in every name
DIGITS = 4  # of the identity, in a name that is taken or too long
SIGNIFICANT = 4  # digits of a number, more where only these tell two values apart
LIST = 10  # characters of a list, in a longer one's place is how many values it has
SHORT = {
    "learning_rate": "lr", "forget_gate": "f", "input_gate": "i", "output_gate": "o",
    "candidate_bias": "g.bias", "batch_size": "batch",
}  # fmt: skip
SHORTER = {"bias": "b", "batch": "B"}


class Way(NamedTuple):
    """How names are shortened.

    is_short: whether words of settings are, to their first letters.
    left_out: which of ALWAYS are, where all jobs have the same.
    """

    is_short: bool
    left_out: tuple[str, ...] = ()


# the first that fits; a run that is added with another cell or learner says which
WAYS = Way(False), Way(True), Way(True, ("learner",)), Way(True, ALWAYS)


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
    varied = {key: _digits(key, typed.values()) for key in swept(typed.values())}
    way = _way((typed[folder] for folder in new), varied)

    taken = {entry["name"].casefold() for entry in known.values()}
    for folder, job in new.items():
        names = _candidates(typed[folder], varied, way, identity(job.settings))
        name = next(one for one in names if one.casefold() not in taken)
        taken.add(name.casefold())
        known[folder] = {"name": name, "typed": typed[folder]}

    path = _path(sweep)
    with files.writing(path.parent, "folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps({"swept": list(varied), "runs": known}, indent=1) + "\n")


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

    A setting that is a list in one of its runs is also there as 'NAME (list)'.

    Args:
        events: The folder of the run's event files.
    """
    from lstmlab.results import NAMES

    content = _content(events.parent / NAMES)
    runs, keys = content.get("runs", {}).values(), content.get("swept", ())
    listed = {key for key in keys for run in runs if str(run["typed"].get(key, "")).startswith("[")}
    return [*keys, *(f"{key} (list)" for key in keys if key in listed)]


def swept(typed: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the settings that differ between jobs, in their order. A missing one is a value."""
    jobs = list(typed)
    keys = dict.fromkeys(key for one in jobs for key in one)
    return [key for key in keys if len({one.get(key) for one in jobs}) > 1]


def name(
    typed: Mapping[str, Any], varied: Mapping[str, int], way: Way = WAYS[0], rest: str = ""
) -> str:
    """Return the name of a job, of any length.

    Args:
        typed: Its settings by name, as text.
        varied: The settings that differ between the jobs, with how many digits tell them apart.
        way: How it is shortened.
        rest: What comes before the seed.
    """
    return " ".join([*_words(typed, varied, way), *([rest] if rest else []), _seed(typed)])


def _words(typed: Mapping[str, Any], varied: Mapping[str, int], way: Way) -> list[str]:
    always = [_clean(typed[key]) for key in ALWAYS if key in varied or key not in way.left_out]
    return always + [
        _part(key, typed[key], varied, way.is_short)
        for key in varied
        if key in typed and key not in (*ALWAYS, "seed")
    ]


def _way(jobs: Iterable[Mapping[str, Any]], varied: Mapping[str, int]) -> Way:
    """The first way in which the names of all jobs are short enough; the last if none is."""
    every = list(jobs)
    fits = (way for way in WAYS if all(len(name(typed, varied, way)) <= LONGEST for typed in every))
    return next(fits, WAYS[-1])


def _candidates(
    typed: Mapping[str, Any], varied: Mapping[str, int], way: Way, whole: str
) -> list[str]:
    """Names for a job, the best first: without and with the identity of its settings."""
    first = name(typed, varied, way)
    ends = (f" {rest} {_seed(typed)}" for rest in (whole[:DIGITS], whole))
    return [
        *([first] if len(first) <= LONGEST else []),
        *(_fitting(_words(typed, varied, way), LONGEST - len(end)) + end for end in ends),
    ]


def _fitting(words: list[str], room: int) -> str:
    """As many whole words as there is room for; a part of the first if it has none."""
    while words[1:] and len(" ".join(words)) > room:
        words = words[:-1]
    return " ".join(words)[:room].rstrip(" .")


def _seed(typed: Mapping[str, Any]) -> str:
    return f"s{typed['seed']}"


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


def _part(key: str, value: str, varied: Mapping[str, int], is_short: bool) -> str:
    """A setting in a name."""
    if "." not in key or "@" in key:  # a group
        return _clean(value)
    label = _label(key, varied)
    if is_short:
        shorter = [_shorter(_label(other, varied)) for other in varied]
        label = _shorter(label) if shorter.count(_shorter(label)) == 1 else label
    return f"{label}={_clean(_rounded(value, varied[key]))}"


def _label(key: str, varied: Iterable[str]) -> str:
    """The end of a setting's name that no other has, with the gate that it is of."""
    words = key.split(".")
    ends = [other.split(".") for other in varied]
    count = next(
        k for k in range(1, len(words) + 1)
        if sum(end[-k:] == words[-k:] for end in ends) <= 1 or k == len(words)
    )  # fmt: skip
    if count == 1 and words[-2:][0].endswith("_gate"):
        count = 2
    return ".".join(SHORT.get(word, word) for word in words[-count:])


def _shorter(label: str) -> str:
    """The first letters of long words: candidate_activation as ca, bias as b, units as it is."""
    return ".".join(
        "".join(part[:1] for part in word.split("_")) if "_" in word else SHORTER.get(word, word)
        for word in label.split(".")
    )


def _digits(key: str, jobs: Iterable[Mapping[str, Any]]) -> int:
    """How many significant digits tell the values of a setting apart."""
    values = {one[key] for one in jobs if key in one}
    told = (k for k in (SIGNIFICANT, 6, 9) if len({_rounded(one, k) for one in values})
            == len({_rounded(one, 17) for one in values}))  # fmt: skip
    return next(told, 17)


def _rounded(value: str, digits: int) -> str:
    """A number with so many digits, and a list as 1-2-3 or, where that is long, its length."""
    if value.startswith("[") and value.endswith("]"):
        items = [_rounded(one.strip(), digits) for one in value[1:-1].split(",")]
        listed = "-".join(items)
        return listed if len(listed) <= LIST else f"{len(items)}values"
    if value.lstrip("-").isdecimal():
        return value
    try:
        return f"{float(value):.{digits}g}"
    except ValueError:
        return value


def _clean(value: str) -> str:
    """A value as a part of the name of a folder."""
    last = value.strip("'\"").rstrip("/").rpartition("/")[2]
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
