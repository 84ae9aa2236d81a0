"""Every learner: shapes, order, and the exact gradient in its exact case."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import GatedCell, Head, Recurrent, config
from lstmlab.conformance import options
from lstmlab.conformance.branches import quick
from lstmlab.conformance.oracles import assert_gradients, randomize, weight_differences
from lstmlab.learners import BPTT
from lstmlab.learners.base import GradientLearner, Learner, forward, giving_gradients

B, T, F, N, K = 2, 4, 2, 4, 2


def build(name: str) -> Learner:
    return config.changed("learner", name, options.facts("learner", name).get("settings", ()))


LEARNERS = {name: build(name) for name in options.sound("learner")}
# those that answer `gradients`; the others change weights in a way of their own, and their tests
# are theirs
WITH = [name for name, learner in LEARNERS.items() if isinstance(learner, GradientLearner)]
OTHERS = {"cascade_correlation", "chunker", "chunker_levels", "random_guessing"}
# with sensitivities of every weight, or several draws
HEAVY = {"rtrl", "snap", "uoro"}
every_learner = pytest.mark.parametrize("name", quick(WITH, lambda name: name not in HEAVY))


@pytest.mark.parametrize(
    "name",
    quick(
        [name for name in LEARNERS if name not in OTHERS],
        lambda name: name in ("bptt", "growing") or not options.is_built_in("learner", name),
    ),
)
def test_two_compiled_steps_and_all_that_a_run_asks_for(name, rng):
    """As its yaml has it: weights change, and what a run reads after a window is there."""
    keras.utils.set_random_seed(0)
    model = Recurrent(GatedCell(N), Head(K, "sigmoid", shortcuts=True), build(name), F)
    model.compile("sgd", jit_compile=True)
    model.optimizer.build(model.trainable_variables)
    x, y, w = (
        tf.constant(rng.uniform(size=shape).astype("float32"))
        for shape in ((1, T, F), (1, T, K), (1, T))
    )
    before = model.get_weights()
    step = tf.function(lambda: model.learn(x, y, w), jit_compile=True, autograph=False)
    for _ in range(2):
        loss, prediction = step()
    assert np.isfinite(loss)
    assert prediction.shape == (1, T, K)
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(before, model.get_weights(), strict=True)
    )
    report = model.report()
    assert all(isinstance(part, dict) for part in (report.row, report.history, report.net))


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in WITH])
def test_who_has_no_gradients_is_refused_where_they_are_needed(name):
    with pytest.raises(ValueError, match="expected one that gives gradients of cell and head"):
        giving_gradients(build(name))


def problem(rng, dtype: str = "float64", **arguments):
    cell, head = (
        GatedCell(N, **{"block_size": 2, **arguments}, dtype=dtype),
        Head(K, "sigmoid", dtype=dtype),
    )
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    shapes = (B, T, F), (B, T, K), (B, T)
    return cell, head, *(tf.constant(rng.uniform(-1, 1, size=shape), dtype) for shape in shapes)


@every_learner
def test_shapes_dtypes_and_order(name, rng):
    learner, (cell, head, x, y, w) = build(name), problem(rng, "float32", feedback="all")
    learner.check(cell)
    loss, prediction, gradients = learner.gradients(cell, head, x, y, w)
    weights = cell.trainable_variables + head.trainable_variables
    assert [g.shape for g in gradients] == [v.shape for v in weights]
    assert {loss.dtype, prediction.dtype, *(g.dtype for g in gradients)} == {tf.float32}
    assert loss.shape == ()
    np.testing.assert_allclose(prediction, head(forward(cell, x)), atol=1e-6)
    np.testing.assert_allclose(loss, tf.reduce_sum(head.error(y, prediction, w)), rtol=1e-5)
    # order: the last gradient is that of the head's bias
    slope = w[..., None] * (prediction - y) * prediction * (1 - prediction)
    np.testing.assert_allclose(gradients[-1], tf.reduce_sum(slope, axis=(0, 1)), rtol=1e-4)


@every_learner
@pytest.mark.parametrize("forget_gate", ["sigmoid", None])
def test_exact_case_against_bptt_and_finite_differences(name, forget_gate, rng):
    learner = build(name)
    cell, head, x, y, w = problem(rng, **{"forget_gate": forget_gate, **learner.traits.exact_case})
    learner.check(cell)
    _, _, gradients = learner.gradients(cell, head, x, y, w)
    _, _, exact = BPTT().gradients(cell, head, x, y, w)
    assert_gradients(gradients, exact, rtol=1e-10, atol=1e-10)
    error = tf.function(
        lambda: tf.reduce_sum(head.error(y, head(forward(cell, x)), w)), autograph=False
    )
    assert_gradients(
        gradients,
        weight_differences(error, cell.trainable_variables + head.trainable_variables),
        1e-6,
        1e-9,
    )


@every_learner
def test_sequences_of_a_batch_do_not_mix(name, rng):
    learner, (cell, head, *batch) = build(name), problem(rng, feedback="all")
    if learner.traits.stochastic:
        pytest.skip("draws for all sequences together or for each: its own test tells")
    together = learner.gradients(cell, head, *batch)[2]
    alone = [
        learner.gradients(cell, head, *(part[b : b + 1] for part in batch))[2] for b in range(B)
    ]
    for one, *others in zip(together, *alone, strict=True):
        np.testing.assert_allclose(one, sum(others), atol=1e-12)
        assert np.abs(others[0] - others[1]).max() > 1e-4


@every_learner
def test_the_forward_pass_and_the_weights_are_left_alone(name, rng):
    learner, (cell, head, *batch) = build(name), problem(rng, feedback="all")
    before = cell.get_weights() + head.get_weights()
    first = learner.gradients(cell, head, *batch)
    again = [
        learner.gradients(cell, head, *batch)[2]
        for _ in range(20 if learner.traits.stochastic else 1)
    ]
    same = all(
        np.array_equal(one, other)
        for call in again
        for one, other in zip(first[2], call, strict=True)
    )
    assert same != learner.traits.stochastic
    for one, other in zip(before, cell.get_weights() + head.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
