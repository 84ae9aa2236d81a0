"""One job of a sweep, as a program: `python -m lstmlab.runs.job FOLDER [PARENT]`.

It runs the settings in FOLDER/run.yaml in this process, and stops, as on Ctrl-C, when the process
PARENT that started it is gone.
"""

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


def main() -> None:
    """Entry point of the program; exit code 0, 1 (failed) or 130 (interrupted)."""
    folder, parents = Path(sys.argv[1]), sys.argv[2:]
    made_from = kept.read(folder)
    try:
        _listen(parents)
        import_as(made_from.settings, made_from.runtime)
        try:
            run(made_from.settings, folder, made_from.choices, progress=False)
        finally:
            _say_trials(folder)
    except RunError as error:
        sys.exit(f"lstmlab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _say_trials(folder: Path) -> None:
    """Print the summary of many trials, for the log of the job."""
    from lstmlab import report

    if report.many(folder) and (folder / "report.md").exists():
        files.say(report.summary_of_trials(folder))


def _listen(parents: list[str]) -> None:
    """Let signals, and the end of the parent, interrupt this process."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # a sweep in the background ignores SIGINT
        signal.signal(stop, signal.default_int_handler)
    for parent in parents:
        threading.Thread(target=stop_without, args=(int(parent),), daemon=True).start()
    # a sweep starts its jobs with SIGINT blocked
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


if __name__ == "__main__":
    main()
