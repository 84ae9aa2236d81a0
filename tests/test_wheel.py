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
from own_folder import SMALL as OWN_SMALL
from own_folder import with_echo

ROOT = Path(__file__).parents[1]
SOURCES = ("lstmlab", "tasks", "conf", "docs", "pyproject.toml", "README.md", "LICENSE")


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
    expected |= {"lstmlab/py.typed", "lstmlab/docs/diagnostics.md", "lstmlab/tasks/digits.csv.gz"}
    assert len(expected) > 40
    assert not expected - inside
    assert not {name for name in inside if name.startswith(("tasks/", "conf/", "docs/", "tests/"))}


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """bin/ of a new environment that sees the libraries of this one, but not the sources."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place / "env", with_pip=False, symlinks=True)
    python = place / "env" / "bin" / "python"
    [packages] = (place / "env" / "lib").glob("python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*pip, "--no-index", "--quiet", str(wheel)], check=True, cwd=place)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    # the path, but not its own .pth files
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
    return python.parent


def done_in(folder: Path, *command: str) -> str:
    """What a command prints, in that folder and without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr)
    return done.stdout


@pytest.mark.slow
def test_runs_elsewhere(elsewhere, tmp_path):
    done_in(tmp_path, str(elsewhere / "lstmlab"), *SMALL, "diagnostic=[]")
    [row] = tmp_path.rglob("result.json")
    assert json.loads(row.read_text())["status"] == "budget"
    where = "import lstmlab, lstmlab.conf, lstmlab.tasks as t; print(lstmlab.__file__, t.__file__)"
    places = done_in(tmp_path, str(elsewhere / "python"), "-c", where).split()
    assert all(place.startswith(str(elsewhere.parent)) for place in places)


@pytest.mark.slow
def test_a_folder_of_ones_own_elsewhere(elsewhere, tmp_path):
    """A sweep, the page of a run, cards, and the conformance tests, from the wheel."""
    conf = with_echo(tmp_path)
    flag = f"--config-dir={conf.name}"
    assert "Say what is shown." in done_in(tmp_path, str(elsewhere / "lstmlab-tasks"), flag, "echo")
    lstmlab = str(elsewhere / "lstmlab")
    done_in(tmp_path, lstmlab, flag, "-m", "task=echo", "seed=0,1", *OWN_SMALL)
    rows = sorted(tmp_path.rglob("result.json"))
    assert [json.loads(row.read_text())["status"] for row in rows] == ["budget"] * 2
    explain = str(elsewhere / "lstmlab-explain")
    assert "written: " in done_in(Path("/"), explain, str(rows[0].parent))
    printed = done_in(tmp_path, str(elsewhere / "lstmlab-conformance"), flag, "-q")
    assert " passed" in printed
    assert "skipped" not in printed
    through_pytest = [str(elsewhere / "python"), "-m", "pytest", "--pyargs", "lstmlab.conformance"]
    assert "[echo" in done_in(tmp_path, *through_pytest, flag, "-q", "--collect-only")
