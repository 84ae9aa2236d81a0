"""traces of finished models with Keras' own layers: against NumPy, and against Keras' outputs."""

import gc
import random
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize
from stepping import MASK, refused
from stock import ARGUMENTS, STEPS, B, F, N, T, made, made_cell, run, sequential

import lstmlab
from lstmlab import GatedCell, GatedRNN
from lstmlab.cells import tracing
from lstmlab.cells.stock import Twins

layers = keras.layers
every_kind = pytest.mark.parametrize("kind", STEPS)


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F)).astype("float32")


def same(found: dict, values: dict, tolerance: float = 1e-5) -> None:
    assert list(found) == list(values)
    for name, value in values.items():
        np.testing.assert_allclose(found[name], value, atol=tolerance, err_msg=name)
        assert np.ptp(value) > 1e-2, name


@pytest.mark.slow
@every_kind
def test_every_value_of_every_kind_against_numpy_and_keras(kind, x, rng):
    """Forwards and backwards, all outputs or the last, masked and not, stateless; final states."""
    for number, flags in enumerate(
        (
            {"return_sequences": True, "return_state": True},
            {"go_backwards": True, "return_state": True},
            {"go_backwards": True, "return_sequences": True, "zero_output_for_mask": True},
            {"dropout": 0.5, "recurrent_dropout": 0.5, "return_state": True},
        )
    ):
        layer = made(kind, name="r", **flags)
        inputs = keras.Input((T, F))
        masked = layers.Masking()(inputs) if number % 2 else inputs
        model = keras.Model(inputs, layer(masked))
        randomize(model, rng, scale=0.5)
        given = x * MASK[..., None]
        mask = MASK if number % 2 else None
        values, states = run(kind, layer.cell, given, None, mask, layer.go_backwards)
        same(lstmlab.traces(model, given)["r"], values)
        output, *after = keras.tree.flatten(model.predict(given, verbose=0))
        expected = values["output"] if layer.return_sequences else values["output"][:, -1]
        np.testing.assert_allclose(output, expected, atol=1e-5)
        for one, other in zip(after, states, strict=layer.return_state):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_in_both_directions_stacked_and_under_an_embedding_with_a_mask(rng):
    both = layers.Bidirectional(layers.LSTM(N, return_sequences=True, name="a"))
    top = layers.Bidirectional(layers.GRU(N, name="b"), merge_mode="sum")
    embedding = layers.Embedding(9, F, mask_zero=True)
    model = sequential(rng, embedding, both, top, layers.Dense(1), shape=(None,))
    ids = rng.integers(1, 9, (B, T))
    ids[~np.sort(MASK)[:, ::-1]] = 0
    mask, x = ids != 0, embedding(ids).numpy()
    found = lstmlab.traces(model, ids)
    assert list(found) == ["forward_a", "backward_a", "forward_b", "backward_b"]
    sides = {}
    for layer in (both.forward_layer, both.backward_layer):
        values, _ = run("LSTM", layer.cell, x, None, mask, layer.go_backwards)
        assert layer.zero_output_for_mask  # as Bidirectional asks for
        at = mask[:, :: -1 if layer.go_backwards else 1, None]
        values = {name: value * at for name, value in values.items()}
        same(found[layer.name], values)
        sides[layer.name] = values["output"][:, :: -1 if layer.go_backwards else 1]
    middle = np.concatenate([sides["forward_a"], sides["backward_a"]], axis=-1)
    np.testing.assert_allclose(both(embedding(ids)).numpy(), middle, atol=1e-5)
    last = 0.0
    for layer in (top.forward_layer, top.backward_layer):
        values, states = run("GRU", layer.cell, middle, None, mask, layer.go_backwards)
        assert not layer.zero_output_for_mask
        same(found[layer.name], values)
        last = last + states[0]
    np.testing.assert_allclose(top(both(embedding(ids))).numpy(), last, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backwards", [False, True])
def test_of_an_rnn_around_one_cell_and_around_several(backwards, x, rng):
    one = layers.RNN(layers.LSTMCell(N, name="cell"), return_sequences=True, name="one")
    cells = [made_cell(kind, N + k, name=f"c{k}") for k, kind in enumerate(STEPS)]
    flags = {"return_sequences": True, "go_backwards": backwards}
    several = layers.RNN(cells, name="several", **flags)
    model = sequential(rng, layers.Masking(), one, several)
    x[1, 3:] = 0
    mask = (x != 0).any(-1)
    found = lstmlab.traces(model, x)
    values, _ = run("LSTM", one.cell, x, None, mask)
    same(found["one"], values)
    sequences, mask = values["output"], mask[:, ::-1] if backwards else mask
    sequences = sequences[:, ::-1] if backwards else sequences
    for kind, cell in zip(STEPS, cells, strict=True):
        values, _ = run(kind, cell, sequences, None, mask)
        same(found[f"several_{cell.name}"], values)
        sequences = values["output"]
    np.testing.assert_allclose(model.predict(x, verbose=0), sequences, atol=1e-5)


def test_of_a_decoder_that_begins_in_the_encoders_states(rng):
    """As Keras runs it: beside an initial state it drops the implicit mask."""
    source, target = keras.Input((None,)), keras.Input((None,))
    embedded = [layers.Embedding(9, F, mask_zero=True) for _ in range(2)]
    encoder = layers.LSTM(N, return_state=True, name="encoder")
    decoder = layers.LSTM(N, return_sequences=True, name="decoder")
    _, *states = encoder(embedded[0](source))
    model = keras.Model([source, target], decoder(embedded[1](target), initial_state=states))
    randomize(model, rng, scale=0.5)
    ids = [rng.integers(1, 9, (B, T)), rng.integers(1, 9, (B, T + 1))]
    ids[0][1, 3:] = ids[1][1, 3:] = 0
    found = lstmlab.traces(model, ids)
    vectors = [one(given).numpy() for one, given in zip(embedded, ids, strict=True)]
    values, states = run("LSTM", encoder.cell, vectors[0], None, ids[0] != 0)
    same(found["encoder"], values)
    values, _ = run("LSTM", decoder.cell, vectors[1], states)
    same(found["decoder"], values)
    np.testing.assert_allclose(model.predict(ids, verbose=0), values["output"], atol=1e-5)


def test_of_a_stateful_layer_whose_states_stay_where_they_were(rng):
    layer = layers.GRU(N, stateful=True, name="r")
    model = keras.Sequential([keras.Input(batch_shape=(B, T, F)), layer])
    randomize(model, rng, scale=0.5)
    x = rng.normal(size=(B, T, F)).astype("float32")
    model.predict(x, batch_size=B, verbose=0)
    before = layer.states[0].numpy()
    assert np.abs(before).max() > 1e-2
    for _ in range(2):
        same(lstmlab.traces(model, x, batch_size=B)["r"], run("GRU", layer.cell, x, [before])[0])
        np.testing.assert_array_equal(layer.states[0], before)


def test_inside_time_distributed_and_a_model_within_a_subclassed_one(rng):
    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.Sequential([keras.Input((T, F)), layers.LSTM(N, name="deep")])
            self.each = layers.TimeDistributed(layers.SimpleRNN(N, name="r"))

        def call(self, given, training=False):
            return self.inner(given[:, 0]), self.each(given)

    model, x = Outer(), rng.normal(size=(B, 2, T, F)).astype("float32")
    found = lstmlab.traces(model, x)  # builds it
    assert list(found) == ["deep", "r", "r_1"]
    same(found["deep"], run("LSTM", model.inner.layers[0].cell, x[:, 0])[0])
    for k, name in enumerate(("r", "r_1")):
        same(found[name], run("SimpleRNN", model.each.layer.cell, x[:, k])[0])


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_of_other_precisions(dtype, rng):
    layer = layers.LSTM(N, name="r", dtype=dtype)
    model = keras.Sequential([keras.Input((T, F), dtype="float64"), layer])
    randomize(model, rng, scale=0.5)
    x = rng.normal(size=(B, T, F)).astype("float32")  # as predict makes it
    values, _ = run("LSTM", layer.cell, x)
    same(lstmlab.traces(model, x)["r"], values, 1e-12 if dtype == "float64" else 0.03)


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_bias": False},
        {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"unit_forget_bias": False, "bias_initializer": "ones"},
    ],
)
def test_of_other_arguments_the_outputs_of_keras(arguments, x, rng):
    layer = layers.LSTM(N, return_sequences=True, name="r", **arguments)
    model = sequential(rng, layer)
    output = lstmlab.traces(model, x)["r"]["output"]
    np.testing.assert_allclose(output, model.predict(x, verbose=0), atol=1e-5)


def test_of_an_rnn_around_a_gated_cell(x, rng):
    model = sequential(rng, layers.RNN(GatedCell(N), return_sequences=True, name="r"))
    output = lstmlab.traces(model, x)["r"]["output"]
    np.testing.assert_allclose(output, model.predict(x, verbose=0), atol=1e-5)


def test_a_stateful_layer_that_is_not_built_gets_states_for_the_batch(rng):
    model = keras.Sequential([layers.LSTM(N, stateful=True, name="r")])
    x = rng.normal(size=(4, T, F)).astype("float32")
    values = lstmlab.traces(model, x, batch_size=2)["r"]
    layer = model.layers[0]
    first, states = run("LSTM", layer.cell, x[:2])
    np.testing.assert_allclose(values["output"][:2], first["output"], atol=1e-5)
    second, _ = run("LSTM", layer.cell, x[2:], states)  # the second batch goes on from the first
    np.testing.assert_allclose(values["output"][2:], second["output"], atol=1e-5)
    assert not any(np.any(state) for state in layer.states)


# nothing of the model changes


@pytest.mark.slow
def test_the_model_stays_as_it_is_and_goes_on_as_if_nobody_had_looked(x):
    """Weights, optimizer, seeds, attributes of layers, random numbers; with dropout."""

    def trained(looks: bool):
        keras.utils.set_random_seed(1)
        inner = layers.Bidirectional(layers.LSTM(N, dropout=0.4, recurrent_dropout=0.3, name="r"))
        model = keras.Sequential([keras.Input((T, F)), inner, layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        for _ in range(2):
            model.fit(x, x[:, 0, :1], verbose=0)
            if looks:
                before = [sorted(vars(layer)) for layer in model._flatten_layers()]
                assert len(lstmlab.traces(model, x)) == 2
                assert [sorted(vars(layer)) for layer in model._flatten_layers()] == before
        state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
        return state, model.predict(x, verbose=0), random.getstate(), keras.layers.Dense(1).name

    (one, answers, drawn, name), (other, seen, drawn_too, name_too) = trained(False), trained(True)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(answers, seen)
    assert drawn == drawn_too
    assert name.rpartition("_")[0] == name_too.rpartition("_")[0]


# what cannot be looked at


class Own(layers.LSTM):
    """A class derived from a layer of Keras may compute something else."""


class OwnCell(layers.SimpleRNNCell):
    pass


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (lambda: layers.ConvLSTM1D(2, 2, name="c"), (T, 4, 1), "ConvLSTM1D"),
        (lambda: Own(2, name="c"), (T, F), "Own"),
        (lambda: layers.RNN(OwnCell(2), name="c"), (T, F), "RNN"),
    ],
)
def test_layers_of_other_kinds_are_named_with_the_reason(layer, shape, said, rng, capsys):
    inputs = keras.Input(shape)
    alone = keras.Model(inputs, layer()(inputs), name="mine")
    x = rng.normal(size=(B, *shape)).astype("float32")
    reason = f"expected a keras.layers.LSTM, GRU or SimpleRNN, or its cell. Received: {said}"
    assert refused(lambda: lstmlab.traces(alone, x)) == (
        "traces: expected a model with at least one GatedRNN, keras.layers.LSTM, GRU, SimpleRNN, "
        f"or RNN of their cells. Received: model='mine', with c: {reason}"
    )
    flat = layers.Reshape((T, -1))(inputs)
    beside = keras.Model(inputs, [layer()(inputs), layers.LSTM(2, name="r")(flat)])
    for _ in range(2):  # said once
        assert list(lstmlab.traces(beside, x)) == ["r"]
    assert capsys.readouterr().err == f"traces: c: left out, {reason}\n"


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # as predict says
def test_an_iterator_for_a_model_that_is_not_built_is_refused(x):
    model = keras.Sequential([layers.LSTM(N)])
    assert refused(lambda: lstmlab.traces(model, ((part,) for part in [x]))) == (
        "traces: expected a built model: call it once on a batch. Received: built=False"
    )
    model(x)
    assert list(lstmlab.traces(model, ((part,) for part in [x]))) == [model.layers[0].name]


# what was compiled is kept


@pytest.fixture
def compilations(monkeypatch):
    """A list that grows by one each time that a layer's loop is traced in Python."""
    seen, loop = [], GatedRNN.inner_loop
    monkeypatch.setattr(
        GatedRNN, "inner_loop", lambda self, *a, **k: seen.append(self.name) or loop(self, *a, **k)
    )
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("inner", [layers.LSTM, GatedRNN])
def test_a_second_look_compiles_nothing_and_follows_the_weights(inner, x, rng, compilations):
    layer = inner(N, return_sequences=True, name="r")
    model = sequential(rng, layer, layers.Dense(1))
    seen = []
    for _ in range(3):
        found = lstmlab.traces(model, x)["r"]
        np.testing.assert_allclose(found["output"], layer(x), atol=1e-5)
        seen.append(found["output"])
        model.fit(x, x[..., :1], verbose=0)
        randomize(layer, rng, scale=0.5)
        model.compile("adam", "mse")  # a model that is compiled anew is the same function
    assert len({one.tobytes() for one in seen}) == 3
    before = len(compilations)
    lstmlab.traces(model, x)
    assert len(compilations) == before


@pytest.mark.slow
def test_a_layer_that_is_changed_is_looked_at_as_it_is_now(x, rng):
    """Flags, activations and gates, layers that are added or exchanged."""
    stock = layers.LSTM(N, return_sequences=True, name="a")
    ours = GatedRNN(N, return_sequences=True, name="b")
    model = sequential(rng, layers.Dropout(0.5), stock, ours)
    changes = [
        lambda: setattr(stock, "go_backwards", True),
        lambda: setattr(ours, "go_backwards", True),
        lambda: setattr(stock.cell, "activation", keras.activations.relu),
        lambda: setattr(ours.cell, "output_activation", keras.activations.linear),
        lambda: model.add(layers.LSTM(N, return_sequences=True, name="c")),
        lambda: model.pop(),
    ]
    for change in (lambda: None, *changes):
        change()
        found = lstmlab.traces(model, x)
        shown = x
        for layer in model.layers[1:]:
            shown = layer(shown)
            np.testing.assert_allclose(found[layer.name]["output"], shown, atol=1e-5)
        assert len(found) == len(model.layers) - 1


@pytest.mark.slow
def test_another_shape_and_another_batch(x, rng):
    layer = layers.GRU(N, name="r")
    model = sequential(rng, layer, shape=(None, F))
    for given in (x, x[:, :3], np.repeat(x, 30, axis=0), x[:1], x):
        same(lstmlab.traces(model, given)["r"], run("GRU", layer.cell, given)[0])


@pytest.mark.slow
@pytest.mark.parametrize("inner", [layers.LSTM, GatedRNN])
def test_a_model_is_not_kept_alive(inner, x, rng):
    gc.collect()
    gc.freeze()  # what the tests before have left need not be looked through
    model = sequential(rng, layers.Bidirectional(inner(N)), layers.Dense(1))
    lstmlab.traces(model, x)
    alive, kept = weakref.ref(model), len(tracing._kept)
    del model
    keras.backend.clear_session(free_memory=False)
    gc.collect()
    gc.unfreeze()
    assert alive() is None
    assert len(tracing._kept) == kept - 1


@pytest.mark.slow
def test_a_model_in_the_place_of_one_that_is_gone(rng):
    """Even where Python gives it the same id, it is looked at as itself."""
    ids, x = set(), rng.normal(size=(2, 3, 2)).astype("float32")
    for units in (2, 3, 4, 5):
        model = keras.Sequential([keras.Input((3, 2)), layers.SimpleRNN(units, name="r")])
        assert lstmlab.traces(model, x)["r"]["output"].shape == (2, 3, units)
        ids.add(id(model))
        del model
        gc.collect()


@pytest.mark.slow
def test_several_threads_each_see_their_own(x, rng):
    """Two look at one model, one at another, one calls the first as if nobody looked."""
    models = [
        sequential(rng, layers.LSTM(N, name="r", return_sequences=True)),
        sequential(rng, GatedRNN(N, name="r", return_sequences=True)),
    ]
    expected = [model(x).numpy() for model in models]
    wrong: list = []

    def look(k: int) -> None:
        for _ in range(3):
            tracing._kept.pop(models[k], None)  # so that Python runs again
            found = lstmlab.traces(models[k], x)
            if list(found) != ["r"] or np.abs(found["r"]["output"] - expected[k]).max() > 1e-5:
                wrong.append(k)

    def call(k: int) -> None:
        for _ in range(20):
            answer = models[k](x)
            if isinstance(answer, tuple) or np.abs(answer - expected[k]).max() > 1e-5:
                wrong.append(k)

    jobs = [(look, 0), (look, 0), (look, 1), (call, 0), (call, 1)]
    threads = [threading.Thread(target=job, args=(k,)) for job, k in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all("inner_loop" not in vars(model.layers[0]) for model in models)


def test_a_failed_look_leaves_the_layer_as_it_was(x, rng):
    model = sequential(rng, layers.LSTM(N, name="r"), shape=(None, F))
    with pytest.raises(ValueError, match="nput"):
        lstmlab.traces(model, x[..., :2])
    assert "inner_loop" not in vars(model.layers[0])
    same(lstmlab.traces(model, x)["r"], run("LSTM", model.layers[0].cell, x)[0])


def test_one_kernel_for_both_directions_does_not_go_past_the_twins(x, rng, monkeypatch):
    """As where cuDNN is there: Bidirectional does not call its layers then."""
    both = layers.Bidirectional(layers.LSTM(N, name="r"))
    model = sequential(rng, both)
    lone = lambda *arguments: tf.zeros((B, 2 * N))  # noqa: E731
    monkeypatch.setattr(both, "_call_fused_lstm", lone)
    assert not np.any(model(x))
    assert sorted(lstmlab.traces(model, x)) == ["backward_r", "forward_r"]
    assert not np.any(model(x))


def test_twins_follow_every_weight(rng):
    """In every kind each weight has a part in the twin."""
    for kind in STEPS:
        layer = made(kind)
        model = sequential(rng, layer)
        twins = Twins(model)
        for weight in layer.weights:
            (twin,) = twins.layers
            before = [value.numpy() for value in twin.cell.weights]
            weight.assign_add(np.ones(weight.shape))
            twins.follow()
            after = [value.numpy() for value in twin.cell.weights]
            assert any(np.any(a != b) for a, b in zip(before, after, strict=True)), weight.path
    assert set(ARGUMENTS) < set(STEPS)
