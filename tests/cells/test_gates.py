"""Gate, Coupled, what refines, normalises and stabilises them, and the squashing functions of 1997."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import Coupled, Gate, GatedCell
from lstmlab.cells import Chrono, Opposite, Staggered, UniformGate, g1997, h1997
from lstmlab.cells.gates import refined, squashing, squashing_config, stabilised


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


@pytest.mark.parametrize(
    "activation", ["sigmoid", "hard_sigmoid", "g1997", "h1997", "linear", cubed]
)
@pytest.mark.parametrize(
    "bias", [0.5, [1.0, -2.0], None, "zeros", Staggered(-3.0, -3.0, 0.1, seed=3)]
)
def test_config_round_trip(activation, bias):
    gate = Gate(activation, bias)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(gate)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.activation is gate.activation
    assert keras.saving.serialize_keras_object(again) == config
    first, second = (GatedCell(2, g, None, None) for g in (gate, again))
    first.build((None, 1))
    second.build((None, 1))
    assert (first.bias.shape == (2,)) == (
        bias is None
    )  # the candidates' bias always, the gate's unless it is None
    np.testing.assert_array_equal(first.bias, second.bias)


def test_names_of_the_functions_of_1997_are_short():
    assert squashing_config(squashing("X", "y", "g1997")) == "g1997"
    assert (
        repr(Gate("h1997", [1, 2]))
        == "Gate(activation='h1997', bias=[1, 2], peephole=None, recurrent='full')"
    )


@pytest.mark.parametrize("bias", [Chrono(9, seed=1), UniformGate(seed=2), Opposite("output_gate")])
@pytest.mark.parametrize("peephole", [None, "previous", "current"])
@pytest.mark.parametrize("recurrent", ["full", "block_diagonal", "by_element", "none"])
def test_config_round_trip_of_all_else(bias, peephole, recurrent):
    gate = Gate("tanh", bias, peephole, recurrent)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(gate)))
    again = keras.saving.deserialize_keras_object(config)
    assert (again.peephole, again.recurrent) == (peephole, recurrent)
    assert type(again.bias) is type(bias)
    assert again.bias.get_config() == bias.get_config()
    assert repr(again).startswith("Gate(activation='tanh', bias=<")


@pytest.mark.parametrize("coupled", [Coupled("input_gate"), Coupled("forget_gate", False, -1.5)])
def test_config_round_trip_of_coupled(coupled):
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(coupled)))
    )
    assert (again.to, again.complement, again.shift) == (
        coupled.to,
        coupled.complement,
        coupled.shift,
    )
    assert repr(again) == repr(coupled)
    assert (
        repr(Coupled("input_gate", shift=2))
        == "Coupled(to='input_gate', complement=True, shift=2.0)"
    )


def test_the_word_coupled_is_one_minus_the_other():
    for name, other in (("input_gate", "forget_gate"), ("forget_gate", "input_gate")):
        by_word, written = (
            GatedCell(2, **{name: value}, name="x") for value in ("coupled", Coupled(other))
        )
        assert by_word.get_config() == written.get_config()


def test_refined_lies_between_the_two_bounds_of_gu_et_al_2020(rng):
    f, r = rng.uniform(size=(2, 50))
    low, high = f**2, 1 - (1 - f) ** 2
    np.testing.assert_allclose(refined(f, r), r * high + (1 - r) * low, atol=1e-15)
    np.testing.assert_allclose(refined(f, np.zeros(50)), low, atol=1e-15)
    np.testing.assert_allclose(refined(f, np.ones(50)), high, atol=1e-15)


@pytest.mark.parametrize("activation", ["sigmoid", "exponential"])
def test_the_logarithm_of_a_gate_is_finite_where_the_gate_is_not(activation, rng):
    gate, net = Gate(activation), tf.constant(rng.normal(size=20))
    np.testing.assert_allclose(gate.log(net), np.log(gate.activation(net)), atol=1e-12)
    assert np.isfinite(gate.log(tf.constant([-1000.0, 1000.0]))).all()


def test_stabilised_gates_differ_from_the_plain_ones_by_one_factor(rng):
    log_i, log_f, m_tm1 = rng.normal(size=(3, 2, 4))
    i, f, m_t = (
        np.asarray(v)
        for v in stabilised(*(tf.constant(v) for v in (log_i, log_f, np.ones((2, 4)), m_tm1)))
    )
    np.testing.assert_allclose(m_t, np.maximum(log_f + m_tm1, log_i))
    np.testing.assert_allclose(
        i * np.exp(m_t), np.exp(log_i)
    )  # i and f e^m_tm1 are each divided by e^m_t
    np.testing.assert_allclose(f * np.exp(m_t), np.exp(log_f + m_tm1))
    np.testing.assert_array_equal(np.maximum(i, f), np.ones((2, 4)))  # neither overflows
    i, f, m_t = stabilised(
        tf.constant(log_i), tf.constant(log_f), tf.zeros((2, 4), "float64"), tf.constant(m_tm1)
    )
    np.testing.assert_array_equal(m_t, log_i)  # nothing is stored yet
    np.testing.assert_array_equal(i, np.ones((2, 4)))
    np.testing.assert_array_equal(f, np.ones((2, 4)))


@pytest.mark.parametrize("activation", [3, {"class_name": "nothing"}])
def test_unknown_activation_of_another_type(activation):
    with pytest.raises(ValueError, match=r"^Gate: expected 'g1997', 'h1997', .* Received: ") as e:
        Gate(activation)
    assert str(e.value).endswith(f"Received: activation={activation!r}")
