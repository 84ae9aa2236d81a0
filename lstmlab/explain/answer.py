"""The answer at the top of a page: what a network keeps over the task's lag, and by which gate."""

from pathlib import Path
from typing import Any

import pandas as pd

from lstmlab.explain import pictures
from lstmlab.explain.held import LITTLE, moved, row_of
from lstmlab.explain.page import Page, words
from lstmlab.explain.why import beside, forget_gate, of_held

MORE = 1.01  # more than this is more than all


def write_answer(
    page: Page, cell: Any, tables: dict[str, pd.DataFrame], out: Path, forgot: bool = False
) -> None:
    """Write the answer: one paragraph and one picture.

    Args:
        page: The page.
        cell: A GatedCell.
        tables: As lstmlab.explain.measured.measure returns them.
        out: The folder for the picture, explain_answer.png.
        forgot: As `forgets_its_task` returns it.
    """
    held, lag = tables.get("interventions"), tables["memory"]["lag"].iloc[0]
    said = in_words(cell, tables)
    page.paragraph(f"{said} {_why_not_solved(cell, tables)}" if forgot else said, answer=True)

    drawn = "How the state at the last target depends on the state this many steps earlier: the "
    drawn += "largest singular value, median over sequences."
    if held is not None:
        drawn = f"Left: {drawn[0].lower()}{drawn[1:]} Right: what is left at the last of the "
        drawn += f"held steps, {held['steps'].iloc[0]:.3g} on average, of the state before them. "
        drawn += "What is too small for the axis is at its left end, with its size beside it."
    image = pictures.answer(
        tables["jacobians"], held, lag, forget_gate(cell), out / "explain_answer.png"
    )
    page.picture(image, drawn)


def forgets_its_task(cell: Any, tables: dict[str, pd.DataFrame], row: dict) -> bool:
    """Return whether a run has not solved its task, and its state cannot: it forgets too soon.

    Over the task's lag the state keeps less than LITTLE by all paths, in the mean over cells and
    in the largest singular value of ds_T/ds_t: signs that cancel in a mean do not count.

    Args:
        cell: A GatedCell.
        tables: As lstmlab.explain.measured.measure returns them.
        row: The row of the run. What a baseline solves, `criterion_met_by`, needs no memory.
    """
    if row["status"] == "solved" or row.get("criterion_met_by") or cell.normaliser == "state":
        return False  # of a normalised state what is read out is another thing, see why.of_held
    held = tables.get("interventions")
    kept = [_at_lag(tables)["value"]]
    if held is not None:
        kept.append(held["retention_before"].iloc[0])
    return all(abs(value) < LITTLE for value in kept)


def _why_not_solved(cell: Any, tables: dict[str, pd.DataFrame]) -> str:
    """That the network forgets what its task asks for, and by which gate."""
    by = {
        "a gate": "by its forget gate, whose values over this lag multiply to next to nothing",
        "absent": "by no gate: what is added cancels what the carousel keeps",
        "closed": "by no gate: without a carousel nothing holds the state",
    }[forget_gate(cell)]
    held = tables.get("interventions")
    along = 0.0 if held is None else held["retention_carousel_before"].iloc[0]
    if forget_gate(cell) == "a gate" and along >= LITTLE:
        by = f"by its forget gate, which leaves {along:.3g}, and by what is added, which cancels it"
    return (
        f"So this network forgets what its task asks for, {by}. This is why it cannot solve the "
        "task as it is."
    )


def _at_lag(tables: dict[str, pd.DataFrame]) -> pd.Series:
    """|ds_T/ds_t| at the measured lag that is nearest to the task's."""
    table, lag = tables["jacobians"], tables["memory"]["lag"].iloc[0]
    rows = table[(table["measure"] == "norm") & (table["path"] == "cell_state")]
    return rows.loc[(rows["lag"] - lag).abs().idxmin()]


def in_words(cell: Any, tables: dict[str, pd.DataFrame]) -> str:
    """Return what is kept, and by which gate, in one paragraph.

    Args:
        cell: A GatedCell.
        tables: As lstmlab.explain.measured.measure returns them.
    """
    held = tables.get("interventions")
    if held is None:
        return _without_gates(cell, tables)
    along, kept = (held[f"{what}_before"].iloc[0] for what in ("retention_carousel", "retention"))
    over = f"Over the task's lag, {_steps(tables)}, this network keeps"
    mean = f"(over all paths, mean over {'the ' if cell.units > 1 else ''}{_cells(cell.units)})"

    if forget_gate(cell) == "absent":
        return (
            f"{over} {_share(kept)} {mean}. No gate multiplies the old state: along the carousel, "
            "whose factor is the constant 1, all of it is kept; what is added makes the "
            f"difference. {_gates_that_change(held)}"
        )
    if forget_gate(cell) == "closed":
        return (
            f"{over} {_share(kept)} {mean}. There is no carousel that would "
            "hold it: the old state is multiplied by 0, and what is left passes through the "
            f"pre-activations. {_gates_that_change(held)}"
        )

    # of a ratio, the forget gate decides nothing by itself
    decides = "" if cell.normaliser == "state" else "only the forget gate decides: "
    whose = "the values of the forget gate" if not decides else "its values"
    text = (
        f"{over} {_share(kept)} {mean}. Along the carousel {decides}{whose}, multiplied, leave "
        f"{along:.3g}"
    )
    closed, opened = (row_of(held, "forget_gate", value) for value in ("closed", "open"))
    text += (
        f". Held closed over the lag, the forget gate leaves {closed['retention_after']:.3g} "
        f"of the state over all paths; held open, {opened['retention_after']:.3g}. "
    )
    others = held[held["gate"] != "forget_gate"]
    if len(others):
        text += _gates_that_change(others, "other ")
    if cell.normaliser == "state":
        text += f" {of_held(cell)}"
    elif together := " and ".join(f"the {words(gate)}" for gate in beside(cell)):
        text += f" In this cell the forget gate does not move alone: {together} moves with it."
    return text


def _without_gates(cell: Any, tables: dict[str, pd.DataFrame]) -> str:
    """Of a cell with nothing to hold: the derivative at the lag decides."""
    there = _at_lag(tables)
    why = {
        "absent": "Its carousel multiplies the old state by the constant 1",
        "closed": "It has no carousel that would hold its state, and no gate",
    }[forget_gate(cell)]
    return (
        f"Over the task's lag, {_steps(tables)}, this network keeps {_share(there['value'])} "
        f"(|ds_T/ds_t| at lag {there['lag']}, its largest singular value). {why}; everything else "
        "passes through the pre-activations."
    )


def _gates_that_change(rows: pd.DataFrame, other: str = "") -> str:
    """The gate that changes most over all paths, in words."""
    change = (rows["retention_after"] - rows["retention_before"]).abs()
    row = rows.loc[change.idxmax()]
    if not change.max():
        return f"No {other}gate, held open, closed or at its mean, changes that."
    changed = moved(row).replace("->", "→")
    return (
        f"Of the {other}gates, when held, the one that changes this most is {changed}, through "
        "what the pre-activations read back."
    )


def _steps(tables: dict[str, pd.DataFrame]) -> str:
    lag = tables["memory"]["lag"].iloc[0]
    return f"{lag:.4g} step{'' if lag == 1 else 's'}"


def _cells(units: int) -> str:
    return f"{units} cells" if units > 1 else "its one cell"


def _share(kept: float) -> str:
    """How much of a state is kept: a number, with words where it is next to nothing or too much."""
    size = abs(kept)
    words_for_it = "next to nothing" if size < LITTLE else "more than all" if size > MORE else ""
    return f"{words_for_it} of a state, {kept:.3g}" if words_for_it else f"{kept:.3g} of a state"
