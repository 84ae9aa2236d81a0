"""The page of a cell: every formula is typeset, and what is said of it in words is so."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from explained import Tags, small

from lstmlab import explain, variant, variants
from lstmlab.explain.page import Formula, Page, powers
from lstmlab.explain.symbols import symbolic
from lstmlab.explain.theorems import THEOREMS
from lstmlab.explain.why import beside, paragraphs
from lstmlab.symbolic.equations import equations, legend
from lstmlab.symbolic.jacobian import jacobian
from lstmlab.symbolic.total import detours, total_derivative


@pytest.mark.parametrize("name", variants())
def test_every_formula_of_every_cell_is_typeset(name):
    cell = variant(name, block_size=2)
    formulas = [line.latex for line in equations(cell)] + list(legend(cell))
    formulas += [
        text
        for block in jacobian(cell).values()
        for text in (block.latex(), *(term.latex() for term in block.terms))
    ]
    formulas += [total_derivative(cell).latex()]
    for latex in formulas:
        shown = Formula(latex).mathml()
        assert "\\" not in shown
        assert "<mo />" not in shown, latex
        Tags(shown)
    page = explain.of_cell(name, ["block_size=2"])
    assert all(Formula(line.latex).mathml() in page.text() for line in equations(cell))
    Tags(page.text())


def moved_together(rng, cell) -> dict[str, bool]:
    """{gate: whether it opens as e_t falls} of gates that move with the forget gate.

    A nudge of one pre-activation moves them together.
    """
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
        assert (f"opening the {words} means forgetting" in text) == (expected.get(gate) is True)
        assert (f"opening the {words} means keeping" in text) == (expected.get(gate) is False)
    assert (">Why the forget gate forgets, and no other gate</h2>" in text) == (
        "forget_gate" in cell.gates and not expected
    )


@pytest.mark.parametrize("name", variants())
def test_e_and_n_of_theorem_10_are_written_for_every_cell(name):
    """Each term in a row; whether single steps may be multiplied, in words."""
    cell = variant(name)
    text = explain.of_cell(name).text()
    section = text.split(">How the new state depends on the old one: e_t and N_t</h2>")[1]
    section = section.split("<h2")[0]
    split = r"\frac{d s_t}{d s_{t-1}} = \operatorname{diag}(e_t) + N_t"
    assert section.startswith(f"\n<p>{Formula(split).mathml()}. This derivative, d, is total")
    terms = total_derivative(cell).terms
    assert section.count("<tr>") == 1 + len(terms)
    for k, term in enumerate(terms):
        sign = "-" if term.sign < 0 else "+" if k else ""
        assert f"<td>{Formula(f'{sign} {term.latex()}').mathml()}</td>" in section
    assert ("N_t is 0" in section) == all(not term.path for term in terms)
    assert ("Over several steps, multiply these" in section) == (not detours(cell))
    assert ("Over several steps, their product is not the whole" in section) == bool(detours(cell))
    for gate in detours(cell):
        assert gate.replace("_", " ") in section


def test_partial_and_total_derivatives_have_signs_of_their_own():
    text = explain.of_cell("vanilla").text()
    before, after = text.split(">How the new state depends on the old one: e_t and N_t</h2>")
    assert "&#x02202;" in Formula(r"\partial").mathml()
    assert "are partial" in before
    assert before.count("&#x02202;") == 2 * len(jacobian(variant("vanilla")))
    assert "&#x02202;" not in after.split("<h2")[0]


def words_of(statement: str) -> list[str]:
    """The words of a statement between its formulas, line breaks and emphasis aside."""
    text = " ".join(re.sub(r"\$`?.*?`?\$|```math.*?```", "$", statement, flags=re.DOTALL).split())
    return [piece.strip(" ,.:") for piece in text.replace("*", "").split("$")]


def test_theorems_that_pages_name_are_stated_as_the_mathematics_states_them():
    page = (Path(__file__).parents[2] / "docs" / "mathematics.md").read_text(encoding="utf-8")
    named = set()
    for path in (Path(explain.__file__).parent).glob("*.py"):
        named |= set(re.findall(r"Theorem (\d+)", path.read_text(encoding="utf-8")))
    assert {int(number) for number in named} == {*THEOREMS}
    for number, (name, statement) in THEOREMS.items():
        [there] = re.findall(rf"\*\*Theorem {number}\*\* \((.*?)\*Proof", page, re.DOTALL)
        assert there.startswith(name)
        known = " ".join(words_of(there))
        for sentence in words_of(statement):
            for piece in re.split(r"\(([ab])\) |\. ", sentence):
                assert (piece or "").strip() in known, (number, piece)


@pytest.mark.parametrize("name", variants())
def test_every_theorem_that_a_page_names_is_a_link_to_its_statement(name):
    text = explain.of_cell(name).text()
    tags = Tags(text)
    assert len(tags.places) == len({*tags.places})
    assert {*tags.within} <= {*tags.places}
    assert "theorem-10" in tags.within
    outside = re.sub(r'<a href="#theorem-\d+">.*?</a>|<b>Theorem \d+</b>', "", text)
    assert "Theorem" not in outside
    assert not re.search(r"href=\"(?!#)", text)


def test_a_page_of_a_cell_begins_with_the_answer_and_then_its_contents():
    text = explain.of_cell("vanilla").text()
    why, contents, first = (
        text.index(mark)
        for mark in (">Why the forget gate forgets, and", "<nav>", ">The equations with")
    )
    assert why < contents
    assert contents < text.index("</nav>")
    assert text.index('href="#the-equations-with-these-switches"') < first


def test_formulas_ask_for_a_font_for_mathematics():
    [fonts] = re.findall(r"^math \{ font-family: (.*?); \}$", Page("made up").text(), re.MULTILINE)
    assert fonts.split(", ") == [
        '"Latin Modern Math"',
        '"STIX Two Math"',
        '"Cambria Math"',
        "math",
    ]


def test_a_number_is_shown_with_a_plain_power_of_ten():
    assert powers("1.2e-07, -3e+12 and 10^-400; 1e-05") == "1.2·10⁻⁷, -3·10¹² and 10⁻⁴⁰⁰; 10⁻⁵"
    assert powers("0.25, 12, cell1e-3, step 3") == "0.25, 12, cell1e-3, step 3"
    page = Page("made up")
    page.table(["value"], [["1.5e-09"], ["0.2"]])
    assert page.text().count('class="number"') == 3  # still numbers, aligned to the right
    assert "1.5·10⁻⁹" in page.text()


def test_what_is_said_of_cells_without_a_gate_before_the_state():
    for settings, said, never in (
        (
            ["lstm1997"],
            "along the carousel the old state is multiplied by 1",
            "There is no carousel",
        ),
        (["elman"], "There is no carousel: the old state has no factor", "other gates"),
        (
            ["vanilla", "forget_gate=closed"],
            "Why nothing is kept here except through the pre-activations",
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
    """z_t = s_t / n_t: its shares of old and new, as typeset, from the values of a step.

    Raising net_i by 1 makes the odds e times as large.
    """
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
    assert "both gates determine what is left" in explain.of_cell("slstm").text()


def test_a_prime_stands_beside_its_letter():
    assert (
        Formula("f'_t")
        .mathml()
        .endswith(
            '<msub><mrow><mi>f</mi><mo lspace="0" rspace="0">&#x02032;</mo></mrow>'
            "<mi>t</mi></msub></mrow></math>"
        )
    )
    assert Formula(r"E^{2} h'(s)").mathml().count("<msup>") == 1
