"""The two interfaces of a learner.

`Learner` updates a network, `GradientLearner` gives gradients.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keras import ops, tree

from lstmlab.errors import refusal
from lstmlab.typing import Cell, Head, Nest, Net, Tensor
from lstmlab.unroll import unroll

Found = tuple[Tensor, Tensor, list]  # loss [], prediction [B, T, K], gradients


class Batch(NamedTuple):
    """What a learner is given at one time.

    x: inputs [B, T, F]. y: targets [B, T, K]. w: weight of the error at each step [B, T].
    begins: None for whole sequences; for pieces of streams, which rows begin a sequence, bool [B].
    """

    x: Tensor
    y: Tensor
    w: Tensor
    begins: Tensor | None = None


@dataclass(frozen=True)
class Traits:
    """What other parts of the library need to know about a learner.

    stochastic: Whether two calls with the same batch give different results.
    whole_set: Whether a batch must be the whole training set.
    streams: Whether sequences may come in pieces, with the learner's memory carried over.
    horizon: The largest number of steps over which an error is propagated back, or None for no
        bound.
    filters: Arguments of GatedCell.step with which the derivatives of the cell are those that the
        learner uses within `horizon` steps: {} for the exact ones, None if no argument gives them.
    exact_case: Arguments of GatedCell with which the learner equals BPTT; conformance tests use it.
    """

    stochastic: bool = False
    whole_set: bool = False
    streams: bool = False
    horizon: int | None = None
    filters: Mapping[str, Any] | None = None
    exact_case: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a learner adds to the records of a run after each window.

    row: Columns of the result row.
    history: Columns of history.csv for the window, which are also scalars in TensorBoard.
    net: The table of a network that has grown: columns to, from, weight; empty if there is to be no
        net.csv.
    """

    row: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, float] = field(default_factory=dict)
    net: Mapping[str, list] = field(default_factory=dict)


class Learner(abc.ABC):
    """Turns errors into weight changes; separate from the cell, so networks may share a learner.

    A learner changes the weights of the network that it is given and keeps whatever else it must
    remember in a state: a nested structure of tensors, which `init` makes and `update` replaces.
    The entry "window" of a state counts what has happened since the last report; the model sets it
    to zero after each report. The entry "carried" holds the memory of streams.
    """

    traits = Traits()
    older_names: Mapping[str, str] = {}  # entries of the state -> their names in older files

    def check(self, cell: Cell) -> None:  # noqa: B027 - most refuse nothing
        """Raise ValueError if this learner does not support the cell.

        Called before anything is built.
        """

    def check_task(self, task: Any) -> None:  # noqa: B027 - as well
        """Raise ValueError if this learner cannot learn the task. Called before training."""

    def check_chunk(self, steps: int) -> None:
        """Raise ValueError if sequences cannot come in pieces of this many steps."""
        if not self.traits.streams:
            raise refusal(
                type(self).__name__,
                "trainer.chunk=null, or a learner that goes forward: this one goes back to the "
                "beginning of a sequence",
                {"trainer.chunk": steps},
            )

    def layers(self, net: Net) -> dict[str, Any]:
        """Return built layers that the network needs besides cell and head, by name.

        The model keeps them as attributes of these names, trains and saves them; `net.part(name)`
        returns them. Raises ValueError for a network that this learner does not support.
        """
        return {}

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return the state before training.

        It may set the network's weights to their initial values.

        Args:
            net: The network, built, with the learner's `layers`.
            streams: The number of streams whose pieces will be learned from; None for whole
            sequences.

        Raises:
            ValueError: If the learner does not support the network.
        """
        return {}

    @abc.abstractmethod
    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        """Change the network's weights by one batch.

        Returns:
            The state after it, the loss [], and the prediction [B, T, K] made on the way.
        """

    def predict(self, net: Net, state: dict, x: Tensor) -> Tensor:
        """Return the prediction [B, T, K] for x [B, T, F] on which the network is judged."""
        return net.head(forward(net.cell, x), x)

    @property
    def answers_alone(self) -> bool:
        """Whether `predict` reads the outputs of the cell by the head, and nothing else."""
        return type(self).predict is Learner.predict

    def report(self, net: Net, state: dict) -> Report:
        """Return what this learner adds to the records of the run; called after each window.

        Raises:
            FloatingPointError: If what the learner carries forward has exploded.
        """
        return Report()


class GradientLearner(Learner):
    """A learner that only computes gradients: the weights change once per batch."""

    @abc.abstractmethod
    def gradients(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        """Return loss, prediction and the gradients of head.error(y, prediction, w).

        Args:
            cell: The cell, built.
            head: The head, built.
            x: Inputs [B, T, F].
            y: Targets [B, T, K].
            w: Weight of the error at each step [B, T].
            states: States in which the cell begins; None for its zero state. The learner knows
                nothing of what came before.

        Returns:
            loss [], prediction [B, T, K], and the gradients, summed over the batch, in the order
            cell.trainable_variables + head.trainable_variables.
        """

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        loss, prediction, gradients = self.gradients(net.cell, net.head, *batch[:3])
        net.apply(gradients)
        return state, loss, prediction


def giving_gradients(learner: Learner) -> GradientLearner:
    """Return the learner. Raises ValueError if it does not give gradients of cell and head."""
    if isinstance(learner, GradientLearner):
        return learner
    raise refusal("learner", "one that gives gradients of cell and head", type(learner).__name__)


# ---- a cell over time


def initial_states(cell: Cell, batch: int, states: Nest = None) -> list:
    """Return the cell's states as a flat list: those given, or its zero state."""
    return tree.flatten(cell.get_initial_state(batch_size=batch) if states is None else states)


def packed(cell: Cell, batch: int, states: list) -> Nest:
    """Return a flat list of states in the structure that the cell takes."""
    return tree.pack_sequence_as(cell.get_initial_state(batch_size=batch), states)


def forward(cell: Cell, x: Tensor, states: Nest = None) -> Tensor:
    """Return the cell's outputs [B, T, n] for x [B, T, F].

    Args:
        cell: Any Keras cell.
        x: Inputs [B, T, F].
        states: States in which the cell begins; None for its zero state.
    """
    batch = x.shape[0] if x.shape[0] is not None else ops.shape(x)[0]
    initial = cell.get_initial_state(batch_size=batch)

    def step(x_t: Tensor, states: list) -> tuple[Tensor, list]:
        output, states = cell(x_t, tree.pack_sequence_as(initial, states))
        return output, tree.flatten(states)

    return unroll(step, tree.flatten(initial if states is None else states), x)[0]
