"""The study of a search: which settings were tried, what came out, and which are next. Optuna.

It lies in one SQLite file. A trial that was asked for and has no value yet is open; however the
search ended, the next one begins with the open trials.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import optuna
import pandas as pd
import sqlalchemy
from optuna.trial import FrozenTrial, Trial, TrialState

from lstmlab import files
from lstmlab.errors import refusal
from lstmlab.runs.space import OWNER, Range

FILE = "search.sqlite"
TABLE = "search.csv"
NAME = "search"
WHAT = "what"  # attribute of the study: what is searched


class Tried(NamedTuple):
    """One trial.

    Attributes:
        number: From 0 on.
        chosen: Name of a setting -> its value.
        objective: What came out; NaN while the trial is open.
        solved, runs: How many of how many runs were solved.
    """

    number: int
    chosen: dict[str, Any]
    objective: float = math.nan
    solved: int = 0
    runs: int = 0


class Study:
    """The study in a folder, which is made if there is none.

    Args:
        folder: The sweep's folder, which this process leads.
        ranges: What may be chosen.
        what: What else makes this search the search that it is; another one is refused.
        first: Values of the first trial, or none.
        sampler: The sampler, 'tpe' or 'random', and its `seed`.
        direction: 'minimize' or 'maximize'.

    Raises:
        ValueError: The folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        ranges: Mapping[str, Range],
        what: Mapping[str, Any],
        first: Mapping[str, Any],
        sampler: str,
        seed: int,
        direction: Any,
    ):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.ranges = folder, ranges
        self.sampler, self.seed = sampler, seed
        url = sqlalchemy.URL.create("sqlite", database=str(folder / FILE)).render_as_string()
        with files.writing(folder / FILE):
            self.study = optuna.create_study(
                storage=url, study_name=NAME, direction=direction, load_if_exists=True
            )
        self._check_same(what)
        if first and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(dict(first))
        self.asked: dict[int, Trial] = {}  # by this process

    def _check_same(self, what: Mapping[str, Any]) -> None:
        mine = json.loads(json.dumps(what))
        theirs = self.study.user_attrs.get(WHAT)
        if theirs is None:
            self.study.set_user_attr(WHAT, mine)
            return
        for name in {**theirs, **mine}:
            if theirs.get(name) != mine.get(name):
                expected = (
                    f"{name}={theirs.get(name)!r}, as the search in {files.shown(self.folder)} "
                    "has it; sweep=NAME begins another"
                )
                raise refusal(OWNER, expected, {name: mine.get(name)})

    def next(self, at_once: int, until: int) -> list[Tried]:
        """Ask for trials that are tried at the same time; none if there are enough.

        Trials come in blocks of `at_once`. Of a block that was broken off the open ones come again,
        with those that had not been asked for.

        Args:
            at_once: Trials in a block.
            until: Trials in all.
        """
        begun = [one for one in self._trials() if one.state != TrialState.WAITING]
        left = [
            one for one in begun if one.state == TrialState.RUNNING and one.number not in self.asked
        ]
        block = (left[0].number if left else len(begun)) // at_once
        again = [
            self._tried(
                Trial(self.study, one._trial_id)
            )  # Optuna has no public way back to a trial
            for one in left
            if one.number // at_once == block
        ]
        new = range(len(begun), min((block + 1) * at_once, until))
        return again + [self._ask(number, at_once) for number in new]

    def _ask(self, number: int, at_once: int) -> Tried:
        # a seed for each trial: a search that goes on then does what it would have done
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "random":
            self.study.sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            self.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=at_once > 1)
        return self._tried(self.study.ask())

    def _tried(self, trial: Trial) -> Tried:
        self.asked[trial.number] = trial
        given = {name: one.suggest(trial, name) for name, one in self.ranges.items()}
        return Tried(trial.number, self._chosen(given))

    def _chosen(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: one.short(given[name]) for name, one in self.ranges.items()}

    def tell(self, tried: Tried) -> None:
        """Close a trial with what came out."""
        trial = self.asked[tried.number]
        trial.set_user_attr("solved", tried.solved)
        trial.set_user_attr("runs", tried.runs)
        self.study.tell(trial, tried.objective)

    def closed(self) -> list[Tried]:
        """The trials that have an objective."""
        return [
            Tried(
                one.number,
                self._chosen(one.params),
                cast(float, one.value),
                **one.user_attrs,
            )
            for one in self._trials()
            if one.state == TrialState.COMPLETE
        ]

    def best(self) -> Tried | None:
        """The trial with the best objective, the first of equal ones; None if there is none."""
        sign = -1 if self.study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        return min(self.closed(), key=lambda one: sign * one.objective, default=None)

    def write(self) -> None:
        """Write the trials as a table. Raises WriteError."""
        rows = [
            {
                "trial": one.number + 1,
                "objective": one.objective,
                "solved": one.solved,
                "runs": one.runs,
                **one.chosen,
            }
            for one in self.closed()
        ]
        files.write(self.folder / TABLE, pd.DataFrame(rows).to_csv(index=False))

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)
