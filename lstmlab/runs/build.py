"""Make what a config names, and open a finished run again with the weights it ended with."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import keras

from lstmlab import __version__, checks
from lstmlab.config import current, import_as, instantiate
from lstmlab.criterion import check_sets, criterion
from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.errors import refusal
from lstmlab.learners.base import Learner
from lstmlab.recording.recorder import check_diagnostics
from lstmlab.results import SETTINGS, Run
from lstmlab.runs import kept
from lstmlab.runs.settings import check_plain
from lstmlab.task import Task, generator, valid_steps

KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("a Task", lambda made: isinstance(made, Task)),
    "cell": ("a Keras cell", lambda made: hasattr(made, "state_size")),
    "learner": ("a Learner", lambda made: isinstance(made, Learner)),
    "trainer": ("a trainer", lambda made: hasattr(made, "prepare")),
    "head": ("a head", lambda made: hasattr(made, "error")),
    "optimizer": (
        "a Keras optimizer",
        lambda made: isinstance(made, keras.optimizers.Optimizer),
    ),
}


class Built(NamedTuple):
    """The parts of a run. `activation` and `loss` are those of the head."""

    task: Task
    trainer: Any
    model: Any
    probe: Probe
    activation: str
    loss: str


def build(config: dict) -> Built:
    """Make task, trainer, compiled model and probe from a composed config.

    Weights are drawn from the config's seed.

    Raises:
        ValueError: If a setting is wrong; the message is one line that names it.
    """
    if config.get("experiment"):
        header = "`# @package _global_` as the first line of its file"
        raise refusal("experiment", header, {"experiment": list(config["experiment"])})
    keras.utils.set_random_seed(int(generator(config["seed"], "weights").integers(2**31)))

    # the order counts: each part may draw random numbers
    task: Task = part(config, "task")
    cell = part(config, "cell")
    learner = part(config, "learner")
    trainer = part(config, "trainer")
    optimizer = _optimizer(config)

    settings = config.get("head") or {}
    activation = settings.get("activation") or task.output_activation
    loss = settings.get("loss") or task.loss
    suiting = {"outputs": task.outputs, "activation": activation, "loss": loss}
    head = part(config, "head", **suiting)

    model = trainer.prepare(task, cell, head, learner, optimizer)
    probe = _probe(task, config["seed"], config["probe"])
    return Built(task, trainer, model, probe, activation, loss)


class Prepared(NamedTuple):
    """All that a run needs before it writes anything: its parts, and what judges and measures.

    `began` is when making it began, by time.perf_counter.
    """

    began: float
    built: Built
    criterion: Any
    sets: dict[str, Iterable]
    diagnostics: dict[str, Any]


def prepare(config: dict) -> Prepared:
    """Make everything that a config names. Writes nothing.

    Raises:
        ValueError: As `build`, and for a criterion or a diagnostic.
    """
    check_plain(config)
    began = time.perf_counter()
    built = build(config)
    rule, sets = criterion(**built.task.criterion), built.task.sets(config["seed"])
    check_sets("train", rule, sets)

    # made after the weights are drawn: learners that a diagnostic compares may draw seeds
    return Prepared(began, built, rule, sets, diagnostics(config))


class Reopened(NamedTuple):
    """A finished run: its config, row and task, the model with its last weights, and the probe."""

    config: dict
    row: dict
    task: Task
    model: Any
    probe: Probe


def reopen(folder: str | Path) -> Reopened:
    """Open a finished run: its model with the last weights, and the probe it was measured on.

    Raises:
        ValueError: In one line: the folder holds no run, the run has no weights, or this version
        cannot use its config or weights.
    """
    run = Run(folder)
    row, settings = run.read_row(), run.folder / ".hydra" / "config.yaml"
    if (own := run.folder / SETTINGS).exists():
        settings = own
    weights = run.folder / "model.weights.h5"
    _check_there(run, settings, "a run")
    _check_there(run, weights, "a run that has ended and saved its weights")
    try:
        made_from = kept.read(run.folder)
        config = current(made_from.settings)
        # Python then finds what is not installed where the run found it
        if made_from.runtime:
            import_as(config, made_from.runtime, run.folder)
        built = build(config)
        built.model.load_weights(str(weights))
    except Exception as error:  # whatever another version, or a damaged file, leads to
        line = " ".join(str(error).split()) or type(error).__name__
        version = row.get("version.lstmlab")
        raise ValueError(
            f"reopen: expected a run that lstmlab {__version__} can open. "
            f"Received: folder={str(run.folder)!r}, version.lstmlab={version}: {line}"
        ) from error
    return Reopened(config, row, built.task, built.model, built.probe)


def _check_there(run: Run, path: Path, what: str) -> None:
    if not path.exists():
        raise refusal("reopen", f"a folder with {what}, {path.name}", {"folder": str(run.folder)})


def diagnostics(config: dict) -> dict[str, Diagnostic]:
    """Make the diagnostics that a config names; raises ValueError as `build`."""
    settings = config.get("diagnostic") or {}
    if "_target_" in settings:
        header = "`# @package diagnostic.NAME` as the first line of an option's file"
        raise refusal("diagnostic", header, {"diagnostic._target_": settings["_target_"]})
    made = instantiate(config, "diagnostic") if settings else {}
    for name, one in made.items():
        target = settings[name].get("_target_") if isinstance(settings[name], dict) else None
        if target and not isinstance(one, Diagnostic):
            named = {f"diagnostic.{name}._target_": target}
            raise refusal("diagnostic", "a Diagnostic, whose class _target_ names", named)
    check_diagnostics(made)
    return made


def part(config: dict, group: str, **more: Any) -> Any:
    """Make one part of a run; `more` are arguments beside those of the config.

    Raises:
        ValueError: In one line: a setting is wrong, or the class is not one that the group takes.
    """
    made = instantiate(config, group, **more)
    what, fits = KINDS[group]
    if not fits(made):
        target = config[group].get("_target_")
        raise refusal(group, f"{what}, whose class _target_ names", {f"{group}._target_": target})
    return made


def _optimizer(config: dict) -> Any:
    rate = (config.get("optimizer") or {}).get("learning_rate")
    checked = {}
    if isinstance(rate, int | float):  # Keras takes negative rates, and refuses integers
        checked["learning_rate"] = checks.number("train", "optimizer.learning_rate", rate, above=0)
    optimizer = part(config, "optimizer", **checked)
    try:
        float(optimizer.learning_rate)
    except Exception as error:  # whatever a schedule makes of its settings
        received = f"optimizer.learning_rate={rate}"
        raise refusal("train", "a rate that is a number", received) from error
    return optimizer


def _probe(task: Task, seed: int, size: int) -> Probe:
    x, y, w = task.probe(seed, size)
    return Probe(x, y, w, valid_steps(w), task.events(x, w))
