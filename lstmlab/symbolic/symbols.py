"""The letters of a GatedCell in LaTeX, and the pieces that its derivatives are made of: Factor, Term, Block."""

from functools import reduce
from typing import NamedTuple

import keras
import numpy as np

from lstmlab.cells.gates import Coupled, g1997, h1997

LETTERS = {
    "input_gate": "i",
    "forget_gate": "f",
    "refine_gate": "r",
    "reset_gate": "q",
    "candidate": "g",
    "output_gate": "o",
}
VALUES = {"cell_state": "s_t", "output": "y_t", "normaliser": "n_t", "stabiliser": "m_t"}
TRANSPOSED = r"E^{\mathsf{T}}"
WHOLE = (
    "softmax",
    "log_softmax",
    "sparsemax",
    "sparse_plus",
    "glu",
    "maxout",
)  # no functions of one net input alone


class Factor(NamedTuple):
    """One factor of a term: the diagonal matrix of a vector, or a matrix; its symbol is its key in an environment."""

    symbol: str
    diagonal: bool = True

    def latex(self) -> str:
        return rf"\operatorname{{diag}}({self.symbol})" if self.diagonal else self.symbol

    def value(self, environment: dict) -> np.ndarray:
        """[..., rows, columns]."""
        value = environment[self.symbol]
        return value[..., None] * np.eye(value.shape[-1]) if self.diagonal else value


class Term(NamedTuple):
    """A product of factors, from left to right, with its sign and the path of the error that it stands for.

    path: the nets that it leads through, from the old state on; () is the carousel: from state to state by the forget gate.
    A stabiliser, which is no net but the unit of the state, stands in it as 'stabiliser'.
    """

    sign: int
    factors: tuple[Factor, ...]
    path: tuple[str, ...]

    @property
    def way(self) -> str:
        """The path in words: 'carousel', or nets as 'net_input_gate', one after the other."""
        steps = (name if name == "stabiliser" else f"net_{name}" for name in self.path)
        return " to ".join(steps) or "carousel"

    def latex(self) -> str:
        """Without its sign."""
        return r" \, ".join(factor.latex() for factor in self.factors)

    def value(self, environment: dict) -> np.ndarray:
        """[..., rows, columns]."""
        return self.sign * reduce(np.matmul, (factor.value(environment) for factor in self.factors))


class Block(NamedTuple):
    """The derivative of one part of a step to one part of the step before, [size of target, size of source]: a sum of terms."""

    target: str
    source: str
    shape: tuple[int, int]
    terms: tuple[Term, ...]

    def latex(self) -> str:
        """The equation, its right side 0 without terms."""
        left = rf"\frac{{\partial {self.target}}}{{\partial {self.source}}}"
        signs = ["-" if term.sign < 0 else "+" for term in self.terms]
        right = " ".join(
            f"{sign} {term.latex()}" for sign, term in zip(signs, self.terms, strict=True)
        )
        return f"{left} = {right.removeprefix('+ ') or '0'}"

    def value(self, environment: dict) -> np.ndarray:
        """[B, rows, columns] for an environment of B steps."""
        zero = np.zeros((len(environment["s_t"]), *self.shape), environment["s_t"].dtype)
        return sum((term.value(environment) for term in self.terms), zero)


def multiplier(cell, gate: str) -> str:
    """The value by which a gate multiplies: e_t after a refine gate, with a bar after a normaliser."""
    if gate == "forget_gate" and cell.refine_gate is not None:
        return "e_t"
    letter = LETTERS[gate]
    return (
        rf"\bar{{{letter}}}_t"
        if cell.normaliser and gate in ("input_gate", "forget_gate")
        else f"{letter}_t"
    )


def symbol(cell, value: str) -> str:
    """The symbol of a named value of the step."""
    return VALUES[value] if value in VALUES else multiplier(cell, value)


def before(symbol: str) -> str:
    """The same of the step before."""
    return symbol.replace("_t", "_{t-1}")


def net_input(net: str) -> str:
    return rf"\mathrm{{net}}_{LETTERS[net]}"


def over_cells(cell, symbol: str) -> str:
    """A value per block, given to each of its cells."""
    return symbol if cell.block_size == 1 else f"E {symbol}"


def reads(cell, net: str) -> list[tuple[str, str]]:
    """What a net reads back: (weights, named value of the step before).

    With layer normalisation all nets that are normalised together read what one of them does.
    """
    products = [product for product in cell.recurrence.products if net in product.nets]
    if cell.layer_normalization and products:
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
            found[source] = _weights(cell, net, product, source)
    return [(weights, source) for source, weights in found.items()]


def _weights(cell, net: str, product, source: str) -> str:
    """R_*: of all nets that layer normalisation takes together."""
    together = cell.layer_normalization and not product.alone
    to = "*" if together else LETTERS[net]
    if product.kind == "by_element" and not together:
        spread = TRANSPOSED if cell.nets[net] < cell.units else ""
        return rf"{spread} \operatorname{{diag}}(r_{to})".strip()
    if cell.hidden_size == cell.units:
        return f"R_{to}"
    return f"R_{{{to}{'y' if source == 'output' else LETTERS[source]}}}"


def peephole(cell, net: str) -> str:
    """The matrix by which a gate sees the state."""
    spread = TRANSPOSED if cell.block_size > 1 else ""
    return rf"{spread} \operatorname{{diag}}(u_{LETTERS[net]})".strip()


def read_out(cell) -> str:
    """What the output activation is applied to."""
    if cell.layer_normalization:
        return r"\hat{s}_t"
    return "z_t" if cell.normaliser == "state" else "s_t"


def is_linear(activation) -> bool:
    return activation is keras.activations.linear


def applied(activation, argument: str) -> str:
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


def check(cell) -> None:
    """Raises ValueError for what is not given in symbols: a cell of another class, an activation of several nets at once."""
    if not hasattr(cell, "recurrence"):
        raise ValueError(
            f"equations: expected a GatedCell, whose switches tell them. Received: cell={type(cell).__name__}"
        )
    activations = {f"{name}.activation": gate.activation for name, gate in cell.own.items()}
    activations |= {
        "candidate_activation": cell.candidate_activation,
        "output_activation": cell.output_activation,
    }
    for argument, activation in activations.items():
        if any(activation is getattr(keras.activations, name, None) for name in WHOLE):
            raise ValueError(
                "equations: expected an activation that acts on each net input by itself, whose derivative is a diagonal. "
                f"Received: {argument}={activation.__name__!r}"
            )


def coupled(cell) -> dict[str, Coupled]:
    """The gates that follow another."""
    return {name: gate for name, gate in cell.gates.items() if isinstance(gate, Coupled)}
