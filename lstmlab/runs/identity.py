"""What makes a run the run that it is: its settings, without those that change no result.

Two runs of the same identity have the same rows, but for seconds, memory and versions. A sweep
finds by it which runs it has already, see lstmlab.runs.launch.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# of the command, not of any run: no row has them
OF_THE_COMMAND = ("sweep", "again")
# where a run writes and how fast it is; every other setting counts
NOT_COUNTED = ("outputs", "threads", *OF_THE_COMMAND)
DIGITS = 10  # of the hash: equal by chance once in 10^6 sweeps of a thousand runs
LONGEST = 80  # characters of a sweep's name


def of_the_run(settings: Mapping[str, Any]) -> dict:
    """The settings without those that are only about the command."""
    return {name: value for name, value in settings.items() if name not in OF_THE_COMMAND}


def identity(settings: Mapping[str, Any]) -> str:
    """Return a hash of composed settings, as ten hexadecimal digits.

    The order of settings does not count, and 1 and 1.0 are the same number.

    Args:
        settings: The composed config as plain containers, interpolations resolved.
    """
    counted = {name: value for name, value in settings.items() if name not in NOT_COUNTED}
    text = json.dumps(_plain(counted), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(name): _plain(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def sweep_name(overrides: Iterable[str]) -> str:
    """Return the name of a sweep's folder, made from what was typed.

    A setting with several values, and the seed, stand without their values: a value or a seed that
    is added leads to the same folder, and so does another order.

    Args:
        overrides: The settings as they were typed; those of Hydra itself do not count.
    """
    parts: list[tuple[bool, str]] = []  # several values come first
    for one in parsed(overrides):
        key = str(one.get_key_element())
        if key.lstrip("+~").partition(".")[0] in NOT_COUNTED:
            continue
        swept = one.is_sweep_override() or key == "seed"
        parts.append((not swept, key if swept or one.is_delete() else f"{key}={_typed(one)}"))
    whole = "-".join(part for _, part in sorted(parts)) or "sweep"
    name = re.sub(r"[^\w.,=+-]+", "_", whole).lstrip(".-_") or "sweep"
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:DIGITS]
    return f"{name.encode()[: LONGEST - DIGITS - 1].decode(errors='ignore')}-{digest}"


def _typed(override: Any) -> str:
    return str(override.get_value_element_as_str())


def parsed(overrides: Iterable[str]) -> list[Any]:
    """Return overrides as Hydra reads them, without those of Hydra itself."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    every = OverridesParser.create().parse_overrides(list(overrides))
    return [one for one in every if not re.match(r"[+~]*hydra[./@]", str(one.get_key_element()))]


def without_values(overrides: Iterable[str]) -> str | None:
    """Return the first of a sweep's settings that has no value at all, as seed=range(3,0)."""
    from hydra.core.override_parser.types import ValueType

    for one in parsed(overrides):
        # what a glob stands for only Hydra knows
        counted = one.is_discrete_sweep() and one.value_type != ValueType.GLOB_CHOICE_SWEEP
        if counted and next(iter(one.sweep_string_iterator()), None) is None:
            return str(one.input_line)
    return None
