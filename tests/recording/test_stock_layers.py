"""Keras' own layers measured in their model: gradients against the model's own, error flow against
NumPy, and the callback that follows their weights.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_models import B, F, N, T, Zeros
from oracles import randomize
from stepping import MASK
from stock import STEPS, compiled, made, run, sequential
from test_layers import assert_stock_gradients

from lstmlab.diagnostics import ErrorFlow, GateActivations, GradientNorm, Memory
from lstmlab.recording.callback import GateTensorBoard
from lstmlab.recording.layers import MeasuredLayers, measured_layers
from lstmlab.recording.reading import read

layers = keras.layers
double = {"dtype": "float64"}


def exactly(rng, *inner, **given) -> keras.Model:
    return sequential(rng, *inner, **{**double, **given})


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F)) * MASK[..., None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_gradients_against_the_models_own(kind, x, rng):
    """Masked, backwards, all outputs or the last, in both directions and under another layer."""
    one = made(kind, name="one", return_sequences=True, go_backwards=True, **double)
    both = layers.Bidirectional(made(kind, name="both", dropout=0.3, **double), **double)
    last = made(kind, name="last", **double)
    turned = layers.Reshape((1, 2 * N), **double)
    model = exactly(rng, Zeros(**double), one, both, turned, last, layers.Dense(2, **double))
    given = x, rng.normal(size=(B, 2))
    found = measured_layers(model, given)
    assert sorted(found) == ["backward_both", "forward_both", "last", "one"]
    own = {"one": one, "last": last, "forward_both": both.forward_layer}
    for name, layer in {**own, "backward_both": both.backward_layer}.items():
        if name != "last":  # of one step, whose recurrent weights have no gradient
            assert_stock_gradients(model, given, layer, *found[name])


def test_gradients_of_an_rnn_around_several_cells(x, rng):
    cells = [layers.LSTMCell(N, name="low", **double), layers.GRUCell(N, name="high", **double)]
    stack = layers.StackedRNNCells(cells, **double)
    model = exactly(rng, Zeros(**double), layers.RNN(stack, go_backwards=True, name="r", **double))
    given = x, rng.normal(size=(B, N))
    found = measured_layers(model, given)
    assert list(found) == ["r_low", "r_high"]
    for cell, net in zip(cells, found.values(), strict=True):
        assert_stock_gradients(model, given, cell, *net)


def test_error_flow_of_an_lstm_against_finite_differences_in_numpy(rng):
    """|dE/dc_t| of the model's loss, the state moved by hand in the NumPy step."""
    layer, head = layers.LSTM(N, name="r", **double), layers.Dense(2, **double)
    model = exactly(rng, layer, head)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    weights = [weight.numpy() for weight in layer.cell.weights]
    kernel, bias = (weight.numpy() for weight in head.weights)

    def loss(t: int, b: int, k: int, by: float) -> float:
        states = [np.zeros((B, N))] * 2
        for at in range(T):
            values, states = STEPS["LSTM"](weights, x[:, at], states)
            if at == t:  # the output of that step follows the moved state
                moved = states[1].copy()
                moved[b, k] += by
                states = [values["output_gate"] * np.tanh(moved), moved]
        return float(((states[0] @ kernel + bias - y) ** 2).mean())

    expected = np.zeros((B, T, N))
    for b, t, k in np.ndindex(B, T, N):
        expected[b, t, k] = (loss(t, b, k, 1e-5) - loss(t, b, k, -1e-5)) / 2e-5
    net, probe = measured_layers(model, (x, y))["r"]
    table = ErrorFlow().measure(net, probe)
    flow = table[table["path"] == "cell_state"].sort_values("lag")["norm"]
    by_lag = np.linalg.norm(expected, axis=-1).mean(axis=0)[::-1]
    assert by_lag.min() > 1e-5
    np.testing.assert_allclose(flow, by_lag, rtol=1e-6)


@pytest.mark.slow
def test_the_callback_follows_the_weights_and_changes_nothing(rng, tmp_path):
    """Gates at every epoch against NumPy with the weights of that time; training as without it."""
    x = rng.normal(size=(12, T, F)).astype("float32")
    y, kept, ends = x[:, :2, 0], [], []
    for looks in (False, True):
        keras.utils.set_random_seed(5)
        layer = layers.GRU(N, dropout=0.2, name="r")
        model = keras.Sequential([keras.Input((T, F)), layer, layers.Dense(2)])
        model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
        measures = [GateActivations(), Memory(), GradientNorm()]
        callback = GateTensorBoard(tmp_path, (x, y), diagnostics=measures)
        remember = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_, layer=layer: kept.append(run("GRU", layer.cell, x)[0])
        )
        more = [callback, remember] if looks else []
        model.fit(x, y, epochs=3, batch_size=4, verbose=0, callbacks=more)
        ends.append([v.numpy() for v in (*model.variables, *model.optimizer.variables)])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)
    table = read(tmp_path)["gates"]
    assert set(table["layer"]) == {"r"}
    means = table[table["gate"] == "forget_gate"].set_index("step")["mean"]
    expected = [values["forget_gate"].mean() for values in kept]
    np.testing.assert_allclose(means[[3, 6, 9]], expected, rtol=1e-4)
    assert np.ptp(expected) > 1e-3
    moved = read(tmp_path)["gradients"].query("net == 'all' and step > 0")["update_ratio"]
    assert (moved > 0).all()


@pytest.mark.slow
def test_the_model_is_captured_by_one_graph_until_a_layer_or_the_loss_changes(rng):
    layer = layers.LSTM(N, return_sequences=True, name="r")
    model = sequential(rng, layer, layers.Dense(1))
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 1))
    collection = MeasuredLayers(model)
    first, before = collection((x, y))["r"]
    graph = collection._capture._captured
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    net, _ = collection((x, y))["r"]
    assert net is first
    assert collection._capture._captured is graph
    np.testing.assert_array_equal(net.cell.kernel, layer.cell.kernel)

    layer.cell.activation = keras.activations.relu
    net, after = collection((x, y))["r"]
    assert net.cell.candidate_activation is keras.activations.relu
    assert np.abs(after.y - before.y).max() > 1e-4
    model.compile("sgd", lambda y, p: keras.ops.mean(3.0 * (y - p) ** 2, axis=-1))
    np.testing.assert_allclose(collection((x, y))["r"][1].y, 3 * after.y, rtol=1e-4)


def test_states_of_a_stateful_layer_are_those_it_begins_in_and_stay(rng):
    layer = layers.LSTM(N, stateful=True, name="r", **double)
    model = compiled(keras.Sequential([keras.Input(batch_shape=(B, T, F), **double), layer]), rng)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, N))
    model.predict(x, batch_size=B, verbose=0)
    before = [state.numpy() for state in layer.states]
    net, probe = measured_layers(model, (x, y))["r"]
    for state, old in zip(layer.states, before, strict=True):
        np.testing.assert_array_equal(state, old)
    values, _ = run("LSTM", layer.cell, x, before)
    gates = GateActivations().measure(net, probe).set_index("gate")["mean"]
    np.testing.assert_allclose(gates["forget_gate"], values["forget_gate"].mean(), rtol=1e-10)


def test_a_layer_that_cannot_be_measured_is_named_once_beside_one_that_can(rng, capsys):
    inputs = keras.Input((T, F, 1))
    conv = layers.ConvLSTM1D(2, 2, name="conv")(inputs)
    flat = layers.LSTM(N, name="r")(layers.Reshape((T, F))(inputs))
    both = layers.Concatenate()([layers.Flatten()(conv), flat])
    model = compiled(keras.Model(inputs, layers.Dense(1)(both)), rng)
    collection = MeasuredLayers(model)
    for _ in range(2):
        assert list(collection((rng.normal(size=(B, T, F, 1)), np.ones((B, 1))))) == ["r"]
    assert capsys.readouterr().err == (
        "GateTensorBoard: conv: left out, expected a keras.layers.LSTM, GRU or SimpleRNN, or its "
        "cell. Received: ConvLSTM1D\n"
    )


def test_randomize_moves_every_weight_of_a_stock_layer(rng):
    """What the tests above rest on."""
    layer = made("GRU")
    layer.build((None, T, F))
    randomize(layer, rng)
    assert all(np.ptp(weight) > 0.1 for weight in layer.weights)
    assert tf.executing_eagerly()
