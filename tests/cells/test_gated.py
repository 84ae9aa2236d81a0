"""GatedCell: against keras.layers.LSTM, against second writings in NumPy, and what each of its arguments does."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import NumpyCell, assert_gradients, randomize

from lstmlab import Coupled, Gate, GatedCell, GatedRNN, variant
from lstmlab.cells import Chrono, Opposite, UniformGate

B, T, F, N = 2, 5, 3, 4
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


def normal(rng, *shape, dtype="float64"):
    return tf.constant(rng.normal(size=shape), dtype)


def built(rng, **arguments) -> GatedCell:
    cell = GatedCell(N, **arguments, dtype="float64")
    cell.build((B, F))
    randomize(cell, rng)
    return cell


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


def logistic(net):
    return 1 / (1 + np.exp(-net))


def wide(cell, gate):
    """[B, m] -> [B, n]."""
    return np.repeat(gate, cell.block_size, axis=1)


def stepped(cell, rng, training=False):
    """x, the states before, values and states after one step, by name, in NumPy."""
    x, before = (
        rng.normal(size=(B, F)),
        {
            n: rng.normal(size=(B, k))
            for n, k in zip(cell.state_names, cell.state_size, strict=True)
        },
    )
    values, after = cell.step(
        tf.constant(x), [tf.constant(before[name]) for name in cell.state_names]
    )
    after = {name: value.numpy() for name, value in zip(cell.state_names, after, strict=True)}
    return x, before, {name: value.numpy() for name, value in values.items()}, after


def net_of(cell, name, x, hidden):
    """Net input of a net of a cell that reads all back through one matrix and has all biases, without peephole."""
    order = ("input_gate", "forget_gate", "refine_gate", "reset_gate", "candidate", "output_gate")
    own = [n for n in order if n == "candidate" or isinstance(getattr(cell, n), Gate)]
    sizes = [N if n == "candidate" else cell.blocks for n in own]
    start = sum(sizes[: own.index(name)])
    columns = slice(start, start + sizes[own.index(name)])
    return (
        x @ cell.kernel.numpy()[:, columns]
        + hidden @ cell.recurrent_kernel.numpy()[:, columns]
        + cell.bias.numpy()[columns]
    )


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("output", [None, "closed", "sigmoid"])
@pytest.mark.parametrize("forget", [None, "closed", "sigmoid"])
@pytest.mark.parametrize("given", [None, "closed", "sigmoid"])
def test_an_absent_gate_is_one_and_a_closed_gate_is_zero(given, forget, output, block_size, rng):
    cell = built(
        rng, input_gate=given, forget_gate=forget, output_gate=output, block_size=block_size
    )
    x, before, values, _ = stepped(cell, rng)
    gates = {"input_gate": given, "forget_gate": forget, "output_gate": output}
    factor = {}
    for name, gate in gates.items():
        assert (name in values) == (gate == "sigmoid")
        constant = np.full((B, N), 0.0 if gate == "closed" else 1.0)
        factor[name] = (
            wide(cell, logistic(net_of(cell, name, x, before["hidden"])))
            if name in values
            else constant
        )
    g = np.tanh(net_of(cell, "candidate", x, before["hidden"]))
    s = factor["forget_gate"] * before.get("cell_state", 0.0) + factor["input_gate"] * g
    np.testing.assert_allclose(values["candidate"], g, atol=1e-12)
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)
    np.testing.assert_allclose(values["output"], factor["output_gate"] * np.tanh(s), atol=1e-12)
    assert ("cell_state" in before) == (forget != "closed")


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("complement", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.7, -2.0])
@pytest.mark.parametrize(
    ("gate", "to"),
    [
        (a, b)
        for a in ("input_gate", "forget_gate", "output_gate")
        for b in ("input_gate", "forget_gate", "output_gate")
        if a != b
    ]
    + [("reset_gate", "input_gate"), ("input_gate", "reset_gate")],
)
def test_a_coupled_gate_against_its_partner(gate, to, shift, complement, block_size, rng):
    options = {"reset_gate": "sigmoid"} if to == "reset_gate" else {}
    partner = {to: Gate("hard_sigmoid")} if shift else {}
    cell = built(
        rng,
        **{**options, **partner, gate: Coupled(to, complement, shift)},
        block_size=block_size,
        reset_after="reset" in gate + to,
    )
    x, before, values, _ = stepped(cell, rng)
    assert gate not in cell.nets
    hidden = before["hidden"]
    squash = (lambda net: np.clip(net / 6 + 0.5, 0, 1)) if shift else logistic
    shifted = squash(net_of(cell, to, x, hidden) - shift)
    np.testing.assert_allclose(values[gate], 1 - shifted if complement else shifted, atol=1e-12)
    np.testing.assert_allclose(values[to], squash(net_of(cell, to, x, hidden)), atol=1e-12)
    assert (np.abs(shifted - values[to]).max() > 0.05) == bool(shift)
    i, f, o = (wide(cell, values[name]) for name in ("input_gate", "forget_gate", "output_gate"))
    s = f * before["cell_state"] + i * values["candidate"]
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)
    np.testing.assert_allclose(values["output"], o * np.tanh(s), atol=1e-12)


def test_coupled_follows_the_forget_gate_after_its_refine_gate(rng):
    """Gu et al. 2020: both sums to one of the refined gate."""
    cell = built(rng, input_gate="coupled", refine_gate="sigmoid")
    x, before, values, _ = stepped(cell, rng)
    f, r = (
        logistic(net_of(cell, name, x, before["hidden"])) for name in ("forget_gate", "refine_gate")
    )
    e = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
    np.testing.assert_allclose(values["forget_gate"], e, atol=1e-12)
    np.testing.assert_allclose(values["input_gate"], 1 - e, atol=1e-12)
    np.testing.assert_allclose(values["refine_gate"], r, atol=1e-12)
    assert np.abs(e - f).max() > 0.01


@pytest.mark.parametrize("block_size", [1, 2])
def test_normalised_gates_sum_to_one(block_size, rng):
    """minLSTM: i / (i + f) and f / (i + f)."""
    cell = built(rng, normaliser="gates", input_gate="exponential", block_size=block_size)
    x, before, values, _ = stepped(cell, rng)
    i = np.exp(net_of(cell, "input_gate", x, before["hidden"]))
    f = logistic(net_of(cell, "forget_gate", x, before["hidden"]))
    np.testing.assert_allclose(values["input_gate"], i / (i + f), atol=1e-12)
    np.testing.assert_allclose(values["forget_gate"], f / (i + f), atol=1e-12)
    s = (
        wide(cell, f / (i + f)) * before["cell_state"]
        + wide(cell, i / (i + f)) * values["candidate"]
    )
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)


def test_normalised_gates_that_are_both_closed_are_no_nan(rng):
    cell = GatedCell(
        2, Gate(bias=-300.0), Gate(bias=-301.0), None, normaliser="gates", dtype="float32"
    )
    cell.build((B, F))
    values, _ = cell.step(tf.zeros((B, F)), cell.get_initial_state(B))
    np.testing.assert_allclose(values["input_gate"], np.full((B, 2), logistic(1.0)), rtol=1e-5)
    np.testing.assert_allclose(values["forget_gate"], np.full((B, 2), logistic(-1.0)), rtol=1e-5)


def test_biases_as_an_array():
    cell = GatedCell(2, Gate(bias=np.array([1.0, 2.0])))
    cell.build((None, F))
    np.testing.assert_array_equal(cell.bias[:2], [1, 2])


def test_a_config_may_leave_out_what_is_as_by_default():
    assert (
        GatedCell.from_config({"units": 4, "name": "x"}).get_config()
        == GatedCell(4, name="x").get_config()
    )


@pytest.mark.parametrize("shape", [(2, 3, 4), (2,), (2, None)])
def test_inputs_of_more_than_one_step_are_refused(shape):
    with pytest.raises(
        ValueError,
        match=r"^GatedCell: expected inputs \[B, F\] of one step, F known. Received: shape=",
    ):
        GatedCell(4).build(shape)


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize(
    ("given", "forget"),
    [("exponential", "sigmoid"), ("exponential", "exponential"), ("sigmoid", "sigmoid")],
)
def test_the_normalised_state_against_plain_sums_that_are_not_stabilised(
    given, forget, block_size, rng
):
    """sLSTM: from s = n = 0, y = o h(S / N) with S = f S + i g and N = f N + i, no stabiliser in sight."""
    options = {
        "normaliser": "state",
        "input_gate": given,
        "forget_gate": forget,
        "block_size": block_size,
    }
    cell = built(rng, **options)
    states, hidden = cell.get_initial_state(B), np.zeros((B, N))
    s, n = np.zeros((B, N)), np.zeros((B, cell.blocks))
    for _ in range(T):
        x = rng.normal(size=(B, F))
        values, states = cell.step(tf.constant(x), states)
        nets = {name: net_of(cell, name, x, hidden) for name in cell.nets}
        i, f = ACTIVATIONS[given](nets["input_gate"]), ACTIVATIONS[forget](nets["forget_gate"])
        s, n = wide(cell, f) * s + wide(cell, i) * np.tanh(nets["candidate"]), f * n + i
        hidden = wide(cell, logistic(nets["output_gate"])) * np.tanh(s / wide(cell, n))
        np.testing.assert_allclose(values["output"], hidden, atol=1e-12)
        scale = np.exp(dict(zip(cell.state_names, states, strict=True))["stabiliser"])
        np.testing.assert_allclose(values["normaliser"] * scale, n, rtol=1e-12)


ACTIVATIONS = {
    "sigmoid": logistic,
    "hard_sigmoid": lambda net: np.clip(net / 6 + 0.5, 0, 1),
    "exponential": np.exp,
    "softplus": lambda net: np.log1p(np.exp(net)),
    "softsign": lambda net: net / (1 + np.abs(net)),
    "relu6": lambda net: np.clip(net, 0, 6),
    "linear": lambda net: net,
    "g1997": lambda net: 4 / (1 + np.exp(-net)) - 2,
    "h1997": lambda net: 2 / (1 + np.exp(-net)) - 1,
    tf.math.sin: np.sin,
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_every_net_has_an_activation_of_its_own(activation, rng):
    function = ACTIVATIONS[activation]
    for chosen in (
        "input_gate",
        "forget_gate",
        "refine_gate",
        "reset_gate",
        "output_gate",
        "candidate",
    ):
        options = {"refine_gate": "sigmoid", "reset_gate": "sigmoid", "reset_after": True}
        if chosen == "candidate":
            cell = built(rng, candidate_activation=activation)
        else:
            cell = built(rng, **{**options, chosen: Gate(activation)})
        x, before, values, _ = stepped(cell, rng)
        nets = {
            name: net_of(cell, name, x, before["hidden"]) for name in values if name in cell.nets
        }
        at = {
            name: (function if name == chosen else np.tanh if name == "candidate" else logistic)(
                net
            )
            for name, net in nets.items()
        }
        if "refine_gate" in at:
            f, r = at["forget_gate"], at["refine_gate"]
            at["forget_gate"] = 2 * r * f + (1 - 2 * r) * f**2
            at.pop("candidate")  # behind its reset gate
        for name, value in at.items():
            np.testing.assert_allclose(
                values[name], value, rtol=1e-12, atol=1e-12, err_msg=f"{chosen}: {name}"
            )


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_output_activation(activation, rng):
    cell = built(rng, output_activation=activation)
    _, _, values, _ = stepped(cell, rng)
    np.testing.assert_allclose(
        values["output"],
        values["output_gate"] * ACTIVATIONS[activation](values["cell_state"]),
        atol=1e-12,
    )


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("output", [None, "previous", "current"])
def test_peepholes_against_numpy(output, block_size, rng):
    """One weight per cell, summed over the cells of the block that the gate controls."""
    gates = {"input_gate": Gate("tanh", peephole="previous"), "output_gate": Gate(peephole=output)}
    cell = built(rng, **gates, refine_gate=Gate(peephole="previous"), block_size=block_size)
    x, before, values, after = stepped(cell, rng)
    rows = ["input_gate", "refine_gate"] + (["output_gate"] if output else [])
    assert cell.peephole.shape == (len(rows), N)
    seen = {name: before["cell_state"] for name in rows} | (
        {"output_gate": after["cell_state"]} if output == "current" else {}
    )
    for name, squash in (
        ("input_gate", np.tanh),
        ("refine_gate", logistic),
        ("output_gate", logistic),
    ):
        net = net_of(cell, name, x, before["hidden"])
        if name in rows:
            looks = cell.peephole.numpy()[rows.index(name)] * seen[name]
            net = net + np.stack(
                [
                    looks[:, k * block_size : (k + 1) * block_size].sum(axis=1)
                    for k in range(cell.blocks)
                ],
                1,
            )
        np.testing.assert_allclose(values[name], squash(net), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("when", ["previous", "current"])
def test_see_filters_what_peepholes_see(when, rng):
    cell = built(rng, input_gate=Gate(peephole="previous"), output_gate=Gate(peephole=when))
    states = [normal(rng, B, size) for size in cell.state_size]
    x, slopes = normal(rng, B, F), []
    for options in ({}, {"see": tf.stop_gradient}):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(states)
            values, _ = cell.step(x, states, **options)
        slopes.append(
            [tape.gradient(values[name], states[1]) for name in ("input_gate", "output_gate")]
        )
    assert np.abs(slopes[0]).min() > 1e-6
    assert slopes[1] == [None, None]


def drawn_biases(**arguments):
    cell = GatedCell(400, **arguments)
    cell.build((None, 1))
    bias, pieces, start = cell.bias.numpy(), {}, 0
    for name, size in cell.nets.items():
        if cell._initial_bias(name) is not None:
            pieces[name], start = bias[start : start + size], start + size
    assert start == len(bias)
    return pieces


def test_opposite_biases_are_minus_those_drawn_for_the_other_gate():
    chrono, opposite = Gate(bias=Chrono(50)), Gate(bias=Opposite("forget_gate"))
    drawn = drawn_biases(
        forget_gate=chrono,
        input_gate=opposite,
        reset_gate=opposite,
        output_gate=Gate(bias="random_normal"),
    )
    np.testing.assert_array_equal(drawn["input_gate"], -drawn["forget_gate"])
    np.testing.assert_array_equal(drawn["reset_gate"], -drawn["forget_gate"])
    assert len(np.unique(drawn["forget_gate"])) > 390
    drawn = drawn_biases(
        forget_gate=Gate(bias=Opposite("output_gate")),
        output_gate=Gate(bias=[*map(float, range(400))]),
    )
    np.testing.assert_array_equal(
        drawn["forget_gate"], -np.arange(400.0)
    )  # before the gate it follows


def test_one_unseeded_initializer_serves_several_gates_with_other_draws():
    chrono = Chrono(50)
    drawn = drawn_biases(
        forget_gate=Gate(bias=chrono), output_gate=Gate(bias=chrono), candidate_bias=chrono
    )
    assert np.abs(drawn["forget_gate"] - drawn["output_gate"]).min() > 0
    assert np.abs(drawn["forget_gate"] - drawn["candidate"]).min() > 0


def normalised(value, gain):
    """Ba, Kiros & Hinton 2016, eqs. 2-3 without offset; epsilon as in Keras."""
    centred = value - value.mean(axis=-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("reset", [None, "before", "after"])
@pytest.mark.parametrize("block_size", [1, 2])
def test_layer_normalisation_against_ba_et_al_2016(reset, block_size, rng):
    """Their eqs. 20-22: W x and R y each normalised over all nets, with gains, before the bias; the state before h."""
    options = {} if reset is None else {"reset_gate": "sigmoid", "reset_after": reset == "after"}
    cell = built(rng, layer_normalization=True, block_size=block_size, **options)
    x, before, values, after = stepped(cell, rng)
    y_tm1, weights = before["hidden"], {w.name: w.numpy() for w in cell.weights}
    m = cell.blocks
    sizes = [m, m, *([m] if reset else []), N, m]
    names = [
        "input_gate",
        "forget_gate",
        *(["reset_gate"] if reset else []),
        "candidate",
        "output_gate",
    ]
    of_x = np.split(
        normalised(x @ weights["kernel"], weights["kernel_gain"]) + weights["bias"],
        np.cumsum(sizes)[:-1],
        axis=1,
    )
    nets = dict(zip(names, of_x, strict=True))
    gates = [k for k, name in enumerate(names) if reset != "before" or name != "candidate"]
    of_y = np.split(
        normalised(y_tm1 @ weights["recurrent_kernel"], weights["recurrent_gain"]),
        np.cumsum([sizes[k] for k in gates])[:-1],
        axis=1,
    )
    read = {names[k]: part for k, part in zip(gates, of_y, strict=True)}
    for name in names:
        if name != "candidate":
            np.testing.assert_allclose(
                values[name], logistic(nets[name] + read[name]), atol=1e-12, err_msg=name
            )
    if reset == "before":
        behind = (wide(cell, values["reset_gate"]) * y_tm1) @ weights["candidate_recurrent_kernel"]
        read["candidate"] = normalised(behind, weights["candidate_recurrent_gain"])
    if reset == "after":
        read["candidate"] = wide(cell, values["reset_gate"]) * (
            read["candidate"] + weights["recurrent_bias"]
        )
    g = np.tanh(nets["candidate"] + read["candidate"])
    s = (
        wide(cell, values["forget_gate"]) * before["cell_state"]
        + wide(cell, values["input_gate"]) * g
    )
    np.testing.assert_allclose(after["cell_state"], s, atol=1e-12)
    h = np.tanh(normalised(s, weights["state_gain"]) + weights["state_offset"])
    np.testing.assert_allclose(values["output"], wide(cell, values["output_gate"]) * h, atol=1e-12)


def test_layer_normalisation_starts_with_gains_of_one_and_no_offset():
    cell = GatedCell(N, layer_normalization=True)
    cell.build((None, F))
    gains = {w.name: w.numpy() for w in cell.weights if "gain" in w.name or "offset" in w.name}
    assert {k: len(v) for k, v in gains.items()} == {
        "kernel_gain": 4 * N, "recurrent_gain": 4 * N, "state_gain": N, "state_offset": N,
    }  # fmt: skip
    assert all(np.all(v == (0 if "offset" in k else 1)) for k, v in gains.items())
    assert "recurrent_gain" not in {
        w.name for w in _built(layer_normalization=True, feedback="none").weights
    }


def _built(**arguments):
    cell = GatedCell(N, **arguments)
    cell.build((None, F))
    return cell


PASSES = {"input_gate": None, "forget_gate": "closed", "output_gate": None, "candidate_bias": None}
PASSES |= {"candidate_activation": "linear", "output_activation": "linear"}
both_layers = pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])


@both_layers
@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_is_one_mask_per_sequence_scaled_and_off_outside_training(layer, rate, rng):
    """A cell that hands its input on, y_t = x_t, shows the mask."""
    n = 50
    rnn = layer(
        GatedCell(n, **PASSES, feedback="none", dropout=rate, seed=1), return_sequences=True
    )
    x = np.ones((20, T, n), "float32")
    rnn.build(x.shape)
    rnn.cell.kernel.assign(np.eye(n))
    np.testing.assert_array_equal(rnn(x), x)
    first, second = rnn(x, training=True).numpy(), rnn(x, training=True).numpy()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / (1 - rate))}
    for mask in (first, second):
        np.testing.assert_array_equal(
            mask, np.repeat(mask[:, :1], T, axis=1)
        )  # the same at all steps
    deviation = np.sqrt(rate * (1 - rate) / first[:, 0].size)
    assert abs(np.mean(first[:, 0] == 0) - rate) < 4 * deviation
    assert np.any(first != second)
    assert np.any(first[0] != first[1])


@both_layers
def test_recurrent_dropout_is_one_mask_on_what_is_read_back(layer, rng):
    """A cell that repeats itself, y_t = y_tm1, shows the power of the mask."""
    n, rate = 50, 0.25
    rnn = layer(GatedCell(n, **PASSES, recurrent_dropout=rate, seed=1), return_sequences=True)
    x, start = np.zeros((20, T, 1), "float32"), tf.ones((20, n))
    rnn.build(x.shape)
    rnn.cell.recurrent_kernel.assign(np.eye(n))
    np.testing.assert_array_equal(rnn(x, initial_state=[start]), np.ones((20, T, n)))
    y = rnn(x, initial_state=[start], training=True).numpy()
    mask = y[:, 0]
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / (1 - rate))}
    np.testing.assert_allclose(y, np.stack([mask**k for k in range(1, T + 1)], axis=1), rtol=1e-6)
    assert abs(np.mean(mask == 0) - rate) < 4 * np.sqrt(rate * (1 - rate) / mask.size)


@both_layers
@pytest.mark.parametrize(
    ("theirs", "name", "rates"),
    [
        (keras.layers.LSTM, "vanilla", (0.3, 0.0)),
        (keras.layers.SimpleRNN, "elman", (0.3, 0.0)),
        (keras.layers.SimpleRNN, "elman", (0.0, 0.3)),
        (keras.layers.SimpleRNN, "elman", (0.3, 0.4)),
    ],
)
def test_dropout_against_keras_layers_with_the_same_seed(layer, theirs, name, rates, rng):
    """Mask for mask, and so equal in law. With recurrent dropout keras.layers.LSTM draws a mask for each gate: see below."""
    options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 3, "dtype": "float64"}
    theirs = theirs(N, return_sequences=True, **options)
    ours = layer(variant(name, units=N, **options), return_sequences=True, dtype="float64")
    x = rng.normal(size=(B, T, F))
    for one in (theirs, ours):
        one.build(x.shape)
    for weight, other in zip(theirs.trainable_variables, ours.trainable_variables, strict=True):
        weight.assign(rng.normal(size=weight.shape))
        other.assign(weight)
    answers = [[one(x, training=True).numpy() for _ in range(2)] for one in (ours, theirs)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-12)
    assert np.abs(answers[0][0] - answers[0][1]).max() > 1e-3
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-12)
    assert np.abs(ours(x) - answers[0][0]).max() > 1e-3


def test_recurrent_dropout_against_keras_lstm_with_one_mask_for_all_gates(rng):
    """Keras draws four masks; given the one of ours four times it is the same function, states included."""
    theirs = keras.layers.LSTMCell(N, dropout=0.3, recurrent_dropout=0.4, dtype="float64")
    ours = variant("vanilla", units=N, dropout=0.3, recurrent_dropout=0.4, seed=3, dtype="float64")
    for cell in (theirs, ours):
        cell.build((B, F))
    randomize(ours, rng)
    for weight, other in zip(theirs.trainable_variables, ours.trainable_variables, strict=True):
        weight.assign(other)
    x, states = normal(rng, B, T, F), [normal(rng, B, N), normal(rng, B, N)]
    theirs._dropout_mask = [ours.get_dropout_mask(x[:, 0])] * 4
    theirs._recurrent_dropout_mask = [ours.get_recurrent_dropout_mask(states[0])] * 4
    assert 0 < np.mean(theirs._recurrent_dropout_mask[0] == 0) < 1
    after = [states, states]
    for t in range(T):
        outputs, after = zip(
            *(
                cell(x[:, t], s, training=True)
                for cell, s in zip((ours, theirs), after, strict=True)
            ),
            strict=True,
        )
        assert_gradients([outputs[0], *after[0]], [outputs[1], *after[1]], rtol=1e-12, atol=1e-12)


def test_recurrent_dropout_reaches_gates_that_are_fed_back_and_not_the_carousel(rng):
    cell = built(rng, feedback="all", recurrent_dropout=0.5, seed=2)
    x, states = normal(rng, 60, F), [normal(rng, 60, size) for size in cell.state_size]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(states)
        y, (_, s) = cell(x, states, training=True)
    slope = tape.gradient(y, states[0]).numpy()
    dead = np.mean(slope == 0, axis=0)
    assert dead.shape == (4 * N,)
    assert 0.2 < dead.min() < dead.max() < 0.8
    assert np.abs(tape.gradient(s, states[1])).min() > 0


@pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])
def test_regularizers_reach_the_losses(layer, rng):
    rates = {"kernel": 0.1, "recurrent": 0.01, "peephole": 0.001, "bias": 0.0001}
    options = {
        f"{weight}_regularizer": keras.regularizers.L2(rate) for weight, rate in rates.items()
    }
    gates = {
        "input_gate": Gate(recurrent="by_element", peephole="previous"),
        "reset_gate": "sigmoid",
    }
    rnn = layer(GatedCell(N, **gates, reset_after=True, **options))
    rnn.build((B, T, F))
    randomize(rnn, rng)
    group = {"kernel": "kernel", "peephole": "peephole", "bias": "bias", "recurrent_bias": "bias"}
    expected = [rates[group.get(w.name, "recurrent")] * np.sum(w.numpy() ** 2) for w in rnn.weights]
    assert len(expected) == 6
    np.testing.assert_allclose(sorted(map(float, rnn.losses)), sorted(expected), rtol=1e-5)
    model = keras.Sequential([keras.Input((T, F)), rnn])
    model.compile("sgd", "mse")
    x, y = (rng.normal(size=shape).astype("float32") for shape in ((B, T, F), (B, N)))
    plain = np.mean((model(x).numpy() - y) ** 2)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), plain + sum(expected), rtol=1e-5)


@pytest.mark.parametrize("layer", [keras.layers.RNN, GatedRNN])
def test_constraints_hold_after_fit(layer, rng):
    limits = {"kernel": 0.1, "recurrent": 0.2, "peephole": 0.3, "bias": 0.4}

    def options(bounded):
        return {
            f"{weight}_constraint": keras.constraints.MaxNorm(bounded * limit)
            for weight, limit in limits.items()
        }

    gates = {
        "input_gate": Gate(recurrent="by_element", peephole="previous"),
        "reset_gate": "sigmoid",
    }
    largest = []
    for bounded in (1, 1000):
        rnn = layer(GatedCell(N, **gates, reset_after=True, **options(bounded)))
        model = keras.Sequential([keras.Input((T, F)), rnn])
        randomize(model, np.random.default_rng(0))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(rng.normal(size=(8, T, F)), rng.normal(size=(8, N)), verbose=0)
        largest.append({w.name: np.sqrt(np.sum(w.numpy() ** 2, axis=0)).max() for w in rnn.weights})
    group = {"kernel": "kernel", "peephole": "peephole", "bias": "bias", "recurrent_bias": "bias"}
    assert len(largest[0]) == 6
    for name, bound in ((name, limits[group.get(name, "recurrent")]) for name in largest[0]):
        assert largest[0][name] <= bound * (1 + 1e-6) < largest[1][name], name


@pytest.mark.parametrize(
    "switches", [{}, {"reset_gate": "sigmoid"}, {"reset_gate": "sigmoid", "reset_after": True}]
)
def test_see_candidate_filters_what_the_candidate_reads_back(switches, rng):
    """With all gates constant but in value the candidate depends on hidden as it does where gates do not see it."""
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
    """ds_t/ds_tm1 under see=stop_gradient; the same for tensors of a step and arrays of a sequence."""
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
