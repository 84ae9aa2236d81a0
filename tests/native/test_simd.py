"""Vectors in compiled functions against NumPy."""

import operator

import numpy as np
import pytest
from numba import njit

from lstmlab.native import simd
from lstmlab.native.simd import (
    above,
    add_at,
    chosen,
    exponent,
    fetch,
    gather,
    least,
    magnitude,
    mantissa,
    most,
    only,
    rounded,
    scaled,
    spread,
    sqrt,
    stack,
    vec,
)

LANES = 8
RNG = np.random.default_rng(1)
A = RNG.normal(size=(3, LANES)).astype("float32")
B = RNG.normal(size=(3, LANES)).astype("float32")
NUMBER = np.float32(-1.75)


def of_two(function):
    @njit
    def inside(a, b, out):
        x, y, made = vec(a, LANES), vec(b, LANES), vec(out, LANES)
        for k in range(len(made)):
            made[k] = function(x[k], y[k])

    def called(a, b):
        out = np.zeros_like(a)
        inside(a, b, out)
        return out

    return called


def of_one(function):
    @njit
    def inside(a, out):
        x, made = vec(a, LANES), vec(out, LANES)
        for k in range(len(made)):
            made[k] = function(x[k])

    def called(a):
        out = np.zeros_like(a)
        inside(a, out)
        return out

    return called


SIGNS = ("add", "sub", "mul", "truediv")


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNS)
def test_operators_on_vectors_and_numbers(name):
    function = getattr(operator, name)
    assert (of_two(function)(A, B) == function(A, B)).all()

    right, left = njit(lambda x: function(x, NUMBER)), njit(lambda x: function(NUMBER, x))
    assert (of_one(right)(A) == function(A, NUMBER)).all()
    assert (of_one(left)(A) == function(NUMBER, A)).all()


@pytest.mark.parametrize("name", ["iadd", "isub", "imul"])
def test_operators_in_place(name):
    function = getattr(operator, name)
    assert (of_two(njit(lambda x, y: function(x, y)))(A, B) == function(A.copy(), B)).all()


def test_whole_numbers_act_as_numbers():
    assert (of_one(njit(lambda x: x * 3))(A) == A * np.float32(3)).all()
    assert (of_one(njit(lambda x: 2 - x))(A) == np.float32(2) - A).all()


def test_least_most_and_above_with_nan():
    a = np.array([[1, 2, np.nan, 1, -np.inf, np.inf, 0, -3]], "float32")
    b = np.array([[2, 1, 1, np.nan, 5, 5, 0, -3]], "float32")
    first_is_nan = np.isnan(a)
    kept = np.where(np.isnan(b), a, b)
    for ours, numpys in ((least, np.minimum), (most, np.maximum)):
        expected = np.where(first_is_nan, np.nan, numpys(a, kept))
        np.testing.assert_array_equal(of_two(ours)(a, b), expected)
    np.testing.assert_array_equal(of_two(above)(a, b), (a > b).astype("float32"))


def test_only_is_0_where_the_mask_is_whatever_else_is_there():
    mask = np.array([[1, 0, 0, 0, np.nan, 2, -1, 0]], "float32")
    x = np.array([[np.inf, np.inf, np.nan, -np.inf, 3, np.nan, 4, 5]], "float32")
    expected = np.where(mask != 0, x, 0)
    np.testing.assert_array_equal(of_two(only)(mask, x), expected)


def test_functions_of_one_vector():
    np.testing.assert_array_equal(of_one(sqrt)(abs(A)), np.sqrt(abs(A)))
    np.testing.assert_array_equal(of_one(magnitude)(A), abs(A))
    halves = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.6, -2.6]], "float32")
    np.testing.assert_array_equal(of_one(rounded)(halves), np.rint(halves))


def test_exponent_mantissa_and_scaled():
    x = (np.abs(A) * 10.0 ** RNG.integers(-30, 30, A.shape)).astype("float32")
    half, power = np.frexp(x)
    np.testing.assert_array_equal(of_one(mantissa)(x), 2 * half)
    np.testing.assert_array_equal(of_one(exponent)(x), power - 1)
    powers = np.resize(np.array([-126, -3, 0, 1, 17, 127], "float32"), A.shape)
    np.testing.assert_array_equal(of_two(scaled)(A, powers), np.ldexp(A, powers.astype(int)))


def test_chosen_takes_also_where_the_mask_is_nan_and_keeps_no_nan_of_the_other():
    mask = np.array([[0, 1, -1, np.nan, 0, 0.5, 0, 1]], "float32")
    one = np.where(mask == 0, np.nan, 7).astype("float32")

    @njit
    def inside(mask, one, out):
        vec(out, LANES)[0] = chosen(vec(mask, LANES)[0], vec(one, LANES)[0], vec(out, LANES)[0])

    out = np.full_like(mask, 3)
    inside(mask, one, out)
    np.testing.assert_array_equal(out, np.where(mask == 0, 3, 7))


def test_spread_and_stack():
    @njit
    def inside(x, out):
        rows = stack(5, LANES)
        for k in range(5):
            rows[k] = spread(x + k, LANES)
        for k in range(5):
            vec(out, LANES)[k] = rows[4 - k]

    out = np.zeros((5, LANES), "float32")
    inside(1.5, out)
    np.testing.assert_array_equal(out, np.repeat([[5.5], [4.5], [3.5], [2.5], [1.5]], LANES, 1))


def test_vec_views_arrays_of_any_depth():
    @njit
    def inside(a):
        x = vec(a, LANES)
        x[1, 2] = x[0, 1] * np.float32(2)
        return x.shape

    a = RNG.normal(size=(2, 3, LANES)).astype("float32")
    expected = a.copy()
    expected[1, 2] = 2 * a[0, 1]
    assert inside(a) == (2, 3)
    np.testing.assert_array_equal(a, expected)


def test_fetch_reads_behind_the_address_of_each_lane():
    @njit
    def inside(addresses, offset, out):
        vec(out, LANES)[0] = fetch(addresses, offset, LANES)

    arrays = [RNG.normal(size=6).astype("float32") for _ in range(LANES)]
    out = np.zeros((1, LANES), "float32")
    for offset in range(6):
        inside(np.array([one.ctypes.data for one in arrays]), offset, out)
        np.testing.assert_array_equal(out[0], [one[offset] for one in arrays])


def test_gather_and_add_at_reach_a_row_of_their_own_in_each_lane():
    @njit
    def inside(array, row, more, out):
        vec(out, LANES)[0] = gather(array, row, more, LANES)
        add_at(array, row, more, vec(out, LANES)[0])

    array = RNG.normal(size=(9, LANES)).astype("float32")
    more, lanes, out = RNG.integers(0, 6, LANES), np.arange(LANES), np.zeros((1, LANES), "float32")
    expected = array.copy()
    expected[2 + more, lanes] *= 2
    found = array[2 + more, lanes]
    inside(array, 2, more, out)
    np.testing.assert_array_equal(out[0], found)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("name", ["least", "most", "above"])
def test_outside_of_compiled_functions_there_are_none(name):
    with pytest.raises(NotImplementedError, match="compiled"):
        getattr(simd, name)(A, B)
