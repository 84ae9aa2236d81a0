"""The letters of a GatedCell in LaTeX, and what its derivatives are made of.

A Factor is found by its key; LaTeX is only for show.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import keras
import numpy as np

from lstmlab.cells.gates import GATES, LETTERS, Coupled, g1997, h1997, mover
from lstmlab.cells.recurrence import Product
from lstmlab.errors import refusal

VALUES = {"cell_state": "s_t", "output": "y_t", "normaliser": "n_t", "stabiliser": "m_t"}
TRANSPOSED = r"E^{\mathsf{T}}"
# Activations that mix several pre-activations.
MIXING = ("softmax", "log_softmax", "sparsemax", "glu")


# ---- keys: what a factor is, in words. A value of the step has its own name as its key.


def key_before(name: str) -> str:
    """The key of a value of the step before."""
    return f"{name} of the step before"


def key_over_cells(name: str) -> str:
    """The key of a value per block, given to each cell of the block."""
    return f"{name} over cells"


def key_slope(name: str) -> str:
    """The key of an activation's slope at the pre-activation of a gate or the candidate."""
    return f"slope of {name}"


def key_weights(net: str, source: str) -> str:
    """The key of the weights by which `net` reads back the value `source`."""
    return f"weights from {source} to {net}"


def key_peephole(net: str) -> str:
    """The key of the matrix by which a gate sees the state."""
    return f"peephole of {net}"


def key_normalisation(name: str) -> str:
    """The key of the derivative of layer normalisation."""
    return f"normalisation of {name}"


class Factor(NamedTuple):
    """One factor of a term: the diagonal matrix of a vector, or a matrix.

    Attributes:
        key: What it is; `symbol_values` gives its numbers under this key.
        symbol: Its LaTeX, only for show.
        diagonal: Whether it is the diagonal matrix of a vector.
    """

    key: str
    symbol: str
    diagonal: bool = True

    def latex(self) -> str:
        return rf"\operatorname{{diag}}({self.symbol})" if self.diagonal else self.symbol

    def value(self, numbers: dict) -> np.ndarray:
        """[..., rows, columns], from the numbers of `symbol_values`."""
        value = numbers[self.key]
        return value[..., None] * np.eye(value.shape[-1]) if self.diagonal else value


class Term(NamedTuple):
    """A product of factors, from left to right, with its sign and the path of the error.

    Attributes:
        sign: 1 or -1.
        factors: From the left.
        path: The gates and the candidate whose pre-activations it leads through, from the old state
            on; () is the carousel: from state to state by the forget gate. A stabiliser, which has
            no pre-activation but sets the unit of the state, is named 'stabiliser'.
    """

    sign: int
    factors: tuple[Factor, ...]
    path: tuple[str, ...]

    @property
    def way(self) -> str:
        """The path in words: 'carousel', or 'net_input_gate' and so on, one after the other."""
        steps = (name if name == "stabiliser" else f"net_{name}" for name in self.path)
        return " to ".join(steps) or "carousel"

    def latex(self) -> str:
        """Without its sign."""
        return r" \, ".join(factor.latex() for factor in self.factors)

    def value(self, numbers: dict) -> np.ndarray:
        """[..., rows, columns], from the numbers of `symbol_values`."""
        # weights [rows, columns] serve all steps; matmul broadcasts them against [B, ...]
        return self.sign * reduce(np.matmul, (factor.value(numbers) for factor in self.factors))


class Derivative(NamedTuple):
    """The derivative of a value of the step to a part of the step before: a sum of terms.

    Attributes:
        target, source: LaTeX of the two.
        shape: (size of target, size of source).
        terms: One for each path.
        sign: LaTeX of the differential: partial, the other parts of the step before are held, or d,
            total, along every path from source to target.
    """

    target: str
    source: str
    shape: tuple[int, int]
    terms: tuple[Term, ...]
    sign: str = r"\partial"

    def left(self) -> str:
        """The left side of the equation."""
        return rf"\frac{{{self.sign} {self.target}}}{{{self.sign} {self.source}}}"

    def latex(self) -> str:
        """The equation, its right side 0 without terms."""
        signs = ["-" if term.sign < 0 else "+" for term in self.terms]
        signed = zip(signs, self.terms, strict=True)
        right = " ".join(f"{sign} {term.latex()}" for sign, term in signed)
        return f"{self.left()} = {right.removeprefix('+ ') or '0'}"

    def value(self, numbers: dict) -> np.ndarray:
        """[B, rows, columns], from the numbers of `symbol_values` for B steps."""
        state = numbers["cell_state"]
        zero = np.zeros((len(state), *self.shape), state.dtype)
        return sum((term.value(numbers) for term in self.terms), zero)


# ---- LaTeX


def multiplier(cell: Any, gate: str) -> str:
    """The value by which a gate multiplies: e_t if it is refined, with a bar if normalised."""
    moving = mover(cell.gates, gate)
    if moving is not None:
        return f"{moving.moved}_t"
    letter = LETTERS[gate]
    return (
        rf"\bar{{{letter}}}_t"
        if cell.normaliser and gate in ("input_gate", "forget_gate")
        else f"{letter}_t"
    )


def symbol(cell: Any, value: str) -> str:
    """The symbol of a named value of the step."""
    return VALUES[value] if value in VALUES else multiplier(cell, value)


def before(symbol: str) -> str:
    """The same of the step before."""
    return symbol.replace("_t", "_{t-1}")


def multiplied(cell: Any, gate: str) -> str:
    """What a gate is a factor of; '' for a gate that moves another one."""
    return {
        "candidate": "g_t",
        "old state": "s_{t-1}",
        "read back": "p_t" if cell.reset_after else "y_{t-1}",
        "squashed state": applied(cell.output_activation, read_out(cell)),
    }.get(GATES[gate].multiplies, "")


def net_input(net: str) -> str:
    """The pre-activation of a gate or the candidate."""
    return rf"\mathrm{{net}}_{LETTERS[net]}"


def over_cells(cell: Any, symbol: str) -> str:
    """A value per block, given to each of its cells."""
    return symbol if cell.block_size == 1 else f"E {symbol}"


def reads(cell: Any, net: str) -> list[tuple[str, str]]:
    """What a gate or the candidate reads back: (weights in LaTeX, name of the value).

    With layer normalisation all that are normalised together read what one of them does.
    """
    products = [product for product in cell.recurrence.products if net in product.nets]
    if cell.layer_normalization and products:
        # normalised together: each net depends on what any of them reads
        products = [
            product for product in cell.recurrence.products if product.alone == products[0].alone
        ]

    found: dict[str, str] = {}
    for product in products:
        gates = (
            list(cell.gates)
            if product.kind == "gates" or (product.kind == "full" and cell.feedback == "all")
            else []
        )
        for source in [*([] if product.kind == "gates" else ["output"]), *gates]:
            # normalised together, several products read one source: R_* stands for all
            found[source] = _weights(cell, net, product, source)
    return [(weights, source) for source, weights in found.items()]


def _weights(cell: Any, net: str, product: Product, source: str) -> str:
    """R_* for all that layer normalisation takes together."""
    together = cell.layer_normalization and not product.alone
    to = "*" if together else LETTERS[net]
    if product.kind == "by_element" and not together:
        # E^T [m, n]: a gate reads every cell of its block
        spread = TRANSPOSED if cell.nets[net] < cell.units else ""
        return rf"{spread} \operatorname{{diag}}(r_{to})".strip()
    if cell.hidden_size == cell.units:
        return f"R_{to}"
    return f"R_{{{to}{'y' if source == 'output' else LETTERS[source]}}}"


def peephole(cell: Any, net: str) -> str:
    """The matrix by which a gate sees the state."""
    spread = TRANSPOSED if cell.block_size > 1 else ""
    return rf"{spread} \operatorname{{diag}}(u_{LETTERS[net]})".strip()


def read_out(cell: Any) -> str:
    """What the output activation is applied to."""
    if cell.layer_normalization:
        return r"\hat{s}_t"
    return "z_t" if cell.normaliser == "state" else "s_t"


def is_linear(activation: Callable) -> bool:
    return activation is keras.activations.linear


def applied(activation: Callable, argument: str) -> str:
    """activation(argument)."""
    if is_linear(activation):
        return argument
    forms = {
        keras.activations.sigmoid: rf"\sigma({argument})",
        keras.activations.tanh: rf"\tanh({argument})",
        keras.activations.relu: rf"\max(0, {argument})",
        keras.activations.exponential: rf"\exp({argument})",
        g1997: rf"2 \tanh(\tfrac{{1}}{{2}} {argument})",
        h1997: rf"\tanh(\tfrac{{1}}{{2}} {argument})",
    }
    name = getattr(activation, "__name__", type(activation).__name__).replace("_", "-")
    return forms.get(activation, rf"\operatorname{{{name}}}({argument})")


def check(cell: Any) -> None:
    """Refuse what cannot be given in symbols.

    Raises:
        ValueError: For a cell of another class, and for an activation that mixes pre-activations.
    """
    if not hasattr(cell, "recurrence"):
        expected = "a GatedCell, from whose switches they follow"
        raise refusal("equations", expected, f"cell={type(cell).__name__}")

    activations = {f"{name}.activation": gate.activation for name, gate in cell.own.items()}
    for argument in ("candidate_activation", "output_activation"):
        activations[argument] = getattr(cell, argument)
    for argument, activation in activations.items():
        if any(activation is getattr(keras.activations, name, None) for name in MIXING):
            expected = (
                "an activation that acts on each pre-activation by itself, "
                "whose derivative is a diagonal"
            )
            raise refusal("equations", expected, {argument: activation.__name__})


def coupled(cell: Any) -> dict[str, Coupled]:
    """The gates that follow another."""
    return {name: gate for name, gate in cell.gates.items() if isinstance(gate, Coupled)}
