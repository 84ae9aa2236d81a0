"""Heads: the readout of the cell outputs, and the error it is trained on."""

from typing import Any

import keras
from keras import ops

from lstmlab import checks
from lstmlab.cells.gates import squashing, squashing_config
from lstmlab.cells.initializers import (
    apart,
    bias_config,
    bias_from_config,
    bias_initializer,
    initializer,
    length,
)
from lstmlab.errors import refusal
from lstmlab.typing import Tensor

LOSSES = ("squared", "crossentropy")


@keras.saving.register_keras_serializable("lstmlab")
class Head(keras.Layer):
    """Read out y^k_t = activation(W y_t + b) from the cell outputs only.

    The head also holds the error that it is trained on.

    Args:
        outputs: K.
        activation: A Keras activation name, 'g1997', 'h1997' or a callable ('sigmoid' throughout
            the 1997 paper).
        bias: Its initial value as in Gate, or None for no bias weight.
        kernel_initializer: As in Keras layers.
        shortcuts: True adds weights from the inputs x_t to the outputs (connections "B" of
            Table 10).
        prime_offset: A number c >= 0 added to the slope of a sigmoid output,
            e_k = (f'(net_k) + c) (target_k - y_k), to counteract the flat ends of the sigmoid. This
            is the gradient of the error plus c times the cross-entropy, and is implemented that
            way.
        loss: 'squared', half the squared error as in 1997, or 'crossentropy', with softmax
            (categorical) or sigmoid.
        **kwargs: As in keras.Layer.

    Raises:
        ValueError: For any other value; for a prime_offset without a sigmoid; for crossentropy with
            another activation.

    References:
        Hochreiter & Schmidhuber 1997, eq. 9, with the connections "F" of its Table 10;
        prime_offset: Fahlman 1988.
    """

    def __init__(
        self,
        outputs: int,
        activation: Any = "linear",
        bias: Any = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        shortcuts: bool = False,
        prime_offset: float = 0.0,
        loss: str = "squared",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.outputs = checks.integer("Head", "outputs", outputs)
        self.activation = squashing("Head", "activation", activation)
        self.initial_bias = bias
        length("Head", "bias", bias, self.outputs, "one per output")
        self.bias_initializer = bias_initializer("Head", "bias", bias)
        self.kernel_initializer = initializer("Head", "kernel_initializer", kernel_initializer)
        self.shortcuts = checks.flag("Head", "shortcuts", shortcuts)

        self.prime_offset = checks.number("Head", "prime_offset", prime_offset, 0)
        sigmoid, softmax = keras.activations.sigmoid, keras.activations.softmax
        if prime_offset and self.activation is not sigmoid:
            expected = "activation='sigmoid' for a prime_offset"
            raise refusal("Head", expected, {"prime_offset": prime_offset})
        self.loss = checks.one_of("Head", "loss", loss, LOSSES)
        if loss == "crossentropy" and self.activation not in (softmax, sigmoid):
            expected = "a softmax or a sigmoid for loss='crossentropy'"
            raise refusal("Head", expected, {"activation": activation})

    def build(self, cells_shape: tuple, inputs_shape: tuple | None = None) -> None:
        initial, initial_shortcut, initial_bias = apart(
            [self.kernel_initializer, self.kernel_initializer, self.bias_initializer]
        )
        self.kernel = self.add_weight(
            shape=(cells_shape[-1], self.outputs), initializer=initial, name="head_kernel"
        )
        self.shortcut_kernel = self.bias = None
        if self.shortcuts:
            if inputs_shape is None:
                expected = "the inputs as well, since shortcuts lead from them"
                raise refusal("Head", expected, {"inputs": None})
            shape = (inputs_shape[-1], self.outputs)
            self.shortcut_kernel = self.add_weight(
                shape=shape, initializer=initial_shortcut, name="head_shortcut_kernel"
            )
        if initial_bias is not None:
            self.bias = self.add_weight(
                shape=(self.outputs,), initializer=initial_bias, name="head_bias"
            )

    def call(self, cells: Tensor, inputs: Tensor = None) -> Tensor:
        """Return the prediction [..., K].

        Args:
            cells: The cell outputs y [..., n].
            inputs: x [..., F], used by shortcuts only.
        """
        net = ops.matmul(cells, self.kernel)
        if self.shortcut_kernel is not None:
            net = net + ops.matmul(inputs, self.shortcut_kernel)
        return self.activation(net if self.bias is None else net + self.bias)

    def error(self, y: Tensor, prediction: Tensor, w: Tensor) -> Tensor:
        """Return the error summed over steps and outputs, [B].

        It is summed, not averaged, so that one late target keeps its full weight. loss='squared':
        half the squared error, with prime_offset c plus c times the cross-entropy. 'crossentropy':
        in nats. In float32 for half precision, else as the prediction.
        """
        dtype = keras.backend.result_type(prediction.dtype, "float32")
        # of the prediction as the activation gave it: a cast would hide its pre-activation from
        # Keras
        crossentropy = self._crossentropy(ops.cast(y, prediction.dtype), prediction)
        crossentropy = ops.cast(crossentropy, dtype)

        y, prediction, w = (ops.cast(value, dtype) for value in (y, prediction, w))
        squared = self.loss == "squared"
        error = 0.5 * ops.square(y - prediction) + crossentropy if squared else crossentropy
        return ops.sum(w[..., None] * error, axis=(1, 2))

    def _crossentropy(self, y: Tensor, prediction: Tensor) -> Any:
        """[B, T, K] or [B, T, 1]; with squared errors prime_offset times it, or 0."""
        if self.loss == "squared" and not self.prime_offset:
            return 0.0
        if self.loss == "squared":
            return self.prime_offset * ops.binary_crossentropy(y, prediction)
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
    """No readout: the last K units of the cell are the outputs, and read back like the others.

    So it is in a fully recurrent network. Their activation is the cell's: `activation`, which a run
    sets to what suits its task, must be that. No weights.

    Attributes:
        places: Places of the output units among the cell's units, (n - K, n).

    Raises:
        ValueError: For a cell of fewer than K units.

    References:
        Williams & Zipser 1989; Smith & Zipser 1989.
    """

    def __init__(
        self, outputs: int, activation: Any = "linear", loss: str = "squared", **kwargs: Any
    ):
        super().__init__(outputs, activation, bias=None, loss=loss, **kwargs)

    def build(self, cells_shape: tuple, inputs_shape: tuple | None = None) -> None:
        n = cells_shape[-1]
        if n < self.outputs:
            expected = f"a cell of at least {self.outputs} units, one per output"
            raise refusal("OutputUnits", expected, {"units": n})
        self.places = (n - self.outputs, n)

    def call(self, cells: Tensor, inputs: Tensor = None) -> Tensor:
        return cells[..., -self.outputs :]

    def get_config(self) -> dict:
        of_readout = ("bias", "kernel_initializer", "shortcuts", "prime_offset")
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in of_readout}

    @classmethod
    def from_config(cls, config: dict) -> "OutputUnits":
        return cls(**config)
