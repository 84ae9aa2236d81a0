"""Bring weights to their places in tiles, and gradients back: without Python's lock.

A weight that is not there is -0.0: see `products`. One that is -0.0 becomes 0.0.
"""

SOURCE = """
import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def kernel(values, places, into, low, high):
    for k in range(low, high):
        into[k] = values[places[k]] + np.float32(0.0) if places[k] >= 0 else np.float32(-0.0)
"""

SUM = """
import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def kernel(values, places, into, low, high):
    for k in range(low, high):
        total = np.float32(0)
        for n in range(values.shape[0]):
            total += values[n, places[k]]
        into[k] = total
"""
