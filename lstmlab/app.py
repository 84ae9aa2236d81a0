"""The command `lstmlab`: compose a config with Hydra, start one run (or with -m a sweep), report.

Nothing heavy is imported before the config is composed, so that --help and --cfg answer at once.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lstmlab import files
from lstmlab.config import one_line, use
from lstmlab.config.search import search_installed
from lstmlab.errors import refusal
from lstmlab.runs import begin, plugins, sweep
from lstmlab.runs.identity import of_the_run
from lstmlab.runs.settings import check_read

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def _cores() -> int:
    """The cores for trials side by side: those of this process, or fewer if the user says so."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")]
    return min([here or 1, *(int(one) for one in said if one.isdecimal() and int(one))])


CORES = _cores()  # before a run sets these variables for TensorFlow
_failures: list[BaseException] = []  # of the run, kept for main


def main() -> None:
    """Entry point: an error is one line on stderr; HYDRA_FULL_ERROR=1 shows its traceback."""
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises errors instead of printing them
    try:
        use(_flags().config_dir)
        search_installed()
        plugins.register()
        _lead()
    except KeyboardInterrupt:
        kept = "what was measured so far is in the run folder"
        wrote = begin.begun or sweep.led
        said = kept if wrote else "nothing was written yet"
        if sweep.led:
            said += "; the same command does the rest"
        print(f"lstmlab: interrupted; {said}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except (Exception, begin.Refused) as error:
        if asked_for_traceback:
            raise
        cause = error.__cause__ if isinstance(error, begin.Refused) else error
        line = one_line(cause or error)
        for one in begin.begun:  # where Hydra could not write its own files
            one.run.end_if_running("failed", line)
        print(f"lstmlab: {line}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _flags() -> argparse.Namespace:
    """Read Hydra's flags, and put them behind the settings, as Hydra wants them.

    Raises ValueError for a flag that Hydra would answer with a page of usage.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        options, unknown = parser.parse_known_intermixed_args()
    except argparse.ArgumentError as error:
        raise ValueError(f"flags: {error.message}. Received: {shlex.join(sys.argv[1:])}") from None
    if unknown:
        raise refusal("flags", "those that `lstmlab --hydra-help` lists", shlex.join(unknown))

    settings, flags = list(options.overrides), []
    for argument in sys.argv[1:]:
        if settings and argument == settings[0]:
            settings.pop(0)
        else:
            flags.append(argument)
    sys.argv[1:] = [*options.overrides, *flags]
    return options


def _lead() -> None:
    """Carry out what the command line asks for, and end its sweeps."""
    error = None
    try:
        _hydra()
    except Exception as broken:
        error = broken
    for led in sweep.led:
        led.end(error)
    for failure in [error, *_failures]:
        if failure is not None:
            raise failure


@hydra.main(version_base="1.3", config_path="pkg://lstmlab.conf", config_name="config")
def _hydra(config: DictConfig) -> None:
    try:
        _job(config)
    except (Exception, KeyboardInterrupt) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        _failures.append(error)  # kept for main: Hydra would print words of its own around it


def _job(config: DictConfig) -> None:
    about = HydraConfig.get()
    settings = of_the_run(cast(dict, OmegaConf.to_container(config, resolve=True)))
    choices = dict(about.runtime.choices)
    if about.mode == RunMode.MULTIRUN:
        _job_of_sweep(config, settings, choices)
    else:
        _run_here(begin.begun[-1], settings, choices)


def _job_of_sweep(config: DictConfig, settings: dict, choices: dict) -> None:
    """Carry out one job of a sweep, in a process of its own."""
    from lstmlab.runs import entries, kept

    about = HydraConfig.get()
    folder = Path(about.runtime.output_dir)
    # absolute: hydra.job.chdir has moved this process
    leader = sweep.Leader(Path(about.runtime.cwd, about.sweep.dir))
    with kept.held(folder, leader.stops) as lock:
        if lock is None or kept.finished(folder, settings["trials"]):
            return  # another process runs it, or has
        runtime = cast(dict, OmegaConf.to_container(about.runtime, resolve=True))
        made_from = kept.Kept(settings, choices, runtime)
        events = entries.place(leader.folder, str(about.sweep.subdir))
        run = kept.begin(folder, made_from, anew=True, events=events)
        begin.environment(settings["threads"])
        try:
            check_read(config)
        except ValueError as error:
            run.end_if_running("failed", one_line(error))
        else:
            sweep.run_in_own_process(run, leader, lock)


def _run_here(begun: begin.Begun, settings: dict, choices: dict) -> None:
    """Carry out a single run in this process, and print its summary at the very end."""
    from lstmlab.runs import trials

    folder = begun.run.folder
    try:
        trials.run(settings, folder, choices, prepared=begun.prepared, cores=CORES)
    finally:
        from lstmlab import report

        if settings["trials"] > 1 and (folder / "report.md").exists():
            files.say(report.summary_of_trials(folder))
        elif settings["trials"] == 1 and begun.run.read_row().get("sequences"):
            files.say(report.summary(folder))
