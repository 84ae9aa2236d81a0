"""One run: a config becomes task, cell, head, learner, trainer and diagnostics, and their training one result row.

Also a program: `python -m lstmlab.runs.train FOLDER [PARENT]` runs the config in FOLDER/.hydra/ in this process; sweeps start one
per job. It stops, as on Ctrl-C, when the process PARENT that started it is gone.
"""

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from tqdm import tqdm

from lstmlab import checks
from lstmlab import criterion as criteria
from lstmlab.config import instantiate
from lstmlab.recording.recorder import Recorder
from lstmlab.results import GROUPS, Run, first_row
from lstmlab.runs.build import build
from lstmlab.task import Losses

METRICS = (
    "solved",
    "sequences",
    "sequences_to_solution",
    "test_error",
    "test_loss",
    "test_wrong",
)  # on TensorBoard's HParams


class RunError(Exception):
    """A run that could not be done, with its one line for the user; the row is written. Its cause is what was raised."""


def run(config: dict, folder: str | Path, choices: dict[str, str], progress: bool = True) -> dict:
    """Carry out one run in `folder` and return its flat result row; result.json holds it at every moment.

    config: the composed config as plain containers. choices: group -> name of the option chosen, for the row.
    progress: show a bar on stderr. Raises ValueError for a folder in which a run has been; RunError for a failed run and
    KeyboardInterrupt for an interrupted one, the row written in both cases.
    """
    job = _Job(config, Run(folder), choices, progress)
    job.start()
    try:
        job.build()
        job.train()
    except KeyboardInterrupt:
        with _signals_held():  # a second Ctrl-C must not cost the row
            job.end("interrupted", "stopped by a signal, as Ctrl-C sends it")
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        job.log(traceback.format_exc())
        job.end("failed", line)
        raise RunError(line) from error
    return job.row


class _Job:
    def __init__(self, config: dict, run: Run, choices: dict[str, str], progress: bool):
        self.config, self.run, self.progress = config, run, progress
        self.seed = config["seed"]
        self.row = first_row(config, choices)
        self.model: Any = None
        self.recorder: Any = None

    def start(self) -> None:
        if len(self.run.read("history")):
            raise ValueError(
                f"train: expected a folder without a run. Received: folder={str(self.run.folder)!r}"
            )
        self.started = time.perf_counter()
        self.run.write_row(self.row)

    def log(self, text: str) -> None:
        with open(self.run.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(text)

    def build(self) -> None:
        """Instantiate everything; what is wrong with a setting is found here, before anything is traced."""
        config = self.config
        checks.integer(
            "train",
            "threads",
            config["threads"],
            most=os.cpu_count() or 1,
            why="CPU threads of one run",
        )
        built = build(config)
        self.task, self.trainer, self.model, self.probe = (
            built.task,
            built.trainer,
            built.model,
            built.probe,
        )
        self.criterion = criteria.criterion(**self.task.criterion)
        # null in the config stands for the task's
        self.row.update({"head.activation": built.activation, "head.loss": built.loss})
        # after the weights are drawn: learners that a diagnostic compares may draw seeds
        diagnostics = instantiate(config, "diagnostic") if config.get("diagnostic") else {}
        self.recorder = Recorder(self.run.folder, diagnostics, self.probe)
        self.sets = self.task.sets(self.seed)
        self._check_sets()
        self.row.update(chance_loss=self.task.chance, memoryless_loss=self.task.memoryless)
        self.row["weights"] = sum(
            int(np.prod(weight.shape)) for weight in self.model.trainable_variables
        )
        self.row.update(self._published())
        self.recorder.board.text(
            "config", f"```\n{OmegaConf.to_yaml(OmegaConf.create(config))}```", 0
        )
        self.recorder.board.hparams(settings(self.row))
        self.recorder.board.layout()
        self.recorder.start(self.model)

    def train(self) -> None:
        self.recorder.measure(self.model, 0)
        with self._bar() as self.bar:
            self.trainer.run(self.model, self.task, self.seed, self._after_window)
        self.end("solved" if self.criterion.solved_at else "budget", None)

    def _bar(self) -> tqdm:
        """Progress against the whole budget: the time left is the most that it can still take. Few lines in a log file."""
        shown = (
            {"mininterval": 0.1} if sys.stderr.isatty() else {"mininterval": 30, "maxinterval": 60}
        )
        return tqdm(
            total=self.trainer.budget,
            unit="seq",
            disable=not self.progress,
            dynamic_ncols=True,
            **shown,
        )

    def _after_window(self) -> bool:
        with _signals_held():
            return self.after_window()

    def after_window(self) -> bool:
        """Criterion, history, diagnostics and progress; True to stop."""
        report = self.model.report()  # what the learner says comes before what the predictions show
        y, prediction, w = self.model.log.read()
        before, self.row["sequences"] = self.row["sequences"], self.row["sequences"] + len(y)
        self._check_finite(before, prediction, w)
        solved = self.criterion.observe(self.task, y, prediction, w, self._evaluate)
        window = {
            "sequences": self.row["sequences"],
            "absolute_error": criteria.sequence_errors(y, prediction, w, "absolute").mean(),
            "squared_error": criteria.sequence_errors(y, prediction, w, "squared").mean(),
            "wrong": int((~self.task.correct(y, prediction, w)).sum()),
            "recent_wrong": self.criterion.recent_wrong,
            "seconds": round(self._seconds(), 3),
        }
        window |= report.history
        self.run.append("history", pd.DataFrame([window]))
        for name in ("absolute_error", "squared_error", "recent_wrong"):
            self.recorder.board.scalar(f"training/{name}", window[name], window["sequences"])
        for name, value in report.history.items():
            self.recorder.board.scalar(f"learner/{name}", value, window["sequences"])
        self.recorder.measure(self.model, window["sequences"], before)
        self.recorder.flush()
        if solved:
            self.row.update(solved=True, sequences_to_solution=self.criterion.solved_at)
        self.row.update(report.row)
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        self.run.write_row(self.row)
        now = f"{self.criterion.label}: {window['recent_wrong']}, error {window['absolute_error']:.4f}"
        self.bar.set_postfix_str(now, refresh=False)
        self.bar.update(len(y))
        return solved

    def end(self, status: str, reason: str | None) -> None:
        """Measure what is still to be measured, and write the last row; nothing here may lose what was there before."""
        self.row.update(status=status, reason=reason)
        self.run.write_row(self.row)
        if status in ("solved", "budget"):
            self.recorder.measure(self.model, self.row["sequences"])
            self._test()
            if net := self.model.report().net:
                self.run.append("net", pd.DataFrame(net))
        if self.model is not None:
            self.model.save_weights(str(self.run.folder / "model.weights.h5"))
        if self.recorder is not None:
            self.recorder.board.final(
                {name: self.row[name] for name in METRICS},
                self.row["sequences"],
                status == "failed",
            )
            self.recorder.close()
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        self.run.write_row(self.row)

    def _check_finite(self, before: int, prediction: np.ndarray, w: np.ndarray) -> None:
        finite = (np.isfinite(prediction).all(axis=-1) | (w == 0)).all(axis=1)
        if not finite.all():
            rate = self.row.get("optimizer.learning_rate")
            raise FloatingPointError(
                f"training: the prediction is not finite from sequence {before + 1 + int(np.argmin(finite))} on; expected "
                f"finite numbers, which a smaller rate may give. Received: optimizer.learning_rate={rate}"
            )

    def _evaluate(self, names: list[str] | None, draw: int) -> Iterator[tuple]:
        """y, prediction, w of the sets of those names, block by block."""
        sets = self.task.sets(self.seed, draw) if draw else self.sets
        for name in names or sets:
            for x, y, w in sets[name]:
                yield y, self.model.answers(x), w

    def _test(self) -> None:
        """The test set, and what a net has to beat on it."""
        correct, errors, losses = np.zeros(0, bool), np.zeros(0), Losses(self.task.loss)
        for x, y, w in self.sets["test"]:
            prediction = self.model.answers(x)
            correct = np.concatenate([correct, self.task.correct(y, prediction, w)])
            errors = np.concatenate(
                [errors, criteria.sequence_errors(y, prediction, w, "absolute")]
            )
            losses.add({"test": prediction, **self.task.baselines(x, w)}, y, w)
        self.row.update(
            test_size=len(correct),
            test_wrong=int((~correct).sum()),
            test_error=float(errors.mean()),
        )
        means = losses.means()
        self.row.update({f"{name}_loss": value for name, value in means.items()})
        self.row.update(self.task.summary(correct, means))

    def _check_sets(self) -> None:
        names = getattr(self.criterion, "sets", None) or []
        if not set(names) <= set(self.sets):
            raise ValueError(
                f"train: expected names among {sorted(self.sets)}. Received: criterion.sets={names}"
            )

    def _published(self) -> dict:
        row = self.row
        if row.get("learner") == "truncated1997_forward":  # the same rule, and the same figures
            row = {**row, "learner": "truncated1997"}
        for entry in self.task.published:
            if all(row.get(setting) == value for setting, value in entry["where"].items()):
                return {
                    f"published_{name}": entry.get(name)
                    for name in ("sequences", "solved", "test_wrong", "source")
                }
        return {}

    def _seconds(self) -> float:
        return time.perf_counter() - self.started


def settings(row: dict) -> dict:
    """What TensorBoard's page HParams sorts and filters runs by: the options chosen, the seed, and what can be set in them."""
    leaves = {
        name: value
        for name, value in row.items()
        if name.split(".")[0] in (*GROUPS, "head")
        and "." in name
        and "_target_" not in name
        and "criterion" not in name
    }
    chosen = {name: row[name] for name in (*GROUPS, "experiment", "seed")}
    return {name: value for name, value in (chosen | leaves).items() if value is not None}


def _peak_memory() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals that come meanwhile take effect afterwards: what is written together is written whole."""
    came: list[int] = []
    stops = (
        (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is threading.main_thread()
        else ()
    )
    handlers = {stop: signal.getsignal(stop) for stop in stops if callable(signal.getsignal(stop))}
    for stop in handlers:
        signal.signal(stop, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for stop, handler in handlers.items():
            signal.signal(stop, handler)
    if came:
        raise KeyboardInterrupt


def _stop_without(parent: int) -> None:
    """Interrupt this process, as Ctrl-C would, once the process that started it is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """The job whose config lies in the folder named on the command line; exit code 0, 1 (failed) or 130 (interrupted)."""
    folder, parents = Path(sys.argv[1]), sys.argv[2:]
    config = cast(
        dict,
        OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "config.yaml"), resolve=True),
    )
    choices = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.runtime.choices
    try:
        for stop in (signal.SIGINT, signal.SIGTERM):  # a sweep in the background has SIGINT ignored
            signal.signal(stop, signal.default_int_handler)
        for parent in parents:
            threading.Thread(target=_stop_without, args=(int(parent),), daemon=True).start()
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGINT}
        )  # a sweep starts its jobs with SIGINT blocked
        run(config, folder, dict(choices), progress=False)
    except RunError as error:
        sys.exit(f"lstmlab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
