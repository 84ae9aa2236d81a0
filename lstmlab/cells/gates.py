"""Gate: one multiplicative unit of a cell, and the squashing functions of 1997."""

from collections.abc import Callable

import keras
from keras import ops

from lstmlab.cells.initializers import bias_config, bias_from_config, bias_initializer


@keras.saving.register_keras_serializable("lstmlab")
def g1997(x):
    """Squashing of the cell input, 4/(1+e^-x) - 2 = 2 tanh(x/2), range [-2, 2] (Hochreiter & Schmidhuber 1997, eq. 5)."""
    return 2.0 * ops.tanh(0.5 * x)


@keras.saving.register_keras_serializable("lstmlab")
def h1997(x):
    """Squashing of the cell output, 2/(1+e^-x) - 1 = tanh(x/2), range [-1, 1] (Hochreiter & Schmidhuber 1997, eq. 4)."""
    return ops.tanh(0.5 * x)


_OURS = {"g1997": g1997, "h1997": h1997}


def squashing(owner: str, argument: str, value: str | dict | Callable) -> Callable:
    """The squashing function that `value` names: 'g1997', 'h1997', any Keras activation (or its config), or a callable.

    Raises ValueError, naming `owner` and `argument`, for anything else; also for None, which Keras takes for 'linear'.
    """
    if isinstance(value, str) and value in _OURS:
        return _OURS[value]
    try:
        if value is not None:
            return keras.activations.get(value)
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f"{owner}: unknown activation; expected 'g1997', 'h1997', the name of a Keras activation "
        f"('sigmoid', 'tanh', 'linear', ...) or a callable. Received: {argument}={value!r}"
    )


def squashing_config(function: Callable) -> str | dict:
    """What `squashing` makes into `function` again: its name, or the Keras config of a function of somebody else."""
    names = [name for name, ours in _OURS.items() if ours is function]
    return names[0] if names else keras.activations.serialize(function)


@keras.saving.register_keras_serializable("lstmlab")
class Gate:
    """One gate: y^gate_t = activation(W x_t + R see(hidden_tm1) + b), one value per block.

    activation: a Keras activation name, 'g1997', 'h1997', or a callable.
    bias: its initial value: a number, one number per block, a Keras initializer (object or name), or None for no bias weight.

    Raises ValueError for an activation that is none and a bias that is none of the above; a list whose length is not the
    number of blocks is refused by the cell, which knows the blocks.
    Source: Hochreiter & Schmidhuber 1997, eqs. 3 and 6.
    """

    def __init__(self, activation: str | Callable = "sigmoid", bias=0.0):
        self.activation = squashing("Gate", "activation", activation)
        self.bias = bias
        bias_initializer("Gate", "bias", bias)

    def get_config(self) -> dict:
        return {"activation": squashing_config(self.activation), "bias": bias_config(self.bias)}

    @classmethod
    def from_config(cls, config: dict) -> "Gate":
        return cls(config["activation"], bias_from_config(config["bias"]))

    def __repr__(self) -> str:
        return f"Gate(activation={squashing_config(self.activation)!r}, bias={self.bias!r})"
