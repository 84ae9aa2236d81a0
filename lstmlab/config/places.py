"""Where the code of a run lies that is not installed: found again from its folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lstmlab.config.folders import importable, loaded_from
from lstmlab.errors import refusal


def import_as(config: dict, runtime: Any, folder: str | Path | None = None) -> None:
    """Let Python import the modules that a run could import, and then those of this place.

    Args:
        config: The run's config.
        runtime: Hydra's record of the run, `hydra.runtime`.
        folder: The folder of the run as it is now, in case it was moved with its working folder.

    Raises:
        ValueError: A module of the run is imported already, from the working folder of another.
    """
    before, now = Path(runtime["cwd"]), Path(runtime["cwd"])
    if folder is not None:
        now = _moved(Path(folder).resolve(), Path(runtime["output_dir"]), before)
    own = [Path(part["path"]) for part in runtime["config_sources"] if part["schema"] == "file"]
    places = []
    for working in (now, before):
        places += [*(_within(path.parent, before, working) for path in own), working]
    importable([*places, Path.cwd()])
    for target in _targets(config):
        _check_module(target.partition(".")[0], places)


def _targets(node: Any) -> list[str]:
    """Every `_target_` in a config."""
    if not isinstance(node, dict | list):
        return []
    parts = list(node.values()) if isinstance(node, dict) else node
    inner = [target for part in parts for target in _targets(part)]
    return (
        [str(node["_target_"]), *inner] if isinstance(node, dict) and "_target_" in node else inner
    )


def _check_module(name: str, places: Iterable[Path]) -> None:
    loaded = loaded_from(name)
    for place in places:
        if loaded and ((place / name).is_dir() or (place / f"{name}.py").exists()):
            if place.resolve() == loaded.resolve():
                return
            expected = f"a process of its own for the run whose module {name} is in {place}"
            raise refusal("reopen", expected, f"{name} as imported from {loaded}")


def _moved(folder: Path, before: Path, working: Path) -> Path:
    """Return the working folder of a run that is now in `folder` and began in `before`."""
    if not before.is_relative_to(working):
        return working
    within = before.relative_to(working).parts
    if not within or folder.parts[-len(within) :] != within:
        return working
    return Path(*folder.parts[: -len(within)])


def _within(path: Path, before: Path, now: Path) -> Path:
    return now / path.relative_to(before) if path.is_relative_to(before) else path
