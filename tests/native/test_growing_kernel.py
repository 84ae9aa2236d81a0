"""Kernels of networks to which cells are added, against Growing in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from branches import on_demand
from composed import NO_DIAGNOSTICS
from native_cases import FEATURES, HEADS, STEPS, drawn, made_cell, made_head, told

from lstmlab import learners, results
from lstmlab.config import compose as composed
from lstmlab.learners.base import forward
from lstmlab.model import Recurrent
from lstmlab.native.engine import Engine
from lstmlab.native.growth import BEFORE, LOSS, PERIOD
from lstmlab.native.loops import Plan
from lstmlab.native.writing import LANES
from lstmlab.runs import trials
from lstmlab.runs.build import build, reopen
from lstmlab.trainers import KerasFit, Native, native
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
    assert WINDOW < last < BUDGET - 2 * WINDOW
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
SAMPLE = {
    "every step, momentum", "gates, fours", "rtrl, every third step", "crossentropy", "symbols",
    "a set",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *on_demand(MORE, SAMPLE.__contains__)])
def test_the_same_growing_as_keras(name):
    """The cells are added after the same sequence; weights agree to 1e-4 before and after."""
    inner, optimizer, *overrides = {**CASES, **MORE}[name]
    config = configured(inner, optimizer, *overrides)
    expected = Trained(config, KerasFit)
    not_vacuous(expected)
    agree(Trained(config, Native), expected)


# ---- where periods, windows and calls end


@pytest.mark.slow
@pytest.mark.parametrize("inner", [EVERY_STEP, BPTT], ids=["every step", "bptt"])
def test_calls_of_three_sequences_change_nothing(inner, monkeypatch):
    config = configured(inner, SGD)
    whole = Trained(config, Native)
    sizes = []
    monkeypatch.setattr(native, "PORTION", 3 * 4 * 4 * 5)
    monkeypatch.setattr(native._Field, "_size", _spied(native._Field._size, sizes))
    cut = Trained(config, Native)
    assert set(sizes) == {3, WINDOW % 3}
    assert cut.added == whole.added
    np.testing.assert_array_equal(cut.after, whole.after)
    np.testing.assert_array_equal(cut.prediction, whole.prediction)
    not_vacuous(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["every step", "truncated"])
def test_sequences_in_pieces_are_counted_whole(name, monkeypatch):
    inner, optimizer = {**CASES, **MORE}[name]
    config = configured(inner, optimizer, "task.p=20")
    monkeypatch.setattr("lstmlab.task.LONG", 1)
    monkeypatch.setattr("lstmlab.task.LONG_BYTES", 1)
    whole = Trained(config, Native)
    asked = []
    monkeypatch.setattr(native, "PIECE", 7)
    monkeypatch.setattr(native, "units", _spied(native.units, asked))
    pieces = Trained(config, Native)
    assert asked[0] == (3, 7)
    agree(pieces, whole)
    not_vacuous(whole)


def _spied(function, asked):
    def spied(*arguments):
        asked.append(function(*arguments))
        return asked[-1]

    return spied


# ---- many trials


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Tables of the same trials, native and by Keras."""
    tables = []
    for trainer in ("native", "keras_fit"):
        folder = tmp_path_factory.mktemp(trainer)
        config, choices = composed(
            "experiment=hs97/2a_noise_free_lag", "task.p=4", "learner.period=7",
            "learner.improvement=0.1", "trainer.window=50", "trainer.budget=1500",
            "seed=3", "trials=3", f"trainer={trainer}", *NO_DIAGNOSTICS,
        )  # fmt: skip
        trials.run(config, folder, choices, progress=False)
        tables.append(results.load(folder).set_index("seed"))
    return tables


@pytest.mark.slow
def test_rows_of_many_trials_are_those_of_keras(both):
    found, expected = both
    for name in ("cells_added_at", "sequences", "sequences_to_solution", "test_wrong", "status"):
        assert found[name].tolist() == expected[name].tolist(), name
    assert found["cells_added_at"].nunique() > 1
    assert set(found["status"]) == {"solved"}
    np.testing.assert_allclose(found["test_error"], expected["test_error"], rtol=1e-3)


@pytest.mark.slow
def test_the_state_of_each_trial_is_saved_with_its_weights(both):
    found, _ = both
    drawn = []
    for seed, row in found[1:].iterrows():  # the config of the first is written by the command
        opened = reopen(row["run"])
        state = opened.model.learner_state.read()
        assert int(state["added_at"]) == row["cells_added_at"]
        assert int(state["seen"]) == row["sequences"]
        config, _ = composed("experiment=hs97/2a_noise_free_lag", "task.p=4", f"seed={seed}")
        own = build(config).model.learner_state.read()["drawn"]
        np.testing.assert_array_equal(state["drawn"], own)
        drawn.append(np.asarray(own).tobytes())
    assert len(set(drawn)) == len(drawn) == 2


# ---- the kernel by itself


SAMPLE_OF_HEADS = ("prime offset", "softmax", "sigmoid crossentropy")


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 40])
@pytest.mark.parametrize(
    "name", on_demand((name for name in HEADS if name != "units"), SAMPLE_OF_HEADS.__contains__)
)
def test_the_error_of_a_period_against_the_head(name, scale):
    """In float64, also where outputs are 0 or 1 by rounding."""
    cell, head = made_cell("elman"), made_head(name, 4)
    plan = Plan("backward", "none", "none", readout(head), False, False, True)
    engine, rng = Engine(cell, head, plan, STEPS, STEPS), np.random.default_rng(1)
    made = drawn(rng, "marked", False)
    weights = rng.normal(size=engine.weights).astype("float32")
    weights[engine.layout.of_cell :] *= scale
    for lane in range(LANES):
        engine.put(lane, weights)
    n, inputs = made.w.shape[1], list(made.x)
    numbers = np.array([0.0, 0.0, 0.0, head.prime_offset, 1.0, 100.0, 1000.0, 0.75])
    engine.run(
        np.array([engine.address(one) for one in inputs]), made.codes, *told(made, STEPS),
        np.ones((LANES, n), bool), np.ones((n, LANES), "float32"), numbers,
    )  # fmt: skip

    parts = made_cell("elman", "float64"), made_head(name, 4, "float64")
    model = Recurrent(*parts, learners.BPTT(), FEATURES)
    native.stand(model, weights.astype("float64"))

    @tf.function(autograph=False)
    def error(x: Any, y: Any, w: Any) -> Any:
        return tf.reduce_sum(model.head.error(y, model.head(forward(model.cell, x), x), w))

    for lane in (0, 7, 15):
        parts = [part[lane].astype("float64") for part in (made.x, made.y, made.w)]
        expected = float(error(*(tf.constant(part) for part in parts)))
        assert expected > 0.1
        np.testing.assert_allclose(engine.growth.sums[PERIOD, lane], expected, rtol=1e-5)
    assert not engine.growth.sums[LOSS].any()
    assert np.isinf(engine.growth.sums[BEFORE]).all()


def test_a_state_that_a_kernel_would_misread_is_refused():
    cell, head = made_cell("elman"), made_head("sigmoid", 4)
    plan = Plan("backward", "none", "sgd", readout(head), False, False, True)
    engine = Engine(cell, head, plan, STEPS, STEPS)
    state = {"drawn": np.zeros((2, 4)), "errors": [0.0, np.inf], "seen": 0, "added_at": -1}
    with pytest.raises(ValueError, match=r"^native: drawn: expected \(4, 2\)\. Received: \(2, 4\)"):
        engine.growth.put(0, state)


def test_a_learner_within_that_no_kernel_serves():
    config = configured({"_target_": HOME + "UORO"}, SGD)
    auto = {"_target_": "lstmlab.trainers.Auto", "window": 20, "budget": 20}
    trainer = build({**config, "trainer": auto}).trainer
    assert not trainer.side_by_side
    assert trainer.note == "trainer=auto: keras_fit, since no kernel serves learner=UORO"
    served = build({**configured(BPTT, SGD), "trainer": auto}).trainer
    assert served.note == "trainer=auto: native"
