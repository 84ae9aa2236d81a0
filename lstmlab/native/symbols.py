"""Find symbols in inputs: one pass, up to the last step that counts, without Python's lock."""

from __future__ import annotations

import numpy as np

from lstmlab.native.compiled import compiled

SOURCE = """
import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def kernel(x, last, codes):
    for n in range(x.shape[0]):
        for t in range(last[n]):
            many, place = np.int32(0), np.int32(0)
            for f in range(x.shape[2]):
                shown = np.int32(x[n, t, f] != 0)
                many += shown
                place += shown * np.int32(f)
            if many != 1 or x[n, t, place] != 1:
                return False
            codes[n, t] = place
    return True
"""


def codes_until(x: np.ndarray, last: np.ndarray) -> np.ndarray | None:
    """Which input is 1 at each of the first `last` steps, int16 [n, T]; 0 at later steps.

    Args:
        x: Inputs [n, T, F].
        last: Steps of each sequence that count, whole numbers [n].

    Returns:
        The codes, or None unless exactly one input is 1 at each of these steps, all others being 0.
    """
    x = np.ascontiguousarray(x, "float32")
    last = np.minimum(last, x.shape[1]).astype("int64")
    codes = np.zeros(x.shape[:2], "int16")
    return codes if compiled(SOURCE)(x, last, codes) else None
