"""The argument `engine` of GatedRNN: what is accepted, saved, refused, and told after a call."""

import re

import keras
import numpy as np
import pytest

from lstmlab import GatedRNN

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize("value", ["cuda", None, "XLA", True])
def test_an_unknown_engine_is_refused_at_construction(value):
    expected = re.escape(
        f"GatedRNN: expected one of ('auto', 'native', 'xla', 'scan'). Received: engine={value!r}"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        GatedRNN(4, engine=value)


def test_a_saved_layer_keeps_its_engine_and_an_old_file_has_none(tmp_path):
    layer = GatedRNN(4, engine="xla")
    config = layer.get_config()
    assert GatedRNN.from_config(config).engine == config["engine"] == "xla"
    older = {name: value for name, value in config.items() if name != "engine"}
    assert GatedRNN.from_config(older).engine == "auto"

    model = keras.Sequential([keras.Input(X.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[0].engine == "xla"
    np.testing.assert_array_equal(again(X), model(X))


def test_a_layer_from_keras_takes_an_engine():
    lstm = keras.layers.LSTM(4)
    lstm(X)
    assert GatedRNN.from_keras(lstm).engine == "auto"
    assert GatedRNN.from_keras(lstm, engine="xla").engine == "xla"


def test_the_layer_tells_what_computed_its_last_call():
    layer = GatedRNN(4, engine="xla")
    assert layer.engine_used is None
    assert layer.engine_reason is None
    layer(X)
    assert (layer.engine_used, layer.engine_reason) == ("xla", "it was asked for")
    layer.engine = "auto"
    layer(X)
    assert layer.engine_used == "native"
    assert layer.engine_reason == "native is the first of native, scan, xla that serves it"


@pytest.mark.parametrize(
    ("settings", "engine", "told"),
    [
        (
            {"layer_normalization": True},
            "xla",
            [
                "native does not serve this: expected layer_normalization=False, "
                "received layer_normalization=True; ",
                "scan does not serve this: expected gates and candidates that do not read",
                "xla, the loop over time, serves every cell and every call",
            ],
        ),
        (
            {"variant": "mingru", "dtype": "float64"},
            "scan",
            [
                "native does not serve this: expected float32, received dtype='float64'; ",
                "scan is the first of native, scan, xla that serves it",
            ],
        ),
    ],
)
def test_the_layer_tells_what_kept_the_other_engines_from_its_call(settings, engine, told):
    layer = GatedRNN(4, **settings)
    layer(X)
    assert layer.engine_used == engine
    for part in told:
        assert part in layer.engine_reason
