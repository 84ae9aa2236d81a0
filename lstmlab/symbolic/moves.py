"""Gates that move another gate, in symbols: the moved value, its slopes, and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstmlab.symbolic.symbols import Factor


class Move(NamedTuple):
    """What one gate makes of another.

    Attributes:
        latex: The equation of the moved gate.
        by_moved: Its derivative by the value before the move.
        by_mover: Its derivative by the gate that moves it.
        values: (moved gate before, mover) -> the values of the two derivatives.
    """

    latex: str
    by_moved: Factor
    by_mover: Factor
    values: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


MOVES = {
    "refine_gate": Move(  # (3) of GatedCell
        r"e_t = 2 r_t \odot f_t + (1 - 2 r_t) \odot f_t \odot f_t",
        Factor("refined by the forget gate", r"2 r_t + 2 (1 - 2 r_t) \odot f_t"),
        Factor("refined by the refine gate", r"2 f_t \odot (1 - f_t)"),
        lambda f, r: (2 * r + 2 * (1 - 2 * r) * f, 2 * f * (1 - f)),
    ),
}
