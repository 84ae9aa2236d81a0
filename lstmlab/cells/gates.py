"""Gate and Coupled: the multiplicative units of a cell, and the squashing functions of 1997."""

from collections.abc import Callable

import keras
from keras import ops

from lstmlab.cells.initializers import bias_config, bias_from_config, bias_initializer, number


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


def one_of(owner: str, argument: str, value, allowed: tuple):
    """`value` if it is one of `allowed`; else ValueError."""
    if value not in allowed or isinstance(value, bool):
        raise ValueError(f"{owner}: expected one of {allowed}. Received: {argument}={value!r}")
    return value


LOGARITHMS = (
    "sigmoid",
    "exponential",
)  # activations whose logarithm is finite wherever the net input is
PEEPHOLES = (None, "previous", "current")
RECURRENCES = ("full", "block_diagonal", "by_element", "none")


@keras.saving.register_keras_serializable("lstmlab")
class Gate:
    """One gate with a net input of its own: activation(W x_t + R see(hidden_tm1) + b + peephole), one value per block.

    activation: a Keras activation name ('sigmoid', 'hard_sigmoid', 'exponential', ...), 'g1997', 'h1997', or a callable.
    bias: its initial value: a number, one number per block, a Keras initializer (object or name), or None for no bias weight.
    peephole: None, or the cell state that the gate sees through one weight per cell of its block: 'previous' s_tm1,
    'current' s_t (output gate alone).
    recurrent: what it reads back of y_tm1: 'full', 'block_diagonal' (the cells of its head), 'by_element' (the cells of its
    block) or 'none'. Gates that are fed back are read by 'full' ones alone.

    Raises ValueError for an activation that is none and for values outside these; a list whose length is not the number of
    blocks is refused by the cell, which knows the blocks.
    Source: Hochreiter & Schmidhuber 1997, eqs. 3 and 6; peepholes: Gers, Schraudolph & Schmidhuber 2002.
    """

    def __init__(
        self,
        activation: str | Callable = "sigmoid",
        bias=0.0,
        peephole: str | None = None,
        recurrent: str = "full",
    ):
        self.activation = squashing("Gate", "activation", activation)
        self.bias = bias
        bias_initializer("Gate", "bias", bias)
        self.peephole = one_of("Gate", "peephole", peephole, PEEPHOLES)
        self.recurrent = one_of("Gate", "recurrent", recurrent, RECURRENCES)

    def log(self, net):
        """The logarithm of the gate's value, for activations that have a safe one: LOGARITHMS."""
        return net if self.activation is keras.activations.exponential else ops.log_sigmoid(net)

    def get_config(self) -> dict:
        activation, bias = squashing_config(self.activation), bias_config(self.bias)
        return {
            "activation": activation,
            "bias": bias,
            "peephole": self.peephole,
            "recurrent": self.recurrent,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Gate":
        return cls(**{**config, "bias": bias_from_config(config["bias"])})

    def __repr__(self) -> str:
        shown = {**self.get_config(), "bias": self.bias}
        return f"Gate({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@keras.saving.register_keras_serializable("lstmlab")
class Coupled:
    """A gate without weights, driven by the net input of another: one minus its value, or the value itself.

        (1) complement: 1 - a_to      (2) else: a_to      (3) with shift: a_to = activation(net_to - shift) in (1) and (2)

    to: the other gate, as the cell names it ('forget_gate', ...). shift: a number (JANET's beta). a_to is the value with which
    that gate multiplies: after the refine gate, where there is one.
    Raises ValueError for other values; the cell refuses a gate that is absent, coupled itself, or this one.
    Source: Greff et al. 2017 (CIFG); Cho et al. 2014; shift: van der Westhuizen & Lasenby 2018, section 3.
    """

    def __init__(self, to: str, complement: bool = True, shift: float = 0.0):
        if not isinstance(to, str):
            raise ValueError(
                f"Coupled: expected the name of a gate, such as 'forget_gate'. Received: to={to!r}"
            )
        shift = number("Coupled", "shift", shift)
        if not isinstance(complement, bool):
            raise ValueError(
                f"Coupled: expected true or false. Received: complement={complement!r}"
            )
        self.to, self.complement, self.shift = to, complement, shift

    def value(self, partner: Gate, opened, net):
        """The gate's value from the partner, its value `opened` and its net input."""
        value = partner.activation(net - self.shift) if self.shift else opened
        return 1.0 - value if self.complement else value

    def get_config(self) -> dict:
        return {"to": self.to, "complement": self.complement, "shift": self.shift}

    @classmethod
    def from_config(cls, config: dict) -> "Coupled":
        return cls(**config)

    def __repr__(self) -> str:
        return f"Coupled({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"


def refined(f, r):
    """The forget gate f moved towards 1 - (1 - f)^2 or f^2 by the refine gate r (Gu et al. 2020, UR-LSTM)."""
    return 2.0 * r * f + (1.0 - 2.0 * r) * f * f


def stabilised(log_i, log_f, n_tm1, m_tm1):
    """i / e^m_t, f / e^(m_t - m_tm1), and m_t = max(log f + m_tm1, log i), all [B, m] (Beck et al. 2024, sLSTM).

    Where the normaliser n_tm1 is 0 nothing is stored yet and m_t = log i, as at the first step there.
    """
    empty = ops.equal(n_tm1, 0.0)
    carried = log_f + m_tm1
    m_t = ops.where(empty, log_i, ops.maximum(carried, log_i))
    return ops.exp(log_i - m_t), ops.exp(ops.where(empty, 0.0, carried - m_t)), m_t
