"""What GatedRNN shows of itself.

Return_traces and lstmlab.traces, against the cell step by step.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize
from stepping import FEATURES, MASK, B, N, T, made, start, stepped

import lstmlab
from lstmlab import GatedRNN

layers = keras.layers
GATES = {
    "vanilla": ["input_gate", "forget_gate", "output_gate"],
    "peephole": ["input_gate", "forget_gate", "output_gate"],
    "ur_lstm": ["input_gate", "forget_gate", "refine_gate", "output_gate"],
    "slstm": ["input_gate", "forget_gate", "output_gate"],
    "lstm1997": ["input_gate", "output_gate"],
    "cifg": ["input_gate", "forget_gate", "output_gate"],
    "mgu": ["input_gate", "forget_gate", "reset_gate"],
    "minlstm": ["input_gate", "forget_gate"],
    "elman": [],
}
every_name = pytest.mark.parametrize("name", GATES)


def same(traces: dict, values: dict, tolerance: float = 1e-12) -> None:
    """The same names in the same order with the same numbers, none of which stands still."""
    assert list(traces) == list(values)
    for name, value in values.items():
        np.testing.assert_allclose(
            traces[name], value, rtol=tolerance, atol=tolerance, err_msg=name
        )
        assert np.ptp(value) > 1e-3, name


def model_of(*inner, features: int = 3) -> keras.Model:
    model = keras.Sequential([keras.Input((None, features)), *inner])
    randomize(model, np.random.default_rng(4), scale=0.5)
    return model


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, T, 3)).astype("float32")


# return_traces


@pytest.mark.parametrize("width", FEATURES)
@every_name
def test_every_named_value_against_the_cell_step_by_step(name, width, rng):
    """From any state, masked, forwards and backwards, with the last states and without, all outputs
    or the last alone.
    """
    x = rng.normal(size=(B, T, FEATURES[width]))
    for backwards, sequences, state in (
        (False, True, True),
        (True, False, True),
        (False, False, False),
        (True, True, False),
    ):
        flags = {"go_backwards": backwards, "return_sequences": sequences, "return_state": state}
        layer = made(rng, FEATURES[width], name, return_traces=True, **flags)
        states = start(layer, rng)
        values, last = stepped(layer, x, states, MASK)
        y, *after, traces = layer(x, initial_state=states, mask=MASK)
        more = ["normaliser"] if name == "slstm" else []
        assert list(traces) == [*GATES[name], "candidate", "cell_state", *more, "output"]
        same(traces, values)
        np.testing.assert_array_equal(y, traces["output"] if sequences else traces["output"][:, -1])
        assert len(after) == (len(last) if state else 0)
        for one, other in zip(after, last, strict=False):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_shapes_are_batch_time_and_blocks_or_cells(rng):
    layer = made(rng, variant="lstm1997", return_traces=True)
    _, traces = layer(rng.normal(size=(B, T, 3)))
    assert {name: tuple(value.shape) for name, value in traces.items()} == {
        "input_gate": (B, T, 2),
        "output_gate": (B, T, 2),
        "candidate": (B, T, 4),
        "cell_state": (B, T, 4),
        "output": (B, T, 4),
    }


@every_name
def test_not_asking_changes_nothing(name, rng):
    """The same outputs, to the last digit, and the loop gathers nothing else."""
    plain = made(rng, variant=name, engine="xla")
    asked = GatedRNN(plain.cell, return_traces=True, dtype="float64", engine="xla")
    x = rng.normal(size=(B, T, 3))
    np.testing.assert_array_equal(plain(x), asked(x)[0])
    assert not isinstance(plain(x), tuple)
    gathered = []
    for layer in (plain, asked):
        graph = (
            tf.function(layer, autograph=False)
            .get_concrete_function(tf.TensorSpec((B, T, 3), "float64"))
            .graph
        )
        gathered.append(
            [
                op.outputs[0].shape[-1]
                for op in graph.get_operations()
                if op.type == "TensorListStack"
            ]
        )
    assert [sorted(sizes) for sizes in gathered] == [[], sorted(plain.cell.value_sizes.values())]


def test_asking_changes_no_gradient_and_training_goes_through_the_traces(rng):
    """The gradient of a scalar of gates and states is that of the same scalar of a loop over the
    cell.
    """
    layer = made(rng, variant="peephole", return_traces=True)
    cell, x = layer.cell, tf.constant(rng.normal(size=(B, T, 3)))
    directions = {name: rng.normal(size=(B, T, size)) for name, size in cell.value_sizes.items()}
    weights = [weight.value for weight in cell.trainable_variables]

    def looped():
        states, rows = cell.get_initial_state(B), []
        for t in range(T):
            values, states = cell.step(x[:, t], states)
            rows.append(values)
        return {name: tf.stack([row[name] for row in rows], axis=1) for name in rows[0]}

    gradients = []
    for traced in (lambda: layer(x)[1], looped):
        with tf.GradientTape() as tape:
            tape.watch(x)
            scalar = sum(
                tf.reduce_sum(value * directions[name]) for name, value in traced().items()
            )
        gradients.append(tape.gradient(scalar, [*weights, x]))
    assert_gradients(*gradients, rtol=1e-10, atol=1e-12)


def functional(**arguments) -> keras.Model:
    """A model that answers with a class and with what its forget gate does."""
    inputs = keras.Input((None, 3))
    layer = GatedRNN(N, "lstm2000", return_traces=True, **arguments)
    y, *_, traces = layer(layers.Masking()(inputs))
    model = keras.Model(inputs, [layers.Dense(2)(y), traces["forget_gate"], traces])
    randomize(model, np.random.default_rng(4), scale=0.5)
    return model


@pytest.mark.slow
def test_as_outputs_of_a_functional_model(x, tmp_path):
    x[1, 3:] = 0
    model = functional(return_state=True)
    assert model.outputs[1].shape == (None, None, 2)
    values, _ = stepped(model.layers[2], x, mask=(x != 0).any(-1))
    model.save(tmp_path / "model.keras")
    for one in (
        model,
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
    ):
        one.set_weights(model.get_weights())
        y, gate, traces = one.predict(x, verbose=0)
        np.testing.assert_allclose(gate, values["forget_gate"], atol=1e-6)
        same({name: traces[name] for name in values}, values, 1e-5)
        np.testing.assert_allclose(
            y, model.layers[-1](values["output"][:, -1].astype("float32")), atol=1e-5
        )


@pytest.mark.slow
def test_a_gate_can_be_trained(x):
    """A loss on the forget gate alone moves it."""
    inputs = keras.Input((T, 3))
    _, traces = GatedRNN(N, return_traces=True)(inputs)
    model = keras.Model(inputs, traces["forget_gate"])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    before = model.predict(x, verbose=0)
    model.fit(x, np.zeros((B, T, N)), epochs=20, verbose=0)
    assert model.predict(x, verbose=0).mean() < 0.5 * before.mean()


def test_half_precision_traces_are_of_its_type(rng):
    layer = made(rng, dtype="mixed_bfloat16", return_traces=True)
    _, traces = layer(rng.normal(size=(B, T, 3)))
    assert {value.dtype.name for value in traces.values()} == {"bfloat16"}


# lstmlab.traces


class Branches(keras.Model):
    """A dictionary of two inputs, two layers, and one that is called twice."""

    def __init__(self):
        super().__init__()
        self.left, self.right = (
            GatedRNN(N, name="left", return_sequences=True),
            GatedRNN(N, "gru", name="right"),
        )
        self.readout = layers.Dense(1)

    def call(self, inputs, training=False):
        return self.readout(self.right(self.left(inputs["a"])) + self.right(inputs["b"]))


@pytest.mark.slow
def test_of_a_sequential_model_with_both_directions_and_a_stack(x):
    x[1, 3:] = 0
    both = layers.Bidirectional(GatedRNN(N, "lstm1997", return_sequences=True, name="both"))
    model = model_of(layers.Masking(), both, GatedRNN(N, "cifg", name="top"), layers.Dense(1))
    found, mask = lstmlab.traces(model, x), (x != 0).any(-1)
    assert list(found) == ["forward_both", "backward_both", "top"]
    for layer in (both.forward_layer, both.backward_layer):
        values, _ = stepped(layer, x, mask=mask)
        at = (
            mask[:, ::-1] if layer.go_backwards else mask
        )  # Bidirectional has masked outputs at zero
        same(
            found[layer.name], {name: value * at[..., None] for name, value in values.items()}, 1e-5
        )
    same(
        found["top"],
        stepped(model.layers[2], both(layers.Masking()(x)).numpy(), mask=mask)[0],
        1e-5,
    )
    assert {type(value) for values in found.values() for value in values.values()} == {np.ndarray}


@pytest.mark.slow
def test_of_a_subclassed_model_with_a_shared_layer_and_named_inputs(x):
    model, inputs = Branches(), {"a": x, "b": np.concatenate([x[:, ::-1], x[..., :1]], axis=-1)}
    found = lstmlab.traces(model, inputs)  # builds it
    assert sorted(found) == ["left", "right", "right_1"]
    left = stepped(model.left, x)[0]
    same(found["left"], left, 1e-5)
    same(found["right"], stepped(model.right, left["output"].astype("float32"))[0], 1e-5)
    same(found["right_1"], stepped(model.right, inputs["b"])[0], 1e-5)


def test_of_a_functional_model_with_a_list_of_inputs_and_a_model_inside(x):
    inner = model_of(GatedRNN(N, "peephole", name="inner", return_sequences=True), layers.Dense(3))
    inputs = [keras.Input((T, 3)), keras.Input((T, 3))]
    model = keras.Model(inputs, [GatedRNN(N, name="outer")(inner(inputs[0])), inner(inputs[1])])
    found = lstmlab.traces(model, [x, 2 * x])
    assert sorted(found) == ["inner", "inner_1", "outer"]
    layer = inner.layers[0]
    by_run = {
        name: stepped(layer, factor * x)[0] for name, factor in (("inner", 1), ("inner_1", 2))
    }
    for name, values in by_run.items():
        same(found[name], values, 1e-5)


def test_of_two_layers_of_one_name(x):
    first, second = (
        model_of(GatedRNN(N, name="r", return_sequences=True)),
        model_of(GatedRNN(N, "gru", name="r"), features=N),
    )
    inputs = keras.Input((T, 3))
    found = lstmlab.traces(keras.Model(inputs, second(first(inputs))), x)
    same(found["r"], stepped(first.layers[0], x)[0], 1e-5)
    same(found["r_1"], stepped(second.layers[0], first(x).numpy())[0], 1e-5)


@pytest.mark.parametrize("count", [1, 32, 70])
def test_of_more_sequences_than_a_batch(count, rng):
    model, x = model_of(GatedRNN(N, name="r")), rng.normal(size=(count, T, 3)).astype("float32")
    same(lstmlab.traces(model, x)["r"], stepped(model.layers[0], x)[0], 1e-5)


def test_of_a_model_that_asks_for_its_own_traces_too(x):
    model = functional()
    same(
        lstmlab.traces(model, x)[model.layers[2].name],
        stepped(model.layers[2], x, mask=(x != 0).any(-1))[0],
        1e-5,
    )


@pytest.mark.slow
def test_training_goes_on_as_if_nobody_had_looked(x):
    """Dropout is off in the traces, and seeds, weights and the compiled model are as before."""

    def trained(looks: bool):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((T, 3)),
                layers.Dropout(0.3),
                GatedRNN(N, dropout=0.4, recurrent_dropout=0.3, name="r"),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", jit_compile=False)
        for _ in range(2):
            model.fit(x, x[:, 0, :1], verbose=0)
            if looks:
                same(lstmlab.traces(model, x)["r"], stepped(model.layers[1], x)[0], 1e-5)
        return [variable.numpy() for variable in model.variables], model.predict(x, verbose=0)

    (one, answers), (other, seen) = trained(False), trained(True)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(answers, seen)


def test_states_of_stateful_layers_are_where_they_were(rng):
    layer = GatedRNN(N, stateful=True, name="r")
    model = keras.Sequential(
        [keras.Input(batch_shape=(2, T, 3)), layer, layers.BatchNormalization()]
    )
    randomize(layer, rng, scale=0.5)
    x = rng.normal(size=(4, T, 3)).astype("float32")
    model.predict(x, batch_size=2, verbose=0)
    before = [state.numpy() for state in layer.states]
    values, _ = stepped(
        layer, np.concatenate([x[:2], x[2:]], axis=1), before
    )  # the second batch goes on from the first
    expected = {
        name: np.concatenate([value[:, :T], value[:, T:]]) for name, value in values.items()
    }
    for _ in range(2):
        same(lstmlab.traces(model, x, batch_size=2)["r"], expected, 1e-5)
        for state, old in zip(layer.states, before, strict=True):
            np.testing.assert_array_equal(state, old)
    assert max(np.abs(state).max() for state in before) > 1e-3


def test_states_of_a_model_that_was_never_called_stay_zero(rng):
    layer = GatedRNN(N, stateful=True, name="r")
    model = keras.Sequential([layer, layers.BatchNormalization()])
    lstmlab.traces(model, rng.normal(size=(2, T, 3)))
    assert not any(np.any(state) for state in layer.states)
    np.testing.assert_array_equal(model.layers[1].moving_variance, np.ones(N))


def test_time_distributed_layers_are_called_once_for_each_of_their_steps(rng):
    x = rng.normal(size=(B, 2, T, 3)).astype("float32")
    model = keras.Sequential(
        [keras.Input((2, T, 3)), layers.TimeDistributed(GatedRNN(N, name="r"))]
    )
    found = lstmlab.traces(model, x)
    assert list(found) == ["r", "r_1"]
    for k, values in enumerate(found.values()):
        same(values, stepped(model.layers[0].layer, x[:, k])[0], 1e-5)


def refused(call) -> str:
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        call()
    return str(e.value).partition("\033[1m")[2].partition("\033[0m")[0] or str(e.value)


def test_models_without_a_recurrent_layer_are_refused(x):
    model = keras.Sequential([keras.Input((T, 3)), layers.Flatten()], name="mine")
    assert refused(lambda: lstmlab.traces(model, x)) == (
        "traces: expected a model with at least one GatedRNN, keras.layers.LSTM, GRU, SimpleRNN, "
        "or RNN of their cells. Received: model='mine'"
    )
    model.add(layers.Dense(1))
    assert model.predict(x, verbose=0).shape == (B, 1)


def test_what_is_no_model_is_refused(x):
    assert (
        refused(lambda: lstmlab.traces("model.keras", x))
        == "traces: expected a Keras model. Received: model='model.keras'"
    )


def test_a_failed_look_leaves_nothing_behind(x):
    model = model_of(GatedRNN(N, name="r"))
    with pytest.raises(ValueError, match="expected inputs"):
        lstmlab.traces(model, x[..., :2])
    assert not isinstance(model.layers[0](x), tuple)
    same(lstmlab.traces(model, x)["r"], stepped(model.layers[0], x)[0], 1e-5)


def test_no_sequences_have_no_traces():
    model = keras.Sequential([keras.Input((3, 2)), GatedRNN(4)])
    with pytest.raises(
        ValueError, match=r"^traces: expected at least one sequence. Received: an empty x$"
    ):
        lstmlab.traces(model, np.zeros((0, 3, 2), "float32"))


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # as predict says
def test_of_a_dataset_that_does_not_know_its_length(x):
    model = model_of(GatedRNN(N, name="r"))
    known = tf.data.Dataset.from_tensor_slices(x).batch(2)
    unknown = known.filter(lambda _: True)
    for dataset in (known, unknown):
        same(lstmlab.traces(model, dataset)["r"], stepped(model.layers[0], x)[0], 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_an_activity_regularizer_does_not_penalise_traces(sequences, state, x, rng):
    """As keras.layers.LSTM: outputs and states, called, in a model, in a model's fit."""
    flags = {"return_sequences": sequences, "return_state": state, "activity_regularizer": "l2"}
    theirs, ours = layers.LSTM(N, **flags), GatedRNN(N, return_traces=True, **flags)
    for layer in (theirs, ours):
        layer.build(x.shape)
    randomize(theirs, rng)
    ours.cell.from_keras(theirs)
    inputs = keras.Input(x.shape[1:])
    models = [keras.Model(inputs, layer(inputs)) for layer in (theirs, ours)]
    for one, other in ((theirs, ours), models):
        one(x), other(x)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)
        assert len(other.losses) == 1 + 2 * state
        assert min(map(float, other.losses)) > 1e-4
    assert isinstance(ours.activity_regularizer, keras.regularizers.L2)
    readout = layers.Dense(1)
    of_output = [readout(model.outputs[0]) for model in models]
    fitted = [keras.Model(inputs, output) for output in of_output]
    losses = []
    for model in fitted:
        model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=model is fitted[1])
        losses += model.fit(x, x[:, :1, :1] if sequences else x[:, 0, :1], verbose=0).history[
            "loss"
        ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_failed_call_leaves_the_activity_regularizer(x):
    layer = GatedRNN(N, return_traces=True, activity_regularizer="l2")
    with pytest.raises(ValueError, match="expected a mask"):
        layer(x, mask=np.ones((B, T + 1), bool))
    assert isinstance(layer.activity_regularizer, keras.regularizers.L2)
