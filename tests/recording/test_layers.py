"""Measured layers against the gradient of their model, and finite differences of its loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_models import B, F, N, T, Unmasked, Zeros, compiled, stacked, two_layers
from oracles import assert_gradients, randomize
from stepping import MASK

from lstmlab import GatedCell, GatedRNN, Head, Recurrent, variant
from lstmlab.cells.watching import listening
from lstmlab.diagnostics import (
    Bound,
    ErrorFlow,
    Example,
    GateActivations,
    GateTimeline,
    GradientNorm,
    Interventions,
    Jacobians,
    Memory,
    Probe,
)
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.learners import BPTT
from lstmlab.recording.layers import MeasuredLayer, MeasuredLayers, measured_layers

layers = keras.layers


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F)) * MASK[..., None]  # a hole, left padding, right padding


def own_gradients(model, probe, weights: list) -> list:
    """What Keras trains with, less the regularizers."""
    with tf.GradientTape() as tape:
        error = model.compute_loss(*probe[:2], model(probe[0], training=False), *probe[2:])
    return tape.gradient(error, [weight.value for weight in weights])


def assert_stock_gradients(model, given, layer, net, probe) -> None:
    """The gradients of a twin are those of its layer in the model; of a bias that Keras has twice
    and we once, that of either.
    """
    found = net.learner.gradients(net.cell, net.head, *map(tf.constant, probe[:3]))[2]
    found = dict(zip(net.weight_names, (one.numpy() for one in found), strict=True))
    own = own_gradients(model, given, layer.trainable_variables)
    own = {w.name: g.numpy() for w, g in zip(layer.trainable_variables, own, strict=True)}
    if own.get("bias", np.zeros(1)).ndim == 2:
        own["bias"], second = own["bias"]
        np.testing.assert_allclose(
            found.pop("recurrent_bias"), second[2 * net.cell.units :], rtol=1e-8, atol=1e-12
        )
    if "candidate_recurrent_kernel" in found:
        parts = [found["recurrent_kernel"], found.pop("candidate_recurrent_kernel")]
        found["recurrent_kernel"] = np.concatenate(parts, axis=1)
    assert sorted(found) == sorted(own)
    for name, gradient in own.items():
        assert np.abs(gradient).max() > 1e-6, name
        np.testing.assert_allclose(found[name], gradient, rtol=1e-8, atol=1e-12, err_msg=name)


def assert_layers_have_the_gradient_of(model, probe, expected: list[str], **tolerance):
    found = measured_layers(model, probe)
    assert sorted(found) == sorted(expected)
    for net, of_it in found.values():
        gradients = net.learner.gradients(net.cell, net.head, *map(tf.constant, of_it[:3]))[2]
        own = own_gradients(model, probe, net.trainable_variables)
        assert len(net.weight_names) == len(gradients) > 1
        assert_gradients(gradients, own, **{"rtol": 1e-10, "atol": 1e-12, **tolerance})
    return found


@pytest.mark.slow
def test_gradient_of_every_layer_of_a_functional_model_against_the_models_own(x, rng):
    model, y = two_layers(rng), rng.normal(size=(B, 2))
    found = assert_layers_have_the_gradient_of(
        model, (x, y), ["forward_both", "backward_both", "top"]
    )
    assert found["forward_both"][1].x.shape == (B, 5, F)  # one sequence is whole
    np.testing.assert_array_equal(found["top"][1].valid.sum(axis=1), MASK.sum(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_masked_steps_outputs_and_directions_against_the_models_own(
    sequences, backwards, zeros, x, rng
):
    flags = {
        "return_sequences": sequences,
        "go_backwards": backwards,
        "zero_output_for_mask": zeros,
        "dtype": "float64",
    }
    model = stacked(
        rng,
        Zeros(dtype="float64"),
        GatedRNN(N, name="r", **flags),
        Unmasked(),
        layers.Dense(2, dtype="float64"),
    )
    y = rng.normal(size=(B, T, 2) if sequences else (B, 2))
    weights = rng.uniform(0.5, 2.0, size=y.shape[:-1])
    assert_layers_have_the_gradient_of(model, (x, y, weights), ["r"])


def differences(error, of: str) -> np.ndarray:
    """dE/d(value) [B, T, N] by finite differences of error(taps), compiled once for all places."""
    derivative, step = np.zeros((B, T, N)), 1e-5
    moved = tf.function(lambda bump: error({of: bump}), autograph=False)
    for place in np.ndindex(B, T, N):
        bump = np.zeros((B, T, N))
        bump[place] = step
        above, below = (moved(tf.constant(sign * bump)).numpy() for sign in (1, -1))
        derivative[place] = (above - below) / (2 * step)
    return derivative


def error_at_the_end(cell, x, probe):
    """The linear error at the last step of a cell whose values are moved by taps."""
    y = probe.y[:, -1]
    return lambda taps: tf.reduce_sum(y * trace(cell, tf.constant(x), taps=taps)["output"][:, -1])


def against_lag(derivative: np.ndarray) -> np.ndarray:
    return np.linalg.norm(derivative, axis=-1).mean(axis=0)[::-1]


@pytest.mark.slow
def test_error_flow_of_a_layer_against_finite_differences_of_its_error(x, rng):
    """|dE/d(output)| of the layer in the middle."""
    inputs = keras.Input((T, F), dtype="float64")
    middle = GatedRNN(N, "lstm1997", return_sequences=True, name="middle", dtype="float64")
    last = layers.Lambda(lambda y: y[:, -1], dtype="float64")
    outputs = layers.Dense(2, dtype="float64")(last(middle(inputs)))
    model = compiled(keras.Model(inputs, outputs), rng)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    net, probe = measured_layers(model, (x, y))["middle"]
    table = ErrorFlow().measure(net, probe)
    assert probe.w.tolist() == [[0, 0, 0, 0, 1]] * B
    expected = against_lag(differences(error_at_the_end(middle.cell, x, probe), "output"))
    flow = table[table["path"] == "output"].sort_values("lag")["norm"]
    assert expected.min() > 1e-4
    np.testing.assert_allclose(flow, expected, rtol=1e-6)


@pytest.mark.slow
def test_derivative_to_the_output_against_finite_differences_of_the_models_loss(x, rng):
    """y of the probe is what the model's loss does when the layer's output moves."""
    model, y = two_layers(rng), rng.normal(size=(B, 2))
    probe = measured_layers(model, (x, y))["backward_both"][1]

    def loss(taps):
        def moved(layer, given, output, states):
            at = layer.name == "backward_both"
            return (output + taps["output"] if at else output), states

        with listening(moved):
            return tf.reduce_mean((y - model(tf.constant(x), training=False)) ** 2)

    of_output = differences(loss, "output")
    for b in range(B):
        kept = of_output[b][MASK[b, ::-1]]  # processed from the end
        assert np.abs(kept).max() > 1e-4
        np.testing.assert_allclose(probe.y[b, : len(kept)], kept, rtol=1e-5, atol=1e-9)
        assert not probe.y[b, len(kept) :].any()


@pytest.mark.slow
def test_states_other_than_zero_and_a_stateful_layer(rng):
    """Measured from the states in which the layer began; they stay, and later ones are followed."""
    layer = GatedRNN(N, stateful=True, return_sequences=True, name="r", dtype="float64")
    model = stacked(rng, layer, layers.Dense(2, dtype="float64"), shape=None, batch_shape=(B, T, F))
    collection, y = MeasuredLayers(model), rng.normal(size=(B, T, 2))
    seen = []
    for _ in range(2):
        x = rng.normal(size=(B, T, F))
        model.predict(x, batch_size=B, verbose=0)
        before = [state.numpy() for state in layer.states]
        net, probe = collection((x, y))["r"]
        gradients = net.learner.gradients(net.cell, net.head, *map(tf.constant, probe[:3]))[2]
        for state, old in zip(layer.states, before, strict=True):
            np.testing.assert_array_equal(state, old)
            assert np.abs(old).max() > 1e-3
        assert_gradients(
            gradients,
            own_gradients(model, (x, y), net.trainable_variables),
            rtol=1e-10,
            atol=1e-12,
        )
        for state, old in zip(layer.states, before, strict=True):
            state.assign(old)
        seen.append(net)
    assert seen[0] is seen[1]


@pytest.mark.slow
def test_measures_of_a_layer_that_begins_in_states_of_its_own(rng, capsys, eager):
    """Its error flow against finite differences from these states; others give tables."""
    layer = GatedRNN(N, stateful=True, name="r", dtype="float64")
    model = stacked(rng, layer, layers.Dense(2, dtype="float64"), shape=None, batch_shape=(B, T, F))
    model(rng.normal(size=(B, T, F)))  # the states move on
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    net, probe = MeasuredLayers(model)((x, y))["r"]
    expected = against_lag(differences(error_at_the_end(net.cell, x, probe), "cell_state"))

    def flow(net):
        table = ErrorFlow().measure(net, probe)
        return table[table["path"] == "cell_state"].sort_values("lag")["norm"]

    np.testing.assert_allclose(flow(net), expected, rtol=1e-6)
    from_zero = MeasuredLayer(net.cell._cell, net.head, net.learner, F)
    assert np.abs(flow(from_zero) - expected).max() > 1e-3 * expected.max()
    every = (
        GateActivations(),
        GateTimeline(),
        Memory(),
        Jacobians(),
        Bound(),
        Interventions(),
        GradientNorm(),
        Example(),
    )
    for diagnostic in every:
        assert len(diagnostic.measure(net, probe)) > 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_of_an_encoder_and_decoder_what_comes_through_the_output_only(x, rng, capsys):
    """The decoder begins in the encoder's final states; the only state of a GRU is its output."""

    def model_of(name):
        inputs = keras.Input((T, F), dtype="float64")
        encoder = GatedRNN(N, name, return_state=True, name="encoder", dtype="float64")
        decoder = GatedRNN(N, name, name="decoder", dtype="float64")
        _, *states = encoder(inputs)
        outputs = layers.Dense(2, dtype="float64")(decoder(inputs, initial_state=states))
        return compiled(keras.Model(inputs, outputs), rng)

    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    assert_layers_have_the_gradient_of(model_of("gru"), (x, y), ["encoder", "decoder"])
    assert capsys.readouterr().err == ""
    collection = MeasuredLayers(model_of("vanilla"))
    for _ in range(2):
        assert list(collection((x, y))) == ["encoder", "decoder"]
    assert capsys.readouterr().err == (
        "GateTensorBoard: encoder: errors that come back through its final states are not counted, "
        "except those through the output\n"
    )


@pytest.mark.slow
def test_of_a_subclassed_model_with_named_inputs_and_a_shared_layer(rng):
    class Branches(keras.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.left = GatedRNN(N, name="left", return_sequences=True, dtype="float64")
            self.right, self.readout = (
                GatedRNN(N, "gru", name="right", dtype="float64"),
                layers.Dense(2, dtype="float64"),
            )

        def call(self, inputs, training=False):
            return self.readout(self.right(self.left(inputs["a"])) + self.right(inputs["b"]))

    model = Branches()
    x = {"a": rng.normal(size=(B, T, N)), "b": rng.normal(size=(B, T, N))}
    model(x)
    compiled(model, rng)
    probe = x, rng.normal(size=(B, 2))
    found = measured_layers(model, probe)
    assert list(found) == ["left", "right", "right_1"]
    gradients = [
        p.learner.gradients(p.cell, p.head, *map(tf.constant, of_it[:3]))[2]
        for p, of_it in found.values()
    ]
    both = [one + other for one, other in zip(*gradients[1:], strict=True)]
    assert_gradients(
        both,
        own_gradients(model, probe, model.right.cell.trainable_variables),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("inner", [GatedRNN, layers.GRU])
def test_the_steps_of_a_time_distributed_layer_count_as_one_batch(inner, rng, capsys):
    x = rng.normal(size=(B, 2, T, F))
    each = layers.TimeDistributed(inner(N, name="inner", dtype="float64"), dtype="float64")
    model = stacked(rng, each, GatedRNN(N, name="outer", dtype="float64"), shape=(2, T, F))
    given = x, rng.normal(size=(B, N))
    net, probe = measured_layers(model, given)["inner"]
    assert probe.x.shape == (2 * B, T, F)
    np.testing.assert_allclose(probe.x, np.concatenate([x[:, 0], x[:, 1]]))
    assert capsys.readouterr().err == ""
    if inner is GatedRNN:
        assert_layers_have_the_gradient_of(model, given, ["inner", "outer"])
    else:
        assert_stock_gradients(model, given, each.layer, net, probe)


def test_the_model_stays_as_it_is(rng):
    """Weights, seeds, running means and metrics; dropout is off."""
    model = keras.Sequential(
        [
            keras.Input((T, F)),
            layers.Dropout(0.5),
            GatedRNN(N, dropout=0.5, name="r"),
            layers.BatchNormalization(),
            layers.Dense(1),
        ]
    )
    randomize(model.layers[1], rng)
    model.compile("adam", "mse", metrics=["mae"])
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 1))
    model.fit(x, y, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [variable.numpy() for variable in variables]
    (one, first), (two, second) = (measured_layers(model, (x, y))["r"] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(first.x, x, rtol=1e-6)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert one is not two


def test_a_recurrent_is_its_own_only_layer(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(2), BPTT(), F)
    x, y, w = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 2)), np.zeros((B, T))
    w[:, 2] = 1.0
    probe = Probe(x, y, w, w >= 0, w > 0)
    assert measured_layers(model, probe) == {"": (model, probe)}
    ((one, made),) = measured_layers(model, (x, y, w)).values()
    assert one is model
    assert made.valid.tolist() == [[True, True, True, False, False]] * B
    with pytest.raises(
        ValueError,
        match=r"^GateTensorBoard: expected a probe x \[B, T, 3\], y \[B, T, K\], w \[B, T\]\. ",
    ):
        measured_layers(model, (x[..., :2], y, w))


def test_a_negative_weight_does_not_move_the_end_of_a_sequence(rng, x):
    model = Recurrent(variant("lstm1997", units=N), Head(2), BPTT(), F)
    w = np.zeros((B, T))
    w[0, [1, 3, 4]] = 1.0, 1.0, -5.0
    w[1, [2, 3]] = -1.0, 0.5
    ((_, probe),) = measured_layers(model, (x, rng.normal(size=(B, T, 2)), w)).values()
    assert probe.valid.sum(axis=1).tolist() == [4, 4] + [0] * (B - 2)
    np.testing.assert_array_equal(probe.events, w > 0)


def test_what_is_refused(rng, x):
    model, y = two_layers(rng, "float32"), rng.normal(size=(B, 2))
    plain = keras.Sequential([keras.Input((T, F)), layers.Flatten(), layers.Dense(1)], name="plain")
    raw = keras.Sequential([keras.Input((T, F)), layers.RNN(GatedCell(2))], name="raw")
    fresh = keras.Sequential([keras.Input((T, F)), GatedRNN(2)], name="fresh")
    for wrong, probe, text in (
        ("mine", (x, y), r"expected a Keras model\. Received: model='mine'"),
        (
            plain,
            (x, y),
            r"expected a model with at least one GatedRNN, keras\.layers\.LSTM, GRU, SimpleRNN, or "
            r"RNN of their cells\. Received: model='plain'",
        ),
        (
            raw,
            (x, y),
            r"expected a compiled model, with a loss\. Received: model='raw', not compiled",
        ),
        (
            fresh,
            (x, y),
            r"expected a compiled model, with a loss\. Received: model='fresh', not compiled",
        ),
        (
            model,
            x,
            r"expected a probe \(x, y\) or \(x, y, sample_weight\)\. Received: ndarray",
        ),
        (
            model,
            (x, y[:2]),
            r"expected as many sequences in y as in x, at least one\. Received: shapes .*",
        ),
        (
            model,
            (x[:0], y[:0]),
            r"expected as many sequences in y as in x, at least one\. Received: shapes .*",
        ),
        (
            model,
            (x[..., :2], y),
            r"expected a probe that the model takes\. Received: x of shapes \(3, 5, 2\), y of .*",
        ),
    ):
        with pytest.raises(ValueError, match=f"^GateTensorBoard: {text}$"):
            measured_layers(wrong, probe)


def test_a_probe_of_masked_steps_only_measures_nothing(rng, capsys):
    model = stacked(rng, Zeros(dtype="float64"), GatedRNN(N, name="r", dtype="float64"))
    with pytest.raises(
        ValueError,
        match=r"^GateTensorBoard: expected a model that runs a recurrent layer\. "
        rf"Received: model='{model.name}', with none left$",
    ):
        measured_layers(model, (np.zeros((B, T, F)), rng.normal(size=(B, N))))
    assert (
        capsys.readouterr().err
        == "GateTensorBoard: r: left out, a mask removes every step of the probe\n"
    )
