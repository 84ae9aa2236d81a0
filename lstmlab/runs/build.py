"""From a config to what a run is made of, and from a finished run's folder back to its model."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import keras
from omegaconf import OmegaConf

from lstmlab import __version__, checks
from lstmlab.config import current, instantiate
from lstmlab.diagnostics.base import Probe
from lstmlab.results import Run
from lstmlab.task import Task, generator, valid_steps


class Built(NamedTuple):
    """What a config is made into. activation, loss: those of the head."""

    task: Task
    trainer: Any
    model: Any
    probe: Probe
    activation: str
    loss: str


def build(config: dict) -> Built:
    """Task, trainer, compiled model and probe. Raises ValueError for what is wrong with a setting."""
    checks.integer("train", "probe", config["probe"], why="sequences in the probe batch")
    keras.utils.set_random_seed(int(generator(config["seed"], "weights").integers(2**31)))
    task: Task = instantiate(config, "task")
    cell, learner, trainer = (
        instantiate(config, group) for group in ("cell", "learner", "trainer")
    )
    optimizer = _optimizer(config)
    settings = config.get("head") or {}
    activation, loss = (
        settings.get("activation") or task.output_activation,
        settings.get("loss") or task.loss,
    )
    head = instantiate(config, "head", outputs=task.outputs, activation=activation, loss=loss)
    model = trainer.prepare(task, cell, head, learner, optimizer)
    return Built(
        task, trainer, model, _probe(task, config["seed"], config["probe"]), activation, loss
    )


def _optimizer(config: dict):
    rate = (config.get("optimizer") or {}).get(
        "learning_rate"
    )  # Keras refuses whole numbers, and no negative ones
    if isinstance(rate, int | float) and not rate > 0:
        raise ValueError(
            f"train: expected a number > 0. Received: optimizer.learning_rate={rate!r}"
        )
    optimizer = instantiate(
        config, "optimizer", **({"learning_rate": float(rate)} if type(rate) is int else {})
    )
    try:
        float(optimizer.learning_rate)
    except Exception as error:  # whatever a schedule makes of its settings
        raise ValueError(
            f"train: expected a rate that is a number. Received: optimizer.learning_rate={rate}"
        ) from error
    return optimizer


class Reopened(NamedTuple):
    """A run as it ended: its config, result row and task, the model with its last weights, and the probe."""

    config: dict
    row: dict
    task: Task
    model: Any
    probe: Probe


def reopen(folder: str | Path) -> Reopened:
    """The model of a run that has ended, with the weights it ended with, and the probe on which it was measured.

    Raises ValueError, in one line, for a folder without a run, for a run without weights, and for one whose config or weights
    this version does not take.
    """
    run = Run(folder)
    row, settings, weights = (
        run.read_row(),
        run.folder / ".hydra" / "config.yaml",
        run.folder / "model.weights.h5",
    )
    for path, what in (
        (settings, "a run"),
        (weights, "a run that has ended and saved its weights"),
    ):
        if not path.exists():
            raise ValueError(
                f"reopen: expected a folder with {what}, {path.name}. Received: folder={str(run.folder)!r}"
            )
    try:
        config = current(cast(dict, OmegaConf.to_container(OmegaConf.load(settings), resolve=True)))
        built = build(config)
        built.model.load_weights(str(weights))
    except Exception as error:  # whatever another version, or a damaged file, makes of them
        line = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"reopen: expected a run that lstmlab {__version__} can open. Received: folder={str(run.folder)!r}, "
            f"version.lstmlab={row.get('version.lstmlab')}: {line}"
        ) from error
    return Reopened(config, row, built.task, built.model, built.probe)


def _probe(task: Task, seed: int, size: int) -> Probe:
    x, y, w = task.probe(seed, size)
    return Probe(x, y, w, valid_steps(w), task.events(x, w))
