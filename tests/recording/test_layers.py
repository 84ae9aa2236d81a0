"""Parts of Keras models against the model's own gradient, and against finite differences of its loss."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize
from stepping import MASK

from lstmlab import GatedCell, GatedRNN, Head, Recurrent, variant
from lstmlab.cells.tracing import listening
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
from lstmlab.recording.layers import Part, Parts, parts

layers = keras.layers
B, T, F, N = 3, 5, 3, 4


class Zeros(keras.Layer):
    """Masks steps whose inputs are all zero."""

    def compute_mask(self, x, mask=None):
        return keras.ops.any(x != 0, axis=-1)

    def call(self, x):
        return x


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F)) * MASK[..., None]  # a hole, left padding, right padding


def compiled(model, rng):
    randomize(model, rng, scale=0.5)
    model.compile("sgd", keras.losses.MeanSquaredError(dtype="float64"))
    return model


def stranger(rng, dtype="float64", **flags):
    """A functional model of two GatedRNN layers, one of them in both directions, masked."""
    inputs = keras.Input((None, F), dtype=dtype)
    both = layers.Bidirectional(
        GatedRNN(N, "peephole", return_sequences=True, name="both", dtype=dtype), dtype=dtype
    )
    top = GatedRNN(N, "gru", name="top", dtype=dtype, **flags)
    outputs = layers.Dense(2, dtype=dtype)(top(both(Zeros(dtype=dtype)(inputs))))
    return compiled(keras.Model(inputs, outputs), rng)


def own_gradients(model, probe, weights: list) -> list:
    """What Keras trains with, less the regularizers."""
    with tf.GradientTape() as tape:
        error = model.compute_loss(*probe[:2], model(probe[0], training=False), *probe[2:])
    return tape.gradient(error, [weight.value for weight in weights])


def assert_parts_have_the_gradient_of(model, probe, expected: list[str], **tolerance):
    found = parts(model, probe)
    assert sorted(found) == sorted(expected)
    for part, of_it in found.values():
        gradients = part.learner.gradients(part.cell, part.head, *map(tf.constant, of_it[:3]))[2]
        own = own_gradients(model, probe, part.trainable_variables)
        assert len(part.weight_names) == len(gradients) > 1
        assert_gradients(gradients, own, **{"rtol": 1e-10, "atol": 1e-12, **tolerance})
    return found


def stacked(rng, *inner, **input_settings):
    model = keras.Sequential(
        [keras.Input(**{"shape": (T, F), "dtype": "float64", **input_settings}), *inner]
    )
    return compiled(model, rng)


def test_gradient_of_every_part_of_a_functional_model_against_the_models_own(x, rng):
    model, y = stranger(rng), rng.normal(size=(B, 2))
    found = assert_parts_have_the_gradient_of(
        model, (x, y), ["forward_both", "backward_both", "top"]
    )
    assert found["forward_both"][1].x.shape == (B, 5, F)  # one sequence is whole
    np.testing.assert_array_equal(found["top"][1].valid.sum(axis=1), MASK.sum(axis=1))


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
        Plain(),
        layers.Dense(2, dtype="float64"),
    )
    y = rng.normal(size=(B, T, 2) if sequences else (B, 2))
    weights = rng.uniform(0.5, 2.0, size=y.shape[:-1])
    assert_parts_have_the_gradient_of(model, (x, y, weights), ["r"])


class Plain(keras.Layer):
    """Lets a mask go no further, so that outputs at masked steps have errors of their own."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.supports_masking = True

    def compute_mask(self, x, mask=None):
        return None

    def call(self, x):
        return x


def test_error_flow_of_a_part_against_finite_differences_of_the_models_loss(x, rng):
    """|dE/d(output)| of the layer in the middle, its output moved within the whole model."""
    inputs = keras.Input((T, F), dtype="float64")
    middle = GatedRNN(N, "lstm1997", return_sequences=True, name="middle", dtype="float64")
    last = layers.Lambda(lambda y: y[:, -1], dtype="float64")
    model = compiled(
        keras.Model(inputs, layers.Dense(2, dtype="float64")(last(middle(inputs)))), rng
    )
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    part, probe = parts(model, (x, y))["middle"]
    table = ErrorFlow().measure(part, probe)
    assert probe.w.tolist() == [[0, 0, 0, 0, 1]] * B
    derivative, step = np.zeros((B, T, N)), 1e-5
    for place in np.ndindex(B, T, N):
        bump = np.zeros((B, T, N))
        bump[place] = step
        above, below = (
            tf.reduce_sum(
                probe.y[:, -1]
                * trace(middle.cell, tf.constant(x), taps={"output": tf.constant(b)})["output"][
                    :, -1
                ]
            )
            for b in (bump, -bump)
        )
        derivative[place] = (above - below) / (2 * step)
    expected = np.linalg.norm(derivative, axis=-1).mean(axis=0)[::-1]
    flow = table[table["path"] == "output"].sort_values("lag")["norm"]
    assert expected.min() > 1e-4
    np.testing.assert_allclose(flow, expected, rtol=1e-6)


def test_derivative_to_the_output_against_finite_differences_of_the_models_loss(x, rng):
    """y of the part is what the model's loss does when the layer's output moves."""
    model, y = stranger(rng), rng.normal(size=(B, 2))
    probe = parts(model, (x, y))["backward_both"][1]
    step, of_output = 1e-5, np.zeros((B, T, N))

    def moved(bump, layer, given, output, states):
        return (output + bump if layer.name == "backward_both" else output), states

    for place in np.ndindex(B, T, N):
        bump = np.zeros((B, T, N))
        bump[place] = step
        losses = []
        for sign in (1, -1):
            with listening(partial(moved, sign * bump)):
                losses.append(np.mean((y - model(x, training=False).numpy()) ** 2))
        of_output[place] = (losses[0] - losses[1]) / (2 * step)
    for b in range(B):
        kept = of_output[b][MASK[b, ::-1]]  # processed from the end
        assert np.abs(kept).max() > 1e-4
        np.testing.assert_allclose(probe.y[b, : len(kept)], kept, rtol=1e-5, atol=1e-9)
        assert not probe.y[b, len(kept) :].any()


def test_states_other_than_zero_and_a_stateful_layer(rng):
    """Measured from the states in which the layer began; they stay, and later ones are followed."""
    layer = GatedRNN(N, stateful=True, return_sequences=True, name="r", dtype="float64")
    model = stacked(rng, layer, layers.Dense(2, dtype="float64"), shape=None, batch_shape=(B, T, F))
    collection, y = Parts(model), rng.normal(size=(B, T, 2))
    seen = []
    for _ in range(2):
        x = rng.normal(size=(B, T, F))
        model.predict(x, batch_size=B, verbose=0)
        before = [state.numpy() for state in layer.states]
        part, probe = collection((x, y))["r"]
        gradients = part.learner.gradients(part.cell, part.head, *map(tf.constant, probe[:3]))[2]
        for state, old in zip(layer.states, before, strict=True):
            np.testing.assert_array_equal(state, old)
            assert np.abs(old).max() > 1e-3
        assert_gradients(
            gradients,
            own_gradients(model, (x, y), part.trainable_variables),
            rtol=1e-10,
            atol=1e-12,
        )
        for state, old in zip(layer.states, before, strict=True):
            state.assign(old)
        seen.append(part)
    assert seen[0] is seen[1]


def test_measures_of_a_layer_that_begins_in_states_of_its_own(rng, capsys):
    """Its error flow against finite differences from these states, and each of the other measures gives its table."""
    layer = GatedRNN(N, stateful=True, name="r", dtype="float64")
    model = stacked(rng, layer, layers.Dense(2, dtype="float64"), shape=None, batch_shape=(B, T, F))
    model.predict(rng.normal(size=(B, T, F)), batch_size=B, verbose=0)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    part, probe = Parts(model)((x, y))["r"]
    derivative, step = np.zeros((B, T, N)), 1e-5
    for place in np.ndindex(B, T, N):
        bump = np.zeros((B, T, N))
        bump[place] = step
        above, below = (
            tf.reduce_sum(
                probe.y[:, -1]
                * trace(part.cell, tf.constant(x), taps={"cell_state": tf.constant(b)})["output"][
                    :, -1
                ]
            )
            for b in (bump, -bump)
        )
        derivative[place] = (above - below) / (2 * step)
    expected = np.linalg.norm(derivative, axis=-1).mean(axis=0)[::-1]
    table = ErrorFlow().measure(part, probe)
    np.testing.assert_allclose(
        table[table["path"] == "cell_state"].sort_values("lag")["norm"], expected, rtol=1e-6
    )
    from_zero = Part(part.cell._cell, part.head, part.learner, F)
    other = ErrorFlow().measure(from_zero, probe)
    assert (
        np.abs(other[other["path"] == "cell_state"].sort_values("lag")["norm"] - expected).max()
        > 1e-3 * expected.max()
    )
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
        assert len(diagnostic.measure(part, probe)) > 0
    assert capsys.readouterr().err == ""


def test_of_an_encoder_and_decoder_what_comes_through_the_output_alone(x, rng, capsys):
    """The decoder begins in the encoder's last states; a GRU's only state is its output, an LSTM's is not."""

    def model_of(name):
        inputs = keras.Input((T, F), dtype="float64")
        encoder = GatedRNN(N, name, return_state=True, name="encoder", dtype="float64")
        decoder = GatedRNN(N, name, name="decoder", dtype="float64")
        _, *states = encoder(inputs)
        outputs = layers.Dense(2, dtype="float64")(decoder(inputs, initial_state=states))
        return compiled(keras.Model(inputs, outputs), rng)

    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 2))
    assert_parts_have_the_gradient_of(model_of("gru"), (x, y), ["encoder", "decoder"])
    assert capsys.readouterr().err == ""
    collection = Parts(model_of("vanilla"))
    for _ in range(2):
        assert list(collection((x, y))) == ["encoder", "decoder"]
    assert capsys.readouterr().err == (
        "parts: encoder: errors that come back through its last states are not counted, but for those of the output\n"
    )


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
    found = parts(model, probe)
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


def test_layers_inside_time_distributed_are_left_out(rng, capsys):
    x = rng.normal(size=(B, 2, T, F))
    inner = [layers.TimeDistributed(GatedRNN(N, name="inner", dtype="float64"), dtype="float64")]
    model = stacked(rng, *inner, GatedRNN(N, name="outer", dtype="float64"), shape=(2, T, F))
    assert_parts_have_the_gradient_of(model, (x, rng.normal(size=(B, N))), ["outer"])
    assert capsys.readouterr().err == "parts: inner: left out, it stands inside a TimeDistributed\n"


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
    (one, first), (two, second) = (parts(model, (x, y))["r"] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(first.x, x, rtol=1e-6)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert one is not two


def test_a_recurrent_is_its_own_only_part(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(2), BPTT(), F)
    x, y, w = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 2)), np.zeros((B, T))
    w[:, 2] = 1.0
    probe = Probe(x, y, w, w >= 0, w > 0)
    assert parts(model, probe) == {"": (model, probe)}
    ((one, made),) = parts(model, (x, y, w)).values()
    assert one is model
    assert made.valid.tolist() == [[True, True, True, False, False]] * B
    with pytest.raises(
        ValueError,
        match=r"^parts: expected a probe x \[B, T, 3\], y \[B, T, K\], w \[B, T\]\. Received: x=",
    ):
        parts(model, (x[..., :2], y, w))


def test_what_is_refused(rng, x):
    model, y = stranger(rng, "float32"), rng.normal(size=(B, 2))
    plain = keras.Sequential([keras.Input((T, F)), layers.LSTM(2), layers.Dense(1)], name="plain")
    raw = keras.Sequential([keras.Input((T, F)), layers.RNN(GatedCell(2))], name="raw")
    fresh = keras.Sequential([keras.Input((T, F)), GatedRNN(2)], name="fresh")
    for wrong, probe, text in (
        ("mine", (x, y), r"parts: expected a Keras model\. Received: model='mine'"),
        (
            plain,
            (x, y),
            r"parts: expected a model with at least one GatedRNN\. Received: model='plain'",
        ),
        (
            raw,
            (x, y),
            r"parts: expected a model with at least one GatedRNN\. Received: model='raw'",
        ),
        (
            fresh,
            (x, y),
            r"parts: expected a compiled model, with a loss\. Received: model='fresh', not compiled",
        ),
        (
            model,
            x,
            r"parts: expected a probe \(x, y\) or \(x, y, sample_weight\)\. Received: ndarray",
        ),
        (
            model,
            (x, y[:2]),
            r"parts: expected as many sequences in y as in x, at least one\. Received: shapes .*",
        ),
        (
            model,
            (x[:0], y[:0]),
            r"parts: expected as many sequences in y as in x, at least one\. Received: shapes .*",
        ),
        (
            model,
            (x[..., :2], y),
            r"parts: expected a probe that the model takes\. Received: x of shapes \(3, 5, 2\): .*",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{text}$"):
            parts(wrong, probe)


def test_a_probe_of_masked_steps_alone_measures_nothing(rng, capsys):
    model = stacked(rng, Zeros(dtype="float64"), GatedRNN(N, name="r", dtype="float64"))
    with pytest.raises(
        ValueError,
        match=r"^parts: expected a model that runs a GatedRNN\. Received: model=.*, with none left$",
    ):
        parts(model, (np.zeros((B, T, F)), rng.normal(size=(B, N))))
    assert (
        capsys.readouterr().err == "parts: r: left out, a mask takes out every step of the probe\n"
    )
