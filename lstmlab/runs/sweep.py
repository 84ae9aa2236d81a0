"""Sweeps: many runs, each in a process of its own, as many at a time as joblib has workers.

A sweep has three layers of processes: the leader, joblib's workers, and one process for each job
(lstmlab.runs.job). It stops in an orderly way: Ctrl-C writes the file `stop` in the sweep's folder,
each worker that sees it interrupts its job, and the job writes its row. joblib itself would kill
all processes before any row is written.
"""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lstmlab.config import one_line

if TYPE_CHECKING:
    from lstmlab.results import Run  # loads pandas

EXIT_INTERRUPTED = 130
STOP = "stop"  # the file that tells all workers of a sweep to stop
led: list[Path] = []  # folders of the sweeps that this process leads


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


def run_in_own_process(run: "Run", leader: Leader) -> None:
    """Run one job in a process of its own.

    Jobs then share no TensorFlow, and one that dies takes no other with it.
    """
    # Ctrl-C reaches a worker too, but the leader deals with it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if leader.stops():
        row = run.end_if_running("interrupted", "the sweep was stopped before this job began")
    else:
        code = _wait(_start(run.folder), leader)
        if leader.stops():
            reason = f"the sweep was stopped; the process ended with exit code {code}"
            row = run.end_if_running("interrupted", reason)
        else:
            reason = f"the process ended with exit code {code} before it could write its end"
            row = run.end_if_running("killed", reason)
    print(job_line(row, run.folder), flush=True)
    if leader.gone():
        os._exit(EXIT_INTERRUPTED)  # otherwise this worker would go on with the waiting jobs


def _start(folder: Path) -> subprocess.Popen:
    """Start the job in its own session, which no Ctrl-C and no signal to the group reaches."""
    # -P: the working folder comes last in sys.path here too, see lstmlab.config.import_as
    command = [sys.executable, "-P", "-m", "lstmlab.runs.job", str(folder), str(os.getpid())]
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait(job: subprocess.Popen, leader: Leader) -> int:
    """Return the job's exit code; once the sweep stops, interrupt the job, which writes its row."""
    asked = False
    while True:
        try:
            return job.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            if not asked and leader.stops():
                job.send_signal(signal.SIGINT)
                asked = True


def job_line(row: dict, folder: Path) -> str:
    """Return the outcome of one job in one line; of many trials that of the first, and how many
    were solved."""
    what = " ".join(f"{name}={row.get(name)}" for name in ("cell", "task", "learner", "seed"))
    sequences = row.get("sequences_to_solution") or row.get("sequences") or 0
    seconds = row.get("seconds") or 0
    reason = f": {row['reason']}" if row.get("reason") else ""
    after = f"after {sequences:,} sequences, {seconds:.0f} s"
    if (row.get("trials") or 1) > 1:
        after += f", {_solved(folder)} of {row['trials']} trials solved"
    return f"{row['status']:<11} {what}, {after}, {folder}{reason}"


def _solved(folder: Path) -> int:
    from lstmlab import results

    return sum(run.read_row()["status"] == "solved" for run in results.runs(folder))


class Sweep(Callback):
    """Receives Hydra's notice that a sweep begins, and makes Ctrl-C stop it in an orderly way."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        led.append(folder)
        # joblib needs the tracker, and starting it later would unblock SIGINT again
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by joblib's workers
        threading.Thread(target=_await_ctrl_c, args=(folder,), daemon=True).start()


def _await_ctrl_c(sweep: Path) -> None:
    """Stop the sweep at the first Ctrl-C; at the second end this process, and with it all jobs."""
    signal.sigwait({signal.SIGINT})
    print("lstmlab: stopping; the running jobs write their rows", file=sys.stderr, flush=True)
    sweep.mkdir(parents=True, exist_ok=True)
    (sweep / STOP).touch()
    signal.sigwait({signal.SIGINT})
    os._exit(EXIT_INTERRUPTED)


def end(folder: Path, error: Exception | None) -> None:
    """End the rows of jobs that are gone, and print the report of the sweep.

    Args:
        folder: The sweep's folder.
        error: What broke the sweep off, or None.

    Raises:
        KeyboardInterrupt: The sweep was stopped.
        RuntimeError: Some jobs did not finish.
    """
    from lstmlab import report, results

    jobs = results.runs(folder)
    if not jobs:
        return
    why = "the sweep ended before it"
    if error:
        why = f"the sweep broke off: {one_line(error).partition('. ')[0]}"
    for run in jobs:
        run.end_if_running("killed", why)
    print(report.write(folder), flush=True)

    if (folder / STOP).exists():
        raise KeyboardInterrupt
    lost = sum(run.read_row()["status"] not in results.FINISHED for run in jobs)
    if error:
        finished = f"{len(jobs) - lost} jobs had finished, their rows are in {folder}"
        raise RuntimeError(f"{why}; {finished}") from error
    if lost:
        where = f"the list above and the rows in {folder} say why"
        raise RuntimeError(f"{lost} of {len(jobs)} jobs did not finish; {where}")
