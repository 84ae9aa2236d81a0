"""Memory for arrays that come and go with every training step.

The system clears what it hands out, page by page, which takes a fifth of the time of a step where
its arrays are large. So large ones are lent again when nobody holds them any more.
"""

from __future__ import annotations

import numpy as np

LARGE = 1 << 18  # numbers; below, the C library keeps memory by itself
MOST = 1 << 28  # numbers that wait to be lent: 1 GiB

_waiting: dict[int, list[np.ndarray]] = {}  # by size


class _Lent:
    """What an array is made on; it gives its memory back when the last view of it is gone."""

    def __init__(self, size: int):
        try:
            self.memory = _waiting[size].pop()
        except (KeyError, IndexError):
            self.memory = np.empty(size, "float32")
        self.__array_interface__ = self.memory.__array_interface__

    def __del__(self) -> None:
        if self.memory.size > MOST:
            return
        if self.memory.size + sum(size * len(some) for size, some in list(_waiting.items())) > MOST:
            _waiting.clear()
        _waiting.setdefault(self.memory.size, []).append(self.memory)


def aligned(*shape: int) -> np.ndarray:
    """An array, float32, that begins with a line of the cache: TensorFlow takes it as it is."""
    size = int(np.prod(shape)) + 16
    memory = np.asarray(_Lent(size)) if size >= LARGE else np.empty(size, "float32")
    first = (-memory.__array_interface__["data"][0] % 64) // 4
    return memory[first : first + size - 16].reshape(shape)
