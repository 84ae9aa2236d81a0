"""The sections of a page with measurements: each claim next to the numbers that decide it."""

from pathlib import Path
from typing import Any

import pandas as pd

from lstmlab.diagnostics import Probe, kinds
from lstmlab.diagnostics.common.terms import terms
from lstmlab.explain import claims, pictures
from lstmlab.explain.claims import Claim, Fact
from lstmlab.explain.held import forgets
from lstmlab.explain.page import Formula, Page, number, path_in_words, words
from lstmlab.explain.symbols import multiplied
from lstmlab.explain.why import forget_gate, of_held
from lstmlab.files import write

DIAGNOSTICS = ("gates", "jacobians", "error_flow", "bound", "interventions")


def measured(page: Page, model: Any, probe: Probe, out: Path) -> None:
    """Write each claim next to its measurement, in the order of the argument.

    Args:
        page: The page.
        model: A Recurrent with a GatedCell.
        probe: What it is measured on.
        out: The folder for pictures and tables.
    """
    tables, found = measure(model, probe), terms(model, probe)
    for name, table in {**tables, "terms": found.table}.items():
        write(out / f"explain_{name}.csv", table.to_csv(index=False))

    if "gates" in tables:
        page.heading("What each gate multiplies, and how far it is open")
        _gates(page, model.cell, tables["gates"])
    page.heading("The terms, measured")
    _terms(page, model.cell, found)
    _retention(page, tables, out)
    _flow(page, model.cell, tables, out)
    _bound(page, model.cell, tables, out)
    if "interventions" in tables:
        page.heading("Which gate forgets: each of them held fixed for a while")
        _interventions(page, model.cell, tables["interventions"])


def measure(model: Any, probe: Probe) -> dict[str, pd.DataFrame]:
    """Return {name: table} of those DIAGNOSTICS that serve the model."""
    known = kinds()
    found = {name: known[name]() for name in DIAGNOSTICS}
    serving = [name for name in DIAGNOSTICS if found[name].serves(model)]
    return {name: found[name].measure(model, probe) for name in serving}


def _gates(page: Page, cell: Any, table: pd.DataFrame) -> None:
    rows = [
        [
            words(row["gate"]),
            multiplied(cell, row["gate"]),
            number(row["mean"]),
            f"{row['near_0']:.1%}",
            f"{row['near_1']:.1%}",
        ]
        for row in table.to_dict("records")
    ]
    heads = ["gate", "multiplies", "mean on the probe", "time below 0.1", "time above 0.9"]
    page.table(heads, rows)


def _terms(page: Page, cell: Any, found: Any) -> None:
    page.claim(*claims.symbols(found.symbols, found.steps))
    if found.carousel is not None:
        page.claim(*claims.scales(found.carousel, found.steps, forget_gate(cell)))
    page.claim(*claims.one_step(found.table))

    rows = [
        [
            words(row["value"]),
            words(row["part"]),
            Formula(row["term"]),
            path_in_words(row["way"]),
            number(row["norm"]),
        ]
        for row in found.table.to_dict("records")
    ]

    of, by = "partial derivative of", "with respect to (step before)"
    page.table([of, by, "term, without its sign", "path", "norm"], rows)
    page.paragraph(
        f"norm: the largest singular value, averaged over {found.steps} steps of the probe. Its "
        "unit is that of the value over that of what it is differentiated with respect to: none, "
        "from state to state.",
        note=True,
    )


def _retention(page: Page, tables: dict, out: Path) -> None:
    if "jacobians" not in tables:
        return
    page.heading("The retention product beside the measured derivative")
    _say(page, claims.retention(tables["jacobians"]))
    page.picture(
        pictures.retention(tables["jacobians"], out / "explain_jacobians.png"),
        "How the state at the last target depends on the state this many steps earlier; median "
        "over the sequences of the probe.",
    )


def _flow(page: Page, cell: Any, tables: dict, out: Path) -> None:
    if "error_flow" not in tables:
        return
    page.heading("The error on its way back, by path")
    _say(page, claims.arrives(tables["error_flow"], forget_gate(cell)))
    page.picture(
        pictures.flow(tables["error_flow"], out / "explain_error_flow.png"),
        "How much of the error at the last target arrives this many steps earlier; mean over the "
        "sequences of the probe.",
    )


def _bound(page: Page, cell: Any, tables: dict, out: Path) -> None:
    said = claims.bounded(tables["bound"], forget_gate(cell)) if "bound" in tables else None
    if said is None:
        return
    page.heading("The bound of 1991, or what the carousel keeps")
    _say(page, said)
    page.picture(
        pictures.bound(tables["bound"], out / "explain_bound.png"),
        "The largest value over the sequences of the probe, beside the bound for the current "
        "weights or the carousel.",
    )


def _interventions(page: Page, cell: Any, table: pd.DataFrame) -> None:
    if of_held(cell):
        page.paragraph(of_held(cell))
    for found in forgets(table, forget_gate(cell)):
        _say(page, found)

    columns = {
        "error": "mean error",
        "recalled": "recalled",
        "retention": "retention",
        "retention_carousel": "along the carousel",
    }
    there = [name for name in columns if f"{name}_after" in table]

    # every row has the same values before: one measurement with no gate held
    first = table.iloc[0]
    rows = [["none", "", "0", *(number(first[f"{name}_before"]) for name in there)]]
    for row in table.to_dict("records"):
        after = [number(row[f"{name}_after"]) for name in there]
        rows.append([words(row["gate"]), row["value"], number(row["steps"]), *after])
    page.table(["gate", "held", "steps", *(columns[name] for name in there)], rows)
    page.paragraph(
        "mean error: |target - answer|, units of the target. recalled: explained share of the "
        "target's variance, no unit. retention: derivative of the state at the end of those steps "
        "with respect to the state before them, mean over cells, no unit; over all paths, and "
        "along the carousel only.",
        note=True,
    )


def _say(page: Page, found: Claim | Fact) -> None:
    """A Claim with its verdict, or a Fact without one."""
    if isinstance(found, Claim):
        page.claim(*found)
    else:
        page.fact(*found)
