"""A search: Optuna proposes settings, each is a job of a sweep or several, and their rows answer.

Finished jobs are skipped as in every sweep, and the study is written after each of its steps, so
that the same command goes on with a search, however it ended.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lstmlab import files
from lstmlab.errors import refusal
from lstmlab.runs import space, sweep
from lstmlab.runs.identity import identity
from lstmlab.runs.launch import Resuming
from lstmlab.runs.settings import PLAIN

if TYPE_CHECKING:
    from lstmlab.runs.study import Tried  # loads Optuna

BEST = "best.txt"


class Search(Sweeper):
    """Hydra's sweeper that searches; arguments as in conf/hydra/sweeper/search.yaml."""

    def __init__(
        self,
        trials: int,
        at_once: int,
        objective: str,
        direction: str,
        sampler: str,
        seed: int,
    ):
        self.trials, self.at_once = trials, at_once
        self.objective, self.direction = objective, direction
        self.sampler, self.seed = sampler, seed

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher."""
        self.config = self.whole = config
        self.hydra_context = hydra_context
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.launcher = self.resuming = cast(Resuming, launcher)

    def sweep(self, arguments: list[str]) -> Any:
        """Search until enough trials are closed, or the sweep is stopped."""
        from lstmlab.runs.study import Study

        self.space = space.read(arguments)
        self.folder = Path(os.path.abspath(self.whole.hydra.sweep.dir))
        OmegaConf.save(self.whole, self.folder / "multirun.yaml")
        first = self._first()
        self.study = Study(
            self.folder, self.space.ranges, self._what(), first,
            self.sampler, self.seed, self.direction,
        )  # fmt: skip
        led, number = sweep.led[-1], 0
        led.brief = True
        self._say_begin()
        while block := self.study.next(self.at_once, self.trials):
            jobs = {tried.number: self._jobs(tried.chosen) for tried in block}
            batch = list(dict.fromkeys(job for every in jobs.values() for job in every))
            self.validate_batch_is_legal(batch)
            for done in self.resuming.launch(batch, initial_job_idx=number):
                _ = done.return_value  # raises what went wrong outside of the run
            number += len(batch)
            told = [self._tell(tried, jobs[tried.number]) for tried in block]
            led.last = self._result()
            if led.stopped or not any(told):
                return

    def _what(self) -> dict[str, Any]:
        """What makes this search the search that it is."""
        names = [str(name) for name in self.whole if name != "hydra"]
        ours = OmegaConf.masked_copy(self.whole, names)
        settings = cast(dict, OmegaConf.to_container(ours, resolve=True))
        return {
            **{name: one.typed.partition("=")[2] for name, one in self.space.ranges.items()},
            "seed": ", ".join(one.partition("=")[2] for one in self.space.seeds),
            "objective": self.objective,
            "direction": self.direction,
            "hydra.sweeper.sampler": self.sampler,
            "hydra.sweeper.seed": self.seed,
            "identity of the other settings": identity({**settings, "seed": 0}),
        }

    def _first(self) -> dict[str, Any]:
        """The values as they are without a search, none if one of them is outside of its range."""
        choices = self.whole.hydra.runtime.choices
        values = {}
        for name, one in self.space.ranges.items():
            given = choices.get(name) if name in choices else OmegaConf.select(self.whole, name)
            values[name] = one.value(given)
        return values if None not in values.values() else {}

    def _jobs(self, values: dict[str, Any]) -> list[tuple[str, ...]]:
        """The jobs of a trial, one for each seed, as overrides."""
        typed = [*self.space.fixed, *_typed(values)]
        return [(*typed, seed) for seed in self.space.seeds] or [tuple(typed)]

    def _tell(self, tried: "Tried", jobs: Sequence[tuple[str, ...]]) -> bool:
        """Close a trial if all of its runs have ended by themselves; whether they have."""
        from lstmlab import results

        folders = [self.resuming.folders[job] for job in jobs]
        rows = [run.read_row() for folder in folders for run in results.runs(folder)]
        values = [of_row(row, self.objective, self.direction) for row in rows]
        expected = len(jobs) * max((int(row.get("trials") or 1) for row in rows), default=1)
        if None in values or len(values) < expected:
            return False
        tried = tried._replace(
            objective=sum(cast(list[float], values)) / len(values),
            solved=sum(row["solved"] for row in rows),
            runs=len(rows),
        )
        self.study.tell(tried)
        files.say(f"trial {tried.number + 1} of {self.trials}: {self._told(tried)}")
        return True

    def _say_begin(self) -> None:
        closed = len(self.study.closed())
        before = f"{closed} before, " if closed else ""
        files.say(
            f"search: {self.trials} trials, {before}{max(self.trials - closed, 0)} to do, "
            f"in {files.shown(self.folder)}"
        )

    def _told(self, tried: "Tried") -> str:
        """What was tried, and what came out."""
        mean = f"mean {self.objective} {tried.objective:,.6g}"
        chosen = " ".join(_typed(tried.chosen))
        return f"{chosen}, {mean}, {tried.solved} of {tried.runs} runs solved"

    def _result(self) -> str:
        """The best settings in one line, and the command for them; both are written down."""
        best, closed = self.study.best(), self.study.closed()
        if best is None:
            return ""
        self.study.write()
        typed = [*space.of_a_run(self.space.fixed), *_typed(best.chosen)]
        line = shlex.join(["lstmlab", *typed])
        files.write(self.folder / BEST, line + "\n")
        told = f"search: best of {len(closed)} trials, number {best.number + 1}: {self._told(best)}"
        if self.objective in space.OF_ALL and not any(one.solved for one in closed):
            told += "; a larger trainer.budget, or hydra.sweeper.objective=test_loss, would tell"
            told += " settings apart"
        return f"{told}\n{line}"


def of_row(row: dict, objective: str, direction: str) -> float | None:
    """What one run counts with, None if it did not end by itself.

    A run that was not solved, or failed in training, counts with its whole budget in
    `sequences_to_solution`. In another column one that failed in training is worse than all others.

    Raises:
        ValueError: The rows have no such column, or no number in it.
    """
    from lstmlab.results import FINISHED

    failed = row["status"] == "failed" and row["sequences"] > 0
    if row["status"] not in FINISHED and not failed:
        return None
    if objective == "sequences_to_solution" and not row["solved"]:
        return float(row.get("trainer.budget") or row["sequences"])
    if failed and objective not in space.OF_ALL:
        return float("inf") if direction == "minimize" else -float("inf")
    value = row.get(objective)
    if not isinstance(value, int | float):
        known = [name for name in row if "." not in name and name not in PLAIN]
        numbers = [name for name in known if isinstance(row[name], int | float)]
        expected = f"a column with a number, one of {', '.join(numbers)}"
        raise refusal(space.OWNER, expected, {"hydra.sweeper.objective": objective})
    return float(value)


def _typed(values: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]
