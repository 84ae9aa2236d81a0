"""The door to kernels, and the changes that they make, against Keras' optimizers and learners."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from native_cases import (
    FEATURES,
    STEPS,
    Case,
    Sequences,
    drawn,
    made_cell,
    made_head,
    pair,
    told,
)

from lstmlab import learners
from lstmlab.model import Recurrent
from lstmlab.native.engine import Engine
from lstmlab.native.kernel import Plan
from lstmlab.native.writing import LANES
from lstmlab.trainers.native import flat, stand
from lstmlab.trainers.served import plan, readout

BPTT = Case("vanilla", "bptt", "linear")
SYMBOLS = Case("lstm1997", "traces", "prime offset", symbols=True)
FUZZ = settings(max_examples=100, deadline=None, database=None, derandomize=True)
ARRAYS = ("x", "codes", "place", "target", "weight", "begins", "rates", "numbers")


class Given:
    """Arguments of Engine.run for sequences with an error at every step."""

    def __init__(self, engine: Engine, n: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        made = drawn(rng, "every", engine.plan.symbols)
        made = Sequences(*(np.concatenate([part] * 3, axis=1)[:, :n] for part in made))
        self.inputs = [np.ascontiguousarray(one) for one in made.x]  # alive until they are read
        place, target, weight = told(made, STEPS)
        self.arguments: dict[str, Any] = {
            "x": np.array([engine.address(one) for one in self.inputs], np.int64),
            "codes": np.ascontiguousarray(made.codes),
            "place": place,
            "target": target,
            "weight": weight,
            "begins": np.ones((LANES, n), bool),
            "rates": np.ones((n, LANES), "float32"),
            "numbers": np.array([0.9, 0.99, 1e-7, 0.1, 1.0, 100.0]),
        }
        for lane in range(LANES):
            engine.put(lane, rng.normal(size=engine.weights).astype("float32"))


def raised(engine: Engine, arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^native: {name}: expected") as error:
        engine.run(**arguments)
    message = str(error.value)
    assert message.startswith(f"native: {name}: expected")
    assert "\n" not in message


# ---- the door

BREAKS = {
    "a longer axis": lambda a: np.concatenate([a, a[:1]]),
    "a shorter axis": lambda a: a[:-1],
    "an axis less": lambda a: a[0] if a.ndim > 1 else a[0:0],
    "an axis more": lambda a: a[None],
    "not contiguous": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "another order": lambda a: np.asfortranarray(a) if a.ndim > 1 else a[::-1],
    "another kind": lambda a: a.astype("complex128"),
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()) if a.itemsize > 1 else a[:-1],
    "a list": lambda a: a.tolist(),
    "nothing": lambda a: None,
}


@pytest.mark.parametrize("case", [pytest.param(BPTT, marks=pytest.mark.slow), SYMBOLS], ids=str)
def test_arrays_that_a_kernel_would_misread_are_refused(case):
    engine = pair(case).engine

    @FUZZ
    @given(
        name=st.sampled_from([n for n in ARRAYS if n != ("x" if case.symbols else "codes")]),
        way=st.sampled_from(list(BREAKS)),
        n=st.integers(2, 5),
    )
    def refused(name: str, way: str, n: int) -> None:
        given = Given(engine, n)
        raised(engine, given.arguments | {name: BREAKS[way](given.arguments[name])}, name)

    refused()


@pytest.mark.slow
@FUZZ
@given(
    row=of_numpy.arrays("int32", STEPS + 1, elements=st.integers(-2, STEPS + 2)),
    lane=st.integers(0, LANES - 1),
    ordered=st.booleans(),
)
def test_places_are_refused_or_answered_rightly(row, lane, ordered):
    engine = pair(BPTT).engine
    given = Given(engine, 2)
    if ordered:
        row = np.sort(np.clip(row, 0, STEPS))
    _, everywhere = engine.run(**given.arguments)
    place = given.arguments["place"]
    place[lane, 1] = row
    used = row[row < STEPS]
    fine = row[-1] == STEPS and (row >= 0).all() and (np.diff(used) > 0).all()
    if not (fine and (row[len(used) :] == STEPS).all()):
        raised(engine, given.arguments, "place")
        return
    _, prediction = engine.run(**given.arguments)
    np.testing.assert_array_equal(prediction[lane, 1, : len(used)], everywhere[lane, 1, used])
    assert not prediction[lane, 1, len(used) :].any()
    others = np.arange(LANES) != lane
    np.testing.assert_array_equal(prediction[others], everywhere[others])


@pytest.mark.parametrize("extreme", [-(2**31), 2**31 - 1, -1, STEPS + 1])
def test_extreme_places_are_refused(extreme):
    engine = pair(BPTT).engine
    for at in (0, 2, STEPS):
        given = Given(engine, 1)
        given.arguments["place"][5, 0, at] = extreme
        raised(engine, given.arguments, "place")


@pytest.mark.slow
@FUZZ
@given(symbol=st.integers(-(2**15), 2**15 - 1), at=st.integers(0, LANES * 2 * STEPS - 1))
def test_symbols_that_are_none_are_refused(symbol, at):
    engine = pair(SYMBOLS).engine
    given = Given(engine, 2)
    given.arguments["codes"].ravel()[at] = symbol
    if 0 <= symbol < FEATURES:
        done, prediction = engine.run(**given.arguments)
        assert done == 2
        assert np.isfinite(prediction).all()
    else:
        raised(engine, given.arguments, "codes")


@pytest.mark.parametrize(
    ("name", "value"),
    [("every", -1), ("every", 0.5), ("batch", 0), ("batch", True), ("phase", -3), ("phase", None)],
)
def test_counts_that_are_none_are_refused(name, value):
    engine = pair(BPTT).engine
    given = Given(engine, 1)
    raised(engine, given.arguments | {name: value}, name)


def test_decay_needs_steps():
    engine = pair(BPTT).engine
    given = Given(engine, 1)
    given.arguments["numbers"][4:] = 0.9, 0.0
    raised(engine, given.arguments, "numbers")


@pytest.mark.slow
def test_read_only_arrays_are_read():
    engine = pair(BPTT).engine
    given = Given(engine, 2)
    _, expected = engine.run(**given.arguments)
    gradient = engine.gradient(3)
    again = Given(engine, 2)
    for array in [*again.arguments.values(), *again.inputs]:
        array.flags.writeable = False
    _, prediction = engine.run(**again.arguments)
    np.testing.assert_array_equal(prediction, expected)
    np.testing.assert_array_equal(engine.gradient(3), gradient)
    assert gradient.any()


@pytest.mark.parametrize("case", [pytest.param(BPTT, marks=pytest.mark.slow), SYMBOLS], ids=str)
def test_no_sequences_change_nothing(case):
    engine = pair(case).engine
    given = Given(engine, 0)
    before = engine.theta.copy(), engine.memory.copy()
    done, prediction = engine.run(**given.arguments)
    assert done == 0
    assert prediction.shape == (LANES, 0, STEPS, 2)
    np.testing.assert_array_equal(engine.theta, before[0])
    np.testing.assert_array_equal(engine.memory, before[1])
    assert not engine.grad.any()


def test_inputs_of_another_shape_or_kind_have_no_address():
    engine = pair(BPTT).engine
    good = np.zeros((2, STEPS, FEATURES), "float32")
    wrong = [good[:, :, :2], good[:, 1:], good.astype("float64"), good[0], np.float32(1)]
    for x in [*wrong, np.zeros((4, STEPS, FEATURES), "float32")[::2], good.tolist(), None]:
        with pytest.raises(ValueError, match=r"^native: x: expected contiguous"):
            engine.address(x)


def test_addresses_of_too_few_sequences_or_of_none_are_refused():
    engine = pair(BPTT).engine
    given = Given(engine, 2)
    raised(engine, given.arguments | {"x": given.arguments["x"] + 4}, "x")
    raised(engine, given.arguments | {"x": np.zeros(LANES, np.int64)}, "x")

    short = given.inputs[3][:1].copy()
    given.arguments["x"][3] = engine.address(short)
    raised(engine, given.arguments, "x")

    gone = engine.address(np.ones((2, STEPS, FEATURES), "float32"))
    given.arguments["x"][3] = gone
    raised(engine, given.arguments, "x")


@pytest.mark.parametrize(("steps", "readouts"), [(0, 1), (-1, 1), (2.5, 1), (3, -1), (None, 1)])
def test_sizes_of_engines_that_are_none_are_refused(steps, readouts):
    cell, head = made_cell("vanilla"), made_head("linear", 4)
    with pytest.raises(ValueError, match="expected a whole number"):
        Engine(cell, head, pair(BPTT).engine.plan, steps, readouts)


def test_put_takes_weights_of_one_lane():
    engine = pair(BPTT).engine
    for lane, weights in ((LANES, 0), (-1, 0), (0, 1), (0, -1)):
        with pytest.raises(ValueError, match=r"^native: put: expected"):
            engine.put(lane, np.zeros(engine.weights + weights, "float32"))
    weights = np.arange(engine.weights, dtype="float32")
    engine.put(7, weights)
    np.testing.assert_array_equal(engine.take(7), weights)


def test_no_errors_and_one_step():
    cell, head = made_cell("vanilla"), made_head("linear", 4)
    engine = Engine(cell, head, pair(BPTT).engine.plan, 1, 0)
    engine.put(0, np.ones(engine.weights, "float32"))
    x = np.ones((2, 1, FEATURES), "float32")
    done, prediction = engine.run(
        np.full(LANES, engine.address(x)), np.zeros((LANES, 2, 1), "int16"),
        np.ones((LANES, 2, 1), "int32"), np.zeros((LANES, 2, 0, 2), "float32"),
        np.zeros((LANES, 2, 0), "float32"), np.ones((LANES, 2), bool),
        np.ones((2, LANES), "float32"), np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
    )  # fmt: skip
    assert done == 2
    assert prediction.shape == (LANES, 2, 0, 2)
    assert not engine.grad.any()


# ---- changes of the weights

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, rho=0.8),
    "rmsprop with momentum": lambda: keras.optimizers.RMSprop(0.01, momentum=0.7),
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.85, beta_2=0.98),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_after_20_changes_against_keras_optimizers(name):
    """Keras' optimizer is given the gradients of a kernel without one, at the same weights."""
    made, learner = OPTIMIZERS[name](), learners.Truncated1997()
    cell, head = made_cell("vanilla"), made_head("sigmoid", 4)
    planned, how = plan(cell, head, learner, made, False)
    changes = Engine(cell, head, planned, STEPS, STEPS)
    finds = Engine(cell, head, planned._replace(optimizer="none"), STEPS, STEPS)
    lanes = (0, 9)
    weights = [keras.Variable(np.zeros(changes.weights, "float32")) for _ in lanes]
    optimizers = [OPTIMIZERS[name]() for _ in lanes]
    Given(changes, 1)  # puts weights into all lanes
    start = [changes.take(lane) for lane in lanes]
    for weight, first in zip(weights, start, strict=True):
        weight.assign(first)
    rates = np.full((1, LANES), float(made.learning_rate), "float32")
    for k in range(20):
        of_all = Given(finds, 1, seed=k)
        arguments = of_all.arguments | {"rates": rates, "numbers": np.array(how["numbers"])}
        for lane in range(LANES):
            finds.put(lane, changes.take(lane))
        finds.run(**arguments)
        arguments["x"] = np.array([changes.address(one) for one in of_all.inputs])
        changes.run(**arguments)
        for lane, weight, optimizer in zip(lanes, weights, optimizers, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor(finds.gradient(lane))], [weight])
    for lane, weight, first in zip(lanes, weights, start, strict=True):
        expected = np.asarray(weight)
        assert np.abs(expected - first).max() > 0.01
        assert np.abs(changes.take(lane) - expected).max() <= 1e-6 * np.abs(expected).max()


class Training:
    """A kernel and a Recurrent that learn the same sequences, two lanes of it."""

    LANES = (2, 13)

    def __init__(
        self,
        cell: str,
        head: str,
        learner: Any,
        symbols: bool = False,
        optimizer: Any = keras.optimizers.SGD,
        **of_optimizer: Any,
    ):
        self.learner, self.kind, self.of_optimizer = learner, optimizer, of_optimizer
        made, out = made_cell(cell), made_head(head, made_cell(cell).units)
        planned, how = plan(made, out, learner, self.optimizer(0.25), symbols)
        self.numbers, self.every = np.array(how["numbers"]), how["every"]
        self.engine = Engine(made, out, planned, STEPS, STEPS)
        self.names = cell, head
        self.weights = [
            (0.5 * np.random.default_rng(lane).normal(size=self.engine.weights)).astype("float32")
            for lane in range(LANES)
        ]

    def optimizer(self, rate: float) -> Any:
        return self.kind(rate, **self.of_optimizer)

    def kernel(self, made: Sequences, begins: np.ndarray, cuts: list, **how: Any) -> list:
        """Weights of the lanes after sequences, learned in several calls that end at `cuts`."""
        for lane, weights in enumerate(self.weights):
            self.engine.put(lane, weights)
        start = 0
        for stop in cuts:
            part = Sequences(*(np.ascontiguousarray(one[:, start:stop]) for one in made))
            inputs = list(part.x)
            rates = np.linspace(0.1, 0.4, LANES, dtype="float32")
            self.engine.run(
                np.array([self.engine.address(one) for one in inputs]), part.codes,
                *told(part, STEPS), np.ascontiguousarray(begins[:, start:stop]),
                np.tile(rates, (stop - start, 1)), self.numbers, self.every, phase=start, **how,
            )  # fmt: skip
            start = stop
        return [self.engine.take(lane) for lane in self.LANES]

    def keras(self, made: Sequences, begins: np.ndarray | None, batch: int, lane: int) -> Any:
        cell, head = self.names
        units = made_cell(cell).units
        model = Recurrent(made_cell(cell, "float64"), made_head(head, units, "float64"),
                          self.learner, FEATURES)  # fmt: skip
        rate = float(np.linspace(0.1, 0.4, LANES, dtype="float32")[lane])
        model.compile(optimizer=self.optimizer(rate))
        model.optimizer.build(model.trainable_variables)
        stand(model, self.weights[lane].astype("float64"))
        if begins is not None:
            model.carry(1, STEPS)
        learn = tf.function(model.learn, autograph=False)
        for k in range(0, made.w.shape[1], batch):
            parts = [tf.constant(part[lane, k : k + batch].astype("float64"))
                     for part in (made.x, made.y, made.w)]  # fmt: skip
            parts += [] if begins is None else [tf.constant(begins[lane, k : k + batch])]
            learn(*parts)
        return flat(model)

    def agree(self, streams: bool = False, batch: int = 1, n: int = 8) -> None:
        rng = np.random.default_rng(5)
        symbols = self.engine.plan.symbols
        parts = [drawn(rng, "marked", symbols) for _ in range(n // 2)]
        made = Sequences(*(np.concatenate(of, axis=1) for of in zip(*parts, strict=True)))
        begins = np.ones((LANES, n), bool)
        if streams:
            begins = rng.random((LANES, n)) < 0.4
            begins[:, 0] = True
        found = self.kernel(made, begins, [3, n], through=streams, batch=batch)
        for lane, weights in zip(self.LANES, found, strict=True):
            expected = self.keras(made, begins if streams else None, batch, lane)
            moved = np.abs(expected - self.weights[lane]).max()
            assert moved > 0.05
            assert np.abs(weights - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.slow
def test_batches():
    Training("vanilla", "sigmoid", learners.BPTT()).agree(batch=4)


FORWARD = {
    "traces": ("blocks of 2", "sigmoid", learners.Truncated1997Forward),
    "rtrl": ("elman", "sigmoid", learners.RTRL),
}


@pytest.mark.slow
@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", FORWARD)
def test_changes_within_sequences(name, streams, every):
    cell, head, learner = FORWARD[name]
    Training(cell, head, learner(update_every=every)).agree(streams)


@pytest.mark.parametrize("nesterov", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_momentum_rests_in_lanes_that_have_no_error(nesterov):
    made = learners.Truncated1997Forward(update_every=1)
    Training("vanilla", "sigmoid", made, momentum=0.5, nesterov=nesterov).agree()


# an epsilon that does not blow up what rounding leaves of a gradient of 0
ADAPTIVE = {
    "rmsprop": (keras.optimizers.RMSprop, {"rho": 0.8, "epsilon": 0.01}),
    "rmsprop with momentum": (
        keras.optimizers.RMSprop,
        {"rho": 0.8, "momentum": 0.5, "epsilon": 0.01},
    ),
    "adam": (keras.optimizers.Adam, {"beta_2": 0.9, "epsilon": 0.01}),
}


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_rules_rest_in_lanes_that_have_no_error(name, streams):
    kind, settings = ADAPTIVE[name]
    made = learners.Truncated1997Forward(update_every=1)
    Training("vanilla", "sigmoid", made, optimizer=kind, **settings).agree(streams)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True])
def test_changes_decay_along_a_sequence(streams):
    made = learners.Truncated1997Forward(update_every=1, decay=0.7, decay_steps=2)
    Training("blocks of 2", "sigmoid", made).agree(streams)


@pytest.mark.slow
def test_decay_of_whole_pieces():
    made = learners.Truncated1997Forward(decay=0.7, decay_steps=4)
    Training("blocks of 2", "sigmoid", made).agree(streams=True)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True])
def test_elman_changes_after_every_symbol(streams):
    Training("elman", "softmax", learners.Elman(), symbols=True).agree(streams)


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("streams", [False, True])
def test_shortcuts_change_after_symbols(streams, every):
    """By plain gradient descent, after every step, only those of the symbol shown."""
    made = learners.Truncated1997Forward(update_every=every, decay=0.7, decay_steps=2)
    Training("blocks of 2", "softmax, shortcuts", made, symbols=True).agree(streams)


@pytest.mark.slow
@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("cell", ["elman", "vanilla"])
def test_teacher_forcing(cell, every):
    made = learners.RTRL(update_every=every, teacher_forcing=True)
    Training(cell, "units", made).agree()
    Training(cell, "units", made).agree(streams=True)


def test_fit_takes_other_lengths_where_no_steps_are_kept():
    with pytest.raises(ValueError, match="expected a rule that keeps no steps"):
        pair(BPTT).engine.fit(STEPS + 1, 1)
    cell, head = made_cell("vanilla"), made_head("linear", 4)
    shown = readout(head)
    engine = Engine(cell, head, Plan("nothing", "none", "none", shown, False), STEPS, STEPS)
    with pytest.raises(ValueError, match="steps: expected a whole number >= 1"):
        engine.fit(0, 1)
    one = Given(engine, 2)
    engine.run(**one.arguments)
    engine.fit(3 * STEPS, STEPS)
    one.arguments["place"][one.arguments["place"] == STEPS] = 3 * STEPS
    with pytest.raises(ValueError, match="expected addresses that"):  # of shorter sequences
        engine.run(**one.arguments)
