"""The command `lstmlab`: compose a config with Hydra, start one run (or with -m a sweep), report.

Nothing heavy is imported before the config is composed, so that --help and --cfg answer at once.
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lstmlab.config import import_as, one_line, use
from lstmlab.config.search import search_installed
from lstmlab.errors import refusal
from lstmlab.runs import sweep

if TYPE_CHECKING:
    from lstmlab.results import Run  # loads pandas

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
_failures: list[BaseException] = []  # of the run, kept for main


def main() -> None:
    """Entry point: an error is one line on stderr; HYDRA_FULL_ERROR=1 shows its traceback."""
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises errors instead of printing them
    try:
        use(_flags().config_dir)
        search_installed()
        _lead()
    except KeyboardInterrupt:
        said = "lstmlab: interrupted; what was measured so far is in the run folder"
        print(said, file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if asked_for_traceback:
            raise
        print(f"lstmlab: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _flags() -> argparse.Namespace:
    """Read Hydra's flags. Raises ValueError for one that it would answer with a page of usage."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        flags, unknown = parser.parse_known_args()
    except argparse.ArgumentError as error:
        raise ValueError(f"flags: {error.message}. Received: {shlex.join(sys.argv[1:])}") from None
    if unknown:
        raise refusal("flags", "those that `lstmlab --hydra-help` lists", shlex.join(unknown))
    return flags


def _lead() -> None:
    """Carry out what the command line asks for, and end its sweeps."""
    error = None
    try:
        _hydra()
    except Exception as broken:
        error = broken
    for folder in sweep.led:
        sweep.end(folder, error)
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
    from lstmlab.results import Run, first_row

    about = HydraConfig.get()
    settings = cast(dict, OmegaConf.to_container(config, resolve=True))
    choices = dict(about.runtime.choices)
    import_as(settings, about.runtime)
    run = Run(about.runtime.output_dir)
    run.begin(first_row(settings, choices))
    _environment(settings["threads"])
    if about.mode == RunMode.MULTIRUN:
        sweep.run_in_own_process(run, sweep.Leader(Path(about.sweep.dir)))
    else:
        _run_here(run, settings, choices)


def _environment(threads: Any) -> None:
    """Set what must be set before TensorFlow is imported: threads, the backend, and quiet."""
    fine = threads in range(1, (os.cpu_count() or 1) + 1)  # if it is not, train refuses it
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads if fine else 1)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _run_here(run: "Run", settings: dict, choices: dict) -> None:
    """Carry out a single run in this process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _stderr_to(run.folder / "log.txt"):
            from lstmlab.runs import train

        train.run(settings, run.folder, choices)
    except KeyboardInterrupt:
        run.end_if_running("interrupted", "stopped by a signal before the training")
        raise
    except Exception as error:
        run.end_if_running("failed", one_line(error))
        raise
    finally:
        _show(run)


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Send stderr to the log: TensorFlow greets there on import, and no setting silences it."""
    kept = os.dup(2)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _show(run: "Run") -> None:
    """Draw the picture and print the summary, if there is anything to show."""
    if run.read_row().get("sequences"):
        from lstmlab import report

        report.picture(run.folder)
        print(report.summary(run.folder), flush=True)
