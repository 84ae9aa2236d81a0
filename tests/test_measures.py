"""lstmlab.measures: each function has the rows of the callback's table, on any Keras model."""

import inspect

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras_models import B, F, N, T, Zeros, two_layers
from oracles import randomize
from stock import compiled, run, sequential

import lstmlab
from lstmlab import GatedRNN, Head, Recurrent, measures, variant
from lstmlab.diagnostics import Probe, kinds
from lstmlab.learners import BPTT, Elman
from lstmlab.recording.callback import GateTensorBoard
from lstmlab.recording.reading import read

layers = keras.layers
MORE = {"learners": {"learners": {"elman": Elman()}}}


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, F)).astype("float32")


def targets(rng, outputs: int = 2) -> np.ndarray:
    return rng.normal(size=(B, outputs)).astype("float32")


def refused(call) -> str:
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        call()
    return str(e.value)


def test_a_function_for_every_diagnostic_with_its_settings():
    assert sorted(measures.__all__) == sorted(kinds())
    for name, kind in kinds().items():
        function = inspect.signature(getattr(measures, name)).parameters
        assert list(function)[:4] == ["model", "x", "y", "w"]
        own = set(inspect.signature(kind.__init__).parameters) - {"self", "every"}
        assert set(list(function)[4:]) == own, name
    assert lstmlab.error_flow is measures.error_flow
    assert lstmlab.measures is measures


@pytest.mark.slow
def test_the_rows_are_those_of_the_callback(x, rng, tmp_path, eager):
    """Two layers of the lab, one of them in both directions, and one of Keras."""
    inputs = keras.Input((T, F))
    both = layers.Bidirectional(GatedRNN(N, "peephole", return_sequences=True, name="both"))
    top = layers.GRU(N, name="top")
    model = compiled(keras.Model(inputs, layers.Dense(2)(top(both(Zeros()(inputs))))), rng)
    x[1, 3:] = 0
    y, w = targets(rng), rng.uniform(0.5, 2, B).astype("float32")
    chosen = [kind(**MORE.get(name, {})) for name, kind in kinds().items()]
    callback = GateTensorBoard(tmp_path, (x, y, w), diagnostics=chosen)
    callback.set_model(model)
    callback.on_train_begin()
    tables = read(tmp_path)
    assert sorted(tables) == sorted(measures.__all__)
    for name, table in tables.items():
        found = getattr(measures, name)(model, x, y, w, **MORE.get(name, {}))
        assert found.columns[0] == "layer"
        assert set(found["layer"]) == {"forward_both", "backward_both", "top"}
        expected = table.drop(columns="step")
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_nothing_of_the_model_changes(x, rng):
    """Weights, optimizer, seeds, metrics, compiled functions, policy and flags."""
    inner = [layers.Dropout(0.3), layers.LSTM(N, dropout=0.3, name="r"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((T, F)), *inner])
    model.compile("adam", "mse", metrics=["mae"])
    y = targets(rng)
    model.fit(x, y, verbose=0)

    def state():
        variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        flags = [(one.trainable, one.dtype_policy.name, one.built) for one in model.layers]
        functions = model.train_function, model.optimizer, model.compiled, model._compile_loss
        attributes = [sorted(vars(one)) for one in model._flatten_layers()]
        return [v.numpy() for v in variables], [flags, attributes], functions

    before = state()
    for name in ("gates", "error_flow", "gradients"):
        getattr(measures, name)(model, x, y)
    after = state()
    for one, other in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert before[1] == after[1]
    assert all(one is other for one, other in zip(before[2], after[2], strict=True))


@pytest.mark.slow
def test_of_a_recurrent_the_same_numbers_with_the_name_of_the_cell(rng, eager):
    cell = variant("lstm1997", units=N, dtype="float64", name="memory")
    model = Recurrent(cell, Head(2, dtype="float64"), BPTT(), F)
    randomize(model, rng)
    x, y, w = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 2)), np.zeros((B, T))
    w[:, 3] = 1.0
    probe = Probe(x, y, w, np.arange(T) < [[4]] * B, w > 0)
    for name, kind in kinds().items():
        more = MORE.get(name, {})
        expected = kind(**more).measure(model, probe)
        for given in ((x, y, w), (probe,)):
            found = getattr(measures, name)(model, *given, **more)
            assert set(found.pop("layer")) == {"memory"}
            pd.testing.assert_frame_equal(found, expected)


def test_of_inputs_and_targets_in_dictionaries_and_lists(x, rng):
    a, b = keras.Input((T, F), name="a"), keras.Input((T, F), name="b")
    left, right = layers.LSTM(N, name="left")(a), GatedRNN(N, name="right")(b)
    outputs = {"sum": layers.Add()([left, right]), "left": layers.Dense(1)(left)}
    model = keras.Model({"a": a, "b": b}, outputs)
    randomize(model, rng)
    model.compile("sgd", {"sum": "mse", "left": "mae"})
    y = {"sum": targets(rng, N), "left": targets(rng, 1)}
    found = measures.gates(model, {"a": x, "b": 2 * x}, y)
    assert set(found["layer"]) == {"left", "right"}
    alone = keras.Model(a, left)
    alone.compile("sgd", "mse")
    means = measures.gates(alone, x, y["sum"])["mean"]
    np.testing.assert_allclose(found[found["layer"] == "left"]["mean"], means, rtol=1e-6)


def test_of_a_dataset_all_of_its_batches(x, rng):
    model, y = sequential(rng, layers.LSTM(N), layers.Dense(2)), targets(rng)
    w = np.array([1.0, 2.0, 3.0], "float32")
    expected = measures.gradients(model, x, y, w)
    dataset = tf.data.Dataset.from_tensor_slices((x, y, w)).batch(2)

    class Pieces(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, k):
            return x[2 * k : 2 * k + 2], y[2 * k : 2 * k + 2], w[2 * k : 2 * k + 2]

    for given in (dataset, Pieces()):
        pd.testing.assert_frame_equal(measures.gradients(model, given), expected)


def test_of_one_sequence_and_of_a_model_that_was_never_called(x, rng):
    model = keras.Sequential([layers.SimpleRNN(N, name="r"), layers.Dense(2)])
    model.compile("sgd", "mse")
    table = measures.error_flow(model, x[:1], targets(rng)[:1])
    assert sorted(set(table["lag"])) == list(range(T))
    assert set(table["layer"]) == {"r"}


def test_what_is_refused_in_one_line(x, rng):
    y = targets(rng)
    model = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(2))
    fresh = keras.Sequential([keras.Input((T, F)), layers.LSTM(N)], name="fresh")
    plain = keras.Sequential([keras.Input((T, F)), layers.Flatten()], name="plain")
    rnn = sequential(rng, layers.SimpleRNN(2, name="r"))
    broken = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(2))
    broken.layers[0].cell.bias.assign(np.full(4 * N, np.nan))
    path = broken.layers[0].cell.bias.path
    pair = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    none = "expected a model with at least one GatedRNN, keras.layers.LSTM, GRU, SimpleRNN, or RNN"
    for call, text in [
        (lambda: measures.gates("m.keras", x, y), "expected a Keras model. Received: model="),
        (lambda: measures.gates(fresh, x, y), "expected a compiled model, with a loss. Received"),
        (lambda: measures.gates(plain, x, y), f"{none} of their cells. Received: model='plain'"),
        (lambda: measures.gates(model, x), "expected targets y beside the inputs x. Received: y="),
        (
            lambda: measures.gates(model, x, y[:2]),
            "expected as many sequences in y as in x, at least one. Received: shapes",
        ),
        (
            lambda: measures.gates(model, x, targets(rng, 3)),
            "expected y of the shape that the model answers with, (3, 2). Received: y=(3, 3)",
        ),
        (
            lambda: measures.gates(model, x, y[:, :1]),
            "expected y of the shape that the model answers with, (3, 2). Received: y=(3, 1)",
        ),
        (
            lambda: measures.gates(model, x, y[:, None].repeat(3, axis=1)),
            "expected y of the shape that the model answers with, (3, 2). Received: y=(3, 3, 2)",
        ),
        (
            lambda: measures.gates(model, x[..., :2], y),
            "expected a probe that the model takes. Received: x of shapes (3, 5, 2), y of shapes",
        ),
        (
            lambda: measures.gates(model, x * np.nan, y),
            "expected finite numbers. Received: x with 45 of 45 not finite",
        ),
        (
            lambda: measures.gates(model, x, y * np.inf),
            "expected finite numbers. Received: y with 6 of 6 not finite",
        ),
        (
            lambda: measures.gates(broken, x, y),
            f"expected a model with finite weights. Received: {path} with 16 of 16 not finite",
        ),
        (
            lambda: measures.gates(rnn, x, y),
            "expected a layer that has what is measured. Received: r",
        ),
        (
            lambda: measures.gates(model, pair, y),
            "expected neither y nor w beside a dataset, which has them. Received: _BatchDataset",
        ),
        (
            lambda: measures.gates(model, pair.repeat()),
            "expected a dataset that ends, such as x.take(4). Received: one that repeats for ever",
        ),
        (
            lambda: measures.gates(model, tf.data.Dataset.from_tensor_slices(x).batch(2)),
            "expected a dataset of (x, y) or (x, y, w). Received: ",
        ),
        (
            lambda: measures.gates(model, x.tolist(), y),
            "expected x as an array, or arrays in a list or dictionary. Received: a number, or",
        ),
        (
            lambda: measures.gates(model, x, y.astype(str)),
            "expected numbers. Received: y of dtype <U32",
        ),
        (
            lambda: measures.gates(model, x, y, np.ones(2)),
            "expected a probe that the model takes. Received: x of shapes (3, 5, 3), y of shapes "
            "(3, 2), w of shapes (2,): ",
        ),
        (lambda: measures.gates(model, x[:0], y[:0]), "expected as many sequences in y as in x"),
    ]:
        said = refused(call)
        assert said.startswith(f"gates: {text}")
        assert "\n" not in said


def test_targets_that_keras_takes_are_taken(x, rng):
    """Without the last axis, with one of length 1, classes as numbers, and losses of one's own."""
    one = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(1))
    for y in (targets(rng, 1), targets(rng, 1)[:, 0]):
        assert len(measures.gates(one, x, y)) == 3
    classes = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(4, "softmax"))
    classes.compile("sgd", "sparse_categorical_crossentropy")
    for y in (np.arange(B), np.arange(B)[:, None]):
        assert len(measures.gates(classes, x, y)) == 3
    classes.compile("sgd", lambda y, p: keras.ops.mean((y[:, :4] - p) ** 2, axis=-1))
    assert len(measures.gates(classes, x, targets(rng, 5))) == 3


def test_of_texts_whose_number_tensorflow_does_not_know_beforehand():
    texts, y = np.array([["a b c"], ["b c a d"], ["c"]]), np.ones((3, 1))
    words = layers.TextVectorization(output_sequence_length=5, vocabulary=list("abcd"))
    inner = [words, layers.Embedding(6, 4, mask_zero=True), layers.LSTM(2, name="r")]
    model = keras.Sequential([keras.Input((1,), dtype="string"), *inner, layers.Dense(1)])
    model.compile("sgd", "mse")
    vectors = model.layers[1](words(texts)).numpy()
    values, _ = run("LSTM", model.layers[2].cell, vectors, None, words(texts).numpy() != 0)
    table = measures.example(model, texts, y)
    assert len(table) == 3  # the steps of the first text
    shown = table[["forget_gate_1", "forget_gate_2"]]
    np.testing.assert_allclose(shown, values["forget_gate"][0, :3], rtol=1e-5)


def test_layers_that_are_not_served_are_left_out_beside_others(x, rng):
    first = layers.SimpleRNN(2, return_sequences=True, name="plain")
    model = sequential(rng, first, layers.LSTM(2, name="gated"))
    assert set(measures.gates(model, x, targets(rng))["layer"]) == {"gated"}
    assert set(measures.memory(model, x, targets(rng))["layer"]) == {"plain", "gated"}


@pytest.mark.slow
def test_other_learners_from_states_other_than_zero(x, rng):
    """Half a gradient by Elman's rule is less than the whole one, by angle too; exact for BPTT."""
    layer = layers.GRU(N, stateful=True, name="r")
    model = compiled(keras.Sequential([keras.Input(batch_shape=(B, T, F)), layer]), rng)
    model.predict(x, batch_size=B, verbose=0)
    rules = {"exact": BPTT(), "elman": Elman()}
    table = measures.learners(model, x, targets(rng, N), learners=rules)
    whole = table[(table["weight"] == "cell") & (table["lag"] == 0)].set_index("learner")
    assert whole.loc["exact", "angle"] < 1e-6
    assert whole.loc["elman", "angle"] > 1


@pytest.mark.slow
def test_of_two_layers_of_the_lab_as_before(x, rng):
    model = two_layers(rng, "float32")
    assert set(measures.memory(model, x, targets(rng))["layer"]) == {
        "forward_both",
        "backward_both",
        "top",
    }
