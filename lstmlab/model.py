"""Recurrent: cell, head and learner as one Keras model; SequenceLog: what it saw in a window."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.heads import Head, OutputUnits
from lstmlab.learners.base import Batch, Learner, Report
from lstmlab.learners.states import Kept
from lstmlab.typing import Array, Tensor

__all__ = ["Head", "OutputUnits", "Recurrent", "SequenceLog"]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "lstmlab: models and learners run on the TensorFlow backend of Keras; expected "
        f"KERAS_BACKEND=tensorflow. Received: backend={keras.backend.backend()!r}"
    )


class SequenceLog(keras.metrics.Metric):
    """Keep targets, predictions and error weights of every sequence of a window.

    Kept are the steps where there is an error. A stock metric keeps a mean; a criterion over "the
    last 2000 sequences" needs each of them.

    Args:
        length: Sequences per window.
        readouts: The largest number of steps with an error in one sequence.
        outputs: K.
        **kwargs: As keras.metrics.Metric takes them.
    """

    def __init__(self, length: int, readouts: int, outputs: int, **kwargs: Any):
        super().__init__(name="sequences", **kwargs)
        self.readouts, self.outputs = readouts, outputs
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", name="count")
        self.rows = self.add_weight(
            shape=(length, readouts, 2 * outputs + 1), initializer="zeros", name="rows"
        )

    def update_state(self, y: Tensor, prediction: Tensor, w: Tensor) -> None:
        steps = tf.sort(tf.math.top_k(w, self.readouts, sorted=False).indices, axis=1)
        row = ops.concatenate([y, prediction, w[..., None]], axis=-1)
        row = ops.cast(tf.gather(row, steps, batch_dims=1), self.rows.dtype)
        start = ops.stack([self.count.value, tf.constant(0), tf.constant(0)])
        self.rows.assign(ops.slice_update(self.rows.value, start, row))
        self.count.assign_add(row.shape[0])

    def reset_state(self) -> None:
        self.count.assign(0)

    def result(self) -> Tensor:
        return self.count

    def put(self, y: Array, prediction: Array, w: Array) -> None:
        """Hold these sequences, [N, readouts, K] and [N, readouts], as if they had been seen."""
        self.rows.assign(np.concatenate([y, prediction, w[..., None]], axis=-1))
        self.count.assign(len(w))

    def read(self) -> tuple[Array, Array, Array]:
        """Return y, prediction [N, readouts, K] and w [N, readouts] of the window so far."""
        rows = self.rows.numpy()[: int(self.count.value)]
        return rows[..., : self.outputs], rows[..., self.outputs : -1], rows[..., -1]


class Recurrent(keras.Model):
    """A Keras model of a cell, a head and a learner: stock fit and predict, the learner's updates.

    Inputs x [B, T, F], targets y [B, T, K], sample weights w [B, T]; B and T are static.

    Args:
        cell: A Keras cell.
        head: The readout.
        learner: What changes the weights.
        features: The number of input features F.
        log: The SequenceLog of training, one window long.

    Attributes:
        learner_state: The learner's state, in variables; it is saved with the weights.

    Raises:
        ValueError: If the learner does not support the cell or the head.
    """

    def __init__(
        self,
        cell: Any,
        head: Any,
        learner: Learner,
        features: int,
        log: SequenceLog | None = None,
    ):
        super().__init__()
        learner.check(cell)
        self.cell, self.head, self.learner, self.log = cell, head, learner, log
        self.features = features
        if not cell.built:
            cell.build((None, features))
        if not head.built:
            head.build((None, cell.output_size), (None, features))
        self.built = True

        for name, layer in learner.layers(self).items():
            setattr(self, name, layer)
        self.learner_state = Kept(learner.init(self))
        self._answer = tf.function(self.call, jit_compile=True, autograph=False)

    def call(self, x: Tensor) -> Tensor:
        return self.learner.predict(self, self.learner_state.read(), x)

    def answers(self, x: Array) -> Array:
        """Return predictions [B, T, K] for x [B, T, F], both NumPy.

        One compiled call, compiled once per shape, without the overhead of `predict`.
        """
        return self._answer(tf.constant(x)).numpy()

    # ---- training

    def carry(self, batch: int, steps: int) -> None:
        """Train on streams from now on, which come in pieces of this many steps, `batch` at a time.

        Raises:
            ValueError: If the learner cannot carry on from a piece.
        """
        self.learner.check_chunk(steps)
        state = self.learner.init(self, streams=batch)
        self.learner_state = Kept({**state, **self.learner_state.read()})

    def train_step(self, data: tuple) -> dict[str, Tensor]:
        _, y, w, *_ = data
        loss, prediction = self.learn(*data)
        if self.log is not None:
            self.log.update_state(y, prediction, w)
        return {"loss": loss}

    def learn(
        self, x: Tensor, y: Tensor, w: Tensor, begins: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Let the learner change weights and its state by one batch; return loss and prediction.

        begins: For streams, which rows begin a sequence, bool [B].
        """
        before = self.learner_state.read()
        state, loss, prediction = self.learner.update(self, before, Batch(x, y, w, begins))
        self.learner_state.assign(state, before)
        return loss, prediction

    def report(self) -> Report:
        """Return what the learner adds to the records of the window, and begin a new window.

        Raises:
            FloatingPointError: If what the learner carries forward has exploded.
        """
        state = self.learner_state.read()
        report = self.learner.report(self, state)
        if "window" in state:
            window = tf.nest.map_structure(tf.zeros_like, state["window"])
            self.learner_state.assign({**state, "window": window}, state)
        return report

    # ---- the network as the learner sees it

    def part(self, name: str) -> Any:
        """Return what the learner asked for under that name with `Learner.layers`."""
        return getattr(self, name)

    def apply(self, gradients: Sequence, change: Callable[[list], list] | None = None) -> None:
        """Change the weights once, by the optimizer.

        Args:
            gradients: In the order of trainable_variables, without regularizers.
            change: Called with the gradients after regularizers are added; returns those to use.
        """
        gradients = self._regularised(list(gradients))
        gradients = gradients if change is None else change(gradients)
        self.optimizer.apply(gradients, self.trainable_variables)

    def _regularised(self, gradients: list) -> list:
        """The learner's gradients plus those of the weights' regularizers."""
        weights = [weight.value for weight in self.trainable_variables]
        if not any(weight.regularizer for weight in self.trainable_variables):
            return gradients
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            penalty = tf.add_n(self.losses)
        added = tape.gradient(penalty, weights, unconnected_gradients="zero")
        return [gradient + more for gradient, more in zip(gradients, added, strict=True)]

    @property
    def weight_names(self) -> list[str]:
        """Names of the trainable weights, in the order of the learner's gradients."""
        return [weight.name for weight in self.trainable_variables]

    # ---- files of weights

    def save_own_variables(self, store: Any) -> None:
        """Save the learner's state next to the weights of the layers."""
        for name, variable in self._saved().items():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load the learner's state; what an older file does not have stays as it is."""
        known, older = set(store.keys()), self.learner.older_names
        for name, variable in self._saved().items():
            found = name if name in known else older.get(name)
            if found in known:
                variable.assign(np.asarray(store[found]))

    def _saved(self) -> dict[str, tf.Variable]:
        """The variables of the learner's state by name, all but the memory of streams."""
        named = tree.flatten_with_path(self.learner_state.variables)
        return {
            ".".join(map(str, path)): variable for path, variable in named if path[0] != "carried"
        }
