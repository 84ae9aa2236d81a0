"""Paths of weights, files of models and of weights: those of GatedRNN beside those of Keras."""

import json
import zipfile

import keras
import numpy as np
import pytest
from oracles import randomize
from stepping import refused

from lstmlab import GatedRNN, variant, variants

layers = keras.layers
F, T, N = 3, 4, 4
ROWS = np.random.default_rng(0).normal(size=(6, T, F)).astype("float32")
TARGETS = ROWS[:, :1, 0]


def stock(**arguments):
    return layers.LSTM(N, **arguments)


def ours(**arguments):
    return GatedRNN(N, **arguments)


def sequential(*made) -> keras.Sequential:
    return keras.Sequential([keras.Input((T, F)), *made, layers.Dense(1, name="last")], name="all")


def nested(make) -> keras.Sequential:
    inputs = keras.Input((T, F))
    inside = keras.Model(inputs, make(name="memory", return_sequences=True)(inputs), name="inside")
    return sequential(inside, make(name="above"))


def in_both(make, **arguments) -> keras.Sequential:
    return sequential(layers.Bidirectional(make(name="memory", **arguments), name="both"))


def over_rows(make) -> keras.Sequential:
    each = layers.TimeDistributed(make(name="memory"), name="each")
    return keras.Sequential([keras.Input((2, T, F)), each], name="all")


def cell(make, name: str):
    return layers.LSTMCell(N, name=name) if make is stock else variant("vanilla", N, name=name)


PLACES = {
    "alone": lambda make: sequential(make(name="memory")),
    "two": lambda make: sequential(make(name="a", return_sequences=True), make(name="b")),
    "Bidirectional": in_both,
    "TimeDistributed": over_rows,
    "nested": nested,
    "RNN": lambda make: sequential(layers.RNN(cell(make, "cell"), name="memory")),
    "StackedRNNCells": lambda make: sequential(
        layers.RNN(
            layers.StackedRNNCells([cell(make, "cell_1"), cell(make, "cell_2")], name="stack"),
            name="memory",
        )
    ),
    "from_keras": lambda make: sequential(
        make(name="memory") if make is stock else GatedRNN.from_keras(stock(name="memory"))
    ),
}


def paths(model) -> list[str]:
    """Of all weights, with one name for the cell of a layer of Keras and of ours."""
    found = [weight.path for weight in model.weights]
    return ["/".join(_cell(part) for part in path.split("/")) for path in found]


def _cell(part: str) -> str:
    return "cell" if part.startswith(("lstm_cell", "gated_cell")) else part


@pytest.mark.parametrize("place", PLACES)
def test_paths_are_those_of_keras_built_loaded_cloned_and_configured(place, tmp_path):
    def all_paths(make):
        model = PLACES[place](make)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        again = keras.Sequential.from_config(model.get_config())
        for one in (model, loaded, again):
            one.compile("sgd", "mse")
            one.get_state_tree()  # which refuses a path that is there twice
        return [paths(model), paths(loaded), paths(keras.models.clone_model(model)), paths(again)]

    found = all_paths(ours)
    assert found == all_paths(stock)
    assert all(len(set(of_one)) == len(of_one) for of_one in found)
    assert all("cell" in path for path in found[1] if "kernel" in path and "last" not in path)


def test_a_layer_made_from_built_weights_has_them_under_its_name(tmp_path):
    layer = stock(name="memory")
    layer.build((None, T, F))
    model = sequential(GatedRNN.from_keras(layer))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        assert paths(one)[0] == "memory/cell/kernel"
    np.testing.assert_array_equal(loaded(ROWS), model(ROWS))


def trained(model, epochs: int) -> keras.Model:
    if not model.compiled:
        model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(ROWS, TARGETS, epochs=epochs, batch_size=6, shuffle=False, verbose=0)
    return model


@pytest.mark.slow
def test_training_goes_on_from_a_file(tmp_path):
    """Two epochs, a file, and two more are four epochs: weights, and the optimizer's variables."""

    def start():
        keras.utils.set_random_seed(1)
        return in_both(ours)

    trained(start(), 2).save(tmp_path / "model.keras")
    found = trained(keras.models.load_model(tmp_path / "model.keras"), 2)
    right = trained(start(), 4)
    for one, other in zip(
        [*found.weights, *found.optimizer.variables],
        [*right.weights, *right.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    slots = [variable.path for variable in found.optimizer.variables]
    assert len(set(slots)) == len(slots)
    assert any("forward_memory" in slot for slot in slots)


@pytest.mark.parametrize(
    "name",
    [
        "vanilla",
        *(pytest.param(name, marks=pytest.mark.slow) for name in variants() if name != "vanilla"),
    ],
)
def test_a_file_of_an_older_version_opens(name, rng, tmp_path):
    """There the config of the cell has the shape of its inputs."""
    model = sequential(GatedRNN(N, name, return_sequences=True))
    randomize(model, rng)
    model.save(tmp_path / "model.keras")
    with (
        zipfile.ZipFile(tmp_path / "model.keras") as file,
        zipfile.ZipFile(tmp_path / "older.keras", "w") as older,
    ):
        parts = {part: file.read(part) for part in file.namelist()}
        config = json.loads(parts["config.json"])
        layers = config["config"]["layers"]
        of_layer = next(one for one in layers if one["class_name"] == "GatedRNN")
        of_layer["config"]["cell"]["build_config"] = {"input_shape": [None, F]}
        for part, content in {**parts, "config.json": json.dumps(config)}.items():
            older.writestr(part, content)
    loaded = keras.models.load_model(tmp_path / "older.keras")
    np.testing.assert_array_equal(loaded(ROWS), model(ROWS))
    assert all(path.startswith(("gated_rnn", "last")) for path in paths(loaded))


# Weights of Keras' own layers

OF_STOCK = (
    "load those of a keras.layers.LSTM, GRU or SimpleRNN into that layer, and take "
    "lstmlab.GatedRNN.from_keras(layer)"
)
VANILLA = "expected weights kernel (3, 16), recurrent_kernel (4, 16), bias (16,)"


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_a_file_of_an_lstm_names_the_way(suffix, tmp_path):
    file, model = str(tmp_path / f"stock{suffix}"), sequential(stock(name="memory"))
    model.save_weights(file) if suffix == ".weights.h5" else model.save(file)
    with pytest.raises(ValueError, match="could not be loaded") as raised:
        sequential(ours(name="memory")).load_weights(file)
    assert f"GatedCell: {VANILLA}; {OF_STOCK}. Received: none for this cell" in str(raised.value)

    again = sequential(stock(name="memory"))
    again.load_weights(file)
    converted = keras.Sequential([GatedRNN.from_keras(again.layers[0]), again.layers[1]])
    np.testing.assert_allclose(converted(ROWS), model(ROWS), rtol=1e-5, atol=1e-6)


def test_files_inside_bidirectional_are_shared_by_lstm_and_vanilla(rng, tmp_path):
    for one, other in ((stock, ours), (ours, stock)):
        model, again = in_both(one), in_both(other)
        randomize(model, rng)
        model.save_weights(tmp_path / "one.weights.h5")
        again.load_weights(tmp_path / "one.weights.h5")
        np.testing.assert_allclose(again(ROWS), model(ROWS), rtol=1e-5, atol=1e-6)


def test_lists_of_weights_of_keras(rng):
    lstm, gru = stock(), layers.GRU(N)
    layer, other = ours(), GatedRNN(N, "gru_reset_after")
    for one in (lstm, gru, layer, other):
        one.build((None, T, F))
    randomize(lstm, rng)
    layer.set_weights(lstm.get_weights())
    np.testing.assert_allclose(layer(ROWS), lstm(ROWS), rtol=1e-5, atol=1e-6)

    message = refused(lambda: layer.set_weights(gru.get_weights()))
    assert message == f"GatedRNN: {VANILLA}; {OF_STOCK}. Received: (3, 12), (4, 12), (2, 12)"
    own = "kernel (3, 12), recurrent_kernel (4, 12), bias (12,), recurrent_bias (4,)"
    message = refused(lambda: other.set_weights(gru.get_weights()))
    assert message.startswith(f"GatedRNN: expected weights {own}; {OF_STOCK}. Received: (3, 12)")
