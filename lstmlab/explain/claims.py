"""What is claimed of a network, and whether its measurements confirm it.

Only the tables of the diagnostics decide. Throughout, `forget_gate` is 'a gate', 'absent' (the
constant 1) or 'closed' (0).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from lstmlab.explain.page import path_in_words

ROUNDING = 1e-6  # smaller differences come from rounding
FACTOR = 2.0  # "predicts" means: within this factor


class Claim(NamedTuple):
    """A sentence that measurements can contradict.

    text: what is claimed.
    holds: whether the numbers confirm it.
    numbers: those numbers, with their units.
    excuse: why it is no fault of the network or of lstmlab if it does not hold; '' where it would
        be one.
    keeps: whether it is about what arrives over a long lag, so that it has no excuse in a network
        that forgets what its task asks for.
    """

    text: str
    holds: bool
    numbers: str
    excuse: str = ""
    keeps: bool = False


class Fact(NamedTuple):
    """A sentence that follows from the cell's switches, so that no measurement can contradict it.

    text: what follows.
    numbers: what was found, or ''.
    """

    text: str
    numbers: str = ""


def symbols(difference: float, steps: int) -> Claim:
    """Return the claim that the symbolic Jacobian is right.

    Args:
        difference: As diagnostics.common.terms.Measured.symbols.
        steps: On how many it was measured.
    """
    what = "largest difference from automatic differentiation, relative to the largest entry"
    return Claim(
        "Evaluated with this network's numbers, the symbols are the derivative of its step.",
        difference < ROUNDING,
        f"{what}: {_digits(difference)} ({steps} steps)",
    )


def scales(difference: float, steps: int, forget_gate: str) -> Claim:
    """Return the claim on what multiplies the old state.

    Args:
        difference: As diagnostics.common.terms.Measured.carousel.
        steps: On how many it was measured.
        forget_gate: See above.
    """
    texts = {
        "a gate": "only the forget gate multiplies the old state (Theorem 8).",
        "absent": "no gate multiplies the old state: its factor is 1 (Theorem 8).",
        "closed": "nothing is left of the old state (Theorem 8).",
    }
    what = "the derivative of the new state with respect to the old one differs from it by at most"
    return Claim(
        f"Without the paths through the pre-activations, {texts[forget_gate]}",
        difference < ROUNDING,
        f"{what} {_digits(difference)} (no unit; {steps} steps)",
    )


def one_step(terms: pd.DataFrame) -> Claim:
    """Return the claim on the strongest path within one step.

    Args:
        terms: The table of diagnostics.common.terms.
    """
    rows = terms[terms["value"] == "cell_state"]
    along = rows[rows["way"] == "carousel"]["norm"].max()  # NaN without a carousel
    others = rows[rows["way"] != "carousel"]
    if others.empty:
        text = "The carousel is the only path from state to state."
        return Claim(text, along > 0, f"norm {along:.3g} (no unit)")

    strongest = others.loc[others["norm"].idxmax()]
    path, norm = path_in_words(strongest["way"]), strongest["norm"]
    if pd.isna(along):
        return Claim(
            "Every path from the old state to the new one passes through a pre-activation.",
            bool((others["norm"] > 0).any()),
            f"the strongest, {path}: norm {norm:.3g} (mean over steps, no unit)",
            "all of these weights or slopes are 0, so that this network passes nothing on.",
        )
    return Claim(
        "Within one step, the carousel carries more than any term added through a pre-activation.",
        bool(along > norm),
        f"carousel: norm {along:.3g}; the strongest other, {path}: {norm:.3g} (largest singular "
        "value, mean over steps, no unit)",
        "nothing bounds the recurrent weights, and training may make them as large as the task "
        "needs. How much arrives over many steps is another question, answered below.",
    )


def retention(jacobians: pd.DataFrame) -> Claim:
    """Return the claim that the product of the forget gates predicts the measured derivative.

    Args:
        jacobians: The table of diagnostics.Jacobians.
    """
    norms, log10s = (
        _by_lag(jacobians[jacobians["measure"] == measure], "path")
        for measure in ("norm", "log10_norm")
    )
    logs = _with_zeros(log10s, norms)
    measured = logs["cell_state"].dropna()
    product = pd.Series(dtype=float)
    if "carousel" in logs:
        product = logs["carousel"].reindex(measured.index).dropna()

    # without a carousel only lag 0 has a product, and there it is 1
    if not np.isfinite(product[product.index > 0]).any():
        end = measured.index[-1]
        return Claim(
            "Without a carousel nothing holds the state: the derivative over the longest lag is "
            "below 1.",
            bool(measured[end] < 0),
            f"|ds_T/ds_t| at lag {end} steps: {_power(measured[end])} (no unit)",
            "without a carousel derivatives may also grow, if the recurrent weights are large "
            "enough; nothing holds them at 1 either.",
        )

    apart = _apart(measured, product).abs()
    worst, beyond = apart.idxmax(), apart.index[apart > np.log10(FACTOR)]
    until = f"within this factor up to lag {beyond[0] - 1}; " if len(beyond) else ""
    # every log10 is 0 where there is no forget gate
    what = "The product of the forget gates" if product.any() else "The carousel's constant 1"
    return Claim(
        f"{what} predicts |ds_T/ds_t| by itself, within a factor of {FACTOR:g} at every lag.",
        not len(beyond),
        f"{until}furthest apart at lag {worst} steps: predicted {_power(product[worst])}, measured "
        f"{_power(measured[worst])} (no unit)",
        f"the product counts the carousel alone. {_rest(measured[worst], product[worst])}",
    )


def _rest(measured: float, product: float) -> str:
    """What the derivative has beside the product, in words, from their log10."""
    paths = "the paths through the pre-activations, N_t and the detours of Theorem 10"
    if measured > product:
        return f"The measured derivative is larger: the rest arrives by {paths}."
    return f"The measured derivative is smaller: {paths} cancel a part of it."


def arrives(flow: pd.DataFrame, forget_gate: str) -> Claim | Fact:
    """Return the claim on the path by which the error arrives.

    Args:
        flow: The table of diagnostics.ErrorFlow.
        forget_gate: See above.
    """
    paths = _by_lag(flow.rename(columns={"norm": "value"}), "path")
    end = paths.index.max()
    carousel, nets, whole = (paths[path][end] for path in ("carousel", "nets", "cell_state"))
    numbers = (
        f"at lag {end} steps: carousel {carousel:.3g}, pre-activations {nets:.3g}, together "
        f"{whole:.3g} (|dE/ds|, error per unit of state)"
    )

    if forget_gate == "closed":
        text = "Without a carousel, all of the error arrives through the pre-activations."
        return Fact(text, numbers)
    text = (
        "Over the longest lag, more of the error arrives along the carousel than through the "
        "pre-activations."
    )
    return Claim(
        text,
        bool(carousel > nets),
        numbers,
        "both paths carry error, and training may use either. Where the forget gates close, the "
        "pre-activations carry what is left."
        if forget_gate == "a gate"
        else "the carousel carries its share unchanged all the same; the recurrent weights add a "
        "second and larger one.",
        keeps=True,
    )


def bounded(bound: pd.DataFrame, forget_gate: str) -> Claim | Fact | None:
    """Return the claim on the bound of 1991 or, with a carousel, on what the carousel keeps.

    Args:
        bound: The table of diagnostics.Bound.
        forget_gate: See above.

    Returns:
        None if there is neither a bound nor a carousel.
    """
    curves = _by_lag(bound, "kind")
    logs = _with_zeros(curves.filter(like="log10_"), curves.add_prefix("log10_"))
    if "log10_bound_spectral" in logs:
        return _under_the_bound(logs)
    if "log10_carousel" not in logs:
        return None
    if forget_gate == "absent":
        return Fact(
            "Along the carousel every cell keeps its derivative, 1 over every lag: no gate "
            "multiplies the old state."
        )

    kept = logs["log10_carousel"].dropna()  # -inf where every forget gate has been 0
    end = kept.index[-1]
    return Claim(
        "Along the carousel at least one cell keeps its derivative: 1 over every lag.",
        bool(kept.abs().max() <= np.log10(1 + ROUNDING)),
        f"largest product of forget gates at lag {end} steps: {_power(kept[end])} (no unit)",
        "a forget gate is there to forget, and a logistic one never reaches 1. A cell needs to "
        "keep as much as can still be read, not all of it.",
        keeps=True,
    )


def _under_the_bound(logs: pd.DataFrame) -> Claim:
    measured, bound = logs["log10_norm"], logs["log10_bound_spectral"]
    apart = _apart(measured, bound)
    # from lag 1 on: at lag 0 both are 1 and say nothing
    apart, factor = apart[apart.index > 0], 10 ** bound.get(1, np.nan)
    worst = apart.idxmax()
    follows = "must decay" if factor < 1 else "may grow"

    return Claim(
        "The measured derivative does not exceed the bound of 1991, (f'max |W|_2)^q (Theorem 2).",
        # the rounding of a product of steps grows with their number
        bool((apart <= apart.index * np.log10(1 + ROUNDING)).all()),
        f"f'max |W|_2 = {factor:.3g}, so it {follows}; closest at lag {worst} steps: measured "
        f"{_power(measured[worst])}, bound {_power(bound[worst])} (|W|_2: the largest singular "
        "value of the recurrent weights; no unit)",
    )


def _by_lag(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.pivot_table(index="lag", columns=column, values="value")


def _with_zeros(log10s: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """log10 by lag, with -inf where the value is exactly 0: there the tables have no log10."""
    values = values.reindex(columns=log10s.columns)
    return log10s.combine_first(values.where(values == 0).replace(0, -np.inf))


def _apart(one: pd.Series, other: pd.Series) -> pd.Series:
    """The difference of two curves at the lags that both have; 0 where both are -inf."""
    one, other = one.dropna().align(other.dropna(), join="inner")
    return (one - other).where(one != other, 0.0)


def _digits(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _power(log10: float) -> str:
    """10^log10 as a number, even beyond the range of floats."""
    if log10 == -np.inf or abs(log10) < 300:
        return f"{10.0**log10:.3g}"
    return f"10^{log10:.0f}"
