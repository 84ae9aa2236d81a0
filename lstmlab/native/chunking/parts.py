"""Networks as a kernel takes them: arrays of their weights, and of their last steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lstmlab.native.writing import LANES

KINDS = {"linear": 0, "sigmoid": 1, "tanh": 2, "g1997": 3, "h1997": 4}

SEQUENCES, BAD, ERROR, BEST, TOP = range(5)  # what ChunkerLevels remembers of its growth


class Weights(NamedTuple):
    """Weights of the sums W x + R y + b.

    from_inputs: W^T [F, m], or [0, m]. from_cells: R^T [n, m]. bias: b [1, m], or [0, m].
    """

    from_inputs: np.ndarray
    from_cells: np.ndarray
    bias: np.ndarray


class Cell(NamedTuple):
    """Cells without gates.

    now: Their weights. into: Where changes are added: the weights, or velocities. kind: A value of
    KINDS, of the activation.
    """

    now: Weights
    into: Weights
    kind: int


class Readout(NamedTuple):
    """Outputs; the first three as for Cell.

    output: [1, K padded]. slopes: derivatives of the error for each sum [1, K].
    """

    now: Weights
    into: Weights
    kind: int
    output: np.ndarray
    slopes: np.ndarray


class Network(NamedTuple):
    """A network, and the last h steps that it has taken.

    lines, value: which inputs are not 0, and what they are [h, F]. many: how many [h].
    taken: how many of the h steps there are [1]. hidden: y after each, the first before them
    [h + 1, n padded]. slopes: derivatives of the error for each sum [h, n]. error: for y [1, n].
    """

    cell: Cell
    head: Readout
    lines: np.ndarray
    value: np.ndarray
    many: np.ndarray
    taken: np.ndarray
    hidden: np.ndarray
    slopes: np.ndarray
    error: np.ndarray


class PairSettings(NamedTuple):
    """Of SequenceChunker. high: 1 - threshold. system: who is judged."""

    threshold: np.float32
    high: np.float32
    momentum: np.float32
    distill_weight: np.float32
    system: bool


class LevelSettings(NamedTuple):
    """Of ChunkerLevels. high: 1 - threshold. enough: 1 - improvement."""

    threshold: np.float32
    high: np.float32
    momentum: np.float32
    levels: int
    window: int
    patience: int
    enough: np.float32


class Parts:
    """Makes the parts of one trial from the layers of a model.

    Args:
        model: Built; its trainable weights stand in theta in their order.
        theta: Weights of the trial [P].
        into: Where changes are added [P]; theta itself, or velocities.
        kinds: Of the activations of cells and outputs, see KINDS.
    """

    def __init__(self, model: Any, theta: np.ndarray, into: np.ndarray, kinds: tuple[int, int]):
        self.theta, self.into, self.kinds = theta, into, kinds
        self.places, first = {}, 0
        for weight in model.trainable_variables:
            self.places[id(weight)] = first
            first += int(np.prod(weight.shape))

    def network(self, cell: Any, head: Any, horizon: int) -> Network:
        features, units = cell.kernel.shape
        weights = cell.kernel, cell.recurrent_kernel, cell.bias
        made = Cell(*self._twice(weights, units), self.kinds[0])
        return Network(
            made,
            self.readout(head, units),
            lines=np.zeros((horizon, features), "int64"),
            value=np.zeros((horizon, features), "float32"),
            many=np.zeros(horizon, "int64"),
            taken=np.zeros(1, "int64"),
            hidden=np.zeros((horizon + 1, _padded(units)), "float32"),
            slopes=np.zeros((horizon, units), "float32"),
            error=np.zeros((1, units), "float32"),
        )

    def readout(self, head: Any | None, units: int) -> Readout:
        """The outputs of a head; none without a head."""
        outputs = 0 if head is None else head.outputs
        if head is None:
            none = Weights(*(np.zeros((rows, 0), "float32") for rows in (0, units, 0)))
            twice = none, none
        else:
            twice = self._twice((head.shortcut_kernel, head.kernel, head.bias), outputs)
        output = np.zeros((1, _padded(outputs)), "float32")
        return Readout(*twice, self.kinds[1], output, np.zeros((1, outputs), "float32"))

    def _twice(self, weights: tuple, width: int) -> tuple[Weights, Weights]:
        now, into = (
            Weights(*(self._view(one, flat, width) for one in weights))
            for flat in (self.theta, self.into)
        )
        return now, into

    def _view(self, weight: Any | None, flat: np.ndarray, width: int) -> np.ndarray:
        if weight is None:
            return np.zeros((0, width), "float32")
        first = self.places[id(weight)]
        return flat[first : first + int(np.prod(weight.shape))].reshape(-1, width)


def _padded(count: int) -> int:
    """Numbers are squashed LANES at a time: rows of what is squashed are as long."""
    return -(-count // LANES) * LANES
