"""What only the learners of conf/learner/ are held to; every learner is by lstmlab.conformance."""

import numpy as np
import pytest
import tensorflow as tf
from branches import on_demand
from oracles import assert_gradients, randomize, weight_differences
from replayed import with_what_is_seen_held

from lstmlab import Gate, Head, config, variant, variants
from lstmlab.conformance import test_learner
from lstmlab.conformance.test_learner import B, F, K, N, T, problem
from lstmlab.learners import BPTT, Truncated1997


def test_who_has_no_gradients():
    assert list(test_learner.LEARNERS) == config.options("learner")
    assert {*test_learner.LEARNERS} - {*test_learner.WITH} == test_learner.OTHERS


EXACT = {
    "mingru",
    "minlstm",
}  # nothing is read back and no gate looks at the state: then the truncated rule cuts nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", on_demand(variants()))
def test_the_truncated_rule_for_every_cell_against_finite_differences_with_what_is_seen_held_fixed(
    name, rng
):
    """What the nets see of the step before, peepholes included, counts as input.

    Recorded once, and fed to every bumped run.
    """
    cell, head = variant(name, units=N, dtype="float64"), Head(K, "sigmoid", dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    x, y, w = (
        tf.constant(rng.uniform(-1, 1, size=shape)) for shape in ((B, T, F), (B, T, K), (B, T))
    )
    replayed = with_what_is_seen_held(cell, head, x, y, w)
    weights = cell.trainable_variables + head.trainable_variables
    expected = weight_differences(tf.function(replayed, autograph=False), weights)
    _, _, gradients = Truncated1997().gradients(cell, head, x, y, w)
    assert_gradients(gradients, expected, rtol=1e-6, atol=1e-9)
    _, _, exact = BPTT().gradients(cell, head, x, y, w)
    cut = max(np.abs(one - other).max() for one, other in zip(gradients, exact, strict=True))
    assert (cut == 0) == (name in EXACT)
    assert cut == 0 or cut > 1e-4


@pytest.mark.parametrize("peephole", ["previous", "current"])
def test_the_exact_case_of_the_truncated_rule_is_without_peepholes(peephole, rng):
    """A peephole looks back along a path that the rule cuts (Gers et al.

    2002 cut it too), even where nothing is fed back.
    """
    learner = Truncated1997()
    cell, *problem_ = problem(rng, output_gate=Gate(peephole=peephole), **learner.traits.exact_case)
    gradients, exact = (one.gradients(cell, *problem_)[2] for one in (learner, BPTT()))
    assert (
        max(np.abs(one - other).max() for one, other in zip(gradients, exact, strict=True)) > 1e-3
    )
