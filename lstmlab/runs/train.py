"""One run: train what a config describes; keep row, history and measurements in one folder."""

import inspect
import io
import resource
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from tqdm import tqdm

from lstmlab import baselines, files
from lstmlab import criterion as criteria
from lstmlab.errors import refusal
from lstmlab.learners.base import Report
from lstmlab.published import matching
from lstmlab.recording.board import Board, Disk
from lstmlab.recording.recorder import Recorder
from lstmlab.results import GROUPS, Run, first_row
from lstmlab.runs import entries
from lstmlab.runs.build import Prepared, prepare
from lstmlab.runs.signals import signals_held
from lstmlab.task import Losses, Sequences, Task
from lstmlab.trainers import answers
from lstmlab.trainers.native import flat

# shown as metrics on TensorBoard's page HParams
METRICS = (
    "solved", "sequences", "sequences_to_solution", "test_error", "test_loss", "test_wrong",
)  # fmt: skip
RESULT = {f"result/{name}": name for name in METRICS}


class RunError(Exception):
    """A run that failed, with one line for the user; its row is written, its cause attached."""


def run(
    config: dict,
    folder: str | Path,
    choices: dict[str, str],
    progress: bool = True,
    prepared: Prepared | None = None,
) -> dict:
    """Carry out one run in `folder`; result.json holds its row at all times.

    Args:
        config: The composed config as plain containers.
        folder: Where the run writes. It must not hold another run.
        choices: Name of the option chosen in each group, for the row.
        progress: Show a progress bar on stderr.
        prepared: What `prepare` made of the config, where that was done before.

    Returns:
        The flat result row.

    Raises:
        ValueError: If the folder already holds a run.
        RunError: If the run failed, or a file could not be written; its row says why.
        KeyboardInterrupt: If the run was interrupted; its row says so.
    """
    job = Job(config, Run(folder), choices, progress)
    job.start()
    try:
        job.build(prepare(config) if prepared is None else prepared)
        job.train()
        job.end(job.outcome)
    except KeyboardInterrupt:
        job.interrupt()
        raise
    except Exception as error:
        raise RunError(job.fail(error)) from error
    if job.row["status"] == "failed":
        raise RunError(job.row["reason"])
    return job.row


class Job:
    """One run from its first row to its last.

    Args:
        config, choices, progress: See `run`.
        run: Its folder.
    """

    def __init__(self, config: dict, run: Run, choices: dict[str, str], progress: bool):
        self.config, self.run, self.progress = config, run, progress
        self.seed, self.cores = config["seed"], config["threads"] or 1
        self.row = first_row(config, choices)
        self.model: Any = None
        self.recorder: Any = None
        self.ended = False

    def start(self) -> None:
        if len(self.run.read("history")):
            raise refusal("train", "a folder without a run", {"folder": str(self.run.folder)})
        self.started = time.perf_counter()
        self.run.write_row(self.row)

    def log(self, text: str) -> None:
        with suppress(files.WriteError):  # of an error that is about to be raised
            files.append(self.run.folder / "log.txt", text)

    @property
    def outcome(self) -> str:
        """How a run ends that nothing has stopped."""
        return "solved" if self.row["solved"] else "budget"

    def interrupt(self) -> None:
        """End as a signal ends a run."""
        with signals_held():  # a second Ctrl-C must not cost the row
            self.end("interrupted", "stopped by a signal, as Ctrl-C sends it")

    def fail(self, error: Exception) -> str:
        """End with an error; returns the line that says why."""
        line = " ".join(str(error).split()) or type(error).__name__
        self.log("".join(traceback.format_exception(error)))
        self.end("failed", line)
        return line

    def build(self, prepared: Prepared) -> None:
        """Take the parts of the run, and open what it records."""
        self.take(prepared)
        built, folder = prepared.built, self.run.folder
        board = Board(self.run.events, Disk(folder, strict=True))
        self.recorder = Recorder(folder, prepared.diagnostics, built.probe, board=board)
        text = OmegaConf.to_yaml(OmegaConf.create(self.config))
        self.recorder.board.text("config", f"```\n{text}```", 0)
        first = ("cell", "learner", "task", "seed", *entries.swept_beside(self.run.events))
        self.recorder.board.hparams(settings(self.row), RESULT, first)
        self.recorder.board.layout(self.recorder.diagnostics.values())
        self.recorder.start(self.model)

    def take(self, prepared: Prepared) -> None:
        """Take the parts of the run."""
        self.started, built = prepared.began, prepared.built
        self.task, self.trainer, self.model = built.task, built.trainer, built.model
        self.criterion, self.sets = prepared.criterion, prepared.sets
        self.parts = {name: answers.Parts(blocks) for name, blocks in self.sets.items()}
        self.kernel = self.answering()
        self._check_criterion()

        sizes = (int(np.prod(weight.shape)) for weight in self.model.trainable_variables)
        self.row.update(weights=sum(sizes))
        self.row.update(inputs=", ".join(self.task.inputs) or None)
        self.row.update(chance_loss=self.task.chance, memoryless_loss=self.task.memoryless)
        # null in the config means: what suits the task
        self.row.update({"head.activation": built.activation, "head.loss": built.loss})
        self.row.update(self._published())

    def _check_criterion(self) -> None:
        """Say which baselines meet the criterion: by meeting it a network shows nothing."""
        met = ", ".join(baselines.meeting(self.task, self.seed))
        if not met:
            return
        self.row.update(criterion_met_by=met)
        print(
            f"train: the task's criterion is met without learning, by {met}: the run will not be "
            "called solved, and uses its whole budget. A stricter task.criterion tells more, or a "
            "smaller task.tolerance where there is one",
            file=sys.stderr,
        )

    def train(self) -> None:
        """Train until the task is solved or the budget used up; measure and test at the end."""
        if note := getattr(self.trainer, "note", ""):
            print(note, file=sys.stderr, flush=True)
        self._tell("measuring, and compiling the training")
        self.recorder.measure(self.model, 0)
        with self._bar() as self.bar:
            self.trainer.run(
                self.model, self.task, self.seed, self._after_window, **self._threads()
            )
        self.recorder.measure(self.model, self.row["sequences"])
        self.test()
        if net := self.model.report().net:
            self.run.append("net", pd.DataFrame(net))

    def _threads(self) -> dict[str, int]:
        """The cores to use, for a trainer that asks for them: users' own may not."""
        known = inspect.signature(self.trainer.run).parameters
        return {"threads": self.cores} if "threads" in known else {}

    def _tell(self, what: str) -> None:
        if self.progress:
            print(what, file=sys.stderr, flush=True)

    def _bar(self) -> tqdm:
        """Make the progress bar, against the whole budget: the time left is an upper bound."""
        every: dict = {"mininterval": 0.1}
        if not sys.stderr.isatty():  # few lines in a log file
            every = {"mininterval": 30, "maxinterval": 60}
        budget, hidden = self.trainer.budget, not self.progress
        return tqdm(total=budget, unit="seq", disable=hidden, dynamic_ncols=True, **every)

    def _after_window(self) -> bool:
        with signals_held():
            return self.after_window()

    def after_window(self) -> bool:
        """Criterion, history, diagnostics and progress; True to stop."""
        report = self.model.report()  # what the learner says comes before what the predictions show
        before = self.row["sequences"]
        y, prediction, w = self.model.log.read()
        window = self.observe(y, prediction, w, report)
        self.run.append("history", pd.DataFrame([window]))
        for name in ("absolute_error", "squared_error", "recent_wrong"):
            self.recorder.board.scalar(f"training/{name}", window[name], window["sequences"])
        for name, value in report.history.items():
            self.recorder.board.scalar(f"learner/{name}", value, window["sequences"])
        self.recorder.measure(self.model, window["sequences"], before)
        self.recorder.flush()
        self.run.write_row(self.row)
        now = f"{self.criterion.label}: {window['recent_wrong']}"
        now += f", error {window['absolute_error']:.4f}"
        self.bar.set_postfix_str(now, refresh=False)
        self.bar.update(self.row["sequences"] - before)
        return self.row["solved"]

    def observe(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray, report: Report) -> dict:
        """Take in a window: bring the row up to date, and return the row of history.csv."""
        before, self.row["sequences"] = self.row["sequences"], self.row["sequences"] + len(y)
        self._check_finite(before, prediction, w)
        met = self.criterion.observe(self.task, y, prediction, w, self._evaluate)
        window = {
            "sequences": self.row["sequences"],
            "absolute_error": criteria.sequence_errors(y, prediction, w, "absolute").mean(),
            "squared_error": criteria.sequence_errors(y, prediction, w, "squared").mean(),
            "wrong": int((~self.task.correct(y, prediction, w)).sum()),
            "recent_wrong": self.criterion.recent_wrong,
            "seconds": round(self._seconds(), 3),
        }
        if met and self.row["criterion_met_by"] is None:
            self.row.update(solved=True, sequences_to_solution=self.criterion.solved_at)
        self.row["sequences_to_few_wrong"] = self.criterion.few_wrong_at
        self.row.update(report.row)
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        return {**window, **report.history}

    def end(self, status: str, reason: str | None = None) -> None:
        """Save weights, event files and picture; write the last row when all are on the disk.

        The run fails with the first file that cannot be written. Only the first call does anything.

        Raises:
            WriteError: The row cannot be written.
        """
        if self.ended:
            return
        self.ended = True
        self.parts = {}
        for save in (self._save_weights, self._close_board, self._draw):
            try:
                save(status)
            except Exception as error:
                if status != "failed":
                    status, reason = "failed", " ".join(str(error).split())
        self.row.update(status=status, reason=reason)
        self.row.update(seconds=round(self._seconds(), 1), peak_memory_mb=_peak_memory())
        self._write_last_row()

    def _write_last_row(self) -> None:
        try:
            with signals_held():
                self.run.write_row(self.row, last=True)
        except files.WriteError as error:
            before = self.row["reason"]
            raise RunError(f"{before}; {error}" if before else str(error)) from error

    def _save_weights(self, status: str) -> None:
        if self.model is None:
            return
        self.stand()
        # in memory first: h5py ends the whole process where a disk is full
        weights = _Memory()
        self.model.save_weights(weights)
        files.write(self.run.folder / weights.name, weights.getvalue(), sync=True)

    def _close_board(self, status: str) -> None:
        if self.recorder is None:
            return
        metrics = {tag: self.row[name] for tag, name in RESULT.items()}
        self.recorder.board.final(metrics, self.row["sequences"], status == "failed")
        self.recorder.close()

    def _draw(self, status: str) -> None:
        """Draw the picture. What goes wrong in drawing costs one line: the run is there."""
        if self.recorder is None or not self.row["sequences"]:
            return
        from lstmlab import report  # loads matplotlib, which training does not need

        try:
            report.picture(self.run.folder, {**self.row, "status": status})
        except OSError:
            raise
        except Exception as error:
            line = " ".join(str(error).split()) or type(error).__name__
            later = f"`lstmlab-report {self.run.folder}` draws it"
            print(f"picture: left out, {line}; {later}", file=sys.stderr)

    def _check_finite(self, before: int, prediction: np.ndarray, w: np.ndarray) -> None:
        """Raise FloatingPointError for a prediction that is not finite where it counts."""
        finite = (np.isfinite(prediction).all(axis=-1) | (w == 0)).all(axis=1)
        if finite.all():
            return
        first = before + 1 + int(np.argmin(finite))
        rate = self.row.get("optimizer.learning_rate")
        raise FloatingPointError(
            f"training: the prediction is not finite from sequence {first} on; "
            "expected finite numbers, which a smaller rate may give. "
            f"Received: optimizer.learning_rate={rate}"
        )

    def stand(self) -> None:
        """Let the model have this run's weights, if it shares the model with others."""

    def flat_weights(self) -> np.ndarray:
        """The weights of this run, one after the other."""
        return flat(self.model)

    def answering(self) -> answers.Answers | None:
        """What answers in place of the model, if kernels serve it."""
        return answers.served(self.trainer, self.model, self.cores)

    def _evaluate(self, names: list[str] | None, draw: int) -> Iterator[criteria.Judged]:
        """Yield y, prediction and w of the named sets, part by part."""
        sets = self.task.sets(self.seed, draw) if draw else self.sets
        for name in names or sets:
            if self.kernel is None or draw:
                yield from self._answered(sets[name])
            else:
                yield from self.kernel.judged(self.flat_weights(), self.parts[name])

    def _answered(self, blocks: Iterable[Sequences]) -> Iterator[criteria.Judged]:
        """Yield y, prediction and w of blocks; a kernel leaves out the steps without an error."""
        if self.kernel is not None:
            parts = (answers.part_of(*block) for block in answers.compact(blocks))
            yield from self.kernel.judged(self.flat_weights(), parts)
            return
        self.stand()
        for x, y, w in blocks:
            yield y, self.model.answers(x), w

    def test(self) -> None:
        """Judge the network on the test set, next to what it has to beat there."""
        correct, errors = np.zeros(0, bool), np.zeros(0)
        losses, simple = Losses(self.task.loss), Losses(self.task.loss)

        blocks = self.sets["test"]
        if self.kernel is not None and type(self.task).baselines is Task.baselines:
            blocks = answers.compact(blocks)

        def seen() -> Iterator[Sequences]:
            for x, y, w in blocks:
                if rules := self.task.baselines(x, w):
                    simple.add(rules, y, w)
                yield x, y, w

        for y, prediction, w in self._answered(seen()):
            error = criteria.sequence_errors(y, prediction, w, "absolute")
            correct = np.concatenate([correct, self.task.correct(y, prediction, w)])
            errors = np.concatenate([errors, error])
            losses.add({"test": prediction}, y, w)

        wrong, means = int((~correct).sum()), losses.means() | simple.means()
        self.row.update(test_size=len(correct), test_wrong=wrong, test_error=float(errors.mean()))
        self.row.update({f"{name}_loss": value for name, value in means.items()})
        self.row.update(self.task.summary(correct, means))

    def _published(self) -> dict:
        """Return the published figures of the task's first entry with this run's settings."""
        entry = matching(self.task.published, self.row)
        if entry is None:
            return {}
        columns = ("sequences", "solved", "test_wrong", "source")
        return {f"published_{name}": entry.get(name) for name in columns}

    def _seconds(self) -> float:
        return time.perf_counter() - self.started


class _Memory(io.BytesIO):
    """Where Keras saves weights to, by the name of the file that they will be."""

    name = "model.weights.h5"

    def __str__(self) -> str:
        return self.name


def settings(row: dict) -> dict:
    """Return what TensorBoard's page HParams sorts and filters by: options, seed and settings."""
    leaves = {
        name: value
        for name, value in row.items()
        if name.partition(".")[0] in (*GROUPS, "head")
        and "." in name
        and "_target_" not in name
        and "criterion" not in name
    }
    chosen = {name: row[name] for name in (*GROUPS, "experiment", "seed")}
    return {name: value for name, value in (chosen | leaves).items() if value is not None}


def _peak_memory() -> float:
    """Peak memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
