"""Errors as one clear line: what Hydra says of a setting, put as setting, value received, and what is expected."""

import re
import sys
from importlib.resources import files
from pathlib import Path

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException


def one_line(error: BaseException) -> str:
    """The error for a person who typed a command; causes that say more are preferred."""
    text = _flat(str(error)) or type(error).__name__
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return f"a setting is written as name=value, a sweep as name=value1,value2. Received: {error.override!r}"
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if text.startswith("Config group override must be"):
        return f"a part is chosen by the name of its option, and left out with '~part'. Received: {' '.join(sys.argv[1:])}"
    if isinstance(error, OSError) and error.filename:
        return f"outputs: expected a folder that can be written. Received: {error.filename} ({error.strerror})"
    return text


def _missing(error: MissingConfigException) -> str:
    name = (error.missing_cfg_file or "").removeprefix("/")
    group, _, option = name.partition("/")
    options = ", ".join(_options(group))
    return f"{group}: expected one of {options}. Received: {group}={option}" if options else _flat(str(error))


def _options(group: str) -> list[str]:
    """The options of a group of conf/; those in folders within it as folder/option."""
    base = Path(str(files("lstmlab.conf")), group)
    return sorted(file.relative_to(base).with_suffix("").as_posix() for file in base.rglob("*.yaml")) if group else []


def _composition(error: ConfigCompositionException) -> str:
    text = _flat(str(error))
    several = re.match(r"Ambiguous value for argument '([^']+)'", text)
    if several:
        return f"several values make a sweep, which is `lstmlab -m`; expected one value. Received: {several.group(1)}"
    unlike = re.match(r"Error merging override ([^=]+)=", text)
    if unlike:
        name, typed = unlike.group(1), _as_typed(unlike.group(1))
        return f"{name}: expected the kind of value it has now; '~{name}' '+{name}=VALUE' replaces it whole. Received: {typed}"
    override = re.search(r"[Cc]ould not override '([^']+)'", text)
    if override is None:
        return f"{text}. Received: {' '.join(sys.argv[1:])}"
    cause = _flat(str(error.__cause__ or ""))
    if re.search(r"Key '([^']+)' is not in struct", cause or text):
        return f"no such setting; expected one that `lstmlab --cfg job` lists. Received: {_as_typed(override.group(1))}"
    return f"{override.group(1)}: {cause or text}"


def _as_typed(setting: str) -> str:
    """setting=value as it stands on the command line."""
    return next((a for a in sys.argv[1:] if a.lstrip("+~").partition("=")[0] == setting), setting)


def _flat(text: str) -> str:
    return " ".join(text.split())
