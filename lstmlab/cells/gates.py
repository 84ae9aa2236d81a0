"""Gates: the table of those that a cell can have, the classes Gate and Coupled, and their
mathematics.

A further gate begins with an entry in NETS: see "Add a gate" in docs/cell.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from lstmlab.cells.initializers import bias_config, bias_from_config, bias_initializer
from lstmlab.checks import flag, number, one_of
from lstmlab.errors import refusal


class Entry(NamedTuple):
    """An entry of NETS: all that must be said of a gate, or of the candidate, apart from its
    mathematics.

    Attributes:
        name: The argument of GatedCell, and the name of the value in `step` and `traces`.
        letter: Its letter in equations, tables and pictures.
        multiplies: What it multiplies: 'candidate', 'old state', 'read back' (what the candidate
            reads back) or 'squashed state'; '' for a gate that moves another one.
        moves: The gate whose value it changes, if it is such a gate.
        moved: The letter of that gate's value after it.
        may_close: Whether it may be 'closed' (the constant 0); every gate may be absent.
        partner: The gate that 'coupled' couples it to, if there is one.
        may_couple: Whether it may be a Coupled.
    """

    name: str
    letter: str
    multiplies: str = ""
    moves: str = ""
    moved: str = ""
    may_close: bool = False
    partner: str | None = None
    may_couple: bool = True

    @property
    def words(self) -> str:
        """'input gate' for 'input_gate'."""
        return self.name.replace("_", " ")


# In the order of the columns of the weights; `step` and `traces` give gates in the same order.
NETS = (
    Entry("input_gate", "i", "candidate", may_close=True, partner="forget_gate"),
    Entry("forget_gate", "f", "old state", may_close=True, partner="input_gate"),
    Entry("refine_gate", "r", moves="forget_gate", moved="e", may_couple=False),
    Entry("reset_gate", "q", "read back"),
    Entry("candidate", "g"),
    Entry("output_gate", "o", "squashed state", may_close=True),
)
GATES = {net.name: net for net in NETS if net.name != "candidate"}
LETTERS = {net.name: net.letter for net in NETS}

LOGARITHMS = ("sigmoid", "exponential")  # their logarithm is finite wherever the pre-activation is
PEEPHOLES = (None, "previous", "current")
RECURRENCES = ("full", "cells", "gates", "block_diagonal", "by_element", "none")


def mover(gates: Any, moved: str) -> Entry | None:
    """The entry of the gate among `gates` that moves the gate `moved`; None if there is none."""
    return next((one for one in GATES.values() if one.moves == moved and one.name in gates), None)


# ---- mathematics


@keras.saving.register_keras_serializable("lstmlab")
def g1997(x: Any) -> Any:
    """Squash the cell input: 4/(1+e^-x) - 2 = 2 tanh(x/2), range [-2, 2].

    References:
        Hochreiter & Schmidhuber 1997, eq. 5.
    """
    return 2.0 * ops.tanh(0.5 * x)


@keras.saving.register_keras_serializable("lstmlab")
def h1997(x: Any) -> Any:
    """Squash the cell output: 2/(1+e^-x) - 1 = tanh(x/2), range [-1, 1].

    References:
        Hochreiter & Schmidhuber 1997, eq. 4.
    """
    return ops.tanh(0.5 * x)


def refined(f: Any, r: Any) -> Any:
    """The forget gate f moved towards 1 - (1 - f)^2 or f^2 by the refine gate r.

    References:
        Gu et al. 2020 (UR-LSTM).
    """
    return 2.0 * r * f + (1.0 - 2.0 * r) * f * f


def stabilised(log_i: Any, log_f: Any, n_tm1: Any, m_tm1: Any) -> tuple[Any, Any, Any]:
    """i / e^m_t, f / e^(m_t - m_tm1), and m_t = max(log f + m_tm1, log i), all [B, m].

    Where the normaliser n_tm1 is 0 nothing is stored yet and m_t = log i, as at the first step.

    References:
        Beck et al. 2024 (sLSTM).
    """
    empty = ops.equal(n_tm1, 0.0)
    carried = log_f + m_tm1
    m_t = ops.where(empty, log_i, ops.maximum(carried, log_i))
    return ops.exp(log_i - m_t), ops.exp(ops.where(empty, 0.0, carried - m_t)), m_t


class Factor:
    """A gate as it is written in an equation: `i_t * g_t`, for each cell of a block.

    Multiplying costs nothing where the gate is absent (1), and gives zeros where it is closed (0).

    Args:
        value: The gate's value [B, m]; or None, 'closed' as the cell says it of a constant gate.
        block_size: Cells per block, n / m.
    """

    def __init__(self, value: Any, block_size: int):
        self.value, self.block_size = value, block_size

    def __mul__(self, cells: Any) -> Any:
        """The value of each cell, [B, n], times the gate of its block."""
        if self.value is None:
            return cells
        if isinstance(self.value, str):
            return ops.zeros_like(cells)
        if self.block_size == 1:
            return self.value * cells
        # Not by a repeat of the gate, which would break XLA's gradient in a loop.
        blocks = ops.reshape(cells, (-1, cells.shape[-1] // self.block_size, self.block_size))
        return ops.reshape(self.value[:, :, None] * blocks, (-1, cells.shape[-1]))


# ---- activations


_OURS = {"g1997": g1997, "h1997": h1997}


def squashing(owner: str, argument: str, value: str | dict | Callable) -> Callable:
    """The squashing function that `value` names.

    Args:
        owner: The class that complains.
        argument: The name of its argument.
        value: 'g1997', 'h1997', a Keras activation (its name or config), or a callable.

    Raises:
        ValueError: For anything else; also for None, which Keras takes for 'linear'.
    """
    if isinstance(value, str) and value in _OURS:
        return _OURS[value]
    try:
        if value is not None:
            return keras.activations.get(value)
    except (ValueError, TypeError):
        pass
    raise refusal(
        owner,
        "'g1997', 'h1997', the name of a Keras activation ('sigmoid', 'tanh', 'linear', ...) "
        "or a callable",
        {argument: value},
    )


def squashing_config(function: Callable) -> str | dict:
    """What `squashing` turns into `function` again: its name, or the config of a registered one."""
    names = [name for name, ours in _OURS.items() if ours is function]
    return names[0] if names else keras.activations.serialize(function)


# ---- what a cell is given


@keras.saving.register_keras_serializable("lstmlab")
class Gate:
    """One gate with a pre-activation of its own, one value per block.

        (1) activation(W x_t + R see(hidden_tm1) + b + peephole)

    Args:
        activation: A Keras activation name ('sigmoid', 'hard_sigmoid', 'exponential', ...),
            'g1997', 'h1997', or a callable.
        bias: Its initial value: a number, one number per block, a Keras initializer (object or
            name), or None for no bias weight.
        peephole: None, or the cell state that the gate sees through one weight per cell of its
            block: 'previous' s_tm1, or 'current' s_t (only the output gate).
        recurrent: Its recurrent inputs: 'full' (all that is fed back), 'cells' (y_tm1 alone),
            'gates' (the gates that are fed back alone, with feedback='all'), 'block_diagonal' (the
            cells of its head), 'by_element' (the cells of its block) or 'none'.

    Raises:
        ValueError: For any other value. The cell rejects a list whose length is not the number of
            blocks, because only the cell knows that number.

    References:
        Hochreiter & Schmidhuber 1997, eqs. 3 and 6; peepholes: Gers, Schraudolph & Schmidhuber
        2002.
    """

    def __init__(
        self,
        activation: str | Callable = "sigmoid",
        bias: Any = 0.0,
        peephole: str | None = None,
        recurrent: str = "full",
    ):
        self.activation = squashing("Gate", "activation", activation)
        self.bias = bias
        bias_initializer("Gate", "bias", bias)
        self.peephole = one_of("Gate", "peephole", peephole, PEEPHOLES)
        self.recurrent = one_of("Gate", "recurrent", recurrent, RECURRENCES)

    def log(self, net: Any) -> Any:
        """The logarithm of the gate's value, for the activations in LOGARITHMS."""
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
    def from_config(cls, config: dict) -> Gate:
        return cls(**{**config, "bias": bias_from_config(config["bias"])})

    def __repr__(self) -> str:
        shown = {**self.get_config(), "bias": self.bias}
        return f"Gate({_arguments(shown)})"


@keras.saving.register_keras_serializable("lstmlab")
class Coupled:
    """A gate without weights that follows another gate: one minus its value, or the value itself.

        (1) complement: 1 - a_to    (2) else: a_to
        (3) with a shift: a_to = activation(net_to - shift) in (1) and (2)

    Args:
        to: The other gate, as the cell names it ('forget_gate', ...). a_to is the value by which
            that gate multiplies, after the refine gate if there is one.
        complement: True for (1), False for (2).
        shift: A number (JANET's beta).

    Raises:
        ValueError: For any other value. The cell rejects a `to` that is absent, is itself coupled,
            or is this gate.

    References:
        Greff et al. 2017 (CIFG); Cho et al. 2014; shift: van der Westhuizen & Lasenby 2018,
        section 3.
    """

    def __init__(self, to: str, complement: bool = True, shift: float = 0.0):
        if not isinstance(to, str):
            raise refusal("Coupled", "the name of a gate, such as 'forget_gate'", {"to": to})
        self.to = to
        self.shift = number("Coupled", "shift", shift)
        self.complement = flag("Coupled", "complement", complement)

    def value(self, partner: Gate, opened: Any, net: Any) -> Any:
        """The gate's value from the partner, its value `opened` and its pre-activation."""
        value = partner.activation(net - self.shift) if self.shift else opened  # (3)
        return 1.0 - value if self.complement else value  # (1), (2)

    def get_config(self) -> dict:
        return {"to": self.to, "complement": self.complement, "shift": self.shift}

    @classmethod
    def from_config(cls, config: dict) -> Coupled:
        return cls(**config)

    def __repr__(self) -> str:
        return f"Coupled({_arguments(self.get_config())})"


def _arguments(values: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
