"""The folders that hold options: conf/, those of installed packages, and the user's own.

Hydra takes an option from the first folder that has it, in this order. Loads no Hydra.
"""

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from lstmlab.errors import refusal

ENTRY_POINTS = "lstmlab.conf"  # a package names its folder: NAME = "mypackage.conf"
FLAG = "--config-dir"
_own: list["Folder"] = []  # the folder that `use` was given
_added: list[Path] = []  # what `importable` has added to sys.path


class Folder(NamedTuple):
    """A folder with options; `whose` is 'lstmlab', an installed package, or '--config-dir'."""

    path: Path
    whose: str


def searched() -> list[Folder]:
    """Return the folders that are searched, in this order; each of them once."""
    every = [Folder(built_in(), "lstmlab"), *installed(), *_own]
    return list({folder.path.resolve(): folder for folder in reversed(every)}.values())[::-1]


def built_in() -> Path:
    """Return the folder conf/, wherever the package is installed."""
    return Path(str(files("lstmlab.conf")))


def own() -> Path | None:
    """Return the user's own folder with options, None if none is in use."""
    return _own[0].path if _own else None


def use(folder: str | Path | None) -> None:
    """Search a folder of the user's own too, as --config-dir asks for.

    The working folder, and the folder in which `folder` lies, become importable. Every command
    calls this first, also without a folder.

    Raises:
        ValueError: In one line: what is wrong with the folder, or with that of an installed
            package.
    """
    _own[:] = []
    importable([Path.cwd()])
    if folder is not None:
        _check_holds_options(Path(folder))
        _own.append(Folder(Path(folder), FLAG))
        importable([Path(folder).resolve().parent])
    for problem in _found()[1]:
        raise ValueError(problem)
    for other in searched()[1:]:
        _check_names(other)


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Give a command the flag for a folder of the user's own, as `lstmlab` has it from Hydra."""
    said = "a folder with options of your own, such as FOLDER/task/NAME.yaml"
    parser.add_argument(FLAG, "-cd", metavar="FOLDER", help=said)


def importable(places: Iterable[Path]) -> None:
    """Let Python import modules from these folders, before those that were added earlier.

    They come after everything that is installed: a file csv.py or keras.py in a working folder
    hides nothing.
    """
    earlier = [place for place in _added if str(place) in sys.path]
    others = [entry for entry in sys.path if entry not in map(str, earlier)]
    new = [place for place in places if place.is_dir() and str(place) not in others]
    _added[:] = dict.fromkeys([*new, *earlier])
    sys.path[:] = [*others, *map(str, _added)]


def loaded_from(name: str) -> Path | None:
    """Return the folder from which a module was imported, None if it is an installed one."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return next((place for place in _added if file and Path(file).is_relative_to(place)), None)


def installed() -> list[Folder]:
    """Return the folders that installed packages register."""
    return _found()[0]


@cache
def _found() -> tuple[list[Folder], list[str]]:
    """The folders of installed packages, and what is wrong with the others."""
    found, problems = [], []
    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        whose = entry.dist.name if entry.dist else entry.name
        try:
            found.append(Folder(_place(entry), whose))
        except Exception as error:  # whatever the package raises when it is imported
            expected = f"a package with options as its entry point {ENTRY_POINTS}"
            why = " ".join(f"{type(error).__name__}: {error}".split())
            received = f"{entry.name} = {entry.value!r} ({why})"
            problems.append(str(refusal(whose, expected, received)))
    return found, problems


def _place(entry: EntryPoint) -> Path:
    """The folder of the package that an entry point names."""
    spec = importlib.util.find_spec(entry.value)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {entry.value!r}")
    place = Path(next(iter(spec.submodule_search_locations)))
    if not any(place.rglob("*.yaml")):
        raise FileNotFoundError(f"no yaml file in {place}")
    return place


def _check_holds_options(folder: Path) -> None:
    expected = "a folder with options, such as FOLDER/task/NAME.yaml"
    if not folder.is_dir():
        why = "is not a folder" if folder.exists() else "does not exist"
        raise refusal(FLAG, expected, f"{folder}, which {why}")
    groups = [place for place in built_in().iterdir() if place.is_dir()]
    if any(folder.glob("*.yaml")) or any((folder / group.name).is_dir() for group in groups):
        return
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*.yaml"))
    why = f"has {inside[0].as_posix()}" if inside else "holds no yaml file"
    raise refusal(FLAG, expected, f"{folder}, which {why}")


def _check_names(folder: Folder) -> None:
    """Raise ValueError for a file that is never read."""
    before = searched()[: searched().index(folder)]
    for path in sorted(folder.path.rglob("*.y*ml")):
        if path.suffix == ".yml":
            raise refusal(folder.whose, "options whose names end in .yaml", str(path))
        within = path.relative_to(folder.path)
        for other in before:
            if _differ(path, other.path / within):
                expected = f"a name that {other.whose} does not use: its {within} is read instead"
                more = f"; `defaults: [{within.stem}]` begins with what that says"
                raise refusal(folder.whose, expected + more, str(path))


def _differ(path: Path, other: Path) -> bool:
    """Whether there is another file, which says something else."""
    return other.is_file() and other.read_bytes() != path.read_bytes()
