"""What Hydra says of a command line, as one line that names setting, value and what is expected."""

import re
import sys
from typing import Any

import yaml

from lstmlab.config.options import not_yaml, options, renamed, undecodable, unknown_option


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
        written = "name=value for a setting, name=value1,value2 for a sweep"
        return f"settings: expected {written}. Received: {error.override!r}"
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return not_yaml(error.problem_mark.name, error)
    if isinstance(error, UnicodeDecodeError) and (path := undecodable(error)):
        return not_yaml(path, error)

    if line.startswith("Config group override must be"):
        chosen = "the name of an option for each part, or '~part' to leave it out"
        return f"settings: expected {chosen}. Received: {' '.join(sys.argv[1:])}"
    if isinstance(error, OSError) and error.filename:
        received = f"{error.filename} ({error.strerror})"
        return f"outputs: expected a folder that can be written. Received: {received}"
    return line


def _missing(error: Any) -> str:
    """Say which option is not there."""
    name = (error.missing_cfg_file or "").removeprefix("/")
    group, _, option = name.partition("/")
    # Hydra's own parts, such as hydra/launcher, are not in conf/
    known = options(group) if group and group != "hydra" else []
    # those of hydra.searchpath too, which only Hydra knows
    known = sorted({*known, *(error.options or ())}) if known else []
    return unknown_option(group, option, known) if known else _flat(str(error))


def _composition(error: Any) -> str:
    """Say which setting cannot be composed, and why."""
    line = _flat(str(error))
    several = re.match(r"Ambiguous value for argument '([^']+)'", line)
    if several:
        said = "several values make a sweep, which is `lstmlab -m`; expected one value"
        return f"{said}. Received: {several.group(1)}"
    unlike = re.match(r"Error merging override ([^=]+)=", line)
    if unlike:
        name, typed = unlike.group(1), _as_typed(unlike.group(1))
        whole = f"'~{name}' '+{name}=VALUE' replaces it whole"
        return f"{name}: expected the kind of value it has now; {whole}. Received: {typed}"

    override = re.search(r"[Cc]ould not override '([^']+)'", line)
    if override is None:
        return f"{line}. Received: {' '.join(sys.argv[1:])}"
    cause = _flat(str(error.__cause__ or ""))
    if re.search(r"Key '([^']+)' is not in struct", cause or line):
        return unknown_setting(override.group(1))
    return f"{override.group(1)}: {cause or line}"


def unknown_setting(name: str) -> str:
    """Say that a setting is not there, with its new name if it has one."""
    names, split = renamed()["settings"], renamed()["split"]
    if name in split:
        return f"{name}: expected {split[name]}. Received: {_as_typed(name)}"
    if new := names.get(name):
        return f"{name} is now called {new}; expected {new}=VALUE. Received: {_as_typed(name)}"
    expected = "one that `lstmlab --cfg job` lists"
    return f"no such setting; expected {expected}. Received: {_as_typed(name)}"


def _as_typed(setting: str) -> str:
    """Return setting=value as it was typed."""
    # the errors of Hydra have the name without the value
    return next((a for a in sys.argv[1:] if a.lstrip("+~").partition("=")[0] == setting), setting)


def _flat(line: str) -> str:
    return " ".join(line.split())
