"""The folder of a run as its processes share it: settings written once, a lock, an earlier attempt.

`run.yaml` holds what the run was made from. It is written when the run begins and never again:
Hydra replaces its own .hydra/ each time a command is given that folder.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

import yaml
from omegaconf import OmegaConf

from lstmlab import files
from lstmlab.results import EVENTS, FINISHED, ROW, SETTINGS, Run, first_row
from lstmlab.runs.identity import identity

LOCK = ".lock"
FOLDERS = (EVENTS, "trials")  # those that a run makes
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where it was built
PATIENCE = 30.0  # seconds in which a job whose sweep was killed has written its end


class Kept(NamedTuple):
    """What a run was made from.

    Attributes:
        settings: The composed config, as plain containers.
        choices: For each group, the name of the chosen option.
        runtime: Hydra's record of the run, `hydra.runtime`: working folder, places of options.
    """

    settings: dict
    choices: dict
    runtime: dict


def write(folder: Path, kept: Kept) -> None:
    """Write run.yaml. Raises WriteError, also where there is one already."""
    content = {"identity": identity(kept.settings), **kept._asdict()}
    path = folder / SETTINGS
    with files.writing(path), path.open("x", encoding="utf-8") as file:
        yaml.safe_dump(content, file, sort_keys=False, allow_unicode=True)


def read(folder: Path) -> Kept:
    """Read what a run was made from; of a run of an earlier version from .hydra/.

    Raises:
        OSError, ValueError, yaml.YAMLError: There is no such file, or it cannot be read.
    """
    path = folder / SETTINGS
    if path.exists():
        content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
        if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
            raise ValueError(f"{path}: not the settings of a run")
        return Kept(*(content.get(name) or {} for name in Kept._fields))
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    settings = cast(dict, OmegaConf.to_container(config, resolve=True))
    about, runtime = folder / ".hydra" / "hydra.yaml", {}
    if about.exists():
        runtime = cast(dict, OmegaConf.to_container(OmegaConf.load(about).hydra.runtime))
    return Kept(settings, dict(runtime.get("choices") or {}), runtime)


def is_there(folder: Path) -> bool:
    """Whether a folder holds the settings of a run."""
    return (folder / SETTINGS).exists() or (folder / ".hydra" / "config.yaml").exists()


def identity_in(folder: Path) -> str | None:
    """The identity of the run in a folder; None if there is none that can be read."""
    try:
        return identity(read(folder).settings)
    except Exception:  # whatever a damaged file leads to
        return None


def finished(folder: Path, trials: int = 1) -> bool:
    """Whether a run, with all of its trials, has ended by itself."""
    rows = [Run(folder).read_row()]
    if rows[0]["status"] not in FINISHED:
        return False
    if trials > 1:
        others = sorted((folder / "trials").glob("*"))
        rows += [Run(other).read_row() for other in others]
    return len(rows) >= trials and all(row["status"] in FINISHED for row in rows)


@contextmanager
def held(folder: Path, gives_up: Callable[[], bool] = lambda: False) -> Iterator[int | None]:
    """Hold a run's lock for the block; no other process then runs or clears it.

    A process that is started with the file among its `pass_fds` holds the lock too, until it ends.
    However a process ends, the system opens its locks.

    Args:
        folder: The run's folder, which exists.
        gives_up: Ends the wait for another process that holds it.

    Yields:
        The open file, or None if another process holds the lock for half a minute.
    """
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        end = time.monotonic() + PATIENCE
        while not (mine := lock(file)) and time.monotonic() < end and not gives_up():
            time.sleep(0.1)
        yield file if mine else None
    finally:
        os.close(file)


def lock(file: int) -> bool:
    """Lock an open file if no other process has; whether it is locked now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether a process runs the run in a folder."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock(file)
    finally:
        os.close(file)


def clear(folder: Path) -> None:
    """Remove what an attempt that did not finish has left; the caller holds the lock.

    Folders that no run makes stay, and .hydra/, which Hydra has just written.

    Raises:
        WriteError: Something cannot be removed.
    """
    # the row first: without it the rest is nobody's, should this be cut off
    with files.writing(folder / ROW):
        (folder / ROW).unlink(missing_ok=True)
    events = Run(folder).events
    if folder.is_relative_to(events.parent.parent):  # those of this run, in its own sweep
        clear_events(events)
    for path in folder.iterdir():
        with files.writing(path):
            if path.name in FOLDERS and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK and not path.is_dir():
                path.unlink()


def clear_events(folder: Path) -> None:
    """Remove a run's event files from the tb/ of its sweep. Raises WriteError."""
    if folder.parent.name != EVENTS or folder.is_symlink():  # no folder of ours
        return
    with files.writing(folder), suppress(FileNotFoundError):
        shutil.rmtree(folder)


def begin(folder: Path, kept: Kept, anew: bool = False, events: Path | None = None) -> Run:
    """Begin a run: write its first row and run.yaml. The folder exists.

    Args:
        folder: Where the run writes.
        kept: What it is made from.
        anew: Whether to remove an earlier attempt; the caller holds the lock.
        events: Where its event files go, if not into its own tb/; what is there is removed.

    Raises:
        ValueError: The folder holds a run already.
        WriteError: A file cannot be written.
    """
    if anew:
        clear(folder)
    run = Run(folder)
    run.begin(first_row(kept.settings, kept.choices))
    if events is not None:
        clear_events(events)
        run.keep_events_in(events)
    write(folder, kept)
    return run
