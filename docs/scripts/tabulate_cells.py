"""The table of docs/cell.md, made from the files in conf/cell/ and the cells they describe: python
docs/scripts/tabulate_cells.py

tests/docs/test_docs.py compares the page with it.
"""

import re
from importlib import resources
from pathlib import Path

import keras
from draw_cells import FAMILIES

import lstmlab
from lstmlab.cells.gates import GATES, LETTERS, Coupled, squashing_config
from lstmlab.symbolic.symbols import multiplier

PAGE = Path(__file__).parents[1] / "cell.md"
FIRST, LAST = "<!-- made by docs/scripts/tabulate_cells.py -->", "<!-- end of what it made -->"
SIDES = [gate for gate in GATES.values() if not gate.may_close]  # those that most variants lack
FUNCTIONS = {
    "sigmoid": "logistic",
    "exponential": "exp",
    "linear": "identity",
    "g1997": "[-2, 2]",
    "h1997": "[-1, 1]",
}
READS = {
    "full": "cells",
    "cells": "cells",
    "by_element": "own cell",
    "block_diagonal": "own head",
    "none": "nothing",
}


def table() -> str:
    """One line per variant, family by family, and a column per switch."""
    rows = [row(name, lstmlab.variant(name)) for family in FAMILIES.values() for name in family]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(r.values()) for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(name: str, cell) -> dict[str, str]:
    gates = {gate: value(cell, gate) for gate in cell.GATES}
    sides = [
        f"{gate.words.removesuffix(' gate')}: {gates[gate.name]}"
        for gate in SIDES
        if gates[gate.name] != "1"
    ]
    if cell.reset_gate is not None:
        sides[-1] += ", after R" if cell.reset_after else ", before R"
    return {
        "variant": f"`{name}`",
        "input gate i": gates["input_gate"],
        "forget gate f": gates["forget_gate"],
        "output gate o": gates["output_gate"],
        ", ".join(f"{gate.words.removesuffix(' gate')} {gate.letter}" for gate in SIDES): "; ".join(
            sides
        ),
        "peepholes": ", ".join(LETTERS[gate] for gate in cell.peepholes),
        "g": function(cell.candidate_activation),
        "h": "y is s" if cell.is_own_output else function(cell.output_activation),
        "reads back": reads(cell),
        "states": str(len(cell.state_size)),
        "extra": "; ".join(extra(cell)),
        "weights": weights(name),
    }


def value(cell, name: str) -> str:
    """What a gate is: the function of its net, the gate that it follows, or a constant."""
    gate = getattr(cell, name)
    if gate is None or gate == "closed":
        return "0" if gate == "closed" else "1"
    if isinstance(gate, Coupled):
        letter = multiplier(cell, gate.to).removesuffix("_t")
        other = f"logistic(net_{letter} - {gate.shift:g})" if gate.shift else letter
        return f"1 - {other}" if gate.complement else other
    return function(gate.activation)


def function(activation) -> str:
    name = str(squashing_config(activation))
    return FUNCTIONS.get(name, name)


def reads(cell) -> str:
    if cell.feedback in ("none", "all", "gates_to_gates"):
        return {
            "none": "nothing",
            "all": "cells and gates",
            "gates_to_gates": "cells; gates also gates",
        }[cell.feedback]
    kinds = {READS[gate.recurrent] for gate in cell.own.values()} | {
        READS[cell.candidate_recurrent]
    }
    return ", ".join(sorted(kinds))


def extra(cell) -> list[str]:
    """What no other column says: blocks, normaliser, and initial values that make the variant."""
    found = [f"blocks of {cell.block_size}"] if cell.block_size > 1 else []
    found += {"gates": ["i and f divided by i + f"], "state": ["normaliser, stabiliser"]}.get(
        cell.normaliser, []
    )
    for name, gate in cell.own.items():
        if isinstance(gate.bias, keras.initializers.Initializer):
            shown = {
                k: v
                for k, v in gate.bias.get_config().items()
                if k in ("lag", "of", "first", "step", "spread")
            }
            words = ", ".join(LETTERS[v] if k == "of" else f"{v:g}" for k, v in shown.items())
            found.append(f"b_{LETTERS[name]} {type(gate.bias).__name__}({words})")
        elif gate.bias:
            found.append(f"b_{LETTERS[name]} = {gate.bias:g}")
    if isinstance(cell.recurrent_initializer, keras.initializers.Identity):
        found.append("R starts as 1")
    return found


def weights(name: str) -> str:
    """The formula in the head of the variant's file; n = m in cells without blocks."""
    text = (resources.files("lstmlab.conf") / "cell" / f"{name}.yaml").read_text(encoding="utf-8")
    return re.search(
        r"^# Weights, F inputs, n cells, m = n / block_size blocks: (.+)$", text, re.MULTILINE
    )[1]


def page_with_table(text: str, first: str, made: str) -> str:
    """The page with the table `made` between the comments `first` and LAST."""
    before, rest = text.split(first)
    return f"{before}{first}\n\n{made}\n\n{LAST}{rest.split(LAST, 1)[1]}"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page_with_table(text, FIRST, table()), encoding="utf-8")
