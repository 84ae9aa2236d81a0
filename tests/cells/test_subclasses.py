"""Subclasses of GatedRNN and GatedCell with an __init__ of their own: saved, loaded, cloned."""

import json

import h5py
import keras
import numpy as np
import pytest
from oracles import randomize
from stepping import B, N, T, far

from lstmlab import Gate, GatedCell, GatedRNN, variant

layers = keras.layers
registered = keras.saving.register_keras_serializable("test_subclasses")


@registered
class Plain(GatedRNN):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)


@registered
class OfVariant(GatedRNN):
    """Fixes what the config says too."""

    def __init__(self, units, **kwargs):
        super().__init__(units, variant="gru", return_sequences=True, **kwargs)


@registered
class NoMore(GatedRNN):
    def __init__(self, units):
        super().__init__(2 * units, "peephole")


@registered
class Nothing(GatedRNN):
    def __init__(self, **kwargs):
        super().__init__(N, "cifg", **kwargs)


@registered
class Scaled(GatedRNN):
    """An argument of its own, and another call."""

    def __init__(self, units, scale=1.0, activation=None, **kwargs):
        super().__init__(units, **kwargs)
        self.units, self.scale = units, scale
        self.activation = keras.activations.get(activation)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        answer = super().call(sequences, initial_state, mask, training)
        return self.activation(self.scale * answer)


@registered
class Told(Scaled):
    """The same, told by a get_config."""

    def get_config(self):
        own = {"units": self.units, "scale": self.scale}
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), **own, "activation": activation}


@registered
class Below(Scaled):
    """A second __init__ over the first."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


@registered
class Listed(GatedRNN):
    def __init__(self, *args, scales=(1.0,), **kwargs):
        super().__init__(*args, **kwargs)
        self.scales = scales

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return sum(self.scales) * super().call(sequences, initial_state, mask, training)


@registered
class Leaky(GatedCell):
    """A cell with an argument of its own, that fixes a gate."""

    def __init__(self, units, leak=0.9, **kwargs):
        super().__init__(units, forget_gate=None, **kwargs)
        self.leak = leak

    def step(self, inputs, states, touch=lambda name, value: value, **more):
        def leak(name, value):
            return touch(name, self.leak * value if name == "cell_state" else value)

        return super().step(inputs, states, touch=leak, **more)


@registered
class Twice(GatedCell):
    """Takes another number than it hands on, and tells it."""

    def __init__(self, half, **kwargs):
        super().__init__(2 * half, **kwargs)
        self.half = half

    def get_config(self):
        config = super().get_config()
        del config["units"]
        return {**config, "half": self.half}


@registered
class WithLeaky(GatedRNN):
    def __init__(self, units, leak, **kwargs):
        super().__init__(Leaky(units, leak), **kwargs)


@registered
class OnTop(GatedRNN):
    def __init__(self, cell, gain=1.0, **kwargs):
        super().__init__(cell, **kwargs)
        self.gain = gain

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return self.gain * super().call(sequences, initial_state, mask, training)


@registered
class Named(GatedRNN):
    """Names what the class below knows, and takes it for something else."""

    def __init__(self, units, variant, return_sequences=False, name="mine"):
        super().__init__(2 * units, variant, return_sequences, name=f"{name}_{units}")
        self.half, self.kind = units, variant

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return self.half * super().call(sequences, initial_state, mask, training)


@registered
class Narrow(GatedCell):
    """Takes half of its units, and tells nothing."""

    def __init__(self, units, *, kernel_initializer="ones"):
        super().__init__(2 * units, kernel_initializer=kernel_initializer)
        self.half = units

    def step(self, *args, **kwargs):
        values, states = super().step(*args, **kwargs)
        return {**values, "output": self.half * values["output"]}, states


MADE = {
    "plain": lambda: Plain(N, name="mine", zero_output_for_mask=True, dtype="float64"),
    "plain, with switches": lambda: Plain(N, forget_gate=Gate("hard_sigmoid", 2.0), dropout=0.5),
    "variant": lambda: OfVariant(N, trainable=False),
    "no more": lambda: NoMore(3),
    "nothing": lambda: Nothing(input_gate="hard_sigmoid"),
    "scaled": lambda: Scaled(N, 3.0, activation="softplus", return_sequences=True),
    "scaled by an object": lambda: Scaled(N, activation=keras.activations.softplus),
    "named": lambda: Named(3, "gru", True),
    "narrow cell": lambda: GatedRNN(Narrow(2, kernel_initializer=keras.initializers.Ones())),
    "told": lambda: Told(N, 3.0, activation="softplus"),
    "below": lambda: Below(units=N, scale=3.0),
    "listed": lambda: Listed(N, "slstm", scales=(1.0, 2.5)),
    "cell": lambda: GatedRNN(Leaky(N, 0.5)),
    "cell of Keras' layer": lambda: layers.RNN(Leaky(N, leak=0.5)),
    "cell that tells": lambda: GatedRNN(Twice(2)),
    "with a cell": lambda: WithLeaky(N, 0.5),
    "on top of a cell": lambda: OnTop(variant("gru", units=N), gain=2.0),
    "on top of a subclass": lambda: OnTop(Leaky(N, 0.25), gain=2.0),
}


def model(layer):
    return keras.Sequential([keras.Input((T, 3)), layer])


def saved(net, folder, **how):
    net.save(folder / "net.keras")
    return keras.models.load_model(folder / "net.keras", **how)


def cloned(net, folder):
    again = keras.models.clone_model(net)
    again.set_weights(net.get_weights())
    return again


def configured(net, folder):
    again = type(net).from_config(net.get_config())
    again.set_weights(net.get_weights())
    return again


@pytest.mark.parametrize(
    ("way", "wrap"),
    [
        (saved, False),
        (saved, True),
        (cloned, False),
        pytest.param(cloned, True, marks=pytest.mark.slow),
        pytest.param(configured, False, marks=pytest.mark.slow),
        pytest.param(configured, True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", MADE)
def test_subclasses_are_restored(name, way, wrap, rng, tmp_path):
    layer = MADE[name]()
    net = model(layers.Bidirectional(layer) if wrap else layer)
    randomize(net, rng)
    x = rng.normal(size=(B, T, 3))
    expected = net(x)
    again = way(net, tmp_path)
    np.testing.assert_array_equal(again(x), expected)
    one, other = net.layers[0], again.layers[0]
    assert type(other) is type(one)
    assert json.dumps(other.get_config()) == json.dumps(one.get_config())
    assert len(again.trainable_weights) == len(net.trainable_weights)
    assert far(expected, net(x[:, ::-1]))
    layer = other.forward_layer if wrap else other
    assert type(layer.cell) is type(MADE[name]().cell)


def test_bidirectional_has_the_arguments_of_a_subclass():
    """Keras makes both directions from its config."""
    both = layers.Bidirectional(Scaled(N, scale=3.0))
    assert (both.forward_layer.scale, both.backward_layer.scale) == (3.0, 3.0)
    assert (both.forward_layer.go_backwards, both.backward_layer.go_backwards) == (False, True)


@pytest.mark.parametrize("wrap", [False, True])
def test_an_unregistered_subclass_needs_custom_objects(wrap, rng, tmp_path):
    class Mine(GatedRNN):
        def __init__(self, units, **kwargs):
            super().__init__(Own(units), **kwargs)

    class Own(GatedCell):
        def __init__(self, units, **kwargs):
            super().__init__(units, output_gate=None, **kwargs)

    known = {"Mine": Mine, "Own": Own}
    with keras.saving.custom_object_scope(known if wrap else {}):
        net = model(layers.Bidirectional(Mine(N)) if wrap else Mine(N))
    randomize(net, rng)
    x = rng.normal(size=(B, T, 3))
    again = saved(net, tmp_path, custom_objects=known)
    np.testing.assert_array_equal(again(x), net(x))
    assert type(again.layers[0]) is (layers.Bidirectional if wrap else Mine)


def test_what_a_changed_config_says_counts(rng):
    config = OfVariant(N).get_config()
    again = OfVariant.from_config({**config, "return_sequences": False, "name": "other"})
    assert (again.return_sequences, again.name) == (False, "other")
    assert again(rng.normal(size=(B, T, 3))).shape == (B, N)


def test_from_keras_makes_a_subclass(rng):
    theirs, x = layers.LSTM(N), rng.normal(size=(B, T, 3)).astype("float32")
    theirs(x)
    randomize(theirs, rng)
    ours = Plain.from_keras(theirs, return_sequences=True)
    assert (type(ours), ours.name) == (Plain, theirs.name)
    np.testing.assert_allclose(ours(x)[:, -1], theirs(x), rtol=1e-5, atol=1e-6)


def test_a_layer_made_after_a_failure_gets_its_own_arguments():
    config = Scaled(N, scale=2.0).get_config()
    with pytest.raises(ValueError, match=r"expected arguments among .* Received: scales=3$"):
        Scaled.from_config({**config, "scales": 3})
    with pytest.raises(TypeError):
        NoMore.from_config({**config, "scales": 3})
    assert Scaled(N + 1).cell.units == N + 1


def test_an_argument_that_no_config_can_hold_is_named_when_it_is_saved():
    with pytest.raises(TypeError, match="Cannot serialize object"):
        Scaled(N, scale=object()).get_config()


@pytest.mark.parametrize("make", [GatedRNN, OnTop])
def test_weights_lie_in_the_file_where_keras_puts_those_of_a_cell(make, tmp_path):
    model(make(variant("vanilla", units=N), name="one")).save_weights(tmp_path / "one.weights.h5")
    stock = layers.RNN(layers.LSTMCell(N), name="one")
    model(stock).save_weights(tmp_path / "two.weights.h5")
    found = []
    for name in ("one", "two"):
        with h5py.File(tmp_path / f"{name}.weights.h5") as file:
            paths: list = []
            file.visit(paths.append)
        weights = [path for path in paths if path.endswith(("/0", "/1", "/2"))]
        found.append([path.split("/", 2)[2] for path in weights])  # without the name of the class
    assert found[0] == found[1]
    assert len(found[0]) == 3
