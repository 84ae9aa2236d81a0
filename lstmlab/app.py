"""The commands `lstmlab` (one run, or with -m a sweep): compose the config with Hydra, hand over to train, report.

Nothing heavy is imported before the config is composed, so that --help and --cfg answer at once.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lstmlab.errors import one_line

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
_failures: list[BaseException] = []  # of the run, kept for main
_sweeps: list[Path] = []


def main() -> None:
    """Entry point of the command: every error as one line on stderr, the traceback only with HYDRA_FULL_ERROR=1."""
    asked_for_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach us instead of being printed by Hydra
    try:
        _hydra()
        if _failures:
            raise _failures[0]
        for folder in _sweeps:
            _end_sweep(folder)
    except KeyboardInterrupt:
        print("lstmlab: interrupted; what was measured so far is in the run folder", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if asked_for_traceback:
            raise
        print(f"lstmlab: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


@hydra.main(version_base="1.3", config_path="pkg://lstmlab.conf", config_name="config")
def _hydra(config: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    _environment(config)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        _run_in_own_process(folder)
        return
    try:
        _run_here(config, folder)
    except (Exception, KeyboardInterrupt) as error:  # kept for main: Hydra would print words of its own around it
        _failures.append(error)


def _environment(config: DictConfig) -> None:
    """What must be set before TensorFlow is imported: threads, the backend, and quiet."""
    threads = config.threads
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"lstmlab: expected a positive integer, CPU threads of one run. Received: threads={threads!r}")
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _run_here(config: DictConfig, folder: Path) -> None:
    with _quiet():
        from lstmlab import train

    choices = dict(HydraConfig.get().runtime.choices)
    try:
        train.run(OmegaConf.to_container(config, resolve=True), folder, choices)
    finally:
        _show(folder)


@contextmanager
def _quiet():
    """Hold back what TensorFlow writes to stderr while it is imported: greetings that no setting of it silences."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _show(folder: Path) -> None:
    from lstmlab import report

    report.picture(folder)
    print(report.summary(folder))


def _run_in_own_process(folder: Path) -> None:
    """One job of a sweep: in a process of its own, so that jobs share no TensorFlow and the end of one ends no other."""
    from lstmlab.results import Run

    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "lstmlab.train", str(folder)]
        code = _wait(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
    print(job_line(Run(folder).row_or_killed(code), folder), flush=True)


def _wait(job: subprocess.Popen) -> int:
    """The job's exit code; on Ctrl-C, which reaches the job too, it gets time to write its row."""
    try:
        return job.wait()
    except KeyboardInterrupt:
        job.wait(timeout=60)
        raise


def job_line(row: dict, folder: Path) -> str:
    """What came of one job of a sweep, in one line."""
    what = f"cell={row.get('cell')} task={row.get('task')} learner={row.get('learner')} seed={row.get('seed')}"
    after = f"after {row.get('sequences_to_solution') or row.get('sequences') or 0:,} sequences"
    reason = f": {row['reason']}" if row.get("reason") else ""
    return f"{row['status']:<11} {what}, {after}, {row.get('seconds') or 0:.0f} s, {folder}{reason}"


class SweepFolder(Callback):
    """Remembers where the sweep's runs went, for the report that main writes at its end."""

    def on_multirun_end(self, config: DictConfig, **kwargs) -> None:
        _sweeps.append(Path(config.hydra.sweep.dir))


def _end_sweep(folder: Path) -> None:
    from lstmlab import report, results

    rows = results.load(folder)
    print(report.write(folder))
    lost = int((~rows["status"].isin(results.FINISHED)).sum())
    if lost:
        raise RuntimeError(f"{lost} of {len(rows)} jobs did not finish; the list above and the rows in {folder} say why")


if __name__ == "__main__":
    main()
