"""Vectors: the angle between two of them."""

import numpy as np


def angle(u: np.ndarray, v: np.ndarray) -> float:
    """Degrees between two vectors, to full precision for small angles.

    90 if one of them is zero, 0 if both are.
    """
    lengths = np.linalg.norm(u), np.linalg.norm(v)
    if not all(lengths):
        return 90.0 if any(lengths) else 0.0

    # not the arccos of a product, which takes a small angle for 0
    u, v = u / lengths[0], v / lengths[1]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))
