"""The equations of a GatedCell in LaTeX, as its switches set them."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from lstmlab.cells.gates import GATES, LETTERS
from lstmlab.symbolic.moves import MOVES
from lstmlab.symbolic.symbols import (
    TRANSPOSED,
    applied,
    before,
    check,
    coupled,
    is_linear,
    multiplier,
    net_input,
    over_cells,
    read_out,
    reads,
    symbol,
)


class Equation(NamedTuple):
    """An equation in LaTeX, and the name of the value that it gives.

    The name is that of GatedCell.step, or 'net_<name>' for a pre-activation.
    """

    name: str
    latex: str


def equations(cell: Any) -> list[Equation]:
    """List the equations of one step in the order of computing, without what is switched off.

    Args:
        cell: A GatedCell; it need not be built.

    Raises:
        ValueError: For a cell of another class, and for activations that mix pre-activations
            (softmax).
    """
    check(cell)
    # the order of GatedCell.step, whose numbers these are: a gate that sees s_t comes after it
    early = [name for name, gate in cell.own.items() if gate.peephole != "current"]
    found = [equation for name in early for equation in (_net(cell, name), _opened(cell, name))]
    found += [
        *_moved(cell),  # (3)
        *_normalised(cell),  # (9), (10)
        # last: a coupled gate follows the value with which its partner multiplies
        *(_coupled(cell, name) for name in coupled(cell)),
    ]

    found += [*_candidate(cell), Equation("cell_state", _state(cell)), *_sum_beside(cell)]
    found += [
        equation
        for name in cell.own
        if name not in early
        for equation in (_net(cell, name), _opened(cell, name))
    ]
    return [*found, *_read_out(cell), *_hidden(cell)]


def legend(cell: Any) -> dict[str, str]:
    """{symbol: what it is} for what equations and derivatives use beyond the values they name."""
    check(cell)
    words = {
        "x_t": "input at step t",
        r"W_a, \, b_a": "weights from the inputs into net a, and its bias",
    }
    if cell.recurrence.products:
        from_where = "; second letter: from which value" if cell.hidden_size > cell.units else ""
        words["R_a"] = f"weights from what is read back into net a{from_where}"
    if any(product.kind == "by_element" for product in cell.recurrence.products):
        words["r_a"] = "weights of a net that reads only its own cells"

    if cell.peepholes:
        words["u_a"] = "peephole weights: how gate a sees the state"
    if cell.reset_after and cell._initial_bias("candidate") is not None:
        words["c"] = "bias behind the reset gate"
    if cell.block_size > 1 and cell.gates:
        words["E"] = (
            f"gives the value of a block to each of its {cell.block_size} cells; "
            "transposed: sums over them"
        )

    return words | _legend_of_signs(cell) | _legend_of_derivatives(cell)


def _legend_of_signs(cell: Any) -> dict[str, str]:
    words = {r"\odot": "product element by element"} if cell.gates else {}
    if any(gate.activation is keras.activations.sigmoid for gate in cell.own.values()):
        words[r"\sigma"] = "the logistic function"
    if cell.layer_normalization:
        words[r"\mathcal{N}, \, \mathcal{N}'"] = (
            "layer normalisation with its gains, all pre-activations together; its derivative"
        )
        words[r"W, \, R_*"] = "weights into all nets, from the inputs and from what is read back"
    return words


def _legend_of_derivatives(cell: Any) -> dict[str, str]:
    words = {r"\operatorname{diag}": "the matrix that has this vector as its diagonal"}
    if cell.forget_gate is None:
        words["I"] = "the identity matrix"
    if any(not is_linear(gate.activation) for gate in cell.own.values()) or not is_linear(
        cell.candidate_activation
    ):
        words[r"i'_t, \, f'_t, \, \ldots"] = "slope of that value's activation at its net input"
    if not is_linear(cell.output_activation):
        words[r"h, \, h'"] = "the output activation and its slope"

    if cell.normaliser:
        words[r"\bar{i}_t, \, \bar{f}_t"] = "the gates as they multiply, after the normaliser"
        words[r"(\log i)'_t"] = "slope of the logarithm of that gate at its net input"
    if cell.normaliser == "state":
        words[r"\kappa_t"] = "1 where the old sum sets the stabiliser, else 0"
        words[r"\mu_t"] = "1 where the input sets the stabiliser and something was stored, else 0"
    return words


def _net(cell: Any, name: str) -> Equation:
    letter, gate = LETTERS[name], cell.own.get(name)
    # W without a letter: all nets are normalised together, and N_a takes the part of net a
    terms = [rf"\mathcal{{N}}_{letter}(W x_t)" if cell.layer_normalization else f"W_{letter} x_t"]
    waits = name == "candidate" and cell.reset_gate is not None
    terms += [_behind_reset_gate(cell)] if waits else [_read_back(cell, name)]
    if cell._initial_bias(name) is not None:
        terms.append(f"b_{letter}")

    if gate is not None and gate.peephole is not None:
        state = "s_t" if gate.peephole == "current" else "s_{t-1}"
        seen = rf"u_{letter} \odot {state}"
        terms.append(rf"{TRANSPOSED} ({seen})" if cell.block_size > 1 else seen)
    return Equation(
        f"net_{name}", f"{net_input(name)} = {' + '.join(term for term in terms if term)}"
    )


def _read_back(cell: Any, name: str) -> str:
    parts = [f"{weights} {before(symbol(cell, source))}" for weights, source in reads(cell, name)]
    text = " + ".join(parts)
    return rf"\mathcal{{N}}_{LETTERS[name]}({text})" if cell.layer_normalization and parts else text


def _behind_reset_gate(cell: Any) -> str:
    q = over_cells(cell, multiplier(cell, "reset_gate"))
    if cell.reset_after:
        return rf"{q} \odot p_t"
    # just one: with a reset gate GatedCell lets the candidate read y and nothing else
    [(weights, _)] = reads(cell, "candidate")
    text = rf"{weights} ({q} \odot y_{{t-1}})"
    return rf"\mathcal{{N}}_g({text})" if cell.layer_normalization else text


def _opened(cell: Any, name: str) -> Equation:
    letter = LETTERS[name]
    return Equation(name, rf"{letter}_t = {applied(cell.own[name].activation, net_input(name))}")


def _moved(cell: Any) -> list[Equation]:
    there = [name for name in MOVES if name in cell.gates]
    return [Equation(GATES[name].moves, MOVES[name].latex) for name in there]


def _normalised(cell: Any) -> list[Equation]:
    if cell.normaliser == "gates":
        both = (("input_gate", "i"), ("forget_gate", "f"))
        return [Equation(n, rf"\bar{{{a}}}_t = \frac{{{a}_t}}{{i_t + f_t}}") for n, a in both]
    if cell.normaliser == "state":
        return [
            Equation("stabiliser", r"m_t = \max(\log \, f_t + m_{t-1}, \, \log \, i_t)"),
            Equation("input_gate", r"\bar{i}_t = \exp(\log \, i_t - m_t)"),
            Equation("forget_gate", r"\bar{f}_t = \exp(\log \, f_t + m_{t-1} - m_t)"),
        ]
    return []


def _coupled(cell: Any, name: str) -> Equation:
    gate = coupled(cell)[name]
    value = multiplier(cell, gate.to)
    if gate.shift:  # (3) of Coupled
        value = applied(cell.own[gate.to].activation, f"{net_input(gate.to)} - {gate.shift:g}")
    return Equation(name, f"{multiplier(cell, name)} = {'1 - ' if gate.complement else ''}{value}")


def _candidate(cell: Any) -> list[Equation]:
    found = []
    if cell.reset_after:
        bias = " + c" if cell._initial_bias("candidate") is not None else ""
        found.append(Equation("waiting", f"p_t = {_read_back(cell, 'candidate')}{bias}"))
    g = applied(cell.candidate_activation, net_input("candidate"))
    return [*found, _net(cell, "candidate"), Equation("candidate", f"g_t = {g}")]


def _times(cell: Any, gate: str, value: str) -> str:
    """The value times its gate; '' if the gate is closed."""
    if getattr(cell, gate) == "closed":
        return ""
    return (
        rf"{over_cells(cell, multiplier(cell, gate))} \odot {value}"
        if gate in cell.gates
        else value
    )


def _state(cell: Any) -> str:
    terms = [_times(cell, "forget_gate", "s_{t-1}"), _times(cell, "input_gate", "g_t")]
    return f"s_t = {' + '.join(term for term in terms if term) or '0'}"


def _sum_beside(cell: Any) -> list[Equation]:
    if cell.normaliser != "state":
        return []
    return [Equation("normaliser", r"n_t = \bar{f}_t \odot n_{t-1} + \bar{i}_t")]  # (11)


def _read_out(cell: Any) -> list[Equation]:
    found = []
    if cell.normaliser == "state":
        found.append(
            Equation("normalised_state", rf"z_t = \frac{{s_t}}{{{over_cells(cell, 'n_t')}}}")
        )
    if cell.layer_normalization:
        inner = "z_t" if cell.normaliser == "state" else "s_t"
        found.append(Equation("normalised_state", rf"\hat{{s}}_t = \mathcal{{N}}_s({inner})"))
    value = applied(cell.output_activation, read_out(cell))
    return [*found, Equation("output", f"y_t = {_times(cell, 'output_gate', value) or '0'}")]


def _hidden(cell: Any) -> list[Equation]:
    if cell.hidden_size == cell.units:
        return []
    values = r", \, ".join(["y_t", *(multiplier(cell, gate) for gate in cell.gates)])
    return [Equation("hidden", rf"\mathrm{{hidden}}_t = ({values})")]
