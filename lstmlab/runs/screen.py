"""What a person sees of a sweep: a line for each job that ends, and in a terminal a live one.

It reads the rows of the jobs, so that it is the same wherever they run.
"""

import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from lstmlab import files, results
from lstmlab.results import FINISHED, Run
from lstmlab.runs import kept

EVERY = 0.5  # seconds between two looks
LINES = 5  # of the log of a job that failed


class Screen:
    """Watches the jobs of a sweep in a thread of its own, as a context.

    Args:
        folders: Those of the jobs to do.
        live: Whether to show a live line; by default where stderr is a terminal.
        log: A file that gets the lines of the jobs too, each with its time.
    """

    def __init__(self, folders: Sequence[Path], live: bool | None = None, log: Path | None = None):
        self.log = log
        # a row that is there already is that of an earlier attempt
        self.waiting = {folder: _stamp(folder) for folder in folders}
        self.jobs, self.ended, self.failed, self.running = len(folders), 0, 0, 0
        self.live = sys.stderr.isatty() if live is None else live
        self.working = os.getcwd()  # a launcher may change it
        self._closing, self._looking = threading.Event(), threading.Lock()

    def __enter__(self) -> "Screen":
        self.bar = tqdm(
            desc=self.count(),
            total=self.jobs,
            disable=not self.live,
            dynamic_ncols=True,
            smoothing=0,  # the time left is by the mean of all jobs
            bar_format="{desc} |{bar}| {elapsed}, {remaining} left",
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._thread.join()
        self.look()
        self.bar.close()

    def _watch(self) -> None:
        while not self._closing.wait(EVERY):
            self.look()

    def look(self) -> None:
        """Read the rows that have changed, and say which jobs have ended."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        self.running = 0
        for folder, before in list(self.waiting.items()):
            if _stamp(folder) in (before, None):
                continue
            row = Run(folder).read_row()
            # of many trials the first may be done long before the others
            if row["status"] in ("running", "unreadable") or kept.is_held(folder):
                self.running += 1
                continue
            del self.waiting[folder]
            row = _of_all(row, folder)
            self.ended += 1
            self.failed += row["status"] not in FINISHED
            self._say(job_line(row, folder, self.working), row, folder)
        self.bar.set_description_str(self.count(), refresh=False)
        self.bar.update(self.ended - self.bar.n)
        self.bar.refresh()

    def count(self) -> str:
        """How many jobs are done, running, failed and waiting."""
        waiting = len(self.waiting) - self.running
        done = self.ended - self.failed
        return f"{done} done, {self.running} running, {self.failed} failed, {waiting} waiting"

    def _say(self, line: str, row: dict, folder: Path) -> None:
        lines = [f"[{self.ended:>{len(str(self.jobs))}}/{self.jobs}] {line}"]
        if row["status"] in ("failed", "killed"):
            # the reason is in the line of the job
            told = last_lines(folder / "log.txt", without=row.get("reason"))
            lines += [f"    {last}" for last in told]
        with tqdm.external_write_mode(file=sys.stdout):  # above the live line, where there is one
            files.say("\n".join(lines))
        if self.log is not None:
            now = datetime.now().isoformat(" ", "seconds")
            # the lines are a view of the rows: a full disk stops the jobs, and not these
            with suppress(files.WriteError):
                files.append(self.log, f"{now} " + "\n".join(lines) + "\n")


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What changes whenever a row is written."""
    try:
        about = (folder / "result.json").stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


def last_lines(path: Path, without: str | None = None) -> list[str]:
    """The last lines of a log that are not empty; none of a log that cannot be read.

    Args:
        path: The log.
        without: Lines with this text are left out.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not without or without not in line][-LINES:]


def job_line(row: dict, folder: Path, working: str | None = None) -> str:
    """Return the outcome of one job in one line; of many trials how many were solved, and when."""
    what = " ".join(f"{name}={row.get(name)}" for name in ("cell", "task", "learner", "seed"))
    sequences = row.get("sequences_to_solution") or row.get("sequences") or 0
    seconds = row.get("seconds") or 0
    reason = f": {row['reason']}" if row.get("reason") else ""
    status, told = row["status"], f"after {sequences:,} sequences, {seconds:.0f} s"
    if (row.get("trials") or 1) > 1:
        status, told = "finished" if status in FINISHED else status, _of_many(row["trials"], folder)
    return f"{status:<11} {what}, {told}, {files.shown(folder, working)}{reason}"


def _of_all(row: dict, folder: Path) -> dict:
    """The row of a job; of many trials that of the first that did not finish, if there is one."""
    if (row.get("trials") or 1) == 1:
        return row
    rows = [run.read_row() for run in results.runs(folder)]
    lost = [one for one in rows if one["status"] not in FINISHED]
    return {**lost[0], "trials": row["trials"]} if lost else row


def _of_many(trials: int, folder: Path) -> str:
    """How many trials of a job were solved, after how many sequences, how many did not finish, and
    what all of them took."""
    runs = results.runs(folder)
    rows = [run.read_row() for run in runs]
    solved = [row["sequences_to_solution"] for row in rows if row["status"] == "solved"]
    told = f"{len(solved)} of {trials} trials solved"
    if solved:
        told += f", after {sum(solved) / len(solved):,.0f} sequences on average"
    for status, count in Counter(row["status"] for row in rows).items():
        told += f", {count} {status}" if status not in FINISHED else ""
    # rows have the seconds since their own beginning, which may be one for all or come in turn
    begun = [one for run in runs if (one := _changed(run.folder / "run.yaml"))]
    ended = [one for run in runs if (one := _changed(run.folder / "result.json"))]
    return f"{told}, {max(ended) - min(begun):.0f} s" if begun and ended else told


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
