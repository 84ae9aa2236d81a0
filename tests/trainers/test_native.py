"""Native: the same training as KerasFit, change by change, for many trials at once."""

import keras
import numpy as np
import pytest
from branches import on_demand

from lstmlab import Gate, GatedCell, Head, learners
from lstmlab.config import compose as composed
from lstmlab.runs.build import build
from lstmlab.task import Task
from lstmlab.trainers import Auto, KerasFit, Native, native
from lstmlab.trainers.native import flat

pytest.importorskip("numba")

QUICK = [  # the others are `slow`
    "task.T=24",
    "experiment=hs97/1_embedded_reber_rtrl_3",
]
MORE = [
    "experiment=hs97/1_embedded_reber_elman",
    "cell=gru learner=bptt task=temporal_order trainer.batch_size=4 trainer.steps_per_execution=5",
    "cell=peephole learner=truncated1997_forward +learner.update_every=7 task.T=24",
    "experiment=hs97/2c_very_long_lag task.q=30 task.p=30",
    "experiment=hs97/3a_two_sequence",
    # at a rate of 0.5 a difference of 1e-7 grows to 0.6 within 100 changes
    "task=continual_embedded_reber learner=truncated1997_forward cell=lstm2000 trainer.chunk=50 "
    "optimizer.learning_rate=0.01",
    "task.T=24 trainer.training_set=60",
]

ON_DEMAND = [
    "cell=vanilla optimizer=adam task.T=24",
    "cell=slstm learner=truncated1997 task=embedded_reber optimizer.learning_rate=0.05",
    "experiment=hs97/1_embedded_reber",
    "experiment=hs97/6a_temporal_order",
    "optimizer=sgd_exponential optimizer.learning_rate.decay_steps=50 task.T=24",
    "experiment=hs97/2a_noise_free_lag learner=bptt task.p=20",
]


def trained(overrides, trainer):
    """Weights before and after 200 sequences, and what was predicted."""
    window = ["trainer.window=100", "trainer.budget=200", "seed=5"]
    config, _ = composed(*overrides.split(), *window)
    if trainer is Native:
        keep = ("window", "budget", "batch_size", "training_set", "chunk")
        settings = {name: config["trainer"][name] for name in keep}
        config["trainer"] = {"_target_": "lstmlab.trainers.Native", **settings}
    built = build(config)
    before, logs = flat(built.model), []

    def after_window():
        logs.append(built.model.log.read())
        return False

    built.trainer.run(built.model, built.task, config["seed"], after_window)
    y, prediction, w = (np.concatenate(parts) for parts in zip(*logs, strict=True))
    return before, flat(built.model), y[w > 0], prediction[w > 0]


@pytest.mark.parametrize(
    "overrides",
    [
        *QUICK,
        *(pytest.param(one, marks=pytest.mark.slow) for one in MORE),
        *on_demand(ON_DEMAND, ().__contains__),
    ],
)
def test_the_same_training_as_keras(overrides):
    """Same initial weights, same data; after all changes the weights agree to 1e-4."""
    before, after, y, prediction = trained(overrides, KerasFit)
    native_before, native_after, native_y, native_prediction = trained(overrides, Native)
    np.testing.assert_array_equal(native_before, before)
    np.testing.assert_array_equal(native_y, y)
    moved = np.abs(after - before).max()
    assert moved > 1e-4
    assert np.abs(native_after - after).max() < 1e-4 * np.abs(after).max()
    np.testing.assert_allclose(native_prediction, prediction, atol=1e-4)


PIECEWISE = [
    "task.T=40 trainer.batch_size=2 trainer.steps_per_execution=1",
    "cell=vanilla learner=truncated1997_forward +learner.update_every=3 task.T=30",
    "experiment=hs97/2c_very_long_lag task.q=30 task.p=20",  # symbols, and errors at every step
    "cell=elman learner=rtrl task=two_sequence optimizer.learning_rate=0.01 task.T=20",
]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", PIECEWISE)
def test_long_sequences_go_in_pieces(overrides, monkeypatch):
    """A change still comes after the whole sequence: the weights are those of whole sequences."""
    # as if memory held only one sequence, and longer ones than 7 steps were long
    monkeypatch.setattr("lstmlab.task.LONG", 1)
    monkeypatch.setattr("lstmlab.task.LONG_BYTES", 1)
    _, whole, y, prediction = trained(overrides, Native)
    monkeypatch.setattr(native, "PIECE", 7)
    asked = []
    monkeypatch.setattr(native, "units", _spied(native.units, asked))
    before, after, y_pieces, prediction_pieces = trained(overrides, Native)
    assert asked[0][0] > 2
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(y_pieces, y)
    np.testing.assert_allclose(prediction_pieces, prediction, atol=1e-5)
    np.testing.assert_allclose(after, whole, rtol=1e-4, atol=1e-6)


def _spied(function, asked):
    def spied(*arguments):
        asked.append(function(*arguments))
        return asked[-1]

    return spied


def test_back_propagation_does_not_go_in_pieces(monkeypatch):
    monkeypatch.setattr("lstmlab.task.LONG", 1)
    monkeypatch.setattr("lstmlab.task.LONG_BYTES", 1)
    monkeypatch.setattr(native, "PIECE", 7)
    config, _ = composed("task.T=40", "learner=bptt", "trainer=native")
    built = build(config)
    assert native.units(built.trainer, built.task, "backward", 0) == (1, built.task.steps)
    assert native.units(built.trainer, built.task, "traces", 0) == (7, 7)
    assert native.units(built.trainer, built.task, "traces", 3) == (8, 6)


class Echo(Task):
    """Say at the end what was shown first. Sequences of 3 to 6 steps."""

    features, outputs, steps, readouts = 1, 1, 6, 1
    output_activation = "linear"

    def sample(self, rng, n):
        x = rng.uniform(-1, 1, size=(n, 6, 1)).astype("float32")
        y, w = np.zeros((n, 6, 1), "float32"), np.zeros((n, 6), "float32")
        last = rng.integers(2, 6, size=n)
        y[np.arange(n), last] = x[:, 0]
        w[np.arange(n), last] = 1
        return x, y, w

    def correct(self, y, prediction, w):
        return (np.abs(y - prediction) < 0.1).all(axis=(1, 2))


class Kept:
    """A trial that keeps what it is shown, and stops after some windows."""

    def __init__(self, seed, weights, stop=None, error_at=None):
        self.seed, self.weights, self.stop, self.error_at = seed, weights, stop, error_at
        self.windows, self.error = [], None

    def begin(self):
        return self.weights

    def after_window(self, weights, y, prediction, w, state):
        self.windows.append((weights, y, prediction, w))
        if len(self.windows) == self.error_at:
            raise FloatingPointError("not finite")
        return len(self.windows) == self.stop

    def failed(self, error):
        self.error = error


@pytest.fixture(scope="module")
def field():
    """A function that trains trials; they begin with different weights."""
    keras.utils.set_random_seed(3)
    trainer = Native(window=20, budget=100)
    cell, head = GatedCell(3), Head(1)
    model = trainer.prepare(Echo(), cell, head, learners.Truncated1997(), keras.optimizers.SGD(0.1))
    start = flat(model)

    def train(trials, threads=1):
        made = [Kept(seed, start * (1 + seed / 100), *how) for seed, *how in trials]
        trainer.run_many(model, Echo(), made, threads)
        return made

    return train


@pytest.mark.slow
def test_a_trial_does_not_depend_on_its_neighbours(field):
    """Forty trials in sixteen lanes, refilled as some stop, equal the same trials alone."""
    trials = [(seed, 1 + seed % 5) for seed in range(40)]
    together = field(trials, threads=2)
    for seed in (0, 7, 17, 39):
        (alone,) = field([trials[seed]])
        assert len(together[seed].windows) == len(alone.windows) == 1 + seed % 5
        for some, others in zip(together[seed].windows, alone.windows, strict=True):
            for one, other in zip(some, others, strict=True):
                np.testing.assert_array_equal(one, other)


def test_all_use_their_budget_where_nothing_stops_them(field):
    trials = field([(seed, None) for seed in range(18)])
    assert [len(trial.windows) for trial in trials] == [5] * 18
    weights = {trial.windows[-1][0].tobytes() for trial in trials}
    assert len(weights) == 18


def test_a_trial_that_fails_ends_alone(field):
    trials = field([(0, None), (1, None, 2), (2, None)])
    assert [len(trial.windows) for trial in trials] == [5, 2, 5]
    assert [trial.error is not None for trial in trials] == [False, True, False]


def test_an_interrupt_stops_all(field):
    class Interrupts(Kept):
        def after_window(self, *window):
            raise KeyboardInterrupt

    keras.utils.set_random_seed(3)
    trainer = Native(window=20, budget=100_000)
    args = Echo(), GatedCell(3), Head(1), learners.Truncated1997(), keras.optimizers.SGD(0.1)
    model = trainer.prepare(*args)
    others = [Kept(seed, flat(model)) for seed in range(20)]
    with pytest.raises(KeyboardInterrupt):
        trainer.run_many(model, Echo(), [*others, Interrupts(20, flat(model))], 2)
    assert max(len(trial.windows) for trial in others) < 5000


SERVED = (GatedCell(2), Head(1), learners.BPTT(), keras.optimizers.SGD(0.1))
UNSERVED = [
    ({"cell": GatedCell(2, layer_normalization=True)}, "cell.layer_normalization=true"),
    ({"cell": GatedCell(2, input_gate="softmax")}, "cell.input_gate.activation=softmax"),
    ({"cell": GatedCell(2, candidate_activation="gelu")}, "cell.candidate_activation=gelu"),
    ({"cell": GatedCell(2, kernel_regularizer="l2")}, "a regularizer of kernel"),
    ({"cell": GatedCell(2, bias_constraint="non_neg")}, "a constraint of bias"),
    ({"cell": GatedCell(2, forget_gate=Gate(np.sin))}, "cell.forget_gate.activation=sin"),
    ({"cell": keras.layers.LSTMCell(2)}, "cell=LSTMCell"),
    ({"head": Head(1, "elu")}, "head.activation=elu"),
    ({"learner": learners.UORO()}, "learner=UORO"),
    ({"learner": learners.TruncatedBPTT(3)}, "learner.horizon=3"),
    ({"optimizer": keras.optimizers.SGD(0.1, clipnorm=1.0)}, "optimizer.clipnorm=1.0"),
    ({"optimizer": keras.optimizers.Adam(amsgrad=True)}, "optimizer.amsgrad=True"),
    ({"optimizer": keras.optimizers.Nadam()}, "optimizer=Nadam"),
    (
        {"learner": learners.RTRL(update_every=1), "trainer": {"batch_size": 2}},
        "trainer.batch_size=2 with changes within a batch",
    ),
    (
        {"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))},
        "optimizer.learning_rate=CosineDecay",
    ),
]


def prepared(kind, cell=None, head=None, learner=None, optimizer=None, trainer=None):
    window = {"window": 20, "budget": 20, **(trainer or {})}
    if kind is Auto:
        window["steps_per_execution"] = 5
    made = kind(**window)
    parts = [
        one or other for one, other in zip((cell, head, learner, optimizer), SERVED, strict=True)
    ]
    made.prepare(Echo(), *parts)
    return made


@pytest.mark.parametrize(("parts", "reason"), UNSERVED, ids=[reason for _, reason in UNSERVED])
def test_what_no_kernel_serves(parts, reason):
    """Native refuses in one line that names the setting; Auto takes Keras, and says why."""
    with pytest.raises(ValueError, match="trainer=keras_fit") as refused:
        prepared(Native, **parts)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    auto = prepared(Auto, **parts)
    assert not auto.side_by_side
    assert auto.note.startswith("trainer=auto: keras_fit, since ")
    assert reason in auto.note


def test_auto_takes_kernels_where_it_can(monkeypatch):
    auto = prepared(Auto)
    assert (auto.side_by_side, auto.note) == (True, "trainer=auto: native")
    monkeypatch.setattr(native, "missing", lambda: "No module named 'numba'")
    auto = prepared(Auto)
    assert (auto.side_by_side, "No module named 'numba'" in auto.note) == (False, True)
    with pytest.raises(ValueError, match="No module named 'numba'"):
        prepared(Native)


@pytest.mark.parametrize(
    ("window", "batch", "asked", "taken"),
    [(1000, 1, 50, 50), (1000, 40, 50, 25), (500, 1, 300, 250), (21, 3, 50, 7), (7, 7, 50, 1)],
)
def test_auto_executes_as_many_steps_at_once_as_fit_into_a_window(window, batch, asked, taken):
    auto = Auto(window=window, batch_size=batch, steps_per_execution=asked)
    assert auto.steps_per_execution == taken
    with pytest.raises(ValueError, match=r"^Auto: expected a multiple of trainer\.batch_size=7"):
        Auto(window=1000, batch_size=7)
    with pytest.raises(ValueError, match=r"trainer\.steps_per_execution=0"):
        Auto(steps_per_execution=0)
