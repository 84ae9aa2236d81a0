"""One run: a config becomes task, cell, head, learner, trainer and diagnostics, and their training one result row.

Also a program: `python -m lstmlab.train FOLDER` runs the config in FOLDER/.hydra/ in this process; sweeps start one per job.
"""

import platform
import resource
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tqdm import tqdm

from lstmlab import criterion as criteria
from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.tensorboard import Board
from lstmlab.results import Run, flat
from lstmlab.task import Task, generator, valid_steps

GROUPS = ("task", "cell", "learner", "trainer", "optimizer")


class RunError(Exception):
    """A run that could not be done, with its one line for the user; the row is written. Its cause is what was raised."""


def run(config: dict, folder: str | Path, choices: dict[str, str], progress: bool = True) -> dict:
    """Carry out one run in `folder` and return its flat result row; result.json holds it at every moment.

    config: the composed config as plain containers. choices: group -> name of the option chosen, for the row.
    Raises RunError for a failed run and KeyboardInterrupt for an interrupted one, the row written in both cases.
    """
    job = _Job(config, Run(folder), choices, progress)
    job.start()
    try:
        job.build()
        job.train()
    except KeyboardInterrupt:
        job.end("interrupted", "stopped by the user")
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        job.end("failed", line)
        raise RunError(line) from error
    return job.row


class _Job:
    def __init__(self, config: dict, run: Run, choices: dict[str, str], progress: bool):
        self.config, self.run, self.progress = config, run, progress
        self.seed = config["seed"]
        self.row = {
            **{group: choices.get(group, "custom") for group in GROUPS},
            "experiment": choices.get("experiment"),
            "seed": self.seed,
            "status": "running",
            "reason": None,
            "solved": False,
            "sequences": 0,
            "sequences_to_solution": None,
            "test_wrong": None,
            "test_size": None,
            "test_error": None,
            "seconds": None,
            "peak_memory_mb": None,
            "weights": None,
            **{f"version.{name}": version(name) for name in ("lstmlab", "tensorflow", "keras", "numpy")},
            "version.python": platform.python_version(),
            **{key: value for key, value in flat(config).items() if key != "seed"},
        }
        self.model = self.board = None
        self.measured_at: dict[str, int] = {}

    def start(self) -> None:
        self.started = time.perf_counter()
        self.run.write_row(self.row)

    def build(self) -> None:
        """Instantiate everything; what is wrong with a setting is found here, before anything is traced."""
        config = self.config
        keras.utils.set_random_seed(int(generator(self.seed, "weights").integers(2**31)))
        self.task: Task = _instantiate(config, "task")
        self.criterion = criteria.criterion(**self.task.criterion)
        self.diagnostics: dict[str, Diagnostic] = _instantiate(config, "diagnostic") if config.get("diagnostic") else {}
        cell, learner, trainer, optimizer = (_instantiate(config, g) for g in ("cell", "learner", "trainer", "optimizer"))
        activation = config["head"].get("activation") or self.task.output_activation
        head = _instantiate(config, "head", outputs=self.task.outputs, activation=activation)
        self.trainer = trainer
        self.model = trainer.prepare(self.task, cell, head, learner, optimizer)
        self.probe = _probe(self.task, self.seed, config["probe"])
        self.sets = self.task.sets(self.seed)
        self.board = Board(self.run.folder / "tb")
        self.board.text("config", f"```\n{OmegaConf.to_yaml(OmegaConf.create(config))}```", 0)
        self.row["weights"] = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_variables)
        self.row["published_sequences"], self.row["published_test_wrong"], self.row["published_source"] = self._published()
        for name in [n for n, d in self.diagnostics.items() if not d.serves(self.model)]:
            print(f"diagnostic.{name}: left out, cell={type(cell).__name__} does not have what it measures", file=sys.stderr)
            del self.diagnostics[name]

    def train(self) -> None:
        self._measure(before=None)
        # the whole budget is the bar's length: the time left is the most that it can still take
        with tqdm(total=self.trainer.budget, unit="seq", disable=not self.progress, dynamic_ncols=True) as self.bar:
            self.trainer.run(self.model, self.task, self.seed, self.after_window)
        self.end("solved" if self.criterion.solved_at else "budget", None)

    def after_window(self) -> bool:
        """Criterion, history, diagnostics and progress; True to stop."""
        y, prediction, w = self.model.log.read()
        before, self.row["sequences"] = self.row["sequences"], self.row["sequences"] + len(y)
        if not np.isfinite(prediction[w > 0]).all():
            bad = before + 1 + int(np.argmin(np.isfinite(prediction * (w > 0)[..., None]).all(axis=(1, 2))))
            rate = self.row.get("optimizer.learning_rate")
            raise FloatingPointError(
                f"training: the prediction is not finite from sequence {bad} on; expected finite numbers, which a smaller "
                f"optimizer.learning_rate may give. Received: optimizer.learning_rate={rate}"
            )
        solved = self.criterion.observe(self.task, y, prediction, w, self._evaluate)
        window = {
            "sequences": self.row["sequences"],
            "absolute_error": criteria.sequence_errors(y, prediction, w, "absolute").mean(),
            "squared_error": criteria.sequence_errors(y, prediction, w, "squared").mean(),
            "wrong": int((~self.task.correct(y, prediction, w)).sum()),
            "recent_wrong": self.criterion.recent_wrong,
            "seconds": round(self._seconds(), 3),
        }
        self.run.append("history", pd.DataFrame([window]))
        for name in ("absolute_error", "squared_error", "recent_wrong"):
            self.board.scalar(f"training/{name}", window[name], window["sequences"])
        self._measure(before)
        self.board.flush()
        if solved:
            self.row.update(solved=True, sequences_to_solution=self.criterion.solved_at)
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        self.run.write_row(self.row)
        self.bar.set_postfix_str(
            f"{self.criterion.label} {window['recent_wrong']}, error {window['absolute_error']:.4f}", refresh=False
        )
        self.bar.update(len(y))
        return solved

    def end(self, status: str, reason: str | None) -> None:
        """Measure what is still to be measured, and write the last row; nothing here may lose what was there before."""
        self.row.update(status=status, reason=reason)
        self.run.write_row(self.row)
        if status in ("solved", "budget"):
            self._measure(before=None)
            self._test()
        if self.model is not None:
            self.model.save_weights(str(self.run.folder / "model.weights.h5"))
        if self.board is not None:
            self.board.close()
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        self.run.write_row(self.row)

    def _measure(self, before: int | None) -> None:
        """Every diagnostic that is due; all of them where `before` is None (at the start and at the end)."""
        now = self.row["sequences"]
        for name, diagnostic in self.diagnostics.items():
            if self.measured_at.get(name) == now or not (before is None or diagnostic.due(before, now)):
                continue
            self.measured_at[name] = now
            table = diagnostic.measure(self.model, self.probe)
            self.run.append(diagnostic.name, table.assign(sequences=now)[["sequences", *table.columns]])
            diagnostic.show(self.board, table, now)

    def _evaluate(self) -> dict[str, np.ndarray]:
        return {name: self.task.correct(y, self.model.answers(x), w) for name, (x, y, w) in self.sets.items()}

    def _test(self) -> None:
        x, y, w = self.sets["test"]
        prediction = self.model.answers(x)
        self.row["test_size"] = len(x)
        self.row["test_wrong"] = int((~self.task.correct(y, prediction, w)).sum())
        self.row["test_error"] = float(criteria.sequence_errors(y, prediction, w, "absolute").mean())

    def _published(self) -> tuple:
        for entry in self.task.published:
            if all(self.row.get(setting) == value for setting, value in entry["where"].items()):
                return entry["sequences"], entry.get("test_wrong"), entry["source"]
        return None, None, None

    def _seconds(self) -> float:
        return time.perf_counter() - self.started


def _instantiate(config: dict, group: str, **more):
    try:
        return instantiate(config[group], _convert_="all", **more)
    except InstantiationException as error:
        cause = error.__cause__ or error
        text = " ".join(str(cause).split())
        raise ValueError(text if isinstance(cause, ValueError) else f"{group}: {text}") from cause


def _probe(task: Task, seed: int, size) -> Probe:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"train: expected a positive integer, sequences in the probe batch. Received: probe={size!r}")
    x, y, w = task.probe(seed, size)
    return Probe(x, y, w, valid_steps(w), task.events(x, w))


def _peak_memory() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """The job whose config lies in the folder named on the command line; exit code 0, 1 (failed) or 130 (interrupted)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(sys.argv[1])
    config = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "config.yaml"), resolve=True)
    choices = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.runtime.choices
    try:
        run(config, folder, dict(choices), progress=False)
    except RunError as error:
        sys.exit(f"lstmlab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
