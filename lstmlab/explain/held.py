"""What is claimed of gates that are held fixed, and whether it is so.

Only the table of diagnostics.Interventions decides.
"""

import numpy as np
import pandas as pd

from lstmlab.explain.claims import FACTOR, ROUNDING, Claim, Fact
from lstmlab.explain.page import words

LITTLE = 1e-2  # less than this is next to nothing
KEPT = (
    "(derivative of the state after the held steps with respect to the state before them, mean "
    "over cells, no unit)"
)


def forgets(interventions: pd.DataFrame, forget_gate: str) -> list[Claim | Fact]:
    """Return what follows for the question which gate forgets.

    Args:
        interventions: The table of diagnostics.Interventions.
        forget_gate: 'a gate', 'absent' or 'closed'.
    """
    if forget_gate == "a gate":
        others = interventions[interventions["gate"] != "forget_gate"]
        responded = [_responded(others)] if len(others) else []
        return [_factor(interventions), *responded, _leaves_least(interventions)]

    constant = {
        "absent": "Along the carousel the old state is multiplied by 1 at every step, by no gate.",
        "closed": "There is no carousel: the old state is multiplied by 0 at every step.",
    }
    # an absent or a closed gate cannot be held, and has no rows
    has = "input_gate" in set(interventions["gate"])
    added = [_added(row_of(interventions, "input_gate", "closed"))] if has else []
    return [Fact(constant[forget_gate]), _unchanged(interventions, forget_gate), *added]


def _factor(interventions: pd.DataFrame) -> Fact:
    ends = [row_of(interventions, "forget_gate", value) for value in ("closed", "open")]
    return Fact(
        "Along the carousel, the factor at every step is the value of the forget gate: closed, it "
        "leaves nothing; open, it leaves everything.",
        "; ".join(moved(row, "retention_carousel") for row in ends) + f" {KEPT}",
    )


def _responded(others: pd.DataFrame) -> Claim:
    """others: the rows of all gates but the forget gate."""
    with np.errstate(divide="ignore"):
        before, after = (
            np.log10(others[f"retention_carousel_{when}"].abs()) for when in ("before", "after")
        )
    # 0 before and after is -inf both times: no change
    apart = (after - before).where(after != before, 0.0).abs()
    largest = moved(others.loc[apart.idxmax()], "retention_carousel")

    return Claim(
        "No other gate, when held, changes the product of the forget gates by more than a factor "
        f"of {FACTOR:g}.",
        bool(apart.max() <= np.log10(FACTOR)),
        f"largest change: {largest}; this is how far the forget gate itself responds to what is "
        f"fed back {KEPT}",
        "the forget gate reads what the other gates let through, and follows. The factor on the "
        "old state is its value all the same.",
    )


def _leaves_least(interventions: pd.DataFrame) -> Claim:
    """The closed forget gate against every other gate held, and against none held."""
    left = interventions["retention_after"].abs()
    closed = row_of(interventions, "forget_gate", "closed")
    others = left[interventions["gate"] != "forget_gate"]
    least, beaten = "", abs(closed["retention_before"])
    if len(others):
        beaten = min(beaten, others.min())
        least = f"the least with another gate, {moved(interventions.loc[others.idxmin()])}; "
    return Claim(
        "Over all paths, too, the closed forget gate leaves the least of the old state.",
        bool(abs(closed["retention_after"]) < beaten),
        f"{moved(closed)}; {least}the largest change of all, {_largest(interventions)} {KEPT}",
        _past_the_closed(abs(closed["retention_after"]), beaten),
    )


def _past_the_closed(left: float, least: float) -> str:
    """Why the closed forget gate may leave more than something else does; magnitudes."""
    if left < LITTLE:
        return (
            f"next to nothing is left either way, {left:.3g} and {least:.3g}, and the order of "
            "such numbers says nothing."
        )
    return (
        "along the carousel it leaves 0. What is left is what outputs or peepholes had read before "
        "the state was lost, and hand on past it (Theorem 10 (b)); and another gate can undo a "
        "part of the state by addition."
    )


def _unchanged(interventions: pd.DataFrame, forget_gate: str) -> Claim:
    excuse = (
        "along the carousel it changes nothing. Over all paths, what is added depends on the old "
        "state as far as the pre-activations read it back, and the gates scale what is added "
        "(Theorem 10)"
    )
    if forget_gate == "absent":
        excuse += "; only so can such a cell erase (Theorem 12)"
    return Claim(
        "Over all paths, holding a gate open, closed or at its mean does not change what is kept "
        "of the old state.",
        bool(_change(interventions).max() < ROUNDING),
        f"largest change, {_largest(interventions)} {KEPT}",
        f"{excuse}.",
    )


def _added(closed: pd.Series) -> Claim:
    """closed: the row of the closed input gate."""
    kept, along = closed["retention_after"], closed["retention_carousel_after"]
    return Claim(
        "With the input gate closed nothing is added, and over all paths as much is kept as along "
        "the carousel.",
        bool(abs(kept - along) < ROUNDING),
        f"{moved(closed)}; the carousel: {along:.3g} {KEPT}",
    )


def _change(interventions: pd.DataFrame) -> pd.Series:
    return (interventions["retention_after"] - interventions["retention_before"]).abs()


def _largest(interventions: pd.DataFrame) -> str:
    """The row that changes the retention most, in words, and how it does so."""
    change = _change(interventions)
    row = interventions.loc[change.idxmax()]
    # the forget gate acts as a factor; a change that is rounding needs no explanation
    by_addition = row["gate"] != "forget_gate" and change.max() >= ROUNDING
    added = ", by addition, through what the pre-activations read back (outputs, peepholes)"
    return moved(row) + (added if by_addition else "")


def row_of(interventions: pd.DataFrame, gate: str, value: str) -> pd.Series:
    """Return the row of a gate held at a value."""
    rows = (interventions["gate"] == gate) & (interventions["value"] == value)
    return interventions[rows].iloc[0]


def moved(row: pd.Series, what: str = "retention") -> str:
    """Return a row in words: 'the input gate open: 0.5 -> 0.3'."""
    held = {"mean": "at its mean"}.get(row["value"], row["value"])
    before, after = row[f"{what}_before"], row[f"{what}_after"]
    return f"the {words(row['gate'])} {held}: {before:.3g} -> {after:.3g}"
