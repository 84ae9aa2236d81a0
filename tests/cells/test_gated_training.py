"""GatedCell in training: dropout, regularizers and constraints."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize
from single_step import B, F, N, T, built, normal

from lstmlab import Gate, GatedCell, GatedRNN, variant

PASSES = {"input_gate": None, "forget_gate": "closed", "output_gate": None, "candidate_bias": None}
PASSES |= {"candidate_activation": "linear", "output_activation": "linear"}
both_layers = pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])


@both_layers
@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_is_one_mask_per_sequence_scaled_and_off_outside_training(layer, rate, rng):
    """A cell that hands its input on, y_t = x_t, shows the mask."""
    n = 50
    rnn = layer(
        GatedCell(n, **PASSES, feedback="none", dropout=rate, seed=1), return_sequences=True
    )
    x = np.ones((20, T, n), "float32")
    rnn.build(x.shape)
    rnn.cell.kernel.assign(np.eye(n))
    np.testing.assert_array_equal(rnn(x), x)
    first, second = rnn(x, training=True).numpy(), rnn(x, training=True).numpy()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / (1 - rate))}
    for mask in (first, second):
        np.testing.assert_array_equal(
            mask, np.repeat(mask[:, :1], T, axis=1)
        )  # the same at all steps
    deviation = np.sqrt(rate * (1 - rate) / first[:, 0].size)
    assert abs(np.mean(first[:, 0] == 0) - rate) < 4 * deviation
    assert np.any(first != second)
    assert np.any(first[0] != first[1])


@both_layers
def test_recurrent_dropout_is_one_mask_on_what_is_read_back(layer, rng):
    """A cell that repeats itself, y_t = y_tm1, shows the power of the mask."""
    n, rate = 50, 0.25
    rnn = layer(GatedCell(n, **PASSES, recurrent_dropout=rate, seed=1), return_sequences=True)
    x, start = np.zeros((20, T, 1), "float32"), tf.ones((20, n))
    rnn.build(x.shape)
    rnn.cell.recurrent_kernel.assign(np.eye(n))
    np.testing.assert_array_equal(rnn(x, initial_state=[start]), np.ones((20, T, n)))
    y = rnn(x, initial_state=[start], training=True).numpy()
    mask = y[:, 0]
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / (1 - rate))}
    np.testing.assert_allclose(y, np.stack([mask**k for k in range(1, T + 1)], axis=1), rtol=1e-6)
    assert abs(np.mean(mask == 0) - rate) < 4 * np.sqrt(rate * (1 - rate) / mask.size)


@both_layers
@pytest.mark.parametrize(
    ("theirs", "name", "rates"),
    [
        (keras.layers.LSTM, "vanilla", (0.3, 0.0)),
        (keras.layers.SimpleRNN, "elman", (0.3, 0.0)),
        (keras.layers.SimpleRNN, "elman", (0.0, 0.3)),
        (keras.layers.SimpleRNN, "elman", (0.3, 0.4)),
    ],
)
def test_dropout_against_keras_layers_with_the_same_seed(layer, theirs, name, rates, rng):
    """Mask for mask, and so equal in law.

    With recurrent dropout keras.layers.LSTM draws a mask for each gate: see below.
    """
    options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 3, "dtype": "float64"}
    theirs = theirs(N, return_sequences=True, **options)
    ours = layer(variant(name, units=N, **options), return_sequences=True, dtype="float64")
    x = rng.normal(size=(B, T, F))
    for one in (theirs, ours):
        one.build(x.shape)
    for weight, other in zip(theirs.trainable_variables, ours.trainable_variables, strict=True):
        weight.assign(rng.normal(size=weight.shape))
        other.assign(weight)
    answers = [[one(x, training=True).numpy() for _ in range(2)] for one in (ours, theirs)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-12)
    assert np.abs(answers[0][0] - answers[0][1]).max() > 1e-3
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-12)
    assert np.abs(ours(x) - answers[0][0]).max() > 1e-3


def test_recurrent_dropout_against_keras_lstm_with_one_mask_for_all_gates(rng):
    """Keras draws four masks.

    Given the one of ours four times it is the same function, states included.
    """
    theirs = keras.layers.LSTMCell(N, dropout=0.3, recurrent_dropout=0.4, dtype="float64")
    ours = variant("vanilla", units=N, dropout=0.3, recurrent_dropout=0.4, seed=3, dtype="float64")
    for cell in (theirs, ours):
        cell.build((B, F))
    randomize(ours, rng)
    for weight, other in zip(theirs.trainable_variables, ours.trainable_variables, strict=True):
        weight.assign(other)
    x, states = normal(rng, B, T, F), [normal(rng, B, N), normal(rng, B, N)]
    theirs._dropout_mask = [ours.get_dropout_mask(x[:, 0])] * 4
    theirs._recurrent_dropout_mask = [ours.get_recurrent_dropout_mask(states[0])] * 4
    assert 0 < np.mean(theirs._recurrent_dropout_mask[0] == 0) < 1
    after = [states, states]
    for t in range(T):
        outputs, after = zip(
            *(
                cell(x[:, t], s, training=True)
                for cell, s in zip((ours, theirs), after, strict=True)
            ),
            strict=True,
        )
        assert_gradients([outputs[0], *after[0]], [outputs[1], *after[1]], rtol=1e-12, atol=1e-12)


def test_recurrent_dropout_reaches_gates_that_are_fed_back_and_not_the_carousel(rng):
    cell = built(rng, feedback="all", recurrent_dropout=0.5, seed=2)
    x, states = normal(rng, 60, F), [normal(rng, 60, size) for size in cell.state_size]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(states)
        y, (_, s) = cell(x, states, training=True)
    slope = tape.gradient(y, states[0]).numpy()
    dead = np.mean(slope == 0, axis=0)
    assert dead.shape == (4 * N,)
    assert 0.2 < dead.min() < dead.max() < 0.8
    assert np.abs(tape.gradient(s, states[1])).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])
def test_regularizers_reach_the_losses(layer, rng):
    rates = {"kernel": 0.1, "recurrent": 0.01, "peephole": 0.001, "bias": 0.0001}
    options = {
        f"{weight}_regularizer": keras.regularizers.L2(rate) for weight, rate in rates.items()
    }
    gates = {
        "input_gate": Gate(recurrent="by_element", peephole="previous"),
        "reset_gate": "sigmoid",
    }
    rnn = layer(GatedCell(N, **gates, reset_after=True, **options))
    rnn.build((B, T, F))
    randomize(rnn, rng)
    group = {"kernel": "kernel", "peephole": "peephole", "bias": "bias", "recurrent_bias": "bias"}
    expected = [rates[group.get(w.name, "recurrent")] * np.sum(w.numpy() ** 2) for w in rnn.weights]
    assert len(expected) == 6
    np.testing.assert_allclose(sorted(map(float, rnn.losses)), sorted(expected), rtol=1e-5)
    model = keras.Sequential([keras.Input((T, F)), rnn])
    model.compile("sgd", "mse")
    x, y = (rng.normal(size=shape).astype("float32") for shape in ((B, T, F), (B, N)))
    plain = np.mean((model(x).numpy() - y) ** 2)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), plain + sum(expected), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])
def test_constraints_hold_after_fit(layer, rng):
    limits = {"kernel": 0.1, "recurrent": 0.2, "peephole": 0.3, "bias": 0.4}

    def options(bounded):
        return {
            f"{weight}_constraint": keras.constraints.MaxNorm(bounded * limit)
            for weight, limit in limits.items()
        }

    gates = {
        "input_gate": Gate(recurrent="by_element", peephole="previous"),
        "reset_gate": "sigmoid",
    }
    largest = []
    for bounded in (1, 1000):
        rnn = layer(GatedCell(N, **gates, reset_after=True, **options(bounded)))
        model = keras.Sequential([keras.Input((T, F)), rnn])
        randomize(model, np.random.default_rng(0))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(rng.normal(size=(8, T, F)), rng.normal(size=(8, N)), verbose=0)
        largest.append({w.name: np.sqrt(np.sum(w.numpy() ** 2, axis=0)).max() for w in rnn.weights})
    group = {"kernel": "kernel", "peephole": "peephole", "bias": "bias", "recurrent_bias": "bias"}
    assert len(largest[0]) == 6
    for name, bound in ((name, limits[group.get(name, "recurrent")]) for name in largest[0]):
        assert largest[0][name] <= bound * (1 + 1e-6) < largest[1][name], name
