"""Which gate forgets, in words, from the switches of a cell."""

from lstmlab.cells.gates import GATES, Coupled, mover
from lstmlab.explain.page import Formula
from lstmlab.symbolic.equations import equations
from lstmlab.symbolic.symbols import coupled, over_cells

OPENING = {False: "opening the {} is keeping, and closing it is forgetting",
           True: "opening the {} is forgetting, and closing it is keeping"}  # fmt: skip


def forget_gate(cell) -> str:
    """'a gate', 'absent' (the constant 1) or 'closed' (0)."""
    return "a gate" if "forget_gate" in cell.gates else cell.forget_gate or "absent"


def beside(cell) -> dict[str, bool]:
    """{gate: whether opening it is forgetting} of the gates that one net sets together with the forget gate.

    By coupling, or where both are divided by their sum: e_t falls as the gate opens, or, coupled without complement, rises.
    """
    if forget_gate(cell) != "a gate":
        return {}
    if cell.normaliser is not None:
        return {"input_gate": True}
    falls = {
        name: isinstance(gate, Coupled) and gate.complement for name, gate in cell.gates.items()
    }
    source = {
        name: gate.to if isinstance(gate, Coupled) else name for name, gate in cell.gates.items()
    }
    there = [
        name
        for name in cell.gates
        if name != "forget_gate" and source[name] == source["forget_gate"]
    ]
    return {name: falls[name] != falls["forget_gate"] for name in there}


def title(cell) -> str:
    together = " and ".join(_the(gate) for gate in beside(cell))
    if cell.normaliser == "state":
        return "Why forget gate and input gate both set what is left"
    if together:
        return f"Why the forget gate forgets, and {together} with it"
    return {
        "a gate": "Why the forget gate forgets, and no other gate",
        "absent": "Why no gate of this cell forgets",
        "closed": "Why nothing is kept here but through the nets",
    }[forget_gate(cell)]


def paragraphs(cell) -> list[list]:
    """Each of text and Formulas."""
    if cell.normaliser == "state":
        return _of_a_ratio(cell)
    text = {
        "a gate": "The forget gate alone stands as a factor before the old state.",
        "absent": "There is no forget gate: along the carousel the old state goes on times 1.",
        "closed": "There is no carousel: no factor stands before the old state, and nothing is kept of it but through a net "
        "that reads the step before.",
    }[forget_gate(cell)]
    moving = mover(cell.gates, "forget_gate")
    if moving is not None:
        text += f" The {moving.words} is a part of it."
    others = set(cell.gates) - {"forget_gate"}
    if any(GATES[gate].moves != "forget_gate" for gate in others):
        text += " The other gates stand before something else; what they do to the state is a term that is added."
    return [[text], *([_of_one_net(cell)] if beside(cell) else [])]


def of_held(cell) -> str:
    """What an intervention does not show; '' where it shows all."""
    if cell.normaliser == "state":
        return "Retention is that of the state alone. Of what is read, its ratio to the normaliser, both gates set what is left."
    if beside(cell):
        return "A gate's value is held here, not its net: gates that one net sets together are told apart."
    return ""


def _of_one_net(cell) -> list:
    """That what sets e_t sets another gate too."""
    if cell.normaliser == "gates":
        links = [line.latex for line in equations(cell) if r"\frac" in line.latex]
        before = "But both gates are divided by their sum, so that the net of either sets both: "
    else:
        links = [line.latex for line in equations(cell) if line.name in coupled(cell)]
        before = "But one net sets the forget gate and another gate: "
    formulas = [piece for link in links for piece in (Formula(link), ", ")][:-1]
    after = "; and ".join(
        OPENING[forgets].format(gate.replace("_", " ")) for gate, forgets in beside(cell).items()
    )
    return [
        before,
        *formulas,
        f". So {after}, because the same net sets the factor before the old state.",
    ]


def _of_a_ratio(cell) -> list[list]:
    """normaliser='state': what is left of s/n."""
    lines = {line.name: line.latex for line in equations(cell)}
    old, new = (
        over_cells(cell, rf"\frac{{{value}}}{{n_t}}")
        for value in (r"\bar{f}_t \odot n_{t-1}", r"\bar{i}_t")
    )
    ratio = rf"z_t = {old} \odot z_{{t-1}} + {new} \odot g_t"
    text = ". The two shares add up to 1: both gates set what is left of the old, and opening the input gate is forgetting."
    if cell.input_gate.get_config()["activation"] == "exponential":
        text += " Raising its net by 1 multiplies the odds of the new against the old by e."
    return [
        ["The factor before the old state is ", Formula(lines["forget_gate"]), ", in which ", Formula(lines["stabiliser"]),
         " depends on the input gate too; and it is not what is left, for state and normaliser are kept in the unit of the "
         "stabiliser, and what is read is their ratio, in which it cancels."],
        ["Of what is read, ", Formula(ratio), text],
    ]  # fmt: skip


def _the(gate: str) -> str:
    return f"the {gate.replace('_', ' ')}"
