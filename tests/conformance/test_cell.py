"""Every cell that conf/cell/ names: a Keras cell in all that Keras does with one, and differentiated rightly."""

import json
from importlib import resources

import keras
import numpy as np
import pytest
import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf
from oracles import assert_gradients, finite_differences, randomize

from lstmlab import variants

B, T, F = 2, 4, 3
FILES = {path.name: path for path in (resources.files("lstmlab.conf") / "cell").iterdir() if path.name.endswith(".yaml")}
every_cell = pytest.mark.parametrize("name", sorted(FILES))


def build(name: str, rng=None, **overrides):
    cell = instantiate(OmegaConf.create(FILES[name].read_text(encoding="utf-8")), _convert_="all", **overrides)
    if rng is not None:
        cell.build((B, F))
        randomize(cell, rng)
    return cell


def states(cell, rng) -> list:
    return [tf.constant(rng.normal(size=(B, size)), cell.compute_dtype) for size in cell.state_size]


def test_every_file_is_a_variant():
    assert [name.removesuffix(".yaml") for name in sorted(FILES)] == variants()
    assert len(FILES) >= 2


@every_cell
def test_shapes_dtypes_and_states(name, rng):
    cell = build(name, rng, dtype="float64")
    initial = cell.get_initial_state(batch_size=B)
    assert [tuple(state.shape) for state in initial] == [(B, size) for size in cell.state_size]
    assert all(not np.any(state) and state.dtype == "float64" for state in initial)
    output, after = cell(tf.constant(rng.normal(size=(B, F))), states(cell, rng))
    assert output.shape == (B, cell.output_size)
    assert [state.shape for state in after] == [state.shape for state in initial]
    np.testing.assert_array_equal(after[0][:, : cell.output_size], output)  # the state starts with the output
    assert np.abs(output).max() > 1e-3


@every_cell
def test_initial_weights_differ_between_seeds_alone(name):
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        cell = build(name)
        cell.build((None, F))
        drawn.append(np.concatenate([w.numpy().ravel() for w in cell.weights]))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.mean(drawn[0] != drawn[2]) > 0.5


@every_cell
def test_config_round_trip(name, rng):
    cell = build(name, rng, dtype="float64")
    again = type(cell).from_config(json.loads(json.dumps(cell.get_config())))
    assert again.get_config() == cell.get_config()
    again.build((B, F))
    again.set_weights(cell.get_weights())
    x, before = tf.constant(rng.normal(size=(B, F))), states(cell, rng)
    np.testing.assert_array_equal(again(x, before)[0], cell(x, before)[0])


@every_cell
def test_in_keras_layers_saved_and_loaded(name, rng, tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((T, F)),
            layers.RNN(build(name), return_sequences=True),
            layers.Bidirectional(layers.RNN(build(name), return_sequences=True)),
            layers.RNN(layers.StackedRNNCells([build(name), build(name)])),
            layers.Dense(1),
        ]
    )
    randomize(model, rng)
    x = rng.normal(size=(B, T, F)).astype("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), model(x))
    assert np.abs(model(x) - model(x[:, ::-1])).max() > 1e-3
    forward, backward = model.layers[1].forward_layer.cell, model.layers[1].backward_layer.cell
    assert np.abs(forward.kernel.numpy() - backward.kernel.numpy()).min() > 0


@every_cell
def test_xla_against_eager(name, rng):
    cell = build(name, rng)
    x, before = tf.constant(rng.normal(size=(B, F)), "float32"), states(cell, rng)

    def answer(x, *before):
        with tf.GradientTape() as tape:
            output, after = cell(x, list(before))
            scalar = tf.reduce_sum(output**2) + tf.reduce_sum(tf.sin(after[1]))
        return [output, *after, *tape.gradient(scalar, [w.value for w in cell.trainable_variables])]

    compiled = tf.function(answer, jit_compile=True, autograph=False)(x, *before)
    assert_gradients(compiled, answer(x, *before), rtol=1e-5, atol=1e-6)


@every_cell
def test_gradients_against_finite_differences(name, rng):
    """Of random directions of the outputs and the last states after T steps; to weights, inputs and initial states."""
    cell = build(name, rng, dtype="float64")
    weights = cell.trainable_variables
    x = rng.normal(size=(T, B, F))
    start = [state.numpy() for state in states(cell, rng)]
    directions = [rng.normal(size=(T, B, cell.output_size)), *(rng.normal(size=state.shape) for state in start)]

    def scalar(x, *before):
        before, outputs = list(before), []
        for t in range(T):
            output, before = cell(x[t], before)
            outputs.append(output)
        return sum(tf.reduce_sum(a * b) for a, b in zip((tf.stack(outputs), *before), directions, strict=True))

    compiled = tf.function(scalar, autograph=False)

    def at(arrays):
        for weight, value in zip(weights, arrays, strict=False):
            weight.assign(value)
        return float(compiled(*map(tf.constant, arrays[len(weights) :])))

    arrays = [weight.numpy().copy() for weight in weights] + [x, *start]
    inputs = [tf.constant(value) for value in arrays[len(weights) :]]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = scalar(*inputs)
    gradients = tape.gradient(value, [weight.value for weight in weights] + inputs)
    assert_gradients(gradients, finite_differences(at, arrays), rtol=1e-6, atol=1e-8)
