"""The command `lstmlab` (one run, or with -m a sweep): compose the config with Hydra, hand over to train, report.

Nothing heavy is imported before the config is composed, so that --help and --cfg answer at once.

A sweep is three layers of processes: this one, joblib's workers, and for each job a process of its own (lstmlab.train).
It stops in an orderly way: Ctrl-C writes the file `stop` in the sweep's folder, each worker that sees it interrupts its job,
and the job writes its row. joblib itself would kill all processes before any row is written.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lstmlab.errors import one_line

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
STOP = "stop"
_failures: list[BaseException] = []  # of the run, kept for main
_sweeps: list[Path] = []  # that this process leads


def main() -> None:
    """Entry point of the command: every error as one line on stderr, the traceback only with HYDRA_FULL_ERROR=1."""
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach us instead of being printed by Hydra
    try:
        _check_flags()
        _lead()
    except KeyboardInterrupt:
        print("lstmlab: interrupted; what was measured so far is in the run folder", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if asked_for_traceback:
            raise
        print(f"lstmlab: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _check_flags() -> None:
    """Raises ValueError for a flag that Hydra would answer with a page of usage."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        unknown = parser.parse_known_args()[1]
    except argparse.ArgumentError as error:
        raise ValueError(f"flags: {error.message}. Received: {shlex.join(sys.argv[1:])}") from None
    if unknown:
        raise ValueError(f"flags: expected those that `lstmlab --hydra-help` lists. Received: {shlex.join(unknown)}")


def _lead() -> None:
    """What the command line asks for, to its end."""
    error = None
    try:
        _hydra()
    except Exception as broken:
        error = broken
    for folder in _sweeps:
        _end_sweep(folder, error)
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
    settings, choices = cast(dict, OmegaConf.to_container(config, resolve=True)), dict(about.runtime.choices)
    run = Run(about.runtime.output_dir)
    run.begin(first_row(settings, choices))
    _environment(settings["threads"])
    if about.mode == RunMode.MULTIRUN:
        _run_in_own_process(run, _Leader(Path(about.sweep.dir)))
    else:
        _run_here(run, settings, choices)


def _environment(threads) -> None:
    """What must be set before TensorFlow is imported: threads, the backend, and quiet. train checks the number."""
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _run_here(run, settings: dict, choices: dict) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _stderr_to(run.folder / "log.txt"):
            from lstmlab import train

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
def _stderr_to(log: Path):
    """TensorFlow greets on stderr while it is imported, and no setting of it silences that: to the run's log with it."""
    kept = os.dup(2)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _show(run) -> None:
    """Summary and picture, if there is anything to show."""
    if run.read_row().get("sequences"):
        from lstmlab import report

        report.picture(run.folder)
        print(report.summary(run.folder), flush=True)


class _Leader:
    """The process that leads a sweep, as seen by a joblib worker or, where jobs run one after the other, by itself."""

    def __init__(self, folder: Path):
        self.folder, self.pid = folder, None if _sweeps else os.getppid()

    def gone(self) -> bool:
        return self.pid not in (None, os.getppid())

    def stops(self) -> bool:
        """Whether jobs are to end: somebody said so, or the leader is gone."""
        return self.gone() or (self.folder / STOP).exists()


def _run_in_own_process(run, leader: _Leader) -> None:
    """One job of a sweep: in a process of its own, so that jobs share no TensorFlow and the end of one ends no other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C reaches a worker too; the leader sees to it
    if leader.stops():
        row = run.end_if_running("interrupted", "the sweep was stopped before this job began")
    else:
        code = _wait(_start(run.folder), leader)
        if leader.stops():
            row = run.end_if_running("interrupted", "the sweep was stopped before the training")
        else:
            row = run.end_if_running("killed", f"the process ended with exit code {code} before it could write its end")
    print(job_line(row, run.folder), flush=True)
    if leader.gone():
        os._exit(EXIT_INTERRUPTED)  # or this worker would go on with the jobs that wait


def _start(folder: Path) -> subprocess.Popen:
    """The job's process, in a session of its own: no Ctrl-C of the terminal, no signal to the group reaches it."""
    command = [sys.executable, "-m", "lstmlab.train", str(folder), str(os.getpid())]
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)


def _wait(job: subprocess.Popen, leader: _Leader) -> int:
    """The job's exit code; once the sweep is stopped the job is interrupted, and gets the time to write its row."""
    asked = False
    while True:
        try:
            return job.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            if not asked and leader.stops():
                job.send_signal(signal.SIGINT)
                asked = True


def job_line(row: dict, folder: Path) -> str:
    """What came of one job of a sweep, in one line."""
    what = f"cell={row.get('cell')} task={row.get('task')} learner={row.get('learner')} seed={row.get('seed')}"
    after = f"after {row.get('sequences_to_solution') or row.get('sequences') or 0:,} sequences"
    reason = f": {row['reason']}" if row.get("reason") else ""
    return f"{row['status']:<11} {what}, {after}, {row.get('seconds') or 0:.0f} s, {folder}{reason}"


class Sweep(Callback):
    """Told by Hydra that a sweep begins: from here on Ctrl-C stops it in order, and main writes its report at the end."""

    def on_multirun_start(self, config: DictConfig, **kwargs) -> None:
        folder = Path(config.hydra.sweep.dir)
        _sweeps.append(folder)
        resource_tracker.ensure_running()  # joblib needs it, and starting it would unblock SIGINT again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by joblib's workers
        threading.Thread(target=_await_ctrl_c, args=(folder,), daemon=True).start()


def _await_ctrl_c(sweep: Path) -> None:
    """The first Ctrl-C stops the sweep; the second ends this process, upon which workers and jobs end by themselves."""
    signal.sigwait({signal.SIGINT})
    print("lstmlab: stopping; the running jobs write their rows", file=sys.stderr, flush=True)
    sweep.mkdir(parents=True, exist_ok=True)
    (sweep / STOP).touch()
    signal.sigwait({signal.SIGINT})
    os._exit(EXIT_INTERRUPTED)


def _end_sweep(folder: Path, error: Exception | None) -> None:
    """Give an end to the rows whose jobs are no more, and report what there is.

    Raises KeyboardInterrupt for a sweep that was stopped, RuntimeError where jobs did not finish. error: what broke it off.
    """
    from lstmlab import report, results

    jobs = results.runs(folder)
    if not jobs:
        return
    why = f"the sweep broke off: {one_line(error).partition('. ')[0]}" if error else "the sweep ended before it"
    for run in jobs:
        run.end_if_running("killed", why)
    print(report.write(folder), flush=True)
    if (folder / STOP).exists():
        raise KeyboardInterrupt
    lost = sum(run.read_row()["status"] not in results.FINISHED for run in jobs)
    if error:
        raise RuntimeError(f"{why}; {len(jobs) - lost} jobs had finished, their rows are in {folder}") from error
    if lost:
        raise RuntimeError(f"{lost} of {len(jobs)} jobs did not finish; the list above and the rows in {folder} say why")
