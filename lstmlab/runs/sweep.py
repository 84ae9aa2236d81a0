"""Sweeps: many runs, each in a process of its own, as many at a time as the launcher has workers.

A sweep has four layers of processes: the leader, the launcher's workers, for each of them one that
has loaded TensorFlow (lstmlab.runs.warm), and one for each job (lstmlab.runs.job). It stops in an
orderly way: Ctrl-C writes the file `stop` in the sweep's folder, each worker that sees it
interrupts its job, and the job writes its row. joblib itself would kill all processes before any
row is written.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lstmlab import files
from lstmlab.config import one_line
from lstmlab.errors import refusal
from lstmlab.runs.begin import refusing
from lstmlab.runs.launch import Sorted, resume
from lstmlab.runs.warm import Warm

if TYPE_CHECKING:
    from lstmlab.results import Run  # loads pandas

EXIT_INTERRUPTED = 130
STOP = "stop"  # the file that tells all workers of a sweep to stop
SHOWN = 100  # lines of a report that is shown although that of the published rows is, too
LOG = "sweep.log"  # the lines of the jobs that ended
led: list["Led"] = []  # the sweeps that this process leads
warmed: dict[str, Warm] = {}  # threads of a run -> the process that forks runs for this worker


class Leader:
    """The process that leads a sweep, as seen by a worker; this one where there are no workers."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.pid = None if led else os.getppid()

    def gone(self) -> bool:
        """Whether the leading process has ended."""
        return self.pid not in (None, os.getppid())

    def stops(self) -> bool:
        """Whether jobs should end: the sweep was stopped, or its leader is gone."""
        return self.gone() or (self.folder / STOP).exists()


def run_in_own_process(run: "Run", leader: Leader, lock: int) -> None:
    """Run one job in a process of its own, which holds the run's lock too.

    Jobs then share no TensorFlow, and one that dies takes no other with it.
    """
    # Ctrl-C reaches a worker too, but the leader deals with it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if leader.stops():
        run.end_if_running("interrupted", "the sweep was stopped before this job began")
    else:
        code = _carry_out(run.folder, lock, leader)
        if leader.stops():
            reason = f"the sweep was stopped; the process ended with exit code {code}"
            run.end_if_running("interrupted", reason)
        else:
            reason = f"the process ended with exit code {code} before it could write its end"
            run.end_if_running("killed", reason)
    if leader.gone():
        os._exit(EXIT_INTERRUPTED)  # otherwise this worker would go on with the waiting jobs


def _carry_out(folder: Path, lock: int, leader: Leader) -> int:
    """Fork the job and return its exit code; once the sweep stops, interrupt the job."""
    with open(folder / "log.txt", "ab") as log:
        warm = _warm(log)
        job = warm.fork(folder, log, lock)
    asked = False
    while job:
        try:
            code = warm.wait(0.3)
        except ChildProcessError:
            _wait_until_gone(job)
            break
        if code is not None:
            return code
        if not asked and leader.stops():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(job, signal.SIGINT)
            asked = True
    warmed.clear()
    return warm.end()


def _warm(log: Any) -> Warm:
    """The process that forks for this worker, started anew where runs have other threads."""
    threads = os.environ["OMP_NUM_THREADS"]  # see begin.environment; read when libraries are loaded
    if threads not in warmed:
        for other in warmed.values():
            other.end()
        warmed.clear()
        warmed[threads] = Warm(log)
    return warmed[threads]


def _wait_until_gone(job: int) -> None:
    """Wait for a job that has lost its parent, and so writes its row and ends."""
    from lstmlab.runs import kept

    end = time.monotonic() + kept.PATIENCE
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(job, 0)
            time.sleep(0.1)
        os.kill(job, signal.SIGKILL)


class Sweep(Callback):
    """Receives Hydra's notice that a sweep begins: it leads the sweep from then on."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(os.path.abspath(config.hydra.sweep.dir))
        # joblib needs the tracker, and starting it later would unblock SIGINT again
        resource_tracker.ensure_running()
        # before pandas is loaded: joblib's workers and the threads of libraries inherit it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with refusing():
            led.append(Led(folder))
        resume(led[-1].carry_out)
        threading.Thread(target=_await_ctrl_c, args=(folder,), daemon=True).start()


class Led:
    """A sweep that this process leads; no other process does at the same time.

    Args:
        folder: The sweep's folder, absolute.

    Attributes:
        brief: Whether to leave out the report, which is written, and the line of a batch of jobs
            without an earlier attempt.
        last: What is said after the report.

    Raises:
        ValueError: Another process leads a sweep in that folder.
        WriteError: The folder cannot be made.
    """

    brief, last = False, ""

    def __init__(self, folder: Path):
        from lstmlab.runs import kept

        self.folder, self.jobs = folder, cast(list[Path], [])
        with files.writing(folder, "folder"):
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / kept.LOCK
        with files.writing(path):
            # kept open, and so locked, until this process ends, however that happens
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not kept.lock(self.file):
            expected = "a folder in which no other sweep runs now; sweep=NAME names another"
            raise refusal("sweep", expected, {"folder": files.shown(folder)})
        (folder / STOP).unlink(missing_ok=True)

    def carry_out(
        self, jobs: list[Path], found: Sorted, call: Callable[[], Sequence[Any]]
    ) -> Sequence[Any]:
        """Show what `call` does, which carries out the jobs to do."""
        from lstmlab.runs.screen import Screen

        self.jobs += jobs
        if not self.brief or found.skipped or found.before:
            files.say(found.line(len(jobs), files.shown(self.folder)))
        with Screen([self.folder / job.name for job in found.todo], log=self.folder / LOG):
            return call()

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C has stopped it."""
        return (self.folder / STOP).exists()

    def end(self, error: Exception | None) -> None:
        """End the rows of jobs that are gone, and print the report of the sweep.

        Args:
            error: What broke the sweep off, or None.

        Raises:
            KeyboardInterrupt: The sweep was stopped.
            RuntimeError: Some jobs did not finish.
        """
        from lstmlab import report, results
        from lstmlab.report.one_run import tensorboard
        from lstmlab.runs import kept

        folder = files.shown(self.folder)
        if not self.jobs:  # what was refused is told by itself
            return
        why = "the sweep ended before it"
        if error:
            why = f"the sweep broke off: {one_line(error).partition('. ')[0]}"
        begun = [run for job in dict.fromkeys(self.jobs) for run in results.runs(job)]
        if not begun and error:  # as without a cluster
            return
        for run in begun:
            if not kept.is_held(run.folder):
                run.end_if_running("killed", why)
        published = "" if self.brief else report.beside_published(folder)
        print(self._told(report.write(folder), published), flush=True)
        if (events := self.folder / results.EVENTS).is_dir() and not self.brief:
            files.say(f"TensorBoard: {tensorboard(events)}")
        if self.last:
            files.say(self.last)

        if self.stopped:
            raise KeyboardInterrupt
        lost = sum(run.read_row()["status"] not in results.FINISHED for run in begun)
        if error:
            finished = f"{len(begun) - lost} jobs had finished, their rows are in {folder}"
            raise RuntimeError(f"{why}; {finished}; the same command does the rest") from error
        if lost:
            where = f"the list above and the rows in {folder} say why"
            again = "the same command does them again"
            raise RuntimeError(f"{lost} of {len(begun)} jobs did not finish; {where}; {again}")

    def _told(self, tables: str, published: str) -> str:
        """What the terminal shows of the report: where it is long, the published rows alone."""
        *tables_of_sweep, written = tables.splitlines()
        if self.brief:
            return written
        if published and len(tables_of_sweep) > SHOWN:
            return f"{published}\n{written}"
        return f"{tables}\n\n{published}" if published else tables


def _await_ctrl_c(sweep: Path) -> None:
    """Stop the sweep at the first Ctrl-C; at the second end this process, and with it all jobs."""
    signal.sigwait({signal.SIGINT})
    print("lstmlab: stopping; the running jobs write their rows", file=sys.stderr, flush=True)
    sweep.mkdir(parents=True, exist_ok=True)
    (sweep / STOP).touch()
    signal.sigwait({signal.SIGINT})
    os._exit(EXIT_INTERRUPTED)
