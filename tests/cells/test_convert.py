"""Weights from and to Keras layers.

The same answers both ways, and a clear word where there is no such layer.
"""

import json

import keras
import numpy as np
import pytest
from oracles import randomize

from lstmlab import Gate, GatedCell, GatedRNN, variant

B, T, F, N = 2, 6, 3, 4
LAYERS = {
    "lstm": (keras.layers.LSTM, {}, "vanilla"),
    "lstm, other activations, no bias": (
        keras.layers.LSTM,
        {"activation": "softsign", "recurrent_activation": "hard_sigmoid", "use_bias": False},
        None,
    ),
    "gru": (keras.layers.GRU, {"reset_after": False}, "gru"),
    "gru, reset after": (keras.layers.GRU, {"reset_after": True}, "gru_reset_after"),
    "gru, reset after, no bias": (keras.layers.GRU, {"reset_after": True, "use_bias": False}, None),
    "simple": (keras.layers.SimpleRNN, {}, "elman"),
}


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F))


def built(layer, x, rng):
    layer(x)
    randomize(layer, rng)
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back(name, x, rng):
    make, arguments, _ = LAYERS[name]
    theirs = built(
        make(N, return_sequences=True, return_state=True, dtype="float64", **arguments), x, rng
    )
    ours = GatedRNN.from_keras(theirs)
    assert (ours.name, ours.dtype, ours.return_sequences, ours.return_state) == (
        theirs.name,
        "float64",
        True,
        True,
    )
    for other in (ours, ours.to_keras()):
        for answer, expected in zip(other(x), theirs(x), strict=True):
            np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-14)
    back = ours.to_keras()
    assert type(back) is make
    same = (
        "name",
        "units",
        "activation",
        "use_bias",
        "return_sequences",
        "return_state",
        *arguments,
    )
    assert {key: back.get_config()[key] for key in same} == {
        key: theirs.get_config()[key] for key in same
    }
    randomize(theirs, rng)
    assert np.abs(theirs(x)[0] - ours(x)[0]).max() > 0.01


@pytest.mark.parametrize("name", [name for name, (*_, ours) in LAYERS.items() if ours])
def test_a_named_variant_takes_the_weights_of_its_layer_and_of_its_cell(name, x, rng):
    make, arguments, ours = LAYERS[name]
    theirs = built(make(N, dtype="float64", **arguments), x, rng)
    for source in (theirs, theirs.cell, keras.layers.RNN(theirs.cell, dtype="float64")):
        cell = variant(ours, units=N, dtype="float64")
        assert cell.from_keras(source) is cell
        np.testing.assert_allclose(
            keras.layers.RNN(cell, dtype="float64")(x), theirs(x), rtol=1e-12, atol=1e-14
        )


def test_a_built_cell_takes_weights_too(x, rng):
    theirs, ours = keras.layers.LSTM(N, dtype="float64"), GatedRNN(N, dtype="float64")
    built(theirs, x, rng), built(ours, x, rng)
    ours.cell.from_keras(theirs)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-12, atol=1e-14)


def test_initial_values_flags_and_what_watches_the_weights_come_along():
    theirs = keras.layers.LSTM(
        N,
        go_backwards=True,
        stateful=True,
        dropout=0.2,
        recurrent_dropout=0.1,
        seed=3,
        kernel_regularizer="l2",
        bias_constraint="non_neg",
        kernel_initializer="he_normal",
        activity_regularizer="l1",
    )
    ours = GatedRNN.from_keras(theirs, return_traces=True)
    cell = ours.cell
    assert (ours.go_backwards, ours.stateful, ours.return_traces) == (True, True, True)
    assert (cell.dropout, cell.recurrent_dropout, cell.seed) == (0.2, 0.1, 3)
    assert isinstance(cell.kernel_regularizer, keras.regularizers.L2)
    assert isinstance(cell.bias_constraint, keras.constraints.NonNeg)
    assert isinstance(cell.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(ours.activity_regularizer, keras.regularizers.L1)
    cell.build((B, F))
    np.testing.assert_array_equal(cell.bias, np.repeat([0.0, 1.0, 0.0, 0.0], N))
    ours.return_traces = False
    back = ours.to_keras()
    for name in (
        "go_backwards",
        "stateful",
        "dropout",
        "recurrent_dropout",
        "kernel_regularizer",
        "bias_constraint",
    ):
        assert back.get_config()[name] == theirs.get_config()[name], name


def test_mixed_precision_comes_along(x, rng):
    theirs = built(keras.layers.GRU(N, dtype="mixed_bfloat16"), x, rng)
    ours = GatedRNN.from_keras(theirs)
    assert ours(x).dtype == ours.to_keras()(x).dtype == theirs(x).dtype
    assert {weight.dtype for weight in ours.weights} == {"float32"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            GatedRNN(N, "peephole"),
            "GatedRNN.to_keras: expected a function that Keras has, for the nearest, "
            "keras.layers.LSTM(activation=linear, recurrent_activation=sigmoid, use_bias=True): "
            "input_gate.peephole: None; forget_gate.peephole: None; output_gate.peephole: None. "
            "Received: input_gate.peephole: 'previous'; forget_gate.peephole: 'previous'; "
            "output_gate.peephole: 'current'",
        ),
        (
            GatedRNN(N, "cifg", output_gate="sigmoid", input_gate="sigmoid"),
            "GatedRNN.to_keras: expected a function that Keras has, for the nearest, "
            "keras.layers.LSTM(activation=tanh, recurrent_activation=sigmoid, use_bias=True): "
            "forget_gate: a Gate. "
            "Received: forget_gate: Coupled(to='input_gate', complement=True, shift=0.0)",
        ),
        (
            GatedRNN(N, candidate_activation="linear"),
            "GatedRNN.to_keras: expected a function that Keras has, for the nearest, "
            "keras.layers.LSTM(activation=linear, recurrent_activation=sigmoid, use_bias=True): "
            "output_activation: linear. Received: output_activation: tanh",
        ),
        (
            GatedRNN(N, "indrnn"),
            "GatedRNN.to_keras: expected a function that Keras has, for the nearest, "
            "keras.layers.SimpleRNN(activation=relu, use_bias=True): "
            "candidate_recurrent: 'full'. Received: candidate_recurrent: 'by_element'",
        ),
        (
            GatedRNN(N, block_size=2),
            "GatedRNN.to_keras: expected a function that Keras has, for the nearest, "
            "keras.layers.LSTM(activation=tanh, recurrent_activation=sigmoid, use_bias=True): "
            "block_size: 1. Received: block_size: 2",
        ),
        (
            GatedRNN(N, return_traces=True),
            "GatedRNN.to_keras: expected return_traces=False, because Keras layers show no gates. "
            "Received: return_traces=True",
        ),
    ],
)
def test_why_there_is_no_such_keras_layer(layer, message, x):
    layer(x)
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        layer.to_keras()
    assert str(e.value) == message


def test_unbuilt_layers_have_no_weights_to_carry(x):
    with pytest.raises(
        ValueError, match=r"^GatedRNN.to_keras: expected a built layer, .* Received: built=False$"
    ):
        GatedRNN(N).to_keras()
    with pytest.raises(
        ValueError,
        match=r"^GatedCell.from_keras: expected a built layer, .* Received: built=False$",
    ):
        variant("vanilla", units=N).from_keras(keras.layers.LSTM(N))


@pytest.mark.parametrize(
    "make", [GatedCell.from_keras, GatedRNN.from_keras, variant("vanilla").from_keras]
)
def test_other_layers_are_refused(make):
    expected = (
        r"^Gated(Cell|RNN).from_keras: expected a keras.layers.LSTM, GRU or SimpleRNN, "
        r"or its cell. Received: Dense$"
    )
    with pytest.raises(ValueError, match=expected):
        make(keras.layers.Dense(3))


def test_another_function_is_refused_and_keeps_its_weights(x, rng):
    theirs = built(keras.layers.LSTM(N), x, rng)
    cell = variant(
        "lstm1997", units=N, block_size=1, candidate_activation="tanh", output_activation="tanh"
    )
    cell.build((B, F))
    before = cell.get_weights()
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        cell.from_keras(theirs)
    assert str(e.value) == (
        "GatedCell.from_keras: expected the function of keras.layers.LSTM, which this cell is not: "
        "forget_gate: a Gate; feedback: 'cells'. "
        "Received: forget_gate: None; feedback: 'all'"
    )
    for weight, value in zip(cell.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_another_size_is_refused(x, rng):
    theirs = built(keras.layers.LSTM(N), x, rng)
    with pytest.raises(ValueError, match=r"which this cell is not: units: 4. Received: units: 5$"):
        variant("vanilla", units=5).from_keras(theirs)
    cell = variant("vanilla", units=N)
    cell.build((B, F + 1))
    with pytest.raises(
        ValueError, match=r"expected 4 input features, as this cell was built. Received: 3$"
    ):
        cell.from_keras(theirs)


def test_a_bias_that_starts_elsewhere_is_the_same_function(x, rng):
    theirs = built(keras.layers.LSTM(N, dtype="float64"), x, rng)
    cell = variant("vanilla", units=N, forget_gate=Gate(bias=3.0), dtype="float64").from_keras(
        theirs
    )
    np.testing.assert_allclose(
        GatedRNN(cell, dtype="float64")(x), theirs(x), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("name", LAYERS)
def test_frozen_layers_carry_their_weights_and_stay_frozen(name, x, rng):
    make, arguments, _ = LAYERS[name]
    theirs = built(make(N, dtype="float64", **arguments), x, rng)
    theirs.trainable = False
    ours = GatedRNN.from_keras(theirs)
    back = ours.to_keras()
    assert (ours.trainable, back.trainable, ours.trainable_variables) == (False, False, [])
    for other in (ours, back):
        np.testing.assert_allclose(other(x), theirs(x), rtol=1e-12, atol=1e-14)
    if name == "lstm":
        cell = variant("vanilla", units=N, dtype="float64", trainable=False).from_keras(theirs)
        np.testing.assert_allclose(
            keras.layers.RNN(cell, dtype="float64")(x), theirs(x), rtol=1e-12, atol=1e-14
        )


def test_a_class_made_from_a_keras_layer_is_another_layer():
    class Mine(keras.layers.LSTM):
        pass

    with pytest.raises(ValueError, match=r"expected a keras.layers.LSTM, .* Received: Mine$"):
        GatedRNN.from_keras(Mine(N))


@keras.saving.register_keras_serializable("test_convert")
def counted(shape, dtype=None):
    """Another number for every weight."""
    return keras.ops.reshape(keras.ops.arange(np.prod(shape), dtype=dtype) / 16, shape)


INITIALIZERS = {
    "constant": lambda: keras.initializers.Constant(0.3),
    "name": lambda: "ones",
    "name of draws": lambda: "random_normal",
    "draws": lambda: keras.initializers.RandomUniform(-0.5, 0.5),
    "seeded": lambda: keras.initializers.RandomNormal(seed=3),
    "by the shape": lambda: keras.initializers.GlorotUniform(seed=1),
    "function": lambda: counted,
}
ROWS = {"orthogonal": lambda: keras.initializers.Orthogonal(seed=5)}
STARTS = {
    "lstm": (keras.layers.LSTM, {}),
    "lstm, forget gate as the others": (keras.layers.LSTM, {"unit_forget_bias": False}),
    "gru": (keras.layers.GRU, {"reset_after": False}),
    "gru, reset after": (keras.layers.GRU, {}),
    "simple": (keras.layers.SimpleRNN, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["kernel", "recurrent", "bias"])
@pytest.mark.parametrize("name", STARTS)
def test_an_unbuilt_layer_starts_as_the_same_function(name, weight, x):
    make, arguments = STARTS[name]
    for given in (INITIALIZERS | (ROWS if weight != "bias" else {})).values():
        theirs = make(N, **arguments, **{f"{weight}_initializer": given()}, dtype="float64")
        ours = GatedRNN.from_keras(theirs)
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-12, atol=1e-14)
        back = ours.to_keras()
        kind = f"{weight}_initializer"
        if weight != "bias":
            assert type(getattr(back.cell, kind)) is type(getattr(theirs.cell, kind))


@pytest.mark.parametrize("name", STARTS)
def test_a_seeded_start_is_kept_in_the_config(name, x):
    make, arguments = STARTS[name]
    start = {
        f"{weight}_initializer": keras.initializers.RandomNormal(stddev=0.5, seed=k)
        for k, weight in enumerate(("kernel", "recurrent", "bias"))
    }
    theirs = make(N, **arguments, **start, dtype="float64")
    ours = GatedRNN.from_keras(theirs)
    both = keras.layers.Bidirectional(ours, dtype="float64")
    again = GatedRNN.from_config(json.loads(json.dumps(ours.get_config())))
    for one, at in ((again(x), x), (both(x)[:, :N], x), (both(x)[:, N:], x[:, ::-1])):
        np.testing.assert_allclose(one, theirs(at), rtol=1e-12, atol=1e-14)


def test_the_initial_recurrent_bias():
    """c of an own cell, by name, by initializer, and through its config."""
    layer = GatedRNN(N, "gru_reset_after", recurrent_bias_initializer="ones")
    again = GatedRNN.from_config(layer.get_config())
    for one in (layer, again):
        one.build((B, T, F))
        np.testing.assert_array_equal(one.cell.recurrent_bias, np.ones(N))
    with pytest.raises(
        ValueError,
        match=r"^GatedCell: expected a Keras initializer or its name. "
        r"Received: recurrent_bias_initializer='half'$",
    ):
        GatedCell(N, recurrent_bias_initializer="half")


@pytest.mark.parametrize("frozen", [False, True])
def test_a_flag_says_whether_it_is_trained(frozen, x, rng):
    theirs = built(keras.layers.GRU(N, trainable=not frozen), x, rng)
    ours = GatedRNN.from_keras(theirs, trainable=frozen)
    assert (ours.trainable, ours.cell.trainable) == (frozen, frozen)
    assert len(ours.trainable_weights) == 4 * frozen


class OtherStep(GatedCell):
    def step(self, *args, **kwargs):
        values, states = super().step(*args, **kwargs)
        return values, [0.5 * state for state in states]


class OtherCall(GatedRNN):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return 2 * super().call(sequences, initial_state, mask, training)


class OtherStart(GatedRNN):
    def __init__(self, units):
        super().__init__(units, forget_gate="hard_sigmoid", input_gate="hard_sigmoid")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "refused"),
    [
        (GatedRNN(OtherStep(N)), "the step of GatedCell, .* Received: OtherStep.step"),
        (OtherCall(N), "the call of GatedRNN, .* Received: OtherCall.call"),
        (OtherStart(N), "a function that Keras has, .* Received: output_gate.activation: sigmoid"),
    ],
)
def test_a_subclass_that_computes_something_else_is_no_keras_layer(layer, refused, x):
    layer(x)
    with pytest.raises(ValueError, match=rf"^GatedRNN.to_keras: expected {refused}$"):
        layer.to_keras()


@pytest.mark.parametrize("make", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
def test_a_frozen_cell_stays_frozen(make, x, rng):
    theirs = built(make(N), x, rng)
    theirs.cell.trainable = False
    ours = GatedRNN.from_keras(theirs)
    back = ours.to_keras()
    for layer in (theirs, ours, back):
        assert (layer.trainable, layer.cell.trainable, layer.trainable_weights) == (True, False, [])


# pytest.warns raises it once more, outside of Keras
of_keras = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def decoder(kind=keras.layers.LSTM, masked=True, state=True, mask=False, position=False):
    """The second half of an encoder and decoder."""
    tokens = keras.Input((T,), dtype="int32")
    x = keras.layers.Embedding(5, F, mask_zero=masked)(tokens)
    layer = kind(N, return_sequences=True, name="decoder")
    states = [keras.Input((N,)) for _ in layer.state_size]
    given = {"mask": keras.ops.not_equal(tokens, 0)} if mask else {}
    if position:
        answer = layer(x, states)
    else:
        answer = layer(x, initial_state=states if state else None, **given)
    return keras.Model([tokens, *states] if state else tokens, answer)


@of_keras
@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
@pytest.mark.parametrize("position", [False, True])
def test_a_mask_that_keras_drops_is_said(kind, position, rng):
    """And the layer with the mask that Keras drops is the same function."""
    model = decoder(kind, position=position)
    layer = model.get_layer("decoder")
    with pytest.warns(UserWarning, match="drops the mask") as caught:
        ours = GatedRNN.from_keras(layer)
    [said] = [one for one in caught if one.category is UserWarning]
    assert str(said.message) == (
        "GatedRNN.from_keras: expected no initial_state beside a masked input, where "
        f"keras.layers.{kind.__name__} drops the mask and GatedRNN heeds it; to drop it here too, "
        "pass mask=keras.ops.ones_like(x[..., 0], dtype='bool'). Received: layer='decoder'"
    )
    tokens = np.array([[0, 2, 3, 0, 1, 4], [1, 2, 3, 4, 0, 0]])
    states = [rng.normal(size=(B, N)).astype("float32") for _ in layer.state_size]
    expected, x = model([tokens, *states]), model.layers[1](tokens)
    dropped = keras.ops.ones_like(x[..., 0], dtype="bool")
    np.testing.assert_allclose(
        ours(x, initial_state=states, mask=dropped), expected, rtol=1e-5, atol=1e-6
    )
    assert np.abs(ours(x, initial_state=states) - expected).max() > 0.01


@pytest.mark.parametrize("given", [{"masked": False}, {"state": False}, {"mask": True}])
def test_where_the_mask_is_the_same_nothing_is_said(given):
    assert GatedRNN.from_keras(decoder(**given).get_layer("decoder")).name == "decoder"


@of_keras
def test_a_decoder_that_was_loaded_is_known(tmp_path):
    decoder().save(tmp_path / "decoder.keras")
    layer = keras.models.load_model(tmp_path / "decoder.keras").get_layer("decoder")
    with pytest.warns(UserWarning, match=r"Received: layer='decoder'$"):
        GatedRNN.from_keras(layer)
