"""GatedRNN in all that Keras does with a layer: against the cell, in models, saved, compiled, exported, misused."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize
from stepping import FEATURES, MASK, B, N, T, made, start, stepped

from lstmlab import Gate, GatedCell, GatedRNN, variant, variants

layers = keras.layers
KINDS = {  # one of each build of the loop: joined and ahead, blocks, gates fed back, one state, a state beside, behind a gate
    "vanilla": {},
    "lstm1997": {},
    "fgr": {},
    "gru": {},
    "slstm": {},
    "vanilla, normalised": {"layer_normalization": True},
    "vanilla, no bias": {"input_gate": Gate(bias=None), "candidate_bias": None},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_width = pytest.mark.parametrize("width", FEATURES)


def of_kind(kind: str, rng, width: str = "joined", **arguments) -> GatedRNN:
    return made(rng, FEATURES[width], kind.partition(",")[0], **KINDS[kind], **arguments)


def close(actual, expected, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def far(one, other) -> bool:
    return np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-3


def refused(call) -> str:
    """The text of the ValueError, without what Keras wraps around the errors of a layer's call."""
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        call()
    assert type(e.value) is ValueError
    return str(e.value).partition("\033[1m")[2].partition("\033[0m")[0] or str(e.value)


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
    """The masks are those that the cell draws from the same seed; they are the same at all steps."""
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


def ragged(rng, lengths, features: int = 3, dtype="float64"):
    """Sequences of these lengths, padded on the right with zeros, and one by one."""
    rows = [rng.normal(size=(length, features)).astype(dtype) for length in lengths]
    padded = np.zeros((len(rows), max(lengths), features), dtype)
    for k, row in enumerate(rows):
        padded[k, : len(row)] = row
    return padded, rows


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
    # an error in y of a step of float16 or bfloat16 is at most half its distance of numbers near 1, and steps add them up
    eps = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 2.0**-24}[computed]
    close(np.asarray(outputs[0], "float64"), exact(x, mask=MASK), 10 * T * eps)


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_float16", marks=pytest.mark.slow), "mixed_bfloat16"]
)
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


# In models


def wrapped(kind: str) -> keras.Model:
    """Every place that Keras has for a recurrent layer, or cell."""
    name, arguments, sequence = kind.partition(",")[0], KINDS[kind], {"return_sequences": True}
    return keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.Masking(),
            layers.Bidirectional(GatedRNN(N, name, **sequence, **arguments), merge_mode="sum"),
            layers.RNN(
                layers.StackedRNNCells([variant(name, units=N, **arguments) for _ in range(2)]),
                **sequence,
            ),
            layers.RNN(variant(name, units=N, **arguments), **sequence),
            layers.Bidirectional(GatedRNN(N, name, **arguments)),
            layers.Dense(2),
        ]
    )


class Subclassed(keras.Model):
    """A model as one writes it by hand."""

    def __init__(self, units: int = N, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.recurrent, self.readout = GatedRNN(units, "cifg", return_state=True), layers.Dense(1)

    def call(self, x, training=False):
        y, *_ = self.recurrent(x, training=training)
        return self.readout(y)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional_against_both_directions(merge, sequences, rng):
    both = layers.Bidirectional(
        GatedRNN(N, "peephole", return_sequences=sequences, dtype="float64"), merge, dtype="float64"
    )
    x = rng.normal(size=(B, T, 3))
    both.build(x.shape)
    randomize(both, rng)
    one, other = (
        stepped(layer, x, mask=MASK)[0]["output"]
        for layer in (both.forward_layer, both.backward_layer)
    )
    one, other = (
        (one * MASK[..., None], other[:, ::-1] * MASK[..., None])
        if sequences
        else (one[:, -1], other[:, -1])
    )
    expected = {
        "concat": np.concatenate([one, other], -1),
        "sum": one + other,
        "ave": (one + other) / 2,
        "mul": one * other,
    }
    answer = both(x, mask=MASK)
    for part, right in zip(
        answer if merge is None else [answer],
        [one, other] if merge is None else [expected[merge]],
        strict=True,
    ):
        close(part, right)


def test_time_distributed_against_one_by_one(rng):
    layer, x = GatedRNN(N, dtype="float64"), rng.normal(size=(B, 4, T, 3))
    each = layers.TimeDistributed(layer, dtype="float64")
    each.build(x.shape)
    randomize(layer, rng)
    expected = np.stack([layer(x[:, k]) for k in range(4)], axis=1)
    close(each(x), expected)
    inputs = keras.Input((None, T, 3), dtype="float64")
    close(keras.Model(inputs, each(inputs))(x), expected)


@pytest.mark.parametrize(
    "kind",
    ["lstm1997", "slstm", pytest.param("vanilla, normalised", marks=pytest.mark.slow)],
)
def test_models_saved_loaded_cloned_and_configured(kind, rng, tmp_path):
    model, (x, _) = wrapped(kind), ragged(rng, [2, 6, 4], dtype="float32")
    randomize(model, rng)
    expected = model(x)
    assert far(expected, model(x[:, ::-1]))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    configured = keras.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    cloned = keras.models.clone_model(model)
    for other in (configured, cloned):
        assert far(other(x), expected)
    configured.load_weights(tmp_path / "model.weights.h5")
    cloned.set_weights(model.get_weights())
    for other in (loaded, configured, cloned):
        np.testing.assert_array_equal(other(x), expected)
        assert json.dumps(other.get_config()) == json.dumps(
            {**model.get_config(), "name": other.name}
        )


def test_every_argument_survives_the_config():
    arguments = {
        "return_sequences": True, "return_state": True, "return_traces": True, "go_backwards": True, "stateful": True,
        "unroll": True, "zero_output_for_mask": True, "name": "mine", "dtype": "mixed_bfloat16", "trainable": False,
        "activity_regularizer": keras.regularizers.L2(0.1),
    }  # fmt: skip
    layer = GatedRNN(N, "lstm1997", dropout=0.1, seed=3, **arguments)
    again = GatedRNN.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    for name, value in arguments.items():
        if name not in ("dtype", "activity_regularizer"):
            assert getattr(again, name) == value, name
    assert (again.dtype_policy.name, again.cell.dtype_policy.name) == (
        "mixed_bfloat16",
        "mixed_bfloat16",
    )
    assert (again.cell.dropout, again.cell.block_size, again.activity_regularizer.l2) == (
        0.1,
        2,
        pytest.approx(0.1),
    )


def test_a_subclassed_model_saved_and_loaded(rng, tmp_path):
    model, x = Subclassed(), rng.normal(size=(B, T, 3)).astype("float32")
    model(x)
    randomize(model, rng)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"Subclassed": Subclassed}
    )
    np.testing.assert_array_equal(again(x), model(x))
    close(model(x), model.readout(stepped(model.recurrent, x)[0]["output"][:, -1]), 1e-5)


def test_any_length_and_any_batch(rng):
    inputs = keras.Input((None, 3))
    layer = GatedRNN(N, "gru", return_sequences=True, return_state=True)
    sequence, state = layer(inputs)
    assert (sequence.shape, state.shape) == ((None, None, N), (None, N))
    model = keras.Model(inputs, [sequence, state])
    randomize(model, rng)
    for batch, steps in ((1, 1), (4, 7), (2, 3)):
        x = rng.normal(size=(batch, steps, 3)).astype("float32")
        values, last = stepped(layer, x)
        y, state = model.predict(x, verbose=0)
        close(y, values["output"], 1e-5)
        close(state, last[0], 1e-5)


def test_symbolic_shapes_and_types_are_those_of_the_answer(rng):
    for sequences in (False, True):
        for state in (False, True):
            for traces in (False, True):
                layer = GatedRNN(
                    N,
                    "lstm1997",
                    return_sequences=sequences,
                    return_state=state,
                    return_traces=traces,
                    dtype="mixed_float16",
                )
                said = layer(keras.Input(batch_shape=(B, T, 3)))
                given = layer(rng.normal(size=(B, T, 3)))
                keras.tree.assert_same_structure(said, given)
                for one, other in zip(
                    keras.tree.flatten(said), keras.tree.flatten(given), strict=True
                ):
                    assert (one.shape, one.dtype) == (tuple(other.shape), other.dtype.name)


# Training


def trained(x, y, **settings) -> list:
    """Weights, losses and predictions after two epochs of SGD from the same start."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.Masking(), GatedRNN(N, "lstm1997"), layers.Dense(1)]
    )
    randomize(model, np.random.default_rng(5))
    model.compile(keras.optimizers.SGD(0.1), "mse", **settings)
    losses = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    return [
        *model.get_weights(),
        losses,
        model.predict(x, verbose=0),
        model.evaluate(x, y, verbose=0),
    ]


@pytest.mark.parametrize(
    "how",
    [
        [{"jit_compile": True}],
        pytest.param([{"jit_compile": False, "steps_per_execution": 3}], marks=pytest.mark.slow),
    ],
)
def test_compiled_or_not_is_one_training(how, rng):
    (x, _), y = (
        ragged(rng, [2, 6, 4, 3, 1, 6, 5, 2, 6, 2, 3, 3], dtype="float32"),
        rng.normal(size=(12, 1)).astype("float32"),
    )
    expected = trained(x, y, run_eagerly=True)
    assert expected[-3][1] < expected[-3][0], "it learned"
    for settings in how:
        for one, other in zip(trained(x, y, **settings), expected, strict=True):
            close(one, other, 2e-5)


MIRRORED = """
import json, sys
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import contextlib
import keras, numpy as np
import lstmlab

def trained(strategy):
    with strategy.scope() if strategy else contextlib.nullcontext():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([
            keras.Input((6, 3)), keras.layers.Masking(), lstmlab.GatedRNN(4, "cifg"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 6, 3)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")
    x[::3, 4:] = 0
    before = model.get_weights()
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    moved = min(float(np.abs(a - b).max()) for a, b in zip(before, model.get_weights()))
    return model.get_weights() + [model.predict(x, batch_size=8, verbose=0)], moved

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
two, moved = trained(strategy)
one, _ = trained(None)
print(json.dumps([strategy.num_replicas_in_sync, moved, max(float(np.abs(a - b).max()) for a, b in zip(one, two))]))
"""


@pytest.mark.slow
def test_mirrored_on_two_devices_is_the_training_on_one():
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    replicas, moved, apart = json.loads(done.stdout.splitlines()[-1])
    assert replicas == 2
    assert moved > 1e-3
    assert apart < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm1997"])
def test_exported_and_loaded_by_tensorflow_alone(kind, rng, tmp_path):
    model, (x, _) = wrapped(kind), ragged(rng, [2, 6, 4], dtype="float32")
    randomize(model, rng)
    model.export(tmp_path / "model", verbose=False)
    expected = model(x)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for serve in (loaded.serve, layers.TFSMLayer(str(tmp_path / "model"))):
        close(serve(x), expected, 1e-5)
        close(serve(x[:1, :2]), model(x[:1, :2]), 1e-5)


def test_regularizers_add_their_losses(rng):
    layer = made(
        rng, return_sequences=True, kernel_regularizer=keras.regularizers.L1(0.5), recurrent_regularizer="l2",
        bias_regularizer=keras.regularizers.L2(0.25), activity_regularizer=keras.regularizers.L2(0.125),
    )  # fmt: skip
    x = rng.normal(size=(B, T, 3))
    y, cell = layer(x), layer.cell
    weights = (
        0.5 * np.abs(cell.kernel).sum()
        + 0.01 * (cell.recurrent_kernel.numpy() ** 2).sum()
        + 0.25 * (cell.bias.numpy() ** 2).sum()
    )
    close(sum(layer.losses), weights + 0.125 * (y.numpy() ** 2).sum() / B, 1e-6)
    assert len(layer.losses) == 4


def test_constraints_hold_after_a_step(rng):
    model = keras.Sequential(
        [keras.Input((T, 3)), GatedRNN(N, kernel_constraint="non_neg"), layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = rng.normal(size=(8, T, 3)).astype("float32")
    assert model.layers[0].cell.kernel.numpy().min() < 0
    model.fit(x, x[:, 0, :1], epochs=1, verbose=0)
    assert model.layers[0].cell.kernel.numpy().min() == 0


# Misused

HERE = "GatedRNN: expected "
X = np.ones((2, 5, 3), "float32")


def functional(mask=None, states=None, x=(5, 3), **arguments):
    inputs = keras.Input(x)
    return GatedRNN(N, **arguments)(
        inputs,
        mask=None if mask is None else keras.Input(mask, dtype="bool"),
        initial_state=None if states is None else [keras.Input((size,)) for size in states],
    )


@pytest.mark.parametrize(
    ("shape", "received"),
    [
        ((2, 4), "(2, 4)"),
        ((2, 6), "(2, 6)"),
        ((3, 5), "(3, 5)"),
        ((1, 5), "(1, 5)"),
        ((5,), "(5,)"),
        ((2, 5, 1), "(2, 5, 1)"),
    ],
)
@pytest.mark.parametrize("stateful", [False, True])
def test_masks_of_the_wrong_shape(shape, received, stateful):
    layer, mask = GatedRNN(N, stateful=stateful), np.ones(shape, bool)
    message = f"{HERE}a mask [B, T] = (2, 5). Received: mask.shape={received}"
    assert refused(lambda: layer(X, mask=mask)) == message
    assert refused(lambda: tf.function(layer)(X, mask=mask)) == message
    layer(X)
    assert refused(lambda: layer(X, mask=mask)) == message


def test_masks_of_the_wrong_shape_in_models():
    assert (
        refused(lambda: functional(mask=(4,)))
        == f"{HERE}a mask [B, T] = (None, 5). Received: mask.shape=(None, 4)"
    )
    assert (
        refused(lambda: functional(mask=(5, 1)))
        == f"{HERE}a mask [B, T] = (None, 5). Received: mask.shape=(None, 5, 1)"
    )
    inputs, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], GatedRNN(N)(inputs, mask=mask))
    message = f"{HERE}a mask [B, T] = (2, 5). Received: mask.shape=(2, 4)"
    assert refused(lambda: model([X, np.ones((2, 4), bool)])) == message
    assert refused(lambda: model.predict([X, np.ones((2, 4), bool)], verbose=0)) == message
    assert model.predict([X, np.ones((2, 5), bool)], verbose=0).shape == (2, N)
    fixed, other = keras.Input(batch_shape=(2, 5, 3)), keras.Input(batch_shape=(3, 5), dtype="bool")
    message = f"{HERE}a mask [B, T] = (2, 5). Received: mask.shape=(3, 5)"
    assert refused(lambda: GatedRNN(N, stateful=True)(fixed, mask=other)) == message


def test_a_mask_that_is_no_tensor():
    assert refused(lambda: GatedRNN(N)(X[:1, :2], mask=[[True, False]])) == (
        f"{HERE}a mask [B, T] = (1, 2). Received: mask=[[True, False]]"
    )


STATES = f"{HERE}initial_state=[hidden [B, 4], cell_state [B, 4]], B="


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 4)],
        [(2, 4)] * 3,
        [(2, 4), (2, 5)],
        [(3, 4), (3, 4)],
        [(2, 4), (1, 4)],
        [(4,), (4,)],
        [(2, 4, 1), (2, 4)],
    ],
)
@pytest.mark.parametrize("stateful", [False, True])
def test_states_of_the_wrong_number_or_size(shapes, stateful):
    layer, states = GatedRNN(N, stateful=stateful), [np.ones(shape, "float32") for shape in shapes]
    assert (
        refused(lambda: layer(X, initial_state=states)) == f"{STATES}2. Received: shapes {shapes}"
    )


def test_states_of_the_wrong_number_or_size_in_models():
    assert refused(lambda: functional(states=[N])) == f"{STATES}None. Received: shapes [(None, 4)]"
    assert (
        refused(lambda: functional(states=[N, 5]))
        == f"{STATES}None. Received: shapes [(None, 4), (None, 5)]"
    )
    assert refused(lambda: GatedRNN(N, "lstm1997")(X, initial_state=[X[:, 0]] * 2)) == (
        f"{HERE}initial_state=[hidden [B, 8], cell_state [B, 4]], B=2. Received: shapes [(2, 3), (2, 3)]"
    )
    assert refused(lambda: GatedRNN(N, "gru")(X, initial_state=X[:, 0])) == (
        f"{HERE}initial_state=[hidden [B, 4]], B=2. Received: shapes [(2, 3)]"
    )
    one = GatedRNN(N, "gru")
    np.testing.assert_array_equal(
        one(X, initial_state=tf.ones((2, N))), one(X, initial_state=[tf.ones((2, N))])
    )


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 5, 3), (2, 0, 3)])
def test_inputs_of_the_wrong_shape(shape):
    layer = GatedRNN(N)
    assert (
        refused(lambda: layer(np.ones(shape)))
        == f"{HERE}inputs [B, T, F], T at least 1, F known. Received: shape={shape}"
    )
    layer(X)
    assert (
        refused(lambda: layer(np.ones(shape)))
        == f"{HERE}inputs [B, T, F], T at least 1, F 3. Received: shape={shape}"
    )


def test_inputs_of_the_wrong_shape_in_models():
    layer = GatedRNN(N)
    known, here = (
        f"{HERE}inputs [B, T, F], T at least 1, F known",
        f"{HERE}inputs [B, T, F], T at least 1, F 3",
    )
    assert refused(lambda: layer(keras.Input((3,)))) == f"{known}. Received: shape=(None, 3)"
    assert (
        refused(lambda: layer(keras.Input((5, None))))
        == f"{known}. Received: shape=(None, 5, None)"
    )
    assert (
        refused(lambda: keras.Sequential([keras.Input((3,)), layer]))
        == f"{known}. Received: shape=(None, 3)"
    )
    layer(X)
    assert refused(lambda: layer(X[..., :2])) == f"{here}. Received: shape=(2, 5, 2)"
    assert refused(lambda: layer(keras.Input((5, 2)))) == f"{here}. Received: shape=(None, 5, 2)"
    rows = tf.RaggedTensor.from_row_lengths(np.ones((3, 3), "float32"), [1, 2])
    assert (
        refused(lambda: layer(rows))
        == f"{HERE}a dense tensor; pad it and give a mask. Received: a ragged tensor"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GatedRNN("vanilla"), f"{HERE}a GatedCell or a number of units. Received: cell='vanilla'"),
        (lambda: GatedRNN(2.5), f"{HERE}a GatedCell or a number of units. Received: cell=2.5"),
        (lambda: GatedRNN(True), f"{HERE}a GatedCell or a number of units. Received: cell=True"),
        (lambda: GatedRNN(None), f"{HERE}a GatedCell or a number of units. Received: cell=None"),
        (
            lambda: GatedRNN(layers.LSTMCell(4, name="c")),
            f"{HERE}a GatedCell or a number of units. Received: cell=<LSTMCell name=c, built=False>",
        ),
        (
            lambda: GatedRNN([GatedCell(4, name="c")]),
            f"{HERE}a GatedCell or a number of units. Received: cell=[<GatedCell name=c, built=False>]",
        ),
        (lambda: GatedRNN(0), "GatedCell: expected a positive integer. Received: units=0"),
        (
            lambda: GatedRNN(4, block_size=3),
            "GatedCell: expected a divisor of units=4, one of [1, 2, 4]. Received: block_size=3",
        ),
        (
            lambda: GatedRNN(GatedCell(4), dropout=0.1, forget_gate=None),
            f"{HERE}arguments of the cell only with a number of units. Received: dropout=0.1, forget_gate=None beside a cell",
        ),
        (
            lambda: GatedRNN(GatedCell(4), "gru"),
            f"{HERE}arguments of the cell only with a number of units. Received: variant='gru' beside a cell",
        ),
        (lambda: GatedRNN(4, "lstm"), f"variant: expected one of {variants()}. Received: name='lstm'"),
        (lambda: GatedRNN(4, return_traces="yes"), f"{HERE}true or false. Received: return_traces='yes'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_at_construction(make, message):
    assert refused(make) == message


def test_stateful_needs_one_batch_size(rng):
    assert refused(lambda: GatedRNN(N, stateful=True)(keras.Input((T, 3)))) == (
        f"When using `stateful=True` in a RNN, the batch size must be static. "
        f"Found dynamic batch size: sequence.shape=(None, {T}, 3)"
    )
    layer = made(rng, stateful=True)
    assert refused(lambda: layer(rng.normal(size=(B - 1, T, 3)))) == (
        "If an RNN is stateful, the batch size of the input sequences must be the same as the batch size of the initial "
        "state. \n"
        f"- Expected batch size: {B}\n- Received batch size: {B - 1}"
    )


@pytest.mark.parametrize("given", [{"gates": 3}, {"implementation": 1}, {"forgt_gate": None}])
def test_unknown_arguments_are_refused_with_those_that_are_known(given):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the text is compared
        GatedRNN(4, **given)
    [(name, value)] = given.items()
    assert str(e.value).startswith("GatedRNN: expected arguments among ['bias_constraint', ")
    assert "'forget_gate'" in str(e.value)
    assert "kwargs" not in str(e.value)
    assert str(e.value).endswith(f"'variant', 'zero_output_for_mask']. Received: {name}={value!r}")


def test_units_may_be_named_as_in_keras(rng):
    assert GatedRNN(units=np.int64(3)).cell.get_config() | {"name": ""} == GatedRNN(
        3
    ).cell.get_config() | {"name": ""}


@pytest.mark.parametrize("given", [{"variant": "vanilla"}, {"units": 4}, {"forget_gate": None}])
def test_a_cell_says_everything_itself(given):
    [(name, value)] = given.items()
    with pytest.raises(
        ValueError, match=rf"^GatedRNN: expected .* Received: {name}={value!r} beside a cell$"
    ):
        GatedRNN(variant("gru", units=4), **given)
