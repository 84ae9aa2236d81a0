"""Gate and the squashing functions of 1997."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import Gate, GatedCell
from lstmlab.cells import Staggered, g1997, h1997
from lstmlab.cells.gates import squashing, squashing_config


@keras.saving.register_keras_serializable("tests")
def cubed(x):
    return x**3


@pytest.mark.parametrize(("squash", "low", "high"), [(g1997, -2, 2), (h1997, -1, 1)])
def test_squashing_against_the_formulas_of_1997(squash, low, high, rng):
    x = tf.constant(rng.normal(size=50, scale=3.0))
    logistic = 1 / (1 + np.exp(-x.numpy()))
    y = squash(x).numpy()
    np.testing.assert_allclose(y, (high - low) * logistic + low, atol=1e-14)
    assert low < y.min() < 0.5 * low
    assert 0.5 * high < y.max() < high


def test_derivatives_of_g_and_h_in_terms_of_their_values(rng):
    x = tf.constant(rng.normal(size=20))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        g, h = g1997(x), h1997(x)
    np.testing.assert_allclose(tape.gradient(g, x), (4 - g.numpy() ** 2) / 4, atol=1e-14)
    np.testing.assert_allclose(tape.gradient(h, x), (1 - h.numpy() ** 2) / 2, atol=1e-14)


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid", "g1997", "h1997", "linear", cubed])
@pytest.mark.parametrize("bias", [0.5, [1.0, -2.0], None, "zeros", Staggered(-3.0, -3.0, 0.1, seed=3)])
def test_config_round_trip(activation, bias):
    gate = Gate(activation, bias)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(gate)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.activation is gate.activation
    assert keras.saving.serialize_keras_object(again) == config
    first, second = (GatedCell(2, g, None, None) for g in (gate, again))
    first.build((None, 1))
    second.build((None, 1))
    assert (first.bias.shape == (2,)) == (bias is None)  # the candidates' bias always, the gate's unless it is None
    np.testing.assert_array_equal(first.bias, second.bias)


def test_names_of_the_functions_of_1997_are_short():
    assert squashing_config(squashing("X", "y", "g1997")) == "g1997"
    assert repr(Gate("h1997", [1, 2])) == "Gate(activation='h1997', bias=[1, 2], peephole=None, recurrent='full')"


@pytest.mark.parametrize("activation", ["sigmoids", 3, None, {"class_name": "nothing"}])
def test_unknown_activation(activation):
    with pytest.raises(
        ValueError, match=r"^Gate: unknown activation; expected 'g1997', 'h1997', .* Received: activation="
    ) as e:
        Gate(activation)
    assert str(e.value).endswith(f"Received: activation={activation!r}")


@pytest.mark.parametrize("bias", ["zeroes", [], True, {"first": 1}, [1.0, "2"], np.zeros(2)])
def test_unknown_bias(bias):
    with pytest.raises(
        ValueError, match=r"^Gate: a bias starts from a number, .* or is None \(no bias weight\)\. Received: bias="
    ):
        Gate(bias=bias)
