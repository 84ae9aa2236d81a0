"""Which gate forgets, in words, from the switches of a cell."""

from typing import Any

from lstmlab.cells.gates import GATES, Coupled, mover
from lstmlab.explain.page import Formula, words
from lstmlab.symbolic.equations import equations
from lstmlab.symbolic.symbols import coupled, over_cells

OPENING = {
    False: "opening the {} means keeping, and closing it means forgetting",
    True: "opening the {} means forgetting, and closing it means keeping",
}


def forget_gate(cell: Any) -> str:
    """Return 'a gate', 'absent' (the constant 1) or 'closed' (0)."""
    return "a gate" if "forget_gate" in cell.gates else cell.forget_gate or "absent"


def beside(cell: Any) -> dict[str, bool]:
    """Return the gates that one pre-activation sets together with the forget gate.

    Gates are set together by coupling, or where both are divided by their sum.

    Returns:
        {gate: whether opening it means forgetting}. The forget factor e_t falls as such a gate
        opens; with a coupling without complement it rises.
    """
    if forget_gate(cell) != "a gate":
        return {}
    if cell.normaliser is not None:
        return {"input_gate": True}  # the larger its share, the smaller that of the forget gate

    source, falls = {}, {}
    for name, gate in cell.gates.items():
        is_coupled = isinstance(gate, Coupled)
        source[name] = gate.to if is_coupled else name
        falls[name] = is_coupled and gate.complement
    return {
        # of two gates of one net, opposite signs: one opens as the other closes
        name: falls[name] != falls["forget_gate"]
        for name in cell.gates
        if name != "forget_gate" and source[name] == source["forget_gate"]
    }


def title(cell: Any) -> str:
    """Return the heading over the paragraphs."""
    together = " and ".join(f"the {words(gate)}" for gate in beside(cell))
    if cell.normaliser == "state":
        return "Why the forget gate and the input gate both determine what is left"
    if together:
        return f"Why the forget gate forgets, and {together} with it"
    return {
        "a gate": "Why the forget gate forgets, and no other gate",
        "absent": "Why no gate of this cell forgets",
        "closed": "Why nothing is kept here except through the pre-activations",
    }[forget_gate(cell)]


def paragraphs(cell: Any) -> list[list]:
    """Return paragraphs, each a list of text and Formulas."""
    if cell.normaliser == "state":
        return _of_a_ratio(cell)
    text = {
        "a gate": "Only the forget gate is a factor on the old state.",
        "absent": "There is no forget gate: along the carousel the old state is multiplied by 1.",
        "closed": "There is no carousel: the old state has no factor, and nothing of it is kept "
        "except through a pre-activation that reads the step before.",
    }[forget_gate(cell)]

    moving = mover(cell.gates, "forget_gate")
    if moving is not None:
        text += f" The {moving.words} is part of this factor."
    others = set(cell.gates) - {"forget_gate"}
    if any(GATES[gate].moves != "forget_gate" for gate in others):
        text += (
            " The other gates multiply something else; what they do to the state is a term that is "
            "added."
        )
    return [[text], *([_of_one_net(cell)] if beside(cell) else [])]


def of_held(cell: Any) -> str:
    """Return what an intervention does not show; '' if it shows everything."""
    if cell.normaliser == "state":
        return (
            "Retention is that of the state only. What is read out is its ratio to the normaliser; "
            "of this ratio, both gates determine what is left."
        )
    if beside(cell):
        return (
            "The value of a gate is held here, not its pre-activation: gates that share a "
            "pre-activation are told apart."
        )
    return ""


def _of_one_net(cell: Any) -> list:
    """That the pre-activation of the forget gate sets another gate too."""
    if cell.normaliser == "gates":
        # the fractions of (9), which the line names do not tell from (2)
        links = [line.latex for line in equations(cell) if r"\frac" in line.latex]
        before = (
            "But both gates are divided by their sum, so that the pre-activation of either one "
            "sets both: "
        )
    else:
        links = [line.latex for line in equations(cell) if line.name in coupled(cell)]
        before = "But one pre-activation sets both the forget gate and another gate: "

    formulas = [piece for link in links for piece in (Formula(link), ", ")][:-1]
    follows = [OPENING[forgets].format(words(gate)) for gate, forgets in beside(cell).items()]
    because = "because the same pre-activation sets the factor on the old state"
    return [before, *formulas, f". So {'; and '.join(follows)}, {because}."]


def _of_a_ratio(cell: Any) -> list[list]:
    """normaliser='state': what is left of s/n."""
    lines = {line.name: line.latex for line in equations(cell)}
    shares = r"\bar{f}_t \odot n_{t-1}", r"\bar{i}_t"
    old, new = (over_cells(cell, rf"\frac{{{value}}}{{n_t}}") for value in shares)
    # (5) / (11) of GatedCell: f s_tm1 / n_t = (f n_tm1 / n_t) z_tm1, as z = s / n
    ratio = rf"z_t = {old} \odot z_{{t-1}} + {new} \odot g_t"

    text = (
        ". The two shares add up to 1: both gates determine what is left of the old value, and "
        "opening the input gate means forgetting."
    )
    # the odds are i / (f n_tm1), and i = e^net
    if cell.input_gate.get_config()["activation"] == "exponential":
        text += (
            " Raising its pre-activation by 1 multiplies the odds of the new value against the old "
            "one by e."
        )
    return [
        [
            "The factor on the old state is ",
            Formula(lines["forget_gate"]),
            ", in which ",
            Formula(lines["stabiliser"]),
            " depends on the input gate too. And this factor is not what is left: state and "
            "normaliser are kept in the unit of the stabiliser, and what is read out is their "
            "ratio, in which it cancels.",
        ],
        ["The value that is read out is ", Formula(ratio), text],
    ]
