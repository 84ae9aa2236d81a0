"""One job of a sweep, in the process that was forked for it."""

import signal
import sys
import threading
from pathlib import Path

from lstmlab import files
from lstmlab.config import import_as
from lstmlab.runs import kept
from lstmlab.runs.signals import stop_without
from lstmlab.runs.train import RunError
from lstmlab.runs.trials import run

INTERRUPTED = 130
# what jobs need as they go on, and at their end for reports and pictures
LATER = (
    "tensorboard.summary",
    "numba.experimental",
    "pandas",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "scipy.stats",
)


def carry_out(folder: Path, parent: int) -> int:
    """Run the settings in FOLDER/run.yaml in this process.

    Args:
        folder: The folder of the run.
        parent: The process that started this one; when it is gone, the job stops as on Ctrl-C.

    Returns:
        The exit code of the process: 0, 1 (failed) or 130 (interrupted).
    """
    try:
        _listen(parent)
        made_from = kept.read(folder)
        import_as(made_from.settings, made_from.runtime)
        try:
            run(made_from.settings, folder, made_from.choices, progress=False)
        finally:
            _say_trials(folder)
    except RunError as error:
        print(f"lstmlab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _say_trials(folder: Path) -> None:
    """Print the summary of many trials, for the log of the job."""
    from lstmlab import report

    if report.many(folder) and (folder / "report.md").exists():
        files.say(report.summary_of_trials(folder))


def _listen(parent: int) -> None:
    """Let signals, and the end of the parent, interrupt this process."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # a sweep in the background ignores SIGINT
        signal.signal(stop, signal.default_int_handler)
    threading.Thread(target=stop_without, args=(parent,), daemon=True).start()
    # a sweep starts its jobs with SIGINT blocked
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
