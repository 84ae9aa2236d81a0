"""The only reader of conf/: which options there are, what they say, and what they are made into.

Importing this module loads no Hydra: functions that need it import it when they are called.
"""

import csv
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml

from lstmlab.errors import refusal

# ---- options and what they say


def options(group: str) -> list[str]:
    """The options of a group, sorted; those in folders within it as folder/option."""
    base = _folder() / group
    return sorted(
        file.relative_to(base).with_suffix("").as_posix() for file in base.rglob("*.yaml")
    )


def text(group: str, option: str) -> str:
    """The file of an option. Raises ValueError for one that is not there, with the nearest name."""
    known = options(group)
    if option not in known:
        raise ValueError(unknown_option(group, option, known))
    return (_folder() / group / f"{option}.yaml").read_text(encoding="utf-8")


def settings(group: str, option: str) -> dict:
    """What the file of an option says, as plain containers. Raises ValueError as `text`."""
    return yaml.safe_load(text(group, option))


def records(name: str) -> list[dict[str, str]]:
    """The rows of a csv file in conf/, as column -> text."""
    with (_folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def target(group: str, option: str) -> Any:
    """The class that an option names as `_target_`. Raises ValueError as `text`."""
    return found(settings(group, option)["_target_"])


def unknown_option(group: str, option: str, known: Sequence[str]) -> str:
    """One line about an option that is not there: its new name, or the nearest, or all of them."""
    if new := renamed()["options"].get(group, {}).get(option):
        name, _, changes = new.partition(" ")
        with_changes = f" with {changes}" if changes else ""
        return (
            f"{group}: {option!r} is now {name!r}{with_changes}; expected {group}={new}. "
            f"Received: {group}={option}"
        )
    return f"{group}: expected one of {', '.join(known)}{nearest(option, known)}. Received: {group}={option}"


def nearest(name: str, known: Sequence[str]) -> str:
    """' (nearest: ...)' where one of the known names is near; else ''."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" (nearest: {near[0]})" if near else ""


def found(path: str) -> Any:
    """The object that a dotted path names, such as 'lstmlab.cells.Staggered'."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _folder() -> Path:
    return Path(str(files("lstmlab.conf")))


# ---- what options are made into


def made(node: Any) -> Any:
    """An object from plain settings, without Hydra: `_target_` names its class, the rest are its arguments."""
    if isinstance(node, list):
        return [made(part) for part in node]
    if not isinstance(node, dict):
        return node
    arguments = {name: made(part) for name, part in node.items() if name != "_target_"}
    return found(node["_target_"])(**arguments) if "_target_" in node else arguments


def instantiate(config: dict, group: str, **more: Any) -> Any:
    """What a composed config says of a group, as an object. Raises ValueError, in one line, for what is wrong with it.

    more: arguments beside those of the config.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    settings = config.get(group)
    if not isinstance(settings, dict):
        raise refusal("train", f"an option of the group {group!r}", {group: settings})
    try:
        return instantiate(settings, _convert_="all", **more)
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ValueError(_foreign(group, settings) or _named(group, cause)) from cause


def changed(group: str, option: str, overrides: Sequence[str], seed: int = 0) -> Any:
    """The object that an option describes, with settings changed as on a command line: 'T=50', 'criterion.wrong=3'.

    Raises ValueError, in one line, for an unknown option or setting, with the nearest there is, and
    for what the class refuses.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    whole = OmegaConf.create({"seed": seed, group: OmegaConf.create(text(group, option))})
    plain = cast(dict, OmegaConf.to_container(whole[group]))
    for override in overrides:
        _check_known(option, override, plain)
    OmegaConf.set_struct(whole, True)
    try:
        for name, value in _parsed(option, overrides):
            new = not _is_there(name, plain)
            OmegaConf.update(whole, f"{group}.{name}", value, merge=True, force_add=new)
        return instantiate(whole[group], _convert_="all")
    except (InstantiationException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        raise ValueError(" ".join(str(cause).split())) from cause


def _check_known(option: str, override: str, plain: dict) -> None:
    """Raises ValueError for a setting that neither the file of the option has nor its class."""
    name, equals, _ = override.partition("=")
    if not equals:
        raise ValueError(f"{option}: a setting is written as name=value. Received: {override}")
    within, _, _ = name.rpartition(".")
    arguments = inspect.signature(found(plain["_target_"])).parameters
    takes_more = _is_there(f"{within}._target_", plain) if within else name in arguments
    if not takes_more and not _is_there(name, plain):
        known = _leaves(plain)
        known += [name for name in arguments if name not in plain and name != "kwargs"]
        raise refusal(option, f"one of {', '.join(known)}{nearest(name, known)}", override)


def _is_there(name: str, plain: dict) -> bool:
    """Whether a dotted name leads to something in nested settings."""
    node: Any = plain
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def compose(*overrides: str) -> tuple[dict, dict]:
    """The whole config as `lstmlab` composes it, as plain containers; and group -> option chosen."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module("lstmlab.conf", version_base="1.3"):
        config = compose("config", list(overrides), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return cast(dict, OmegaConf.to_container(config, resolve=True)), choices


def _parsed(option: str, overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Names and values, by the rules of the command line of `lstmlab`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        asked = "a value as `lstmlab` reads it, quoted where it needs it: \"separator=';'\""
        raise refusal(option, asked, str(error.override)) from None
    for one in parsed:
        if one.is_sweep_override():
            raise refusal(option, "one value, for a list [value, value]", str(one.input_line))
    return [(one.key_or_group, one.value()) for one in parsed]


def _leaves(settings: dict, before: str = "") -> list[str]:
    """Names of the settings, those within others with a dot."""
    leaves = []
    for key, value in settings.items():
        if key == "_target_":
            continue
        inner = isinstance(value, dict) and value
        leaves += _leaves(cast(dict, value), f"{before}{key}.") if inner else [f"{before}{key}"]
    return leaves


def _foreign(group: str, settings: dict) -> str | None:
    """Settings that the class does not have, as when only _target_ was changed: which, and how to give it its own."""
    target = settings.get("_target_")
    try:
        known = inspect.signature(found(str(target))).parameters
    except (ImportError, AttributeError, ValueError, TypeError):
        return None
    unknown = [
        f"{group}.{name}" for name in settings if name not in known and not name.startswith("_")
    ]
    if not unknown:
        return None
    return (
        f"{group}: not all of these are settings of {target}; expected only its own, for a class of your own as in "
        f"lstmlab '~{group}' +{group}._target_={target} +{group}.NAME=VALUE. Received: {', '.join(unknown)}"
    )


def _named(group: str, cause: BaseException) -> str:
    """The cause in one line that begins with the class that complains, as our own do, or else with the group."""
    line = " ".join(str(cause).split()) or type(cause).__name__
    return line if re.match(r"\w+: ", line) else f"{group}: {line}"


# ---- names that changed


@cache
def renamed() -> dict[str, dict]:
    """conf/renamed.yaml: `options` {group: {old: new}} and `settings` {old: new}.

    The new name of an option may be followed by settings; that of a setting is null where there
    is none today.
    """
    return yaml.safe_load((_folder() / "renamed.yaml").read_text(encoding="utf-8"))


def current(config: dict) -> dict:
    """The config of a run of an older version, under today's names. It stays as it is where nothing changed."""
    config = _as_of_today(config)
    learner = config.get("learner") or {}
    for part in (learner, learner.get("learner") or {}):  # `growing` holds another learner
        _split_truncated1997(part)
    return config


def _as_of_today(node: Any, before: str = "") -> Any:
    if not isinstance(node, dict):
        return node
    names = renamed()["settings"]
    after = {}
    for key, value in node.items():
        new = names.get(f"{before}{key}", f"{before}{key}")
        if new is not None:
            after[new.removeprefix(before)] = _as_of_today(value, f"{before}{key}.")
    return after


def _split_truncated1997(learner: dict) -> None:
    """Until 2026-11 one class had both forms of the rule of 1997, chosen by `form`."""
    if "form" in learner and learner.get("_target_") == "lstmlab.learners.Truncated1997":
        forward = learner.pop("form") == "traces"
        gone = (
            {"scope"} if forward else {"update_every", "updates", "decay", "decay_steps", "limit"}
        )
        for name in gone & set(learner):
            del learner[name]
        if forward:
            learner["_target_"] = "lstmlab.learners.Truncated1997Forward"


# ---- what Hydra says of a command line


def one_line(error: BaseException) -> str:
    """The error for a person who typed a command, as one line; causes that say more are preferred."""
    from hydra.errors import (
        ConfigCompositionException,
        MissingConfigException,
        OverrideParseException,
    )

    line = _flat(str(error)) or type(error).__name__
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return f"a setting is written as name=value, a sweep as name=value1,value2. Received: {error.override!r}"
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if line.startswith("Config group override must be"):
        return f"a part is chosen by the name of its option, and left out with '~part'. Received: {' '.join(sys.argv[1:])}"
    if isinstance(error, OSError) and error.filename:
        return f"outputs: expected a folder that can be written. Received: {error.filename} ({error.strerror})"
    return line


def _missing(error) -> str:
    name = (error.missing_cfg_file or "").removeprefix("/")
    group, _, option = name.partition("/")
    known = options(group) if group else []
    return unknown_option(group, option, known) if known else _flat(str(error))


def _composition(error) -> str:
    line = _flat(str(error))
    several = re.match(r"Ambiguous value for argument '([^']+)'", line)
    if several:
        return f"several values make a sweep, which is `lstmlab -m`; expected one value. Received: {several.group(1)}"
    unlike = re.match(r"Error merging override ([^=]+)=", line)
    if unlike:
        name, typed = unlike.group(1), _as_typed(unlike.group(1))
        return f"{name}: expected the kind of value it has now; '~{name}' '+{name}=VALUE' replaces it whole. Received: {typed}"
    override = re.search(r"[Cc]ould not override '([^']+)'", line)
    if override is None:
        return f"{line}. Received: {' '.join(sys.argv[1:])}"
    cause = _flat(str(error.__cause__ or ""))
    if re.search(r"Key '([^']+)' is not in struct", cause or line):
        return _no_such_setting(override.group(1))
    return f"{override.group(1)}: {cause or line}"


def _no_such_setting(name: str) -> str:
    names = renamed()["settings"]
    if new := names.get(name):
        return f"{name} is now called {new}; expected {new}=VALUE. Received: {_as_typed(name)}"
    return (
        f"no such setting; expected one that `lstmlab --cfg job` lists. Received: {_as_typed(name)}"
    )


def _as_typed(setting: str) -> str:
    """setting=value as it stands on the command line."""
    return next((a for a in sys.argv[1:] if a.lstrip("+~").partition("=")[0] == setting), setting)


def _flat(line: str) -> str:
    return " ".join(line.split())
