"""Errors as one clear line: what Hydra says of a setting, put as setting, value received, and what is expected."""

import re
import sys

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException


def one_line(error: BaseException) -> str:
    """The error for a person who typed a command; causes that say more are preferred."""
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return f"a setting is written as name=value, a sweep as name=value1,value2. Received: {error.override!r}"
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError | OSError) and getattr(error, "filename", None):
        return f"outputs: expected a folder that can be written. Received: {error.filename} ({error.strerror})"
    return _flat(str(error)) or type(error).__name__


def _missing(error: MissingConfigException) -> str:
    options = ", ".join(sorted(error.options or []))
    name = (error.missing_cfg_file or "").removeprefix("/")
    group, _, option = name.rpartition("/")
    if options and group:
        return f"{group}: expected one of {options}. Received: {group}={option}"
    return _flat(str(error))


def _composition(error: ConfigCompositionException) -> str:
    text = _flat(str(error))
    override = re.search(r"[Cc]ould not override '([^']+)'", text)
    if override is None:
        return text
    cause = _flat(str(error.__cause__ or ""))
    known = re.search(r"Key '([^']+)' is not in struct", cause or text)
    if known:
        return f"no such setting; expected one that `lstmlab --cfg job` lists. Received: {_as_typed(override.group(1))}"
    return f"{override.group(1)}: {cause or text}"


def _as_typed(setting: str) -> str:
    """setting=value as it stands on the command line."""
    return next((a for a in sys.argv[1:] if a.lstrip("+~").partition("=")[0] == setting), setting)


def _flat(text: str) -> str:
    return " ".join(text.split())
