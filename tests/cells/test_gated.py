"""GatedCell: against keras.layers.LSTM and NumPy, what it reads back, and who sees what."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import NumpyCell, assert_gradients, randomize
from single_step import B, F, N, T, built, normal

from lstmlab import Coupled, Gate, GatedCell, variant
from lstmlab.cells import Chrono, Opposite, UniformGate

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

SHAPES = {
    "1997": {
        "forget_gate": None,
        "block_size": 2,
        "feedback": "all",
        "candidate_activation": "g1997",
        "output_activation": "h1997",
    },
    "all three gates, fed back": {"feedback": "all", "block_size": 2},
    "one block": {"block_size": N, "output_gate": "tanh"},
    "no feedback": {"feedback": "none", "candidate_bias": None},
    "no gates": {"input_gate": None, "forget_gate": None, "output_gate": None, "feedback": "all"},
    "some biases": {"input_gate": Gate(bias=None), "candidate_bias": None, "block_size": 2},
    "forget gate alone": {
        "input_gate": None,
        "output_gate": None,
        "feedback": "all",
        "output_activation": "linear",
    },
}
SWITCHES = {
    **SHAPES,
    "coupled": {
        "input_gate": Coupled("forget_gate", False, 0.5),
        "output_gate": Coupled("forget_gate"),
    },
    "closed": {"input_gate": "closed", "output_gate": "closed"},
    "peepholes": {
        "output_gate": Gate("softplus", peephole="current"),
        "input_gate": Gate(peephole="previous"),
    },
    "recurrence": {
        "input_gate": Gate(recurrent="by_element"),
        "candidate_recurrent": "block_diagonal",
        "heads": 2,
    },
    "initial biases": {
        "forget_gate": Gate(bias=Chrono(9, seed=1)),
        "input_gate": Gate(bias=Opposite("forget_gate")),
        "output_gate": Gate(bias=UniformGate(seed=2)),
    },
    "refined, reset, normalised": {
        "refine_gate": "sigmoid",
        "reset_gate": "sigmoid",
        "reset_after": True,
    },
    "normaliser of gates": {"normaliser": "gates", "feedback": "gates_to_gates"},
    "normaliser of state": {"input_gate": "exponential", "normaliser": "state"},
    "layer normalisation": {
        "layer_normalization": True,
        "dropout": 0.2,
        "recurrent_dropout": 0.3,
        "seed": 4,
    },
    "weights": {
        "kernel_regularizer": "l2",
        "recurrent_regularizer": keras.regularizers.L1(0.1),
        "bias_constraint": keras.constraints.MaxNorm(2.0),
        "peephole_initializer": "he_normal",
    },
}


def pair(dtype: str, rng):
    """keras.layers.LSTMCell and our vanilla cell with the same weights."""
    theirs, ours = keras.layers.LSTMCell(N, dtype=dtype), variant("vanilla", units=N, dtype=dtype)
    for cell in (theirs, ours):
        cell.build((B, F))
    randomize(theirs, rng)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_one_step_from_any_state_against_keras_lstm_cell(dtype, rng):
    cells = pair(dtype, rng)
    inputs = [normal(rng, B, size, dtype=dtype) for size in (F, N, N)]
    cotangents = [normal(rng, B, N, dtype=dtype) for _ in range(3)]
    answers = []
    for cell in cells:
        weights = [w.value for w in cell.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y, (h, c) = cell(inputs[0], inputs[1:])
            scalar = sum(tf.reduce_sum(a * b) for a, b in zip((y, h, c), cotangents, strict=True))
        answers.append([y, h, c, *tape.gradient(scalar, weights + inputs)])
    assert len(answers[0]) == 9
    assert_gradients(answers[1], answers[0], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_outputs_and_gradients_of_a_layer_against_keras_lstm(dtype, rng):
    theirs, ours = pair(dtype, rng)
    layers = (
        keras.layers.LSTM(N, return_sequences=True, return_state=True, dtype=dtype),
        keras.layers.RNN(ours, return_sequences=True, return_state=True, dtype=dtype),
    )
    x, states = (
        normal(rng, B, T, F, dtype=dtype),
        [normal(rng, B, N, dtype=dtype) for _ in range(2)],
    )
    cotangent = normal(rng, B, T, N, dtype=dtype)
    answers = []
    for layer in layers:
        layer.build((B, T, F))
        layer.set_weights(theirs.get_weights())
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            y, h, c = layer(x, initial_state=states)
            scalar = tf.reduce_sum(y * cotangent)
        gradients = tape.gradient(
            scalar, [w.value for w in layer.trainable_variables] + [x, *states]
        )
        answers.append([y, h, c, *gradients])
    assert_gradients(answers[1], answers[0], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_keras_lstm_with_other_weights_differs(rng):
    (theirs, ours), x = pair("float64", rng), normal(rng, B, F)
    states = [normal(rng, B, N), normal(rng, B, N)]
    names = ("kernel", "recurrent_kernel", "bias")
    for k, name in enumerate(names):
        values = ours.get_weights()
        values[k] = np.roll(values[k], N, axis=-1)  # each gate takes the columns of its neighbour
        other = variant("vanilla", units=N, dtype="float64")
        other.build((B, F))
        other.set_weights(values)
        assert np.abs(other(x, states)[0] - theirs(x, states)[0]).max() > 0.01, name


@pytest.mark.parametrize("shape", SHAPES)
def test_every_named_value_against_numpy(shape, rng):
    cell = built(rng, **SHAPES[shape])
    x, before = rng.normal(size=(B, F)), [rng.normal(size=(B, size)) for size in cell.state_size]
    assert cell.is_own_output == (
        shape in ("no gates", "forget gate alone") and cell.output_activation.__name__ == "linear"
    )
    expected, expected_hidden = NumpyCell(cell).step(
        x, before[0], before[0][:, :N] if cell.is_own_output else before[1]
    )
    values, states = cell.step(tf.constant(x), [tf.constant(state) for state in before])
    names = {
        "input_gate": "i",
        "forget_gate": "f",
        "output_gate": "o",
        "candidate": "g",
        "cell_state": "s",
        "output": "y",
    }
    assert set(values) == {*cell.gates, "candidate", "cell_state", "output"}
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[names[name]], atol=1e-12, err_msg=name)
    np.testing.assert_allclose(states[0], expected_hidden, atol=1e-12)
    np.testing.assert_allclose(states[-1][:, :N], expected["s"], atol=1e-12)
    assert [state.shape[1] for state in states] == list(cell.state_size)
    np.testing.assert_array_equal(states[0][:, :N], values["output"])


def test_cells_of_a_block_share_its_gates(rng):
    cell = built(rng, block_size=2, candidate_activation="linear", output_activation="linear")
    hidden, s = normal(rng, B, N), normal(rng, B, N)
    values, _ = cell.step(normal(rng, B, F), [hidden, s])
    assert values["output_gate"].shape == (B, 2)
    opened = values["output"] / values["cell_state"]  # linear h: what is left is the output gate
    np.testing.assert_allclose(opened[:, 0], opened[:, 1], atol=1e-12)
    np.testing.assert_allclose(opened[:, 2], opened[:, 3], atol=1e-12)
    np.testing.assert_allclose(opened[:, ::2], values["output_gate"], atol=1e-12)
    assert np.abs(opened[:, 0] - opened[:, 2]).min() > 1e-3
    kept = (values["cell_state"] - np.repeat(values["input_gate"], 2, 1) * values["candidate"]) / s
    np.testing.assert_allclose(kept[:, ::2], values["forget_gate"], atol=1e-12)
    np.testing.assert_allclose(kept[:, 1::2], values["forget_gate"], atol=1e-12)


@pytest.mark.parametrize("feedback", ["cells", "all", "gates_to_gates", "none"])
def test_feedback_says_what_the_nets_read_back(feedback, rng):
    cell = built(rng, feedback=feedback, block_size=2)
    hidden, s = normal(rng, B, cell.state_size[0]), normal(rng, B, N)
    x, gates = normal(rng, B, F), ["input_gate", "forget_gate", "output_gate"]
    values, (after, _) = cell.step(x, [hidden, s])
    names = ["output", *(gates if feedback in ("all", "gates_to_gates") else [])]
    np.testing.assert_array_equal(after, np.concatenate([values[name] for name in names], axis=1))
    assert (cell.recurrent_kernel is None) == (feedback == "none")
    for k in range(hidden.shape[1]):  # the first n are outputs, the others gates
        bumped, _ = cell.step(x, [hidden + tf.one_hot(k, hidden.shape[1], dtype="float64"), s])
        for name in (*gates, "candidate"):
            moved = np.abs(bumped[name] - values[name]).max()
            blind = feedback == "none" or (
                feedback == "gates_to_gates" and k >= N and name == "candidate"
            )
            assert moved == 0 if blind else moved > 1e-4, (k, name)


def test_initial_biases_land_in_the_columns_of_their_gates():
    gates = {
        "input_gate": Gate(bias=[1.0, 2.0]),
        "forget_gate": Gate(bias=3.0),
        "output_gate": Gate(bias=[5.0, 6.0]),
    }
    cell = GatedCell(4, **gates, candidate_bias=[10.0, 20.0, 30.0, 40.0], block_size=2)
    cell.build((None, F))
    np.testing.assert_array_equal(cell.bias, [1, 2, 3, 3, 10, 20, 30, 40, 5, 6])
    zero = [tf.zeros((1, 4)), tf.zeros((1, 4))]
    values, _ = cell.step(tf.zeros((1, F)), zero)
    logistic = 1 / (1 + np.exp(-np.array([[1, 2], [3, 3], [5, 6]])))
    for name, value in zip(gates, logistic, strict=True):
        np.testing.assert_allclose(values[name][0], value, rtol=1e-6)
    np.testing.assert_allclose(values["candidate"][0], np.tanh([10, 20, 30, 40]), rtol=1e-6)


def test_gates_without_bias_leave_the_columns_of_others_alone():
    cell = GatedCell(2, Gate(bias=None), Gate(bias=3.0), Gate(bias=[5.0, 6.0]), candidate_bias=None)
    cell.build((None, F))
    np.testing.assert_array_equal(cell.bias, [3, 3, 5, 6])
    values, _ = cell.step(tf.zeros((1, F)), [tf.zeros((1, 2)), tf.zeros((1, 2))])
    np.testing.assert_array_equal(values["input_gate"], [[0.5, 0.5]])
    np.testing.assert_array_equal(values["candidate"], [[0, 0]])
    np.testing.assert_allclose(values["output_gate"], 1 / (1 + np.exp([[-5.0, -6.0]])), rtol=1e-6)


def test_no_bias_at_all_is_no_weight():
    cell = GatedCell(2, Gate(bias=None), None, Gate(bias=None), candidate_bias=None)
    cell.build((None, F))
    assert [w.name for w in cell.weights] == ["kernel", "recurrent_kernel"]


def carousel(cell, rng, see, steps: int = T):
    """d s_T / d s_0 of one sequence [n, n]."""
    x = normal(rng, steps, 1, F)
    hidden, s_0 = (normal(rng, 1, size) for size in cell.state_size)
    options = {"see": see} if see else {}
    forget = tf.ones((1, N), "float64")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(s_0)
        states = [hidden, s_0]
        for x_t in x:
            values, states = cell.step(x_t, states, **options)
            forget *= (
                tf.repeat(values["forget_gate"], cell.block_size, axis=1)
                if cell.forget_gate
                else 1.0
            )
    return tape.jacobian(states[1], s_0, experimental_use_pfor=False)[0, :, 0].numpy(), forget[
        0
    ].numpy()


def test_see_never_filters_the_carousel(rng):
    cell = variant("lstm1997", units=N, dtype="float64")
    cell.build((None, F))
    randomize(cell, rng)
    np.testing.assert_array_equal(carousel(cell, rng, tf.stop_gradient)[0], np.eye(N))
    assert np.abs(carousel(cell, rng, None)[0] - np.eye(N)).min() > 1e-5


def test_the_carousel_of_a_forget_gate_is_the_product_of_its_activations(rng):
    cell = built(rng, block_size=2, feedback="all")
    flow, forget = carousel(cell, rng, tf.stop_gradient)
    np.testing.assert_allclose(flow, np.diag(forget), rtol=1e-12)
    assert 0 < forget.min() < forget.max() < 1


def test_touch_sees_every_value_and_what_it_returns_is_used(rng):
    cell, seen = built(rng, feedback="all"), []
    x, states = normal(rng, B, F), [normal(rng, B, size) for size in cell.state_size]

    def touch(name, value):
        seen.append(name)
        return tf.zeros_like(value) if name == "forget_gate" else value

    values, (hidden, s) = cell.step(x, states, touch=touch)
    assert sorted(seen) == sorted(values)
    np.testing.assert_allclose(s, values["input_gate"] * values["candidate"], atol=1e-12)
    np.testing.assert_array_equal(hidden[:, 2 * N : 3 * N], np.zeros((B, N)))


@pytest.mark.parametrize("shape", SWITCHES)
def test_config_round_trip(shape, rng):
    cell = built(rng, **SWITCHES[shape])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(cell)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == cell.get_config()
    again.set_weights(cell.get_weights())
    x, states = normal(rng, B, F), [abs(normal(rng, B, size)) for size in cell.state_size]
    np.testing.assert_array_equal(again(x, states)[0], cell(x, states)[0])
    assert again.dtype == "float64"
    default = GatedCell(N, dtype="float64", name=cell.name).get_config()
    changed = {name for name, value in config["config"].items() if value != default[name]}
    assert changed - {"peephole_initializer"} == set(SWITCHES[shape]) - {
        "peephole_initializer"
    }  # see Switches: a name or made


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_computes_in_half_and_keeps_weights_in_single(policy, rng):
    cell, exact = variant("lstm1997", units=N, dtype=policy), variant("lstm1997", units=N)
    for one in (cell, exact):
        one.build((B, F))
    randomize(exact, rng)
    cell.set_weights(exact.get_weights())
    x, states = normal(rng, B, F, dtype="float32"), cell.get_initial_state(B)
    half = policy.removeprefix("mixed_")
    assert {state.dtype.name for state in states} == {half}
    assert {w.dtype for w in cell.weights} == {"float32"}
    for values, after in (
        cell.step(x, states),
        ({"output": cell(x, states)[0]}, cell(x, states)[1]),
    ):
        assert {value.dtype.name for value in (*values.values(), *after)} == {half}
        expected = exact.step(x, exact.get_initial_state(B))[0]["output"]
        np.testing.assert_allclose(tf.cast(values["output"], "float32"), expected, atol=2e-2)


@pytest.mark.parametrize(
    "switches", [{}, {"reset_gate": "sigmoid"}, {"reset_gate": "sigmoid", "reset_after": True}]
)
def test_see_candidate_filters_what_the_candidate_reads_back(switches, rng):
    """With all gates constant but in value the candidate depends on hidden as it does where gates
    do not see it.
    """
    cell = built(rng, **switches, block_size=2)
    states, x = [normal(rng, B, size) for size in cell.state_size], normal(rng, B, F)
    gates = [name for name in cell.gates if name != "output_gate"]

    def slopes(**options):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(states)
            values, _ = cell.step(x, states, **options)
        return values, {
            name: tape.gradient(values[name], states[0]) for name in [*gates, "candidate"]
        }

    plain, _ = slopes()
    values, found = slopes(see=tf.stop_gradient, see_candidate=tf.identity)
    _, expected = slopes(
        touch=lambda name, value: tf.stop_gradient(value) if name in gates else value
    )
    for name, value in plain.items():
        np.testing.assert_array_equal(values[name], value)
    assert [found[name] for name in gates] == [None] * len(gates)
    np.testing.assert_allclose(found["candidate"], expected["candidate"], rtol=1e-12)
    assert np.abs(found["candidate"]).min() > 1e-9
    values, other = slopes(see=tf.identity, see_candidate=tf.stop_gradient)
    assert all(np.abs(other[name]).min() > 1e-9 for name in gates)
    assert (other["candidate"] is None) == (cell.reset_gate is None)


def test_one_see_for_all_nets_takes_no_second_product(rng):
    cell, see = built(rng), tf.stop_gradient

    def operations(**options) -> list[str]:
        step = tf.function(
            lambda x, *states: cell.step(x, states, see=see, **options), autograph=False
        )
        shapes = [tf.TensorSpec((B, size), "float64") for size in (F, *cell.state_size)]
        return [op.type for op in step.get_concrete_function(*shapes).graph.get_operations()]

    assert operations() == operations(see_candidate=None) == operations(see_candidate=see)
    assert operations().count("MatMul") < operations(see_candidate=tf.identity).count("MatMul")


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vanilla", {}),
        ("lstm1997", {}),
        ("elman", {}),
        ("cifg", {}),
        ("ur_lstm", {}),
        ("minlstm", {}),
        ("slstm", {}),
        ("nfg", {"feedback": "all"}),
    ],
)
def test_the_factor_of_the_old_state_is_its_derivative_where_nothing_is_seen(
    name, arguments, block_size, rng
):
    """ds_t/ds_tm1 under see=stop_gradient.

    The same for tensors of a step and arrays of a sequence.
    """
    cell = variant(name, units=4, block_size=block_size, dtype="float64", **arguments)
    cell.build((2, 3))
    randomize(cell, rng)
    x, states = (
        tf.constant(rng.normal(size=(2, 3))),
        [tf.constant(np.abs(rng.normal(size=(2, size)))) for size in cell.state_size],
    )
    own = cell.is_own_output
    at = cell.state_names.index(
        "hidden" if own or "cell_state" not in cell.state_names else "cell_state"
    )
    with tf.GradientTape() as tape:
        tape.watch(states[at])
        values, _ = cell.step(x, states, see=tf.stop_gradient)
        total = tf.reduce_sum(values["cell_state"])
    slope = tape.gradient(total, states[at], unconnected_gradients="zero").numpy()[:, :4]
    factor = cell.state_factor(values)
    assert factor.shape == (2, 4)
    np.testing.assert_allclose(factor, slope, rtol=1e-12)
    assert np.all(slope == {"elman": 0, "lstm1997": 1, "nfg": 1}.get(name, slope))
    arrays = {k: np.stack([v.numpy()] * 3, axis=1) for k, v in values.items()}
    over_time = cell.state_factor(arrays)
    assert isinstance(over_time, np.ndarray)
    np.testing.assert_array_equal(over_time, np.stack([factor] * 3, axis=1))
