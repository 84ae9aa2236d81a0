"""Types that several rooms share: aliases, and the interfaces of a cell, a head and a network."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

Tensor = Any  # a backend tensor, or what Keras converts to one
Array = np.ndarray
Nest = Any  # tensors in nested lists, tuples and dictionaries


class Cell(Protocol):
    """One time step of a recurrent network: a Keras cell."""

    trainable_variables: list
    output_size: Any
    state_size: Any

    def __call__(self, inputs: Tensor, states: Nest) -> tuple[Tensor, Nest]:
        """Return the output [B, n] and the next states for x_t [B, F] and the states."""

    def get_initial_state(self, batch_size: int | None = None) -> Nest:
        """Return the zero state of a batch."""


class Head(Protocol):
    """A readout of the cell outputs, with the error it is trained on."""

    trainable_variables: list

    def __call__(self, cells: Tensor, inputs: Tensor = None) -> Any:
        """Return the prediction [..., K] for cell outputs [..., n] and inputs [..., F]."""

    def error(self, y: Tensor, prediction: Any, w: Tensor) -> Tensor:
        """Return the error of each sequence [B], summed over steps and outputs."""


class Net(Protocol):
    """A network as a learner sees it: weights to change, and a way to change them."""

    cell: Any
    head: Any
    features: int
    trainable_variables: list

    def apply(self, gradients: Sequence, change: Callable[[list], list] | None = None) -> None:
        """Change the weights once by gradients in the order of `trainable_variables`.

        Args:
            gradients: One tensor for each trainable weight.
            change: Called with the gradients after regularizers are added; returns those to use.
        """

    def part(self, name: str) -> Any:
        """Return what the learner asked for under that name with `Learner.layers`."""
