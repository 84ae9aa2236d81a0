"""The evening of docs/start.md, typed: its commands train, its run is solved, its tables open.

test_numbers.py holds the pages against docs/measured.json, the numbers of one machine. Here stands
what must be true on every machine.
"""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import ROOT, blocks, commands
from PIL import Image
from test_commands import combinations

from lstmlab import config
from lstmlab.results import Run
from lstmlab.runs import train

pytestmark = pytest.mark.slow
PAGES = (ROOT / "README.md", ROOT / "docs" / "start.md")
TYPED = [words for page in PAGES for words in map(shlex.split, commands(page))]
OTHERWISE_EQUAL = ("seed=", "trainer.budget=")
JOBS = {  # one for all seeds and budgets
    " ".join(one for one in job if not one.startswith(OTHERWISE_EQUAL)): job
    for program, *words in TYPED
    if program == "lstmlab" and not words[0].startswith("--")
    for job in combinations(words)
}
ONE_WINDOW = ("trainer.window=100", "trainer.budget=100")


@pytest.mark.parametrize("job", JOBS)
def test_a_command_of_the_evening_trains(job, tmp_path):
    """One short window, by the settings of the page."""
    composed, choices = config.compose(*JOBS[job], *ONE_WINDOW)
    row = train.run(composed, tmp_path, choices, progress=False)
    assert (row["status"], row["sequences"]) == ("budget", 100)
    assert np.isfinite(row["test_loss"])


def program(name: str, folder: Path, *words: str) -> str:
    """What the command prints."""
    command = [Path(sys.executable).with_name(name), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_run() -> list[str]:
    """The words of the Makefile's target `run`."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    [line] = re.findall(r"^run:.*\n\t@\.venv/bin/(lstmlab .*) \$\(ARGS\)$", text, re.MULTILINE)
    return line.split()


def test_the_evening(tmp_path, monkeypatch, capsys):
    """One training, and all that the pages do with it."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "scripts")
    said = program(*make_run()[:1], tmp_path, *make_run()[1:])
    [run] = (path.parent for path in tmp_path.glob("outputs/*/*/result.json"))
    check_the_summary(said, run)
    check_the_folder(run)
    check_the_gates(Run(run))
    check_the_flow(Run(run))

    check_the_pictures(run)

    assert "adding" in program("lstmlab-report", tmp_path, "outputs")
    page = program("lstmlab-explain", tmp_path, str(run.relative_to(tmp_path)))
    assert (tmp_path / page.removeprefix("written: ").strip()).exists()

    monkeypatch.chdir(tmp_path)
    run_the_results_page()
    assert "solved" in capsys.readouterr().out


def check_the_summary(said: str, run: Path) -> None:
    """Solved by the criterion, and about as quick as the paper says."""
    row = Run(run).read_row()
    assert row["status"] == "solved"
    assert row["inputs"] == "value, marker"
    assert 20_000 < row["sequences_to_solution"] <= row["sequences"] < 300_000
    assert row["test_wrong"] <= 0.01 * row["test_size"]
    assert row["weights"] == 93
    assert f"solved after {row['sequences_to_solution']:,} sequences" in said
    assert run.name in said


def check_the_folder(run: Path) -> None:
    """It holds what the table of the page lists, and nothing else."""
    text = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    table = text.partition("| file |")[2].partition("\n\n")[0]
    listed = {name.rstrip("/") for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)}
    assert {path.name for path in run.iterdir()} == listed


def check_the_gates(run: Run) -> None:
    """One input gate opens at the two marks alone."""
    example = run.read("example")
    last = example[example["sequences"] == example["sequences"].max()]
    gates = last.filter(regex="^input_gate_")
    gate = gates[gates.max().idxmax()]
    marks = last["input_2"] == 1
    assert marks.sum() == 2
    assert gate[marks].min() > 5 * gate[~marks].max()
    table = run.read("gates")
    assert table[table["gate"] == "input_gate"]["near_0"].iloc[-1] > 0.9


def check_the_flow(run: Run) -> None:
    """Along the carousel the error is the same at lags 0 and 99; through the outputs it falls."""
    flow = run.read("error_flow")
    for moment in (0, flow["sequences"].max()):
        rows = flow[flow["sequences"] == moment].set_index(["path", "lag"])["norm"]
        np.testing.assert_allclose(rows["carousel"][99], rows["carousel"][0], rtol=1e-4)
        assert rows["output"][50] < rows["output"][0] / 100


def check_the_pictures(run: Path) -> None:
    """Those of TensorBoard show what a run of today shows there."""
    draw = importlib.import_module("draw_start")
    for name in draw.PAGES:
        with Image.open(draw.IMAGES / f"{name}.png") as image:
            assert image.info["Tags"] == draw.tags(run), "run: python docs/scripts/draw_start.py"


def run_the_results_page() -> None:
    """The Python of docs/results.md, in the folder that holds outputs/."""
    names: dict = {"__name__": "page"}
    code = [block.text for block in blocks(ROOT / "docs" / "results.md")]
    code = [text for text in code if "import" in text or "print" in text]
    assert len(code) >= 5
    with pd.option_context("display.width", 200):
        for text in code:
            exec(compile(text, "results.md", "exec"), names)
