"""GatedRNN and GatedCell against keras.layers.LSTM, GRU and SimpleRNN.

Outputs, states, and gradients to all that goes in.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize, relative

from lstmlab import GatedCell, GatedRNN, variant

B, T, N = 3, 5, 4
FEATURES = {
    "ahead": 5,
    "joined": 3,
}  # at least as many as cells: W x is taken ahead of the loop; fewer: [x, hidden] in it
MASK = np.array(
    [[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool
)  # holes, a late start, right padding

THEIRS = {  # variant -> the layer and the cell of Keras, their arguments
    "vanilla": (keras.layers.LSTM, keras.layers.LSTMCell, {}),
    "gru": (keras.layers.GRU, keras.layers.GRUCell, {"reset_after": False}),
    "gru_reset_after": (keras.layers.GRU, keras.layers.GRUCell, {"reset_after": True}),
    "elman": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell, {}),
}
EVERYTHING = {"return_sequences": True, "return_state": True}
# arguments of both layers, whether there is a mask, whether there are initial states
CONDITIONS = {
    "all steps": (EVERYTHING, False, False),
    "all steps from any state": (EVERYTHING, False, True),
    "sequences alone, masked": ({"return_sequences": True}, True, False),
    "masked": (EVERYTHING, True, True),
    "masked, zero output": ({**EVERYTHING, "zero_output_for_mask": True}, True, True),
    "last step alone": ({}, False, False),
    "last step, masked": ({"return_state": True}, True, True),
    "last step, masked, zero output": (
        {"return_state": True, "zero_output_for_mask": True},
        True,
        False,
    ),
    "backwards": ({**EVERYTHING, "go_backwards": True}, False, True),
    "backwards, masked": ({**EVERYTHING, "go_backwards": True}, True, True),
    "backwards, masked, zero output": (
        {**EVERYTHING, "go_backwards": True, "zero_output_for_mask": True},
        True,
        False,
    ),
    "backwards, last step, masked": ({"go_backwards": True}, True, True),
    "unrolled, masked": ({**EVERYTHING, "unroll": True}, True, True),
}
# Two rights differ by their roundings alone. A step rounds about ten times in a row (two products,
# their sum, the bias, the gates, what they multiply, the state, the output). So 2 sides x 10 x T =
# 100 roundings lie between the inputs and the last output, each uniform within eps/2 of its value,
# standard deviation eps/sqrt(12): together sqrt(100/12) eps = 2.9 eps where the recurrence does not
# amplify. The gradients come back the same way: 4.1 eps. Twice that is what is allowed.
ROUNDINGS = 8
DTYPES = {"float32": 2.0**-23, "float64": 2.0**-52}  # and the distance from 1 to the next number
HALVES = {"mixed_float16": 2.0**-10, "mixed_bfloat16": 2.0**-7}


def ours_from(name: str, kernel, recurrent_kernel, bias) -> dict:
    """Our weights by name from those of Keras, whose columns are z, r, h.

    Our forget gate, reset gate and candidate.
    """
    own = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    if name == "gru":
        own |= {
            "recurrent_kernel": recurrent_kernel[:, : 2 * N],
            "candidate_recurrent_kernel": recurrent_kernel[:, 2 * N :],
        }
    if name == "gru_reset_after":  # Keras has two biases for z and r that are added: here one
        added = np.concatenate([bias[1, : 2 * N], np.zeros(N)])
        own |= {"bias": bias[0] + added, "recurrent_bias": bias[1, 2 * N :]}
    return own


def theirs_from(name: str, own: dict) -> list:
    """Gradients to the weights of Keras from those to ours.

    Where two biases are added, both have the gradient of the sum.
    """
    kernel, recurrent_kernel, bias = own["kernel"], own["recurrent_kernel"], own["bias"]
    if name == "gru":
        recurrent_kernel = np.concatenate(
            [recurrent_kernel, own["candidate_recurrent_kernel"]], axis=1
        )
    if name == "gru_reset_after":
        bias = np.stack([bias, np.concatenate([bias[: 2 * N], own["recurrent_bias"]])])
    return [kernel, recurrent_kernel, bias]


def give(name: str, ours, theirs) -> None:
    """Our weights become those of Keras."""
    own = ours_from(name, *(weight.numpy() for weight in theirs.weights))
    assert sorted(own) == sorted(weight.name for weight in ours.weights)
    for weight in ours.weights:
        weight.assign(own[weight.name])


def pair(name: str, condition: str, implementation: int, width: str, dtype: str, rng):
    """The layer of Keras and ours with the same weights, small enough neither to saturate nor to
    amplify.
    """
    kind, _, own = THEIRS[name]
    own = own if name == "elman" else {**own, "implementation": implementation}
    arguments = CONDITIONS[condition][0]
    theirs, ours = (
        kind(N, **own, **arguments, dtype=dtype),
        GatedRNN(N, name, **arguments, dtype=dtype),
    )
    for layer in (theirs, ours):
        layer.build((B, T, FEATURES[width]))
    randomize(theirs, rng, scale=0.3)
    give(name, ours, theirs)
    return theirs, ours


def coarse(rng, *shape, dtype: str):
    """Random numbers in [-1, 1] that every type here holds exactly."""
    return tf.constant(rng.integers(-32, 33, size=shape) / 32, dtype)


def flat(answer) -> list:
    return tf.nest.flatten(answer) if isinstance(answer, (list, tuple)) else [answer]


def answers(call, weights, inputs: list, cotangents: list) -> tuple[list, list]:
    """All that `call` returns, and the gradients of its product with the cotangents.

    To the weights, then to the inputs.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = flat(call(*inputs))
        scalar = sum(
            tf.reduce_sum(tf.cast(a, c.dtype) * c) for a, c in zip(found, cotangents, strict=True)
        )
    return found, tape.gradient(scalar, [weight.value for weight in weights] + inputs)


def assert_same(name: str, weights, ours, theirs, tolerance: float) -> None:
    """Outputs, states and gradients of ours and of Keras."""
    (found, gradients), (expected, expected_gradients) = ours, theirs
    count = len(weights)
    by_name = {w.name: np.asarray(g) for w, g in zip(weights, gradients[:count], strict=True)}
    gradients = theirs_from(name, by_name) + gradients[count:]
    assert len(found) == len(expected)
    assert [a.dtype for a in found] == [b.dtype for b in expected]
    distances = [
        relative(a, b)
        for a, b in zip([*found, *gradients], [*expected, *expected_gradients], strict=True)
    ]
    assert max(distances) < tolerance, distances


def compare(name, condition, implementation, width, dtype, rng) -> list:
    """Both layers on the same numbers; what ours returns."""
    _, masked, started = CONDITIONS[condition]
    theirs, ours = pair(name, condition, implementation, width, dtype, rng)
    single = "float32" if dtype in HALVES else dtype
    states = len(ours.cell.state_size)
    inputs = [coarse(rng, B, T, FEATURES[width], dtype=single)]
    inputs += [coarse(rng, B, N, dtype=single) for _ in range(states * started)]
    returned = [
        (B, T, N) if ours.return_sequences else (B, N),
        *[(B, N)] * (states * ours.return_state),
    ]
    cotangents = [coarse(rng, *shape, dtype=single) for shape in returned]
    both = []
    for layer in (theirs, ours):

        def call(x, *start, layer=layer):
            return layer(
                x, mask=tf.constant(MASK) if masked else None, initial_state=list(start) or None
            )

        both.append(answers(call, layer.trainable_variables, inputs, cotangents))
    eps = (DTYPES | HALVES)[dtype]
    assert_same(name, ours.trainable_variables, both[1], both[0], ROUNDINGS * eps)
    return both[1][0]


def cases() -> list:
    """Every layer and condition with both implementations, both paths and both types, twice.

    All their combinations occur.
    """
    ways = list(itertools.product((1, 2), FEATURES, DTYPES))
    pairs = [(ways[k], ways[7 - k]) for k in range(4)]  # a way and its opposite
    found = []
    for k, name in enumerate(THEIRS):
        for j, (condition, two) in enumerate(zip(CONDITIONS, itertools.cycle(pairs), strict=False)):
            quick = (j + k) % 2  # which of the two ways the quick tests take
            for which, way in enumerate(two):
                marks = () if which == quick else pytest.mark.slow
                found.append(pytest.param(name, condition, *way, marks=marks))
    return found


@pytest.mark.parametrize(("name", "condition", "implementation", "width", "dtype"), cases())
def test_outputs_states_and_gradients_against_keras(
    name, condition, implementation, width, dtype, rng
):
    compare(name, condition, implementation, width, dtype, rng)


@pytest.mark.parametrize(("policy", "implementation"), list(zip(HALVES, (1, 2), strict=True)))
@pytest.mark.parametrize(
    ("condition", "width"),
    [
        ("all steps from any state", "ahead"),
        ("masked, zero output", "joined"),
        ("backwards, masked", "ahead"),
        ("last step, masked", "joined"),
    ],
)
@pytest.mark.parametrize("name", THEIRS)
def test_mixed_precision_against_keras(name, condition, width, policy, implementation, rng):
    found = compare(name, condition, implementation, width, policy, rng)
    assert found[0].dtype.name == policy.removeprefix("mixed_")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("implementation", [1, 2])
@pytest.mark.parametrize("name", THEIRS)
def test_one_step_of_the_cell_against_keras(name, implementation, dtype, rng):
    kind, own = THEIRS[name][1:]
    theirs = kind(
        N, **own, dtype=dtype, **({} if name == "elman" else {"implementation": implementation})
    )
    ours = variant(name, units=N, dtype=dtype)
    for cell in (theirs, ours):
        cell.build((B, 3))
    randomize(theirs, rng, scale=0.3)
    give(name, ours, theirs)
    inputs = [coarse(rng, B, size, dtype=dtype) for size in (3, *[N] * len(ours.state_size))]
    cotangents = [
        coarse(rng, B, N, dtype=dtype) for _ in inputs
    ]  # of the output and the new states
    both = [
        answers(lambda x, *h, c=cell: c(x, list(h)), cell.trainable_variables, inputs, cotangents)
        for cell in (ours, theirs)
    ]
    assert_same(name, ours.trainable_variables, *both, ROUNDINGS * DTYPES[dtype])


@pytest.mark.parametrize("reset_after", [False, True])
def test_the_columns_of_keras_gru_are_forget_gate_reset_gate_candidate(reset_after, rng):
    """Large biases in one block of columns saturate the value of that name, and it is what Keras
    multiplies with.
    """
    name = "gru_reset_after" if reset_after else "gru"
    theirs, ours = (
        keras.layers.GRUCell(N, reset_after=reset_after, dtype="float64"),
        variant(name, units=N, dtype="float64"),
    )
    for cell in (theirs, ours):
        cell.build((B, 3))
    x, h = coarse(rng, B, 3, dtype="float64"), coarse(rng, B, N, dtype="float64")
    for k, value in enumerate(("forget_gate", "reset_gate", "candidate")):
        randomize(theirs, rng, scale=0.3)
        bias = theirs.bias.numpy()
        bias[..., k * N : (k + 1) * N] += 40.0
        theirs.bias.assign(bias)
        give(name, ours, theirs)
        values, _ = ours.step(x, [h])
        for one in ours.value_sizes:
            assert (np.abs(values[one] - 1) < 1e-12).all() == (one == value), one
        y = theirs(x, [h])[0]
        np.testing.assert_allclose(values["output"], y, atol=1e-15)
        if value == "forget_gate":
            np.testing.assert_allclose(y, h, atol=1e-15)


@pytest.mark.parametrize("width", FEATURES)
def test_where_the_input_projection_is_taken(width, rng, monkeypatch):
    """Both paths of the layer are what these tests go through.

    One product ahead of the loop, or none of the inputs alone.
    """
    taken = []
    project = GatedCell.project
    monkeypatch.setattr(
        GatedCell, "project", lambda cell, x: (taken.append(x.shape), project(cell, x))[1]
    )
    x = coarse(rng, B, T, FEATURES[width], dtype="float32")
    GatedRNN(N, engine="xla")(x)
    assert taken == ([x.shape] if width == "ahead" else [])


def test_masks_states_and_directions_matter(rng):
    """What the comparison goes through changes the answer.

    None of the conditions is another one under two names.
    """
    _, layer = pair("vanilla", "all steps", 2, "ahead", "float64", rng)
    x, states = (
        coarse(rng, B, T, FEATURES["ahead"], dtype="float64"),
        [coarse(rng, B, N, dtype="float64") for _ in range(2)],
    )

    def run(mask=None, start=None, **switches):
        for name, value in (
            {"zero_output_for_mask": False, "go_backwards": False} | switches
        ).items():
            setattr(layer, name, value)
        return layer(x, mask=mask, initial_state=start)[0].numpy()

    found = [
        run(),
        run(MASK),
        run(None, states),
        run(MASK, states),
        run(MASK, states, zero_output_for_mask=True),
    ]
    found += [run(go_backwards=True), run(MASK, go_backwards=True)]
    for one, other in itertools.combinations(found, 2):
        assert np.abs(one - other).max() > 0.01
