"""Several trials of one setting: seeds seed, seed + 1, ..., each with its row and its folder.

The first trial's folder is that of the run; the others lie in its folder trials/, by their seeds.
Where the trainer takes many trials at once they learn side by side, else one after the other.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from tqdm import tqdm

from lstmlab import files
from lstmlab.learners.base import Report
from lstmlab.results import POINTER, Run, first_row, runs
from lstmlab.runs import train
from lstmlab.runs.build import Prepared, prepare
from lstmlab.runs.signals import signals_held
from lstmlab.runs.train import Job, RunError
from lstmlab.trainers.answers import Answers
from lstmlab.trainers.native import flat, stand

FLUSH = 2.0  # seconds between two writings of a trial that is not shown


def run(
    config: dict,
    folder: str | Path,
    choices: dict[str, str],
    progress: bool = True,
    prepared: Prepared | None = None,
    cores: int = 1,
) -> dict:
    """Carry out the trials that a config asks for, one or many; arguments as `train.run`.

    cores: What trials side by side may use where the config leaves `threads` open.

    Returns:
        The row of the first trial.

    Raises:
        ValueError: As `train.run`.
        RunError: Some trials failed; their rows say why.
        KeyboardInterrupt: The trials were interrupted; their rows say so.
    """
    if config["trials"] == 1:
        return train.run(config, folder, choices, progress, prepared)
    prepared = prepare(config) if prepared is None else prepared
    many = _Trials(config, Path(folder), choices, progress)
    many.threads = config["threads"] or cores
    try:
        if getattr(prepared.built.trainer, "side_by_side", False):
            many.together(prepared)
        else:
            many.in_turn(prepared)
    finally:
        many.report()  # a second Ctrl-C costs no more than this
    many.say_failures()
    return many.first.read_row()


class _Trials:
    """The trials of one setting."""

    threads = 1

    def __init__(self, config: dict, folder: Path, choices: dict[str, str], progress: bool):
        self.config, self.folder, self.choices = config, folder, choices
        self.progress, self.first = progress, Run(folder)
        self.seeds = [config["seed"] + k for k in range(config["trials"])]
        self.rows: dict[int, dict] = {}

    def _folder(self, seed: int) -> Path:
        return self.folder if seed == self.seeds[0] else self.folder / "trials" / str(seed)

    def shown(self, seed: int) -> bool:
        """Whether a trial has diagnostics, a picture and TensorBoard."""
        return seed - self.seeds[0] < self.config["trials_shown"]

    def config_of(self, seed: int) -> dict:
        config = {**self.config, "seed": seed}
        return config if self.shown(seed) else {**config, "diagnostic": {}}

    def begin(self, seed: int) -> Run:
        """Make the folder of a trial, with a config by which it can be opened, or run alone."""
        run = Run(self._folder(seed))
        if seed == self.seeds[0]:
            return run
        about, own = self.folder / ".hydra", run.folder / ".hydra"
        with files.writing(own, "folder"):
            own.mkdir(parents=True, exist_ok=True)
            if (about / "hydra.yaml").exists():
                shutil.copy(about / "hydra.yaml", own)
        alone = {**self.config_of(seed), "trials": 1}
        files.write(own / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(alone)))
        run.begin(first_row(self.config_of(seed), self.choices))
        if (self.folder / POINTER).exists():
            run.keep_events_in(self.first.events / f"s{seed}")
        return run

    # ---- one after the other

    def in_turn(self, prepared: Prepared) -> None:
        for seed in self.seeds:
            run = self.begin(seed)
            first = prepared if seed == self.seeds[0] else None
            try:
                train.run(self.config_of(seed), run.folder, self.choices, self.progress, first)
            except RunError as error:
                if self.progress:
                    print(f"seed {seed}: {error}", file=sys.stderr)

    # ---- side by side

    def together(self, prepared: Prepared) -> None:
        self.leader = _Job(self.config, self.first, self.choices, self.progress)
        self.leader.cores = self.threads
        self.leader.start()
        self.built = prepared.built
        self.state = _state(prepared.built.model.learner_state.read())
        trials = [_Trial(self, seed, prepared) for seed in self.seeds]
        trainer, built = prepared.built.trainer, prepared.built
        total = len(trials) * trainer.budget
        every: dict = {"mininterval": 0.1}
        if not sys.stderr.isatty():
            every = {"mininterval": 30, "maxinterval": 60}
        if self.progress:
            note = f"{trainer.note}; " if trainer.note else ""
            print(f"{note}{len(trials)} trials side by side", file=sys.stderr, flush=True)
        self.bar = tqdm(
            total=total, unit="seq", unit_scale=True, disable=not self.progress,
            dynamic_ncols=True, **every,
        )  # fmt: skip
        try:
            with self.bar:
                trainer.run_many(built.model, built.task, trials, self.threads)
        except KeyboardInterrupt:
            for trial in trials:
                trial.interrupt()
            raise
        except Exception as error:  # of what all have in common: the task, the kernel, the disk
            for trial in trials:
                if trial.job is not None and not trial.job.ended:
                    trial.failed(error)
            raise RunError(" ".join(str(error).split()) or type(error).__name__) from error
        for trial in trials:  # those whose budget was used up
            trial.end()

    def tell(self) -> None:
        """Bring the progress bar up to date."""
        rows = list(self.rows.values())
        solved = sum(row["solved"] for row in rows)
        going = [row["sequences"] for row in rows if row["status"] == "running"]
        where = f", at {min(going):,} to {max(going):,}" if going else ""
        said = f"{solved} of {len(self.seeds)} solved{where}"
        self.bar.set_postfix_str(said, refresh=False)

    def report(self) -> None:
        """Write the report on the trials, and draw their learning curves.

        What goes wrong in drawing costs one line: the trials are there.

        Raises:
            WriteError: A file of the report cannot be written.
        """
        if not any(run.read_row().get("sequences") for run in runs(self.folder)):
            return
        from lstmlab import report  # loads matplotlib, which training does not need

        try:
            report.write(self.folder)
        except OSError:
            raise
        except Exception as error:
            line = " ".join(str(error).split()) or type(error).__name__
            later = f"`lstmlab-report {self.folder}` draws it"
            print(f"report: left out, {line}; {later}", file=sys.stderr)

    def say_failures(self) -> None:
        rows = {seed: Run(self._folder(seed)).read_row() for seed in self.seeds}
        failed = {seed: row for seed, row in rows.items() if row["status"] == "failed"}
        if failed:
            seed, row = next(iter(failed.items()))
            raise RunError(
                f"{len(failed)} of {len(rows)} trials failed; seed {seed}: {row['reason']}"
            )


class _Job(Job):
    """The job of a trial that shares its model with others.

    Attributes:
        weights: Its own, as `flat` gives them.
        state: Entries of the learner's state, its own.
        leader: The job of the first trial, or None if it is that one.
    """

    weights: Any = None
    state: dict | None = None
    leader: Job | None = None

    def stand(self) -> None:
        if self.weights is not None:
            stand(self.model, self.weights, self.state)

    def flat_weights(self) -> np.ndarray:
        return super().flat_weights() if self.weights is None else self.weights

    def answering(self) -> Answers | None:
        return self.leader.kernel if self.leader else super().answering()

    def _check_criterion(self) -> None:
        if self.leader is None:
            super()._check_criterion()
        else:
            self.row.update(criterion_met_by=self.leader.row["criterion_met_by"])


class _Trial:
    """One trial among many, as a trainer sees it: lstmlab.trainers.native.Trial."""

    def __init__(self, trials: _Trials, seed: int, prepared: Prepared):
        self.trials, self.seed, self.prepared = trials, seed, prepared
        self.job: _Job | None = None
        self._history: list[dict] = []
        self._flushed = time.perf_counter()

    def begin(self) -> np.ndarray:
        trials, shared = self.trials, self.prepared
        if self.seed == trials.seeds[0]:
            job, weights = trials.leader, flat(trials.built.model)
        else:
            config = trials.config_of(self.seed)
            own = prepare(config)
            job = _Job(config, trials.begin(self.seed), trials.choices, progress=False)
            job.leader = trials.leader
            job.start()
            weights = flat(own.built.model)
            shared = own._replace(built=own.built._replace(model=trials.built.model))
        self.job, job.weights, job.state = job, weights, trials.state
        if trials.shown(self.seed):
            job.build(shared)
            job.stand()
            job.recorder.measure(job.model, 0)
        else:
            job.take(shared)
        trials.rows[self.seed] = job.row
        return weights

    def after_window(
        self,
        weights: np.ndarray,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        state: dict,
    ) -> bool:
        job = self.job
        assert job is not None
        job.weights, before = weights, job.row["sequences"]
        with signals_held():
            report = job.model.learner.report(job.model, state) if state else Report()
            job.state = _state(state)
            window = job.observe(y, prediction, w, report)
            self._history.append(window)
            if job.recorder is not None:
                self._record(job, window, before, report)
            if time.perf_counter() - self._flushed > FLUSH:
                self._flush()
        self.trials.bar.update(job.row["sequences"] - before)
        if job.row["solved"]:
            self.trials.bar.total -= job.trainer.budget - job.row["sequences"]
            self.end()
        self.trials.tell()
        return job.row["solved"]

    def _record(self, job: Job, window: dict, before: int, report: Report) -> None:
        for name in ("absolute_error", "squared_error", "recent_wrong"):
            job.recorder.board.scalar(f"training/{name}", window[name], window["sequences"])
        for name, value in report.history.items():
            job.recorder.board.scalar(f"learner/{name}", value, window["sequences"])
        job.stand()
        job.recorder.measure(job.model, window["sequences"], before)
        job.recorder.flush()

    def failed(self, error: Exception) -> None:
        assert self.job is not None
        self._flush()
        self.job.fail(error)

    def interrupt(self) -> None:
        if self.job is not None and not self.job.ended:
            self._flush()
            self.job.interrupt()

    def end(self) -> None:
        """Test, and write the last row."""
        job = self.job
        if job is None or job.ended:
            return
        self._flush()
        try:
            job.stand()
            if job.recorder is not None:
                job.recorder.measure(job.model, job.row["sequences"])
            job.test()
            job.end(job.outcome)
        except Exception as error:
            job.fail(error)

    def _flush(self) -> None:
        if self._history and self.job is not None:
            self.job.run.append("history", pd.DataFrame(self._history))
            self.job.run.write_row(self.job.row)
        self._history, self._flushed = [], time.perf_counter()


def _state(state: dict) -> dict:
    """What is a trial's own in the state of a learner that trials share: not the window."""
    return {name: value for name, value in state.items() if name not in ("window", "carried")}
