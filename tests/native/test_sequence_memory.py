"""Memory that the engine native lends again: which, and how much of it waits."""

import numpy as np
import pytest

from lstmlab.native.sequence import memory

LARGE = memory.LARGE


def held() -> int:
    """How many numbers wait."""
    return sum(size * len(some) for size, some in memory._waiting.items())


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(memory, "_waiting", {})
    monkeypatch.setattr(memory, "MOST", 8 * LARGE)


def test_an_array_is_aligned_and_lent_again_when_its_last_view_is_gone():
    array = memory.aligned(2, LARGE)
    view, place = array[1], array.ctypes.data
    assert place % 64 == 0
    del array
    assert held() == 0
    del view
    assert 2 * LARGE <= held() <= 2 * LARGE + 64
    assert memory.aligned(LARGE, 2).ctypes.data == place
    assert held() >= 2 * LARGE  # nobody held it


def test_no_more_waits_than_is_allowed():
    for parts in (7, 9, 1, 3, 100, 5, 2, 8):
        array = memory.aligned(parts, LARGE)
        del array
        assert held() <= memory.MOST
    several = [memory.aligned(3, LARGE) for _ in range(5)]
    several.clear()
    assert 0 < held() <= memory.MOST


def test_one_that_is_too_large_leaves_the_others():
    small, large = memory.aligned(LARGE), memory.aligned(9, LARGE)
    del small
    before = held()
    del large
    assert held() == before > 0


def test_small_ones_are_left_to_the_system():
    array = memory.aligned(LARGE // 2)
    np.testing.assert_equal(array.shape, (LARGE // 2,))
    del array
    assert held() == 0
