"""Options and code outside the repository: in a user's folder, and in installed packages."""

import csv
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from omegaconf import OmegaConf
from own_folder import SMALL, fresh, with_echo, write

from lstmlab import bench, config, describe, explain, variant, variants
from lstmlab.config import folders
from lstmlab.conformance import command, options
from lstmlab.runs.build import build, diagnostics, reopen

BIN = Path(sys.executable).parent


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder; what a command changes in this process is undone."""
    monkeypatch.chdir(tmp_path)
    with fresh():
        yield tmp_path


# ---- options of a user are options


def test_options_of_a_folder_stand_beside_the_others(place):
    with_echo(place)
    assert "echo" not in config.options("task")
    config.use("conf")
    assert {"adding", "echo"} <= set(config.options("task"))
    assert config.text("task", "echo").startswith("_target_: own_echo.Echo")
    assert config.target("task", "echo").__name__ == "Echo"
    with pytest.raises(ValueError, match=r"echo, .*\(nearest: echo\)\. Received: task=ecko$"):
        config.text("task", "ecko")
    assert config.changed("task", "echo", ["T=5"]).steps == 5
    whole, choices = config.compose("task=echo", "task.T=6")
    assert (whole["task"]["T"], choices["task"]) == (6, "echo")
    assert type(build(whole).task).__name__ == "Echo"
    config.use(None)
    assert "echo" not in config.options("task")


def test_an_option_that_begins_with_another(place):
    """By Hydra's defaults list, also where Hydra itself is not used."""
    write(place, {"conf/task/long.yaml": "defaults: [adding]\nT: 60\nseed: ${seed}\n"})
    write(place, {"conf/task/far.yaml": "defaults: [adding, _self_]\nT: 70\n"})
    config.use("conf")
    assert config.target("task", "far").__name__ == "Adding"
    assert config.changed("task", "far").T == 70
    assert config.changed("task", "far", ["criterion.wrong=3"]).criterion["wrong"] == 3
    assert config.compose("task=far")[0]["task"]["T"] == 70
    assert config.described("task", "long", seed=3)["task"]["seed"] == 3


@pytest.mark.parametrize("target", ["lstmlab.GatedCell", "lstmlab.cells.GatedCell   # ours"])
def test_a_cell_of_switches_is_a_variant(place, target):
    write(place, {"conf/cell/mine.yaml": f"_target_: {target}\nunits: 3\nforget_gate: null\n"})
    config.use("conf")
    assert "mine" in variants()
    cell = variant("mine", units=5)
    assert (cell.units, cell.forget_gate) == (5, None)


# ---- what is wrong is said in one line

BROKEN = {
    "no_class": ("_target_: own_empty.Ecko", r"expected a name that .*own_empty.py has \(near"),
    "no_module": ("_target_: own_nowhere.E", r"there is no own_nowhere\. Rec.*'own_nowhere.E'$"),
    "no_package": ("_target_: own_empty.sub.E", r"there is no own_empty\.sub\. Received"),
    "raises": ("_target_: own_raises.E", r"own_raises.py, line 2: NameError: name 'nonsense'"),
    "syntax": ("_target_: own_syntax.E", r"own_syntax.py, line 1: SyntaxError"),
    "imports": (
        "_target_: own_imports.E",
        r"own_imports.py, line 1: ModuleNotFoundError: .*'own_a'",
    ),
    "exits": ("_target_: own_exits.E", r"own_exits.py, line 1: SystemExit: 3"),
    "no_dot": ("_target_: Echo", r"expected a class, as module.Class\. Received: _target_='Echo'$"),
    "number": ("_target_: 3", r"expected a class, as module.Class\."),
    "value": ("_target_: own_empty.VALUE", r"expected a class, as module.Class\."),
    "kind": ("_target_: own_empty.Echo", r"whose class _target_ names\. .*own_empty.Echo'$"),
    "bracket": (
        "_target_: own_empty.Echo\nT: [3",
        r"bracket.yaml, line \d+, column \d+: expected se",
    ),
    "tab": ("_target_: own_empty.Echo\n\tT: 3", r"tab.yaml, line 2, column 1: expected settings"),
    "twice": ("_target_: own_empty.Echo\nT: 1\nT: 2", r"twice.yaml, line 3.*duplicate key T$"),
    "latin": (b"_target_: own_empty.Echo\nT: \xe9", r"latin.yaml: expected settings in YAML"),
    "list": ("- a", r"Received: (task=)?\['a'\]$"),
    "empty": ("", r"_target_"),
    "no_target": ("T: 3", r"_target_"),
}
MODULES = {
    "own_empty.py": "VALUE = 3\n\n\nclass Echo:\n    pass\n",
    "own_raises.py": "import os\nnonsense\n",
    "own_syntax.py": "def f(:\n",
    "own_imports.py": "import own_a.b\n",
    "own_exits.py": "import sys; sys.exit(3)\n",
}


@pytest.fixture
def broken(place):
    texts = {f"conf/task/{name}.yaml": text for name, (text, _) in BROKEN.items()}
    with_echo(write(place, MODULES | texts))
    config.use("conf")
    return place


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_option_is_one_line_wherever_it_is_made(broken, name):
    said = []
    for attempt in (
        lambda: describe.build(name),
        lambda: build(config.compose(f"task={name}")[0]),
    ):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the text is compared below
            attempt()
        said.append(config.one_line(raised.value))
    said.append(options.problem("task", name))
    for line in said:
        assert "\n" not in line
        assert re.search(BROKEN[name][1], line), line


def test_the_list_of_tasks_shows_the_others_and_says_what_is_broken(broken, capsys):
    with pytest.raises(SystemExit) as stopped:
        describe.main(["--config-dir", "conf"])
    lines = str(stopped.value).splitlines()
    assert all(line.startswith("lstmlab-tasks: ") for line in lines)
    assert any("task=raises: _target_: expected a module that can be imported" in x for x in lines)
    assert "\necho" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config_text", "line"),
    [
        (
            {"learner/mine.yaml": "_target_: own_empty.Echo"},
            "learner: expected a Learner, whose class _target_ names. "
            "Received: learner._target_='own_empty.Echo'",
        ),
        (
            {"cell/mine.yaml": "_target_: own_empty.Echo"},
            "cell: expected a Keras cell, whose class _target_ names. "
            "Received: cell._target_='own_empty.Echo'",
        ),
        (
            {"optimizer/mine.yaml": "_target_: own_empty.Echo"},
            "optimizer: expected a Keras optimizer, whose class _target_ names. "
            "Received: optimizer._target_='own_empty.Echo'",
        ),
        (
            {"diagnostic/mine.yaml": "_target_: own_empty.Echo"},
            "diagnostic: expected `# @package diagnostic.NAME` as the first line of an option's "
            "file. Received: diagnostic._target_='own_empty.Echo'",
        ),
        (
            {"diagnostic/mine.yaml": "# @package diagnostic.mine\n_target_: own_empty.Echo"},
            "diagnostic: expected a Diagnostic, whose class _target_ names. "
            "Received: diagnostic.mine._target_='own_empty.Echo'",
        ),
        (
            {"experiment/mine.yaml": "task: {T: 30}"},
            "experiment: expected `# @package _global_` as the first line of its file. "
            "Received: experiment=['task']",
        ),
    ],
)
def test_what_is_of_another_kind_than_its_group(place, config_text, line):
    write(place, MODULES)
    write(place, {f"conf/{name}": text for name, text in config_text.items()})
    config.use("conf")
    group = next(iter(config_text)).partition("/")[0]
    composed, _ = config.compose(f"{group}=mine")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text is compared
        diagnostics(composed) if group == "diagnostic" else build(composed)
    assert str(raised.value) == line


FOLDERS = {
    "nothing there": ({}, "own", "own, which does not exist"),
    "a file": ({"own": "x"}, "own", "own, which is not a folder"),
    "empty": ({"own/other.txt": ""}, "own", "own, which holds no yaml file"),
    "one too high": ({"own/conf/task/a.yaml": ""}, "own", "own, which has conf/task/a.yaml"),
    "a group nobody has": ({"own/tasks/a.yaml": ""}, "own", "own, which has tasks/a.yaml"),
}
COMMANDS = {
    "lstmlab-tasks": describe.main,
    "lstmlab-explain": lambda arguments: explain.main(["cell=gru", *arguments]),
    "lstmlab-bench": lambda arguments: bench.main(["sampling", *arguments]),
    "lstmlab-conformance": command.main,
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_holds_no_options(place, case, name):
    files, folder, received = FOLDERS[case]
    write(place, files)
    with pytest.raises(SystemExit) as stopped:
        COMMANDS[name](["-cd", folder] if name == "lstmlab-tasks" else [f"--config-dir={folder}"])
    assert str(stopped.value) == (
        f"{name}: --config-dir: expected a folder with options, such as FOLDER/task/NAME.yaml. "
        f"Received: {received}"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_named_like_a_built_in_one(place, name):
    write(place, {"conf/task/adding.yaml": "_target_: own_echo.Echo\n"})
    with pytest.raises(SystemExit) as stopped:
        COMMANDS[name](["--config-dir", "conf"])
    assert str(stopped.value) == (
        f"{name}: --config-dir: expected a name that lstmlab does not use: its task/adding.yaml is "
        "read instead; `defaults: [adding]` begins with what that says. "
        "Received: conf/task/adding.yaml"
    )


def test_conformance_without_pytest(place, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    assert str(stopped.value) == (
        "lstmlab-conformance: pytest: expected pytest, as `pip install 'lstmlab[conformance]'` "
        "installs it. Received: an environment without it"
    )


def test_a_copy_that_says_the_same_is_no_other_option(place):
    text = config.text("task", "adding")
    write(place, {"conf/task/adding.yaml": text, "conf/task/echo.yaml": "_target_: own_echo.Echo"})
    config.use("conf")
    assert options.tested("task") == ["echo"]


def test_a_name_that_hydra_does_not_read(place):
    write(place, {"conf/task/echo.yml": "_target_: own_echo.Echo\n"})
    expected = r"^--config-dir: expected options whose names end in .yaml. Received: conf/task/echo"
    with pytest.raises(ValueError, match=expected):
        config.use("conf")


# ---- where modules are found


def test_a_working_folder_hides_no_installed_module(place):
    with_echo(place)
    write(place, {"csv.py": "raise RuntimeError", "keras.py": "raise RuntimeError"})
    config.use("conf")
    installed = str(Path(numpy.__file__).parents[1])
    assert sys.path.index(str(place)) > sys.path.index(installed)
    for name in ("csv", "keras"):
        found = importlib.util.find_spec(name)
        assert Path(found.origin).parent != place
    assert csv.__file__


def test_modules_beside_the_config_folder_are_found_from_elsewhere(place, monkeypatch):
    with_echo(place / "mylab")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    config.use("../mylab/conf")
    assert config.target("task", "echo").__name__ == "Echo"


def runtime(working: Path, folder: Path) -> dict:
    """Hydra's record of a run of `with_echo(working)` in a folder."""
    sources = [
        {"path": "lstmlab.conf", "schema": "pkg"},
        {"path": str(working / "conf"), "schema": "file"},
    ]
    return {"cwd": str(working), "output_dir": str(folder), "config_sources": sources}


def finished(working: Path, name: str = "run", module: str = "own_echo") -> Path:
    """A run of the task echo as a run leaves it, with the weights that it began with."""
    folder = working / "outputs" / name
    with_echo(working, module)
    config.use(working / "conf")
    composed, _ = config.compose("task=echo", *SMALL)
    built = build(composed)
    write(folder, {"result.json": json.dumps({"status": "budget"})})
    built.model.save_weights(str(folder / "model.weights.h5"))
    write(folder, {".hydra/config.yaml": OmegaConf.to_yaml(OmegaConf.create(composed))})
    record = {"hydra": {"runtime": runtime(working, folder)}}
    write(folder, {".hydra/hydra.yaml": OmegaConf.to_yaml(OmegaConf.create(record))})
    return folder


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_is_opened_again_from_another_working_folder(place, monkeypatch, moved):
    with fresh():
        folder = finished(place / "mylab")
    if moved:  # the whole working folder
        (place / "mylab").rename(place / "other")
        folder = place / "other" / folder.relative_to(place / "mylab")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert "own_echo" not in sys.modules
    assert type(reopen(folder).task).__name__ == "Echo"
    assert Path(sys.modules["own_echo"].__file__).parent == folder.parents[1]


def test_a_module_of_the_same_name_from_another_run_is_not_taken_for_it(place):
    with fresh():
        first = finished(place / "one")
    with fresh():
        second = finished(place / "two")
    assert type(reopen(first).task).__name__ == "Echo"
    with pytest.raises(ValueError, match=r"a process of its own for the run whose module own_echo"):
        reopen(second)


def test_each_run_has_its_own_modules(place):
    """Also where the working folder of a run opened before has one of the same name."""
    with fresh():
        first = finished(place / "one")
    with_echo(place / "one", "own_other")
    with fresh():
        second = finished(place / "two", module="own_other")
    reopen(first)
    reopen(second)
    assert Path(sys.modules["own_other"].__file__).parent == place / "two"


def test_a_folder_with_signs_in_its_name(place, monkeypatch):
    with_echo(place / "it's a (folder), mine=1")
    monkeypatch.chdir(place / "it's a (folder), mine=1")
    config.use("conf")
    assert config.compose("task=echo")[0]["task"]["T"] == 8


def test_a_run_whose_module_is_gone_says_so(place):
    with fresh():
        folder = finished(place)
    (place / "own_echo.py").unlink()
    with pytest.raises(ValueError, match=r"there is no own_echo\. Received: _target_='own_echo.E"):
        reopen(folder)


# ---- the real programs


def run(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command_line = [str(BIN / program), *arguments]
    return subprocess.run(command_line, cwd=cwd, capture_output=True, text=True, check=False)


def statuses(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in sorted(folder.rglob("result.json"))]


@pytest.mark.slow
def test_help_and_lists_know_the_options(place):
    with_echo(place)
    shown = run("lstmlab", "-cd", "conf", "--help", cwd=place)
    assert " echo," in next(x for x in shown.stdout.splitlines() if x.strip().startswith("task:"))
    wrong = run("lstmlab", "--config-dir=conf", "task=ecko", cwd=place)
    assert wrong.stderr.startswith("lstmlab: task: expected one of adding")
    assert wrong.stderr.endswith("(nearest: echo). Received: task=ecko\n")
    gone = run("lstmlab", "--config-dir=nowhere", "task=echo", cwd=place)
    assert gone.stderr.startswith("lstmlab: --config-dir: expected a folder with options")
    assert gone.stderr.count("\n") == 1
    searched = f"hydra.searchpath=[file://{place}/conf]"
    wrong = run("lstmlab", searched, "task=ecko", cwd=place)
    assert wrong.stderr.endswith("(nearest: echo). Received: task=ecko\n")


@pytest.mark.slow
def test_one_run_a_sweep_and_the_page_of_a_run_elsewhere(place, monkeypatch):
    """Without PYTHONPATH, also where the config folder is elsewhere or on Hydra's search path."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with_echo(place / "mylab")
    (place / "elsewhere").mkdir()
    searched = f"hydra.searchpath=[file://{place}/mylab/conf]"
    sweep = ("-m", "seed=0,1", "hydra.launcher.n_jobs=2")
    for working, *arguments in (
        ("mylab", "--config-dir=conf"),
        ("mylab", "--config-dir=conf", *sweep),
        ("elsewhere", "--config-dir=../mylab/conf", *sweep, "sweep=by_flag"),
        ("elsewhere", searched, *sweep, "sweep=by_path"),
    ):
        done = run("lstmlab", *arguments, "task=echo", *SMALL, cwd=place / working)
        assert done.returncode == 0, done.stderr
    assert statuses(place / "mylab") == ["budget"] * 3
    assert statuses(place / "elsewhere") == ["budget"] * 4
    path = next((place / "mylab" / "outputs" / "sweeps").rglob("result.json"))
    done = run("lstmlab-explain", str(path.parent), cwd=place)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_conformance_of_a_folder(place):
    """Only its options are tested; a broken one is one failure of one line."""
    write(with_echo(place), {"learner/mine.yaml": "_target_: own_nowhere.Mine\n"})
    done = run("lstmlab-conformance", "--config-dir", "conf", "-q", cwd=place)
    assert done.returncode == 1
    line = "learner=mine: learner: expected a module in the working folder"
    failures = done.stdout.split("short test summary")[0]
    assert failures.count(line) == 1
    assert "1 failed" in done.stdout
    assert "Traceback" not in done.stdout
    assert "adding" not in done.stdout
    write(place, {"conf/conformance.yaml": "task: {ecko: {}}\n"})
    done = run("lstmlab-conformance", "--config-dir", "conf", cwd=place)
    expected = "conformance.yaml: expected one of echo (nearest: echo). Received: task.ecko"
    assert (done.stdout + done.stderr).strip() == f"ERROR: {expected}"


# ---- installed packages

PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "own-package"
version = "1.0"

[project.entry-points."lstmlab.conf"]
own = "own_package.conf"

[tool.setuptools]
packages = ["own_package"]

[tool.setuptools.package-data]
own_package = ["conf/**/*.yaml"]
""",
    "own_package/__init__.py": "",
    "own_package/conf/task/packaged.yaml": "_target_: own_package.echo.Echo\nT: 8\n",
}


@pytest.fixture
def metadata(place, monkeypatch):
    """What an installed package leaves: modules, and the record of its entry point."""
    library = with_echo(place / "library" / "own_package", "echo").parents[1]
    write(
        library, {name: text for name, text in PACKAGE.items() if name.endswith((".yaml", "__.py"))}
    )
    record = "own_package-1.0.dist-info"
    write(
        library, {f"{record}/METADATA": "Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n"}
    )
    write(library, {f"{record}/entry_points.txt": "[lstmlab.conf]\nown = own_package.conf\n"})
    (library / "own_package" / "conf" / "task" / "echo.yaml").unlink()
    monkeypatch.syspath_prepend(str(library))
    folders._found.cache_clear()
    yield library
    monkeypatch.undo()
    folders._found.cache_clear()


def test_a_package_registers_its_options(metadata):
    config.use(None)
    assert "packaged" in config.options("task")
    assert config.target("task", "packaged").__module__ == "own_package.echo"
    assert config.compose("task=packaged")[1]["task"] == "packaged"
    config.use(metadata / "own_package" / "conf")  # the same folder as one's own
    assert options.tested("task") == ["packaged"]


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {"own_package-1.0.dist-info/entry_points.txt": "[lstmlab.conf]\nown = own_gone.conf\n"},
            "own-package: expected a package with options as its entry point lstmlab.conf. "
            "Received: own = 'own_gone.conf' (ModuleNotFoundError: No module named 'own_gone')",
        ),
        (
            {"own_package/__init__.py": "1 / 0"},
            "own-package: expected a package with options as its entry point lstmlab.conf. "
            "Received: own = 'own_package.conf' (ZeroDivisionError: division by zero)",
        ),
        (
            {"own_package/conf/task/adding.yaml": "_target_: own_package.echo.Echo\n"},
            "own-package: expected a name that lstmlab does not use: its task/adding.yaml is read",
        ),
    ],
)
def test_a_package_that_registers_what_is_not_there(metadata, files, line):
    write(metadata, files)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared
        config.use(None)
    assert str(raised.value).startswith(line)
    assert config.options("learner")  # programs that use no command go on without it


@pytest.mark.slow
def test_a_package_installed_by_pip(place, monkeypatch):
    source = write(place / "source", PACKAGE)
    with_echo(source / "own_package", "echo")
    (source / "own_package" / "conf" / "task" / "echo.yaml").unlink()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(place / "library"), str(source)]
    subprocess.run(pip, check=True)
    monkeypatch.setenv("PYTHONPATH", str(place / "library"))
    listed = run("lstmlab-tasks", cwd=place)
    assert "\npackaged " in listed.stdout
    done = run("lstmlab", "-m", "task=packaged", "seed=0,1", *SMALL, cwd=place)
    assert done.returncode == 0, done.stderr
    assert statuses(place) == ["budget"] * 2
    assert " packaged," in run("lstmlab", "--help", cwd=place).stdout
