"""What a search may choose from, as it was typed: ranges, choices, and the seeds of every setting.

Optuna is not needed here.
"""

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, NamedTuple

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.runs.identity import OF_THE_COMMAND, parsed

SEARCH = "lstmlab.runs.search.Search"
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
OWNER = "search"
OF_ALL = ("sequences_to_solution", "solved")  # known of runs too that failed in training
MEASURED = (*OF_ALL, "sequences", "test_wrong", "test_error", "test_loss", "seconds")


class Range(NamedTuple):
    """The values that one setting may have.

    Attributes:
        typed: As it was typed.
        low, high: The bounds, both included; of a range of integers both are int.
        step: Between two values; None for every number between the bounds.
        log: Whether the logarithm is uniform.
        values: The choices, as text, instead of bounds.
    """

    typed: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    values: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it has integers only."""
        return not self.values and isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any, name: str) -> Any:
        """The value that a trial of Optuna has, or takes now."""
        if self.values:
            return trial.suggest_categorical(name, list(self.values))
        if self.whole:
            return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def short(self, value: Any) -> Any:
        """A value of Optuna as runs have it: of an interval with four digits that count."""
        if self.values or self.whole or self.step:
            return value
        if self.log:
            short = float(f"{value:.4g}")
        else:
            short = round(value, 4 - math.ceil(math.log10(self.high - self.low)))
        return min(max(short, self.low), self.high)

    def value(self, given: Any) -> Any:
        """A value as Optuna takes it, None if it is not one of these."""
        if self.values:
            return str(given) if str(given) in self.values else None
        if isinstance(given, bool) or not isinstance(given, int | float):
            return None
        steps = (given - self.low) / (self.step or 1)
        on_step = (self.step is None and not self.whole) or math.isclose(steps, round(steps))
        return given if self.low <= given <= self.high and on_step else None


class Space(NamedTuple):
    """The command line of a search.

    Attributes:
        fixed: Settings with one value, as typed.
        ranges: Name of a setting -> what it may be.
        seeds: The seed, or the seeds, that every setting is tried with, as overrides.
    """

    fixed: list[str]
    ranges: dict[str, Range]
    seeds: list[str]


def read(overrides: Iterable[str]) -> Space:
    """Sort the settings of a command line.

    Raises:
        ValueError: A range is empty, or nothing is searched.
    """
    fixed: list[str] = []
    ranges: dict[str, Range] = {}
    seeds: list[str] = []
    for one in parsed(overrides):
        name = str(one.get_key_element())
        if name == "seed" and one.is_discrete_sweep():
            seeds = [f"seed={value}" for value in one.sweep_string_iterator()]
        elif name == "seed" and one.is_sweep_override():
            expected = "seeds, as in seed=range(0,3): every setting is tried with all of them"
            raise refusal(OWNER, expected, str(one.input_line))
        elif one.is_sweep_override():
            ranges[name] = _range(one)
        else:
            fixed.append(str(one.input_line))
    if not ranges:
        expected = "a setting to search, as in optimizer.learning_rate=tag(log,interval(0.001,1))"
        raise refusal(OWNER, expected, " ".join(fixed + seeds) or "none")
    return Space(fixed, ranges, seeds)


def _range(one: Any) -> Range:
    """Read a sweep of Hydra's grammar: interval, range, or choices."""
    from hydra.core.override_parser.types import RangeSweep

    typed, given = str(one.input_line), one.value()
    if one.is_interval_sweep():
        low, high, log = given.start, given.end, "log" in given.tags
        if not low < high or (log and low <= 0):
            above = "0 < low < high for a logarithm" if log else "low < high"
            raise refusal(OWNER, f"an interval(low,high) with {above}", typed)
        return Range(typed, low, high, log=log)
    if not isinstance(given, RangeSweep):
        return Range(typed, values=tuple(map(str, one.sweep_string_iterator())))
    values = list(given.range())
    if not values:
        raise refusal(OWNER, "at least one value for each setting", typed)
    low, high = min(values), max(values)
    return Range(typed, low, high, step=abs(given.step))


def is_search(sweeper: Mapping[str, Any]) -> bool:
    """Whether the sweeper of a config is the search."""
    return sweeper.get("_target_") == SEARCH


def check(sweeper: Mapping[str, Any], overrides: Iterable[str], settings: Mapping) -> None:
    """Refuse what is wrong with a search before anything is written.

    Args:
        sweeper: The settings of the sweeper, `hydra.sweeper`.
        overrides: The settings of the runs, as they were typed.
        settings: The composed config as plain containers.

    Raises:
        ValueError: In one line.
    """
    if not is_search(sweeper):
        _check_no_interval(sweeper, overrides)
        return
    if find_spec("optuna") is None:
        expected = "Optuna, which `pip install 'lstmlab[search]'` installs"
        raise refusal("hydra/sweeper", expected, "hydra/sweeper=search")
    read(overrides)
    for name, why in (("trials", "settings to try"), ("at_once", "settings tried at a time")):
        checks.integer(OWNER, f"hydra.sweeper.{name}", sweeper[name], why=why)
    checks.integer(OWNER, "hydra.sweeper.seed", sweeper["seed"], least=0)
    for name, known in (
        ("direction", ("minimize", "maximize")),
        ("sampler", ("tpe", "random")),
    ):
        if sweeper[name] not in known:
            received = {f"hydra.sweeper.{name}": sweeper[name]}
            raise refusal(OWNER, f"one of {', '.join(known)}", received)
    _check_objective(str(sweeper["objective"]), settings)


def _check_no_interval(sweeper: Mapping[str, Any], overrides: Iterable[str]) -> None:
    for one in parsed(overrides):
        if sweeper.get("_target_") == BASIC and one.is_interval_sweep():
            expected = "several values; an interval is searched with hydra/sweeper=search"
            raise refusal("sweep", expected, str(one.input_line))


def _check_objective(objective: str, settings: Mapping) -> None:
    """Refuse a column that is not measured.

    Tasks and learners add columns that only a run shows, so that another name is refused only where
    it is nearly one of these.
    """
    received = {"hydra.sweeper.objective": objective}
    near = get_close_matches(objective, MEASURED, n=1, cutoff=0.85)
    if objective not in MEASURED and (near or "." in objective or objective in settings):
        hint = f" (nearest: {near[0]})" if near else ""
        raise refusal(OWNER, f"a column that is measured, as {', '.join(MEASURED)}{hint}", received)
    rule = (settings.get("task", {}).get("criterion") or {}).get("rule")
    if objective in OF_ALL and rule == "budget":
        expected = "a column such as test_loss, as task.criterion.rule=budget solves nothing"
        raise refusal(OWNER, expected, received)


def of_a_run(typed: Iterable[str]) -> list[str]:
    """The settings without those that are only about the command."""
    return [one for one in typed if one.lstrip("+").partition("=")[0] not in OF_THE_COMMAND]
