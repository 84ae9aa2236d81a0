"""State-to-state Jacobians against finite differences, and autodiff through the sequence."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from branches import quick
from oracles import NumpyCell, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, variant
from lstmlab.diagnostics import Jacobians, Probe, jacobians
from lstmlab.diagnostics.common import products as module
from lstmlab.diagnostics.common.products import products
from lstmlab.diagnostics.common.steps import thinned
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board

B, T, F, N = 3, 5, 3, 4
CELLS = ("vanilla", "lstm1997", "gru", "elman", "peephole", "slstm", "ur_lstm", "minlstm")
LAST = np.array([T - 1, T - 2, T - 1])  # the last step with an error, of each sequence
W = np.where(np.arange(T) <= LAST[:, None], 0.5, 0.0)
VALUES = ("cell_state", "output")


def problem(rng, cell: str, dtype: str = "float64", **overrides):
    model = Recurrent(
        variant(cell, units=N, dtype=dtype, **overrides), Head(1, dtype=dtype), BPTT(), F
    )
    randomize(model.cell, rng)
    return model, rng.normal(size=(B, T, F))


def by_differences(model, x, step: float = 1e-5) -> dict[str, np.ndarray]:
    """d(value at LAST)/d(value at t) as it arises, {value: [B, T, n, n]}, row: the value at LAST,
    by central differences.
    """
    # one batch for all: [T, N] places to move, up and down, of each sequence
    taps = np.zeros((T, N, 2, B, T, N))
    for t, k in np.ndindex(T, N):
        taps[t, k, 0, :, t, k], taps[t, k, 1, :, t, k] = step, -step
    batch = tf.constant(np.broadcast_to(x, (T, N, 2, *x.shape)).reshape(-1, T, F))
    found = {}
    for name in VALUES:
        values = trace(model.cell, batch, taps={name: tf.constant(taps.reshape(-1, T, N))})[name]
        ends = np.asarray(values).reshape(T, N, 2, B, T, N)[..., np.arange(B), LAST, :]
        up, down = ends[:, :, 0], ends[:, :, 1]  # [T, N, B, N]
        found[name] = np.moveaxis((up - down) / (2 * step), (2, 0, 3, 1), (0, 1, 2, 3))
    return found


def by_autodiff(model, x, name: str, **filters) -> np.ndarray:
    """The same [B, T, n, n], by reverse differentiation through the whole sequence."""
    # one batch for all rows of the matrices: copy k of it looks at value k only
    tap = {name: tf.zeros((N * B, T, N), "float64")}
    with tf.GradientTape() as tape:
        tape.watch(tap)
        values = trace(model.cell, tf.tile(tf.constant(x), (N, 1, 1)), taps=tap, **filters)[name]
        ends = tf.gather(values, np.tile(LAST, N), batch_dims=1)
        total = tf.reduce_sum(ends * np.repeat(np.eye(N), B, axis=0))
    return np.moveaxis(tape.gradient(total, tap)[name].numpy().reshape(N, B, T, N), 0, 2)


def by_lag(matrices: np.ndarray) -> np.ndarray:
    """[B, T, ...] at step t -> [B, T, ...] at lag LAST - t; zero where a sequence is shorter."""
    found = np.zeros_like(matrices)
    for b, last in enumerate(LAST):
        found[b, : last + 1] = matrices[b, last::-1] if last else matrices[b, :1]
    return found


def medians(statistic, matrices: np.ndarray) -> np.ndarray:
    """The median of statistic(matrix) over the sequences, at each lag, through logarithms: matrices
    [B, T, n, n] by lag.
    """
    return np.array(
        [
            np.exp(np.median([np.log(statistic(matrices[b, k])) for b in range(B) if k <= LAST[b]]))
            for k in range(T)
        ]
    )


def spectral_radius(matrix) -> float:
    return np.abs(np.linalg.eigvals(matrix)).max()


def curve(table: pd.DataFrame, path: str, measure: str) -> pd.Series:
    return table[(table["path"] == path) & (table["measure"] == measure)].set_index("lag")["value"]


@pytest.mark.parametrize("name", CELLS)
def test_total_derivatives_against_finite_differences(name, rng):
    model, x = problem(rng, name)
    found, table = products(model, x, W), jacobians(model, x, W)
    for value, by_step in by_differences(model, x).items():
        expected = by_lag(by_step)
        matrices = found.matrices[value] * 10.0 ** found.logs[value][:, :, None, None]
        assert np.abs(expected[found.there]).max(axis=(1, 2)).min() > 1e-4
        np.testing.assert_allclose(
            matrices[found.there], expected[found.there], rtol=1e-6, atol=1e-9
        )
        for measure, statistic in (
            ("norm", lambda m: np.linalg.norm(m, 2)),
            ("spectral_radius", spectral_radius),
        ):
            middle = medians(statistic, expected)
            np.testing.assert_allclose(curve(table, value, measure), middle, rtol=1e-5)
            np.testing.assert_allclose(
                curve(table, value, f"log10_{measure}"), np.log10(middle), rtol=1e-5, atol=1e-5
            )
        assert list(curve(table, value, "norm").index) == list(range(T))


@pytest.mark.parametrize(
    ("name", "floats"),
    [
        *((name, module.FLOATS) for name in CELLS),
        *quick(((name, 1500) for name in CELLS), lambda case: case[0] in ("vanilla", "slstm")),
    ],
)
def test_products_of_one_step_jacobians_against_autodiff_through_the_whole(
    name, floats, rng, monkeypatch
):
    """floats: all steps in one piece; a step or two in each."""
    monkeypatch.setattr(module, "FLOATS", floats)
    model, x = problem(rng, name)
    found = products(model, x, W)
    for value in VALUES:
        expected = by_lag(by_autodiff(model, x, value))
        matrices = found.matrices[value] * 10.0 ** found.logs[value][:, :, None, None]
        np.testing.assert_allclose(
            matrices[found.there], expected[found.there], rtol=1e-10, atol=1e-14
        )


@pytest.mark.parametrize("name", CELLS)
def test_carousel_against_autodiff_where_nothing_is_read_back(name, rng):
    model, x = problem(rng, name)
    expected = by_lag(by_autodiff(model, x, "cell_state", see=tf.stop_gradient))
    table = jacobians(model, x, W)
    if name == "elman":  # no carousel
        assert (expected[:, 1:] == 0).all()
        assert list(curve(table, "carousel", "norm")) == [1, 0, 0, 0, 0]
        assert list(curve(table, "carousel", "log10_norm")) == [0]  # 0 has no logarithm
        return
    np.testing.assert_allclose(
        curve(table, "carousel", "norm"),
        medians(lambda m: np.linalg.norm(m, 2), expected),
        rtol=1e-12,
    )
    assert name == "lstm1997" or np.ptp(curve(table, "carousel", "norm")) > 0.1


def test_carousel_of_blocks_is_the_product_of_their_forget_activations(rng):
    model, x = problem(rng, "lstm1997", forget_gate=Gate(bias=1.0))
    forget = np.stack([at["f"] for at in NumpyCell(model.cell).run(x)[0]], axis=1)
    expected = np.zeros((B, T))
    for b, t in np.ndindex(B, T):
        expected[b, t] = np.prod(forget[b, t + 1 : LAST[b] + 1], axis=0).max()
    middle = medians(float, by_lag(expected))
    np.testing.assert_allclose(
        curve(jacobians(model, x, W), "carousel", "norm"), middle, rtol=1e-12
    )


def test_without_a_forget_gate_the_carousel_is_1_over_every_lag(rng):
    table = jacobians(*problem(rng, "lstm1997"), W)
    assert list(curve(table, "carousel", "norm")) == [1.0] * T
    assert list(curve(table, "carousel", "log10_norm")) == [0.0] * T


def states_along(model, x) -> list[list]:
    """The states before each step, [T][state], step by step."""
    states = [[tf.constant(s) for s in model.cell.get_initial_state(batch_size=B)]]
    for t in range(T):
        states.append(model.cell.step(tf.constant(x[:, t]), states[-1])[1])
    return states


def one_steps_by_differences(model, x, step: float = 1e-6) -> np.ndarray:
    """d(all states)_t/d(all states)_t-1 [B, T, S, S] by central differences of one step."""
    sizes, states = model.cell.state_size, states_along(model, x)
    found = np.zeros((B, T, sum(sizes), sum(sizes)))
    for t, k in np.ndindex(T, sum(sizes)):
        before = np.concatenate(states[t], axis=1)
        ends = []
        for sign in (1, -1):
            moved = before.copy()
            moved[:, k] += sign * step
            _, after = model.cell.step(
                tf.constant(x[:, t]), tf.split(tf.constant(moved), sizes, axis=1)
            )
            ends.append(np.concatenate(after, axis=1))
        found[:, t, :, k] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("name", CELLS)
def test_one_step_jacobians_against_finite_differences(name, rng):
    model, x = problem(rng, name)
    expected, found = by_lag(one_steps_by_differences(model, x)), products(model, x, W)
    there = found.there & (
        np.arange(T) < LAST[:, None]
    )  # from step 2 on: the first divides by no normaliser
    assert np.abs(expected[there]).max() > 0.1
    np.testing.assert_allclose(found.one_step[there], expected[there], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["vanilla", "gru", "elman"])
def test_spectrum_of_one_step_against_finite_differences(name, rng):
    model, x = problem(rng, name)
    expected, table = by_lag(one_steps_by_differences(model, x)), jacobians(model, x, W)
    for measure, pick in (("largest", np.max), ("median", np.median), ("smallest", np.min)):
        middle = [
            np.median(
                [pick(np.abs(np.linalg.eigvals(expected[b, k]))) for b in range(B) if k <= LAST[b]]
            )
            for k in range(T)
        ]
        np.testing.assert_allclose(curve(table, "one_step", measure), middle, rtol=1e-5)
    assert (curve(table, "one_step", "largest") > curve(table, "one_step", "smallest")).all()


@pytest.mark.parametrize("weight", [1e-3, -1e3])
def test_decay_and_growth_beyond_the_numbers(weight):
    """y_t = w y_tm1: dy_T/dy_t = w^lag, which leaves the numbers of float64 at lag 103."""
    steps = 200
    model = line(weight)
    table = jacobians(model, np.ones((1, steps, 1)))
    lags = np.arange(steps)
    for value in VALUES:
        for measure in ("norm", "spectral_radius"):
            logs = curve(table, value, f"log10_{measure}")
            np.testing.assert_allclose(logs, np.sign(np.log(abs(weight))) * 3.0 * lags, rtol=1e-12)
            numbers = curve(table, value, measure)
            assert len(numbers) == (steps if weight == 1e-3 else 103)
            np.testing.assert_allclose(
                numbers[:100], np.abs(weight) ** lags[:100].astype(float), rtol=1e-10
            )
    assert np.isfinite(table["value"]).all()


def line(weight: float) -> Recurrent:
    """One unit without gates: y_t = w y_tm1 + x_t."""
    cell = variant("elman", units=1, candidate_activation="linear", dtype="float64")
    model = Recurrent(cell, Head(1, dtype="float64"), BPTT(), 1)
    cell.kernel.assign([[1.0]])
    cell.recurrent_kernel.assign([[weight]])
    return model


def test_where_nothing_arrives_there_is_no_logarithm(rng):
    model, x = problem(rng, "irnn")
    model.cell.bias.assign(-100 * np.ones(N))  # no unit is ever on
    table = jacobians(model, x, W)
    assert list(curve(table, "output", "norm")) == [1, 0, 0, 0, 0]
    assert list(curve(table, "output", "log10_norm")) == [0]
    assert (curve(table, "one_step", "largest") == 0).all()


def measured(model, x, w) -> pd.DataFrame:
    """As a run measures, which goes on where a net has exploded."""
    return Jacobians().measure(model, probe(x, w))


def test_a_sequence_that_has_exploded_is_left_out(rng, eager):
    model, x = problem(rng, "vanilla")
    x[0] = np.nan
    table, rest = measured(model, x, W), jacobians(model, x[1:], W[1:])
    assert np.isfinite(table["value"]).all()
    one, other = (
        part[part["lag"] > 0].reset_index(drop=True) for part in (table, rest)
    )  # at lag 0 it is the identity
    pd.testing.assert_frame_equal(one, other)
    assert set(other["lag"]) == set(range(1, T))
    x[:] = np.nan
    assert set(measured(model, x, W)["lag"]) == {0}


def test_long_sequences_are_kept_at_some_lags_alone():
    steps = 1200
    table = Jacobians().measure(line(0.999), probe(np.ones((1, steps, 1)), np.ones((1, steps))))
    norms = curve(table, "cell_state", "norm")
    assert 400 < len(norms) <= 500
    assert list(norms.index[[0, 64, -1]]) == [0, 64, steps - 1]
    np.testing.assert_allclose(norms, 0.999**norms.index, rtol=1e-10)
    assert table.groupby(["path", "measure"]).size().max() <= 500


def test_large_nets_are_measured_at_fewer_lags(monkeypatch):
    monkeypatch.setattr(module, "WORK", 1)
    norms = curve(jacobians(line(0.9), np.ones((1, 100, 1))), "output", "norm")
    assert list(norms.index) == list(thinned(99, 32))
    np.testing.assert_allclose(norms, 0.9**norms.index, rtol=1e-10)


def probe(x, w) -> Probe:
    return Probe(x, np.zeros((*w.shape, 1)), w, w >= 0, w > 0)


def test_the_diagnostic_takes_the_first_sequences_that_have_an_error(rng, eager):
    model, x = problem(rng, "vanilla")
    w = W.copy()
    w[0] = 0
    table = Jacobians(sequences=1).measure(model, probe(x, w))
    pd.testing.assert_frame_equal(table, jacobians(model, x[1:2], w[1:2]))
    pd.testing.assert_frame_equal(
        Jacobians().measure(model, probe(x, w)), jacobians(model, x[1:], w[1:])
    )


@pytest.mark.parametrize(("policy", "rtol"), [("float32", 1e-4), ("mixed_bfloat16", 0.2)])
def test_other_precisions(policy, rtol, rng):
    exact, x = problem(rng, "vanilla")
    other = Recurrent(GatedCell(N, dtype=policy), Head(1, dtype=policy), BPTT(), F)
    other.cell.set_weights(exact.cell.get_weights())
    one, two = (curve(jacobians(model, x, W), "cell_state", "norm") for model in (exact, other))
    np.testing.assert_allclose(one, two, rtol=rtol)
    assert not one.equals(two)


def test_wrong_arguments(rng):
    model, x = problem(rng, "vanilla")
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(1), BPTT(), F)
    for call, message in [
        (
            lambda: jacobians(foreign, x),
            "jacobians: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent",
        ),
        (
            lambda: jacobians(model, x, W[:, 1:]),
            "jacobians: expected x [B, T, F] and w [B, T]. Received: x=(3, 5, 3), w=(3, 4)",
        ),
        (
            lambda: jacobians(model, x, W * [[1], [0], [1]]),
            "jacobians: expected at least one step with w > 0 in every sequence. "
            "Received: w without one",
        ),
        (
            lambda: jacobians(model, x[..., :2], W),
            "jacobians: expected x [B, T, 3]. Received: x=(3, 5, 2)",
        ),
        (
            lambda: jacobians(model, x[:0]),
            "jacobians: expected at least one sequence of at least one step. Received: "
            "x=(0, 5, 3), w=(0, 5)",
        ),
        (
            lambda: jacobians(model, x[:, :0]),
            "jacobians: expected at least one sequence of at least one step. Received: "
            "x=(3, 0, 3), w=(3, 0)",
        ),
        (
            lambda: jacobians(model, np.where(x == x[1, 2, 0], np.inf, x)),
            "jacobians: expected finite numbers. Received: x with 1 of 45 not finite",
        ),
        (
            lambda: jacobians(model, x, np.nan * W),
            "jacobians: expected finite numbers. Received: w with 15 of 15 not finite",
        ),
        (lambda: jacobians(model, "x"), "jacobians: expected an array of numbers. Received: x=str"),
        (
            lambda: Jacobians().measure(model, probe(x, 0 * W)),
            "products: expected a sequence with a step of w > 0. Received: w without one",
        ),
        (
            lambda: Jacobians(sequences=0),
            "Jacobians: expected a positive integer. Received: sequences=0",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            call()
        assert str(e.value) == message


def test_shows_the_logarithms_of_norms(rng, tmp_path):
    table, shown = jacobians(*problem(rng, "elman"), W), {}
    board = Board(tmp_path)
    board.against_lag = lambda curves, sequences: shown.update(curves)
    Jacobians().show(board, table, 1000)
    board.close()
    assert set(shown) == {
        f"jacobians_log10_norm_against_lag/{path}" for path in ("carousel", "cell_state", "output")
    }
    lags, values = shown["jacobians_log10_norm_against_lag/output"]
    np.testing.assert_array_equal(values, curve(table, "output", "log10_norm")[lags])
