"""What Hydra says of a command line, as one line that names setting, value and what is expected."""

import inspect
import re
import shlex
import sys
from typing import Any

import yaml

from lstmlab.config.known import names_composed, no_such_setting
from lstmlab.config.options import (
    as_typed,
    found,
    nearest,
    not_yaml,
    options,
    renamed,
    undecodable,
    unknown_option,
)
from lstmlab.config.quoting import may_be_one_text, quoted


def one_line(error: BaseException) -> str:
    """Return an error as one line for the person who typed the command."""
    from hydra.errors import (
        ConfigCompositionException,
        MissingConfigException,
        OverrideParseException,
    )

    line = _flat(str(error)) or type(error).__name__
    # first, as it is a ConfigCompositionException and an OSError as well
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return _unparsed(str(error.override))
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return not_yaml(error.problem_mark.name, error)
    if isinstance(error, UnicodeDecodeError) and (path := undecodable(error)):
        return not_yaml(path, error)

    if line.startswith("Config group override must be"):
        return _no_option()
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return line


def _unparsed(override: str) -> str:
    """Say how to type a setting that Hydra cannot read."""
    as_in = quoted(override)
    written = "name=value for a setting, name=value1,value2 for a sweep"
    if as_in:
        written = f"quotes around such a value, as in {as_in}"
    return f"settings: expected {written}. Received: {override!r}"


def _no_option() -> str:
    """Say which part was given something that is no name of an option, as cell=null."""
    for typed in sys.argv[1:]:
        name, equals, value = typed.partition("=")
        known = options(name) if equals and name.isidentifier() else []
        if known and value in ("", "null"):
            return f"{name}: expected one of {', '.join(known)}. Received: {typed}"
        if known and value not in known:
            return unknown_option(name, value, known)
    chosen = "the name of an option for each part"
    return f"settings: expected {chosen}. Received: {' '.join(sys.argv[1:])}"


def _missing(error: Any) -> str:
    """Say which option is not there."""
    name = (error.missing_cfg_file or "").removeprefix("/")
    group, _, option = name.partition("/")
    if name.startswith(("hydra/launcher/", "hydra/sweeper/")) and error.options:
        part, _, option = option.partition("/")
        return _no_plugin(part, option, list(error.options))
    # Hydra's own parts, such as hydra/launcher, are not in conf/
    known = options(group) if group and group != "hydra" else []
    # those of hydra.searchpath too, which only Hydra knows
    known = sorted({*known, *(error.options or ())}) if known else []
    return unknown_option(group, option, known) if known else _flat(str(error))


def _no_plugin(part: str, option: str, known: list[str]) -> str:
    """Say which launcher or sweeper is not installed, and how it would be."""
    hint = nearest(option, known)
    if option.startswith("submitit"):
        hint = "; the others need `pip install 'lstmlab[cluster]'`"
    elif not hint:
        hint = "; others come with a plugin of Hydra, `pip install hydra-NAME`"
    expected = f"one of {', '.join(known)}{hint}"
    return f"hydra/{part}: expected {expected}. Received: hydra/{part}={option}"


def _composition(error: Any) -> str:
    """Say which setting cannot be composed, and why."""
    line = _flat(str(error))
    several = re.match(r"Ambiguous value for argument '([^']+)'", line)
    if several:
        typed = several.group(1)
        said = "several values make a sweep, which is `lstmlab -m`; expected one value"
        return f"{said}{_in_one(typed)}. Received: {typed}"
    swept = re.match(r"Sweeping over Hydra's configuration is not supported : '([^']+)'", line)
    if swept:
        name, _, values = swept.group(1).partition("=")
        said = f"expected one value or a list, as in '{name}=[{values}]'"
        return f"{name}: {said}. Received: {swept.group(1)}"
    unlike = re.match(r"Error merging override ([^=]+)=", line)
    if unlike:
        name, typed = unlike.group(1), as_typed(unlike.group(1))
        whole = f"'~{name}' '+{name}=VALUE' replaces it whole"
        return f"{name}: expected the kind of value it has now; {whole}. Received: {typed}"

    override = re.search(r"[Cc]ould not override '([^']+)'", line)
    if override is None:
        return f"{line}. Received: {' '.join(sys.argv[1:])}"
    cause = _flat(str(error.__cause__ or ""))
    name = override.group(1)
    if re.search(r"Key '[^']+' (is not in struct|not in ')", cause or line):
        return _of_a_plugin(name) or unknown_setting(name)
    return f"{name}: {cause or line}"


def _of_a_plugin(name: str) -> str | None:
    """Say that the launcher or sweeper that is chosen has no such setting; None for any other."""
    part = next((one for one in ("launcher", "sweeper") if name.startswith(f"hydra.{one}.")), None)
    if part is None:
        return None
    typed = [one for one in sys.argv[1:] if one.startswith(f"hydra/{part}=")]
    chosen = typed[-1] if typed else f"the hydra/{part} of this experiment"
    other = "; n_jobs is for hydra/launcher=joblib" if name.endswith(".n_jobs") else ""
    return f"{name}: {chosen} has no such setting{other}. Received: {as_typed(name)}"


def _in_one(typed: str) -> str:
    """Say how several values are typed as one: as a list where one is taken, or in quotes."""
    name, _, value = typed.partition("=")
    if _takes_list(name.lstrip("+")):
        plain = f"{name}=[{value}]"
        as_list = quoted(plain) if may_be_one_text(typed) else shlex.quote(plain)
        return f", or a list, as in {as_list or shlex.quote(plain)}"
    as_in = quoted(typed) if may_be_one_text(typed) else None
    return f", or quotes around one that has commas, as in {as_in}" if as_in else ""


def _takes_list(name: str) -> bool:
    """Whether a setting of a part is a list now, or its class says that it takes one."""
    part, _, setting = name.partition(".")
    settings = names_composed().get(part)
    if not isinstance(settings, dict) or "_target_" not in settings:
        return False
    if isinstance(settings.get(setting), list):
        return True
    try:
        arguments = inspect.signature(found(settings["_target_"])).parameters
    except (ValueError, TypeError):
        return False
    said = str(arguments[setting].annotation) if setting in arguments else ""
    return re.search(r"\b(list|tuple|Sequence|Iterable)\[", said) is not None


def unknown_setting(name: str) -> str:
    """Say that a setting is not there, with its new name if it has one."""
    names, split = renamed()["settings"], renamed()["split"]
    if name in split:
        return f"{name}: expected {split[name]}. Received: {as_typed(name)}"
    if new := names.get(name):
        return f"{name} is now called {new}; expected {new}=VALUE. Received: {as_typed(name)}"
    return no_such_setting(name, names_composed())


def _flat(line: str) -> str:
    return " ".join(line.split())
