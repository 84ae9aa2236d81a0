"""Symbols found in inputs, against a search step by step."""

import numpy as np
import pytest

from lstmlab.native.symbols import codes_until


@pytest.fixture
def shown():
    """Inputs [5, 7, 20] with one line at 1, their codes, and how many steps count."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 20, (5, 7))
    return np.eye(20, dtype="float32")[codes], codes, np.array([7, 3, 1, 0, 5])


def test_codes_up_to_the_last_step_that_counts(shown):
    x, codes, last = shown
    found = codes_until(x, last)
    assert found.dtype == "int16"
    counts = np.arange(7) < last[:, None]
    np.testing.assert_array_equal(found, np.where(counts, codes, 0))


@pytest.mark.parametrize(
    ("at", "value"), [((4, 4), 0.0), ((4, 4), 0.5), ((4, 4), 2.0), ((1, 2), np.nan), ((0, 6), -1.0)]
)
def test_no_symbols(at, value, shown):
    x, codes, last = shown
    x[(*at, codes[at])] = value
    assert codes_until(x, last) is None


def test_two_lines_are_no_symbol_unless_they_do_not_count(shown):
    x, codes, last = shown
    x[4, 5, (codes[4, 5] + 1) % 20] = 1
    assert codes_until(x, last) is not None
    x[4, 4, (codes[4, 4] + 1) % 20] = 1
    assert codes_until(x, last) is None


def test_strided_and_read_only_inputs(shown):
    x, codes, _ = shown
    x.flags.writeable = False
    found = codes_until(x[::2, ::-1], np.full(3, 99))
    np.testing.assert_array_equal(found, codes[::2, ::-1])
