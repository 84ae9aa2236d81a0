"""Memory is kept for as long as a training lasts."""

import numpy as np

from lstmlab.trainers import memory


def test_thresholds_go_back(monkeypatch):
    told = []

    class Library:
        def mallopt(self, what, value):
            told.append((what, value))

        def malloc_trim(self, rest):
            told.append("trim")

    monkeypatch.setattr(memory, "_glibc", lambda: Library())
    with memory.kept():
        assert told == [(memory.MMAP, memory.LARGE), (memory.TRIM, memory.LARGE)]
    assert told[2:] == [(memory.MMAP, memory.USUAL), (memory.TRIM, 2 * memory.USUAL), "trim"]


def test_without_the_gnu_library_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept():
        assert np.zeros(2**20).sum() == 0


def test_the_library_of_this_machine():
    with memory.kept():
        assert np.zeros(2**22).sum() == 0
