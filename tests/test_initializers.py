"""Staggered, biases per block, and initializers that several weights share."""

import keras
import numpy as np
import pytest

from lstmlab import Gate, GatedCell, Head
from lstmlab.cells import Staggered
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
    for initializer in (Staggered(1, 1, 0.1), PerBlock([1, 2])):
        assert keras.backend.standardize_dtype(initializer((2,), dtype=dtype).dtype) == (dtype or "float32")


@pytest.mark.parametrize("initializer", [Staggered(-1.0, -2.0, 0.1, seed=5), PerBlock([1.5, -2.0, 3.0, 0.25])])
def test_config_round_trip(initializer):
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    np.testing.assert_array_equal(numbers(again), numbers(initializer))


def test_unseeded_copies_draw_anew():
    initializer = Staggered(0, 0, 0.1)
    assert np.abs(numbers(initializer) - numbers(initializer.clone())).min() > 0


@pytest.mark.parametrize("initializer", [keras.initializers.RandomUniform(-1, 1), Staggered(0, 0, 1.0)])
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": "a"}, "Staggered: expected a number. Received: first='a'"),
        ({"step": True}, "Staggered: expected a number. Received: step=True"),
        ({"spread": -0.1}, "Staggered: expected a number >= 0. Received: spread=-0.1"),
    ],
)
def test_wrong_numbers(arguments, message):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        Staggered(**arguments)
    assert str(e.value) == message


def test_wrong_number_of_blocks():
    with pytest.raises(ValueError, match=r"^PerBlock: expected 3 numbers, one per block\. Received: values=\[1\.0, 2\.0\]$"):
        PerBlock([1, 2])((3,))
