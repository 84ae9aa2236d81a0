"""The engine "scan" against the loop over time: values, states and all gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import lstmlab
from lstmlab import Gate, GatedCell, GatedRNN, variant
from lstmlab.cells.prefix import LINEAR, MAXIMUM, over_time
from lstmlab.unroll import compiled_by_xla

N, FEATURES = 4, 3
NOTHING = Gate(recurrent="none")
LINEAR_CELLS = {
    "mingru": {"variant": "mingru"},
    "minlstm": {"variant": "minlstm"},
    "vanilla": {"feedback": "none"},
    "peephole on the new state": {"feedback": "none", "output_gate": Gate(peephole="current")},
    "no forget gate": {"feedback": "none", "forget_gate": None},
    "no input gate": {"feedback": "none", "input_gate": None},
    "coupled": {"variant": "cifg", "feedback": "none", "input_gate": Gate()},
    "janet": {"variant": "janet", "feedback": "none"},
    "ur_lstm": {"variant": "ur_lstm", "feedback": "none"},
    "lstm1997": {"variant": "lstm1997", "feedback": "none"},
    "elman": {"variant": "elman", "feedback": "none"},
    "slstm": {"variant": "slstm", "feedback": "none"},
    "slstm in blocks": {"variant": "slstm", "feedback": "none", "block_size": 2},
    "layer normalisation": {"feedback": "none", "layer_normalization": True},
    "gates fed back to nobody": {
        "feedback": "all",
        **dict.fromkeys(("input_gate", "forget_gate", "output_gate"), NOTHING),
        "candidate_recurrent": "none",
    },
    "indrnn": {"variant": "indrnn", "candidate_activation": "linear"},
    "indrnn with gates": {
        "variant": "minlstm",
        "feedback": "cells",
        "candidate_recurrent": "by_element",
        **dict.fromkeys(("input_gate", "forget_gate"), NOTHING),
    },
    "indrnn in blocks": {
        "variant": "mingru",
        "feedback": "cells",
        "candidate_recurrent": "by_element",
        "input_gate": NOTHING,
        "block_size": 2,
    },
}
SHOWN = {"return_sequences": True, "return_state": True, "return_traces": True}


def cell_of(name: str, rng, dtype="float64", **more) -> GatedCell:
    """A cell with random weights."""
    cell = GatedRNN(N, dtype=dtype, **LINEAR_CELLS[name], **more).cell
    cell.build((None, FEATURES))
    cell.built = True
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.7))
    return cell


def given_to(cell: GatedCell, rng, batch: int, steps: int, masked: bool, empty: bool) -> tuple:
    """Inputs, first states and a mask or None; empty: normalisers of 0 in half of the rows."""
    x = rng.normal(size=(batch, steps, FEATURES))
    states = [rng.normal(size=(batch, size)) for size in cell.state_size]
    for name, state in zip(cell.state_names, states, strict=True):
        if name == "normaliser":
            state[:] = np.abs(state) + 0.1
            state[:: 1 if empty else batch] = 0.0 if empty else 1.0
    mask = rng.random((batch, steps)) < 0.5 if masked else None
    return x.astype(cell.dtype), [state.astype(cell.dtype) for state in states], mask


def answer(cell: GatedCell, engine: str, x, states, mask, how=None, training=False, **flags):
    """Everything that a layer with this engine gives, and all gradients, in float64.

    how: None for an eager call, or the jit_compile of a tf.function.
    """
    layer = GatedRNN(cell, engine=engine, dtype=cell.dtype_policy, **{**SHOWN, **flags})

    def differentiated(x, states):
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            given = {"initial_state": states, "mask": mask, "training": training}
            found = tf.nest.flatten(layer(x, **given))
            rng = np.random.default_rng(0)
            directions = [tf.constant(rng.normal(size=one.shape), one.dtype) for one in found]
            number = sum(tf.reduce_sum(a * b) for a, b in zip(found, directions, strict=True))
        sources = [x, *states, *[weight.value for weight in cell.trainable_weights]]
        return found, tape.gradient(number, sources, unconnected_gradients="zero")

    if how is not None:
        differentiated = tf.function(differentiated, jit_compile=how)
    found = differentiated(tf.constant(x), [tf.constant(state) for state in states])
    assert layer.engine_used == engine
    return [np.asarray(one).astype("float64") for one in tf.nest.flatten(found)]


def equal(actual: list, expected: list, tolerance: float) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert np.linalg.norm(one - other) <= tolerance * max(1.0, np.linalg.norm(other))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(LINEAR_CELLS)),
    batch=st.integers(1, 3),
    steps=st.sampled_from([1, 2, 3, 15, 16, 17, 33]),
    masked=st.booleans(),
    empty=st.booleans(),
    backwards=st.booleans(),
    zeros=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_cell_and_call_against_the_loop(
    name, batch, steps, masked, empty, backwards, zeros, seed
):
    rng = np.random.default_rng(seed)
    cell = cell_of(name, rng)
    given_ = given_to(cell, rng, batch, steps, masked, empty)
    flags = {"go_backwards": backwards, "zero_output_for_mask": zeros}
    expected = answer(cell, "xla", *given_, **flags)
    assert np.isfinite(np.concatenate([one.ravel() for one in expected])).all()
    equal(answer(cell, "scan", *given_, **flags), expected, 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("how", [False, True])
@pytest.mark.parametrize("name", ["minlstm", "slstm", "indrnn"])
def test_compiled_against_the_eager_loop(name, how, rng):
    cell = cell_of(name, rng)
    given_ = given_to(cell, rng, 2, 19, True, True)
    equal(answer(cell, "scan", *given_, how=how), answer(cell, "xla", *given_), 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mingru", "minlstm", "vanilla", "slstm"])
def test_float32_against_the_loop_over_300_steps(name, rng):
    cell = cell_of(name, rng, "float32")
    given_ = given_to(cell, rng, 2, 300, True, False)
    exact = cell_of(name, rng)
    exact.set_weights(cell.get_weights())
    in_double = given_[0].astype("float64"), [s.astype("float64") for s in given_[1]], given_[2]
    equal(answer(cell, "scan", *given_), answer(exact, "xla", *in_double), 1e-5)


def test_the_last_output_alone(rng):
    cell = cell_of("minlstm", rng)
    given_ = given_to(cell, rng, 2, 9, True, False)
    flags = {"return_sequences": False, "return_traces": False}
    equal(answer(cell, "scan", *given_, **flags), answer(cell, "xla", *given_, **flags), 1e-11)


def test_half_precision_stays_half_and_is_near(rng):
    cell = cell_of("mingru", rng, "mixed_bfloat16")
    x = rng.normal(size=(2, 20, FEATURES)).astype("float32")
    one, other = (
        GatedRNN(cell, engine=engine, dtype="mixed_bfloat16", return_sequences=True)(x)
        for engine in ("scan", "xla")
    )
    assert one.dtype == other.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(one, "float32"), tf.cast(other, "float32"), atol=0.1)


@pytest.mark.parametrize("name", ["vanilla", "indrnn with gates"])
def test_dropout_against_the_loop_with_the_same_masks(name, rng):
    """Recurrent dropout acts where something is read back."""
    cell = cell_of(name, rng, dropout=0.4, recurrent_dropout=0.4, seed=3)
    seed, answers = cell.seed_generator.state.numpy(), {}
    given_ = given_to(cell, rng, 2, 6, False, False)
    for engine in ("scan", "xla"):
        cell.seed_generator.state.assign(seed)
        answers[engine] = answer(cell, engine, *given_, training=True)
    equal(answers["scan"], answers["xla"], 1e-11)
    assert not np.allclose(answers["scan"][0], answer(cell, "scan", *given_)[0])


@pytest.mark.slow
def test_a_number_of_steps_that_is_not_known(rng):
    cell = cell_of("minlstm", rng)
    x, _, mask = given_to(cell, rng, 2, 7, True, False)
    x = x.astype("float32")  # as `predict` makes it
    layers = [GatedRNN(cell, engine=engine, dtype="float64", **SHOWN) for engine in ("scan", "xla")]
    signature = [tf.TensorSpec([None, None, FEATURES], x.dtype), tf.TensorSpec([None, None], bool)]
    one, other = (
        tf.nest.flatten(tf.function(lambda x, m: layer(x, mask=m), signature)(x, mask))  # noqa: B023
        for layer in layers
    )
    equal([a.numpy() for a in one], [a.numpy() for a in other], 1e-11)
    inputs = keras.Input((None, FEATURES), dtype="float64")
    model = keras.Model(inputs, GatedRNN(cell, engine="scan", dtype="float64")(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), layers[1](x)[0][:, -1], rtol=1e-10)


@pytest.mark.slow
def test_stateful_bidirectional_and_traces_in_models(rng):
    """A model of stock parts trains to the same weights by either engine."""
    x = rng.normal(size=(4, 12, FEATURES)).astype("float32")
    x[:, 9:] = 0.0
    y, models = x.sum(axis=(1, 2)), {}
    for engine in ("scan", "xla"):
        keras.utils.set_random_seed(0)
        both = GatedRNN(3, "mingru", engine=engine, return_sequences=True)
        last = GatedRNN(2, "minlstm", engine=engine, stateful=True, name="last")
        inner = [keras.layers.Masking(), keras.layers.Bidirectional(both), last]
        model = keras.Sequential([keras.Input(x.shape[1:], batch_size=4), *inner])
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = [weight.copy() for weight in model.get_weights()]
        model.fit(x, y, batch_size=4, epochs=3, verbose=0)
        assert last.engine_used == engine
        assert all(np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True))
        models[engine] = model
    pairs = zip(*(model.get_weights() for model in models.values()), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(*(model.layers[2].states[0] for model in models.values()), atol=1e-5)
    one, other = (lstmlab.traces(model, x)["last"] for model in models.values())
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)


def test_second_derivatives_against_the_loop(rng):
    cell = cell_of("minlstm", rng)
    x = tf.constant(rng.normal(size=(1, 18, FEATURES)))
    second = []
    for engine in ("scan", "xla"):
        layer = GatedRNN(cell, engine=engine, dtype="float64")
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                number = tf.reduce_sum(layer(x) ** 2)
            norm = tf.reduce_sum(inner.gradient(number, x) ** 2)
        second.append(outer.gradient(norm, x).numpy())
    assert np.abs(second[1]).max() > 1e-3
    np.testing.assert_allclose(*second, atol=1e-11)


REFUSED = {
    "reads outputs": ({}, "feedback='cells', candidate_recurrent='full'"),
    "sees the old state": (
        {"feedback": "none", "input_gate": Gate(peephole="previous")},
        "input_gate.peephole='previous'",
    ),
    "squashes what it reads of itself": (
        {"variant": "indrnn"},
        "feedback='cells', candidate_recurrent='by_element'",
    ),
    "unrolled": ({"variant": "mingru", "unroll": True}, "unroll=True"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("switches", "received"), REFUSED.values(), ids=REFUSED)
def test_another_cell_is_refused_by_the_switch_and_not_taken_by_auto(switches, received, rng):
    x = rng.normal(size=(2, 5, FEATURES))
    with pytest.raises(ValueError, match="GatedRNN: engine='scan': expected ") as error:
        GatedRNN(N, engine="scan", **switches)(x)
    assert f"Received: {received}" in str(error.value)
    layer = GatedRNN(N, **switches)
    layer(x)
    assert layer.engine_used == ("xla" if layer.unroll else "native")


class Louder(GatedCell):
    def sums(self, projected, hidden):
        return super().sums(2 * projected, hidden)


def test_a_cell_that_computes_something_else_is_refused(rng):
    told = (
        r"expected a subclass that computes its steps as GatedCell, or engine='auto'\. "
        r"Received: cell='Louder\.sums'"
    )
    with pytest.raises(ValueError, match=told):
        GatedRNN(Louder(N, feedback="none"), engine="scan")(rng.normal(size=(2, 5, FEATURES)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mingru", "minlstm"])
def test_auto_takes_it_for_the_published_cells_where_native_is_not_served(name, rng):
    x = rng.normal(size=(2, 5, FEATURES))
    layer = GatedRNN(variant(name, N))
    layer(x)
    assert layer.engine_used == "native"
    wide = GatedRNN(variant(name, N, dtype="float64"))
    wide(x)
    assert wide.engine_used == "scan"


@pytest.mark.parametrize("kind", [LINEAR, MAXIMUM], ids=["linear", "maximum"])
@pytest.mark.parametrize("steps", [1, 16, 17, 256, 257, 300])
def test_the_recurrence_against_numpy_step_by_step(steps, kind, rng):
    f, a = rng.uniform(-1, 1, size=(2, 2, steps, 3))
    state, expected = rng.normal(size=(2, 3)), []
    start = state
    for t in range(steps):
        state = (
            f[:, t] * state + a[:, t] if kind is LINEAR else np.maximum(f[:, t] + state, a[:, t])
        )
        expected.append(state)
    found = over_time(*map(tf.constant, (f, a, start)), kind)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-13)


def test_it_is_known_whether_xla_compiles():
    seen = []
    for how in (False, True):
        inner = tf.function(lambda x: seen.append(compiled_by_xla()) or x)
        tf.function(lambda x: inner(x), jit_compile=how)(1.0)  # noqa: B023
    assert (seen, compiled_by_xla()) == ([False, True], False)


@pytest.mark.slow
def test_a_training_step_over_65536_steps():
    model = keras.Sequential(
        [keras.Input((65536, 2)), GatedRNN(16, "mingru", engine="scan", name="memory")]
    )
    model.add(keras.layers.Dense(1))
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(1, 65536, 2)).astype("float32")
    before = model.get_weights()
    history = model.fit(x, np.ones((1, 1)), verbose=0)
    assert model.get_layer("memory").engine_used == "scan"
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True))
