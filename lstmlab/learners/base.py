"""Learner: the interface of every algorithm, and the forward pass that they share."""

import abc
from collections.abc import Callable

from keras import ops, tree

from lstmlab.unroll import unroll


class Learner(abc.ABC):
    """How gradients are computed: an object of its own, beside the cell. Stateless; any number of cells may use one."""

    @abc.abstractmethod
    def gradients(self, cell, head, x, y, w):
        """loss [], prediction [B, T, K], gradients in the order cell.trainable_variables + head.trainable_variables.

        x [B, T, F]; y [B, T, K]; w [B, T]: weight of the error at each step.
        The gradients are those of head.error(y, prediction, w), summed over the batch.
        """

    def check(self, cell) -> None:  # noqa: B027 - most learners serve every cell
        """Raise ValueError if this learner cannot serve the cell. Called before anything is traced."""

    def exact_case(self) -> dict:
        """Overrides of GatedCell under which this learner equals BPTT; the conformance test uses it."""
        return {}


def refuse_dropout(learner: Learner, cell) -> None:
    """Raise ValueError for a cell with dropout, or stacked cells with one."""
    for part in getattr(cell, "cells", [cell]):
        rates = {name: getattr(part, name, 0) for name in ("dropout", "recurrent_dropout")}
        if any(rates.values()):
            raise ValueError(
                f"{type(learner).__name__}: no dropout is applied here; expected dropout=0 and recurrent_dropout=0. "
                f"Received: {', '.join(f'{name}={rate}' for name, rate in rates.items())}"
            )


def forward(cell, x, see: Callable | None = None):
    """The cell's outputs [B, T, n] for x [B, T, F] from the zero state; `see` as in GatedCell.step (None: any Keras cell)."""

    def step(x_t, states):
        if see is None:
            output, states = cell(x_t, tree.pack_sequence_as(initial, states))
            return output, tree.flatten(states)
        values, states = cell.step(x_t, states, see=see)
        return values["output"], states

    batch = x.shape[0] if x.shape[0] is not None else ops.shape(x)[0]
    initial = cell.get_initial_state(batch_size=batch)
    outputs, _ = unroll(step, tree.flatten(initial), x)
    return outputs
