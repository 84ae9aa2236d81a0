"""The sections of a page in symbols: the equations of a cell, and the derivatives of one step."""

from typing import Any

from lstmlab.cells.gates import GATES
from lstmlab.explain.page import Formula, Page, path_in_words, words
from lstmlab.explain.why import forget_gate, paragraphs, title
from lstmlab.symbolic import symbols
from lstmlab.symbolic.equations import equations, legend
from lstmlab.symbolic.jacobian import jacobian
from lstmlab.symbolic.total import detours, total_derivative

NAMES = {
    "waiting": "what waits for the reset gate",
    "normalised_state": "what is read out",
    "hidden": "what the pre-activations read next",
}


def symbolic(page: Page, cell: Any, measured: bool = False, contents: bool = False) -> None:
    """Write which gate forgets, the equations of a cell, and its one-step Jacobian.

    Args:
        page: The page.
        cell: A GatedCell.
        measured: Whether the gates have a table with measurements elsewhere.
        contents: Whether a table of contents follows on which gate forgets.

    Raises:
        ValueError: The cell is not given in symbols; nothing is written.
    """
    # all before the first heading: of a cell that is refused nothing is written
    lines, meanings, blocks = equations(cell), legend(cell), jacobian(cell)
    page.heading(title(cell))
    for pieces in paragraphs(cell):
        page.paragraph(*pieces)
    if cell.gates and not measured:
        rows = [[words(gate), multiplied(cell, gate)] for gate in cell.gates]
        page.table(["gate", "multiplies"], rows)
    if contents:
        page.contents()

    page.heading("The equations with these switches")
    page.table(["value", "equation"], [[_value(line.name), Formula(line.latex)] for line in lines])
    page.table(["symbol", "meaning"], [[Formula(sign), text] for sign, text in meanings.items()])

    page.heading("How one step depends on the step before, in symbols")
    for text in _about_paths(cell):
        page.paragraph(text)
    for block in blocks.values():
        page.table(["derivative", "terms", "path"], _lines(block))
    _state_to_state(page, cell)


def multiplied(cell: Any, gate: str) -> str | Formula:
    """Return what a gate multiplies."""
    if GATES[gate].moves:
        return f"no state: it adjusts the {words(GATES[gate].moves)}"
    return Formula(symbols.multiplied(cell, gate))


def _state_to_state(page: Page, cell: Any) -> None:
    """Write Theorem 10 of docs/mathematics.md for this cell."""
    derivative = total_derivative(cell)
    page.heading("How the new state depends on the old one: e_t and N_t")
    split = Formula(rf"{derivative.left()} = \operatorname{{diag}}(e_t) + N_t")
    page.paragraph(split, ". ", _about_split(cell, derivative))
    page.table(["derivative", "terms", "path"], _lines(derivative))
    page.paragraph(_about_steps(cell))


def _about_split(cell: Any, derivative: Any) -> str:
    """What e_t and N_t are, in words."""
    moves = "" if cell.is_own_output else ", and with it what its own step makes of it"
    through = [term for term in derivative.terms if term.path]
    first = {
        "a gate": "The factor e_t is the value of the forget gate",
        "absent": "The factor e_t is 1",
        "closed": "The factor e_t is 0",
    }[forget_gate(cell)]
    rest = "N_t is the sum of all other terms" if through else "N_t is 0"
    return (
        f"This derivative, d, is total: the old state moves{moves}. {first}; {rest}: Theorem 10 "
        "(a), for this cell."
    )


def _about_steps(cell: Any) -> str:
    """Whether the derivatives of single steps may be multiplied, in words."""
    past = [words(name) for name in detours(cell)]
    if not past:
        return (
            "Over several steps, multiply these matrices: each state acts on later ones only "
            "through the next."
        )
    listed = f"{', '.join(past[:-1])} and {past[-1]}" if past[1:] else past[0]
    return (
        "Over several steps, their product is not the whole: a state also acts on later ones past "
        f"the states in between, through the {listed} that a step hands on. Multiply instead the "
        "matrices of all the partial derivatives above, those of everything that a step hands on: "
        "Theorem 10 (b)."
    )


def _about_paths(cell: Any) -> list[str]:
    """Which paths there are from one step to the next, in words."""
    if forget_gate(cell) == "closed":
        paths = "Every one passes through a pre-activation and is added."
    else:
        factor = {
            "a gate": "the forget gate as its factor",
            "absent": "the constant 1 as its factor",
        }[forget_gate(cell)]
        paths = (
            f"The carousel leads from state to state, with {factor} (Theorem 8); every other term "
            "passes through a pre-activation and is added."
        )

    texts = [
        "These derivatives, \N{PARTIAL DIFFERENTIAL}, are partial: one part of the step before "
        f"moves, the others are held. Each is a sum of terms, one for each path. {paths}"
    ]
    if cell.normaliser == "state":
        texts.append(
            "The stabiliser is not a pre-activation: it sets the unit in which state and "
            "normaliser are kept, and does not change their ratio."
        )
    if cell.is_own_output:
        texts.append(
            "The output is the state: what the pre-activations read from the step before is the "
            "old state itself."
        )
    return texts


def _lines(block: Any) -> list[list]:
    """One row for each term of a block of the Jacobian."""
    left = Formula(f"{block.left()} =")
    if not block.terms:
        return [[left, Formula("0"), ""]]
    rows = []
    for k, term in enumerate(block.terms):
        sign = "-" if term.sign < 0 else "+" if k else ""
        typeset = Formula(f"{sign} {term.latex()}")
        rows.append(["" if k else left, typeset, path_in_words(term.way)])
    return rows


def _value(name: str) -> str:
    """The name of a value, in words."""
    if name in NAMES:
        return NAMES[name]
    return path_in_words(name) if name.startswith("net_") else words(name)
