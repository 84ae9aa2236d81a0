"""The flag --part of tests/conftest.py: every slow test is in one part, and all others in each."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("k", range(20))
def test_slow(k):
    pass


def test_quick():
    pass
"""


def collected(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """What pytest says of these tests, with our conftest beside them."""
    (folder / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += ["-W", "ignore", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_parts_are_apart_and_together_all(tmp_path):
    of_parts = [collected(tmp_path, "--part", f"{k}/3").stdout for k in (1, 2, 3)]
    found = [{line for line in one.splitlines() if "::" in line} for one in of_parts]
    assert {"test_it.py::test_quick"} == found[0] & found[1] & found[2]
    assert [len(part) > 1 for part in found] == [True] * 3
    assert sum(len(part) - 1 for part in found) == 20
    assert len(set.union(*found)) == 21


@pytest.mark.slow
@pytest.mark.parametrize("part", ["4/3", "x"])
def test_what_is_no_part_is_refused(part, tmp_path):
    said = collected(tmp_path, "--part", part)
    assert said.returncode != 0
    assert f"expected K/N with 1 <= K <= N, such as 2/4. Received: {part}" in said.stderr
