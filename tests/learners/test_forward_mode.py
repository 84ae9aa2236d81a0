"""Learners that carry derivatives forward: the watch on what they carry, and what none serves.

An exploding trace is told with its step, its weights and its size.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from refusals import DROPOUT

from lstmlab import GatedCell, Head, Recurrent
from lstmlab.learners import RTRL, UORO, SnAp, Truncated1997Forward

T, LARGEST = 12, 1e6
LEARNERS = {
    "RTRL": lambda: RTRL(),
    "RTRL, on-line": lambda: RTRL(update_every=1),
    "SnAp, order 1": lambda: SnAp(1),
    "SnAp, full": lambda: SnAp("full"),
}


def net(learner, weight: float) -> Recurrent:
    """One linear unit, y(t) = weight y(t-1) + x(t) / 2, and a readout whose weight is 0, so that
    no weight ever changes.
    """
    learner.max_trace = LARGEST
    cell = GatedCell(
        1, None, "closed", None, "linear", "linear", candidate_bias=None, dtype="float64"
    )
    model = Recurrent(cell, Head(1, bias=None, dtype="float64"), learner, 1)
    model.compile("sgd")
    model.optimizer.build(model.trainable_variables)
    for weight_of, value in (
        (cell.kernel, 0.5),
        (cell.recurrent_kernel, weight),
        (model.head.kernel, 0.0),
    ):
        weight_of.assign(tf.fill(weight_of.shape, tf.constant(value, "float64")))
    return model


def sizes(weight: float, x) -> np.ndarray:
    """|dy(t)/d kernel| and |dy(t)/d recurrent_kernel| at every step [T, 2].

    M(t) = weight M(t-1) + I(t).
    """
    trace, y, found = np.zeros(2), 0.0, []
    for x_t in x:
        trace = weight * trace + np.array([x_t, y])
        y = weight * y + 0.5 * x_t
        found.append(np.abs(trace))
    return np.array(found)


def learn(model, x, jit_compile: bool) -> None:
    x = tf.constant(x[:, :, None])
    y, w = tf.zeros_like(x), tf.ones(x.shape[:2], "float64")  # its errors are 0 as well
    step = tf.function(lambda: model.learn(x, y, w), jit_compile=jit_compile, autograph=False)
    step()
    model.report()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", LEARNERS)
def test_an_exploding_trace_against_the_recursion_written_out(name, jit_compile, rng):
    x = np.stack(
        [rng.uniform(0.1, 0.2, size=T), rng.uniform(1, 2, size=T)]
    )  # the second row explodes first
    learn(net(LEARNERS[name](), 1.0), x, jit_compile)
    model, expected = net(LEARNERS[name](), 10.0), sizes(10.0, x[1])
    step = int(np.argmax((expected > LARGEST).any(axis=1)))
    assert 3 < step < T - 1
    assert not (sizes(10.0, x[0])[: step + 1] > LARGEST).any()
    with pytest.raises(FloatingPointError) as e:
        learn(model, x, jit_compile)
    worst = ["kernel", "recurrent_kernel"][int(np.argmax(expected[step]))]
    assert str(e.value) == (
        f"{type(model.learner).__name__}: the trace of the {worst} exploded at step {step + 1} of "
        "a sequence; expected a norm of at most learner.max_trace=1e+06, which a smaller rate may "
        f"give. Received: norm={expected[step].max():g}"
    )


def test_the_random_rank_one_trace_is_watched_as_well(rng):
    x = rng.uniform(1, 2, size=(2, T))
    learn(net(UORO(seed=1), 1.0), x, jit_compile=True)
    with pytest.raises(FloatingPointError) as e:
        learn(net(UORO(seed=1), 10.0), x, jit_compile=True)
    found = re.fullmatch(
        r"UORO: the trace of the (?:kernel|recurrent_kernel) exploded at step (\d+) of a sequence; "
        r"expected a norm of at most learner\.max_trace=1e\+06, which a smaller rate may give. "
        r"Received: norm=(\S+)",
        str(e.value),
    )
    assert (
        abs(int(found[1]) - 7) <= 2
    )  # its product grows by a factor of 10 with each step, as the exact trace does
    assert LARGEST < float(found[2]) < 100 * LARGEST


def test_a_sound_sequence_after_one_that_exploded_does_not_hide_it(rng):
    model = net(RTRL(), 10.0)
    with pytest.raises(FloatingPointError, match="at step 7 of"):
        learn(model, np.ones((1, T)), jit_compile=False)
    with pytest.raises(FloatingPointError, match="at step 7 of"):
        learn(model, np.zeros((1, T)), jit_compile=False)


def test_gradients_by_themselves_need_no_room_in_a_model(rng):
    for learner in (RTRL(), SnAp(1), UORO(seed=0), Truncated1997Forward()):
        cell, head = GatedCell(2, dtype="float64"), Head(1, dtype="float64")
        cell.build((None, 1))
        head.build((None, 2))
        x = tf.constant(rng.normal(size=(2, 3, 1)))
        _, _, gradients = learner.gradients(cell, head, x, x, tf.ones((2, 3), "float64"))
        assert all(np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("kind", [RTRL, SnAp, UORO])
def test_cells_that_none_of_them_serves(kind):
    one, other = keras.layers.LSTMCell(2), keras.layers.LSTMCell(2)
    for cell, expected in (
        (
            keras.layers.StackedRNNCells([one, other]),
            r"expected a single cell\. Received: cell=StackedRNNCells of 2 cells",
        ),
        (
            keras.layers.LSTMCell(2, dropout=0.5),
            rf"{DROPOUT}\. Received: dropout=0\.5, recurrent_dropout=0\.0",
        ),
        (
            keras.layers.LSTMCell(2, recurrent_dropout=0.5),
            rf"{DROPOUT}\. Received: dropout=0\.0, recurrent_dropout=0\.5",
        ),
    ):
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: {expected}$"):
            kind().check(cell)
    kind().check(one)
