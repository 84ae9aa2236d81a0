"""h-detach: between BPTT and the truncated rule, step by step, and on average."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize
from refusals import DROPOUT

from lstmlab import GatedCell, Head, variant
from lstmlab.learners import BPTT, Truncated1997
from lstmlab.learners.backward import backward
from lstmlab.learners.hdetach import HDetach
from lstmlab.unroll import unroll

B, T, F, N, K = 3, 4, 2, 4, 2


def problem(rng, name: str = "lstm1997", steps: int = T):
    cell, head = variant(name, units=N, dtype="float64"), Head(K, "sigmoid", dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    return (
        cell,
        head,
        *(
            tf.constant(rng.uniform(-1, 1, size=s))
            for s in ((B, steps, F), (B, steps, K), (B, steps))
        ),
    )


def with_draws(draws, p: float = 0.5) -> HDetach:
    learner = HDetach(p)
    learner.draw = lambda steps: tf.constant(draws)
    return learner


@pytest.mark.parametrize("name", ["lstm1997", "peephole", "gru"])
@pytest.mark.parametrize(("p", "other"), [(0, BPTT()), (1, Truncated1997())])
def test_both_ends_exactly(name, p, other, rng):
    cell, *batch = problem(rng, name)
    found, expected = (learner.gradients(cell, *batch) for learner in (HDetach(p), other))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)
    assert_gradients(found[2], expected[2], rtol=1e-12, atol=1e-14)
    start = [tf.constant(rng.normal(size=(B, size))) for size in cell.state_size]
    found, expected = (learner.gradients(cell, *batch, start)[2] for learner in (HDetach(p), other))
    assert_gradients(found, expected, rtol=1e-12, atol=1e-14)


def test_a_cut_step_is_a_constant_there_and_nowhere_else(rng):
    """Of the last output with respect to each input.

    What does not pass the read-back of step 2 alone is left as it is.
    """
    cell, head, x, y, w = problem(rng, "vanilla")
    draws, w = [False, False, True, False], tf.constant([[0.0, 0.0, 0.0, 1.0]] * B, "float64")
    _, _, found = with_draws(draws).gradients(cell, head, x, y, w)
    weights = [weight.value for weight in cell.trainable_variables + head.trainable_variables]
    with tf.GradientTape() as tape:
        states = cell.get_initial_state(B)
        for t in range(T):
            values, states = cell.step(
                x[:, t], states, see=tf.stop_gradient if draws[t] else tf.identity
            )
        error = tf.reduce_sum(head.error(y[:, -1:], head(values["output"][:, None]), w[:, -1:]))
    assert_gradients(found, tape.gradient(error, weights), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["lstm1997", "nog"])
def test_the_mean_over_all_draws_leaves_a_share_of_each_read_back(name, rng):
    """By paths: each step's read-back passes with probability 1 - p, so that the mean weighs
    every one of them with 1 - p.
    """
    p, (cell, head, *batch) = 0.3, problem(rng, name)
    total = [0.0 for _ in cell.trainable_variables + head.trainable_variables]
    for draws in product([False, True], repeat=T):
        share = p ** sum(draws) * (1 - p) ** (T - sum(draws))
        gradients = with_draws(list(draws), p).gradients(cell, head, *batch)[2]
        total = [one + share * other.numpy() for one, other in zip(total, gradients, strict=True)]

    def see(value):
        return (1 - p) * value + p * tf.stop_gradient(value)

    def step(x_t, states):
        values, states = cell.step(x_t, states, see=see)
        return values["output"], states

    def run():
        return unroll(step, list(cell.get_initial_state(B)), batch[0])[0]

    expected = backward(cell, head, *batch, run)[2]
    assert_gradients(total, expected, rtol=1e-10, atol=1e-14)
    exact = BPTT().gradients(cell, head, *batch)[2]
    assert max(np.abs(one - other).max() for one, other in zip(total, exact, strict=True)) > 1e-3


def test_the_draws(rng):
    """One per step; of 4000 a share p within four standard deviations.

    Other ones in each call, the same ones with a seed.
    """
    learner, again = HDetach(0.25, seed=3), HDetach(0.25, seed=3)
    first, second = (learner.draw(4000).numpy() for _ in range(2))
    for draws in (first, second):
        assert draws.shape == (4000,)
        assert abs(draws.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    both = (first & second).mean()
    assert abs(both - 0.25**2) < 4 * np.sqrt(0.0625 * 0.9375 / 4000)
    np.testing.assert_array_equal(again.draw(4000), first)


def test_one_draw_per_step_for_the_whole_batch(rng):
    """Copies of one sequence: B times the gradient of one, whatever was drawn."""
    cell, head, *batch = problem(rng)
    same = [tf.repeat(part[:1], B, axis=0) for part in batch]
    together = HDetach(0.5, seed=1).gradients(cell, head, *same)[2]
    alone = HDetach(0.5, seed=1).gradients(cell, head, *(part[:1] for part in batch))[2]
    assert_gradients(together, [B * part for part in alone], rtol=1e-12, atol=1e-14)


def compiled(learner, cell, head):
    return tf.function(
        lambda *batch: learner.gradients(cell, head, *batch), jit_compile=True, autograph=False
    )


def test_fresh_draws_in_compiled_calls(rng):
    cell, head, *batch = problem(rng, steps=12)
    learner, again = HDetach(0.5, seed=5), HDetach(0.5, seed=5)
    calls, others = (
        [f(*batch)[2][0].numpy() for _ in range(3)]
        for f in (compiled(learner, cell, head), compiled(again, cell, head))
    )
    assert all(
        np.abs(one - other).max() > 1e-6
        for one, other in ((calls[0], calls[1]), (calls[1], calls[2]))
    )
    np.testing.assert_array_equal(calls, others)
    assert learner.traits.stochastic


@pytest.mark.parametrize(
    ("settings", "received"),
    [
        ({"p": 1.5}, "p=1.5"),
        ({"p": -0.1}, "p=-0.1"),
        ({"p": True}, "p=True"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_settings_that_are_refused(settings, received):
    with pytest.raises(ValueError, match=rf"^HDetach: expected .* Received: learner.{received}$"):
        HDetach(**settings)


def test_cells_that_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^HDetach: expected a cell that lets what it reads back be filtered, .* "
        r"Received: cell=LSTMCell$",
    ):
        HDetach().check(keras.layers.LSTMCell(4))
    with pytest.raises(
        ValueError,
        match=rf"^HDetach: {DROPOUT}\. "
        r"Received: dropout=0.1, ",
    ):
        HDetach().check(GatedCell(4, dropout=0.1))
