"""docs/troubleshooting.md: every message that it quotes is produced here, word for word."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from composed import run
from hydra import compose, initialize_config_module
from hydra.errors import MissingConfigException
from omegaconf import open_dict

import lstmlab
from lstmlab import GatedCell, config, results
from lstmlab.learners import RTRL
from lstmlab.runs import kept
from lstmlab.runs.begin import Begin, Refused
from lstmlab.runs.launch import Planned, check_names, sort
from lstmlab.runs.sweep import Led

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [block.strip() for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)]


def environment(folder: Path, python: str) -> None:
    """.ci/environment with an interpreter of that text, in a folder without .venv."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "environment", folder / ".ci")
    stub = folder / "python3"
    stub.write_text(f"#!/bin/sh\n{python}\n")
    stub.chmod(0o755)
    done = subprocess.run(
        [folder / ".ci" / "environment", "."],
        env={**os.environ, "PYTHON": str(stub)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    raise RuntimeError(done.stderr.strip())


def no_venv(folder: Path) -> None:
    environment(folder, 'case "$2" in *version*) echo 3.12 ;; *) exit 1 ;; esac')


def beside_a_clone(folder: Path) -> None:
    (folder / "lstmlab").mkdir()
    code = "import lstmlab; lstmlab.GatedRNN"
    # an environment in which the clone itself is installed, as the Makefile makes it
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    raise RuntimeError(done.stderr.strip().splitlines()[-1])


def rtrl(folder: Path) -> None:
    cell = GatedCell(400)
    cell.build((None, 2))
    RTRL().initial(cell, np.zeros((1, 3, 2), "float32"), None)


def from_keras(folder: Path) -> None:
    lstm = keras.layers.LSTM(2)
    lstm.build((None, 3, 4))
    lstmlab.variant("cifg", units=2).from_keras(lstm)


def two_sweeps(folder: Path) -> None:
    Led(folder)
    Led(folder)


def no_plugin(folder: Path) -> None:
    options = ["basic", "dask", "joblib"]
    raise MissingConfigException("Could not find it", "hydra/launcher/submitit_slurm", options)


def job(name: str, seed: int) -> Planned:
    return Planned([f"seed={seed}"], name, {"seed": seed, "trials": 1})


def of_other_settings(folder: Path) -> None:
    (folder / "run").mkdir()
    kept.write(folder / "run", kept.Kept({"seed": 0}, {}, {}))
    sort([job("run", 1)], folder)


def no_values(folder: Path) -> None:
    with initialize_config_module("lstmlab.conf", version_base="1.3"):
        composed = compose("config", return_hydra_config=True)
    with open_dict(composed):
        composed.hydra.overrides.task = ["seed=range(3,0)"]
        composed.hydra.runtime.choices = {}
    with pytest.raises(Refused) as refused:
        Begin().on_multirun_start(composed)
    assert refused.value.__cause__ is not None
    raise refused.value.__cause__


# what produces each message of the page, by the words it begins with
PRODUCED: dict[str, Callable[[Path], object]] = {
    "No suitable Python": lambda folder: environment(folder, "exit 1"),
    "Python ... has no venv": no_venv,
    "AttributeError: module 'lstmlab'": beside_a_clone,
    "threads: expected an integer": lambda folder: run(folder, "threads=100000"),
    "RTRL:": rtrl,
    "training: the prediction": lambda folder: run(
        folder, "optimizer.learning_rate=1e30", "diagnostic=[]"
    ),
    "task: expected one of": lambda folder: config.compose("task=addin"),
    "several values make a sweep": lambda folder: config.compose("cell=vanilla,gru"),
    "sweep: expected a folder in which": two_sweeps,
    "sweep: expected a folder without": of_other_settings,
    "sweep: expected names of": lambda folder: check_names([job("x" * 256, 0)], folder),
    "sweep: expected at least": no_values,
    "hydra/launcher:": no_plugin,
    "results: expected runs": results.load,
    "GatedCell.from_keras:": from_keras,
}


SLOW = "training: the prediction"  # a run
CASES = [
    pytest.param(one, marks=[pytest.mark.slow] if one.startswith(SLOW) else [], id=one[:25])
    for one in MESSAGES
]


@pytest.mark.parametrize("message", CASES)
def test_a_message_of_the_page_is_one_that_is_said(message, tmp_path):
    [produce] = [make for words, make in PRODUCED.items() if message.startswith(words)]
    with pytest.raises(Exception, match=r".") as raised:
        produce(tmp_path)
    pattern = ".*".join(re.escape(part) for part in message.split("..."))
    assert re.fullmatch(pattern, config.one_line(raised.value)), config.one_line(raised.value)


def test_every_message_is_on_the_page():
    assert len(MESSAGES) == len(PRODUCED)
    assert all(any(one.startswith(words) for one in MESSAGES) for words in PRODUCED)


def test_what_it_says_of_versions_and_systems():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {one for one in project["dependencies"] if one.startswith(("tensorflow", "keras"))}
    assert needs == {"tensorflow>=2.21,<2.22", "keras>=3.15,<3.16"}
    assert "TensorFlow 2.21 and Keras 3.15" in PAGE
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "gpu" in project["optional-dependencies"]
    sources = (ROOT / "lstmlab").rglob("*.py")
    users = {path.parent.name for path in sources if "import resource" in path.read_text()}
    assert "runs" in users, "the command needs a POSIX system"
    assert not users & {"cells", "diagnostics", "recording", "lstmlab"}


def test_the_citation_file():
    """The keys that the schema of the Citation File Format 1.2.0 requires, and ours."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0"
    assert all(author.get("name") or author.get("family-names") for author in cited["authors"])
    assert cited["version"] == lstmlab.__version__
    assert cited["type"] == "software"
    [paper] = cited["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["doi"] == "10.1162/neco.1997.9.8.1735"
    assert (paper["year"], paper["volume"], paper["issue"]) == (1997, 9, 8)
