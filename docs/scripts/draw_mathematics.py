"""The picture and the table of the short answer in docs/mathematics.md.

    python docs/scripts/draw_mathematics.py

One cell whose gates and candidates are held at given values, run twice, from two pasts. The states
are those of a lstmlab.GatedCell; tests/docs/test_mathematics.py compares the page with them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from draw_diagnostics import save
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tabulate_cells import page_with_table

from lstmlab import GatedCell
from lstmlab.diagnostics.common.tracing import trace

PAGE = Path(__file__).parents[1] / "mathematics.md"
PICTURE = PAGE.parent / "images" / "mathematics_gates.png"
FIRST = "<!-- made by docs/scripts/draw_mathematics.py -->"
PASTS = (4.0, 0.0)
HELD = {
    "forget_gate": (1.0, 0.5, 1.0),
    "input_gate": (0.5, 0.5, 0.5),
    "candidate": (2.0, 2.0, -2.0),
    "output_gate": (1.0, 0.5, 1.0),
}
CHANGED = 2  # the step at which one gate gets another value
COLOURS = ("C0", "C1")


class Change(NamedTuple):
    """One gate at step CHANGED: its name, its other value, and what to call that."""

    gate: str
    value: float
    words: str


CHANGES = (
    Change("input_gate", 0.0, "input gate closed"),
    Change("input_gate", 1.0, "input gate open"),
    Change("output_gate", 0.0, "output gate closed"),
    Change("output_gate", 1.0, "output gate open"),
    Change("forget_gate", 0.0, "forget gate closed"),
    Change("forget_gate", 1.0, "forget gate open"),
)
DRAWN = (None, CHANGES[0], CHANGES[2], CHANGES[4])


def run(change: Change | None = None) -> dict[str, np.ndarray]:
    """States s and outputs y of steps 0 to 3, one row for each past: {"s": [2, 4], "y": [2, 4]}."""
    cell = GatedCell(
        1, "sigmoid", "sigmoid", "sigmoid", "linear", "linear", feedback="none", dtype="float64"
    )
    cell.build((None, 1))
    held = {name: np.array([1.0, *values]) for name, values in HELD.items()}
    if change is not None:
        held[change.gate][CHANGED] = change.value

    steps = len(held["forget_gate"])
    everywhere = tf.ones((len(PASTS), steps, 1))
    clamps = {
        name: (everywhere, tf.constant(np.tile(values[None, :, None], (len(PASTS), 1, 1))))
        for name, values in held.items()
    }
    # step 0 makes the past
    first = tf.constant(np.tile(np.eye(1, steps)[:, :, None], (len(PASTS), 1, 1)))
    pasts = tf.constant(np.tile(np.array(PASTS)[:, None, None], (1, steps, 1)))
    clamps["cell_state"] = (first, pasts)
    values = trace(cell, tf.zeros((len(PASTS), steps, 1), "float64"), clamps=clamps)
    return {"s": values["cell_state"].numpy()[..., 0], "y": values["output"].numpy()[..., 0]}


def table() -> str:
    """The state after the last step, from both pasts, for each change; and what is left between."""
    rows = [("nothing", run())] + [(change.words, run(change)) for change in CHANGES]
    lines = [
        f"| what is changed at step {CHANGED} | $s_3$ from {PASTS[0]:g} | $s_3$ from {PASTS[1]:g}"
        " | gap |",
        "|---|---|---|---|",
    ]
    for words, found in rows:
        one, other = found["s"][:, -1]
        bold = "**" if words.startswith("forget") else ""
        lines.append(
            f"| {words} | {one:g} | {other:g} | {bold}{one - other:g}{bold} |".replace("-0 ", "0 ")
        )
    return "\n".join(lines)


def picture() -> Figure:
    """States above, outputs below; a column for each change."""
    figure = Figure(figsize=(9.5, 5.2), layout="constrained", dpi=110)
    figure.suptitle(
        f"One cell, two pasts: the state begins at {PASTS[0]:g} or at {PASTS[1]:g}, and all else is"
        " the same.\nWhich gate, changed at one step, decides how far apart the two states stay?",
        fontsize="medium",
    )
    panels = figure.subplots(2, len(DRAWN), sharex=True, sharey=True)
    for column, change in zip(panels.T, DRAWN, strict=True):
        found = run(change)
        words = "nothing changed" if change is None else f"{change.words}\nat step {CHANGED}"
        is_answer = change is not None and change.gate == "forget_gate"
        column[0].set_title(
            words, fontsize="small", color="C3" if is_answer else "black", linespacing=1.1
        )
        for panel, name in zip(column, ("s", "y"), strict=True):
            _curves(panel, found[name], changed=change is not None)
        _gap(column[0], found["s"])
        column[1].set_xlabel("step", fontsize="small")
    panels[0, 0].set_ylabel("cell state s:\nwhat is kept", fontsize="small")
    panels[1, 0].set_ylabel("output y = o s:\nwhat is shown", fontsize="small")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        fontsize="small",
    )
    return figure


def _curves(panel: Axes, values: np.ndarray, changed: bool) -> None:
    """The two pasts; a band marks the step of the change."""
    if changed:
        panel.axvspan(CHANGED - 0.25, CHANGED + 0.25, color="0.9", lw=0)
    styles = zip(PASTS, COLOURS, ("o-", "s--"), (9, 5), strict=True)
    for row, (past, colour, line, size) in zip(values, styles, strict=True):
        panel.plot(row, line, color=colour, ms=size, lw=1.8, label=f"from {past:g}")
    panel.set(xticks=range(values.shape[1]), xlim=(-0.3, 4.3), ylim=(-1.2, 6.2))
    panel.tick_params(labelsize="small")
    panel.grid(alpha=0.3)


def _gap(panel: Axes, states: np.ndarray) -> None:
    """The distance of the two states after the last step, as a bracket with its number."""
    one, other = states[:, -1]
    if one != other:
        panel.annotate(
            "",
            (3.4, other),
            (3.4, one),
            arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0},
        )
    panel.text(3.52, (one + other) / 2, f"gap\n{one - other:g}", va="center", fontsize="small")


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page_with_table(text, FIRST, table()), encoding="utf-8")
    save(picture(), PICTURE)
