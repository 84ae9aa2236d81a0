"""docs/mathematics.md, chapter "Cells of other kinds", on the cells in float64."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import (
    COUPLED,
    CUT,
    PAGE,
    B,
    F,
    N,
    T,
    cell_of,
    diagonal,
    inputs,
    jacobian,
    read_back,
)

from lstmlab.diagnostics.common.tracing import trace


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_gates_make_a_mean_and_closing_the_input_gate_is_keeping(name, rng):
    for scale in (0.7, 3.0):
        cell, x = cell_of(rng, name, scale=scale), inputs(rng)
        values, of_candidate = jacobian(cell, x, "candidate", **CUT)
        i, e = values["input_gate"], values["forget_gate"]
        np.testing.assert_allclose(i + e, 1, rtol=1e-14)
        kept = np.prod(e, axis=1)
        shares = np.diagonal(of_candidate, axis1=2, axis2=3)
        for t in range(T):
            np.testing.assert_allclose(
                shares[:, t], i[:, t] * np.prod(e[:, t + 1 :], axis=1), atol=1e-12
            )
        np.testing.assert_allclose(shares.sum(axis=1), 1 - kept, atol=1e-12)
        assert (
            np.abs(values["cell_state"]).max(axis=1)
            <= np.abs(values["candidate"]).max(axis=1) + 1e-12
        ).all()
    net = "net_input_gate" if "input_gate" in cell.own else "net_forget_gate"
    shut = tf.fill((B, T, N), tf.constant(-80.0 if net == "net_input_gate" else 80.0, "float64"))
    if name != "ur_lstm":  # its e closes with f, where the refine gate has no say
        assert trace(cell, x, taps={net: shut})["forget_gate"].numpy().min() > 1 - 1e-12


def test_janet_is_coupled_with_a_shift(rng):
    cell = cell_of(rng, "janet", scale=2.0)
    values = {name: value.numpy() for name, value in trace(cell, inputs(rng, 50, 20, F)).items()}
    excess = values["input_gate"] + values["forget_gate"] - 1
    assert (excess > 0).all()
    assert excess.max() <= np.tanh(0.25)
    assert excess.max() > np.tanh(0.25) - 1e-3  # reached where net_f = 1/2
    assert (
        np.abs(values["cell_state"]).max(axis=1) <= np.e * np.abs(values["candidate"]).max(axis=1)
    ).all()
    assert f"{np.tanh(0.25):.3f}" in PAGE


@pytest.mark.parametrize("name", ["gru", "gru_reset_after"])
def test_the_reset_gate_multiplies_what_the_candidate_reads_not_the_state(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    gates = {gate: rng.uniform(0.1, 0.9, size=(B, T, N)) for gate in cell.gates}
    clamps = {gate: (tf.ones((B, T, 1)), tf.constant(value)) for gate, value in gates.items()}
    values, flow = jacobian(cell, x, "cell_state", clamps=clamps)
    slope = (gates["input_gate"] * (1 - values["candidate"] ** 2))[:, -1]
    q = gates["reset_gate"][:, -1]
    weight = (
        cell.candidate_recurrent_kernel.numpy().T if name == "gru" else read_back(cell)["candidate"]
    )
    reads = weight * q[:, None, :] if name == "gru" else weight * q[:, :, None]
    np.testing.assert_allclose(
        flow[:, -2], diagonal(gates["forget_gate"][:, -1]) + slope[..., None] * reads, rtol=1e-10
    )
    clamps["reset_gate"] = (tf.ones((B, T, 1)), tf.zeros((B, T, N), "float64"))
    _, flow = jacobian(cell, x, "cell_state", clamps=clamps)
    np.testing.assert_allclose(
        flow[:, 0], diagonal(np.prod(gates["forget_gate"][:, 1:], axis=1)), atol=1e-14
    )


@pytest.mark.parametrize("name", ["gru", "gru_reset_after"])
def test_with_gates_held_single_steps_of_a_gru_multiply(name, rng):
    cell, x = cell_of(rng, name), inputs(rng)
    gates = {gate: rng.uniform(0.1, 0.9, size=(B, T, N)) for gate in cell.gates}

    def flow_until(end):
        clamps = {
            gate: (tf.ones((B, end, 1)), tf.constant(value[:, :end]))
            for gate, value in gates.items()
        }
        return jacobian(cell, x[:, :end], "cell_state", clamps=clamps)[1]

    whole, product = flow_until(T), np.eye(N)
    for t in range(1, T):
        product = flow_until(t + 1)[:, t - 1] @ product
    np.testing.assert_allclose(product, whole[:, 0], rtol=1e-10, atol=1e-14)
    assert np.abs(product - diagonal(np.prod(gates["forget_gate"][:, 1:], axis=1))).max() > 1e-2


def test_the_refine_gate_is_a_part_of_the_forget_gate(rng):
    cell, x = cell_of(rng, "ur_lstm", feedback="none", scale=2.0), inputs(rng)

    def e(r):
        return trace(cell, x, clamps={"refine_gate": (tf.ones((B, T, 1)), tf.constant(r))})[
            "forget_gate"
        ].numpy()

    f, r = e(np.full((B, T, N), 0.5)), rng.uniform(size=(B, T, N))
    np.testing.assert_allclose(e(r), f + (2 * r - 1) * f * (1 - f), rtol=1e-12)
    np.testing.assert_allclose(
        [e(np.zeros((B, T, N))), e(np.ones((B, T, N)))], [f**2, 1 - (1 - f) ** 2], rtol=1e-12
    )
    assert np.ptp(f) > 0.5


def test_a_normaliser_makes_the_input_gate_forget(rng):
    cell, x = cell_of(rng, "slstm", feedback="none"), inputs(rng)

    def shares(tap=0.0):
        taps = {"net_input_gate": tf.constant(np.broadcast_to(tap, (B, T, N)).copy())}
        values = {name: value.numpy() for name, value in trace(cell, x, taps=taps).items()}
        mean = values["cell_state"] / values["normaliser"]
        np.testing.assert_allclose(values["output"], values["output_gate"] * mean, rtol=1e-12)
        return values, mean, values["input_gate"] / values["normaliser"]

    values, mean, taken = shares()
    expected = np.zeros((B, N))
    for t in range(T):  # the mean forgets by the share that the new value takes
        expected = (1 - taken[:, t]) * expected + taken[:, t] * values["candidate"][:, t]
        np.testing.assert_allclose(mean[:, t], expected, rtol=1e-10)
    kept = values["forget_gate"][:, 1:] * values["normaliser"][:, :-1] / values["normaliser"][:, 1:]
    np.testing.assert_allclose(1 - taken[:, 1:], kept, rtol=1e-10)
    more = np.zeros((T, 1))
    more[-1] = 1.3
    _, _, raised = shares(more)
    taken, raised = (
        taken[:, -1],
        raised[:, -1],
    )  # the first takes all, as there is nothing before it
    np.testing.assert_allclose(raised / (1 - raised), np.exp(1.3) * taken / (1 - taken), rtol=1e-9)
    assert (raised > taken).all()


def test_what_is_left_of_a_ratio_over_several_steps(rng):
    cell, x = cell_of(rng, "slstm", feedback="none"), inputs(rng)
    values, flow = jacobian(cell, x, "cell_state")
    n, f = values["normaliser"], values["forget_gate"]
    taken = values["input_gate"] / n
    np.testing.assert_allclose(taken[:, 0], 1.0, rtol=1e-12)  # nothing was stored: it takes all
    for t in range(T):
        # c_T = s_T / n_T and s_t = n_t c_t, the normaliser held
        of_ratio = np.diagonal(flow[:, t], axis1=1, axis2=2) * n[:, t] / n[:, -1]
        shares = np.prod(1 - taken[:, t + 1 :], axis=1)
        np.testing.assert_allclose(of_ratio, shares, rtol=1e-10)
        kept = np.prod(f[:, t + 1 :], axis=1) * n[:, t] / n[:, -1]
        np.testing.assert_allclose(kept, shares, rtol=1e-10)

    def ratio(where):
        taps = {"net_input_gate": tf.constant(np.full((B, T, N), 1.3) * where[:, None])}
        found = trace(cell, x, taps=taps)
        return (found["cell_state"] / found["normaliser"]).numpy()

    still, everywhere, once = (
        ratio(np.array(at)) for at in ([0] * T, [1] * T, [0] * (T - 1) + [1])
    )
    np.testing.assert_allclose(everywhere, still, rtol=1e-12)
    assert np.abs(once - still)[:, -1].min() > 1e-4
