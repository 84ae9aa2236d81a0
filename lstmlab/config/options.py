"""Which options there are, in conf/ and beside it, and what their files say. Loads no Hydra."""

import csv
import difflib
import importlib
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lstmlab.config.folders import built_in, searched
from lstmlab.errors import refusal


def options(group: str) -> list[str]:
    """Return the options of a group, sorted; those in folders within it as folder/option."""
    return sorted({name for folder in searched() for name in options_in(folder.path, group)})


def options_in(folder: Path, group: str) -> list[str]:
    """Return the options of a group that one folder has."""
    base = folder / group
    return sorted(
        file.relative_to(base).with_suffix("").as_posix() for file in base.rglob("*.yaml")
    )


def path_of(group: str, option: str) -> Path:
    """Return the path of an option's file.

    Raises:
        ValueError: There is no such option; the message names the nearest.
    """
    for folder in searched():
        if option in options_in(folder.path, group):
            return folder.path / group / f"{option}.yaml"
    raise ValueError(unknown_option(group, option, options(group)))


def text(group: str, option: str) -> str:
    """Return the text of an option's file. Raises ValueError as `path_of`, and if it is no text."""
    path = path_of(group, option)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ValueError(not_yaml(path, error)) from None


def settings(group: str, option: str) -> dict:
    """Return what an option's file says, as plain containers.

    Raises:
        ValueError: As `text`, and where the file does not hold settings in YAML.
    """
    written = text(group, option)
    try:
        found = yaml.safe_load(written) or {}
    except yaml.YAMLError as error:
        raise ValueError(not_yaml(path_of(group, option), error)) from None
    if not isinstance(found, dict):
        raise refusal(f"{path_of(group, option)}", "settings, as name: value", f"{found!r}")
    return found


def not_yaml(path: str | Path, error: Exception) -> str:
    """Return in one line where a file is not YAML."""
    mark = getattr(error, "problem_mark", None)
    why = getattr(error, "problem", None) or getattr(error, "strerror", None) or str(error)
    at = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return str(refusal(f"{path}{at}", "settings in YAML, as name: value", " ".join(why.split())))


def undecodable(error: UnicodeDecodeError) -> Path | None:
    """Return the file of an option that Hydra could not decode, whose name it does not say."""
    paths = (path for folder in searched() for path in folder.path.rglob("*.yaml"))
    return next((path for path in paths if error.object in _without_text(path)), None)


def _without_text(path: Path) -> bytes:
    """What a file holds, b'' if it is text."""
    written = path.read_bytes()
    return b"" if written.decode("utf-8", "ignore").encode() == written else written


def records(name: str) -> list[dict[str, str]]:
    """Return the rows of a csv file in conf/, as column -> text."""
    with (built_in() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def target(group: str, option: str) -> Any:
    """Return the class that an option, or the one that it begins with, names as `_target_`.

    Raises ValueError as `settings` and `found`.
    """
    said = settings(group, option)
    earlier = [name for name in said.get("defaults") or [] if isinstance(name, str)]
    for name in reversed(earlier):
        if "_target_" not in said and name != "_self_":
            return target(group, name.removeprefix(f"/{group}/"))
    try:
        return found(said.get("_target_"))
    except ValueError as error:
        raise ValueError(f"{group}={option}: {error}") from error.__cause__


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


def not_its_own(
    place: str, owner: str, unknown: list[str], known: list[str], more: str = ""
) -> str:
    """Say in one line that settings are none of their owner's, and which it has.

    Args:
        place: Where the settings are, with dots.
        owner: The name of the class, or Hydra.
        unknown: The settings, without their place.
        known: Those that there are.
        more: What else may be expected.
    """
    near = nearest(unknown[0], known) if len(unknown) == 1 else ""
    received = ", ".join(as_typed(f"{place}.{name}") for name in unknown)
    expected = f"one of {', '.join(known)}{near}{more}"
    return f"{place}: no such setting of {owner}; expected {expected}. Received: {received}"


def as_typed(setting: str) -> str:
    """Return setting=value as it was typed."""
    # the errors of Hydra have the name without the value
    return next((a for a in sys.argv[1:] if a.lstrip("+~").partition("=")[0] == setting), setting)


def found(path: Any) -> Any:
    """Return the object that a dotted path names, such as 'lstmlab.cells.Staggered'.

    Raises:
        ValueError: In one line: there is no such module or object, or the module raises an error.
    """
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    if not module:
        raise refusal("_target_", "a class, as module.Class", {"_target_": path})
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        outer = sys.modules.get(module.rpartition(".")[0])
        within = getattr(getattr(outer, module.rpartition(".")[2], None), name, None)
        if within is not None:  # a class within a class
            return within
        raise ValueError(_no_module(path, module, error)) from error
    if hasattr(imported, name):
        return getattr(imported, name)
    where = getattr(imported, "__file__", None) or module
    expected = f"a name that {where} has{nearest(name, dir(imported))}"
    raise refusal("_target_", expected, {"_target_": path})


def _no_module(path: str, module: str, error: BaseException) -> str:
    """Say in one line why a module cannot be imported, and where it fails."""
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module}.".startswith(f"{missing}."):
        expected = "a module in the working folder, beside the config folder, or installed"
        return str(refusal("_target_", f"{expected}: there is no {missing}", {"_target_": path}))
    if isinstance(error, SyntaxError) and error.filename:
        at = f"{error.filename}, line {error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        last = [frame for frame in frames if not frame.filename.startswith("<frozen")][-1]
        at = f"{last.filename}, line {last.lineno}"
    why = " ".join(f"{type(error).__name__}: {error}".split())
    expected = f"a module that can be imported; {at}: {why}"
    return str(refusal("_target_", expected, {"_target_": path}))


@cache
def renamed() -> dict[str, dict]:
    """Return conf/renamed.yaml.

    `options` is {group: {old: new}}, `settings` {old: new}, `split` {old: text}. The new name of an
    option may be followed by settings. `split` says what to write instead where that depends on the
    other settings.
    """
    return yaml.safe_load((built_in() / "renamed.yaml").read_text(encoding="utf-8"))
