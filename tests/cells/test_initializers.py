"""Staggered, Chrono, UniformGate, biases per block, and initializers that several weights share."""

import keras
import numpy as np
import pytest
from scipy.stats import kstest

from lstmlab import Gate, GatedCell, Head, variant
from lstmlab.cells import Chrono, Opposite, Staggered, UniformGate
from lstmlab.cells.initializers import PerBlock, apart


def numbers(initializer, blocks: int = 4, dtype: str = "float64") -> np.ndarray:
    return np.asarray(initializer((blocks,), dtype=dtype))


def test_staggered_is_an_exact_ramp_without_spread():
    np.testing.assert_array_equal(numbers(Staggered(-3.0, -3.0)), [-3, -6, -9, -12])
    np.testing.assert_array_equal(numbers(Staggered(-1, -2), 3), [-1, -3, -5])


def test_staggered_stays_within_its_spread_and_uses_it():
    moved = numbers(Staggered(1.0, 0.5, 0.1, seed=1), 2000) - numbers(Staggered(1.0, 0.5), 2000)
    assert np.abs(moved).max() <= 0.1 + 1e-12
    assert moved.min() < -0.09
    assert moved.max() > 0.09


def test_staggered_differs_between_seeds_alone():
    first, second, third = (numbers(Staggered(0, 0, 0.1, seed=s)) for s in (1, 2, 1))
    assert np.abs(first - second).min() > 0
    np.testing.assert_array_equal(first, third)
    keras.utils.set_random_seed(1)
    unseeded = [numbers(Staggered(0, 0, 0.1)) for _ in range(2)]
    assert np.abs(unseeded[0] - unseeded[1]).min() > 0
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(unseeded[0], numbers(Staggered(0, 0, 0.1)))


@pytest.mark.parametrize("dtype", ["float32", "float64", None])
def test_dtype_is_the_one_asked_for(dtype):
    for initializer in (Staggered(1, 1, 0.1), PerBlock([1, 2]), Chrono(5), UniformGate()):
        assert keras.backend.standardize_dtype(initializer((2,), dtype=dtype).dtype) == (
            dtype or "float32"
        )


@pytest.mark.parametrize(
    "initializer",
    [
        Staggered(-1.0, -2.0, 0.1, seed=5),
        PerBlock([1.5, -2.0, 3.0, 0.25]),
        Chrono(30, seed=4),
        UniformGate(seed=6),
    ],
)
def test_config_round_trip(initializer):
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    np.testing.assert_array_equal(numbers(again), numbers(initializer))


def test_unseeded_copies_draw_anew():
    initializer = Staggered(0, 0, 0.1)
    assert np.abs(numbers(initializer) - numbers(initializer.clone())).min() > 0


@pytest.mark.parametrize(
    "initializer", [keras.initializers.RandomUniform(-1, 1), Staggered(0, 0, 1.0)]
)
def test_one_initializer_given_to_every_gate_draws_for_each(initializer, rng):
    gate = Gate(bias=initializer)
    cell = GatedCell(3, gate, gate, gate, candidate_bias=initializer)
    cell.build((None, 2))
    assert len(set(cell.bias.numpy())) == 12


def test_one_initializer_given_to_both_kernels_draws_for_each(rng):
    initializer = keras.initializers.RandomUniform(-1, 1)
    cell = GatedCell(3, kernel_initializer=initializer, recurrent_initializer=initializer)
    cell.build((None, 3))
    assert np.abs(cell.kernel.numpy() - cell.recurrent_kernel.numpy()).min() > 0
    head = Head(3, bias=initializer, kernel_initializer=initializer)
    head.build((None, 1))
    assert np.abs(head.kernel.numpy()[0] - head.bias.numpy()).min() > 0


def test_a_seed_that_was_asked_for_is_kept():
    seeded = keras.initializers.RandomUniform(-1, 1, seed=4)
    assert apart([seeded, seeded, None]) == [seeded, seeded, None]
    first = keras.initializers.RandomUniform(-1, 1)
    own = apart([first, first])
    assert own[0] is first
    assert own[1] is not first


DRAWS = 20_000


@pytest.mark.parametrize("lag", [3, 100, 1000.5])
def test_chrono_is_the_logarithm_of_a_uniform_number(lag):
    """Tallec & Ollivier 2018, eq.

    16: 1 + e^b, the steps that such a gate remembers, uniform in [2, lag].
    """
    drawn = numbers(Chrono(lag, seed=1), DRAWS)
    assert 0 <= drawn.min() < drawn.max() <= np.log(lag - 1)
    steps = 1 + np.exp(drawn)
    assert kstest(steps, "uniform", args=(2, lag - 2)).pvalue > 1e-3
    assert (
        kstest(drawn, "uniform", args=(0, np.log(lag - 1))).pvalue < 1e-3
    )  # b itself is not uniform


def test_chrono_of_the_shortest_lag_is_zero():
    np.testing.assert_array_equal(numbers(Chrono(2), 5), np.zeros(5))


@pytest.mark.parametrize("units", [2, 100, DRAWS])
def test_uniform_gate_spreads_the_gates_over_all_values(units):
    """Gu et al. 2020: sigma(b) uniform in [1/n, 1 - 1/n], n being the gates."""
    drawn = 1 / (
        1
        + np.exp(
            -np.concatenate(
                [numbers(UniformGate(seed=k), units) for k in range(max(1, 2000 // units))]
            )
        )
    )
    edge = 1 / units
    assert edge - 1e-12 <= drawn.min() <= drawn.max() <= 1 - edge + 1e-12
    if units > 2:
        assert kstest(drawn, "uniform", args=(edge, 1 - 2 * edge)).pvalue > 1e-3
    else:
        np.testing.assert_allclose(drawn, 0.5)


@pytest.mark.parametrize("make", [lambda seed: Chrono(50, seed), UniformGate])
def test_chrono_and_uniform_gate_differ_between_seeds_alone(make):
    first, second, third = (numbers(make(seed), 10) for seed in (1, 2, 1))
    assert np.abs(first - second).min() > 0
    np.testing.assert_array_equal(first, third)
    assert np.abs(numbers(make(None)) - numbers(make(None))).min() > 0


@pytest.mark.parametrize(
    ("name", "follower"), [("chrono", "input_gate"), ("ur_lstm", "refine_gate")]
)
def test_the_variants_that_use_them(name, follower, rng):
    cell = variant(name, units=200)
    cell.build((None, 2))
    pieces = dict(
        zip(
            cell.nets,
            np.split(cell.bias.numpy(), np.cumsum(list(cell.nets.values()))[:-1]),
            strict=True,
        )
    )
    np.testing.assert_array_equal(pieces[follower], -pieces["forget_gate"])
    low, high = (0, np.log(99)) if name == "chrono" else (-np.log(199), np.log(199))
    assert (
        low
        <= pieces["forget_gate"].min()
        < 0.3 * low + 0.7 * high
        < pieces["forget_gate"].max()
        <= high
    )
    assert not np.any(pieces["candidate"])
    assert not np.any(pieces["output_gate"])


def test_opposite_keeps_its_gate_in_a_config():
    again = keras.initializers.deserialize(keras.initializers.serialize(Opposite("input_gate")))
    assert isinstance(again, Opposite)
    assert again.of == "input_gate"
