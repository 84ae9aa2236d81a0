"""A net without its cells at first.

What is held still, when they are added, and what they begin with.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from refusals import DROPOUT

from lstmlab import Head, Recurrent, variant
from lstmlab.learners import BPTT, RTRL, Growing, RandomGuessing, Truncated1997Forward

T, F, K = 6, 3, 2


def net(learner, **head):
    keras.utils.set_random_seed(1)
    model = Recurrent(
        variant("vanilla", 2), Head(K, "sigmoid", **{"shortcuts": True, **head}), learner, F
    )
    drawn = (
        model.head.kernel.numpy()
        if not isinstance(learner, Growing)
        else model.learner_state.variables["drawn"].numpy()
    )
    model.compile(keras.optimizers.SGD(0.25, momentum=0.5))
    model.optimizer.build(model.trainable_variables)
    return model, drawn


def added_at(model) -> int:
    return int(model.learner_state.variables["added_at"])


def batch(rng):
    return [
        tf.constant(rng.uniform(size=shape).astype("float32"))
        for shape in ((1, T, F), (1, T, K), (1, T))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "inner", [BPTT(), RTRL(update_every=2), Truncated1997Forward(update_every=1)]
)
def test_until_the_cells_are_added_the_outputs_see_the_inputs_alone(inner, rng):
    model, drawn = net(Growing(inner, period=4, improvement=0.1))
    assert np.abs(drawn).max() > 0
    cell, data = [w.numpy() for w in model.cell.trainable_variables], batch(rng)
    expected, bias = model.head.shortcut_kernel.numpy(), model.head.bias.numpy()
    learn = tf.function(lambda: model.learn(*data), jit_compile=True, autograph=False)
    errors, answers = [], []
    while added_at(model) < 0:
        errors.append(float(learn()[0]))
        answers.append(model.answers(data[0]))
        assert len(errors) <= 400
        if added_at(model) < 0:
            shortcut, bias = model.head.shortcut_kernel.numpy(), model.head.bias.numpy()
            sums = data[0].numpy() @ shortcut + bias
            np.testing.assert_allclose(answers[-1], 1 / (1 + np.exp(-sums)), atol=1e-6)
            for weight, before in zip(model.cell.trainable_variables, cell, strict=True):
                np.testing.assert_array_equal(weight.numpy(), before)
            assert not model.head.kernel.numpy().any()
    assert np.abs(model.head.shortcut_kernel.numpy() - expected).max() > 1e-3, (
        "the shortcuts learn meanwhile"
    )
    blocks = np.array(errors).reshape(-1, 4).sum(axis=1)
    falls = blocks[1:] <= 0.9 * blocks[:-1]
    assert falls[:-1].all()
    assert not falls[-1], (
        "added after the first block that brings less than the improvement asked for"
    )
    assert model.report().row["cells_added_at"] == len(errors)
    np.testing.assert_array_equal(model.head.kernel.numpy(), drawn)
    learn()
    assert all(
        np.abs(w.numpy() - before).max() > 0
        for w, before in zip(model.cell.trainable_variables, cell, strict=True)
    )
    assert np.abs(model.head.kernel.numpy() - drawn).max() > 0
    for _ in range(12):
        learn()
    assert added_at(model) == len(errors), "once"


def test_what_the_learner_says_is_handed_on_and_regularizers_wait(rng):
    """With next to no limit the first trace has exploded.

    The cells' weights do not shrink before there are cells.
    """
    keras.utils.set_random_seed(1)
    learner = Growing(Truncated1997Forward(update_every=1, max_trace=1e-9))
    cell = variant("vanilla", 2, kernel_regularizer="l2")
    model = Recurrent(cell, Head(K, "sigmoid", shortcuts=True), learner, F)
    model.compile(keras.optimizers.SGD(0.25))
    model.optimizer.build(model.trainable_variables)
    before = cell.kernel.numpy()
    model.learn(*batch(rng))
    np.testing.assert_array_equal(cell.kernel.numpy(), before)
    with pytest.raises(FloatingPointError, match="exploded at step 1 of a sequence"):
        model.report()


def test_nothing_is_said_of_cells_that_are_not_there():
    model, _ = net(Growing(BPTT()))
    assert model.report().row == {"cells_added_at": None}


def test_what_it_refuses():
    with pytest.raises(
        ValueError, match=r"by gradients of cell and head. Received: learner.learner=RandomGuessing"
    ):
        Growing(RandomGuessing())
    with pytest.raises(
        ValueError, match=r"Growing: expected a learner. Received: learner.learner='bptt'"
    ):
        Growing("bptt")
    with pytest.raises(
        ValueError, match=r"expected a number in \(0, 1\). Received: learner.improvement=0"
    ):
        Growing(BPTT(), improvement=0)
    with pytest.raises(ValueError, match=r"positive integer. Received: learner.period=0"):
        Growing(BPTT(), period=0)
    with pytest.raises(
        ValueError, match=r"expected head.shortcuts=true.* Received: head.shortcuts=false"
    ):
        net(Growing(BPTT()), shortcuts=False)
    with pytest.raises(ValueError, match=rf"^BPTT: {DROPOUT}\. Received: dropout=0\.5,"):
        Growing(BPTT()).check(keras.layers.LSTMCell(2, dropout=0.5))
