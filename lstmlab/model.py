"""Head (readout and error) and Recurrent (cell, head and learner as one Keras model)."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from lstmlab.cells.gates import squashing, squashing_config
from lstmlab.cells.initializers import apart, bias_config, bias_from_config, bias_initializer
from lstmlab.learners.base import Learner, OnLine

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "lstmlab: models and learners run on the TensorFlow backend of Keras; expected KERAS_BACKEND=tensorflow. "
        f"Received: backend={keras.backend.backend()!r}"
    )


@keras.saving.register_keras_serializable("lstmlab")
class Head(keras.Layer):
    """Readout y^k_t = activation(W y_t + b) from the cell outputs alone, and the error it is trained on.

    outputs: K. activation: a Keras activation name, 'g1997', 'h1997' or a callable ('sigmoid' in all of 1997).
    bias: its initial value as in Gate, or None for no bias weight. kernel_initializer: as Keras layers name it.
    shortcuts: True adds weights from the inputs x_t to the outputs (connections "B" of the same table).
    loss: 'squared', half the squared error as in 1997, or 'crossentropy', with softmax (categorical) or sigmoid.
    prime_offset: a number c >= 0 added to the slope of a sigmoid output, e_k = (f'(net_k) + c) (target_k - y_k), against the
    flat ends of the sigmoid. It is the gradient of the error with c times the cross-entropy added, and is written so.
    Raises ValueError for other values, for a prime_offset without a sigmoid, and for crossentropy with another activation.
    Source: Hochreiter & Schmidhuber 1997, eq. 9, with the connections "F" of its Table 10; prime_offset: Fahlman 1988.
    """

    def __init__(
        self,
        outputs: int,
        activation="linear",
        bias=0.0,
        kernel_initializer="glorot_uniform",
        shortcuts: bool = False,
        prime_offset: float = 0.0,
        loss: str = "squared",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
            raise ValueError(f"Head: expected a positive integer. Received: outputs={outputs!r}")
        self.outputs = outputs
        self.activation = squashing("Head", "activation", activation)
        self.initial_bias = bias
        if isinstance(bias, (list, tuple)) and len(bias) != outputs:
            raise ValueError(
                f"Head: expected {outputs} numbers, one per output. Received: bias={list(bias)}"
            )
        self.bias_initializer = bias_initializer("Head", "bias", bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if not isinstance(shortcuts, bool):
            raise ValueError(f"Head: expected true or false. Received: shortcuts={shortcuts!r}")
        if (
            isinstance(prime_offset, bool)
            or not isinstance(prime_offset, (int, float))
            or not prime_offset >= 0
        ):
            raise ValueError(
                f"Head: expected a number >= 0. Received: prime_offset={prime_offset!r}"
            )
        if prime_offset and self.activation is not keras.activations.sigmoid:
            raise ValueError(
                f"Head: prime_offset needs activation='sigmoid'. Received: prime_offset={prime_offset!r}"
            )
        if loss not in ("squared", "crossentropy"):
            raise ValueError(f"Head: expected 'squared' or 'crossentropy'. Received: loss={loss!r}")
        if loss == "crossentropy" and self.activation not in (
            keras.activations.softmax,
            keras.activations.sigmoid,
        ):
            raise ValueError(
                f"Head: loss='crossentropy' needs a softmax or a sigmoid. Received: activation={activation!r}"
            )
        self.shortcuts, self.prime_offset, self.loss = shortcuts, float(prime_offset), loss

    def build(self, cells_shape, inputs_shape=None) -> None:
        initial, initial_shortcut, initial_bias = apart(
            [self.kernel_initializer, self.kernel_initializer, self.bias_initializer]
        )
        self.kernel = self.add_weight(
            shape=(cells_shape[-1], self.outputs), initializer=initial, name="head_kernel"
        )
        self.shortcut_kernel = self.bias = None
        if self.shortcuts:
            if inputs_shape is None:
                raise ValueError(
                    "Head: shortcuts lead from the inputs; expected them as well. Received: inputs=None"
                )
            shape = (inputs_shape[-1], self.outputs)
            self.shortcut_kernel = self.add_weight(
                shape=shape, initializer=initial_shortcut, name="head_shortcut_kernel"
            )
        if initial_bias is not None:
            self.bias = self.add_weight(
                shape=(self.outputs,), initializer=initial_bias, name="head_bias"
            )

    def call(self, cells, inputs=None):
        """cells: the cell outputs y [..., n]; inputs: x [..., F], used by shortcuts alone."""
        net = ops.matmul(cells, self.kernel)
        if self.shortcut_kernel is not None:
            net = net + ops.matmul(inputs, self.shortcut_kernel)
        return self.activation(net if self.bias is None else net + self.bias)

    def error(self, y, prediction, w):
        """The error summed over steps and outputs, [B]: summed, so that one late target keeps its full weight.

        loss='squared': half the squared error, with prime_offset c plus c times the cross-entropy. 'crossentropy': in nats.
        In float32 for half precision, else as the prediction.
        """
        dtype = keras.backend.result_type(prediction.dtype, "float32")
        # of the prediction as the activation gave it: a cast would hide its net input from Keras
        crossentropy = ops.cast(
            self._crossentropy(ops.cast(y, prediction.dtype), prediction), dtype
        )
        y, prediction, w = (ops.cast(value, dtype) for value in (y, prediction, w))
        squared = self.loss == "squared"
        error = 0.5 * ops.square(y - prediction) + crossentropy if squared else crossentropy
        return ops.sum(w[..., None] * error, axis=(1, 2))

    def _crossentropy(self, y, prediction):
        """[B, T, K] or [B, T, 1]; with squared errors prime_offset times it, or 0."""
        if self.loss == "squared":
            return (
                self.prime_offset * ops.binary_crossentropy(y, prediction)
                if self.prime_offset
                else 0.0
            )
        if self.activation is keras.activations.softmax:
            return ops.categorical_crossentropy(y, prediction)[..., None]
        return ops.binary_crossentropy(y, prediction)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "activation": squashing_config(self.activation),
            "bias": bias_config(self.initial_bias),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "shortcuts": self.shortcuts,
            "prime_offset": self.prime_offset,
            "loss": self.loss,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Head":
        return cls(**{**config, "bias": bias_from_config(config["bias"])})


@keras.saving.register_keras_serializable("lstmlab")
class OutputUnits(Head):
    """No readout: the last K units of the cell are the outputs, as in a fully recurrent net, and read back like the others.

    Their activation is the cell's: `activation`, which a run sets to what suits its task, must be that. No weights.
    places: of the output units among the cell's units, (n - K, n). Raises ValueError for a cell of fewer than K units.
    Source: Williams & Zipser 1989; Smith & Zipser 1989.
    """

    def __init__(self, outputs: int, activation="linear", loss: str = "squared", **kwargs):
        super().__init__(outputs, activation, bias=None, loss=loss, **kwargs)

    def build(self, cells_shape, inputs_shape=None) -> None:
        n = cells_shape[-1]
        if n < self.outputs:
            raise ValueError(
                f"OutputUnits: expected a cell of at least {self.outputs} units, one per output. Received: units={n}"
            )
        self.places = (n - self.outputs, n)

    def call(self, cells, inputs=None):
        return cells[..., -self.outputs :]

    def get_config(self) -> dict:
        config = super().get_config()
        return {
            name: value
            for name, value in config.items()
            if name not in ("bias", "kernel_initializer", "shortcuts", "prime_offset")
        }

    @classmethod
    def from_config(cls, config: dict) -> "OutputUnits":
        return cls(**config)


class SequenceLog(keras.metrics.Metric):
    """Targets, predictions and error weights of every sequence of a window, in order, at the steps where there is an error.

    A stock metric keeps a mean; a criterion over "the last 2000 sequences" needs each of them. length: sequences per window;
    readouts: the largest number of steps with an error in one sequence; outputs: K.
    """

    def __init__(self, length: int, readouts: int, outputs: int, **kwargs):
        super().__init__(name="sequences", **kwargs)
        self.readouts, self.outputs = readouts, outputs
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", name="count")
        self.rows = self.add_weight(
            shape=(length, readouts, 2 * outputs + 1), initializer="zeros", name="rows"
        )

    def update_state(self, y, prediction, w):
        steps = tf.sort(tf.math.top_k(w, self.readouts, sorted=False).indices, axis=1)
        row = ops.concatenate([y, prediction, w[..., None]], axis=-1)
        row = ops.cast(tf.gather(row, steps, batch_dims=1), self.rows.dtype)
        start = ops.stack([self.count.value, tf.constant(0), tf.constant(0)])
        self.rows.assign(ops.slice_update(self.rows.value, start, row))
        self.count.assign_add(row.shape[0])

    def reset_state(self) -> None:
        self.count.assign(0)

    def result(self):
        return self.count

    def read(self):
        """y [N, readouts, K], prediction [N, readouts, K], w [N, readouts] of the window's N sequences so far, as NumPy."""
        rows = self.rows.numpy()[: int(self.count.value)]
        return rows[..., : self.outputs], rows[..., self.outputs : -1], rows[..., -1]


class Recurrent(keras.Model):
    """A cell, a head and a learner as a Keras model: stock fit and predict, the learner's gradients.

    Inputs x [B, T, F], targets y [B, T, K], sample weights w [B, T]; B and T static.
    log: the SequenceLog of training, one window long. Raises ValueError where the learner cannot serve the cell.
    """

    def __init__(
        self,
        cell: keras.Layer,
        head: Head,
        learner: Learner,
        features: int,
        log: SequenceLog | None = None,
    ):
        super().__init__()
        learner.check(cell)
        self.cell, self.head, self.learner, self.log = cell, head, learner, log
        for layer, shapes in (
            (cell, [(None, features)]),
            (head, [(None, cell.output_size), (None, features)]),
        ):
            if not layer.built:
                layer.build(*shapes)
        self.built = True
        self.features = features
        self.carried: list | None = None
        learner.prepare(self)
        self._answer = tf.function(self.call, jit_compile=True, autograph=False)

    def call(self, x):
        return self.learner.answer(self, x)

    def answers(self, x) -> np.ndarray:
        """Predictions [B, T, K] for x [B, T, F], both NumPy: one compiled call, once per shape, without predict's overhead."""
        return self._answer(tf.constant(x)).numpy()

    def carry(self, batch: int, steps: int) -> None:
        """From now on training goes on in streams, in pieces of so many steps: keep what the learner carries on."""
        x = tf.zeros((batch, 1, self.features), self.cell.compute_dtype)
        if not isinstance(self.learner, OnLine):
            raise ValueError(
                "Recurrent: this learner goes back to the beginning of a sequence and cannot carry on from a piece; expected "
                f"trainer.chunk=null, or a learner that goes forward. Received: learner={type(self.learner).__name__}"
            )
        self.learner.check_chunk(steps)
        self.carried = tf.nest.map_structure(
            lambda value: tf.Variable(value, trainable=False), self.learner.start(self, x)
        )

    def train_step(self, data):
        x, y, w = data[:3]
        if self.carried is None:
            loss, prediction = self.learner.learn(self, x, y, w)
        else:
            loss, prediction = self._go_on(x, y, w, begins=data[3])
        if self.log is not None:
            self.log.update_state(y, prediction, w)
        return {"loss": loss}

    def _go_on(self, x, y, w, begins):
        """One piece of a stream; begins [B]: those rows start anew."""

        assert isinstance(self.learner, OnLine)

        def reset(new, old):
            return tf.where(tf.reshape(begins, (-1, *[1] * (len(old.shape) - 1))), new, old)

        carried = tf.nest.map_structure(reset, self.learner.start(self, x), self.carried)
        loss, prediction, carried = self.learner.go_on(self, x, y, w, carried)
        tf.nest.map_structure(lambda variable, value: variable.assign(value), self.carried, carried)
        return loss, prediction

    def apply(self, gradients: list) -> None:
        """One change of the weights by the optimizer; gradients in the order of trainable_variables, without regularizers."""
        self.optimizer.apply(self.regularised(gradients), self.trainable_variables)

    def regularised(self, gradients: list) -> list:
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
