"""What both ways into the kernels share: kernels of a cell, and how a layer goes through them."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from lstmlab.cells.fingerprint import fingerprint
from lstmlab.native.sequence.kernels import Kernels

NO_SECOND = (
    "GatedRNN: the engine 'native' has no second derivatives. Take GatedRNN(..., engine='xla')"
)
_kernels: WeakKeyDictionary[Any, tuple[tuple, Kernels]] = WeakKeyDictionary()


def kernels(cell: Any, features: int) -> Kernels:
    """The kernels of a built cell as it is switched now; kept until a switch is changed."""
    now = features, fingerprint(cell)
    before, made = _kernels.get(cell, (None, None))
    if made is None or before != now:
        made = Kernels(cell, features)
        _kernels[cell] = now, made
    return made


class Order(NamedTuple):
    """How a layer goes through its sequences.

    Attributes:
        every: Whether all outputs are wanted, or only the last.
        backwards: From the last step to the first.
        zero: Whether the output of a masked step is 0.
    """

    every: bool
    backwards: bool
    zero: bool

    def masks(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where there is an input, and where an output counts, in the order of processing.

        A masked step repeats the output of the step before, and is 0 where there is none.
        """
        valid = np.ascontiguousarray(mask[:, ::-1] if self.backwards else mask)
        return valid, valid if self.zero else np.logical_or.accumulate(valid, axis=1)
