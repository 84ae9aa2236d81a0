"""GatedRNN against its cell, step by step: the loop, states, masks and types."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from branches import on_demand
from oracles import randomize
from stepping import (
    FEATURES,
    MASK,
    B,
    N,
    T,
    close,
    every_kind,
    every_width,
    far,
    made,
    of_kind,
    ragged,
    start,
    stepped,
)

from lstmlab import Gate, GatedRNN, variant, variants

layers = keras.layers


# The loop


@every_width
@pytest.mark.parametrize("name", variants())
def test_every_variant_against_its_cell_step_by_step(name, width, rng):
    """From any state, with a mask, forwards and backwards: outputs and last states."""
    for backwards in (False, True):
        layer = made(
            rng,
            FEATURES[width],
            name,
            return_sequences=True,
            return_state=True,
            go_backwards=backwards,
        )
        x, states = rng.normal(size=(B, T, FEATURES[width])), start(layer, rng)
        values, last = stepped(layer, x, states, MASK)
        outputs, *after = layer(x, initial_state=states, mask=MASK)
        close(outputs, values["output"])
        for one, other in zip(after, last, strict=True):
            close(one, other)
        assert far(outputs, layer(x, initial_state=states)[0])
        assert far(outputs, layer(x, mask=MASK)[0])
        assert not layer.cell.one_product or (layer.cell.kernel.shape[0] >= N) == (width == "ahead")


@every_width
@every_kind
def test_dropout_against_the_cell_step_by_step(kind, width, rng):
    """The masks are those that the cell draws from the same seed.

    They are the same at all steps.
    """
    layer = of_kind(
        kind, rng, width, return_sequences=True, dropout=0.4, recurrent_dropout=0.3, seed=7
    )
    cell, x = layer.cell, rng.normal(size=(B, T, FEATURES[width]))
    seed = cell.seed_generator.state.numpy()
    outputs = layer(x, training=True)
    cell.seed_generator.state.assign(seed)
    mask, recurrent = (
        cell.get_dropout_mask(tf.constant(x[:, 0])),
        cell.get_recurrent_dropout_mask(tf.zeros((B, cell.hidden_size), "float64")),
    )
    assert 0 < np.mean(mask == 0) < 1
    assert 0 < np.mean(recurrent == 0) < 1
    cell.reset_dropout_mask()
    cell.reset_recurrent_dropout_mask()
    values, _ = stepped(
        layer, x * mask[:, None], net=lambda x_t, hidden: cell.net(x_t, hidden * recurrent)
    )
    close(outputs, values["output"])
    assert far(outputs, layer(x, training=True)), "masks of the next call"
    close(layer(x), stepped(layer, x)[0]["output"])


def test_without_dropout_training_is_no_other_function(rng):
    layer, x = made(rng), rng.normal(size=(B, T, 3))
    np.testing.assert_array_equal(layer(x, training=True), layer(x))


@every_width
@every_kind
def test_other_ways_to_the_same_answer(kind, width, rng):
    """Unrolled, by keras.layers.RNN, in a graph, compiled, and the last output alone."""
    layer = of_kind(kind, rng, width, return_sequences=True)
    x = rng.normal(size=(B, T, FEATURES[width]))
    expected = stepped(layer, x, mask=MASK)[0]["output"]
    others = [
        GatedRNN(layer.cell, return_sequences=True, unroll=True, dtype="float64"),
        layers.RNN(layer.cell, return_sequences=True, dtype="float64"),
        tf.function(layer, autograph=False),
    ]
    others += (
        [tf.function(layer, jit_compile=True, autograph=False)]
        if kind in ("vanilla", "lstm1997", "slstm")
        else []
    )
    for other in others:
        close(other(tf.constant(x), mask=tf.constant(MASK)), expected)
    close(GatedRNN(layer.cell, dtype="float64")(x, mask=MASK), expected[:, -1])


def test_switches_go_to_the_cell_and_a_cell_is_taken_as_it_is():
    layer = GatedRNN(
        6, "lstm1997", block_size=3, output_gate=Gate("tanh"), name="mine", return_state=True
    )
    assert (layer.cell.blocks, layer.cell.feedback, layer.units, layer.name) == (
        2,
        "all",
        6,
        "mine",
    )
    assert layer.cell.output_gate.activation is keras.activations.tanh
    cell = variant("gru", units=3)
    assert GatedRNN(cell).cell is cell
    assert (
        GatedRNN(5).cell.get_config()["forget_gate"]
        == variant("vanilla").get_config()["forget_gate"]
    )


# States


def test_stateful_goes_on_where_it_stopped(rng):
    layer, x = (
        made(rng, variant="peephole", return_sequences=True, stateful=True),
        rng.normal(size=(B, 2 * T, 3)),
    )
    whole, last = stepped(layer, x)
    close(layer(x[:, :T]), whole["output"][:, :T])
    close(layer(x[:, T:]), whole["output"][:, T:])
    for one, other in zip(layer.states, last, strict=True):
        close(one, other)
    layer.reset_state()
    assert not any(np.any(state) for state in layer.states)
    close(layer(x[:, :T]), whole["output"][:, :T])
    layer.reset_states()
    states = start(layer, rng)
    close(layer(x, initial_state=states), stepped(layer, x, states)[0]["output"])


def test_stateful_through_predict_and_fit(rng):
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(B, T, 3)),
            GatedRNN(N, stateful=True, return_sequences=True),
            layers.Dense(1),
        ]
    )
    randomize(model, rng)
    x = rng.normal(size=(B, T, 3)).astype("float32")
    model.compile("sgd", "mse")
    one, two = model.predict(x, B, verbose=0), model.predict(x, B, verbose=0)
    assert far(one, two)
    layer, dense = model.layers
    values, last = stepped(layer, np.concatenate([x, x], axis=1))
    close(np.concatenate([one, two], axis=1), dense(values["output"]), 1e-5)
    model.optimizer.learning_rate = 0.0
    layer.reset_state()
    model.fit(x, one, B, epochs=2, verbose=0)
    for state, expected in zip(layer.states, last, strict=True):
        close(state, expected, 1e-5)


# Masks


@every_kind
def test_padding_does_not_change_the_answer(kind, rng):
    layer = of_kind(kind, rng)
    x, rows = ragged(rng, [2, 5, 1, 4])
    alone = np.concatenate([layer(row[None]) for row in rows])
    masked = layers.Masking(dtype="float64")(x)
    close(layer(masked), alone)
    close(
        layer(layers.Masking(dtype="float64")(x[:, ::-1])),
        np.concatenate([layer(row[None, ::-1]) for row in rows]),
    )
    assert far(layer(x), alone)
    garbage = np.where((x == 0).all(-1, keepdims=True), 1e3, x)
    close(layer(garbage, mask=masked._keras_mask), alone)


def test_ragged_tensors_padded(rng):
    layer, (x, rows) = made(rng), ragged(rng, [2, 5, 1])
    tensor = tf.RaggedTensor.from_row_lengths(np.concatenate(rows), [2, 5, 1])
    padded = tensor.to_tensor()
    np.testing.assert_array_equal(padded, x)
    mask = tf.sequence_mask(tensor.row_lengths())
    close(layer(padded, mask=mask), np.concatenate([layer(row[None]) for row in rows]))


def test_embedding_masks_zeros_in_a_model(rng):
    tokens = np.array([[3, 1, 2, 0, 0], [1, 0, 0, 0, 0], [2, 2, 1, 3, 1]])
    model = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(4, 3, mask_zero=True), GatedRNN(N), layers.Dense(2)]
    )
    randomize(model, rng)
    answers = model.predict(tokens, verbose=0)
    for row, answer in zip(tokens, answers, strict=True):
        close(answer, model.predict(row[None, row > 0], verbose=0)[0], 1e-5)
    assert far(model.predict(tokens[:, :3], verbose=0)[2], answers[2])


def test_a_sequence_masked_from_end_to_end_leaves_the_state(rng):
    layer, x = made(rng, return_state=True), rng.normal(size=(B, T, 3))
    states, mask = start(layer, rng), np.array([[False] * T, [True] * T, [True] * T])
    y, *after = layer(x, initial_state=states, mask=mask)
    assert not np.any(y[0])
    for one, other in zip(after, states, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert far(one[1], other[1])


@pytest.mark.parametrize("wrap", [False, True])
def test_masks_arrive_beside_initial_states(wrap, rng):
    """In an encoder and decoder, say: keras.layers.LSTM drops the mask there."""
    layer = (
        layers.Bidirectional(GatedRNN(N, dtype="float64"), dtype="float64")
        if wrap
        else GatedRNN(N, dtype="float64")
    )
    x, _ = ragged(rng, [2, 5, 1])
    states = [rng.normal(size=(3, N)) for _ in range(4 if wrap else 2)]
    expected = layer(x, initial_state=states, mask=(x != 0).any(-1))
    randomize(layer, rng)
    expected = layer(x, initial_state=states, mask=(x != 0).any(-1))
    close(layer(layers.Masking(dtype="float64")(x), initial_state=states), expected)
    inputs, given = (
        keras.Input((None, 3), dtype="float64"),
        [keras.Input((N,), dtype="float64") for _ in states],
    )
    model = keras.Model(
        [inputs, *given], layer(layers.Masking(dtype="float64")(inputs), initial_state=given)
    )
    close(model([x, *states]), expected)
    assert far(layer(x, initial_state=states), expected)


def test_masks_are_handed_on(rng):
    x, _ = ragged(rng, [2, 5, 1])
    masked = layers.Masking(dtype="float64")(x)
    mask = (x != 0).any(-1)
    np.testing.assert_array_equal(made(rng, return_sequences=True)(masked)._keras_mask, mask)
    y, values = made(rng, return_sequences=True, return_traces=True)(masked)
    np.testing.assert_array_equal(y._keras_mask, mask)
    assert {getattr(value, "_keras_mask", None) for value in values.values()} == {None}
    assert getattr(made(rng)(masked), "_keras_mask", None) is None


@every_kind
def test_nan_passes_through(kind, rng):
    """It reaches every output from its step on and none before; behind a mask it is not read."""
    layer, x = of_kind(kind, rng, return_sequences=True), rng.normal(size=(B, T, 3))
    x[1, 2, 0] = np.nan
    for call in (layer, tf.function(layer, jit_compile=True, autograph=False))[
        : 1 + (kind == "vanilla")
    ]:
        y = np.asarray(call(tf.constant(x)))
        assert np.isnan(y[1, 2:]).all()
        assert np.isfinite(y[[0, 2]]).all()
        assert np.isfinite(y[1, :2]).all()
    assert np.isfinite(layer(x, mask=np.isfinite(x).all(-1))).all()


# Types


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_dtype_policies(policy, rng):
    exact, layer = made(rng, dtype="float32"), GatedRNN(N, dtype=policy, return_state=True)
    x = rng.normal(size=(B, T, 3)).astype("float32")
    layer.build(x.shape)
    layer.set_weights(exact.get_weights())
    outputs = layer(x, mask=MASK)
    computed = policy.removeprefix("mixed_")
    assert {output.dtype.name for output in outputs} == {computed}
    assert {weight.dtype for weight in layer.weights} == {
        "float32" if policy.startswith("mixed") else policy
    }
    assert {layer.cell.compute_dtype, layer.compute_dtype} == {computed}
    # an error in y of a step of float16 or bfloat16 is at most half its distance of numbers near 1,
    # and steps add them up
    eps = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 2.0**-24}[computed]
    close(np.asarray(outputs[0], "float64"), exact(x, mask=MASK), 10 * T * eps)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_fit_in_mixed_precision(policy, rng):
    model = keras.Sequential(
        [keras.Input((T, 3)), GatedRNN(N, dtype=policy), layers.Dense(1, dtype="float32")]
    )
    optimizer = keras.optimizers.Adam(0.02)
    model.compile(
        keras.optimizers.LossScaleOptimizer(optimizer) if policy == "mixed_float16" else optimizer,
        "mse",
        jit_compile=False,
    )
    x = rng.normal(size=(32, T, 3)).astype("float32")
    losses = model.fit(x, x[:, 1, :1], epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


# Derivatives


JACOBIANS = ("vanilla", "lstm1997", "gru")


@pytest.mark.slow
@pytest.mark.parametrize("kind", on_demand(variants(), JACOBIANS.__contains__))
def test_jacobians_in_a_compiled_function_against_the_unrolled_loop(kind, rng):
    """Of the last output and states, by inputs, first states and weights; with holes in a mask."""
    answers = []
    layer = made(rng, variant=kind, return_state=True)
    x, states = rng.normal(size=(B, T, 3)), start(layer, rng)
    for unrolled in (False, True):
        layer.unroll = unrolled

        @tf.function(autograph=False)
        def jacobian(x, states):
            weights = [weight.value for weight in layer.trainable_weights]
            with tf.GradientTape() as tape:
                tape.watch([x, *states])
                y = tf.concat(layer(x, initial_state=states, mask=MASK), axis=1)[1]
            return tape.jacobian(y, [x, *states, *weights], unconnected_gradients="zero")

        answers.append(jacobian(tf.constant(x), [tf.constant(state) for state in states]))
    for one, other in zip(*answers, strict=True):
        close(one, other)
    assert np.abs(answers[0][0][:, 1]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("sequences", [False, True])
def test_each_row_by_vectorized_map_and_by_map_fn(sequences, rng):
    """Outputs of each sequence by itself, and the gradients by the weights that it has alone."""
    layer, x = made(rng, return_sequences=sequences), tf.constant(rng.normal(size=(B, T, 3)))

    def of_one(row):
        with tf.GradientTape() as tape:
            y = layer(row[None])
            scalar = tf.reduce_sum(y**2)
        return y[0], tape.gradient(scalar, layer.cell.kernel.value)

    expected = [of_one(row) for row in x]
    signature = (tf.float64, tf.float64)
    for found in (
        tf.vectorized_map(of_one, x),
        tf.map_fn(of_one, x, fn_output_signature=signature),
    ):
        close(found[0], np.stack([y for y, _ in expected]))
        close(found[1], np.stack([gradient for _, gradient in expected]))


@pytest.mark.slow
def test_hessian_vector_products_against_differences(rng):
    """Forward over reverse, and reverse over reverse."""
    layer = made(rng)
    x, v = tf.constant(rng.normal(size=(B, T, 3))), tf.constant(rng.normal(size=(B, T, 3)))

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            scalar = tf.reduce_sum(layer(x, mask=MASK) ** 3)
        return tape.gradient(scalar, x)

    def reverse_over_reverse(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            along = tf.reduce_sum(gradient(x) * v)
        return tape.gradient(along, x)

    with tf.autodiff.ForwardAccumulator(x, v) as accumulator:
        forward = accumulator.jvp(gradient(x))
    found = reverse_over_reverse(x)
    differences = (gradient(x + 1e-5 * v) - gradient(x - 1e-5 * v)) / 2e-5
    close(found, differences, 1e-7)
    close(found, forward)
    for compiled in (False, True):
        close(tf.function(reverse_over_reverse, jit_compile=compiled, autograph=False)(x), found)
    assert far(found, 0 * found)
