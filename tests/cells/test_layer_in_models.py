"""GatedRNN in models: wrapped, saved, exported, compiled and trained."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize
from stepping import KINDS, MASK, B, N, T, close, far, made, ragged, stepped

from lstmlab import GatedRNN, variant

layers = keras.layers


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["lstm1997", "slstm", "vanilla, normalised"],
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
        "return_sequences": True,
        "return_state": True,
        "return_traces": True,
        "go_backwards": True,
        "stateful": True,
        "unroll": True,
        "zero_output_for_mask": True,
        "name": "mine",
        "dtype": "mixed_bfloat16",
        "trainable": False,
        "activity_regularizer": keras.regularizers.L2(0.1),
    }
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        [{"jit_compile": True}],
        [{"jit_compile": False, "steps_per_execution": 3}],
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
            keras.Input((6, 3)), keras.layers.Masking(), lstmlab.GatedRNN(4, "cifg"),
            keras.layers.Dense(1)])
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
apart = max(float(np.abs(a - b).max()) for a, b in zip(one, two))
print(json.dumps([strategy.num_replicas_in_sync, moved, apart]))
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
        rng,
        return_sequences=True,
        kernel_regularizer=keras.regularizers.L1(0.5),
        recurrent_regularizer="l2",
        bias_regularizer=keras.regularizers.L2(0.25),
        activity_regularizer=keras.regularizers.L2(0.125),
    )
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


@pytest.mark.slow
def test_keras_knows_the_layer_when_lstmlab_is_imported_first():
    """`import lstmlab, keras` is enough for saved models to load."""
    code = (
        "import lstmlab, keras; "
        "print(keras.saving.get_registered_object('lstmlab>GatedRNN').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "GatedRNN", done.stderr
