"""The validators: what each returns, and the whole of what it says where it refuses."""

from fractions import Fraction

import numpy as np
import pytest

from lstmlab.checks import flag, integer, number, one_of, seed

NAN, INF = float("nan"), float("inf")
NOT_WHOLE = [1.5, 2.0, NAN, INF, True, False, "2", "", None, [2], 2j]
NOT_REAL = [NAN, INF, -INF, np.float32("nan"), True, False, "0.5", "", None, [0.5], 1j]


def refused(expected: str, check, value, *arguments, **settings) -> None:
    """`check` refuses the value, in exactly these words."""
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        check("Some", "task.p", value, *arguments, **settings)
    assert str(e.value) == f"Some: expected {expected}. Received: task.p={value!r}"


def returned(check, value, *arguments, **settings):
    return check("Some", "task.p", value, *arguments, **settings)


INTEGERS = [  # bounds, how they are said, what lies within, what lies beyond
    ((), "a positive integer", [1, 2, 10**30], [0, -1]),
    ((0,), "an integer >= 0", [0, 1], [-1]),
    ((2,), "an integer >= 2", [2, 3], [1, 0, -2]),
    ((-3,), "an integer >= -3", [-3, 0], [-4]),
    ((1, 8), "an integer in 1..8", [1, 5, 8], [0, 9]),
    ((-2, 2), "an integer in -2..2", [-2, 0, 2], [-3, 3]),
    ((0, 0), "an integer in 0..0", [0], [-1, 1]),
]


@pytest.mark.parametrize(("bounds", "expected", "within", "beyond"), INTEGERS)
def test_integers(bounds, expected, within, beyond):
    for value in within:
        found = returned(integer, value, *bounds)
        assert (type(found), found) == (int, value)
    for value in beyond + NOT_WHOLE:
        refused(expected, integer, value, *bounds)


def test_integers_of_numpy_become_python_s():
    for kind in (np.int64, np.uint8):
        found = returned(integer, kind(3))
        assert (type(found), found) == (int, 3)
    refused("a positive integer", integer, np.int32(0))
    refused("a positive integer", integer, np.bool_(True))


NUMBERS = [  # bounds, how they are said, what lies within, what lies beyond
    ({}, "a number", [-1e300, 0, 1e300], []),
    ({"least": 0}, "a number >= 0", [0, 1e-300, 5], [-1e-300, -1]),
    ({"above": 0}, "a number > 0", [1e-300, 5], [0, 0.0, -1]),
    ({"most": 1}, "a number <= 1", [1, -7], [1.5, 2]),
    ({"below": 1}, "a number < 1", [0.999, -7], [1, 1.0, 2]),
    ({"least": 0, "most": 1}, "a number in [0, 1]", [0, 0.5, 1], [-0.1, 1.1]),
    ({"least": 0, "below": 1}, "a number in [0, 1)", [0, 0.5], [-0.1, 1, 1.1]),
    ({"above": 0, "most": 1}, "a number in (0, 1]", [0.5, 1], [-0.1, 0, 1.1]),
    ({"above": 0, "below": 1}, "a number in (0, 1)", [0.5], [-0.1, 0, 1, 1.1]),
    ({"least": -0.25, "most": 1e6}, "a number in [-0.25, 1e+06]", [-0.25, 1e6], [-0.26, 1e7]),
]


@pytest.mark.parametrize(("bounds", "expected", "within", "beyond"), NUMBERS)
def test_numbers(bounds, expected, within, beyond):
    for value in within:
        found = returned(number, value, **bounds)
        assert (type(found), found) == (float, value)
    for value in beyond + NOT_REAL:
        refused(expected, number, value, **bounds)


def test_bounds_by_position_are_least_and_most():
    assert returned(number, 0, 0, 1) == 0
    refused("a number in [0, 1]", number, 2, 0, 1)


def test_numbers_of_other_kinds_become_python_s():
    for value in (np.float32(0.5), np.float64(0.5), Fraction(1, 2)):
        found = returned(number, value)
        assert (type(found), found) == (float, 0.5)
    assert type(returned(number, np.int64(2))) is float
    refused("a number", number, np.bool_(True))


@pytest.mark.parametrize("check", [integer, number])
def test_none_where_it_is_optional_and_nowhere_else(check):
    kind = {integer: "an integer >= 2", number: "a number >= 2"}[check]
    assert returned(check, None, 2, optional=True) is None
    assert returned(check, 2, 2, optional=True) == 2
    refused(kind, check, None, 2)
    for value in (1, NAN, "null", False):
        refused(f"{kind} or null", check, value, 2, optional=True)


@pytest.mark.parametrize("check", [integer, number])
def test_the_reason_follows_what_was_expected(check):
    kind = {integer: "an integer in 0..4", number: "a number in [0, 4]"}[check]
    refused(f"{kind}, as many as steps", check, 5, 0, 4, why="as many as steps")
    refused(f"{kind} or null, or so", check, 5, 0, 4, why="or so", optional=True)
    assert returned(check, 4, 0, 4, why="as many as steps") == 4


def test_flags():
    assert returned(flag, True) is True
    assert returned(flag, False) is False
    for value in (0, 1, 1.0, "true", "", None, NAN, np.bool_(True), []):
        refused("true or false", flag, value)


def test_seeds():
    for value in (0, 7, 2**40):
        assert returned(seed, value) == value
    assert returned(seed, None) is None
    for value in (-1, 1.0, NAN, True, "7"):
        refused("an integer >= 0 or null", seed, value)


@pytest.mark.parametrize("value", [1, 1.0, True])
def test_1_and_1_0_and_true_are_three_values(value):
    every = (1, 1.0, True)
    assert returned(one_of, value, every) is value
    for other in every:
        if type(other) is type(value):
            assert returned(one_of, value, (other, "a")) is value
        else:
            refused(f"one of {(other, 'a')}", one_of, value, (other, "a"))


def test_one_of():
    allowed = (None, "a", 0, False)
    for value in allowed:
        assert returned(one_of, value, allowed) is value
    for value in ("b", "A", "", 0.0, True, 1, NAN, [], ["a"]):
        refused("one of (None, 'a', 0, False)", one_of, value, allowed)


def test_one_of_what_is_gone_through_once():
    """What is allowed may be any iterable; it is said as a tuple."""
    assert returned(one_of, "b", iter("ab")) == "b"
    assert returned(one_of, "b", {"a": 1, "b": 2}) == "b"
    refused("one of ('a', 'b')", one_of, "c", iter("ab"))
    refused("one of ()", one_of, "c", [])


def test_one_of_compares_by_value_and_not_by_place():
    word = "".join(["mse"])
    assert returned(one_of, word, ("mse", "crossentropy")) is word
    assert returned(one_of, 10**30, (10**30,)) == 10**30


def test_an_integer_too_large_for_a_float():
    refused("a number", number, 10**400)
    refused("a number > 0", number, -(10**400), above=0)
