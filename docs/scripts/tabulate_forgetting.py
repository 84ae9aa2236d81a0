"""The table of docs/mathematics.md, found by differentiating the cells in conf/cell/: python
docs/scripts/tabulate_forgetting.py

tests/docs/test_mathematics.py compares the page with it.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from draw_cells import FAMILIES
from tabulate_cells import page_with_table, value

import lstmlab
from lstmlab.cells.gates import LETTERS, mover
from lstmlab.diagnostics.common.tracing import trace

PAGE = Path(__file__).parents[1] / "mathematics.md"
FIRST = "<!-- made by docs/scripts/tabulate_forgetting.py -->"
NORMALISED = {"gates": "f / (i + f)", "state": "f; in what is read, f n_tm1 / n_t"}
B, T, F = 20, 2, 2


def table() -> str:
    """One line per variant, family by family."""
    rows = [row(name) for family in FAMILIES.values() for name in family]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(r.values()) for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(name: str) -> dict[str, str]:
    cell = with_random_weights(name)
    moves, sees = moving(cell), seeing(cell)
    return {
        "variant": f"`{name}`",
        "factor of the old state": factor(cell),
        "nets that move the factor": ", ".join(LETTERS[net] for net in moves) or "none",
        "nets of the second path": ", ".join(LETTERS[net] for net in sees) or "none",
    }


def factor(cell) -> str:
    """e_t in letters."""
    if cell.normaliser is not None:
        return NORMALISED[cell.normaliser]
    text = value(cell, "forget_gate")
    if mover(cell.gates, "forget_gate") is not None:
        return "f + (2 r - 1) f (1 - f)"
    return "f" if text == "logistic" else text


def moving(cell) -> list[str]:
    """The nets on which the factor depends, at the same step."""
    return [
        net
        for net in cell.nets
        if "forget_gate" in cell.gates and depends(cell, "forget_gate", f"net_{net}", T - 1)
    ]


def seeing(cell) -> list[str]:
    """The nets that enter the state and depend on the state of the step before.

    Those of theorem 10's N.
    """
    return [
        net for net in cell.nets if net != "output_gate" and depends(cell, net, "cell_state", T - 2)
    ]


def depends(cell, of: str, by: str, step: int) -> bool:
    """Whether the value `of` at the last step has a derivative to `by` at that step."""
    width = cell.nets[by.removeprefix("net_")] if by.startswith("net_") else cell.units
    tap = tf.zeros((B, T, width), "float64")
    x = tf.constant(np.random.default_rng(1997).normal(size=(B, T, F)))
    with tf.GradientTape() as tape:
        tape.watch(tap)
        last = tf.reduce_sum(trace(cell, x, taps={by: tap})[of][:, -1])
    return bool(np.any(tape.gradient(last, tap, unconnected_gradients="zero").numpy()[:, step]))


def with_random_weights(name: str):
    rng, cell = np.random.default_rng(1997), lstmlab.variant(name, dtype="float64")
    cell.build((None, F))
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.7))
    return cell


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page_with_table(text, FIRST, table()), encoding="utf-8")
