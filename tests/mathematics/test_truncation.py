"""docs/mathematics.md, chapter "Truncation", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    CUT,
    SLOPES,
    B,
    F,
    N,
    T,
    cell_of,
    diagonal,
    every_variant,
    factor,
    inputs,
    jacobian,
    set_weights,
    wide,
)
from oracles import randomize, relative

from lstmlab import Head
from lstmlab.learners import BPTT, Truncated1997


@pytest.mark.parametrize("name", ["lstm1997", "lstm2000", "vanilla", "peephole", "nfg"])
def test_error_leaves_through_the_nets_without_a_factor_of_the_lag_but_e(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    flows = {net: jacobian(cell, x, f"net_{net}", "output", **CUT) for net in cell.nets}
    values = flows["candidate"][0]
    i, o, g, s = (values[key] for key in ("input_gate", "output_gate", "candidate", "cell_state"))
    slope_h = SLOPES[cell.output_activation.__name__](
        cell.output_activation(tf.constant(s)).numpy()
    )
    slope_g = SLOPES[cell.candidate_activation.__name__](g)
    s_tm1 = np.concatenate([np.zeros((B, 1, N)), s[:, :-1]], axis=1)
    leaves = {"candidate": slope_g * wide(cell, i), "input_gate": g * wide(cell, i * (1 - i))}
    if "forget_gate" in values:
        leaves["forget_gate"] = s_tm1 * wide(
            cell, values["forget_gate"] * (1 - values["forget_gate"])
        )
    arrives, e = (wide(cell, o) * slope_h)[:, -1], factor(cell, values)
    for t in range(T):
        kept = np.prod(e[:, t + 1 :], axis=1)
        assert (kept == 1).all() == (cell.forget_gate is None or t == T - 1)
        for net, leaving in leaves.items():
            into = diagonal(arrives * kept * leaving[:, t])
            if cell.nets[net] < N:  # a block's gate gathers the errors of its cells
                into = into.reshape(B, N, cell.blocks, cell.block_size).sum(axis=-1)
            np.testing.assert_allclose(flows[net][1][:, t], into, rtol=1e-10, atol=1e-14)
        assert (np.abs(flows["output_gate"][1][:, t]).max() > 0) == (
            t == T - 1
        )  # what it lets out is not of the state


def gradients(learner, cell, head, rng_data) -> list:
    _, _, found = learner.gradients(cell, head, *rng_data)
    return [np.asarray(gradient) for gradient in found]


def weight_problem(rng, name="vanilla", **arguments):
    cell, head = cell_of(rng, name, **arguments), Head(1, dtype="float64")
    head.build((None, N), (None, F))
    randomize(head, rng)
    data = inputs(rng), inputs(rng, B, T, 1), tf.constant(rng.uniform(0.5, 2, size=(B, T)))
    return cell, head, data


def lost_by_truncation(cell, head, data) -> list[float]:
    """By how much the truncated gradient misses the exact one, relative, weight by weight."""
    both = [gradients(learner, cell, head, data) for learner in (Truncated1997(), BPTT())]
    return [relative(cut, exact) for cut, exact in zip(*both, strict=True)]


@pytest.mark.parametrize("name", ["vanilla", "peephole", "fgr", "gru"])
def test_the_truncated_gradient_is_exact_where_nothing_goes_through_the_nets(name, rng):
    cell, head, data = weight_problem(rng, name)
    assert max(lost_by_truncation(cell, head, data)) > 0.01
    read = ("recurrent_kernel", "candidate_recurrent_kernel", "gate_recurrent_kernel", "peephole")
    set_weights(cell, **{weight.name: 0.0 for weight in cell.weights if weight.name in read})
    assert max(lost_by_truncation(cell, head, data)) < 1e-12
    if name == "vanilla":
        assert max(lost_by_truncation(*weight_problem(rng, name, feedback="none"))) < 1e-12


@every_variant
def test_over_one_step_the_truncated_gradient_lacks_the_output_peephole_alone(name, rng):
    cell, head, data = weight_problem(rng, name)
    first = tuple(part[:, :1] for part in data)
    if "output_gate" in cell.own and cell.own["output_gate"].peephole == "current":
        cut, exact = (
            gradients(learner, cell, head, first)[0] for learner in (Truncated1997(), BPTT())
        )
        assert relative(cut, exact) > 0.01
        row = cell.peephole.numpy()
        row[cell.peepholes.index("output_gate")] = 0.0
        assert np.abs(row).max() > 0  # the others look too, at the step before
        set_weights(cell, peephole=row)
    both = [gradients(learner, cell, head, first) for learner in (Truncated1997(), BPTT())]
    for cut, exact in zip(*both, strict=True):
        np.testing.assert_allclose(cut, exact, rtol=1e-10, atol=1e-14)
    assert np.abs(exact).max() > 0


@pytest.mark.parametrize("name", ["vanilla", "peephole"])
def test_what_truncation_loses_goes_to_zero_with_the_recurrent_weights(name, rng):
    cell, head, data = weight_problem(rng, name)
    names = [name for name in ("recurrent_kernel", "peephole") if hasattr(cell, name)]
    weights, lost = {name: getattr(cell, name).numpy() for name in names}, []
    for scale in (1e-3, 1e-4):
        set_weights(cell, **{name: scale * weight for name, weight in weights.items()})
        lost.append(lost_by_truncation(cell, head, data)[0])
    assert lost[0] / lost[1] == pytest.approx(10, rel=0.05)
    if "peephole" in names:  # which alone keep it up
        set_weights(cell, recurrent_kernel=0.0, peephole=weights["peephole"])
        assert lost_by_truncation(cell, head, data)[0] > 0.01
