"""Kernels of networks to which cells are added, against Growing in Keras: when, and what follows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from composed import NO_DIAGNOSTICS
from native_cases import FEATURES, HEADS, STEPS, drawn, made_cell, made_head, told

from lstmlab import results
from lstmlab.config import compose as composed
from lstmlab.model import Recurrent
from lstmlab.native.engine import Engine
from lstmlab.native.growth import BEFORE, LOSS, PERIOD
from lstmlab.native.loops import Plan
from lstmlab.native.writing import LANES
from lstmlab.runs import trials
from lstmlab.runs.build import build
from lstmlab.trainers import Auto, KerasFit, Native, native
from lstmlab.trainers.native import flat
from lstmlab.trainers.served import readout

HOME = "lstmlab.learners."
EVERY_STEP = {"_target_": HOME + "Truncated1997Forward", "update_every": 1}
TRUNCATED = {"_target_": HOME + "Truncated1997"}
BPTT = {"_target_": HOME + "BPTT"}
RTRL = {"_target_": HOME + "RTRL", "update_every": 3}
GATES = {"_target_": HOME + "Truncated1997", "scope": "gates"}
ELMAN = {"_target_": HOME + "Elman"}
SGD = {"_target_": "keras.optimizers.SGD", "learning_rate": 1.0}
MOMENTUM = {"_target_": "keras.optimizers.SGD", "learning_rate": 0.3, "momentum": 0.7}
# an epsilon that does not blow up what rounding leaves of a gradient of 0
ADAM = {"_target_": "keras.optimizers.Adam", "learning_rate": 0.05, "epsilon": 0.01}
WINDOW, BUDGET = 20, 160


def configured(inner: dict, optimizer: dict, *overrides: str, seed: int = 5) -> dict:
    """Experiment 2a with a short lag, in windows that no period of 7 divides."""
    config, _ = composed(
        "experiment=hs97/2a_noise_free_lag", "task.p=4", "learner.period=7",
        "learner.improvement=0.1", f"trainer.window={WINDOW}", f"trainer.budget={BUDGET}",
        "trainer.steps_per_execution=10", f"seed={seed}", *overrides,
    )  # fmt: skip
    config["learner"]["learner"] = inner
    config["optimizer"] = optimizer
    return config


class Trained:
    """A training, and what it left: weights, predictions, and when the cells were added.

    late: The weights of the cells and from them, as they were at the beginning and at the end.
    """

    def __init__(self, config: dict, trainer: Any):
        settings = dict(config["trainer"])
        if trainer is Native:
            keep = ("window", "budget", "batch_size", "training_set", "chunk")
            settings = {name: settings[name] for name in keep}
        settings["_target_"] = f"lstmlab.trainers.{trainer.__name__}"
        built = build({**config, "trainer": settings})
        model = built.model
        self.before = flat(model)
        self.drawn = model.learner_state.variables["drawn"].numpy()
        self.added: list[int | None] = []
        logs = []

        def after_window() -> bool:
            logs.append(model.log.read())
            self.added.append(model.report().row["cells_added_at"])
            return False

        built.trainer.run(model, built.task, config["seed"], after_window)
        self.y, self.prediction, _ = (np.concatenate(of) for of in zip(*logs, strict=True))
        self.after, self.head = flat(model), model.head.kernel.numpy()
        state = model.learner_state.read()
        self.state = {name: np.asarray(state[name]) for name in ("errors", "seen", "added_at")}


def agree(found: Trained, expected: Trained) -> None:
    np.testing.assert_array_equal(found.before, expected.before)
    np.testing.assert_array_equal(found.y, expected.y)
    assert found.added == expected.added
    np.testing.assert_allclose(found.prediction, expected.prediction, atol=1e-4)
    scale = np.abs(expected.after).max()
    assert np.abs(found.after - expected.after).max() < 1e-4 * scale
    for name, value in expected.state.items():
        np.testing.assert_allclose(found.state[name], value, rtol=1e-4, err_msg=name)


def not_vacuous(expected: Trained) -> None:
    """The cells came in the midst of it, and have learned since."""
    last = expected.added[-1]
    assert last is not None
    assert 2 * WINDOW < last < BUDGET - 2 * WINDOW
    assert expected.added[0] is None
    assert np.abs(expected.head - expected.drawn).max() > 1e-3


CASES: dict[str, tuple] = {
    "every step": (EVERY_STEP, SGD),
    "bptt, momentum": (BPTT, MOMENTUM),
    "truncated, adam, pairs": (TRUNCATED, ADAM, "trainer.batch_size=2"),
}
MORE: dict[str, tuple] = {
    "every step, momentum": (EVERY_STEP, MOMENTUM),
    "every step, adam": (EVERY_STEP, ADAM),
    "truncated": (TRUNCATED, SGD),
    "bptt, pairs": (BPTT, SGD, "trainer.batch_size=2"),
    "gates, fours": (GATES, SGD, "trainer.batch_size=4", "trainer.steps_per_execution=5"),
    "rtrl, every third step": (RTRL, SGD),
    "elman": (ELMAN, SGD),
    "crossentropy": (EVERY_STEP, SGD, "head.loss=crossentropy"),
    "prime offset": (TRUNCATED, SGD, "head.prime_offset=0.1"),
    "symbols": (EVERY_STEP, SGD, "task.p=14"),
    "a set": (BPTT, MOMENTUM, "trainer.training_set=6"),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in MORE]


@pytest.mark.parametrize("name", [*CASES, *SLOW])
def test_the_same_growing_as_keras(name):
    """The cells are added after the same sequence; weights agree to 1e-4 before and after."""
    inner, optimizer, *overrides = {**CASES, **MORE}[name]
    config = configured(inner, optimizer, *overrides)
    expected = Trained(config, KerasFit)
    not_vacuous(expected)
    agree(Trained(config, Native), expected)
