"""docs/mathematics.md: its table is that of the cells, and every theorem names its tests."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "mathematics.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tabulate():
    """docs/scripts/tabulate_forgetting.py, which lies outside the package."""
    sys.path.insert(0, str(DOCS / "scripts"))
    yield importlib.import_module("tabulate_forgetting")
    sys.path.remove(str(DOCS / "scripts"))


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
