"""docs/tour.ipynb runs, says what it shows, and is stored with its pictures."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TOUR = DOCS / "tour.ipynb"
MOST = 500_000  # bytes


@pytest.fixture(scope="module")
def stored() -> Any:
    return json.loads(TOUR.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Any:
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    sys.path.insert(0, str(DOCS / "scripts"))
    yield importlib.import_module("run_tour").executed(tmp_path_factory.mktemp("tour"))
    sys.path.remove(str(DOCS / "scripts"))


def shown(notebook: Any) -> list[list[str]]:
    """For each cell of code the kinds of its outputs."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[output["output_type"] for output in cell["outputs"]] for cell in cells]


def printed(notebook: Any) -> str:
    texts = [
        "".join(output.get("text", ""))
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]
    return "\n".join(texts)


def check_what_it_says(text: str) -> None:
    """The sentences between the cells, held against what the cells printed."""
    losses = re.findall(r"loss: (\S+) at first, (\S+) at the end", text)
    [variance] = re.findall(r"variance of the sums: (\S+)", text)
    assert len(losses) == 2
    assert all(float(last) < float(variance) / 4 for _, last in losses)
    assert float(losses[0][1]) < 0.1
    [flow] = re.findall(r"at lag 0: (\S+), at lag 49: (\S+)", text)
    assert flow[0] == flow[1]
    [left] = re.findall(r"left after 49 steps: (\S+);", text)
    assert float(left) < 1e-9


def test_it_is_stored_small_with_outputs_and_pictures(stored):
    assert TOUR.stat().st_size < MOST
    kinds = [kind for cell in shown(stored) for kind in cell]
    assert kinds.count("display_data") == 2
    assert set(kinds) == {"display_data", "stream"}
    counts = [cell["execution_count"] for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run: python docs/scripts/run_tour.py"
    check_what_it_says(printed(stored))


def test_its_links_lead_somewhere(stored):
    texts = ["".join(cell["source"]) for cell in stored["cells"] if cell["cell_type"] == "markdown"]
    targets = re.findall(r"\]\(([^)\s]+)\)", "\n".join(texts))
    assert targets
    assert all((DOCS / target).exists() for target in targets)


@pytest.mark.slow
def test_it_runs(executed, stored):
    assert shown(executed) == shown(stored)
    check_what_it_says(printed(executed))
