"""Claims on made-up tables: what bears them out, what contradicts them, and what no table can."""

import re

import numpy as np
import pandas as pd
import pytest
from explained import excuses, verdicts
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lstmlab.diagnostics.common import products
from lstmlab.explain import claims
from lstmlab.explain.held import forgets
from lstmlab.explain.page import Page
from lstmlab.explain.pictures import CAROUSEL, decades, drawn

LAGS = list(range(4))


def curves(column: str, **values) -> pd.DataFrame:
    """A table lag, <column>, measure, value."""
    return pd.DataFrame(
        [
            {"lag": lag, column: name, "measure": "log10_norm", "value": v}
            for name, vs in values.items()
            for lag, v in zip(LAGS, vs, strict=False)
        ]
    )


def flow(carousel, nets) -> pd.DataFrame:
    rows = {"carousel": carousel, "nets": nets, "cell_state": np.add(carousel, nets)}
    return curves("path", **rows).rename(columns={"value": "norm"})


def held(before: float = 0.5, carousel: float = 0.5, **after) -> pd.DataFrame:
    """Interventions by name: gate__value=(retention after, that along the carousel)."""
    if "forget_gate__closed" in after:
        after = {"forget_gate__open": (before, 1.0), **after}
    rows = []
    for name, (left, along) in after.items():
        gate, value = name.split("__")
        of_all = {"retention_before": before, "retention_after": left}
        of_it = {"retention_carousel_before": carousel, "retention_carousel_after": along}
        rows.append({"gate": gate, "value": value, **of_all, **of_it})
    return pd.DataFrame(rows)


def said_of(number: int):
    """That of what `forgets` says, in its order."""
    return lambda *arguments: forgets(*arguments)[number]


def ways(**norms) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"value": "cell_state", "part": "output", "way": way, "norm": norm}
            for way, norm in norms.items()
        ]
    )


MADE_UP = {
    "symbols": (claims.symbols, (1e-7, 9), (0.2, 9)),
    "scales": (claims.scales, (0.0, 9, "a gate"), (0.3, 9, "a gate")),
    "one step": (
        claims.one_step,
        (ways(carousel=0.9, net_candidate=0.2),),
        (ways(carousel=0.1, net_candidate=0.2),),
    ),
    "retention": (
        claims.retention,
        (curves("path", cell_state=[0, -1, -2, -3], carousel=[0, -1.1, -2.2, -3.3]),),
        (curves("path", cell_state=[0, -1, -2, -3], carousel=[0, -1.1, -2.2, -3.4]),),
    ),
    "no carousel": (
        claims.retention,
        (curves("path", cell_state=[0, 0.5, 0.2, -0.1], carousel=[0]),),
        (curves("path", cell_state=[0, -0.5, -0.2, 0.1], carousel=[0]),),
    ),
    "others answer": (
        said_of(1),
        (held(forget_gate__closed=(0.0, 0.0), input_gate__open=(3.0, 0.9)), "a gate"),
        (held(forget_gate__closed=(0.0, 0.0), input_gate__open=(3.0, 0.2)), "a gate"),
    ),
    "leaves least": (
        said_of(2),
        (held(forget_gate__closed=(-0.01, 0.0), input_gate__open=(3.0, 0.5)), "a gate"),
        (held(forget_gate__closed=(-0.3, 0.0), input_gate__open=(0.2, 0.5)), "a gate"),
    ),
    "alone": (
        said_of(1),
        (held(forget_gate__closed=(0.1, 0.0)), "a gate"),
        (held(forget_gate__closed=(0.6, 0.0)), "a gate"),
    ),
    "no forget gate": (
        said_of(1),
        (held(0.97, 1.0, input_gate__closed=(0.97, 1.0), input_gate__open=(0.97, 1.0)), "absent"),
        (held(0.97, 1.0, input_gate__closed=(0.97, 1.0), input_gate__open=(0.69, 1.0)), "absent"),
    ),
    "added": (
        said_of(2),
        (held(0.97, 1.0, input_gate__closed=(1.0, 1.0)), "absent"),
        (held(0.97, 1.0, input_gate__closed=(0.98, 1.0)), "absent"),
    ),
    "arrives": (
        claims.arrives,
        (flow([3, 2, 2, 2], [0, 5, 5, 1.9]), "a gate"),
        (flow([3, 2, 2, 2], [0, 1, 1, 2.1]), "a gate"),
    ),
    "bounded": (
        claims.bounded,
        (
            curves(
                "kind", log10_norm=[0, -1, -2, -3], log10_bound_spectral=[0, -0.5, -1, -1.5]
            ).drop(columns="measure"),
            "closed",
        ),
        (
            curves(
                "kind", log10_norm=[0, -1, -2, -1.4], log10_bound_spectral=[0, -0.5, -1, -1.5]
            ).drop(columns="measure"),
            "closed",
        ),
    ),
    "constant": (
        claims.bounded,
        (curves("kind", log10_norm=[0, 1, 2, 3], log10_carousel=[0.0, 0, 0, 0]), "a gate"),
        (curves("kind", log10_norm=[0, 1, 2, 3], log10_carousel=[0, -0.1, -0.2, -0.3]), "a gate"),
    ),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_a_claim_that_does_not_hold_is_printed_as_not_holding(name):
    of, good, bad = MADE_UP[name]
    for arguments, holds in ((good, True), (bad, False)):
        page = Page("made up")
        page.claim(*of(*arguments)[:4])
        [(said, numbers)] = verdicts(page.text()).values()
        assert said is holds
        assert re.search(r"\d", numbers)


NOBODYS = {"symbols", "scales", "bounded", "added"}  # would be faults of the symbols, or of lstmlab


@pytest.mark.parametrize("name", MADE_UP)
def test_a_claim_that_does_not_hold_says_why_where_that_is_no_fault(name):
    of, good, bad = MADE_UP[name]
    page = Page("made up")
    page.claim(*of(*good)[:4])
    assert excuses(page.text()) == {}
    assert "No fault" not in page.text()
    claim = of(*bad)
    page.claim(*claim[:4])
    [why] = excuses(page.text()).values()
    assert why == claim.excuse
    assert bool(why) == (name not in NOBODYS)
    assert "forget gate" not in why or bad[-1] != "absent"


def test_the_excuse_follows_the_numbers():
    larger, smaller = (
        claims.retention(curves("path", cell_state=measured, carousel=[0, -1, -2, -2]))
        for measured in ([0, -1, -1, -1], [0, -1, -2, -3])
    )
    assert "is larger: the rest arrives by the paths" in larger.excuse
    assert "is smaller: the paths" in smaller.excuse
    tiny, large = (
        forgets(held(forget_gate__closed=(left, 0.0), input_gate__open=(left / 2, 0.5)), "a gate")
        for left in (1e-9, 0.3)
    )
    assert "next to nothing is left either way, 1e-09 and 5e-10" in tiny[2].excuse
    assert "Theorem 10 (b)" in large[2].excuse
    erased = {
        kind: forgets(held(0.9, 1.0, input_gate__closed=(0.7, 1.0)), kind)[1].excuse
        for kind in ("absent", "closed")
    }
    assert "Theorem 12" in erased["absent"]
    assert "Theorem 12" not in erased["closed"]


def test_numbers_of_made_up_claims():
    assert (
        "predicted 0.000398, measured 0.001" in claims.retention(MADE_UP["retention"][2][0]).numbers
    )
    assert (
        "within this factor up to lag 2; furthest apart at lag 3 steps"
        in claims.retention(MADE_UP["retention"][2][0]).numbers
    )
    assert claims.retention(
        curves("path", cell_state=[0, -400, -800, -900], carousel=[0, -400, -800, -950])
    ).numbers.endswith("predicted 10^-950, measured 10^-900 (no unit)")
    assert (
        "closest at lag 3 steps: measured 0.0398, bound 0.0316"
        in claims.bounded(*MADE_UP["bounded"][2]).numbers
    )
    assert claims.bounded(curves("kind", log10_norm=[0, 1, 2, 3]), "closed") is None, (
        "gates, but neither a bound nor a carousel"
    )


def as_measured(column: str, names: dict[str, str], **logs) -> pd.DataFrame:
    """The table of curves as diagnostics write it: a value of exactly 0 has no log10."""
    tables = [
        products.rows(np.array(curve, float), np.arange(4), **{column: name}, **names)
        for name, curve in logs.items()
    ]
    return pd.concat([table for parts in tables for table in parts])


ZERO = -np.inf  # log10 of 0


@pytest.mark.parametrize(
    ("cell_state", "carousel", "holds", "numbers"),
    [
        ([0, ZERO, ZERO, ZERO], [0, ZERO, ZERO, ZERO], True, r"lag 3 steps: 0 \("),
        ([0, -1, ZERO, ZERO], [0, -1, ZERO, ZERO], True, "lag 0 steps: predicted 1, measured 1"),
        ([0, -1, -2, -3], [0, -1, ZERO, ZERO], False, "up to lag 1; .*predicted 0, measured 0.01"),
        ([0, -1, ZERO, ZERO], [0, -1, -2, -3], False, "up to lag 1; .*predicted 0.01, measured 0"),
        ([0, 1, 1, ZERO], [0], True, r"lag 3 steps: 0 \("),
    ],
)
def test_retention_counts_what_is_exactly_zero(cell_state, carousel, holds, numbers):
    carousel = [*carousel, *[np.nan] * (4 - len(carousel))]
    table = as_measured("path", {"measure": "norm"}, cell_state=cell_state, carousel=carousel)
    claim = claims.retention(table)
    assert claim.holds is holds
    assert re.search(numbers, claim.numbers), claim.numbers


def test_bounds_count_what_is_exactly_zero():
    kept = as_measured("kind", {}, norm=[0, 0, 0, 0], carousel=[0, 0, ZERO, ZERO])
    claim = claims.bounded(kept, "a gate")
    assert not claim.holds
    assert "lag 3 steps: 0 (" in claim.numbers
    for norm, bound, holds in (
        ([0, ZERO, ZERO, ZERO], [0, ZERO, ZERO, ZERO], True),
        ([0, -1, ZERO, ZERO], [0, -0.5, -1, -1.5], True),
        ([0, -1, -2, -3], [0, -0.5, ZERO, ZERO], False),
    ):
        table = as_measured("kind", {}, norm=norm, bound_spectral=bound)
        assert claims.bounded(table, "closed").holds is holds, (norm, bound)


def test_what_follows_from_the_switches_is_a_fact():
    """Whatever the numbers: a verdict on them would be one on a constant."""
    unread = claims.arrives(flow([1, 0, 0, 0], [0, 1, 1, 1]), "closed")
    absent = claims.bounded(
        curves("kind", log10_norm=[0, 1, 2, 3], log10_carousel=[0.0, 0, 0, 0]), "absent"
    )
    first, moved, *_ = forgets(
        held(0.966, 1.0, input_gate__open=(0.687, 1.0), input_gate__closed=(1.0, 1.0)), "absent"
    )
    factor = forgets(held(forget_gate__closed=(0.0, 0.0)), "a gate")[0]
    assert [type(one) for one in (unread, absent, first, factor)] == [claims.Fact] * 4
    assert factor.numbers.startswith(
        "the forget gate closed: 0.5 -> 0; the forget gate open: 0.5 -> 1 ("
    )
    assert "multiplied by 0" in forgets(held(input_gate__closed=(0.1, 0.0)), "closed")[0].text
    assert not moved.holds
    assert (
        "input gate open: 0.966 -> 0.687, by addition, through what the pre-activations read back"
        in moved.numbers
    )


@pytest.mark.parametrize(
    ("values", "powers"),
    [
        ([0, -0.005, -0.01, -0.013], [-1, 0]),
        ([0, 0.013, 0.02, 0.04], [-1, 0]),
        ([0, 0.2, 0.3, 0.4], [0, 1]),
        ([0, -1, -2, -3], [-3, -2, -1, 0]),
        ([0, 200, 400, 700], [0, 150, 300, 450, 600]),
    ],
)
def test_the_axis_of_a_picture_has_plain_powers_of_ten(values, powers):
    """Two or more of them: beside one alone a curve has no size."""
    figure = drawn(curves("kind", log10_norm=values), {"log10_norm": "measured"}, "norm")
    FigureCanvasAgg(figure).draw()
    [axes] = figure.axes
    low, high = axes.get_ylim()
    assert low <= min(values) <= max(values) <= high
    shown = {
        place: label.get_text()
        for place, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        if low <= place <= high
    }
    assert {place: shown[place] for place in powers} == {k: f"$10^{{{k}}}$" for k in powers}
    assert all(re.fullmatch(r"\$10\^\{-?\d+\}\$", text) for text in shown.values())
    assert "log10" not in axes.get_ylabel()


def test_decades_of_nothing_but_ones_are_two_powers():
    assert decades([0.0]) == (-1, 0)
    assert decades([-2.5, 0.0]) == (-3, 0)


def test_pictures_name_a_forget_gate_only_where_there_is_one():
    assert [kind for kind, name in CAROUSEL.items() if "forget" in name] == ["a gate"]
