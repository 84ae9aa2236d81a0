"""Values that Hydra's grammar takes only in quotes: how to type them."""

import re
import shlex

NUMBER = r"[-+\d.e_]+|true|false|null"


def quoted(override: str) -> str | None:
    """Return a setting with its value in quotes, as it is typed in a shell.

    Args:
        override: The setting as it was typed, name=value.

    Returns:
        The setting; None if no quotes make it one that can be read as it was meant.
    """
    name, equals, value = override.partition("=")
    if not equals:
        return None
    for candidate, meant in _candidates(value):
        if _value(f"{name}={candidate}") == meant:
            return shlex.quote(f"{name}={candidate}")
    return None


def may_be_one_text(override: str) -> bool:
    """Whether a value with commas may be meant as one text: no numbers, options, or range(0,3)."""
    name, _, value = override.partition("=")
    words = [part for part in value.split(",") if not re.fullmatch(NUMBER, part.strip())]
    return "." in name and bool(words) and not re.fullmatch(r"\w+\(.*\)", value)


def _candidates(value: str) -> list[tuple[str, str | list[str]]]:
    """(Value in quotes, what it must be read as), the likelier first."""
    whole = (_in_quotes(value), _kept(value))
    inner = re.fullmatch(r"\[(.*)\]", value)
    if inner is None:
        return [whole]
    parts = [part.strip().strip("\"'") for part in inner.group(1).split(",")]
    as_list = f"[{','.join(map(_in_quotes, parts))}]"
    return [(as_list, [_kept(part) for part in parts]), whole]


def _in_quotes(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text=_kept(text), quote=Quote.double).with_quotes()


def _kept(text: str) -> str:
    """Text that OmegaConf takes for no interpolation."""
    return text.replace("${", "\\${")


def _value(override: str) -> object:
    """What Hydra reads as the value; None where it cannot."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override).value()
    except (HydraException, ValueError):
        return None
