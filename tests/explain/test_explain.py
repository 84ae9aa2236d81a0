"""The page that explains a run: its formulas, its numbers against the tables of the diagnostics, its verdicts; the command."""

import html
import random
import re
import types
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from composed import NO_DIAGNOSTICS, SMALL
from omegaconf import OmegaConf
from oracles import randomize

from lstmlab import Head, Recurrent, __version__, explain, variant, variants
from lstmlab.cells import CascadeCell
from lstmlab.config import compose as composed
from lstmlab.diagnostics import Probe
from lstmlab.diagnostics.common.terms import terms
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.explain import claims
from lstmlab.explain.held import forgets
from lstmlab.explain.page import Formula, Page, number
from lstmlab.explain.pictures import drawn
from lstmlab.explain.sections import measure, symbolic, what_was_run
from lstmlab.explain.why import beside, paragraphs
from lstmlab.learners import BPTT, SequenceChunker
from lstmlab.runs import build, train
from lstmlab.symbolic.equations import equations, jacobian, legend

PLAIN = (
    *SMALL,
    *NO_DIAGNOSTICS,
    "trainer.jit_compile=false",
    "trainer.steps_per_execution=10",
    "learner=bptt",
)
NAMESPACE = "http://www.w3.org/1998/Math/MathML"
TABLES = ("gates", "jacobians", "error_flow", "bound", "interventions", "terms")


def finished(folder, *overrides: str):
    """A small run as the command leaves it: with its config."""
    config, choices = composed(*PLAIN, *overrides)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    train.run(config, folder, choices, progress=False)
    return folder


@pytest.fixture(scope="module", params=["vanilla", "lstm1997", "elman"])
def explained(request, tmp_path_factory):
    """The folder of a run with its page, the page's text, the run opened again and measured again."""
    folder = finished(tmp_path_factory.mktemp(request.param), f"cell={request.param}")
    tf.config.run_functions_eagerly(True)
    try:
        assert explain.of_run(folder) == folder / "explain.html"
        run = build.reopen(folder)
        tables = measure(run.model, run.probe)
    finally:
        tf.config.run_functions_eagerly(False)
    return folder, (folder / "explain.html").read_text(encoding="utf-8"), run, tables


class Tags(HTMLParser):
    """Opening and closing tags, one within the other, and what they refer to."""

    VOID = ("meta", "img", "mspace")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.names, self.sources = [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.sources += [
            value for name, value in attributes if name in ("src", "href", "data", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def verdicts(text: str) -> dict[str, tuple[bool, str]]:
    """{claim: (whether the page says that it holds, the numbers)}."""
    found = re.findall(
        r'<div class="claim (holds|fails)"><b>(.*?)</b> <span class="verdict">(.*?):</span> (.*?)</div>',
        text,
        re.DOTALL,
    )
    assert all(
        said == ("holds on this net" if kind == "holds" else "does not hold on this net")
        for kind, _, said, _ in found
    )
    return {
        html.unescape(claim): (kind == "holds", html.unescape(numbers))
        for kind, claim, _, numbers in found
    }


def facts(text: str) -> dict[str, str]:
    """{what holds by construction: the numbers}."""
    found = re.findall(
        r'<div class="claim fact"><b>(.*?)</b> <span class="verdict">by construction</span>(?:: )?(.*?)</div>',
        text,
        re.DOTALL,
    )
    return {html.unescape(fact): html.unescape(numbers) for fact, numbers in found}


# ---- the page of a run


def test_the_page_has_the_equations_and_derivatives_of_the_cell(explained):
    _, text, run, _ = explained
    for equation in equations(run.model.cell):
        assert Formula(equation.latex).mathml() in text
    for block in jacobian(run.model.cell).values():
        for term in block.terms:
            assert Formula(term.latex()).mathml() in text
            assert term.way.replace("_", " ") in text


def test_the_page_is_whole_and_asks_for_nothing(explained):
    folder, text, *_ = explained
    tags = Tags(text)
    assert {"html", "head", "title", "body", "math", "table", "img"} <= tags.names
    assert not tags.names & {"script", "link", "iframe", "object", "form"}
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert set(re.findall(r'https?://[^"\s<>]*', text)) == {NAMESPACE}
    assert not re.findall(r"@import|url\(", text)
    assert str(folder) not in text


def test_pictures_stand_beside_the_page_and_in_it(explained):
    import base64

    folder, text, *_ = explained
    pictures = sorted(folder.glob("explain_*.png"))
    assert [path.name for path in pictures] == [
        "explain_bound.png",
        "explain_error_flow.png",
        "explain_jacobians.png",
    ]
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert base64.b64encode(path.read_bytes()).decode() in text


def test_tables_are_those_of_the_diagnostics(explained):
    folder, text, run, tables = explained
    assert set(tables) | {"terms"} == {
        name for name in TABLES if (folder / f"explain_{name}.csv").exists()
    }
    assert ("gates" in tables) == ("interventions" in tables) == bool(run.model.cell.gates)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(
            pd.read_csv(folder / f"explain_{name}.csv"), table, check_dtype=False, rtol=1e-5
        )
    for row in tables["gates"].to_dict("records") if "gates" in tables else ():
        assert f'<td class="number">{number(row["mean"])}</td>' in text
    for row in tables["interventions"].to_dict("records") if "interventions" in tables else ():
        for what in ("error", "recalled", "retention", "retention_carousel"):
            assert f'<td class="number">{number(row[f"{what}_after"])}</td>' in text


def test_verdicts_follow_from_the_tables(explained):
    """Each number of a claim again from the table that is its source, without the functions that make claims."""
    _, text, run, tables = explained
    said = verdicts(text)
    flow = tables["error_flow"].pivot_table(index="lag", columns="path", values="norm")
    end = flow.index.max()
    carousel, nets = flow.loc[end, "carousel"], flow.loc[end, "nets"]
    if run.model.cell.forget_gate == "closed":
        numbers = facts(text)["Without a carousel, all of the error arrives through the nets."]
        assert carousel == 0.0
    else:
        holds, numbers = next(value for claim, value in said.items() if "error arrives" in claim)
        assert holds == (carousel > nets)
    assert f"at lag {end} steps: carousel {carousel:.3g}, nets {nets:.3g}" in numbers
    lags = tables["jacobians"][tables["jacobians"]["measure"] == "norm"].pivot_table(
        index="lag", columns="path", values="value"
    )
    holds, numbers = next(
        value
        for claim, value in said.items()
        if "ds_T/ds_t" in claim or "Without a carousel nothing" in claim
    )
    if run.model.cell.forget_gate == "closed":
        assert holds == (lags["cell_state"].iloc[-1] < 1)
    else:
        ratio = lags["cell_state"] / lags["carousel"]
        assert holds == bool(((ratio < 2) & (ratio > 0.5)).all())
        assert f"measured {lags['cell_state'][np.log(ratio).abs().idxmax()]:.3g}" in numbers


def test_what_is_said_of_held_gates_agrees_with_the_table_below_it(explained):
    """By every path: the row that changes retention most is named with its numbers, and the verdict is on those numbers."""
    _, text, run, tables = explained
    if "interventions" not in tables:
        assert "held fast" not in text
        return
    table, said = tables["interventions"], verdicts(text)
    change = (table["retention_after"] - table["retention_before"]).abs()
    row = table.loc[change.idxmax()]
    named = f"the {row['gate'].replace('_', ' ')} {'at its mean' if row['value'] == 'mean' else row['value']}: "
    holds, numbers = next(
        value for claim, value in said.items() if claim.startswith("By every path")
    )
    assert f"{named}{row['retention_before']:.3g} -> {row['retention_after']:.3g}" in numbers
    assert ("through what the nets read back" in numbers) == (row["gate"] != "forget_gate")
    rows = table.set_index(["gate", "value"])
    if run.model.cell.forget_gate is None:
        assert holds == (change.max() < 1e-6)
        holds, _ = next(
            value for claim, value in said.items() if claim.startswith("With the input gate closed")
        )
        assert holds == (abs(rows.loc[("input_gate", "closed"), "retention_after"] - 1) < 1e-6)
        return
    others = table[table["gate"] != "forget_gate"]
    left = rows.loc[("forget_gate", "closed"), "retention_after"]
    assert holds == (
        abs(left) < min(others["retention_after"].abs().min(), abs(row["retention_before"]))
    )
    ratio = others["retention_carousel_after"] / others["retention_carousel_before"]
    holds, numbers = next(
        value for claim, value in said.items() if claim.startswith("No other gate")
    )
    assert holds == bool(((ratio <= 2) & (ratio >= 0.5)).all())
    assert (
        f"{others['retention_carousel_after'][np.log(ratio).abs().idxmax()]:.3g}; so far" in numbers
    )


def test_a_constant_gets_no_verdict(explained):
    _, text, run, _ = explained
    constants = {"lstm1997": 2, "vanilla": 1, "elman": 1}
    assert len(facts(text)) == constants[run.row["cell"]]
    begins = (
        "Without a carousel, all",
        "No gate of this cell",
        "Along the carousel" if run.model.cell.forget_gate is None else "-",
    )
    assert not [claim for claim in verdicts(text) if claim.startswith(begins)]


def test_every_claim_carries_its_units(explained):
    said = verdicts(explained[1])
    assert len(said) + len(facts(explained[1])) >= 5
    assert all(
        re.search(r"\(.*(no unit|per unit of|steps).*\)", numbers) for _, numbers in said.values()
    )


def test_how_the_run_ended(explained):
    _, text, run, _ = explained
    assert "not solved, the budget used up, after 200 training sequences" in text
    assert f"{run.row['test_wrong']:,} of 2,560 sequences wrong" in text
    assert f"adding, cell {run.row['cell']}, learner bptt, seed 0" in text


# ---- claims


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
    """Interventions by name, gate__value=(retention after, that along the carousel), on what is kept before."""
    if "forget_gate__closed" in after:
        after = {"forget_gate__open": (before, 1.0), **after}
    return pd.DataFrame(
        [{"gate": name.split("__")[0], "value": name.split("__")[1], "retention_before": before, "retention_after": left,
          "retention_carousel_before": carousel, "retention_carousel_after": along} for name, (left, along) in after.items()]
    )  # fmt: skip


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
        page.claim(*of(*arguments))
        [(said, numbers)] = verdicts(page.text()).values()
        assert said is holds
        assert re.search(r"\d", numbers)


def test_numbers_of_made_up_claims():
    assert (
        "predicted 0.000398, measured 0.001" in claims.retention(MADE_UP["retention"][2][0]).numbers
    )
    assert (
        "within it up to lag 2; farthest apart at lag 3 steps"
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
    assert "times 0" in forgets(held(input_gate__closed=(0.1, 0.0)), "closed")[0].text
    assert not moved.holds
    assert (
        "the input gate open: 0.966 -> 0.687, through what the nets read back (outputs, peepholes), by addition"
        in moved.numbers
    )


# ---- terms


def small(rng, cell, steps: int = 6):
    model = Recurrent(cell, Head(1), BPTT(), 2)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    x, w = rng.normal(size=(3, steps, 2)).astype("float32"), np.zeros((3, steps), "float32")
    w[:, -1] = 1.0
    valid = np.arange(steps) < np.array([[steps], [steps - 2], [steps - 1]])
    return model, Probe(x, x[..., :1], w, valid, w > 0)


def test_norms_of_terms_against_the_traced_gates(rng):
    """diag(f) has the largest f as its norm, diag(o) diag(h'(s)) diag(f) the largest product; over the later valid steps."""
    model, probe = small(rng, variant("vanilla", units=4))
    found = terms(model, probe)
    values = {
        name: value.numpy() for name, value in trace(model.cell, tf.constant(probe.x)).items()
    }
    later = probe.valid & (np.arange(6) > 0)
    assert found.steps == later.sum() == 12
    norm = found.table.set_index(["value", "part", "way"])["norm"]
    f, o, s = (
        values["forget_gate"][later],
        values["output_gate"][later],
        values["cell_state"][later],
    )
    np.testing.assert_allclose(
        norm["cell_state", "cell_state", "carousel"], f.max(axis=1).mean(), rtol=1e-5
    )
    expected = (o * (1 - np.tanh(s) ** 2) * f).max(axis=1).mean()
    np.testing.assert_allclose(norm["output", "cell_state", "carousel"], expected, rtol=1e-5)
    assert found.symbols < 1e-12
    assert found.carousel < 1e-12


def test_saturated_gates_lose_no_digits_and_measuring_draws_no_random_numbers(rng):
    model, probe = small(rng, variant("lstm1997", units=4))
    for weight in model.cell.weights:
        weight.assign(20 * weight)
    before = random.getstate(), [weight.numpy() for weight in model.weights]
    assert terms(model, probe).symbols < 1e-9
    assert random.getstate() == before[0]
    for weight, value in zip(model.weights, before[1], strict=True):
        np.testing.assert_array_equal(weight, value)


def test_terms_of_few_of_many_steps_and_of_an_activation_without_closed_slope(rng):
    model, probe = small(rng, variant("vanilla", units=4, candidate_activation="softsign"))
    assert terms(model, probe, most=5).steps == 5
    assert terms(model, probe).symbols < 1e-12
    alone, first = small(rng, variant("elman", units=4), steps=1)
    only = terms(alone, first._replace(valid=np.ones((3, 1), bool)))
    assert (only.steps, only.carousel) == (3, 0.0), (
        "without later steps, the first ones; a closed forget gate keeps nothing"
    )


# ---- in symbols alone


@pytest.mark.parametrize("name", variants())
def test_every_formula_of_every_cell_is_typeset(name):
    cell = variant(name, block_size=2)
    formulas = [line.latex for line in equations(cell)] + list(legend(cell))
    formulas += [
        text
        for block in jacobian(cell).values()
        for text in (block.latex(), *(term.latex() for term in block.terms))
    ]
    for latex in formulas:
        shown = Formula(latex).mathml()
        assert "\\" not in shown
        assert "<mo />" not in shown, latex
        Tags(shown)
    page = explain.of_cell(name, ["block_size=2"])
    assert all(Formula(line.latex).mathml() in page.text() for line in equations(cell))
    Tags(page.text())


def moved_together(rng, cell) -> dict[str, bool]:
    """{gate: whether it opens as e_t falls} of the gates that a nudge of one net input moves together with the forget gate."""
    _, probe = small(rng, cell)
    states = [tf.constant(rng.uniform(0.2, 0.9, size=(3, size))) for size in cell.state_size]

    def gates(nudged):
        def net(x, hidden):
            nets, waiting = cell.net(x, hidden)
            return {name: value + 1e-3 * (name == nudged) for name, value in nets.items()}, waiting

        values, _ = cell.step(tf.constant(probe.x[:, 0]), states, net=net)
        return {
            name: values[name].numpy()
            for name, gate in cell.gates.items()
            if getattr(gate, "peephole", "") != "current"
        }

    found, still = {}, gates(None)
    for nudged in cell.own if "forget_gate" in still else ():
        change = {
            name: value - still[name]
            for name, value in gates(nudged).items()
            if name not in ("refine_gate", nudged)
        }
        change[nudged] = np.ones_like(still["forget_gate"])
        e = gates(nudged)["forget_gate"] - still["forget_gate"]
        found |= {
            name: (value * e < 0).all() for name, value in change.items() if (value * e != 0).all()
        }
    return {
        name: bool(opens)
        for name, opens in found.items()
        if name not in ("forget_gate", "refine_gate")
    }


@pytest.mark.parametrize(
    "name", [name for name in variants() if variant(name).normaliser != "state"]
)
def test_that_another_gate_forgets_too_is_said_where_one_net_moves_both(name, rng):
    cell = variant(name, units=2, dtype="float64")
    expected = moved_together(rng, cell)
    assert beside(cell) == expected
    page = Page("made up")
    symbolic(page, cell)
    text = html.unescape(page.text())
    for gate in ("input_gate", "reset_gate", "output_gate"):
        words = gate.replace("_", " ")
        assert (f"opening the {words} is forgetting" in text) == (expected.get(gate) is True)
        assert (f"opening the {words} is keeping" in text) == (expected.get(gate) is False)
    assert ("<h2>Why the forget gate forgets, and no other gate</h2>" in text) == (
        "forget_gate" in cell.gates and not expected
    )


def test_what_is_said_of_cells_without_a_gate_before_the_state():
    for settings, said, never in (
        (["lstm1997"], "along the carousel the old state goes on times 1", "There is no carousel"),
        (["elman"], "There is no carousel: no factor stands before the old state", "other gates"),
        (
            ["vanilla", "forget_gate=closed"],
            "Why nothing is kept here but through the nets",
            "The carousel leads",
        ),
        (
            ["vanilla", "forget_gate=null"],
            "Why no gate of this cell forgets",
            "Why the forget gate",
        ),
    ):
        text = html.unescape(explain.of_cell(settings[0], settings[1:]).text())
        assert said in text
        assert never not in text


def test_of_a_normalised_state_both_shares_are_given(rng):
    """z_t = s_t / n_t: its shares of old and new, as typeset, from the values of a step; net_i + 1 makes the odds e-fold."""
    cell = variant("slstm", units=2, dtype="float64", heads=1)
    _, probe = small(rng, cell)
    shown = " ".join(
        piece.latex for pieces in paragraphs(cell) for piece in pieces if isinstance(piece, Formula)
    )
    assert (
        r"z_t = \frac{\bar{f}_t \odot n_{t-1}}{n_t} \odot z_{t-1} + \frac{\bar{i}_t}{n_t} \odot g_t"
        in shown
    )
    assert r"\bar{f}_t = \exp(\log \, f_t + m_{t-1} - m_t)" in shown
    states = dict(zip(cell.state_names, cell.get_initial_state(batch_size=3), strict=True))
    states |= {
        name: tf.constant(rng.uniform(0.2, 0.9, size=(3, 2)))
        for name in ("cell_state", "normaliser")
    }
    odds = []
    for raised in (0.0, 1.0):

        def net(x, hidden, by=raised):
            nets, waiting = cell.net(x, hidden)
            return {**nets, "input_gate": nets["input_gate"] + by}, waiting

        values, _ = cell.step(
            tf.constant(probe.x[:, 0], "float64"),
            [states[name] for name in cell.state_names],
            net=net,
        )
        old, new = (
            values["forget_gate"] * states["normaliser"] / values["normaliser"],
            values["input_gate"] / values["normaliser"],
        )
        z = old * states["cell_state"] / states["normaliser"] + new * values["candidate"]
        np.testing.assert_allclose(z, values["cell_state"] / values["normaliser"], rtol=1e-12)
        np.testing.assert_allclose(old + new, 1.0, rtol=1e-12)
        odds.append((new / old).numpy())
    np.testing.assert_allclose(odds[1] / odds[0], np.e, rtol=1e-12)
    assert "both gates set what is left" in explain.of_cell("slstm").text()


def test_a_prime_stands_beside_its_letter():
    assert (
        Formula("f'_t")
        .mathml()
        .endswith(
            '<msub><mrow><mi>f</mi><mo lspace="0" rspace="0">&#x02032;</mo></mrow><mi>t</mi></msub></mrow></math>'
        )
    )
    assert Formula(r"E^{2} h'(s)").mathml().count("<msup>") == 1


def test_the_command_for_a_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    explain.main(["cell=peephole", "units=2", "forget_gate=null", "input_gate.peephole=null"])
    assert capsys.readouterr().out == "written: explain-peephole.html\n"
    text = (tmp_path / "explain-peephole.html").read_text(encoding="utf-8")
    cell = variant("peephole", units=2, forget_gate=None, input_gate="sigmoid")
    for line in equations(cell):
        assert Formula(line.latex).mathml() in text
    assert "There is no forget gate" in text
    explain.main(["cell=gru", "--out", str(tmp_path / "deep" / "er")])
    assert (tmp_path / "deep" / "er" / "explain-gru.html").exists()


# ---- bad input


def run_folder(tmp_path, *without: str):
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    for name in ("result.json", ".hydra/config.yaml", "model.weights.h5"):
        if name not in without:
            (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], r"expected a folder with a run\. Received: folder='nowhere', which is none"),
        (["."], r"expected a folder with a run, result\.json\. Received: folder='\.', with none"),
        (
            ["cell=peehole"],
            r"cell: expected one of cascade, .* \(nearest: peephole\)\. Received: cell=peehole",
        ),
        (
            ["cell=gru", "--out", "taken/below"],
            r"expected a folder, .*Received: --out='taken/below': Not a directory",
        ),
        (
            ["cell=gru", "--out", "taken"],
            r"expected a folder, .*Received: --out='taken': File exists",
        ),
        (
            ["cell=cascade"],
            r"equations: expected a GatedCell, whose switches tell them\. Received: cell=CascadeCell",
        ),
        (
            ["cell=gru", "gate=1"],
            r"gru: expected one of units, .*\. Received: gate=1",
        ),
        (
            ["cell=gru", "units"],
            r"gru: a setting is written as name=value\. Received: units",
        ),
        (
            ["cell=gru", "units=2,3"],
            r"gru: expected one value, for a list \[value, value\]\. Received: units=2,3",
        ),
        (
            ["cell=gru", "units=[2"],
            r"gru: expected a value as `lstmlab` reads it, .* Received: units=\[2",
        ),
        (["cell=gru", "units=0"], r"GatedCell: expected a positive integer\. Received: units=0"),
        (["cell=gru", "forget_gate.bia=1"], r".*bia.*"),
        (
            ["cell=gru", "candidate_activation=softmax"],
            r"equations: .*Received: candidate_activation='softmax'",
        ),
    ],
)
def test_what_it_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as stopped:
        explain.main(arguments)
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(f"lstmlab-explain: {message}\n", said.err)
    assert list(tmp_path.rglob("*.html")) == []


def test_nothing_to_explain_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as stopped:
        explain.main([])
    assert stopped.value.code == 2


def test_a_run_without_weights_and_one_of_another_version(tmp_path, capsys):
    for without, message in (
        (
            ("model.weights.h5",),
            "expected a folder with a run that has ended and saved its weights, model.weights.h5.",
        ),
        ((), "expected a run that lstmlab "),
    ):
        folder = run_folder(tmp_path / str(len(without)), *without)
        with pytest.raises(SystemExit):
            explain.main([str(folder)])
        error = capsys.readouterr().err
        assert re.match(rf"lstmlab-explain: \w+: {re.escape(message)}", error)
        assert error.count("\n") == 1
        assert not (folder / "explain.html").exists()


def reopened(monkeypatch, folder, model, probe, **row):
    """The command finds this model in the folder."""
    row = {
        "status": "budget",
        "task": "adding",
        "cell": "vanilla",
        "version.lstmlab": __version__,
    } | row
    (folder / "result.json").write_text("{}")
    monkeypatch.setattr(
        build, "reopen", lambda folder: types.SimpleNamespace(row=row, model=model, probe=probe)
    )


@pytest.mark.parametrize(
    "version", [{"version.lstmlab": "0.0.9"}, {"version.lstmlab": __version__}]
)
def test_a_run_of_another_version_is_named_with_both_versions(
    version, tmp_path, monkeypatch, capsys
):
    grown = types.SimpleNamespace(cell=CascadeCell(3), learner=BPTT(), weights=[])
    reopened(
        monkeypatch,
        tmp_path,
        grown,
        Probe(*[np.ones((2, 3, 2))] * 2, *[np.ones((2, 3))] * 3),
        **version,
    )
    explain.main([str(tmp_path)])
    said = f"lstmlab-explain: {tmp_path} was written by version 0.0.9 of lstmlab; this is version {__version__}\n"
    assert capsys.readouterr().err == (said if "0.0.9" in version.values() else "")


def test_of_a_run_whose_weights_are_not_finite_there_are_the_symbols_alone(
    tmp_path, monkeypatch, capsys, rng
):
    model, probe = small(rng, variant("vanilla", units=3))
    kernel = model.cell.kernel.numpy()
    kernel[0, 1] = np.nan
    model.cell.kernel.assign(kernel)
    reopened(monkeypatch, tmp_path, model, probe, test_wrong=9, test_size=9, test_error=None)
    explain.main([str(tmp_path)])
    error = capsys.readouterr().err
    assert re.search(
        r"the weights of this run are not finite \([^ ]*kernel\): nothing can be measured", error
    )
    assert error.count("\n") == 1
    text = (tmp_path / "explain.html").read_text(encoding="utf-8")
    assert "weights of this run are not finite" in text
    assert "9 of 9 sequences wrong, no finite mean error" in text
    assert all(Formula(line.latex).mathml() in text for line in equations(model.cell))
    assert verdicts(text) == {}
    assert list(tmp_path.glob("explain_*")) == []


@pytest.mark.parametrize(
    ("values", "span"), [([0, -0.005, -0.01, -0.013], 1.0), ([0, -1, -2, -3], 3.3)]
)
def test_the_axis_of_a_picture_shows_a_decade_or_more(values, span):
    rows = curves("kind", log10_norm=values)
    low, high = drawn(rows, {"log10_norm": "measured"}, "log10").axes[0].get_ylim()
    assert high - low == pytest.approx(span)
    assert low <= min(values) <= max(values) <= high


def test_other_runs_are_written_when_one_cannot_be(tmp_path, monkeypatch, capsys):
    def of_run(folder, out):
        if "nowhere" in folder:
            raise ValueError(f"no {folder}")
        return f"{folder} in {out}"

    monkeypatch.setattr(explain, "of_run", of_run)
    explain.main(["a/b", "--out", "here"])
    explain.main(["a/b"])
    with pytest.raises(SystemExit):
        explain.main(["nowhere", "a/b", "a/c", "--out", "here"])
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"written: {one}"
        for one in ("a/b in here", "a/b in None", "a/b in here/b", "a/c in here/c")
    ]
    assert said.err == "lstmlab-explain: no nowhere\n"


def test_a_net_that_is_no_gated_cell_says_so(tmp_path, monkeypatch, rng):
    """As recurrent cascade-correlation grows it: how the run ended, and a line for what cannot be said."""
    model, probe = small(rng, variant("vanilla", units=3))
    grown = types.SimpleNamespace(cell=CascadeCell(3), learner=BPTT(), weights=[])
    row = {
        "status": "solved",
        "sequences_to_solution": 1234,
        "task": "parity",
        "cell": "cascade",
        "weights": 20,
    }
    (tmp_path / "result.json").write_text("{}")
    monkeypatch.setattr(
        build, "reopen", lambda folder: types.SimpleNamespace(row=row, model=grown, probe=probe)
    )
    text = explain.of_run(tmp_path).read_text(encoding="utf-8")
    Tags(text)
    assert "solved after 1,234 training sequences" in text
    assert "no gate to measure: equations: expected a GatedCell" in text
    assert "<math" not in text
    assert verdicts(text) == {}
    assert model.cell is not None


def test_a_learner_that_answers_with_more_than_cell_and_head_is_named(rng):
    _, probe = small(rng, variant("vanilla", units=3))
    row = {"status": "interrupted", "reason": "stopped by a signal", "sequences": 50}
    for learner, named in ((SequenceChunker(), True), (BPTT(), False)):
        page = Page("made up")
        what_was_run(
            page,
            types.SimpleNamespace(
                row=row, probe=probe, model=types.SimpleNamespace(learner=learner)
            ),
        )
        assert (
            "SequenceChunker does not answer with this cell and its head alone" in page.text()
        ) is named
        assert "interrupted, after 50 training sequences" in page.text()
        assert "stopped by a signal" in page.text()
