"""The wheel: everything is inside, and it runs where the sources are not."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from composed import SMALL

ROOT = Path(__file__).parents[1]
SOURCES = ("lstmlab", "tasks", "conf", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that no build folder is left in the sources."""
    place = tmp_path_factory.mktemp("wheel")
    (place / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / "source" / name)
    isolated = [] if int(version("setuptools").partition(".")[0]) < 77 else ["--no-isolation"]
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", *isolated, "--outdir", place, place / "source"],
        capture_output=True, text=True, cwd=place,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = place.glob("*.whl")
    return path


def test_everything_is_inside(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"lstmlab/{path.relative_to(ROOT / 'lstmlab').as_posix()}"
        for path in (ROOT / "lstmlab").rglob("*.py")
    }
    expected |= {
        f"lstmlab/tasks/{path.relative_to(ROOT / 'tasks').as_posix()}"
        for path in (ROOT / "tasks").rglob("*.py")
    }
    expected |= {
        f"lstmlab/conf/{path.relative_to(ROOT / 'conf').as_posix()}"
        for path in (ROOT / "conf").rglob("*.*")
        if path.suffix in (".yaml", ".csv")
    }
    expected.add("lstmlab/py.typed")
    assert len(expected) > 40
    assert not expected - inside
    assert not {name for name in inside if name.startswith(("tasks/", "conf/", "tests/"))}


@pytest.mark.slow
def test_runs_elsewhere(wheel, tmp_path):
    """In a new environment that sees the libraries of this one, but not the sources."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    [packages] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        str(wheel),
    ]
    subprocess.run(pip, check=True, cwd=tmp_path)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "libraries.pth").write_text(
        "".join(f"{path}\n" for path in libraries)
    )  # the path, but not its own .pth files
    (tmp_path / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [str(tmp_path / "env" / "bin" / "lstmlab"), *SMALL, "diagnostic=[]"],
        cwd=tmp_path / "empty", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    [row] = (tmp_path / "empty").rglob("result.json")
    assert json.loads(row.read_text())["status"] == "budget"
    where = [
        str(python),
        "-c",
        "import lstmlab, lstmlab.conf, lstmlab.tasks as t; print(lstmlab.__file__, t.__file__)",
    ]
    places = subprocess.run(
        where, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True, check=True
    )
    assert all(place.startswith(str(packages)) for place in places.stdout.split())
