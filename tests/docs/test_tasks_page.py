"""docs/tasks.md is what docs/scripts/write_tasks.py makes of the tasks, with their pictures."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from lstmlab import config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    """docs/scripts/write_tasks.py, which lies outside the package."""
    sys.path.insert(0, str(ROOT / "docs" / "scripts"))
    yield importlib.import_module("write_tasks")
    sys.path.remove(str(ROOT / "docs" / "scripts"))


@pytest.fixture(scope="module")
def tasks(script):
    return {name: script.example(name) for group in script.groups().values() for name in group}


@pytest.fixture(scope="module")
def text(script):
    return script.PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date(script, tasks, text):
    assert script.page(tasks) == text, "run: python docs/scripts/write_tasks.py"


def test_every_task_has_one_card_and_one_picture(script, tasks, text):
    assert sorted(tasks) == config.options("task")
    assert sorted(re.findall(r"^### (.+)$", text, re.MULTILINE)) == config.options("task")
    for name, task in tasks.items():
        assert text.count(f"(images/task_{name}.png)") == 1
        path = script.IMAGES / f"task_{name}.png"
        with Image.open(path) as picture:
            assert picture.info["Example"] == script.digest(task), (
                f"{name}: run: python docs/scripts/write_tasks.py"
            )
            assert picture.width > 600
        assert path.stat().st_size < 40_000, name


def test_there_are_no_pictures_of_other_tasks(script, tasks):
    assert sorted(path.name for path in script.IMAGES.glob("task_*.png")) == sorted(
        f"task_{name}.png" for name in tasks
    )


def test_pictures_show_different_sequences(script, tasks):
    assert len({script.digest(task) for task in tasks.values()}) == len(tasks)


def test_a_card_has_all_words_of_the_docstring(script, tasks):
    """Nothing is lost between docstring and card but the sections on arguments and errors."""
    for name in tasks:
        card, doc = script.card(name), inspect.getdoc(config.target("task", name))
        assert set(script.WORDS) - {"Published"} <= set(card), name
        assert ("Published" in card) or script.figures(name), name
        before, _, sections = doc.partition("\n\nArgs:\n")
        words = " ".join(
            f"{part if part in script.WORDS else ''} {text}"
            for part, text in card.items()
            if part != "source"
        )
        assert words.split() == before.split(), name
        _, _, references = sections.partition("\n\nReferences:\n")
        assert card["source"] == " ".join(references.split()), name


def test_the_card_of_adding_by_hand(script):
    card = script.card("adding")
    assert (
        card["question"]
        == "Two marked numbers, far apart in a stream of noise: give their sum at the end."
    )
    assert card["Right"] == "|error| < 0.04."
    assert "Published" not in card, "its figures are those of conf/published.csv"
    assert card["notes"].startswith(
        "Decisions where the text leaves a choice:\n\n- a first pair that is drawn"
    )
    assert card["source"] == "Hochreiter & Schmidhuber 1997, section 5.4."


def test_the_published_figures_of_latch_by_hand(script):
    lines = script.figures("latch")
    assert lines[1].startswith("Published (Hochreiter & Schmidhuber, ")
    assert lines[3:5] == [
        "| method | trials | sequences, mean | remark |",
        "| --- | --- | --- | --- |",
    ]
    assert lines[5].split(" | ")[1:3] == ["40", "6 networks"]
    assert script.figures("csv") == []
    assert "`experiment=hs97/4_adding_100`" in script.section("adding")


def test_groups(script, tasks, text):
    assert {"adding", "multiplication"} <= set(script.groups()["1997"])
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["1997", "After 1997", "Real data"]
    assert (
        text.index("### adding\n") < text.index("## After 1997") < text.index("### adding_modern\n")
    )
    assert (
        f"| [adding](#adding) | 110 | 2 | 1 | 51 | squared | {tasks['adding'].chance:.4f} |" in text
    )


def test_a_task_of_no_group_comes_after_1997(script, monkeypatch):
    monkeypatch.setattr(script.config, "options", lambda group: ["adding", "csv", "new_one"])
    assert script.groups() == {"1997": ["adding"], "after 1997": ["new_one"], "real data": ["csv"]}
