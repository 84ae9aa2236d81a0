"""What is claimed of a net, and whether its measurements bear it out: from the tables of the diagnostics, nothing else."""

from typing import NamedTuple

import numpy as np
import pandas as pd

ROUNDING = 1e-6  # differences below it are those of rounding
FACTOR = 2.0  # "predicts" means: within this factor


class Claim(NamedTuple):
    """text: what is claimed; holds: whether the numbers bear it out; numbers: those numbers, with their units."""

    text: str
    holds: bool
    numbers: str


class Fact(NamedTuple):
    """text: what follows from the cell's switches, so that no measurement can contradict it; numbers: what was found, or ''."""

    text: str
    numbers: str = ""


def symbols(difference: float, steps: int) -> Claim:
    """difference: as diagnostics.common.terms.Measured.symbols."""
    return Claim(
        "The symbols, with this net's numbers put in, are the derivative of its step.",
        difference < ROUNDING,
        f"largest difference from automatic differentiation, relative to the largest entry: {_digits(difference)} "
        f"({steps} steps)",
    )


def scales(difference: float, steps: int, forget_gate: str) -> Claim:
    """difference: as diagnostics.common.terms.Measured.carousel; forget_gate: 'a gate', 'absent' or 'closed'."""
    texts = {
        "a gate": "Where the nets read nothing, the forget gate alone multiplies the old state.",
        "absent": "Where the nets read nothing, no gate multiplies the old state: it goes on times 1.",
        "closed": "Where the nets read nothing, nothing is left of the old state.",
    }
    return Claim(
        texts[forget_gate],
        difference < ROUNDING,
        f"largest difference of the new state's derivative by the old one from that: {_digits(difference)} (no unit; "
        f"{steps} steps)",
    )


def one_step(terms: pd.DataFrame) -> Claim:
    """terms: the table of diagnostics.common.terms."""
    rows = terms[terms["value"] == "cell_state"]
    along = rows[rows["way"] == "carousel"]["norm"].max()
    others = rows[rows["way"] != "carousel"]
    if pd.isna(along):
        largest = others.loc[others["norm"].idxmax()]
        return Claim(
            "Every path from the old state to the new one leads through a net.",
            bool((others["norm"] > 0).any()),
            f"the strongest, {largest['way'].replace('_', ' ')}: norm {largest['norm']:.3g} (mean over steps, no unit)",
        )
    if others.empty:
        return Claim(
            "The carousel is the only path from state to state.",
            along > 0,
            f"norm {along:.3g} (no unit)",
        )
    largest = others.loc[others["norm"].idxmax()]
    return Claim(
        "At one step the carousel carries more than any term that is added through a net.",
        bool(along > largest["norm"]),
        f"carousel: norm {along:.3g}; the strongest other, {largest['way'].replace('_', ' ')}: {largest['norm']:.3g} "
        "(largest singular value, mean over steps, no unit)",
    )


def retention(jacobians: pd.DataFrame) -> Claim:
    """jacobians: the table of diagnostics.Jacobians."""
    logs = _by_lag(jacobians[jacobians["measure"] == "log10_norm"], "path")
    measured = logs["cell_state"].dropna()
    product = (
        logs["carousel"].reindex(measured.index).dropna()
        if "carousel" in logs
        else pd.Series(dtype=float)
    )
    if len(product) < 2:
        end = measured.index[-1]
        return Claim(
            "Without a carousel nothing holds the state: the derivative over the longest lag is below 1.",
            bool(measured[end] < 0),
            f"|ds_T/ds_t| at lag {end} steps: {_power(measured[end])} (no unit)",
        )
    apart = (measured - product).dropna().abs()
    worst, beyond = apart.idxmax(), apart.index[apart > np.log10(FACTOR)]
    until = f"within it up to lag {beyond[0] - 1}; " if len(beyond) else ""
    what = "The product of the forget gates alone" if product.any() else "The carousel's constant 1"
    return Claim(
        f"{what} predicts |ds_T/ds_t| within a factor of {FACTOR:g} at every lag.",
        not len(beyond),
        f"{until}farthest apart at lag {worst} steps: predicted {_power(product[worst])}, measured "
        f"{_power(measured[worst])} (no unit)",
    )


def arrives(flow: pd.DataFrame, forget_gate: str) -> Claim | Fact:
    """flow: the table of diagnostics.ErrorFlow; forget_gate: as in `scales`."""
    paths = _by_lag(flow.rename(columns={"norm": "value"}), "path")
    end = paths.index.max()
    carousel, nets, whole = (paths[path][end] for path in ("carousel", "nets", "cell_state"))
    numbers = f"at lag {end} steps: carousel {carousel:.3g}, nets {nets:.3g}, together {whole:.3g}"
    numbers += " (|dE/ds|, error per unit of state)"
    if forget_gate == "closed":
        return Fact("Without a carousel, all of the error arrives through the nets.", numbers)
    text = (
        "Over the longest lag, the error arrives along the carousel rather than through the nets."
    )
    return Claim(text, bool(carousel > nets), numbers)


def bounded(bound: pd.DataFrame, forget_gate: str) -> Claim | Fact | None:
    """bound: the table of diagnostics.Bound; forget_gate: as in `scales`. None without a bound and without a carousel."""
    logs = _by_lag(bound, "kind")
    if "log10_bound_spectral" in logs:
        apart = (logs["log10_norm"] - logs["log10_bound_spectral"]).dropna()
        apart, factor = apart[apart.index > 0], 10 ** logs["log10_bound_spectral"].get(1, np.nan)
        worst = apart.idxmax()
        return Claim(
            "The measured derivative stays under the bound of 1991, (f'max |W|)^q.",
            bool((apart <= apart.index * np.log10(1 + ROUNDING)).all()),
            f"f'max |W| = {factor:.3g}, so it {'must decay' if factor < 1 else 'may grow'}; closest at lag {worst} steps: "
            f"measured {_power(logs['log10_norm'][worst])}, bound {_power(logs['log10_bound_spectral'][worst])} (no unit)",
        )
    if "log10_carousel" not in logs:
        return None
    kept = logs["log10_carousel"].dropna()
    end = kept.index[-1]
    if forget_gate == "absent":
        return Fact(
            "Along the carousel every cell keeps its derivative, 1 over every lag: no gate stands before the old state."
        )
    return Claim(
        "Along the carousel at least one cell keeps its derivative: 1 over every lag.",
        bool(kept.abs().max() <= np.log10(1 + ROUNDING)),
        f"largest product of forget gates at lag {end} steps: {_power(kept[end])} (no unit)",
    )


def _by_lag(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.pivot_table(index="lag", columns=column, values="value")


def _digits(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _power(log10: float) -> str:
    """10^log10 as a number, also where floats end."""
    if abs(log10) < 300:
        return f"{10.0**log10:.3g}"
    return f"10^{log10:.0f}"
