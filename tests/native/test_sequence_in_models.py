"""The engine native in Keras models: beside Keras' own layers, in fit, in threads and processes."""

import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import GatedRNN

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 7, 3)).astype("float32")
LENGTHS = np.arange(7) < np.array([7, 3, 1, 0, 5, 2])[:, None]
HOLES = RNG.random((6, 7)) < 0.6


def as_weights_of(theirs, ours, layer, gradients):
    """Gradients as weights of our layer: those of a GRU of Keras lie otherwise."""
    if layer is ours or isinstance(theirs, keras.layers.LSTM):
        return gradients
    carrier = type(theirs).from_config(theirs.get_config())
    carrier.build(X.shape)
    kernel, recurrent, bias = (one.numpy() for one in gradients)
    bias[1, : 2 * theirs.units] = 0  # of both gates only the sum of two biases counts
    carrier.set_weights([kernel, recurrent, bias])
    return GatedRNN.from_keras(carrier).get_weights()


@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
@pytest.mark.parametrize("mask", [None, LENGTHS, HOLES], ids=["none", "lengths", "holes"])
@pytest.mark.parametrize("every", [True, False])
def test_as_the_layer_of_keras(kind, mask, every):
    theirs = kind(9, return_sequences=every, return_state=True)
    theirs.build(X.shape)
    for weight in theirs.weights:
        weight.assign(RNG.normal(size=weight.shape) * 0.5)
    ours = GatedRNN.from_keras(theirs, engine="native")
    states = (
        [tf.constant(RNG.normal(size=(6, 9)), tf.float32) for _ in theirs.cell.state_size]
        if isinstance(theirs.cell.state_size, list)
        else [tf.constant(RNG.normal(size=(6, 9)), tf.float32)]
    )
    x = tf.constant(X)
    given, answers = None if mask is None else tf.constant(mask), []
    for layer in (theirs, ours):
        # called otherwise, keras.layers.LSTM drops a mask that meets an initial state
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = layer.call(x, initial_state=states, mask=given)
            loss = sum(tf.reduce_sum(tf.sin(one + number)) for number, one in enumerate(found))
        weights = [weight.value for weight in layer.trainable_weights]
        of_x, *of_weights = tape.gradient(loss, [x, *weights])
        answers.append([*found, of_x, *as_weights_of(theirs, ours, layer, of_weights)])
    assert ours.engine_used == "native"
    assert len(answers[0]) == len(answers[1])
    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5 * max(np.abs(one).max(), 0.1))


def stranger(engine: str) -> keras.Model:
    """A model that a stranger might build."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Masking(),
            keras.layers.Bidirectional(GatedRNN(8, return_sequences=True, engine=engine)),
            GatedRNN(5, dropout=0.2, seed=3, engine=engine),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def sequences(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, 9, 3)).astype("float32")
    x[np.arange(9) >= rng.integers(3, 10, size=(count, 1))] = 0
    return x, x.sum(axis=(1, 2))[:, None] / 3


@pytest.mark.slow
def test_a_bidirectional_stacked_masked_model_learns_the_same():
    x, y = sequences()
    losses = []
    for engine in ("auto", "xla"):
        model = stranger(engine)
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)  # the last batch is smaller
        history = model.fit(data, epochs=4, shuffle=False, verbose=0)
        losses.append([*history.history["loss"], model.evaluate(x, y, verbose=0)])
        used = model.layers[2].engine_used, model.layers[1].forward_layer.engine_used
        assert used == (("native",) * 2 if engine == "auto" else ("xla",) * 2)
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < 0.8 * losses[0][0]


def test_a_stateful_layer_goes_on():
    answers = []
    for engine in ("native", "xla"):
        keras.utils.set_random_seed(2)
        layer = GatedRNN(5, stateful=True, engine=engine)
        answers.append([layer(X) for _ in range(3)])
        assert not np.allclose(answers[-1][0], answers[-1][2])
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_without_a_tape_as_with_one():
    layer = GatedRNN(5, return_sequences=True, engine="native")
    with tf.GradientTape():
        layer(X)
        recorded = layer(X)
    np.testing.assert_array_equal(layer(X), recorded)


def test_a_function_that_is_differentiated_from_outside():
    layers = [GatedRNN(5, engine=engine) for engine in ("native", "xla")]
    for layer in layers:
        layer(X)
    layers[1].set_weights(layers[0].get_weights())
    found = []
    for layer in layers:
        called = tf.function(lambda x, layer=layer: tf.reduce_sum(tf.sin(layer(x))))
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = called(x)
        found.append(tape.gradient(loss, x))
    np.testing.assert_allclose(*found, atol=1e-6)
    assert np.abs(found[0]).max() > 1e-3


def test_a_persistent_tape_gives_the_same_gradient_twice():
    layer = GatedRNN(5, engine="native")
    layer(X)
    with tf.GradientTape(persistent=True) as tape:
        out = layer(X)
        first, second = tf.reduce_sum(out), tf.reduce_sum(out**2)
    weights = [weight.value for weight in layer.trainable_weights]
    once = tape.gradient(first, weights)
    other = tape.gradient(second, weights)
    for one, again, different in zip(once, tape.gradient(first, weights), other, strict=True):
        np.testing.assert_array_equal(one, again)
        assert not np.allclose(one, different)


def test_jacobians():
    x = tf.constant(X[:2])
    layers = [GatedRNN(3, engine=engine) for engine in ("native", "xla")]
    for layer in layers:
        layer(x)
    layers[1].set_weights(layers[0].get_weights())
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x)
        found.append(tape.jacobian(out, x))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_a_second_derivative_is_refused():
    layer, x = GatedRNN(3, engine="native"), tf.constant(X)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        first = inner.gradient(loss, x)
    with pytest.raises(NotImplementedError, match=r"no second derivatives.*engine='xla'"):
        outer.gradient(first, x)


def test_auto_has_second_derivatives():
    layers = [GatedRNN(3, engine=engine) for engine in ("auto", "xla")]
    for layer in layers:
        layer(X)
    layers[1].set_weights(layers[0].get_weights())
    found = []
    for layer in layers:
        x = tf.constant(X)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(layer(x) ** 2)
            penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
        found.append(outer.gradient(penalty, [x, *(weight.value for weight in layer.weights)]))
    assert layers[0].engine_used == "xla"
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(one).max() > 1e-3
    with tf.GradientTape():
        layers[0](X)
    assert layers[0].engine_used == "native"


@pytest.mark.slow
def test_a_switch_that_is_changed_afterwards_counts():
    layers = [GatedRNN(5, engine=engine) for engine in ("native", "xla")]
    for layer in layers:
        layer(X)
    layers[1].set_weights(layers[0].get_weights())
    before = np.array(layers[0](X))
    for layer in layers:
        layer.cell.output_activation = keras.activations.linear
    np.testing.assert_allclose(layers[0](X), layers[1](X), atol=1e-6)
    assert not np.allclose(layers[0](X), before, atol=1e-3)


def test_weights_that_a_wrapper_reads_as_half_precision_are_left_to_the_loop():
    inner = GatedRNN(4)
    wrapped = keras.layers.TimeDistributed(inner, dtype="mixed_float16")
    assert wrapped(X[:, :, None]).shape == (6, 7, 4)
    assert inner.engine_used == "xla"


def test_xla_gets_the_loop_and_an_explicit_native_is_refused_there():
    layer = GatedRNN(4)
    eager = layer(X)
    assert layer.engine_used == "native"
    compiled = tf.function(lambda x: layer(x), jit_compile=True)
    np.testing.assert_allclose(compiled(X), eager, atol=1e-6)
    assert layer.engine_used == "xla"
    assert layer.supports_jit

    layer.engine = "native"
    assert not layer.supports_jit
    with pytest.raises(ValueError, match="a function that XLA does not compile"):
        tf.function(lambda x: layer(x), jit_compile=True)(X)


@pytest.mark.slow
def test_a_compiled_model_trains():
    model = keras.Sequential([keras.Input((7, 3)), GatedRNN(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=True)
    model.fit(X, np.zeros((6, 1)), verbose=0)
    assert model.layers[0].engine_used == "xla"


def test_in_the_map_of_a_dataset():
    layer = GatedRNN(4)
    expected = layer(X)
    data = tf.data.Dataset.from_tensor_slices(X).batch(2)
    mapped = data.map(lambda x: layer(x), num_parallel_calls=2)
    assert layer.engine_used == "native"
    np.testing.assert_allclose(
        np.concatenate(list(mapped.as_numpy_iterator())), expected, atol=1e-6
    )


@pytest.mark.slow
def test_two_models_in_two_threads():
    x, y = sequences()

    def learn(number: int, into: dict) -> None:
        model = models[number]
        model.fit(x, y, epochs=3, shuffle=False, verbose=0)
        into[number] = model.predict(x, verbose=0)

    models = [stranger("auto"), stranger("auto")]
    weights = [model.get_weights() for model in models]
    together: dict = {}
    running = [threading.Thread(target=learn, args=(k, together)) for k in range(2)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    models = [stranger("auto"), stranger("auto")]
    for model, given in zip(models, weights, strict=True):
        model.set_weights(given)
    alone: dict = {}
    for k in range(2):
        learn(k, alone)
        np.testing.assert_allclose(together[k], alone[k], atol=1e-5)


@pytest.mark.slow
def test_an_exported_model_runs_the_loop(tmp_path):
    model = stranger("auto")
    x, _ = sequences(4)
    expected = model.predict(x, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    code = (
        "import sys, numpy, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "numpy.save(sys.argv[1] + '/answer.npy', loaded.serve(numpy.load(sys.argv[2])))"
    )
    np.save(tmp_path / "x.npy", x)
    where = [str(tmp_path / "exported"), str(tmp_path / "x.npy")]
    done = subprocess.run([sys.executable, "-c", code, *where], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = np.load(tmp_path / "exported" / "answer.npy")
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "native"])
def test_a_saved_model_in_a_process_without_numba(engine, tmp_path):
    model = stranger(engine)
    x, y = sequences(4)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy, keras, lstmlab\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "layers = model.layers[1].forward_layer, model.layers[1].backward_layer, model.layers[2]\n"
        "if layers[2].engine == 'native':\n"
        "    try:\n"
        "        model.predict(numpy.load(sys.argv[2]), verbose=0)\n"
        "    except ValueError as error:\n"
        "        assert \"expected Numba, or engine='auto'. Received: \" in str(error)\n"
        "    else:\n"
        "        raise AssertionError\n"
        "    for layer in layers:\n"
        "        layer.engine = 'auto'\n"
        "numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), verbose=0))\n"
        "print(model.layers[2].engine_used)"
    )
    where = [str(tmp_path / name) for name in ("model.keras", "x.npy", "answer.npy")]
    done = subprocess.run(
        [sys.executable, "-c", code, *where],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )
    assert done.stdout.split() == ["xla"], done.stderr[-2000:]
    assert done.stderr.count("no Numba here") == 1
    answer = np.load(tmp_path / "answer.npy")
    np.testing.assert_allclose(answer, model.predict(x, verbose=0), atol=1e-5)


FORK_OF_A_LAYER = """
import os
import numpy as np
from lstmlab import GatedRNN
from lstmlab.native.sequence import threads

threads.WORTH, threads.processors = 1, lambda: 2
layer = GatedRNN(5, engine="native")
x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
expected = np.asarray(layer(x))
child = os.fork()
same = np.array_equal(np.asarray(layer(x)), expected)
if child == 0:
    os._exit(0 if same else 3)
print(same, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
FORK = """
import os, sys
import numpy as np
from lstmlab import GatedRNN
from lstmlab.native.sequence import threads
from lstmlab.native.sequence.kernels import Kernels

threads.WORTH, threads.processors = 1, lambda: 2
layer = GatedRNN(5)
layer.build((4, 6, 3))
kernels = Kernels(layer.cell, 3)
rng = np.random.default_rng(0)
theta, x = (rng.normal(size=s).astype("float32") for s in (kernels.size, (4, 6, 3)))
first, none = [np.zeros((4, 5), "float32")] * 2, np.zeros((0, 0), bool)

def all_of():
    out, final, tape = kernels.forward(x, theta, first, none, none, True)
    return [out, *final, kernels.backward(theta, tape, out, final, none, none)[0]]

expected = all_of()
child = os.fork()
same = all(np.array_equal(a, b) for a, b in zip(all_of(), expected))
if child == 0:
    os._exit(0 if same else 3)
print(same, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [FORK, FORK_OF_A_LAYER], ids=["kernels", "layer"])
def test_a_fork_after_the_first_use(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "0"], done.stderr[-2000:]
