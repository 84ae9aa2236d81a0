"""Sweeps: many runs, each in a process of its own, as many at a time as joblib has workers.

A sweep is three layers of processes: the one that leads it, joblib's workers, and for each job one of its own (lstmlab.runs.train).
It stops in an orderly way: Ctrl-C writes the file `stop` in the sweep's folder, each worker that sees it interrupts its job,
and the job writes its row. joblib itself would kill all processes before any row is written.
"""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lstmlab.config import one_line

EXIT_INTERRUPTED = 130
STOP = "stop"
led: list[Path] = []  # folders of the sweeps that this process leads


class Leader:
    """The process that leads a sweep, as seen by a joblib worker or, where jobs run one after the other, by itself."""

    def __init__(self, folder: Path):
        self.folder, self.pid = folder, None if led else os.getppid()

    def gone(self) -> bool:
        return self.pid not in (None, os.getppid())

    def stops(self) -> bool:
        """Whether jobs are to end: somebody said so, or the leader is gone."""
        return self.gone() or (self.folder / STOP).exists()


def run_in_own_process(run, leader: Leader) -> None:
    """One job of a sweep: in a process of its own, so that jobs share no TensorFlow and the end of one ends no other."""
    signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT}
    )  # Ctrl-C reaches a worker too; the leader sees to it
    if leader.stops():
        row = run.end_if_running("interrupted", "the sweep was stopped before this job began")
    else:
        code = _wait(_start(run.folder), leader)
        if leader.stops():
            row = run.end_if_running(
                "interrupted", f"the sweep was stopped; the process ended with exit code {code}"
            )
        else:
            row = run.end_if_running(
                "killed", f"the process ended with exit code {code} before it could write its end"
            )
    print(job_line(row, run.folder), flush=True)
    if leader.gone():
        os._exit(EXIT_INTERRUPTED)  # or this worker would go on with the jobs that wait


def _start(folder: Path) -> subprocess.Popen:
    """The job's process, in a session of its own: no Ctrl-C of the terminal, no signal to the group reaches it."""
    command = [sys.executable, "-m", "lstmlab.runs.train", str(folder), str(os.getpid())]
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _wait(job: subprocess.Popen, leader: Leader) -> int:
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
        led.append(folder)
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


def end(folder: Path, error: Exception | None) -> None:
    """Give an end to the rows whose jobs are no more, and report what there is.

    Raises KeyboardInterrupt for a sweep that was stopped, RuntimeError where jobs did not finish. error: what broke it off.
    """
    from lstmlab import report, results

    jobs = results.runs(folder)
    if not jobs:
        return
    why = (
        f"the sweep broke off: {one_line(error).partition('. ')[0]}"
        if error
        else "the sweep ended before it"
    )
    for run in jobs:
        run.end_if_running("killed", why)
    print(report.write(folder), flush=True)
    if (folder / STOP).exists():
        raise KeyboardInterrupt
    lost = sum(run.read_row()["status"] not in results.FINISHED for run in jobs)
    if error:
        raise RuntimeError(
            f"{why}; {len(jobs) - lost} jobs had finished, their rows are in {folder}"
        ) from error
    if lost:
        raise RuntimeError(
            f"{lost} of {len(jobs)} jobs did not finish; the list above and the rows in {folder} say why"
        )
