"""The measurements of a page: first what is claimed of them, then the numbers that decide it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lstmlab.diagnostics import Probe, kinds
from lstmlab.diagnostics.common.terms import Measured, terms
from lstmlab.explain import claims, pictures
from lstmlab.explain.claims import Claim, Fact
from lstmlab.explain.held import forgets
from lstmlab.explain.page import Formula, Page, number, path_in_words, words
from lstmlab.explain.symbols import multiplied
from lstmlab.explain.why import forget_gate, of_held

# instead of an excuse
LOST = (
    "Here it is a fault: over all paths next to nothing is left over the task's own lag, and the "
    "task is not solved."
)
DIAGNOSTICS = ("gates", "jacobians", "error_flow", "bound", "interventions", "memory")


class Section(NamedTuple):
    """A measurement.

    heading: over it.
    said: what is claimed of it.
    write: writes it to a page, below its heading.
    """

    heading: str
    said: list[Claim | Fact]
    write: Callable[[Page], None]


def measure(
    model: Any, probe: Probe, tell: Callable[[str], None] = lambda what: None
) -> dict[str, pd.DataFrame]:
    """Return {name: table} of those DIAGNOSTICS that serve the model.

    Args:
        model: A Recurrent.
        probe: What it is measured on.
        tell: Is told what is measured, before it is.
    """
    known = kinds()
    found = {name: known[name]() for name in DIAGNOSTICS}
    tables = {}
    for name in DIAGNOSTICS:
        if found[name].serves(model):
            tell(f"measuring {words(name)}")
            tables[name] = found[name].measure(model, probe)
    return tables


def measured_terms(
    model: Any, probe: Probe, tell: Callable[[str], None] = lambda what: None
) -> Measured:
    """Return the terms of the one-step Jacobian, measured."""
    tell("measuring the terms of one step")
    return terms(model, probe)


def sections(cell: Any, tables: dict[str, pd.DataFrame], found: Measured, out: Path) -> list:
    """Return the Sections of a page, in the order of the argument.

    Args:
        cell: A GatedCell.
        tables: As `measure` returns them.
        found: The terms.
        out: The folder for pictures.
    """
    ways = _about_gates, _about_terms, _about_retention, _about_flow, _about_bound, _about_held
    made = (way(cell, tables, found, out) for way in ways)
    return [section for section in made if section is not None]


def write_claims(page: Page, all_of_them: list[Section], forgot: bool = False) -> None:
    """Write what is claimed and whether it holds, each with a link to its measurement.

    Args:
        page: The page.
        all_of_them: The Sections.
        forgot: As lstmlab.explain.answer.forgets_its_task returns it.
    """
    page.heading("What is claimed, and whether it holds for this network")
    said = [found for section in all_of_them for found in section.said]
    page.paragraph(_counted(said, forgot))
    for section in all_of_them:
        for found in section.said:
            if isinstance(found, Fact):
                page.fact(*found, section.heading)
                continue
            text, holds, numbers, excuse, keeps = found
            if forgot and keeps and not holds:
                numbers, excuse = f"{numbers}. {LOST}", ""
            page.claim(text, holds, numbers, excuse, section.heading)


def write_sections(page: Page, all_of_them: list[Section]) -> None:
    """Write the measurements."""
    for section in all_of_them:
        page.heading(section.heading)
        section.write(page)


def _counted(said: list[Claim | Fact], forgot: bool) -> str:
    """How many claims hold, in words."""
    decided = [found for found in said if isinstance(found, Claim)]
    failed = [found for found in decided if not found.holds]
    excused = sum(bool(found.excuse and not (forgot and found.keeps)) for found in failed)
    text = f"{len(decided)} claims are measured: {len(decided) - len(failed)} hold"
    if failed:
        text += f", {len(failed)} {'does' if len(failed) == 1 else 'do'} not"
    if excused:
        is_all = excused == len(failed) and not forgot
        text += ", which is no fault" if is_all else f", {excused} of them without fault"
    if forgot:
        text += ". The network forgets what its task asks for, as the answer above says"
    facts = len(said) - len(decided)
    follow = "follows" if facts == 1 else "follow"
    return text + (f". {facts} more {follow} from the cell's switches." if facts else ".")


# ---- the sections


def _about_gates(cell: Any, tables: dict, found: Measured, out: Path) -> Section | None:
    if "gates" not in tables:
        return None
    return Section(
        "What each gate multiplies, and how far it is open",
        [],
        lambda page: _gates(page, cell, tables["gates"]),
    )


def _about_terms(cell: Any, tables: dict, found: Measured, out: Path) -> Section:
    said: list[Claim | Fact] = [claims.symbols(found.symbols, found.steps)]
    if found.carousel is not None:
        said.append(claims.scales(found.carousel, found.steps, forget_gate(cell)))
    said.append(claims.one_step(found.table))
    return Section("The terms, measured", said, lambda page: _terms(page, found))


def _about_retention(cell: Any, tables: dict, found: Measured, out: Path) -> Section | None:
    if "jacobians" not in tables:
        return None
    table, kind = tables["jacobians"], forget_gate(cell)
    heading = {
        "a gate": "The retention product beside the measured derivative",
        "absent": "The carousel's constant 1 beside the measured derivative",
        "closed": "The measured derivative, without a carousel",
    }[kind]
    return Section(
        heading,
        [claims.retention(table)],
        lambda page: page.picture(
            pictures.retention(table, kind, out / "explain_jacobians.png"),
            "How the state at the last target depends on the state this many steps earlier; median "
            "over the sequences of the probe.",
        ),
    )


def _about_flow(cell: Any, tables: dict, found: Measured, out: Path) -> Section | None:
    if "error_flow" not in tables:
        return None
    table = tables["error_flow"]
    return Section(
        "The error on its way back, by path",
        [claims.arrives(table, forget_gate(cell))],
        lambda page: page.picture(
            pictures.flow(table, out / "explain_error_flow.png"),
            "How much of the error at the last target arrives this many steps earlier; mean over "
            "the sequences of the probe.",
        ),
    )


def _about_bound(cell: Any, tables: dict, found: Measured, out: Path) -> Section | None:
    kind = forget_gate(cell)
    said = claims.bounded(tables["bound"], kind) if "bound" in tables else None
    if said is None:
        return None
    is_bounded = "bound_spectral" in set(tables["bound"]["kind"])
    beside = "bound for the current weights" if is_bounded else "carousel"
    return Section(
        "The bound of 1991" if is_bounded else "What the carousel keeps",
        [said],
        lambda page: page.picture(
            pictures.bound(tables["bound"], kind, out / "explain_bound.png"),
            f"The largest value over the sequences of the probe, beside the {beside}.",
        ),
    )


def _about_held(cell: Any, tables: dict, found: Measured, out: Path) -> Section | None:
    if "interventions" not in tables:
        return None
    table, kind = tables["interventions"], forget_gate(cell)
    which = "forgets" if kind == "a gate" else "changes what is kept"
    return Section(
        f"Which gate {which}: each of them held fixed for a while",
        forgets(table, kind),
        lambda page: _interventions(page, cell, table),
    )


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


def _terms(page: Page, found: Measured) -> None:
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


def _interventions(page: Page, cell: Any, table: pd.DataFrame) -> None:
    if of_held(cell):
        page.paragraph(of_held(cell))

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
