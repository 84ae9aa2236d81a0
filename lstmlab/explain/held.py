"""What is claimed of gates held fast, and whether it is so: from the table of diagnostics.Interventions, nothing else."""

import numpy as np
import pandas as pd

from lstmlab.explain.claims import FACTOR, ROUNDING, Claim, Fact

KEPT = "(derivative of the state after the steps held by the one before, mean over cells, no unit)"


def forgets(interventions: pd.DataFrame, forget_gate: str) -> list[Claim | Fact]:
    """interventions: the table of diagnostics.Interventions; forget_gate: as in claims.scales."""
    if forget_gate == "a gate":
        others = interventions[interventions["gate"] != "forget_gate"]
        along = [_answered(others)] if len(others) else []
        return [_factor(interventions), *along, _leaves_least(interventions)]
    constant = {
        "absent": "Along the carousel the old state goes on times 1 at every step: no gate stands before it.",
        "closed": "There is no carousel: the old state goes on times 0 at every step.",
    }
    has = "input_gate" in set(interventions["gate"])
    added = [_added(_row(interventions, "input_gate", "closed"))] if has else []
    return [Fact(constant[forget_gate]), _unchanged(interventions), *added]


def _factor(interventions: pd.DataFrame) -> Fact:
    ends = [_row(interventions, "forget_gate", value) for value in ("closed", "open")]
    return Fact(
        "Along the carousel the factor is the forget gate's value at every step: closed, it leaves nothing, and open, all.",
        "; ".join(_moved(row, "retention_carousel") for row in ends) + f" {KEPT}",
    )


def _answered(others: pd.DataFrame) -> Claim:
    """Of the gates but the forget gate."""
    with np.errstate(divide="ignore"):
        after, before = (
            np.log10(others[f"retention_carousel_{when}"].abs()) for when in ("after", "before")
        )
    apart = (after - before).where(after != before, 0.0).abs()
    return Claim(
        f"No other gate, held, moves the product of the forget gates by more than a factor of {FACTOR:g}.",
        bool(apart.max() <= np.log10(FACTOR)),
        f"farthest: {_moved(others.loc[apart.idxmax()], 'retention_carousel')}; so far the forget gate's own value answers "
        f"what is fed back {KEPT}",
    )


def _leaves_least(interventions: pd.DataFrame) -> Claim:
    """Against every other gate held, and none."""
    left, closed = (
        interventions["retention_after"].abs(),
        _row(interventions, "forget_gate", "closed"),
    )
    others = left[interventions["gate"] != "forget_gate"]
    least = (
        f"the least by another, {_moved(interventions.loc[others.idxmin()])}; "
        if len(others)
        else ""
    )
    return Claim(
        "By every path, too, the closed forget gate leaves least of the old state.",
        bool(abs(closed["retention_after"]) < min([abs(closed["retention_before"]), *others])),
        f"{_moved(closed)}; {least}the largest change of all, {_largest(interventions)} {KEPT}",
    )


def _unchanged(interventions: pd.DataFrame) -> Claim:
    change = (interventions["retention_after"] - interventions["retention_before"]).abs()
    return Claim(
        "By every path, no gate that is held open, shut or at its mean changes what is kept of the old state.",
        bool(change.max() < ROUNDING),
        f"largest change, {_largest(interventions)} {KEPT}",
    )


def _added(closed: pd.Series) -> Claim:
    """closed: the row of the closed input gate."""
    return Claim(
        "With the input gate closed nothing is added, and by every path as much is kept as along the carousel.",
        bool(abs(closed["retention_after"] - closed["retention_carousel_after"]) < ROUNDING),
        f"{_moved(closed)}; the carousel: {closed['retention_carousel_after']:.3g} {KEPT}",
    )


def _largest(interventions: pd.DataFrame) -> str:
    """The row that changes the retention most, in words, and how it does so."""
    change = (interventions["retention_after"] - interventions["retention_before"]).abs()
    row = interventions.loc[change.idxmax()]
    added = ", through what the nets read back (outputs, peepholes), by addition"
    return _moved(row) + (
        added if row["gate"] != "forget_gate" and change.max() >= ROUNDING else ""
    )


def _row(interventions: pd.DataFrame, gate: str, value: str) -> pd.Series:
    return interventions[(interventions["gate"] == gate) & (interventions["value"] == value)].iloc[
        0
    ]


def _moved(row: pd.Series, what: str = "retention") -> str:
    held = {"mean": "at its mean"}.get(row["value"], row["value"])
    return f"the {row['gate'].replace('_', ' ')} {held}: {row[f'{what}_before']:.3g} -> {row[f'{what}_after']:.3g}"
