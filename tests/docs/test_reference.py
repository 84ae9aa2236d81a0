"""The API reference of `make docs`: built from the docstrings, complete, without a network."""

import html
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lstmlab
from lstmlab import config

SCRIPT = Path(__file__).parents[2] / "docs" / "scripts" / "write_reference.py"
ROOMS = [name for name in lstmlab.__all__ if isinstance(getattr(lstmlab, name), ModuleType)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """Name of a module -> its page. A warning of the generator is an error here."""
    pytest.importorskip("pdoc", reason="pdoc is not installed")
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "lstmlab.html")]
    assert "Warn" not in done.stderr
    return {
        path.relative_to(folder).with_suffix("").as_posix().replace("/", "."): path.read_text()
        for path in folder.rglob("*.html")
    }


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_on_the_page_of_its_room(room, pages):
    name = f"lstmlab.{room}".rstrip(".")
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if isinstance(value, ModuleType):
            assert f"{name}.{public}" in pages
        else:
            assert f'id="{public}"' in pages[name], f"{name}.{public}"


def test_every_task_has_a_page_with_its_card(pages):
    for task in config.options("task"):
        kind = config.target("task", task)
        page = pages[kind.__module__]
        assert f'id="{kind.__name__}"' in page
        assert re.search(r"<li><strong>Asked</strong>", page), task


def test_formulas_stand_as_they_were_written(pages):
    """Each equation of GatedCell on a line of its own, in a block that keeps spaces."""
    blocks = re.findall(r"<pre>(.*?)</pre>", pages["lstmlab.cells"], re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "", "\n".join(blocks)))
    assert re.search(
        r"^\(5\) s_t    = e_t s_tm1 \+ i_t g_t        the carousel", text, re.MULTILINE
    )
    assert re.search(r"^\(7\) y_t    = o_t output_activation\(s_t\)$", text, re.MULTILINE)


def test_nothing_is_fetched_from_a_network(pages):
    for name, page in pages.items():
        assert not re.search(
            r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", page
        ), name
        assert "@import" not in page


def test_arguments_and_errors_are_lists(pages):
    page = pages["lstmlab"]
    assert re.search(r"<li><strong>variant:?</strong>", page)
    assert "<li><strong>ValueError:</strong>" in page
