"""Settings that are not there, with the nearest that is."""

import difflib
import sys
from typing import Any

from lstmlab.config.options import as_typed, options

PARTS = ("task", "cell", "head", "learner", "trainer", "optimizer", "diagnostic")


def no_such_setting(name: str, config: dict, typed: str | None = None) -> str:
    """Say in one line that nothing reads a setting, and name the nearest that is read.

    Args:
        name: The setting, with dots.
        config: The composed config, in which it may be.
        typed: The setting with its value as it was typed; default: as the command line has it.
    """
    typed = as_typed(name) if typed is None else typed
    known = [one for one in _names(config) if one.partition(".")[0] != name.partition(".")[0]]
    if name.partition(".")[0] in PARTS:
        known = _names(config)
    above = name.rpartition(".")[0]
    found = _nearest(
        name, [one for one in known if one not in (name, above)], typed.partition("=")[2]
    )
    near = f" (nearest: {found})" if found else ""
    part, _, setting = name.partition(".")
    settings = config.get(part)
    if "." not in setting and isinstance(settings, dict) and "_target_" in settings:
        own = ", ".join(str(one) for one in settings if one != "_target_")
        owner = str(settings["_target_"]).rpartition(".")[2]
        return f"{part}: no such setting of {owner}; expected one of {own}{near}. Received: {typed}"
    parts = ", ".join((*PARTS, "experiment"))
    expected = f"{parts}, or one that `lstmlab --cfg job` lists{near}"
    return f"no such setting; expected {expected}. Received: {typed}"


def names_composed() -> dict:
    """Return the config with the options that the command line chooses, or that of the defaults."""
    from lstmlab.config.make import compose

    parts = [a for a in sys.argv[1:] if a.partition("=")[0] in (*PARTS, "experiment")]
    for overrides in ([one for one in parts if "," not in one], []):
        try:
            return compose(*overrides)[0]
        except Exception:  # another of its settings is wrong, too
            continue
    return {}


def _nearest(name: str, known: list[str], value: str) -> str | None:
    """The nearest of the dotted names, by the whole, then by the last part, then by an option."""
    whole = {one.lower(): one for one in known}
    ends: dict[str, str] = {}
    for one in known:
        ends.setdefault(one.lower().rpartition(".")[2], one)
    lower = name.lower()
    for asked, names, cutoff in (
        (lower, whole, 0.8),
        (lower.rpartition(".")[2], ends, 0.75),
        (lower, whole, 0.6),
    ):
        if close := difflib.get_close_matches(asked, list(names), 1, cutoff):
            return names[close[0]]
    return _by_option(value)


def _by_option(value: str) -> str | None:
    """group=option for a value that is nearly an option: model=lstm means a cell."""
    choices = {option: part for part in PARTS for option in options(part)}
    begin = [option for option in choices if value and option.startswith(value)]
    close = begin or difflib.get_close_matches(value, list(choices), 1, cutoff=0.75)
    return f"{choices[close[0]]}={close[0]}" if close else None


def _names(config: Any, before: str = "") -> list[str]:
    """The dotted names of a config: groups, settings with settings of their own, and leaves."""
    found = [] if before else [*PARTS, "experiment"]
    for key, value in config.items():
        if key == "_target_":
            continue
        found.append(f"{before}{key}")
        if isinstance(value, dict):
            found += _names(value, f"{before}{key}.")
    return found
