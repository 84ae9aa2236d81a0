"""The options under test: those of --config-dir where it is given, else all."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lstmlab import config
from lstmlab.errors import refusal

FACTS = "conformance.yaml"  # in the folder of --config-dir: {group: {option: {fact: value}}}
KNOWN = {
    "task": ("settings", "variants", "asked", "shares", "probe", "single", "distinct", "long"),
    "cell": ("settings", "settled"),
    "learner": ("settings",),
    "diagnostic": ("settings",),
}


def use(folder: str | None) -> None:
    """Set the folder whose options are tested; None for all options that there are.

    Raises:
        ValueError: In one line: what is wrong with the folder, or with its conformance.yaml.
    """
    config.use(folder)
    problem.cache_clear()
    _facts.cache_clear()
    for group, options in _facts().items():
        for name, facts in _mapping(group, options).items():
            _check_facts(group, name, _mapping(f"{group}.{name}", facts))


def tested(group: str) -> list[str]:
    """Return the options of a group that are under test."""
    folder = config.own()
    if folder is None:
        return config.options(group)
    return [name for name in config.options_in(folder, group) if not is_built_in(group, name)]


def sound(group: str) -> list[str]:
    """Return the options under test that can be made; test_option.py says why others cannot."""
    return [name for name in tested(group) if is_built_in(group, name) or not problem(group, name)]


def is_built_in(group: str, name: str) -> bool:
    """Whether lstmlab itself has the option."""
    return name in config.options_in(config.built_in(), group)


def everything() -> list[tuple[str, str]]:
    """Return (group, option) of all options under test that lstmlab itself does not have."""
    searched = [folder.path for folder in config.searched()[1:]]
    groups = {path.parent.relative_to(base) for base in searched for path in base.rglob("*.yaml")}
    roots = sorted({group.parts[0] for group in groups if group.parts})
    pairs = [(group, name) for group in roots for name in tested(group)]
    return [(group, name) for group, name in pairs if not is_built_in(group, name)]


def facts(group: str, name: str) -> dict[str, Any]:
    """Return what conformance.yaml says of an option."""
    return _facts().get(group, {}).get(name, {})


def overrides(group: str, name: str) -> list[str]:
    """Return the settings without which an option cannot be made, as on the command line."""
    return [f"{group}.{setting}" for setting in facts(group, name).get("settings", ())]


@cache
def problem(group: str, name: str) -> str:
    """Return in one line why a run cannot make an option; '' if it can."""
    try:
        _make(group, name)
    except Exception as error:  # whatever the code of an option does
        return config.one_line(error)
    return ""


def _make(group: str, name: str) -> None:
    """Make an option as a run does; options of other groups are only read."""
    from lstmlab.runs import build

    config.settings(group, name)
    if group == "diagnostic":
        build.diagnostics(config.compose(f"diagnostic=[{name}]", *overrides(group, name))[0])
    elif group in ("experiment", "head"):
        build.build(config.compose(f"{group}={name}")[0])
    elif group in build.KINDS:
        build.part(config.compose(f"{group}={name}", *overrides(group, name))[0], group)


@cache
def _facts() -> dict[str, dict[str, dict]]:
    path = Path(config.own() or "") / FACTS
    if config.own() is None or not path.exists():
        return {}
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return _mapping(FACTS, said)
    except (yaml.YAMLError, UnicodeError) as error:
        why = " ".join(str(error).split())
        raise refusal(str(path), "facts of options in YAML, as task: {NAME: ...}", why) from None


def _mapping(name: str, value: Any) -> dict:
    if not isinstance(value, dict):
        raise refusal(FACTS, "name: value", {name: value})
    return value


def _check_facts(group: str, name: str, facts: dict) -> None:
    """Raise ValueError for a fact that no test reads."""
    for known, what in ((KNOWN, group), (tested(group), name)):
        if what not in known:
            near = config.nearest(what, list(known))
            raise refusal(FACTS, f"one of {', '.join(known)}{near}", f"{group}.{name}")
    for fact in facts:
        if fact not in KNOWN[group]:
            near = config.nearest(fact, KNOWN[group])
            expected = f"one of {', '.join(KNOWN[group])}{near}"
            raise refusal(FACTS, expected, f"{group}.{name}.{fact}")
