"""The settings that belong to no group, and settings that nothing reads; loads nothing heavy."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lstmlab import checks
from lstmlab.config import PARTS, no_such_setting, not_its_own
from lstmlab.errors import refusal

PLAIN = ("seed", "probe", "outputs", "threads", "trials", "trials_shown", "sweep", "again")


def check_plain(config: Mapping) -> None:
    """Raise ValueError for a setting of no group that is not what it should be."""
    checks.integer("seed", "seed", config["seed"], least=0)
    checks.integer("probe", "probe", config["probe"], why="sequences in the probe batch")
    cores, why = os.cpu_count() or 1, "CPU threads of one run"
    checks.integer("threads", "threads", config["threads"], most=cores, why=why, optional=True)

    checks.integer("trials", "trials", config["trials"], why="trials of this setting")
    checks.integer("trials_shown", "trials_shown", config["trials_shown"], least=0)

    outputs = config["outputs"]
    if not isinstance(outputs, str) or not outputs:
        raise refusal("outputs", "the name of a folder", {"outputs": outputs})
    if outputs.startswith("~"):  # it would be a folder of that name, here
        expected = f"a folder without ~, as {Path(outputs).expanduser()}"
        raise refusal("outputs", expected, {"outputs": outputs})

    name, again = config.get("sweep"), config.get("again")
    if name is not None and not re.fullmatch(r"[^/~.][^/]*", str(name)):
        expected = "a name without / for the folder of a sweep, or null"
        raise refusal("sweep", expected, {"sweep": name})
    if again not in (None, "older"):
        expected = "null, or older, which does runs of other versions again"
        raise refusal("again", expected, {"again": again})


def check_read(config: Any, overrides: Iterable[str] = ()) -> None:
    """Raise ValueError for a setting at the top that nothing reads, naming the nearest there is.

    Args:
        config: The composed config, an OmegaConf container; interpolations need not resolve.
        overrides: Settings of a sweep, which its config does not show yet, as they were typed.
    """
    from omegaconf import OmegaConf

    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    known = {*PARTS, *PLAIN, "experiment"} | _referred_to(raw)
    if raw.pop("hydra", None):
        _check_hydra("hydra", config.hydra)
    added = {one.lstrip("+").partition("=")[0]: one for one in overrides if one.startswith("+")}
    for name, typed in {**_first_leaves(raw), **added}.items():
        # group@package and hydra/launcher are Hydra's own
        if not re.search("[/@]", name) and name.partition(".")[0] not in {*known, "hydra"}:
            raise ValueError(no_such_setting(name, raw, typed))
    if isinstance(raw.get("experiment"), dict):  # a file whose settings went one level too deep
        expected = "'# @package _global_' as the first line of the file of an experiment"
        raise refusal("experiment", expected, f"settings within it, {', '.join(raw['experiment'])}")


def _check_hydra(place: str, node: Any) -> None:
    """Raise ValueError for a setting that Hydra does not have; `+` adds any that is typed."""
    from omegaconf import DictConfig, OmegaConf

    kind = OmegaConf.get_type(node)
    for name in map(str, node):
        if is_dataclass(kind):
            # env comes from Hydra's own hydra/env=default
            known = [field.name for field in fields(kind)]
            if name not in (*known, "env"):
                raise ValueError(not_its_own(place, "Hydra", [name], known))
        plain = not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name)
        if plain and isinstance(node[name], DictConfig):
            _check_hydra(f"{place}.{name}", node[name])


def _first_leaves(settings: dict) -> dict[str, None]:
    """The dotted name of the first leaf below each setting at the top."""
    names: dict[str, None] = {}
    for name, value in settings.items():
        while isinstance(value, dict) and value:
            inner, value = next(iter(value.items()))
            name = f"{name}.{inner}"
        names[str(name)] = None
    return names


def _referred_to(node: Any) -> set[str]:
    """The names in interpolations: ${width} reads the setting width."""
    if isinstance(node, str):
        return set(re.findall(r"\w+", " ".join(re.findall(r"\$\{([^{}]*)", node))))
    if isinstance(node, dict):
        node = list(node.values())
    return set().union(*map(_referred_to, node)) if isinstance(node, list) else set()
