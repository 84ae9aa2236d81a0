"""The parts of an explanation: what was run, the cell in symbols, and each claim beside its measurement."""

from pathlib import Path

from lstmlab.explain.page import Formula, Page, number

NAMES = {
    "waiting": "what waits for the reset gate",
    "normalised_state": "what is read out",
    "hidden": "what the nets read next",
}
DIAGNOSTICS = ("gates", "jacobians", "error_flow", "bound", "interventions")


def what_was_run(page: Page, run) -> None:
    """run: as lstmlab.runs.build.reopen gives it."""
    row = run.row
    lines = [["ended", ended(row)], ["weights", f"{row.get('weights') or 0:,}"]]
    if row.get("reason"):
        lines.append(["reason", row["reason"]])
    if row.get("test_wrong") is not None:
        wrong = f"{row['test_wrong']:,} of {row['test_size']:,} sequences wrong"
        error = row.get("test_error")
        mean = (
            "no finite mean error"
            if error is None
            else f"mean absolute error {error:.4f} (units of the target)"
        )
        lines.append(["test set", f"{wrong}, {mean}"])
    steps = int(run.probe.valid.sum(axis=1).max())
    lines.append(
        [
            "probe",
            f"{len(run.probe.x)} sequences of up to {steps} steps, on which all is measured that follows",
        ]
    )
    page.table(["run", ""], lines)
    _of_cell_and_head_alone(page, run.model.learner)


def ended(row: dict) -> str:
    """How a run ended, in words."""
    if row["status"] == "solved":
        return f"solved after {row['sequences_to_solution']:,} training sequences"
    what = {"budget": "not solved, the budget used up"}.get(row["status"], row["status"])
    return f"{what}, after {row.get('sequences') or 0:,} training sequences"


def _of_cell_and_head_alone(page: Page, learner) -> None:
    from lstmlab.learners.base import Learner

    if type(learner).predict is not Learner.predict:
        name = type(learner).__name__
        page.paragraph(
            f"{name} does not answer with this cell and its head alone; what follows is of these two.",
            note=True,
        )


# ---- in symbols


def symbolic(page: Page, cell, measured: bool = False) -> None:
    """Equations as switched, the one-step Jacobian and what follows from it. measured: the gates get a table of their own.

    Raises ValueError for what is not given in symbols, the page as it was.
    """
    from lstmlab.explain.why import forget_gate, paragraphs, title
    from lstmlab.symbolic.equations import equations, jacobian, legend

    lines, words, blocks = equations(cell), legend(cell), jacobian(cell)
    page.heading("The equations, as switched")
    page.table(["value", "equation"], [[_value(line.name), Formula(line.latex)] for line in lines])
    page.table(
        ["symbol", "stands for"], [[Formula(symbol), text] for symbol, text in words.items()]
    )
    page.heading("What one step makes of the step before, in symbols")
    carousel = "The carousel leads from state to state by the forget gate or by its absence; every other term leads through a net"
    nets = "Every one leads through a net" if forget_gate(cell) == "closed" else carousel
    page.paragraph(
        f"Each derivative is a sum of terms, one for each path. {nets} input, and is added."
    )
    if cell.normaliser == "state":
        page.paragraph(
            "The stabiliser is no net: it sets the unit in which state and normaliser are kept, and leaves their ratio."
        )
    if cell.is_own_output:
        page.paragraph(
            "The output is the state: what the nets read of the step before is the old state itself."
        )
    for block in blocks.values():
        page.table(["derivative", "terms", "path"], _lines(block))
    page.heading(title(cell))
    for pieces in paragraphs(cell):
        page.paragraph(*pieces)
    if cell.gates and not measured:
        page.table(
            ["gate", "multiplies"], [[_words(gate), multiplied(cell, gate)] for gate in cell.gates]
        )


def _lines(block) -> list[list]:
    """One row for each term of a block."""
    left = rf"\frac{{\partial {block.target}}}{{\partial {block.source}}} ="
    if not block.terms:
        return [[Formula(left), Formula("0"), ""]]
    signed = [
        Formula(f"{'-' if term.sign < 0 else '+' if k else ''} {term.latex()}")
        for k, term in enumerate(block.terms)
    ]
    firsts = [Formula(left)] + [""] * len(signed)
    return [
        [first, term, _words(of.way)]
        for first, term, of in zip(firsts, signed, block.terms, strict=False)
    ]


def multiplied(cell, gate: str):
    """What a gate stands before."""
    from lstmlab.symbolic.symbols import applied, read_out

    if gate == "refine_gate":
        return "nothing of the state: it moves the forget gate"
    factors = {
        "forget_gate": "s_{t-1}",
        "input_gate": "g_t",
        "reset_gate": "p_t" if cell.reset_after else "y_{t-1}",
    }
    return Formula(factors.get(gate) or applied(cell.output_activation, read_out(cell)))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(name: str) -> str:
    return NAMES.get(name) or (
        f"net input of the {_words(name[4:])}" if name.startswith("net_") else _words(name)
    )


# ---- measured


def not_finite(weights) -> str:
    """In words, which of the weights of a run are not finite; '' if all are."""
    import numpy as np

    broken = [weight.path for weight in weights if not np.isfinite(weight.numpy()).all()]
    return f"weights of this run are not finite ({', '.join(broken)})" if broken else ""


def measure(model, probe) -> dict:
    """{name: table} of those DIAGNOSTICS that serve the model."""
    from lstmlab.diagnostics import Bound, ErrorFlow, GateActivations, Interventions, Jacobians

    found = {
        diagnostic.name: diagnostic
        for diagnostic in (GateActivations(), Jacobians(), ErrorFlow(), Bound(), Interventions())
    }
    return {
        name: found[name].measure(model, probe) for name in DIAGNOSTICS if found[name].serves(model)
    }


def measured(page: Page, model, probe, out: Path) -> None:
    """Each claim beside its measurement, in the order of the argument; pictures and tables go into the folder `out`."""
    from lstmlab.diagnostics.terms import terms

    tables, found = measure(model, probe), terms(model, probe)
    for name, table in {**tables, "terms": found.table}.items():
        table.to_csv(out / f"explain_{name}.csv", index=False)
    if "gates" in tables:
        page.heading("What each gate multiplies, and how far it stands open")
        _gates(page, model.cell, tables["gates"])
    page.heading("The terms, measured")
    _terms(page, model.cell, found)
    _against_lag(page, model.cell, tables, out)
    if "interventions" in tables:
        page.heading("Which gate forgets: each of them held fast for a while")
        _interventions(page, model.cell, tables["interventions"])


def _gates(page: Page, cell, table) -> None:
    heads = ["gate", "multiplies", "mean on the probe", "of the time below 0.1", "above 0.9"]
    rows = table.to_dict("records")
    shares = [[f"{row[near]:.1%}" for near in ("near_0", "near_1")] for row in rows]
    lines = [
        [_words(row["gate"]), multiplied(cell, row["gate"]), number(row["mean"])] for row in rows
    ]
    page.table(heads, [line + share for line, share in zip(lines, shares, strict=True)])


def _terms(page: Page, cell, found) -> None:
    from lstmlab.explain import claims
    from lstmlab.explain.why import forget_gate

    page.claim(*claims.symbols(found.symbols, found.steps))
    if found.carousel is not None:
        page.claim(*claims.scales(found.carousel, found.steps, forget_gate(cell)))
    page.claim(*claims.one_step(found.table))
    rows = [[_words(row["value"]), _words(row["part"]), Formula(row["term"]), _words(row["way"]), number(row["norm"])]
            for row in found.table.to_dict("records")]  # fmt: skip
    page.table(
        ["derivative of", "by, of the step before", "term, without its sign", "path", "norm"], rows
    )
    page.paragraph(f"norm: the largest singular value, mean over {found.steps} steps of the probe. Its unit is that of the "
                   "value over that of what it is derived by: none, from state to state.", note=True)  # fmt: skip


def _say(page: Page, found) -> None:
    """A Claim with its verdict, or a Fact."""
    (page.claim if len(found) == 3 else page.fact)(*found)


def _against_lag(page: Page, cell, tables: dict, out: Path) -> None:
    """What is left over many steps: retention, error flow, bound."""
    from lstmlab.explain import claims, pictures
    from lstmlab.explain.why import forget_gate

    for name, title, claim, draw, caption in (
        ("jacobians", "The retention product beside what is measured", claims.retention, pictures.retention,
         "How the state at the last target depends on the state so many steps earlier; median over sequences of the probe."),
        ("error_flow", "The error on its way back, by path", claims.arrives, pictures.flow,
         "How much of the error at the last target arrives so many steps earlier; mean over sequences of the probe."),
        ("bound", "The bound of 1991, or what the carousel keeps", claims.bounded, pictures.bound,
         "The largest over sequences of the probe, beside the bound of the current weights or the carousel."),
    ):  # fmt: skip
        more = () if name == "jacobians" else (forget_gate(cell),)
        if name in tables and (found := claim(tables[name], *more)) is not None:
            page.heading(title)
            _say(page, found)
            page.picture(draw(tables[name], out / f"explain_{name}.png"), caption)


def _interventions(page: Page, cell, table) -> None:
    from lstmlab.explain.held import forgets
    from lstmlab.explain.why import forget_gate, of_held

    if of_held(cell):
        page.paragraph(of_held(cell))
    for found in forgets(table, forget_gate(cell)):
        _say(page, found)
    columns = {
        "error": "mean error",
        "recalled": "recalled",
        "retention": "retention",
        "retention_carousel": "by the carousel",
    }
    first, there = table.iloc[0], [name for name in columns if f"{name}_after" in table]
    rows = [["none", "", "0", *(number(first[f"{name}_before"]) for name in there)]]
    rows += [[_words(row["gate"]), row["value"], number(row["steps"]), *(number(row[f"{name}_after"]) for name in there)]
             for row in table.to_dict("records")]  # fmt: skip
    page.table(["gate", "held", "steps", *(columns[name] for name in there)], rows)
    page.paragraph("mean error: |target - answer|, units of the target. recalled: share of the target's variance, no unit. "
                   "retention: derivative of the state at the end of those steps by the state before them, mean over cells, no "
                   "unit; by every path, and by the carousel alone.", note=True)  # fmt: skip
