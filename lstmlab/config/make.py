"""What options of conf/ are made into. Functions that need Hydra import it when they are called."""

import inspect
import re
from collections.abc import Sequence
from typing import Any, cast

import yaml

from lstmlab.config.folders import own
from lstmlab.config.options import found, nearest, not_its_own, not_yaml, path_of, settings
from lstmlab.config.quoting import may_be_one_text, quoted
from lstmlab.errors import refusal


def made(node: Any) -> Any:
    """Make an object from plain settings, without Hydra.

    `_target_` names its class, the other settings are its arguments.
    """
    if isinstance(node, list):
        return [made(part) for part in node]
    if not isinstance(node, dict):
        return node
    arguments = {name: made(part) for name, part in node.items() if name != "_target_"}
    return found(node["_target_"])(**arguments) if "_target_" in node else arguments


def instantiate(config: dict, group: str, **more: Any) -> Any:
    """Make the object that a composed config describes for a group.

    Args:
        config: The whole config, as plain containers.
        group: The group, such as 'cell'.
        more: Arguments in addition to those of the config.

    Raises:
        ValueError: In one line, what is wrong with a setting.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    settings = config.get(group)
    if not isinstance(settings, dict):
        raise refusal("train", f"an option of the group {group!r}", {group: settings})
    if foreign := _foreign(group, settings):
        raise ValueError(foreign)
    try:
        # plain lists and dictionaries: those of OmegaConf are neither
        return instantiate(settings, _convert_="all", **more)
    except (InstantiationException, SystemExit) as error:
        cause = error.__cause__ or error
        said = _unfound(group, settings) or _foreign(group, settings, strict=True)
        raise ValueError(said or _named(group, cause)) from cause


def changed(group: str, option: str, overrides: Sequence[str] = (), seed: int = 0) -> Any:
    """Make the object that an option describes, with settings changed as on a command line.

    Args:
        group: The group, such as 'task'.
        option: The option, such as 'adding'.
        overrides: Settings such as 'T=50' or 'criterion.wrong=3'.
        seed: What `${seed}` stands for in the file.

    Raises:
        ValueError: In one line: an unknown option or setting, with the nearest there is, or what
            the class refuses.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    settings = described(group, option, overrides, seed)[group]
    try:
        return instantiate(settings, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ValueError(_named(option, cause)) from cause


def described(group: str, option: str, overrides: Sequence[str] = (), seed: int = 0) -> dict:
    """Return the seed and what an option describes, with settings changed, as plain containers.

    Arguments and errors are those of `changed`; `instantiate` makes the object.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    # with the seed beside it, where ${seed} in the file looks for it
    whole = OmegaConf.create({"seed": seed, group: _said(group, option, seed)})
    plain = cast(dict, OmegaConf.to_container(whole[group]))
    if said := _unfound(group, plain):
        raise ValueError(said)
    for override in overrides:
        _check_known(option, override, plain)

    changes = [
        change
        for name, value in _parsed(option, overrides)
        for change in _each(option, name, value, plain)
    ]

    OmegaConf.set_struct(whole, True)
    try:
        for name, value in changes:
            # an argument that the file leaves out; _check_known has let it pass
            new = not _is_there(name, plain)
            OmegaConf.update(whole, f"{group}.{name}", value, merge=True, force_add=new)
        return cast(dict, OmegaConf.to_container(whole, resolve=True))
    except OmegaConfBaseException as error:
        cause = error.__cause__ or error
        raise ValueError(_named(option, cause)) from cause


def _said(group: str, option: str, seed: int) -> Any:
    """Return what an option's file says; composed, where it begins with other options."""
    from omegaconf import OmegaConf

    begins = "defaults" in settings(group, option)
    said = compose(f"{group}={option}", f"seed={seed}")[0] if begins else {}
    known = said.get(group, {}) if begins else settings(group, option)
    if "_target_" not in known:
        named = "a line `_target_: module.Class`"
        raise refusal(f"{group}={option}", named, str(path_of(group, option)))
    if begins:
        return known
    try:
        return OmegaConf.load(path_of(group, option))
    except yaml.YAMLError as error:  # OmegaConf refuses more, such as one name twice
        raise ValueError(not_yaml(path_of(group, option), error)) from None


def _each(option: str, name: str, value: Any, plain: dict) -> list[tuple[str, Any]]:
    """Split a change of several settings, as in criterion={wrong: 3}, into one of each.

    Raises ValueError for one that is not there, and for a single value in their place.
    """
    now: Any = plain
    for part in name.split("."):
        now = now.get(part) if isinstance(now, dict) else None
    several = isinstance(now, dict) and now and "_target_" not in now
    if not several or value is None:
        return [(name, value)]
    if not isinstance(value, dict):
        raise refusal(
            option, f"settings, as in {name}={{{next(iter(now))}: VALUE}}", f"{name}={value}"
        )
    changes = []
    for key, inner in value.items():
        _check_known(option, f"{name}.{key}={inner}", plain)
        changes += _each(option, f"{name}.{key}", inner, plain)
    return changes


def _check_known(option: str, override: str, plain: dict) -> None:
    """Raise ValueError for a setting that neither the option's file nor its class has."""
    name, equals, _ = override.partition("=")
    if not equals:
        raise refusal(option, "name=value for a setting", override)
    within, _, _ = name.rpartition(".")
    arguments = inspect.signature(found(plain["_target_"])).parameters
    # within a part with a class of its own, that class refuses what it does not know
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
    """Compose the whole config as `lstmlab` does.

    Returns:
        The config as plain containers, and the option chosen in each group.
    """
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from lstmlab.config.search import search_installed

    search_installed()
    place = str(folder.resolve()).replace("'", r"\'") if (folder := own()) else ""
    searched = [f"hydra.searchpath=['file://{place}']"] if place else []
    # the choices are in Hydra's own part of the config, which is dropped below
    with initialize_config_module("lstmlab.conf", version_base="1.3"):
        config = compose("config", [*searched, *overrides], return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return cast(dict, OmegaConf.to_container(config, resolve=True)), choices


def _parsed(option: str, overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Return names and values, by the rules of the command line of `lstmlab`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        asked = f"a value as `lstmlab` reads it{_as_in(str(error.override))}"
        raise refusal(option, asked, str(error.override)) from None
    for one in parsed:
        if one.is_sweep_override():
            line = str(one.input_line)
            quotes = _as_in(line) if may_be_one_text(line) else ""
            expected = f"one value, for a list [value, value]{quotes}"
            raise refusal(option, expected, line)
    return [(one.key_or_group, one.value()) for one in parsed]


def _as_in(override: str) -> str:
    as_in = quoted(override)
    return f", in quotes, as {as_in}" if as_in else ""


def _leaves(settings: dict, before: str = "") -> list[str]:
    """Return the names of settings, those within others with a dot."""
    leaves = []
    for key, value in settings.items():
        if key == "_target_":
            continue
        inner = isinstance(value, dict) and value
        leaves += _leaves(cast(dict, value), f"{before}{key}.") if inner else [f"{before}{key}"]
    return leaves


def _unfound(group: str, settings: Any) -> str | None:
    """Say which `_target_` names no class, and why."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if not isinstance(settings, dict):
        return None
    said = (_unfound(group, part) for part in settings.values())
    inner = next((line for line in said if line), None)
    if inner or "_target_" not in settings:
        return inner
    try:
        if callable(found(settings["_target_"])):
            return None
    except ValueError as error:
        return f"{group}: {str(error).removeprefix('_target_: ')}"
    return str(refusal(group, "a class, as module.Class", {"_target_": settings["_target_"]}))


def _foreign(place: str, settings: Any, strict: bool = False) -> str | None:
    """Name settings that a class does not have, at any depth; None if there are none.

    A class that takes any settings (**kwargs) judges them itself; with `strict`, the arguments of
    the classes that it is made from are all that it has.
    """
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if not isinstance(settings, dict):
        return None
    known = _arguments(settings.get("_target_"), strict)
    names = [str(name) for name in settings if not str(name).startswith("_")]
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        return _not_its_own(place, str(settings["_target_"]), unknown, known or [])
    inner = (_foreign(f"{place}.{name}", value, strict) for name, value in settings.items())
    return next((line for line in inner if line), None)


def _arguments(target: Any, strict: bool) -> list[str] | None:
    """The names of a class's arguments; None without a class, or if it takes any."""
    try:
        made_from = found(str(target))
        parameters = dict(inspect.signature(made_from).parameters)
    except (ImportError, AttributeError, ValueError, TypeError):
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        if not strict:
            return None
        for kind in getattr(made_from, "__mro__", ()):
            parameters |= inspect.signature(kind.__init__).parameters
    return [name for name in parameters if name not in ("self", "args", "kwargs")]


def _not_its_own(place: str, target: str, unknown: list[str], known: list[str]) -> str:
    own = f"lstmlab '~{place}' +{place}._target_={target} +{place}.NAME=VALUE"
    more = "" if target.startswith("lstmlab.") else f", for a class of your own as in {own}"
    return not_its_own(place, target.rpartition(".")[2], unknown, known, more)


def _named(group: str, cause: BaseException) -> str:
    """Return the cause in one line that begins with the class that complains, or the group."""
    line = " ".join(str(cause).split()) or type(cause).__name__
    return line if re.match(r"\w+: ", line) else f"{group}: {line}"
