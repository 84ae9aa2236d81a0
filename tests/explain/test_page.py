"""The page of a run: its formulas, its numbers against the diagnostics, its verdicts."""

import re
import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from composed import NO_DIAGNOSTICS, SMALL
from explained import Tags, excuses, facts, plain, small, verdicts
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from lstmlab import __version__, explain, variant
from lstmlab.cells import CascadeCell
from lstmlab.config import compose as composed
from lstmlab.diagnostics import Probe
from lstmlab.explain.answer import in_words
from lstmlab.explain.measured import measure
from lstmlab.explain.page import Formula, Page, number, path_in_words, powers
from lstmlab.explain.pictures import _draw_held
from lstmlab.explain.progress import Progress
from lstmlab.explain.run import what_was_run
from lstmlab.learners import BPTT, SequenceChunker
from lstmlab.runs import build, train
from lstmlab.symbolic.equations import equations
from lstmlab.symbolic.jacobian import jacobian

PLAIN = (
    *SMALL,
    *NO_DIAGNOSTICS,
    "trainer.jit_compile=false",
    "trainer.steps_per_execution=10",
    "learner=bptt",
)
NAMESPACE = "http://www.w3.org/1998/Math/MathML"
TABLES = ("gates", "jacobians", "error_flow", "bound", "interventions", "memory", "terms")


def finished(folder, *overrides: str):
    """A small run as the command leaves it: with its config."""
    config, choices = composed(*PLAIN, *overrides)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    train.run(config, folder, choices, progress=False)
    return folder


@pytest.fixture(
    scope="module",
    params=["vanilla", *(pytest.param(n, marks=pytest.mark.slow) for n in ("elman", "lstm1997"))],
)
def explained(request, tmp_path_factory):
    """The folder of a run, the text of its page, the run opened again, and measured again."""
    folder = finished(tmp_path_factory.mktemp(request.param), f"cell={request.param}")
    tf.config.run_functions_eagerly(True)
    try:
        assert explain.of_run(folder) == folder / "explain.html"
        run = build.reopen(folder)
        tables = measure(run.model, run.probe)
    finally:
        tf.config.run_functions_eagerly(False)
    return folder, (folder / "explain.html").read_text(encoding="utf-8"), run, tables


@pytest.mark.slow
def test_the_page_has_the_equations_and_derivatives_of_the_cell(explained):
    _, text, run, _ = explained
    for equation in equations(run.model.cell):
        assert Formula(equation.latex).mathml() in text
    for block in jacobian(run.model.cell).values():
        for term in block.terms:
            assert Formula(term.latex()).mathml() in text
            assert path_in_words(term.way) in text


def test_the_page_is_whole_and_asks_for_nothing(explained):
    folder, text, *_ = explained
    tags = Tags(text)
    assert {"html", "head", "title", "body", "math", "table", "img"} <= tags.names
    assert not tags.names & {"script", "link", "iframe", "object", "form"}
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert len(tags.places) == len({*tags.places})
    assert {*tags.within} <= {*tags.places}
    assert set(re.findall(r'https?://[^"\s<>]*', text)) == {NAMESPACE}
    assert not re.findall(r"@import|url\(", text)
    assert str(folder) not in text


def test_pictures_stand_beside_the_page_and_in_it(explained):
    import base64

    folder, text, *_ = explained
    pictures = sorted(folder.glob("explain_*.png"))
    assert [path.name for path in pictures] == [
        "explain_answer.png",
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
        assert f'<td class="number">{powers(number(row["mean"]))}</td>' in text
    for row in tables["interventions"].to_dict("records") if "interventions" in tables else ():
        for what in ("error", "recalled", "retention", "retention_carousel"):
            assert f'<td class="number">{powers(number(row[f"{what}_after"]))}</td>' in text


def test_verdicts_follow_from_the_tables(explained):
    """Each number of a claim from its table, without the functions that make claims."""
    _, text, run, tables = explained
    said = verdicts(text)
    flow = tables["error_flow"].pivot_table(index="lag", columns="path", values="norm")
    end = flow.index.max()
    carousel, nets = flow.loc[end, "carousel"], flow.loc[end, "nets"]
    if run.model.cell.forget_gate == "closed":
        numbers = facts(text)[
            "Without a carousel, all of the error arrives through the pre-activations."
        ]
        assert carousel == 0.0
    else:
        holds, numbers = next(
            value for claim, value in said.items() if "of the error arrives" in claim
        )
        assert holds == (carousel > nets)
    assert f"at lag {end} steps: carousel {carousel:.3g}, pre-activations {nets:.3g}" in numbers
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


def test_the_order_of_the_page(explained):
    """The answer and its picture, the contents, the claims, the measurements; symbols folded."""
    _, text, _, tables = explained
    marks = (
        '<p class="answer">',
        "<figure>",
        "<nav>",
        "</nav>",
        ">What is claimed, and whether it holds for this network</h2>",
        '<div class="claim',
        ">The run</h2>",
        ">The terms, measured</h2>",
        ">The error on its way back, by path</h2>",
        "<details",
        ">The equations with these switches</h2>",
        "</details>",
        ">The theorems named here</h2>",
    )
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert text.count("<figure>", 0, text.index("<nav>")) == 1
    assert '<div class="claim' not in text[text.index(">The run</h2>") :]
    assert "<details open" not in text
    # every heading of a measurement is reached from the contents
    contents = re.findall(r'<a href="#([^"]*)">', text[places[2] : places[3]])
    shown = text[places[3] : places[9]] + text[places[11] :]
    assert [*re.findall(r'<h2 id="([^"]*)"', shown)] == [
        place for place in contents if not place.startswith("in-symbols")
    ]
    assert ("interventions" in tables) == ("held-fixed-for-a-while" in " ".join(contents))


def test_the_answer_has_the_numbers_of_the_tables(explained):
    _, text, run, tables = explained
    [answer] = map(plain, re.findall(r'<p class="answer">(.*?)</p>', text, re.DOTALL))
    lag = tables["memory"]["lag"][0]
    assert answer.startswith(f"Over the task's lag, {lag:.4g} steps, this network keeps ")
    if "interventions" not in tables:
        norms = tables["jacobians"].query("path == 'cell_state' and measure == 'norm'")
        there = norms.iloc[(norms["lag"] - lag).abs().argmin()]
        assert f"{there['value']:.3g} (|ds_T/ds_t| at lag {there['lag']}" in answer
        assert "no carousel that would hold its state" in answer
        return
    held = tables["interventions"].set_index(["gate", "value"])
    assert f"{held['retention_before'].iloc[0]:.3g}" in answer
    if run.model.cell.forget_gate is None:
        assert "No gate multiplies the old state" in answer
        assert "forget" not in answer
        return
    assert f"multiplied, leave {held['retention_carousel_before'].iloc[0]:.3g}" in answer
    closed, opened = (
        held.loc[("forget_gate", end), "retention_after"] for end in ("closed", "open")
    )
    assert f"leaves {closed:.3g} of the state over all paths; held open, {opened:.3g}." in answer


def test_a_page_without_a_forget_gate_speaks_of_the_constant_1(explained):
    """But for one sentence: the cell does not have one."""
    _, text, run, _ = explained
    if run.model.cell.forget_gate is None:
        said = plain(text).replace("There is no forget gate", "").split(">The theorems named")[0]
        assert not re.findall(r".{40}forget gate.{20}", said, re.DOTALL)
        assert "The carousel's constant 1" in said
        assert "the constant 1 as its factor" in said
    elif run.model.cell.forget_gate == "closed":
        assert "product of the forget gates" not in text


def test_every_claim_leads_to_its_measurement(explained):
    _, text, *_ = explained
    claims, measurements = text.split(">The run</h2>")
    links = re.findall(r'<a class="where" href="#([^"]*)"', claims)
    assert len(links) == len(verdicts(text)) + len(facts(text))
    assert all(f'<h2 id="{place}"' in measurements for place in links)


def test_what_fails_without_fault_is_counted(explained):
    _, text, *_ = explained
    why = excuses(text)
    failed = [claim for claim, (holds, _) in verdicts(text).items() if not holds]
    assert [*why] == failed
    said = f"{len(verdicts(text))} claims are measured: {len(verdicts(text)) - len(failed)} hold"
    assert said in text
    assert ("which is no fault" in text) == (bool(failed) and all(why.values()))


@pytest.mark.slow
def test_it_says_what_it_does_meanwhile(tmp_path, monkeypatch, eager, rng):
    model, probe = small(rng, variant("vanilla", units=2))
    reopened(monkeypatch, tmp_path, model, probe)
    told = []
    monkeypatch.setattr(Progress, "__call__", lambda self, what: told.append(what))
    explain.of_run(tmp_path, progress=True)
    assert told == [
        "loading TensorFlow",
        "opening the run",
        "measuring gates",
        "measuring jacobians",
        "measuring error flow",
        "measuring bound",
        "measuring interventions",
        "measuring memory",
        "measuring the terms of one step",
        "drawing and writing",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("gru", "does not move alone: the input gate moves with it"),
        ("slstm", "both gates determine what is left"),
        ("nfg", "whose factor is the constant 1, all of it is kept"),
        ("minlstm", "does not move alone"),
    ],
)
def test_the_answer_of_other_cells(cell, said, eager, rng):
    model, probe = small(rng, variant(cell, units=2))
    answer = in_words(model.cell, measure(model, probe))
    assert said in answer
    assert ("only the forget gate decides" in answer) == (cell not in ("slstm", "nfg"))


def test_what_is_said_of_held_gates_agrees_with_the_table_below_it(explained):
    """The row that changes retention most is named, and the verdict is on its numbers."""
    _, text, run, tables = explained
    if "interventions" not in tables:
        assert "held fixed" not in text
        return
    table, said = tables["interventions"], verdicts(text)
    change = (table["retention_after"] - table["retention_before"]).abs()
    row = table.loc[change.idxmax()]
    value = "at its mean" if row["value"] == "mean" else row["value"]
    named = f"the {row['gate'].replace('_', ' ')} {value}: "
    holds, numbers = next(
        value for claim, value in said.items() if claim.startswith("Over all paths")
    )
    assert f"{named}{row['retention_before']:.3g} -> {row['retention_after']:.3g}" in numbers
    assert ("through what the pre-activations read back" in numbers) == (
        row["gate"] != "forget_gate"
    )
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
        f"{others['retention_carousel_after'][np.log(ratio).abs().idxmax()]:.3g}; this is how far"
        in numbers
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
    assert "not solved within the budget, after 200 training sequences" in text
    assert f"{run.row['test_wrong']:,} of 2,560 sequences wrong" in text
    assert f"adding, cell {run.row['cell']}, learner bptt, seed 0" in text


# ---- runs that were not made here


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
    old, this = "version 0.0.9 of lstmlab", f"this is version {__version__}"
    said = f"lstmlab-explain: {tmp_path} was written by {old}; {this}\n"
    assert capsys.readouterr().err == (said if "0.0.9" in version.values() else "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "row", "by"),
    [
        ("vanilla", {}, "by its forget gate, whose values over this lag multiply to next to"),
        ("elman", {}, "by no gate: without a carousel nothing holds the state"),
        ("vanilla", {"status": "solved", "sequences_to_solution": 1}, ""),
        ("vanilla", {"criterion_met_by": "memoryless"}, ""),
        ("nfg", {}, ""),
    ],
)
def test_a_network_that_forgets_what_its_task_asks_for_is_told_so(
    cell, row, by, tmp_path, monkeypatch, eager, rng
):
    """By its numbers and how it ended: with small weights a forget gate is near 1/2."""
    model, probe = small(rng, variant(cell, units=2), steps=16)
    for weight in model.weights:
        weight.assign(0.01 * weight)
    reopened(monkeypatch, tmp_path, model, probe, **row)
    text = plain(explain.of_run(tmp_path).read_text(encoding="utf-8"))
    failed = [claim for claim, (holds, _) in verdicts(text).items() if not holds]
    assert ("So this network forgets what its task asks for, " + by in text) == bool(by)
    assert ("This is why it cannot solve the task as it is." in text) == bool(by)
    assert ("The network forgets what its task asks for, as the answer" in text) == bool(by)
    assert ("which is no fault" in text) == (bool(failed) and not by)
    assert ("Here it is a fault" in text) == (bool(by) and cell == "vanilla")
    if cell == "vanilla":
        why = excuses(text)["Along the carousel at least one cell keeps its derivative: 1 over "
                            "every lag."]  # fmt: skip
        assert bool(why) == (not by)


def test_what_is_too_small_for_the_axis_has_its_size_above_the_markers(tmp_path):
    held = pd.DataFrame({
        "gate": ["forget_gate"] * 3 + ["input_gate"] * 3, "value": ["closed", "mean", "open"] * 2,
        "retention_before": 9e-16, "retention_after": [0.0, 9e-16, 1.0, 1e-50, 0.0, 1e-3],
    })  # fmt: skip
    axes = Figure().subplots()
    _draw_held(axes, held)
    assert {text.get_text(): text.xy[1] for text in axes.texts} == {"0": 0, "$<10^{-40}$": 1}
    assert all(text.get_verticalalignment() == "bottom" for text in axes.texts)
    # what is a little below a power of ten stays where it is
    assert min(axes.lines[2].get_xdata()) == pytest.approx(np.log10(9e-16))


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


def test_a_net_that_is_no_gated_cell_says_so(tmp_path, monkeypatch, rng):
    """As recurrent cascade-correlation grows it: how the run ended, and why there is no more."""
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
            "SequenceChunker answers with more than this cell and its head" in page.text()
        ) is named
        assert "interrupted, after 50 training sequences" in page.text()
        assert "stopped by a signal" in page.text()
