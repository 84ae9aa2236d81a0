"""UORO: single draws by its equations in NumPy, and their mean against the exact gradient."""

import numpy as np
import pytest
import tensorflow as tf
from carried import B, N, OutputApart, cells, problem
from oracles import assert_gradients
from scipy import stats

from lstmlab import GatedCell, variant
from lstmlab.learners import BPTT
from lstmlab.learners.snap import back_one_step
from lstmlab.learners.uoro import UORO

DRAWS = 2000  # in one call: the same sequence as many times


class EachDraw(UORO):
    """The gradients of the cell [DRAWS, P], one for each row of a batch of the same sequence."""

    def step(self, cell, x_t, memory, readout):
        kept = {}

        def keeping(output):
            kept["of_output"] = readout(output)
            return kept["of_output"]

        after, _ = super().step(cell, x_t, memory, keeping)
        of_state, direct = back_one_step(cell, x_t, memory["state"], kept["of_output"])
        along = tf.reduce_sum(of_state * memory["a"], axis=1, keepdims=True)
        return after, along * memory["b"] + direct / DRAWS

    def zeros(self, cell):
        return tf.zeros((DRAWS, super().zeros(cell).shape[0]), "float64")

    def finish(self, cell, total):
        return [total]


def draws(name: str, calls: int, rng):
    """Gradients of the cell's weights [DRAWS * calls, P] and the exact one [P]."""
    cell = OutputApart(N) if name == "output apart" else variant(name, units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    one = [part[:1] for part in batch]
    exact = BPTT().gradients(cell, head, *one)[2][: len(cell.trainable_variables)]
    learner, many = EachDraw(seed=5), [tf.repeat(part, DRAWS, axis=0) for part in one]
    draw = tf.function(
        lambda *batch: learner.gradients(cell, head, *batch)[2][0],
        jit_compile=True,
        autograph=False,
    )
    return np.concatenate([draw(*many) for _ in range(calls)]), np.concatenate(
        [np.ravel(part) for part in exact]
    )


def assert_unbiased(drawn, exact):
    """Compare the mean with the exact gradient.

    One chi-square of the whole vector, and no weight further off than chance allows.

    The bound for each of P weights is that of P tests at a level of 0.001 in all (4.3 standard
    errors for 64 weights). How many lie beyond 3 says nothing: draws of the weights of one net
    depend on one another. Weights that do not vary must be exact.
    """
    off = drawn.mean(axis=0) - exact
    varies = drawn.std(axis=0) > 1e-9 * np.abs(exact).max()
    np.testing.assert_allclose(off[~varies], 0, atol=1e-9 * np.abs(exact).max())
    off, covariance = off[varies], np.cov(drawn[:, varies].T) / len(drawn)
    values, vectors = np.linalg.eigh(covariance)
    free = values > 1e-10 * values.max()
    assert free.sum() >= 8
    chi_square = ((vectors[:, free].T @ off) ** 2 / values[free]).sum()
    assert stats.chi2.sf(chi_square, free.sum()) > 0.001
    errors = np.sqrt(np.diag(covariance))
    assert (np.abs(off) / errors).max() < stats.norm.isf(0.001 / 2 / len(off))
    # strong enough to see something: the bias of what is left out without the products is many
    # standard errors
    assert np.abs(exact[varies] / errors).max() > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla", "elman", "output apart"])
def test_the_mean_of_4000_draws_is_the_exact_gradient(name, rng):
    assert_unbiased(*draws(name, 2, rng))


OWN = [name for name, _ in cells() if not name.startswith("keras")]


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN[::5])
def test_the_mean_of_60000_draws_is_the_exact_gradient(name, rng):
    """Of 20,000 draws one cell (mgu) had a chi-square of p = 0.0001, of 200,000 one of 0.35.

    A fault would grow.
    """
    assert_unbiased(*draws(name, 30, rng))


@pytest.mark.slow
@pytest.mark.whole_table
@pytest.mark.parametrize("name", OWN)
def test_the_mean_of_60000_draws_of_every_cell_is_the_exact_gradient(name, rng):
    """Three minutes of one core: pytest tests/learners/test_uoro.py -m whole_table."""
    assert_unbiased(*draws(name, 30, rng))


def test_a_draw_is_that_of_the_equations(rng):
    """(1) to (3) for an Elman net with its own derivatives, and the signs that were drawn read
    off from A.
    """
    cell, learner = variant("elman", units=N, dtype="float64"), UORO(seed=1)
    head, x, *_ = problem(rng, cell)
    kernel, recurrent, bias = (
        weight.numpy() for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    memory = learner.begin(cell, head, x)
    a, b, state, c = (
        np.zeros((B, N)),
        np.zeros((B, cell.count_params())),
        np.zeros((B, N)),
        learner.epsilon,
    )
    signs = []

    def norm(rows):
        return np.linalg.norm(rows, axis=1, keepdims=True)

    for t in range(5):
        outputs = []
        memory, _ = learner.step(
            cell,
            x[:, t],
            memory,
            lambda y: outputs.append(y) or tf.zeros_like(y),  # noqa: B023
        )
        output = outputs[0]
        seen = np.concatenate([x[:, t], state, np.ones((B, 1))], axis=1)
        state = np.tanh(x[:, t] @ kernel + state @ recurrent + bias)
        onward = (1 - state**2) * (a @ recurrent)
        r0 = np.sqrt(norm(b) / (norm(onward) + c)) + c
        nu = np.sign(memory["a"].numpy() - r0 * onward)
        direct = (seen[:, :, None] * (nu * (1 - state**2))[:, None, :]).reshape(B, -1)
        r1 = np.sqrt(norm(direct) / (np.sqrt(N) + c)) + c
        a, b = r0 * onward + r1 * nu, b / r0 + direct / r1
        np.testing.assert_allclose(output, state, rtol=1e-12)
        np.testing.assert_allclose(memory["a"], a, rtol=1e-9)
        np.testing.assert_allclose(memory["b"], b, rtol=1e-9, atol=1e-12)
        signs.append(nu)
    assert len(np.unique(np.reshape(signs, (-1, N)), axis=0)) > 4, (
        "new signs for every step and sequence"
    )


def test_signs_are_independent_between_sequences_steps_and_states(rng):
    cell, learner = (
        GatedCell(N, dtype="float64", feedback="none", forget_gate="closed", output_gate=None),
        UORO(seed=2),
    )
    head, x, *_ = problem(rng, cell)
    many = tf.repeat(x[:1], DRAWS, axis=0)
    memory, signs = learner.begin(cell, head, many), []
    for t in range(3):  # nothing goes from step to step, so that A is nu times a positive number
        memory, _ = learner.step(cell, many[:, t], memory, tf.zeros_like)
        signs.append(np.sign(memory["a"].numpy()))
    signs = np.concatenate(signs, axis=1)
    products = signs.T @ signs / np.sqrt(DRAWS)
    np.testing.assert_allclose(np.diag(products), np.sqrt(DRAWS), rtol=1e-12)
    assert np.abs(products[~np.eye(len(products), dtype=bool)]).max() < 5
    assert np.abs(signs.sum(axis=0)).max() < 5 * np.sqrt(DRAWS)
    between = signs[:-1] * signs[1:]
    assert np.abs(between.sum(axis=0)).max() < 5 * np.sqrt(DRAWS)


@pytest.mark.slow
def test_seeds(rng):
    """The same seed, the same draws; every call draws anew, compiled too.

    No draw leaves anything but numbers.
    """
    cell = variant("elman", units=N, dtype="float64")
    head, *batch = problem(rng, cell)

    def two(seed):
        learner = UORO(seed=seed)
        learn = tf.function(
            lambda *batch: learner.gradients(cell, head, *batch)[2],
            jit_compile=True,
            autograph=False,
        )
        return [[part.numpy() for part in learn(*batch)] for _ in range(2)]

    (first, second), again, other = two(3), two(3), two(4)
    for one, same in zip(first + second, again[0] + again[1], strict=True):
        np.testing.assert_array_equal(one, same)
    for drawn in (second, other[0]):
        assert np.abs(first[0] - drawn[0]).max() > 1e-3
    assert np.isfinite(np.concatenate([np.ravel(part) for part in first])).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_draw_is_exact_where_nothing_is_kept(dtype, rng):
    cell = GatedCell(N, dtype="float64", **UORO().traits.exact_case)
    head, *batch = problem(rng, cell)
    exact = BPTT().gradients(cell, head, *batch)[2]
    tolerance = 1e-10
    if dtype == "float32":
        single = GatedCell.from_config({**cell.get_config(), "dtype": "float32"})
        single.build((None, batch[0].shape[2]))
        single.set_weights(cell.get_weights())
        single_head = type(head).from_config({**head.get_config(), "dtype": "float32"})
        single_head.build((None, N), (None, batch[0].shape[2]))
        single_head.set_weights(head.get_weights())
        cell, head, batch, tolerance = (
            single,
            single_head,
            [tf.cast(part, "float32") for part in batch],
            1e-5,
        )
    assert_gradients(
        UORO().gradients(cell, head, *batch)[2], exact, rtol=tolerance * 10, atol=tolerance
    )


def test_states_that_are_given_and_two_pieces(rng):
    """From the same key: the memory after two pieces is that after one, and so is the sum of the
    gradients.
    """
    cell, learner = variant("lstm1997", units=N, dtype="float64"), UORO(seed=1)
    head, *batch = problem(rng, cell)
    states = [tf.constant(rng.normal(size=(B, size))) for size in cell.state_size]
    memory = learner.begin(cell, head, batch[0], states)
    loss, prediction, whole, last = learner.advance(cell, head, *batch, memory)
    expected = BPTT().gradients(cell, head, *batch, states=states)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-12)
    np.testing.assert_allclose(prediction, expected[1], rtol=1e-12)
    *_, first, middle = learner.advance(cell, head, *(part[:, :3] for part in batch), memory)
    *_, second, end = learner.advance(cell, head, *(part[:, 3:] for part in batch), middle)
    for one, other, total in zip(first, second, whole, strict=True):
        np.testing.assert_allclose(one + other, total, rtol=1e-9, atol=1e-12)
    for name in ("state", "a", "b", "key"):
        np.testing.assert_allclose(end[name], last[name], rtol=1e-9, atol=1e-12)


def test_what_it_refuses():
    for epsilon in (0, -1.0, True, "small", float("nan")):
        with pytest.raises(
            ValueError, match=r"UORO: expected a number > 0. Received: learner.epsilon="
        ):
            UORO(epsilon=epsilon)
    for seed in (-1, 0.5, True):
        with pytest.raises(
            ValueError, match=r"UORO: expected an integer >= 0 or null. Received: learner.seed="
        ):
            UORO(seed=seed)
