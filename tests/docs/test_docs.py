"""The pages are true.

Their Python runs, their table and pictures show the cells as they are, their links lead somewhere.
"""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lstmlab
from lstmlab.cells.gates import PEEPHOLES, RECURRENCES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_CODE = [
    ROOT / "README.md",
    ROOT / "docs" / "cell.md",
    ROOT / "docs" / "configuration.md",
    ROOT / "docs" / "keras.md",
]  # test_evening.py runs docs/results.md, which reads runs
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def scripts():
    """The modules draw_cells and tabulate_cells of docs/scripts/, outside the package."""
    sys.path.insert(0, str(ROOT / "docs" / "scripts"))
    yield importlib.import_module("draw_cells"), importlib.import_module("tabulate_cells")
    sys.path.remove(str(ROOT / "docs" / "scripts"))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets of links and pictures, without code and without addresses on other hosts."""
    text = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if not target.startswith(("http://", "https://"))
    ]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_its_python_runs(page, tmp_path, monkeypatch, capsys):
    """One block after the other, as a reader would copy them."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    assert len(blocks(page)) == text_of(page).count("```python") > 0
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)
    printed = re.sub(r"\d+/\d+ .*|\x08", "", capsys.readouterr().out)  # without progress bars
    if page.name == "README.md":  # what it says of this run
        losses = names["model"].history.history["loss"]
        assert losses[0] == pytest.approx(1.5, abs=0.05)
        assert np.var(names["y"]) == pytest.approx(1.5, abs=0.05)
        assert losses[-1] < 0.1
        gate, marked = names["gate"], names["marked"]
        opened = gate[marked].mean(axis=0)
        assert opened.max() > 0.1
        assert (gate[~marked].mean(axis=0) < 0.1).all()
    if page.name == "keras.md":
        check_keras(names)
    said = {
        "README.md": ["(1000, 50, 4)"],
        "cell.md": [
            "'input_gate': (8, 20, 4)",
            "GatedCell.from_keras: expected the function of",
            "(64, 8)",
        ],
        "configuration.md": ["(2, 10000, 2)"],
        "keras.md": [
            "{'input_gate': (8, 60, 16), 'forget_gate': (8, 60, 16), 'output_gate': (8, 60, 16), ",
            "['error_flow', 'example', 'gates', 'gradients', 'history', 'memory']",
        ],
    }
    for text in said[page.name]:
        assert text in text_of(page)
        assert text in printed


def check_keras(names: dict) -> None:
    """What docs/keras.md says of its two models."""
    losses = names["model"].history.history["loss"]
    assert losses == pytest.approx([3.5] * len(losses), abs=0.1)
    assert names["y"].var() == pytest.approx(3.5, abs=0.1)
    rows = names["audit"].set_index(["measure", "of", "what"])["value"]
    assert rows["memory", "median", "half_life"] == pytest.approx(2, abs=0.5)
    assert rows["gates", "forget_gate", "mean"] == pytest.approx(0.73, abs=0.01)
    first, better = (
        lstmlab.error_flow(names[name], names["x"][:64], names["y"][:64])
        .query("path == 'cell_state'")
        .set_index("lag")["norm"]
        for name in ("model", "better")
    )
    assert 1e-5 < first[50] / first[0] < 1e-3
    assert better[50] / better[0] > 0.5
    assert names["better"].history.history["loss"][-1] < 0.2
    assert type(names["theirs"]).__name__ == "LSTM"
    assert Path("audit.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@every_page
def test_its_links_lead_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_links_are_found():
    assert "docs/cell.md" in links(ROOT / "README.md")
    assert (
        sum(target.startswith("images/cell_") for target in links(ROOT / "docs" / "cell.md")) == 6
    )
    assert "weights-from-and-to-keras" in anchors(ROOT / "docs" / "cell.md")


def test_the_table_against_the_cells(scripts):
    _, tabulate_cells = scripts
    page = text_of(tabulate_cells.PAGE)
    assert (
        tabulate_cells.page_with_table(page, tabulate_cells.FIRST, tabulate_cells.table()) == page
    ), "run: python docs/scripts/tabulate_cells.py"


def test_the_table_by_hand(scripts):
    """Three rows written from the papers."""
    _, tabulate_cells = scripts
    rows = {
        name: list(tabulate_cells.row(name, lstmlab.variant(name)).values())[1:9]
        for name in ("fgr", "gru", "lstm1997")
    }
    gates = "cells; gates also gates"
    assert rows == {
        "fgr": ["logistic", "logistic", "logistic", "", "i, f, o", "tanh", "tanh", gates],
        "gru": [
            "1 - f",
            "logistic",
            "1",
            "reset: logistic, before R",
            "",
            "tanh",
            "y is s",
            "cells",
        ],
        "lstm1997": ["logistic", "1", "logistic", "", "", "[-2, 2]", "[-1, 1]", "cells and gates"],
    }


def test_every_variant_is_in_the_table_in_one_family_and_in_the_words(scripts):
    draw_cells, tabulate_cells = scripts
    assert (
        sorted(name for family in draw_cells.FAMILIES.values() for name in family)
        == lstmlab.variants()
    )
    page = text_of(tabulate_cells.PAGE)
    before, after = page.index(tabulate_cells.FIRST), page.index(tabulate_cells.LAST)
    table, words = page[before:after], page[:before]
    names = {
        "gru": "The GRU",
        "mgu": "The MGU",
        "janet": "JANET",
        "mingru": "The minGRU",
        "minlstm": "The minLSTM",
    }
    names |= {
        "slstm": "The sLSTM",
        "elman": "Elman's net",
        "irnn": "The IRNN",
        "indrnn": "the IndRNN",
        "peephole": "(2002)",
    }
    for name in lstmlab.variants():
        assert table.count(f"| `{name}` |") == 1
        assert names.get(name, f"`{name}`") in words, name


def test_every_variant_is_named_in_the_readme():
    for name in lstmlab.variants():
        assert f"`{name}`" in text_of(ROOT / "README.md"), name


def test_the_pictures_show_the_cells_as_they_are(scripts):
    draw_cells, _ = scripts
    for family in draw_cells.FAMILIES:
        path = draw_cells.IMAGES / f"cell_{family}.png"
        with Image.open(path) as picture:
            assert picture.info["Wiring"] == draw_cells.digest(draw_cells.wirings(family)), (
                "run: python docs/scripts/draw_cells.py"
            )
        assert path.stat().st_size < 150_000
    assert len(
        {draw_cells.digest(draw_cells.wirings(family)) for family in draw_cells.FAMILIES}
    ) == len(draw_cells.FAMILIES)


def test_the_pictures_of_the_first_evening_are_there():
    for name in ("adding_100", "tensorboard_error_flow", "tensorboard_histograms"):
        assert f"(images/{name}.png)" in text_of(ROOT / "docs" / "start.md")
        assert (ROOT / "docs" / "images" / f"{name}.png").stat().st_size < 150_000


def test_the_wiring_against_the_switches(scripts):
    """Counted from the parts of every picture.

    Boxes, dashed arrows, products, and the 1 - of coupled gates.
    """
    draw_cells, _ = scripts
    for name in lstmlab.variants():
        cell, parts = lstmlab.variant(name), draw_cells.wiring(lstmlab.variant(name))
        boxes = [part.text.split("\n")[0] for part in parts if part.kind == "box"]
        assert {gate.replace("_", " ") for gate in cell.own} == {
            text for text in boxes if text.endswith(" gate")
        }, name
        dashed = [part for part in parts if part.style == "--" and part.arrow]
        assert len(dashed) == len(cell.peepholes), name
        factors = ("input_gate", "forget_gate", "reset_gate", "output_gate")
        products = sum(gate in cell.gates for gate in factors) + (cell.normaliser == "state")
        assert (
            sum(part.kind == "sign" and part.text == draw_cells.TIMES for part in parts) == products
        ), name
        coupled = [gate for gate in cell.gates if gate not in cell.own and gate != "reset_gate"]
        assert sum("$1-" in text for text in boxes) == len(coupled), name


def test_the_traces_of_vanilla_against_its_recurrence(scripts):
    """The weights set by hand are those that the page tells of.

    Gates that answer to markers, a candidate that is the value.
    """
    draw_cells, _ = scripts
    values, x = draw_cells.gated_traces("vanilla"), draw_cells.sequence()[0].astype("float64")
    i, o = (
        1 / (1 + np.exp(6 - 12 * x[:, marker])) for marker in (draw_cells.WRITE, draw_cells.READ)
    )
    f = 1 / (1 + np.exp(12 * x[:, draw_cells.FORGET] - 6))
    s = 0.0
    for t in range(len(x)):
        s = f[t] * s + i[t] * np.tanh(x[t, draw_cells.VALUE])
        np.testing.assert_allclose(values["cell_state"][t], s, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(values["output"][t], o[t] * np.tanh(s), rtol=1e-5, atol=1e-6)
    assert np.abs(values["cell_state"]).max() > 1


def test_the_changelog_names_the_values_of_the_new_arguments():
    text = text_of(ROOT / "CHANGELOG.md")
    for value in (*PEEPHOLES[1:], *RECURRENCES):
        assert f"`'{value}'`" in text, value
