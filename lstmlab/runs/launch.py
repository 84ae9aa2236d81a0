"""Which jobs of a sweep are to do: the rest is there already, and no launcher gets it.

Hydra's sweeper composes the jobs and gives them to its launcher: joblib, submitit, or any other.
`Resuming` stands between them.
"""

import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from lstmlab import files
from lstmlab.errors import refusal
from lstmlab.runs import entries
from lstmlab.runs.identity import identity, of_the_run


class Planned(NamedTuple):
    """One job of a sweep: what was typed for it, its folder below the sweep's, its settings.

    choices: Name of the option chosen in each group.
    """

    overrides: list[str]
    name: str
    settings: dict
    choices: dict = {}


class Sorted(NamedTuple):
    """The jobs of a sweep: those to do, those finished before, and how the others ended before.

    Attributes:
        todo: Jobs to do, in their order.
        skipped: Folders of finished runs.
        before: Status of an earlier attempt -> how many of `todo` have one.
        older: Version -> how many of `skipped` are of that other version of lstmlab.
    """

    todo: list[Planned]
    skipped: list[Path]
    before: dict[str, int]
    older: dict[str, int]

    def line(self, jobs: int, folder: str) -> str:
        """What there is to do, in one line."""
        parts = [f"{jobs} jobs", f"{len(self.skipped)} finished before and skipped"]
        if twice := jobs - len(self.skipped) - len(self.todo):
            parts.insert(1, f"{twice} given twice")
        again = ", ".join(f"{count} {status}" for status, count in self.before.items())
        parts.append(f"{len(self.todo)} to do" + (f" (before: {again})" if again else ""))
        text = f"sweep: {', '.join(parts)}, in {folder}"
        if self.older:
            of = ", ".join(f"{count} of {version}" for version, count in self.older.items())
            text += f"; kept, though of another version of lstmlab: {of} (again=older: anew)"
        return text


class Remembering:
    """Hydra's loader of configs, which plans each job when the sweeper has it composed as a check.

    Composing is what takes the time of a job that is skipped, so that it is done once.

    Args:
        loader: The loader itself.
        plan: Makes a job of its config, what was typed for it, and its number.
    """

    def __init__(self, loader: Any, plan: Callable[[DictConfig, list[str], int], Planned]):
        self.loader, self.plan = loader, plan
        self.planned: dict[tuple[str, ...], Planned] = {}
        self._number = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        config = self.loader.load_sweep_config(master_config, sweep_overrides)
        self.planned[tuple(sweep_overrides)] = self.plan(config, sweep_overrides, self._number)
        self._number += 1
        return config

    def jobs(
        self, master_config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
    ) -> list[Planned]:
        """The jobs of a batch, those that no sweeper has checked composed now."""
        jobs = []
        for number, overrides in enumerate(job_overrides, first):
            if tuple(overrides) not in self.planned:
                self._number = number
                self.load_sweep_config(master_config, list(overrides))
            jobs.append(self.planned[tuple(overrides)])
        self.planned, self._number = {}, first + len(jobs)
        return jobs


class Resuming(Launcher):
    """Gives another launcher the jobs that are to do.

    Args:
        launcher: The launcher that the config names.
        carry_out: Is called with the folders to do and the call that does them, once for each
            batch of jobs.

    Attributes:
        folders: What was typed for a job -> its folder, of all jobs so far.
    """

    def __init__(self, launcher: Launcher, carry_out: Callable[[list[Path], Sorted, Any], Any]):
        self.launcher, self.carry_out = launcher, carry_out
        self.folders: dict[tuple[str, ...], Path] = {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Set the other launcher up, with a context of its own."""
        loader = hydra_context.config_loader
        own = HydraContext(config_loader=loader, callbacks=hydra_context.callbacks)
        self.launcher.setup(hydra_context=own, task_function=task_function, config=config)
        self.config, self.loader = config, Remembering(loader, _plan)
        hydra_context.config_loader = cast(Any, self.loader)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Launch what is to do; a job that is skipped returns nothing.

        Raises:
            ValueError: Two jobs have one folder, or a folder cannot be that of its job.
        """
        folder = Path(os.path.abspath(self.config.hydra.sweep.dir))
        jobs = self.loader.jobs(self.config, job_overrides, initial_job_idx)
        check_names(jobs, folder)
        self.folders |= {tuple(job.overrides): folder / job.name for job in jobs}
        again = self.config.get("again")
        found = sort(jobs, folder, again)
        entries.give(found.todo, folder)

        def call() -> Sequence[JobReturn]:
            # the name is given, as another number would make another name
            typed = [
                [*job.overrides, f"hydra.sweep.subdir={_quoted(job.name)}"] for job in found.todo
            ]
            return self.launcher.launch(typed, initial_job_idx) if typed else []

        done = self.carry_out([folder / job.name for job in jobs], found, call)
        returned = dict(zip((job.name for job in found.todo), done, strict=True))
        return [returned.get(job.name) or _nothing() for job in jobs]


def _plan(config: DictConfig, overrides: list[str], number: int) -> Planned:
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)  # for ${hydra:...} in the folder's name
    try:
        name = str(OmegaConf.select(config, "hydra.sweep.subdir"))
    finally:
        HydraConfig.instance().cfg = before
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    settings = cast(dict, OmegaConf.to_container(ours, resolve=True))
    choices = dict(OmegaConf.select(config, "hydra.runtime.choices") or {})
    return Planned(list(overrides), os.path.normpath(name), of_the_run(settings), choices)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _nothing() -> JobReturn:
    return JobReturn(status=JobStatus.COMPLETED)


def check_names(jobs: Sequence[Planned], folder: Path) -> None:
    """Raise ValueError for a folder that no job can have, or that two have."""
    longest = os.pathconf(folder, "PC_NAME_MAX")
    seen: dict[str, str] = {}
    for job in jobs:
        received = {"hydra.sweep.subdir": job.name}
        parts = Path(job.name).parts
        if os.path.isabs(job.name) or not parts or parts[0] == "..":
            raise refusal("sweep", "a folder of its own below hydra.sweep.dir", received)
        if max(len(os.fsencode(part)) for part in parts) > longest:
            expected = f"names of at most {longest} bytes for the folders of jobs"
            raise refusal("sweep", expected, received)
        if seen.setdefault(job.name, identity(job.settings)) != identity(job.settings):
            expected = "a folder of its own for each job, as without hydra.sweep.subdir"
            raise refusal("sweep", expected, received)


def sort(jobs: Sequence[Planned], sweep: Path, again: str | None = None) -> Sorted:
    """Sort the jobs of a sweep by what is in their folders.

    Args:
        jobs: The jobs; of two with the same folder the first counts.
        sweep: The sweep's folder.
        again: 'older' moves finished runs of other versions aside, and does them again.

    Raises:
        ValueError: A folder holds a run with other settings.
    """
    from lstmlab.results import Run
    from lstmlab.runs import kept

    found, current = Sorted([], [], {}, {}), version("lstmlab")
    unlike: dict[str, Planned] = {}
    for job in jobs:
        unlike.setdefault(job.name, job)
    for name, job in unlike.items():
        folder = sweep / name
        if kept.is_there(folder) and kept.identity_in(folder) not in (None, identity(job.settings)):
            expected = "a folder without a run of other settings"
            raise refusal("sweep", expected, {"folder": str(folder)})
        row = Run(folder).read_row() if (folder / "result.json").exists() else {}
        of = str(row.get("version.lstmlab"))
        if not kept.finished(folder, job.settings["trials"]):
            found.todo.append(job)
            if row:
                found.before[row["status"]] = found.before.get(row["status"], 0) + 1
        elif of != current and again == "older":
            _aside(folder, sweep, sweep.with_name(f"{sweep.name}.older") / of)
            found.todo.append(job)
        else:
            found.skipped.append(folder)
            if of != current:
                found.older[of] = found.older.get(of, 0) + 1
    return found


def _aside(folder: Path, sweep: Path, to: Path) -> None:
    """Move a run from its sweep to the folder `to`, with its event files."""
    from lstmlab.results import Run

    moved = [folder]
    if (events := Run(folder).events).is_dir() and not events.is_relative_to(folder):
        moved.append(events)
    for path in moved:
        there = to / path.relative_to(sweep)
        with files.writing(there, "folder"):
            there.parent.mkdir(parents=True, exist_ok=True)
            path.rename(there)


def resume(carry_out: Callable[[list[Path], Sorted, Any], Any]) -> None:
    """Let every launcher that Hydra makes from now on get only what is to do."""
    make = Plugins.instantiate_launcher

    def instantiate_launcher(
        self: Plugins, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> Launcher:
        inner = make(self, hydra_context, task_function, config)
        launcher = Resuming(inner, carry_out)
        launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        return launcher

    # Hydra makes launchers only of classes in hydra_plugins, and offers no place between
    setattr(Plugins, "instantiate_launcher", instantiate_launcher)  # noqa: B010
