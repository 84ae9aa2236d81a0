"""Which options conf/ holds, and what their files say. Loads no Hydra."""

import csv
import difflib
import importlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


def options(group: str) -> list[str]:
    """Return the options of a group, sorted; those in folders within it as folder/option."""
    base = folder() / group
    return sorted(
        file.relative_to(base).with_suffix("").as_posix() for file in base.rglob("*.yaml")
    )


def text(group: str, option: str) -> str:
    """Return the text of an option's file.

    Raises:
        ValueError: There is no such option; the message names the nearest.
    """
    known = options(group)
    if option not in known:
        raise ValueError(unknown_option(group, option, known))
    return (folder() / group / f"{option}.yaml").read_text(encoding="utf-8")


def settings(group: str, option: str) -> dict:
    """Return what an option's file says, as plain containers. Raises ValueError as `text`."""
    return yaml.safe_load(text(group, option))


def records(name: str) -> list[dict[str, str]]:
    """Return the rows of a csv file in conf/, as column -> text."""
    with (folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def target(group: str, option: str) -> Any:
    """Return the class that an option names as `_target_`. Raises ValueError as `text`."""
    return found(settings(group, option)["_target_"])


def unknown_option(group: str, option: str, known: Sequence[str]) -> str:
    """Say in one line that an option is not there, with its new name or the nearest one."""
    if new := renamed()["options"].get(group, {}).get(option):
        name, _, changes = new.partition(" ")
        with_changes = f" with {changes}" if changes else ""
        return (
            f"{group}: {option!r} is now {name!r}{with_changes}; expected {group}={new}. "
            f"Received: {group}={option}"
        )
    expected = f"one of {', '.join(known)}{nearest(option, known)}"
    return f"{group}: expected {expected}. Received: {group}={option}"


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ' (nearest: ...)' where one of the known names is near; else ''."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" (nearest: {near[0]})" if near else ""


def found(path: str) -> Any:
    """Return the object that a dotted path names, such as 'lstmlab.cells.Staggered'."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def folder() -> Path:
    """Return the folder conf/, wherever the package is installed."""
    return Path(str(files("lstmlab.conf")))


@cache
def renamed() -> dict[str, dict]:
    """Return conf/renamed.yaml.

    `options` is {group: {old: new}}, `settings` {old: new}, `split` {old: text}. The new name of an
    option may be followed by settings. `split` says what to write instead where that depends on the
    other settings.
    """
    return yaml.safe_load((folder() / "renamed.yaml").read_text(encoding="utf-8"))
