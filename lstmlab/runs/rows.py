"""The sweeper over jobs that are listed one by one: published rows, or those of a study."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lstmlab import checks, published
from lstmlab.errors import refusal

ROWS = "lstmlab.runs.rows.Rows"
CHOSEN = "experiment"  # what names this sweeper, and what each row sets anew
READINGS = {"all": slice(None), "first": slice(1), "last": slice(-1, None)}
OWN = "hydra/sweeper=rows"  # jobs have it too, or hydra.sweeper.rows=2c would be unknown to them


class Rows(Sweeper):
    """Sweeps over commands that are listed, and over what else is typed.

    Args:
        commands: Settings of one or several jobs each, as 'task.T=100 cell=nfg,nig'; None: those of
            the published rows.
        paper: The rows of this paper, as conf/published.csv names it.
        rows: Numbers of experiments, such as 2c, one or a list; None: all.
        methods: 'LSTM', or what a rival's name begins with, one or a list; None: all.
        readings: Of each row 'all' commands; or the 'first', the text as written where that was
            run; or the 'last'.
        settings: What all jobs have, unless their command or what is typed says something else.
        max_batch_size: See Hydra's own sweeper.

    Raises:
        ValueError: In `jobs`: no row fits, there is no such choice of readings, or rows are chosen
            where commands are given.
    """

    def __init__(
        self,
        commands: Sequence[str] | None = None,
        paper: str = "",
        rows: Any = None,
        methods: Any = None,
        readings: str = "all",
        settings: Sequence[str] = (),
        max_batch_size: int | None = None,
    ):
        # Hydra's own does all but make the jobs. It is no base class here, since Hydra loads its
        # plugins twice, and a class derived from the first one would not be one of the second.
        self.basic: Any = _basic()(max_batch_size)
        self.basic.split_arguments = self.jobs
        self.commands = commands
        self.paper, self.rows, self.methods, self.readings = paper, rows, methods, readings
        self.settings = list(settings)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.basic.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        return self.basic.sweep(arguments)

    def jobs(self, overrides: list[Any], max_batch_size: int | None) -> list[list[list[str]]]:
        """What is typed for each job, in batches."""
        if self.commands is None:
            listed = [f"{CHOSEN}={command}" for command in self._published()]
            overrides = [one for one in overrides if str(one.get_key_element()) != CHOSEN]
        else:
            chosen = {"rows": self.rows, "methods": self.methods, "readings": self.readings}
            for name, value in chosen.items():
                if value not in (None, "all"):
                    expected = "experiment=hs97/all, since this experiment lists its jobs itself"
                    raise refusal("sweep", expected, {f"hydra.sweeper.{name}": value})
            listed = list(self.commands)
        parser = OverridesParser.create()
        jobs = []
        for command in listed:
            of_row = parser.parse_overrides([*self.settings, *command.split(), OWN])
            # of two settings of one key the later one counts: what is typed has the last word
            [combined] = _basic().split_arguments([*of_row, *overrides], None)
            jobs += combined
        return list(_basic().split_overrides_to_chunks(jobs, max_batch_size))

    def _published(self) -> list[str]:
        # not in the constructor, around whose errors Hydra puts words of its own
        checks.one_of("sweep", "hydra.sweeper.readings", self.readings, READINGS)
        rows = [
            row
            for row in published.results()
            if row["paper"] == self.paper and published.readings(row)
        ]
        experiments = list(dict.fromkeys(row["experiment"] for row in rows))
        numbers = experiments if self.rows is None else _several(self.rows)
        for one in numbers or [self.rows]:
            if one not in experiments:
                expected = f"numbers of experiments: {', '.join(experiments)}"
                raise refusal("sweep", expected, {"hydra.sweeper.rows": one})
        names = [""] if self.methods is None else _several(self.methods)
        for one in names or [self.methods]:
            if not any(row["method"].startswith(str(one)) for row in rows):
                methods = dict.fromkeys(row["method"].partition(",")[0] for row in rows)
                expected = f"how a method begins: {', '.join(methods)}"
                raise refusal("sweep", expected, {"hydra.sweeper.methods": one})
        fitting = [
            row
            for row in rows
            if row["experiment"] in numbers and row["method"].startswith(tuple(names))
        ]
        found = [
            reading.command
            for row in fitting
            for reading in published.readings(row)[READINGS[self.readings]]
        ]
        if not found:
            expected = "a method that was tried in one of the experiments"
            received = {"hydra.sweeper.rows": self.rows, "hydra.sweeper.methods": self.methods}
            raise refusal("sweep", expected, received)
        return list(dict.fromkeys(found))


def check_single(sweeper: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Refuse a single run of what lists the jobs of a sweep. Raises ValueError."""
    if sweeper.get("_target_") == ROWS:
        name = choices.get(CHOSEN)
        raise refusal("sweep", f"a sweep: lstmlab -m {CHOSEN}={name}", {CHOSEN: name})


def _basic() -> Any:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    return BasicSweeper


def _several(value: Any) -> Sequence[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(one) for one in value]
    return [str(value)]
