"""The engine native at odd and bad inputs: the right answer, another engine, or a clear refusal."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from branches import quick
from keras.src import backend

from lstmlab import Gate, GatedCell, GatedRNN, variants
from lstmlab.native.sequence import support
from lstmlab.native.sequence.kernels import Kernels
from lstmlab.native.sequence.support import of_cell

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3)).astype("float32")


def layers(units: int = 5, **settings):
    """One layer of each engine, with the same weights."""
    made = [GatedRNN(units, engine=engine, **settings) for engine in ("native", "xla")]
    for layer in made:
        layer.build(X.shape)
    made[1].set_weights(made[0].get_weights())
    return made


READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
INPUTS = {
    "float64": X.astype("float64"),
    "half": X.astype("float16"),
    "whole numbers": (10 * X).astype("int32"),
    "strided": np.repeat(X, 2, axis=1)[:, ::2],
    "transposed": np.asfortranarray(X),
    "backwards": X[::-1, ::-1, ::-1],
    "read only": READ_ONLY,
    "a list": X.tolist(),
    "one step": X[:, :1],
    "one sequence": X[:1],
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_of_every_kind(name):
    given = INPUTS[name] if name != "a list" else np.array(INPUTS[name])
    native, loop = layers(return_sequences=True)
    np.testing.assert_allclose(native(given), loop(given), atol=1e-6)


def test_no_sequences():
    native, loop = layers(return_sequences=True, return_state=True)
    none = tf.zeros((0, 6, 3))
    with tf.GradientTape() as tape:
        tape.watch(none)
        out, *states = native(none)
        loss = tf.reduce_sum(out) + sum(tf.reduce_sum(state) for state in states)
    assert out.shape == (0, 6, 5) == loop(none)[0].shape
    assert [state.shape for state in states] == [(0, 5), (0, 5)]
    weights = [weight.value for weight in native.trainable_weights]
    of_x, *others = tape.gradient(loss, [none, *weights])
    assert of_x.shape == none.shape
    assert all(not np.any(one) for one in others)


@pytest.mark.parametrize("batch", [4, 0])
@pytest.mark.parametrize("name", ["vanilla", "gru"])
def test_no_features(name, batch):
    layers = [GatedRNN(5, name, return_state=True, engine=e) for e in ("auto", "xla")]
    x, first = tf.zeros((batch, 6, 0)), tf.constant(RNG.normal(size=(batch, 5)), tf.float32)
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    found = []
    for layer in layers:
        states = [first] * len(layer.cell.state_names)
        with tf.GradientTape() as tape:
            tape.watch([x, first])
            answers = layer(x, initial_state=states)
            total = sum(tf.reduce_sum(one) for one in answers)
        weights = [weight.value for weight in layer.trainable_weights]
        of = tape.gradient(total, [x, first, *weights], unconnected_gradients="zero")
        found.append([*answers, *of])
    assert layers[0].engine_used == "native"
    assert found[0][0].shape == (batch, 5)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)


def test_nan_stays_in_its_sequence():
    native, loop = layers(return_sequences=True)
    bad = X.copy()
    bad[1, 2, 0] = np.nan
    found, expected = native(bad), loop(bad)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found[1, 2:]).all()
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)


def outputs_and_gradients(layer, x, states=None):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, initial_state=states)
        total = tf.reduce_sum(out)
    weights = [weight.value for weight in layer.trainable_weights]
    found = [out, *tape.gradient(total, [x, *weights], unconnected_gradients="zero")]
    return [one.numpy() for one in found]


def as_finite_as(native, loop, x, states=None):
    """Where the loop has a finite number native has the same; what is no number stays none."""
    found, expected = (outputs_and_gradients(layer, x, states) for layer in (native, loop))
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(expected[0]))
    for one, other in zip(found, expected, strict=True):
        finite = np.isfinite(other)
        np.testing.assert_allclose(one[finite], other[finite], atol=2e-5, rtol=2e-5)
    return expected


IN_BLOCKS = {"block_size": 2, "feedback": "all"}
HEADS = {
    "heads": 2,
    "candidate_recurrent": "block_diagonal",
    "output_activation": "linear",
    "candidate_activation": "linear",
} | {
    name: Gate(recurrent="block_diagonal") for name in ("input_gate", "forget_gate", "output_gate")
}


@pytest.mark.parametrize("name", quick(variants(), {"gru", "lstm1997", "vanilla"}.__contains__))
def test_infinite_inputs_are_as_in_the_loop(name):
    native, loop = layers(6, variant=name, return_sequences=True)
    bad = X.copy()
    bad[2, 3, 1], bad[1, 2, 0] = np.inf, -np.inf
    expected = as_finite_as(native, loop, bad)
    assert np.isfinite(expected[0][[0, 3]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "hard_sigmoid", "softplus", "softsign", "silu"])
def test_infinite_inputs_through_every_activation(activation):
    native, loop = layers(return_sequences=True, candidate_activation=activation)
    bad = X.copy()
    bad[2, 3, 1], bad[1, 2, 0] = np.inf, -np.inf
    as_finite_as(native, loop, bad)


@pytest.mark.slow
def test_infinite_inputs_of_blocks_of_two_cells():
    native, loop = layers(4, return_sequences=True, **IN_BLOCKS)
    bad = X.copy()
    bad[1, 2, 0] = np.inf
    assert np.isfinite(as_finite_as(native, loop, bad)[0]).all()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="plain"),
        pytest.param(IN_BLOCKS, id="blocks", marks=pytest.mark.slow),
        pytest.param(HEADS, id="heads", marks=pytest.mark.slow),
    ],
)
def test_infinite_inputs_among_many(settings):
    pair = [GatedRNN(4, engine=e, return_sequences=True, **settings) for e in ("native", "xla")]
    bad = RNG.normal(size=(4, 11, 70)).astype("float32")
    bad[1, 9, 3], bad[2, 0, 0] = np.inf, -np.inf
    for layer in pair:
        layer.build(bad.shape)
    pair[1].set_weights(pair[0].get_weights())
    expected = as_finite_as(*pair, bad)[0]
    assert np.isfinite(expected[[0, 3]]).all()
    assert np.isfinite(expected[1, :9]).all()


@pytest.mark.slow
def test_an_infinite_state_harms_only_what_reads_it():
    native, loop = layers(4, return_sequences=True, **HEADS)
    states = [np.zeros((4, 4), "float32") for _ in range(2)]
    states[1][2, 0] = np.inf  # of the first head
    expected = as_finite_as(native, loop, X, [tf.constant(one) for one in states])
    assert not np.isfinite(expected[0][2, :, 0]).any()
    assert np.isfinite(expected[0][2, :, 2:]).all()


def test_a_weight_of_minus_0_times_infinity_is_no_number():
    """-0.0 marks weights that are not there; one that is there is no such mark."""
    native, loop = layers(4, return_sequences=True, **IN_BLOCKS)
    for layer in (native, loop):
        layer.set_weights([np.full(one.shape, -0.0, "float32") for one in layer.get_weights()])
    bad = X.copy()
    bad[1, 2, 0] = np.inf
    expected = as_finite_as(native, loop, bad)[0]
    assert np.isnan(expected[1, 2:]).all()
    assert np.isfinite(expected[[0, 2, 3]]).all()


def test_nan_behind_a_mask_harms_no_gradient():
    [native, _] = layers()
    bad, mask = X.copy(), np.ones((4, 6), bool)
    bad[0, 4:], mask[0, 4:] = np.nan, False
    good = np.where(mask[:, :, None], X, 0)
    weights = [weight.value for weight in native.trainable_weights]
    found = []
    for x in (bad, good):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(native(x, mask=mask))
        found.append(tape.gradient(loss, weights))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("zero", [False, True])
def test_a_mask_that_is_false_everywhere(zero):
    native, loop = layers(return_sequences=True, return_state=True, zero_output_for_mask=zero)
    mask = np.zeros((4, 6), bool)
    first = [RNG.normal(size=(4, 5)).astype("float32") for _ in range(2)]
    first = [tf.constant(one) for one in first]
    out, *states = native(X, initial_state=first, mask=mask)
    assert not np.any(out)
    for state, begin in zip(states, first, strict=True):
        np.testing.assert_array_equal(state, begin)
    np.testing.assert_array_equal(out, loop(X, initial_state=first, mask=mask)[0])


def odd(x):
    return tf.sin(x)


class Own(GatedCell):
    def net(self, inputs, hidden):
        return super().net(inputs, hidden)


REFUSED = {
    "layer_normalization=True": {"layer_normalization": True},
    "float32, or engine='auto'. Received: dtype='mixed_float16'": {"dtype": "mixed_float16"},
    "float32, or engine='auto'. Received: dtype='float64'": {"dtype": "float64"},
    "candidate_activation='odd'": {"candidate_activation": odd},
    "forget_gate.activation='odd'": {"forget_gate": Gate(odd)},
    "unroll=True": {"unroll": True},
    "return_traces=False and no call of traces, or engine='auto'. Received: return_traces=True": {
        "return_traces": True
    },
    "cell='Own.net'": {"cell": Own(5)},
    "['full', 'cells', 'gates', 'block_diagonal', 'none'] with a reset gate, or engine='auto'. "
    "Received: candidate_recurrent='by_element'": {
        "variant": "gru",
        "candidate_recurrent": "by_element",
    },
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_has_no_kernel_is_refused_by_name_and_auto_takes_another_engine(told):
    settings = dict(REFUSED[told])
    cell = settings.pop("cell", 5)
    native = GatedRNN(cell, engine="native", **settings)
    with pytest.raises(ValueError, match="GatedRNN: engine='native': .*" + re.escape(told)):
        native(X)
    auto = GatedRNN(cell, **settings)
    auto(X)
    assert auto.engine_used != "native"
    assert "native does not serve this: expected " in auto.engine_reason


@pytest.mark.parametrize(
    ("name", "engine", "expected"),
    [("torch", "native", "the backends tensorflow and jax"), ("jax", "auto", "by name on jax")],
)
def test_where_other_backends_compute(name, engine, expected, monkeypatch):
    layer = GatedRNN(5, engine=engine)
    layer.build(X.shape)
    monkeypatch.setattr(support, "backend", SimpleNamespace(backend=lambda: name))
    assert expected in support.unsupported(layer, X, [], False)[0]


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_xla_compiles_models_with_the_kernels_on_jax_alone(name, monkeypatch):
    monkeypatch.setattr(backend, "backend", lambda: name)
    assert GatedRNN(5, engine="native").supports_jit == (name == "jax")
    assert GatedRNN(5).supports_jit


def test_recurrent_dropout_is_refused_in_training_alone():
    layer = GatedRNN(5, recurrent_dropout=0.5, engine="native")
    layer(X)
    assert layer.engine_used == "native"
    with pytest.raises(ValueError, match=r"recurrent_dropout=0\.5"):
        layer(X, training=True)


@pytest.mark.parametrize("engine", ["auto", "native"])
def test_traces_of_a_model_come_from_the_loop(engine):
    from lstmlab import traces

    model = keras.Sequential([keras.Input((6, 3)), GatedRNN(5, engine=engine)])
    [layer] = model.layers
    assert layer(X) is not None
    assert layer.engine_used == "native"
    [found] = traces(model, X).values()
    assert layer.engine_used == "xla"
    assert "native" in layer.engine_reason
    assert "traces" in layer.engine_reason
    np.testing.assert_allclose(found["output"][:, -1], model.predict(X, verbose=0), atol=1e-6)
    assert layer.engine_used == "native"
    assert layer.engine == engine


def test_every_variant_has_a_kernel_or_a_reason():
    from lstmlab import variant, variants

    kept = [name for name in variants() if of_cell(variant(name))]
    assert kept == []


BAD = {
    "x": (0, X.astype("float64")),
    "fewer inputs": (0, np.ascontiguousarray(X[:, :, :2])),
    "strided": (0, np.asfortranarray(X)),
    "no step": (0, X[:, :0]),
    "weights": (1, np.zeros(3, "float32")),
    "states": (2, [np.zeros((4, 5), "float32"), np.zeros((4, 6), "float32")]),
    "mask": (3, np.ones((4, 5), bool)),
    "mask of numbers": (3, np.ones((4, 6), "float32")),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_a_kernel_would_misread_are_refused_at_the_door(name):
    [native, _] = layers()
    kernels = Kernels(native.cell, 3)
    none = np.zeros((0, 0), bool)
    first = [np.zeros((4, 5), "float32")] * 2
    given = [X, np.zeros(kernels.size, "float32"), first, none, none, True]
    assert kernels.forward(*given)[0].shape == (4, 6, 5)
    place, bad = BAD[name]
    given[place] = bad
    with pytest.raises(ValueError, match=r"^native: "):
        kernels.forward(*given)
