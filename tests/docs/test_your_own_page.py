"""docs/your_own.md: its blocks, written to an empty folder, and its commands as typed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from own_folder import write

PAGE = (Path(__file__).parents[2] / "docs" / "your_own.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"`([\w/]+\.(?:py|yaml))`[^`]*?:\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
FILES = dict(BLOCK.findall(PAGE))
COMMANDS = [
    line
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    if not language
    for line in block.splitlines()
]


def test_every_block_has_a_place_and_every_command_is_read():
    written = PAGE.count("```python") + PAGE.count("```yaml")
    assert len(FILES) == written == 12
    assert {"echo.py", "leaky.py", "clipped.py", "stretch.py"} <= set(FILES)
    assert len(COMMANDS) == 12
    assert {line.split()[0] for line in COMMANDS} == {
        "lstmlab", "lstmlab-conformance", "lstmlab-explain", "lstmlab-report", "lstmlab-tasks",
        "tensorboard",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["echo", "leaky", "clipped", "stretch", "patient", "remember"])
def test_a_part_has_less_than_40_lines(part):
    files = [text for name, text in FILES.items() if Path(name).stem == part]
    assert 0 < sum(len(text.splitlines()) for text in files) < 40
    assert all(yaml.safe_load(FILES[name]) for name in FILES if name.endswith(".yaml"))


@pytest.mark.slow
def test_its_commands_as_they_stand_there(tmp_path, monkeypatch):
    """In an empty folder, without PYTHONPATH; TensorBoard, which does not end, is left out."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    write(tmp_path, FILES)
    for line in COMMANDS:
        if not line.startswith("tensorboard"):
            done = subprocess.run(
                ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (line, done.stdout[-3000:], done.stderr[-3000:])
    rows = [json.loads(path.read_text()) for path in tmp_path.rglob("result.json")]
    assert len(rows) == 9
    assert {row["status"] for row in rows} <= {"budget", "solved"}
    assert {row["cell"] for row in rows} == {"lstm1997", "leaky", "patient"}
    assert {row["task"] for row in rows} == {"echo", "custom"}
    assert any(row["learner"] == "clipped" for row in rows)
    measured = list(tmp_path.rglob("stretch.csv"))
    assert len(measured) == 5
    assert (tmp_path / "explain-patient.html").exists()
