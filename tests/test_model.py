"""Head, SequenceLog and Recurrent: the cell, its readout and its learner as one Keras model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, variant
from lstmlab.cells import Staggered
from lstmlab.learners import BPTT, Truncated1997
from lstmlab.learners.base import forward
from lstmlab.model import SequenceLog

B, T, F, N, K = 2, 5, 3, 4, 2
UNBIASED = {"input_gate": Gate(bias=None), "output_gate": Gate(bias=None), "candidate_bias": None}


def batch(rng, n: int = B):
    return [rng.normal(size=s).astype("float32") for s in ((n, T, F), (n, T, K))] + [
        rng.uniform(1, 2, (n, T)).astype("float32")
    ]


def model(rng, learner=None, log=None, dtype="float32") -> Recurrent:
    net = Recurrent(
        variant("lstm1997", units=N, dtype=dtype),
        Head(K, "sigmoid", dtype=dtype),
        learner or BPTT(),
        F,
        log,
    )
    for layer in (net.cell, net.head):
        randomize(layer, rng)
    return net


@pytest.mark.parametrize(
    ("weights", "inputs", "outputs", "units", "cell", "head"),
    [
        (264, 7, 7, 4, {"block_size": 1, "candidate_bias": None}, {"bias": None}),
        (276, 7, 7, 6, {"candidate_bias": None}, {"bias": None}),
        *(
            (6 * (p + 10) + 4, p + 4, 2, 2, {"block_size": 1, **UNBIASED}, {"bias": None})
            for p in (50, 100, 200, 500, 1000)
        ),
        (102, 1, 1, 3, {"block_size": 1}, {"bias": None}),
        (93, 2, 1, 4, {}, {}),
        (156, 8, 4, 4, {}, {}),
        (308, 8, 8, 6, {}, {}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_weight_counts_of_table_10(weights, inputs, outputs, units, cell, head):
    net = Recurrent(
        variant("lstm1997", units=units, **cell), Head(outputs, **head), Truncated1997(), inputs
    )
    assert net.count_params() == weights
    assert sum(int(np.prod(w.shape)) for w in net.trainable_variables) == weights


def test_weight_counts_of_experiment_2c_are_those_printed():
    assert [6 * (p + 10) + 4 for p in (50, 100, 200, 500, 1000)] == [364, 664, 1264, 3064, 6064]


def test_head_and_error_against_numpy(rng):
    head = Head(K, "h1997", dtype="float64")
    head.build((None, N))
    randomize(head, rng)
    y_c, y, w = rng.normal(size=(B, T, N)), rng.normal(size=(B, T, K)), rng.uniform(size=(B, T))
    prediction = head(tf.constant(y_c))
    np.testing.assert_allclose(
        prediction, np.tanh((y_c @ head.kernel.numpy() + head.bias.numpy()) / 2), atol=1e-14
    )
    expected = [
        sum(
            w[b, t] * (y[b, t, k] - prediction[b, t, k]) ** 2 / 2
            for t in range(T)
            for k in range(K)
        )
        for b in range(B)
    ]
    np.testing.assert_allclose(head.error(y, prediction, w), expected, rtol=1e-12)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_crossentropy_against_numpy(activation, rng):
    head = Head(K, activation, loss="crossentropy", dtype="float64")
    head.build((None, N))
    randomize(head, rng)
    y_c, w = rng.normal(size=(B, T, N)), rng.uniform(size=(B, T))
    y = np.eye(K)[rng.integers(0, K, size=(B, T))]
    net = y_c @ head.kernel.numpy() + head.bias.numpy()
    of_nets = {
        "softmax": np.log(np.exp(net).sum(axis=-1)),
        "sigmoid": np.log1p(np.exp(net)).sum(axis=-1),
    }
    each = of_nets[activation] - (y * net).sum(axis=-1)
    np.testing.assert_allclose(
        head.error(y, head(tf.constant(y_c)), w), (w * each).sum(1), rtol=1e-7
    )
    again = Head.from_config(head.get_config())
    assert again.loss == "crossentropy"


def test_error_of_half_precision_is_taken_in_single():
    y, w = tf.zeros((1, 300, 1)), tf.ones((1, 300))
    assert Head(1).error(y, tf.ones((1, 300, 1), "bfloat16"), w).numpy() == [150.0]
    assert Head(1).error(y, tf.ones((1, 300, 1), "bfloat16"), w).dtype == "float32"


@pytest.mark.parametrize(
    "bias",
    [None, 0.5, [0.5, -1.0], keras.initializers.RandomUniform(-1, 1, seed=2), Staggered(1, 2)],
)
def test_head_config_round_trip(bias):
    head = Head(K, "g1997", bias, keras.initializers.RandomUniform(-1, 1, seed=3))
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(head)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == json.loads(json.dumps(head.get_config()))
    for one in (head, again):
        one.build((None, N))
    for one, other in zip(head.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(head.weights) == (1 if bias is None else 2)


def test_shortcuts_lead_from_the_inputs_to_the_outputs(rng):
    head = Head(K, "sigmoid", shortcuts=True, dtype="float64")
    head.build((None, N), (None, F))
    randomize(head, rng)
    assert [w.name for w in head.weights] == ["head_kernel", "head_shortcut_kernel", "head_bias"]
    y, x = rng.normal(size=(B, T, N)), rng.normal(size=(B, T, F))
    net = y @ head.kernel.numpy() + x @ head.shortcut_kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(
        head(tf.constant(y), tf.constant(x)), 1 / (1 + np.exp(-net)), atol=1e-14
    )
    assert np.abs(x @ head.shortcut_kernel.numpy()).min() > 0
    with pytest.raises(
        ValueError, match=r"Head: expected the inputs as well, since shortcuts lead from them"
    ):
        Head(K, shortcuts=True).build((None, N))


def test_shortcuts_are_trained_by_a_model_and_read_by_its_answers(rng):
    net = Recurrent(
        variant("lstm1997", units=N), Head(K, "sigmoid", shortcuts=True), Truncated1997(), F
    )
    net.compile("sgd")
    data = batch(rng)
    before, answers = [w.numpy() for w in net.head.weights], net.answers(data[0])
    net.train_on_batch(data[0], data[1], sample_weight=data[2])
    assert all(
        np.abs(w.numpy() - b).max() > 0 for w, b in zip(net.head.weights, before, strict=True)
    )
    net.head.shortcut_kernel.assign_add(np.ones((F, K)))
    assert np.abs(net.answers(data[0]) - answers).min() > 0


def test_prime_offset_is_added_to_the_slope_of_the_sigmoid(rng):
    """dE/dnet_k = -(f'(net_k) + c) (target_k - y_k) w, for targets in [0, 1]."""
    c = 0.3
    head = Head(K, "sigmoid", prime_offset=c, dtype="float64")
    net, y, w = (
        tf.constant(rng.normal(size=(B, T, K))),
        rng.uniform(size=(B, T, K)),
        rng.uniform(1, 2, size=(B, T)),
    )
    with tf.GradientTape() as tape:
        tape.watch(net)
        prediction = tf.sigmoid(net)
        error = tf.reduce_sum(head.error(tf.constant(y), prediction, tf.constant(w)))
    p = prediction.numpy()
    expected = -(p * (1 - p) + c) * (y - p) * w[..., None]
    np.testing.assert_allclose(tape.gradient(error, net), expected, rtol=1e-12)
    without = -(p * (1 - p)) * (y - p) * w[..., None]
    assert np.abs(expected - without).min() > 1e-5


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-6), ("mixed_bfloat16", 1e-3), ("float64", 1e-12)]
)
def test_prime_offset_holds_at_the_flat_ends_of_the_sigmoid(policy, tolerance):
    """There the slope itself is 0, and c (target - y) is all that is left.

    What the offset is for.
    """
    head = Head(1, "sigmoid", bias=None, kernel_initializer="ones", prime_offset=0.05, dtype=policy)
    head.build((None, 1))
    y = tf.constant([[[0.0]], [[1.0]], [[1.0]], [[0.0]]])
    with tf.GradientTape() as tape:
        net = tf.constant([[[30.0]], [[30.0]], [[-30.0]], [[-30.0]]], head.compute_dtype)
        tape.watch(net)
        error = tf.reduce_sum(head.error(y, head(net), tf.ones((4, 1))))
    gradient = tf.cast(tape.gradient(error, net), "float64").numpy().ravel()
    np.testing.assert_allclose(gradient, [0.05, 0.0, -0.05, 0.0], atol=tolerance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shortcuts": "yes"}, "Head: expected true or false. Received: shortcuts='yes'"),
        ({"prime_offset": -1}, "Head: expected a number >= 0. Received: prime_offset=-1"),
        (
            {"prime_offset": 0.1},
            "Head: expected activation='sigmoid' for a prime_offset. Received: prime_offset=0.1",
        ),
        (
            {"loss": "hinge"},
            "Head: expected one of ('squared', 'crossentropy'). Received: loss='hinge'",
        ),
        (
            {"loss": "crossentropy"},
            "Head: expected a softmax or a sigmoid for loss='crossentropy'. "
            "Received: activation='linear'",
        ),
        ({"outputs": 0}, "Head: expected a positive integer. Received: outputs=0"),
        ({"bias": [1.0]}, "Head: expected 2 numbers, one per output. Received: bias=[1.0]"),
        (
            {"bias": np.zeros(3)},
            "Head: expected 2 numbers, one per output. Received: bias=[0.0, 0.0, 0.0]",
        ),
        (
            {"kernel_initializer": "foo"},
            "Head: expected a Keras initializer or its name. Received: kernel_initializer='foo'",
        ),
        (
            {"activation": "logistic"},
            "Head: expected 'g1997', 'h1997', the name of a Keras activation "
            "('sigmoid', 'tanh', 'linear', ...) or a callable. Received: activation='logistic'",
        ),
        (
            {"bias": "zeroes"},
            "Head: expected a number, a list of numbers (one per block), a Keras initializer or "
            "its name, or None (no bias weight). Received: bias='zeroes'",
        ),
    ],
)
def test_wrong_head_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        Head(**{"outputs": K, **arguments})
    assert str(e.value) == message


@pytest.mark.parametrize("learner", [BPTT(), Truncated1997()])
def test_a_training_step_is_gradient_descent_with_the_learner(learner, rng):
    net, data = model(rng, learner), [tf.constant(part) for part in batch(rng)]
    before = [w.numpy() for w in net.trainable_variables]
    loss, _, gradients = learner.gradients(net.cell, net.head, *data)
    net.compile(keras.optimizers.SGD(0.25))
    assert net.train_step(data)["loss"] == loss
    moved = [(old - new) / 0.25 for old, new in zip(before, net.trainable_variables, strict=True)]
    assert_gradients(moved, gradients, rtol=1e-4, atol=1e-6)


def test_regularizers_and_constraints_of_the_cell_hold_in_training(rng):
    plain, data = model(rng), [tf.constant(part) for part in batch(rng)]
    watched = {"recurrent_regularizer": keras.regularizers.L2(0.5), "bias_constraint": "non_neg"}
    net = Recurrent(variant("lstm1997", units=N, **watched), Head(K, "sigmoid"), BPTT(), F)
    net.set_weights(plain.get_weights())
    weights = [w.numpy() for w in net.trainable_variables]
    expected = BPTT().gradients(plain.cell, plain.head, *data)[2]
    net.compile(keras.optimizers.SGD(0.25))
    net.train_step(data)
    moved = dict(
        zip(
            net.weight_names,
            (old - new for old, new in zip(weights, net.get_weights(), strict=True)),
            strict=True,
        )
    )
    for name, weight, gradient in zip(net.weight_names, weights, expected, strict=True):
        step = 0.25 * (
            gradient + (weight if name == "recurrent_kernel" else 0.0)
        )  # the slope of 0.5 |W|^2 is W
        step = np.minimum(step, weight) if name == "bias" else step
        np.testing.assert_allclose(moved[name], step, rtol=1e-4, atol=1e-6, err_msg=name)
    assert (weights[2] < 0).any()
    assert (net.cell.bias.numpy() >= 0).all()


def test_names_and_order_of_the_weights(rng):
    net = model(rng)
    assert net.weight_names == ["kernel", "recurrent_kernel", "bias", "head_kernel", "head_bias"]
    assert [id(w) for w in net.trainable_variables] == [
        id(w) for w in net.cell.trainable_variables + net.head.trainable_variables
    ]


def test_answers_predict_and_call_agree(rng):
    net, (x, _, _) = model(rng), batch(rng)
    expected = net.head(forward(net.cell, tf.constant(x)))
    np.testing.assert_allclose(net.answers(x), expected, atol=1e-6)
    np.testing.assert_allclose(net(x), expected, atol=1e-6)
    np.testing.assert_allclose(net.predict(x, verbose=0), expected, atol=1e-6)
    assert np.abs(net.answers(x[::-1]) - net.answers(x)).max() > 1e-3


def test_weights_survive_a_file(rng, tmp_path):
    net, other, (x, _, _) = model(rng), model(rng), batch(rng)
    assert np.abs(net(x) - other(x)).max() > 1e-3
    net.save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(net(x), other(x))


def test_a_cell_that_is_built_keeps_its_weights(rng):
    cell = GatedCell(N)
    cell.build((None, F))
    kernel = cell.kernel
    assert Recurrent(cell, Head(K), BPTT(), F).trainable_variables[0] is kernel


def test_a_learner_that_cannot_serve_the_cell_is_refused():
    with pytest.raises(ValueError, match=r"^Truncated1997: .* Received: cell=LSTMCell$"):
        Recurrent(keras.layers.LSTMCell(N), Head(K), Truncated1997(), F)


def test_log_keeps_every_sequence_in_order_at_the_steps_with_an_error(rng):
    log = SequenceLog(length=6, readouts=2, outputs=K)
    _, y, w = batch(rng, 4)
    prediction = y + 0.5
    w *= np.array([[0, 1, 0, 0, 1], [1, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]])
    for part in (slice(0, 2), slice(2, 4)):
        log.update_state(*(tf.constant(v[part]) for v in (y, prediction, w)))
    steps = np.array([[1, 4], [0, 3], [2, 4], [3, 4]])
    for read, written in zip(log.read(), (y, prediction, w), strict=True):
        np.testing.assert_array_equal(
            read,
            np.take_along_axis(written, steps.reshape(4, 2, *[1] * (written.ndim - 2)), axis=1),
        )
    assert int(log.result()) == 4
    log.reset_state()
    assert [len(part) for part in log.read()] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_changes_the_weights_and_logs_the_sequences(dtype, rng):
    net = model(rng, Truncated1997(), SequenceLog(4, T, K), dtype)
    x, y, w = batch(rng, 4)
    before, first = net.get_weights(), net(x[:1]).numpy()
    net.compile(keras.optimizers.SGD(0.1), jit_compile=True, steps_per_execution=2)
    net.fit(
        tf.data.Dataset.from_tensor_slices((x, y, w)).batch(1, drop_remainder=True),
        shuffle=False,
        verbose=0,
    )
    logged_y, prediction, logged_w = net.log.read()
    np.testing.assert_array_equal(logged_y, y)
    np.testing.assert_array_equal(logged_w, w)
    np.testing.assert_allclose(prediction[:1], first, atol=1e-6)
    assert all(
        np.abs(old - new).max() > 1e-4
        for old, new in zip(before, net.get_weights()[: len(before)], strict=False)
    )
