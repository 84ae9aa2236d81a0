"""The arrows of the design: which module may import which.

Read from the sources; nothing is imported.
"""

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# room or module -> the rooms or modules that it may import; everybody may import errors and checks;
# an indented line continues the row above
_ARROWS = """
app           results report runs config
runs          trainers recording report model task criterion results config published
              diagnostics.base learners.base baselines lstmlab
explain       runs symbolic diagnostics report results config cells learners.base lstmlab
trainers      model heads learners native cells task criterion
native        cells unroll
measures      diagnostics recording
tensorboard   runs explain.page symbolic cells results
auditing      measures diagnostics recording explain.page explain.pictures lstmlab
recording     diagnostics results cells learners.base learners.bptt lstmlab
diagnostics   cells learners.base unroll
diagnostics.learners       learners.base learners.bptt unroll
diagnostics.common.terms   symbolic unroll
model         heads learners.base learners.states
heads         cells
learners      cells unroll
symbolic      cells
cells         unroll config
describe      task criterion config published
tasks         task
report        results published config
conformance   config cells learners diagnostics recording model task criterion runs lstmlab
bench         app config cells learners diagnostics.base model describe task runs trainers
config
criterion
baselines     task criterion
results
task          published
published     config
unroll
conf
errors
checks        errors
files
typing
late
"""
EVERYBODY = {"errors", "checks", "files", "typing"}
# In a room modules may import one another, without circles. These import only the named ones.
_INSIDE = """
learners.base
diagnostics.common.graphs
diagnostics.base   common.graphs
diagnostics        base common.checked common.graphs common.products common.steps
                   common.tracing common.values common.vectors
report.pictures
report.curves      pictures
"""
# who may import what is heavy
_HEAVY = """
tensorflow    learners trainers diagnostics recording model unroll bench conformance native
keras         learners trainers diagnostics recording model heads unroll bench cells symbolic runs
              conformance native
matplotlib    report describe diagnostics recording explain auditing bench
"""


def table(text: str) -> dict[str, set[str]]:
    """First word of each row -> the set of the others; an indented line continues a row."""
    rows = (row.split() for row in re.split(r"\n(?! )", text.strip()))
    return {first: set(others) for first, *others in rows}


ARROWS, INSIDE, HEAVY = table(_ARROWS), table(_INSIDE), table(_HEAVY)
# (module, function, package): imported only when that function is called
LAZY = {("tasks.pixels", "_fetch", "keras")}


def modules() -> dict[str, Path]:
    """Name below lstmlab -> file; lstmlab itself is 'lstmlab'.

    tasks/ and conf/ lie beside the package and install inside it.
    """
    files = {}
    for folder, prefix in (
        (ROOT / "lstmlab", ()),
        (ROOT / "tasks", ("tasks",)),
        (ROOT / "conf", ("conf",)),
    ):
        for path in sorted(folder.rglob("*.py")):
            parts = (*prefix, *path.relative_to(folder).with_suffix("").parts)
            files[".".join(part for part in parts if part != "__init__") or "lstmlab"] = path
    return files


def imports(path: Path) -> set[tuple[str, str]]:
    """Pairs of what is imported and the function it is imported in, or ''."""
    found = set()

    def visit(node, function):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.Import):
            found.update((alias.name, function) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            found.update((f"{node.module}.{alias.name}", function) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(ast.parse(path.read_text(encoding="utf-8"), str(path)), "")
    return found


def room(name: str) -> str:
    return name.split(".")[0]


def ours(imported: str, known) -> str | None:
    """The module of lstmlab that `imported` (module.name) lies in, or None."""
    if imported != "lstmlab" and not imported.startswith("lstmlab."):
        return None
    name = imported.removeprefix("lstmlab").removeprefix(".")
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or "lstmlab"


def allowed(name: str, target: str) -> bool:
    if room(name) == room(target):  # an __init__ offers what is in its room
        inside = INSIDE.get(name, INSIDE.get(room(name)))
        return name == room(name) or inside is None or target.partition(".")[2] in inside
    arrows = ARROWS.get(name, ARROWS.get(room(name)))
    assert arrows is not None, f"lstmlab.{name}: a new module; say in ARROWS what it may import"
    arrows = arrows if name in EVERYBODY else arrows | EVERYBODY
    return bool({target, room(target)} & arrows)


def violations(files: dict[str, Path]) -> list[str]:
    found = []
    for name, path in files.items():
        for imported, function in sorted(imports(path)):
            target, package = ours(imported, files), room(imported)
            if target is not None and target != name and not allowed(name, target):
                found.append(f"lstmlab.{name} imports lstmlab.{target}")
            if (
                package in HEAVY
                and room(name) not in HEAVY[package]
                and (name, function, package) not in LAZY
            ):
                found.append(f"lstmlab.{name} imports {package}")
    return found


def test_nothing_imports_what_it_may_not():
    files = modules()
    assert {"lstmlab", "app", "cells.gated", "learners.bptt", "tasks.adding", "conf"} <= set(files)
    assert violations(files) == []


def arrows_between(files: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules that it imports; what an __init__ offers does not count."""
    return {
        name: {ours(imported, files) for imported, _ in imports(path)} - {None, name}
        for name, path in files.items()
        if path.name != "__init__.py"
    }


def test_no_module_imports_itself_on_the_way_round():
    list(
        TopologicalSorter(arrows_between(modules())).static_order()
    )  # raises CycleError, with the circle


def test_a_circle_is_found(tmp_path):
    (tmp_path / "module.py").write_text("from lstmlab.describe.text import describe")
    with pytest.raises(CycleError):
        list(
            TopologicalSorter(
                arrows_between({**modules(), "task": tmp_path / "module.py"})
            ).static_order()
        )


@pytest.mark.slow
def test_a_cell_is_made_without_hydra():
    code = (
        "import sys; from lstmlab.cells import GatedRNN; GatedRNN(4, variant='chrono'); "
        "print(sorted({name.split('.')[0] for name in sys.modules} "
        "& {'hydra', 'omegaconf', 'antlr4'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_room_says_what_is_in_it_and_what_may_be_imported():
    rooms = [
        ROOT / "lstmlab" / name for name in table(_ARROWS) if (ROOT / "lstmlab" / name).is_dir()
    ]
    assert len(rooms) >= 12
    for folder in rooms:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert text is not None, folder
        assert "\n\n" in text, f"{folder}: a summary, and a paragraph"
        assert "import" in text, f"{folder}: what other rooms may import"


def test_conf_holds_no_code():
    sources = [path for name, path in modules().items() if room(name) == "conf"]
    assert [path.name for path in sources] == ["__init__.py"]
    assert ast.get_docstring(tree := ast.parse(sources[0].read_text(encoding="utf-8")))
    assert len(tree.body) == 1


# (module, a source put in its place) -> the arrow that is found, or None
FORBIDDEN = {
    ("cells.gated", "from lstmlab.model import Head"): "lstmlab.model",
    ("cells.gated", "import tensorflow as tf"): "tensorflow",
    ("tasks.adding", "def sample():\n    import lstmlab.criterion"): "lstmlab.criterion",
    ("learners.bptt", "from lstmlab import model"): "lstmlab.model",
    ("learners.bptt", "from lstmlab.learners.base import Learner"): None,
    ("learners.base", "from lstmlab.learners.bptt import BPTT"): "lstmlab.learners.bptt",
    (
        "diagnostics.example",
        "from lstmlab.diagnostics.bound import Bound",
    ): "lstmlab.diagnostics.bound",
    (
        "diagnostics.example",
        "from lstmlab.symbolic.numbers import SLOPES",
    ): "lstmlab.symbolic.numbers",
    (
        "diagnostics.common.steps",
        "from lstmlab.diagnostics.memory import memory",
    ): "lstmlab.diagnostics.memory",
    ("diagnostics.common.products", "from lstmlab.diagnostics.base import Diagnostic"): None,
    ("runs.train", "import tensorflow.data"): "tensorflow",
    ("task", "def sample():\n    import tensorflow"): "tensorflow",
    ("report.tables", "import keras"): "keras",
    ("report.pictures", "from lstmlab.report.tables import table"): "lstmlab.report.tables",
    ("report.pictures", "import tensorflow"): "tensorflow",
    ("report.curves", "from lstmlab.report.statistics import table"): "lstmlab.report.statistics",
    ("errors", "from lstmlab import checks"): "lstmlab.checks",
}


@pytest.mark.slow
@pytest.mark.parametrize(("place", "target"), FORBIDDEN.items())
def test_a_forbidden_arrow_is_found(place, target, tmp_path):
    name, source = place
    (tmp_path / "module.py").write_text(source)
    found = violations({**modules(), name: tmp_path / "module.py"})
    expected = [f"lstmlab.{name} imports {target}"] if target else []
    assert [line for line in found if line.startswith(f"lstmlab.{name} imports")] == expected


# command, its arguments, and what it must not load
FRAMEWORKS = ("tensorflow", "keras")
TABLES = (*FRAMEWORKS, "scipy", "matplotlib", "pandas")
LIGHT = (
    ("lstmlab.app", ["--help"], (*TABLES, "numpy", "tabulate")),
    ("lstmlab.app", ["--cfg", "job"], (*TABLES, "numpy", "tabulate")),
    ("lstmlab.app", ["task=nosuch"], (*TABLES, "numpy", "tabulate")),
    ("lstmlab.report", ["--help"], (*TABLES, "numpy", "hydra")),
    ("lstmlab.report", ["."], (*FRAMEWORKS, "scipy", "hydra", "tensorboard")),
    ("lstmlab.describe", ["--help"], (*TABLES, "hydra")),
    ("lstmlab.describe", [], (*TABLES, "hydra", "tabulate")),
    ("lstmlab.describe", ["adding"], (*FRAMEWORKS, "scipy", "matplotlib", "pandas")),
    ("lstmlab.explain", ["--help"], (*TABLES, "numpy", "hydra")),
    ("lstmlab.bench", ["--help"], (*TABLES, "numpy", "hydra")),
)


@pytest.mark.parametrize(("module", "arguments", "heavy"), LIGHT)
def test_a_light_command_loads_nothing_heavy(module, arguments, heavy, tmp_path):
    (tmp_path / "run").mkdir()
    row = {"status": "budget", "task": "adding", "cell": "gru", "learner": "bptt", "sequences": 1}
    (tmp_path / "run" / "result.json").write_text(json.dumps(row))
    code = f"import sys\nfrom {module} import main\nsys.argv[1:] = {arguments}\ntry: main()\n"
    code += "finally: print('loaded', *sorted({n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    first, *loaded = done.stdout.splitlines()[-1].split()
    assert first == "loaded", done.stderr
    assert not {*loaded} & {*heavy}, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "lstmlab",
        "lstmlab.app",
        "lstmlab.bench.command",
        "lstmlab.bench.learners",
        "lstmlab.report",
        "lstmlab.report.pictures",
        "lstmlab.tasks.adding",
        "lstmlab.criterion",
        "lstmlab.describe",
        "lstmlab.conformance.plugin",
        "lstmlab.conformance.options",
    ],
)
def test_light_modules_load_neither_tensorflow_nor_keras(module):
    heavy = "{'tensorflow', 'keras'}"
    code = (
        f"import sys, {module}; print(sorted({{n.split('.')[0] for n in sys.modules}} & {heavy}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
