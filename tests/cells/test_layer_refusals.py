"""GatedRNN misused: what it refuses, and the whole text with which it does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize
from stepping import B, N, T, made, refused

from lstmlab import GatedCell, GatedRNN, variant, variants

layers = keras.layers
HERE = "GatedRNN: expected "
NO_CELL = f"{HERE}a GatedCell or a number of units, a positive integer. Received: cell="
BESIDE = f"{HERE}arguments of the cell only with a number of units. Received: "
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
        == f"{HERE}a mask [B, T] = (None, 5) (behind TimeDistributed: keras.ops.any(mask, axis=-1))"
        ". Received: mask.shape=(None, 5, 1)"
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


@pytest.mark.parametrize("stated", [False, True])
def test_masks_of_time_distributed(stated, rng):
    """One for the sequences is cut too short, and one for their steps is handed on whole."""
    x, length = rng.normal(size=(2, 3, 5, 4)), 3 if stated else None
    inputs, mask = keras.Input((length, 5, 4)), keras.Input((3,), dtype="bool")
    each = layers.TimeDistributed(GatedRNN(N))
    cut = f"{HERE}a mask [B, T] = (2, 5) (in TimeDistributed: cut from a mask [B, K, T]). "
    cut += "Received: mask.shape=(2,)"
    assert refused(lambda: each(x, mask=np.ones((2, 3), bool))) == cut
    if stated:
        model = keras.Model([inputs, mask], each(inputs, mask=mask))
        assert refused(lambda: model([x, np.ones((2, 3), bool)])) == cut
    whole = f"{HERE}a mask [B, T] = (None, {length}) "
    whole += "(behind TimeDistributed: keras.ops.any(mask, axis=-1)). "
    whole += f"Received: mask.shape=(None, {length}, 5)"
    masked = each(layers.Masking()(inputs))
    assert refused(lambda: GatedRNN(N)(masked)) == whole


def test_what_to_do_with_masks_of_time_distributed(rng):
    """Sequences of sequences, both padded: each by itself, without its padding."""
    x = rng.normal(size=(2, 3, 5, 4))
    lengths = [[5, 2, 0], [3, 0, 0]]
    for one, of_one in zip(x, lengths, strict=True):
        for sequence, length in zip(one, of_one, strict=True):
            sequence[length:] = 0
    inputs = keras.Input((None, 5, 4), dtype="float64")
    each = layers.TimeDistributed(GatedRNN(N, dtype="float64"), dtype="float64")
    masked = layers.Masking(dtype="float64")(inputs)
    steps = keras.ops.any(keras.ops.any(keras.ops.not_equal(inputs, 0), axis=-1), axis=-1)
    over = GatedRNN(N, dtype="float64")
    model = keras.Model(inputs, over(each(masked), mask=steps))
    randomize(model, rng)
    for one, of_one, answer in zip(x, lengths, model(x), strict=True):
        rows = zip(one, of_one, strict=True)
        read = [each.layer(sequence[None, :length]) for sequence, length in rows if length]
        np.testing.assert_allclose(over(np.stack(read, axis=1))[0], answer, rtol=1e-12)


@pytest.mark.parametrize("built", [False, True])
def test_inputs_and_states_in_one_list(built):
    layer, said = GatedRNN(N), "one tensor of inputs, with states as initial_state=[...]"
    if built:
        layer(X)
    assert (f"{HERE}{said}. Received: 2 tensors" in refused(lambda: layer([X, X[:, 0]]))) == built


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
        f"{HERE}initial_state=[hidden [B, 8], cell_state [B, 4]], B=2. "
        "Received: shapes [(2, 3), (2, 3)]"
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
        (
            lambda: GatedRNN("vanilla"),
            f"{NO_CELL}'vanilla'",
        ),
        (lambda: GatedRNN(2.5), f"{NO_CELL}2.5"),
        (lambda: GatedRNN(True), f"{NO_CELL}True"),
        (lambda: GatedRNN(None), f"{NO_CELL}None"),
        (
            lambda: GatedRNN(layers.LSTMCell(4, name="c")),
            f"{NO_CELL}<LSTMCell name=c, built=False>",
        ),
        (
            lambda: GatedRNN([GatedCell(4, name="c")]),
            f"{NO_CELL}[<GatedCell name=c, built=False>]",
        ),
        (lambda: GatedRNN(0), "GatedCell: expected a positive integer. Received: units=0"),
        (
            lambda: GatedRNN(4, block_size=3),
            "GatedCell: expected a divisor of units=4, one of [1, 2, 4]. Received: block_size=3",
        ),
        (
            lambda: GatedRNN(GatedCell(4), dropout=0.1, forget_gate=None),
            f"{BESIDE}dropout=0.1, forget_gate=None beside a cell",
        ),
        (
            lambda: GatedRNN(GatedCell(4), "gru"),
            f"{BESIDE}variant='gru' beside a cell",
        ),
        (lambda: GatedRNN(4, units=5), f"{HERE}one of cell and units. Received: cell=4, units=5"),
        (
            lambda: GatedRNN(GatedCell(4, name="c"), units=4),
            f"{HERE}one of cell and units. Received: cell=<GatedCell name=c, built=False>, units=4",
        ),
        (
            lambda: GatedRNN(4, "lstm"),
            f"variant: expected one of {variants()}. Received: name='lstm'",
        ),
        (
            lambda: GatedRNN(4, return_traces="yes"),
            f"{HERE}true or false. Received: return_traces='yes'",
        ),
    ],
)
def test_wrong_arguments_are_refused_at_construction(make, message):
    assert refused(make) == message


def test_stateful_needs_one_batch_size(rng):
    assert refused(lambda: GatedRNN(N, stateful=True)(keras.Input((T, 3)))) == (
        f"When using `stateful=True` in a RNN, the batch size must be static. "
        f"Found dynamic batch size: sequence.shape=(None, {T}, 3)"
    )
    layer = made(rng, stateful=True)
    assert refused(lambda: layer(rng.normal(size=(B - 1, T, 3)))) == (
        "If an RNN is stateful, the batch size of the input sequences must be the same as the "
        "batch size of the initial state. \n"
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


@pytest.mark.parametrize("given", [{"variant": "vanilla"}, {"forget_gate": None}])
def test_a_cell_says_everything_itself(given):
    [(name, value)] = given.items()
    with pytest.raises(
        ValueError, match=rf"^GatedRNN: expected .* Received: {name}={value!r} beside a cell$"
    ):
        GatedRNN(variant("gru", units=4), **given)


@pytest.mark.parametrize("wrapper", [layers.Bidirectional, layers.TimeDistributed])
@pytest.mark.parametrize("build_first", [False, True])
def test_traces_behind_a_wrapper_of_one_output(wrapper, build_first):
    def wrapped():
        layer = GatedRNN(N, return_traces=True)
        if build_first:
            layer.build((None, 5, 3))
        return wrapper(layer)

    name = wrapper.__name__
    message = f"{HERE}return_traces=False inside {name}; lstmlab.traces(model, x) shows the gates "
    message += "there. Received: return_traces=True"
    shape = (5, 3) if wrapper is layers.Bidirectional else (2, 5, 3)
    assert refused(lambda: wrapped()(keras.Input(shape))) == message
    if not build_first:  # in one line, without what Keras adds to an error in a call
        with pytest.raises(ValueError, match=rf"^{HERE}return_traces=False inside"):
            wrapped()(keras.Input(shape))
    assert refused(lambda: wrapped()(np.ones((2, *shape), "float32"))) == message
    assert (
        refused(lambda: tf.function(wrapped(), autograph=False)(np.ones((2, *shape), "float32")))
        == message
    )


def test_traces_behind_states_are_handed_on_by_bidirectional_and_not_by_time_distributed():
    layer = GatedRNN(N, return_traces=True, return_state=True)
    _, *states = layers.Bidirectional(layer)(X)
    assert [set(part) for part in states if isinstance(part, dict)] == [
        set(layer.cell.value_sizes)
    ] * 2
    assert "inside TimeDistributed; lstmlab.traces(model, x)" in refused(
        lambda: layers.TimeDistributed(layer)(X[:, None])
    )
