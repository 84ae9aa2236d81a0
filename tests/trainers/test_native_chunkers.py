"""Chunkers by kernels: change by change the same training as by Keras."""

import keras
import numpy as np
import pytest
from branches import on_demand
from oracles import randomize

from lstmlab import Head, variant
from lstmlab.config import compose as composed
from lstmlab.learners import ChunkerLevels, SequenceChunker
from lstmlab.native.chunking.engine import ChunkerEngine
from lstmlab.runs.build import build
from lstmlab.task import Task
from lstmlab.trainers import Auto, KerasFit, Native, served
from lstmlab.trainers.feed import marked
from lstmlab.trainers.native import flat

pytest.importorskip("numba")

LAG = "experiment=hs97/2a_noise_free_lag_chunker"
LEVELS = "experiment=hs97/2a_noise_free_lag_chunker_levels learner.window=20 learner.patience=1"
SETTINGS = [
    f"{LAG} task.p=6",
    f"{LAG} task.p=14 learner.distill=state learner.distill_weight=0.5 cell.units=3 head.bias=0.1",
    f"{LAG} task.p=6 task=no_local_regularities learner.distill=none learner.horizon=1 "
    "learner.threshold=0.25 cell.candidate_bias=0.1 head.bias=0.1 head.shortcuts=false",
    f"{LAG} task.p=14 learner.units=2 +optimizer.momentum=0.5 optimizer.learning_rate=1.0 "
    "cell.candidate_activation=tanh",
    f"{LAG} task.p=6 learner.judge=system cell.candidate_activation=h1997 cell.units=17",
    "experiment=chunker/stream task.lag=4 trainer.chunk=7 learner.horizon=2 cell.units=3",
    f"{LEVELS} task.p=6 learner.levels=3",
    f"{LEVELS} task.p=14 learner.improvement=0.5 learner.units=2 +optimizer.momentum=0.5 "
    "optimizer.learning_rate=1.0 learner.threshold=0.3",
    "experiment=chunker/stream_levels task.lag=4 trainer.chunk=7 learner.window=20 "
    "learner.horizon=1 cell.units=3",
]

SAMPLE = [SETTINGS[k] for k in (0, 2, 3, 5, 6, 8)]


def trained(model, trainer, task):
    """Weights before and after, predictions, and what the learner reports after each window."""
    before, predictions, rows = flat(model), [], []

    def after_window():
        rows.append(model.report().row)
        _, prediction, w = model.log.read()
        predictions.append(prediction[w > 0])
        return False

    trainer.run(model, task, 5, after_window)
    return before, flat(model), np.concatenate(predictions), rows


def assert_same(keras_fit, native, windows):
    before, after, predictions, rows = keras_fit
    native_before, native_after, native_predictions, native_rows = native
    np.testing.assert_array_equal(native_before, before)
    assert np.abs(after - before).max() > 0.01
    assert native_rows == rows
    assert len(rows) == windows
    np.testing.assert_allclose(native_predictions, predictions, atol=1e-4)
    assert np.abs(native_after - after).max() < 1e-4 * np.abs(after).max()


@pytest.mark.slow
@pytest.mark.parametrize("overrides", on_demand(SETTINGS, SAMPLE.__contains__))
def test_the_same_training_as_keras(overrides):
    found, growth = [], []
    for trainer in ("keras_fit", "native"):
        window = ["trainer.window=100", "trainer.budget=200", f"trainer={trainer}", "seed=5"]
        built = build(composed(*overrides.split(), *window)[0])
        found.append(trained(built.model, built.trainer, built.task))
        state = built.model.learner_state.read()
        if "top" in state:
            assert int(state["top"]) > 1
            growth.append({name: float(value) for name, value in state["growth"].items()})
    assert sum(value for name, value in found[0][3][0].items() if "unexpected" in name) > 0
    assert_same(*found, 2)
    assert growth[1:] == [pytest.approx(one, rel=1e-4) for one in growth[:1]]


class Padded(Task):
    """Predict the next input, and what was shown first. Sequences of 3 to 6 steps."""

    features, outputs, steps, readouts, block = 2, 3, 6, 6, 8
    output_activation = "sigmoid"

    def sample(self, rng, n):
        x, last = rng.uniform(0.2, 0.8, size=(n, 7, 2)), rng.integers(3, 7, size=n)
        w = rng.uniform(0.5, 1.5, size=(n, 6)) * (np.arange(6) < last[:, None])
        y = np.concatenate([x[:, 1:], np.repeat(x[:, :1, :1], 6, axis=1)], axis=2)
        there = (w > 0)[..., None]
        return tuple(part.astype("float32") for part in (x[:, :6] * there, y * there, w))

    def correct(self, y, prediction, w):
        return np.zeros(len(y), bool)


def prepared(trainer, learner, rate):
    """A model for Padded; its networks have random weights."""
    cell, head = variant("elman", 4, candidate_activation="sigmoid"), Head(3, "sigmoid")
    model = trainer.prepare(Padded(), cell, head, learner, keras.optimizers.SGD(rate))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if layer.trainable_variables:
            randomize(layer, rng, 1.0)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("learner", [SequenceChunker, ChunkerLevels])
def test_inputs_of_any_size_errors_of_any_weight(learner):
    found = []
    for kind in (KerasFit, Native):
        more = {"steps_per_execution": 1} if kind is KerasFit else {}
        trainer = kind(window=20, budget=100, **more)
        model = prepared(trainer, learner(horizon=2), 0.5)
        found.append(trained(model, trainer, Padded()))
    assert_same(*found, 5)


@pytest.fixture(scope="module")
def engine():
    """Of two sequences of 6 steps, and what it is given."""
    trainer = Native(window=20, budget=20)
    model = prepared(trainer, SequenceChunker(), 0.5)
    plan, _ = served.plan(model.cell, model.head, model.learner, model.optimizer, False)
    made = ChunkerEngine(model, plan, 6, 6)
    made.put(0, flat(model))
    x, y, w = Padded().sample(np.random.default_rng(0), 2)
    place, target, weight = (part[None] for part in marked(y, w, 6))
    given = {"x": x, "codes": np.zeros((1, 0, 6), "int16"), "place": place, "target": target}
    given |= {"weight": weight, "begins": np.ones((1, 2), bool)}
    return made, {**given, "rates": np.ones((2, 1), "float32"), "numbers": np.zeros(6)}


@pytest.mark.slow
def test_the_engine_takes_what_fits(engine):
    made, given = engine
    before = made.take(0)
    done, _ = made.run(**{**given, "x": np.array([made.address(given["x"])])})
    assert done == 2
    assert np.abs(made.take(0) - before).max() > 0.01
    assert made.state(0)["window"]["sequences"] == 2
    assert made.state(0)["window"]["sequences"] == 0


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"place": np.zeros((1, 2, 6), "int32")}, "place"),
        ({"place": np.zeros((1, 2, 7), "int32")}, "place"),
        ({"target": np.zeros((1, 2, 6, 2), "float32")}, "target"),
        ({"weight": np.zeros((1, 2, 6))}, "weight"),
        ({"begins": np.ones((1, 3), bool)}, "begins"),
        ({"rates": np.ones((2, 16), "float32")}, "rates"),
        ({"x": np.zeros(1, "int64")}, "x"),
    ],
)
def test_the_engine_refuses_what_a_kernel_would_misread(engine, wrong, name):
    made, given = engine
    x = np.array([made.address(given["x"])])
    with pytest.raises(ValueError, match=f"^native: {name}: expected"):
        made.run(**{**given, "x": x, **wrong})


@pytest.mark.parametrize(("lane", "weights"), [(1, 0), (0, 1)])
def test_the_engine_refuses_weights_that_are_not_its_own(engine, lane, weights):
    made, _ = engine
    with pytest.raises(ValueError, match=r"^native: put: expected lane 0 and weights \("):
        made.put(lane, np.zeros(made.weights + weights, "float32"))


def settled(overrides):
    built = build(composed(*overrides.split(), "trainer=auto")[0])
    assert isinstance(built.trainer, Auto)
    return built.trainer.note


@pytest.mark.parametrize("overrides", [LAG, f"{LAG}_levels", f"{LAG} task=no_local_regularities"])
def test_auto_takes_kernels_for_experiment_2a(overrides):
    assert settled(overrides) == "trainer=auto: native"


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("cell=vanilla", "cell.input_gate other than None"),
        ("cell.output_activation=tanh", "cell.output_activation other than linear"),
        ("cell.candidate_activation=relu", "cell.candidate_activation=relu"),
        ("head.prime_offset=0.1", "head.prime_offset=0.1"),
        ("optimizer=adam", "optimizer=Adam"),
        ("+optimizer.momentum=0.5 +optimizer.nesterov=true", "optimizer=SGD with nesterov"),
        ("trainer.batch_size=2", "trainer.batch_size=2 with changes within a batch"),
    ],
)
def test_what_no_kernel_of_a_chunker_serves(overrides, reason):
    note = settled(f"{LAG} task.p=6 {overrides}")
    assert note.startswith("trainer=auto: keras_fit, since ")
    assert reason in note


def test_a_rate_that_changes_is_left_to_keras():
    trainer = Auto(window=20, budget=20, steps_per_execution=5)
    prepared(trainer, SequenceChunker(), keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))
    assert "optimizer.learning_rate, a schedule, with learner=SequenceChunker" in trainer.note
