"""docs/mathematics.md: its table is that of the cells, and every theorem names its tests."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from explained import small
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lstmlab import variant
from lstmlab.config import compose
from lstmlab.diagnostics import kinds

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "mathematics.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    """A module of docs/scripts/, which lies outside the package, by its name."""
    sys.path.insert(0, str(DOCS / "scripts"))
    yield importlib.import_module
    sys.path.remove(str(DOCS / "scripts"))


@pytest.fixture(scope="module")
def tabulate(script):
    return script("tabulate_forgetting")


@pytest.fixture(scope="module")
def draw(script):
    return script("draw_mathematics")


def test_the_table_of_the_page_against_the_cells(tabulate):
    made = tabulate.page_with_table(PAGE, tabulate.FIRST, tabulate.table())
    assert made == PAGE, "run: python docs/scripts/tabulate_forgetting.py"


def test_the_table_of_the_page_by_hand(tabulate):
    """Six rows from the papers."""
    names = ("lstm1997", "peephole", "cifg", "ur_lstm", "mingru", "elman")
    assert {name: list(tabulate.row(name).values())[1:] for name in names} == {
        "lstm1997": ["1", "none", "i, g"],
        "peephole": ["f", "f", "i, f, g"],
        "cifg": ["1 - i", "i", "i, g"],
        "ur_lstm": ["f + (2 r - 1) f (1 - f)", "f, r", "f, r, g"],
        "mingru": ["1 - i", "i", "none"],
        "elman": ["0", "none", "g"],
    }


def written_tests() -> set[str]:
    """file::test of every test in tests/mathematics/."""
    found = set()
    for path in sorted((ROOT / "tests" / "mathematics").glob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        names = re.findall(r"^def (test_\w+)\(", source, flags=re.MULTILINE)
        found |= {f"{path.relative_to(ROOT).as_posix()}::{name}" for name in names}
    return found


def test_every_theorem_names_its_test_and_every_test_named_exists():
    theorems = re.split(r"^\*\*Theorem ", PAGE, flags=re.MULTILINE)[1:]
    numbers = [int(re.match(r"\d+", theorem)[0]) for theorem in theorems]
    assert numbers == list(range(1, len(theorems) + 1))
    named = [re.findall(r"`(tests/[\w/.]+::test_\w+)`", theorem) for theorem in theorems]
    assert all(named)
    assert {name for names in named for name in names} == written_tests()
    assert all("*Proof.*" in theorem for theorem in theorems)


def test_how_to_read_the_theorems_names_each_of_them():
    section = PAGE.split("## How to read the theorems")[1].split("\n## ")[0]
    rows = [line.split("|")[2:4] for line in section.splitlines() if line.startswith("| ")][1:]
    cells = [re.sub(r"\([^)]*\)", "", cell) for row in rows for cell in row]
    named = {int(number) for cell in cells for number in re.findall(r"\d+", cell)}
    assert named == set(range(1, 26))
    assert "Two notations for two derivatives" in section


# ---- what the page says that commands show


def measured_names(rng) -> set[str]:
    """Every column, and every word of a column of words, in the tables of two small networks."""
    found = set()
    for cell in (variant("vanilla", units=2), variant("elman", units=2)):
        model, probe = small(rng, cell)
        known = kinds()
        for name in ("bound", "error_flow", "jacobians", "memory", "gates", "gate_timeline"):
            diagnostic = known[name]()
            if diagnostic.serves(model):
                table = diagnostic.measure(model, probe)
                found |= {*table.columns}
                for column in table.select_dtypes(exclude="number"):
                    found |= {*table[column]}
    return found


def test_what_one_can_measure_has_the_names_of_commands_settings_and_tables(rng, eager):
    paragraphs = re.findall(r"^\*Measure it .*?(?=\n\n|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert len(paragraphs) == 9
    names = measured_names(rng) | set(kinds()) | {"lstm1997"}
    for token in re.findall(r"`([^`$]+)`", re.sub(r"\$`.*?`\$", "", " ".join(paragraphs))):
        if token.startswith("lstmlab-explain"):
            assert token in ("lstmlab-explain RUN", "lstmlab-explain cell=NAME")
        elif "=" in token:
            compose(*shlex.split(token))  # as the command line reads it
        else:
            # the probe of `small` has one event
            assert token.replace("event_2", "event_1") in names, token


# ---- the short answer


def short_answer() -> str:
    return PAGE.split("## The short answer")[1].split("\n## ")[0]


def test_the_tables_of_the_short_answer_against_the_cell(draw):
    assert draw.page_with_table(PAGE, draw.FIRST, draw.table()) == PAGE, (
        "run: python docs/scripts/draw_mathematics.py"
    )
    found = draw.run()["s"]
    rows = re.findall(r"^\| ([0-3]) \|(.*)\|$", short_answer(), re.MULTILINE)
    assert len(rows) == 4
    for t, row in rows:
        *held, one, other, gap = (cell.strip() for cell in row.split("|"))
        states = [float(cell.split("=")[-1]) for cell in (one, other)]
        np.testing.assert_array_equal(states, found[:, int(t)])
        assert float(gap) == states[0] - states[1]
        if held[0]:
            in_order = ("forget_gate", "input_gate", "candidate", "output_gate")
            values = [draw.HELD[name][int(t) - 1] for name in in_order]
            np.testing.assert_array_equal([float(cell) for cell in held], values)


def test_the_tables_of_the_short_answer_by_hand(draw):
    """Python's own arithmetic, without a cell."""
    gaps = {}
    for change in (None, *draw.CHANGES):
        held = {name: list(values) for name, values in draw.HELD.items()}
        if change is not None:
            held[change.gate][draw.CHANGED - 1] = change.value
        ends, outputs = [], []
        for s in draw.PASTS:
            for e, i, g, o in zip(
                *(held[n] for n in ("forget_gate", "input_gate", "candidate", "output_gate")),
                strict=True,
            ):
                s = e * s + i * g
                outputs.append(o * s)
            ends.append(s)
        found = draw.run(change)
        np.testing.assert_array_equal(found["s"][:, -1], ends)
        np.testing.assert_array_equal(found["y"][:, 1:].ravel(), outputs)
        gaps[change] = ends[0] - ends[1]
    assert {gap for change, gap in gaps.items() if not change or change.gate != "forget_gate"} == {
        2
    }
    assert [gap for change, gap in gaps.items() if change and change.gate == "forget_gate"] == [
        0,
        4,
    ]


def test_the_picture_is_drawn_from_the_cell_and_nothing_in_it_overlaps(draw):
    assert "(images/mathematics_gates.png)" in short_answer()
    assert draw.PICTURE.stat().st_size < 150_000
    figure = draw.picture()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    for panel, change in zip(figure.axes[: len(draw.DRAWN)], draw.DRAWN, strict=True):
        lines = [line.get_ydata() for line in panel.lines]
        np.testing.assert_array_equal(lines, draw.run(change)["s"])
        assert len({line.get_color() for line in panel.lines}) == 2
        assert len({line.get_linestyle() for line in panel.lines}) == 2
        [gap] = [text for text in panel.texts if "gap" in text.get_text()]
        assert gap.get_text() == f"gap\n{lines[0][-1] - lines[1][-1]:g}"
    titles = [panel.title for panel in figure.axes[: len(draw.DRAWN)]]
    boxes = [text.get_window_extent(renderer) for text in (*titles, figure._suptitle)]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


def test_a_table_that_a_script_writes_leaves_the_later_ones(script):
    page_with_table = script("tabulate_cells").page_with_table
    last = script("tabulate_cells").LAST
    page = f"a\n<!-- one -->\n\nold\n\n{last}\nb\n<!-- two -->\n\nother\n\n{last}\nc\n"
    made = page_with_table(page, "<!-- one -->", "new")
    assert made == page.replace("old", "new")
