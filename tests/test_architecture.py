"""The arrows of the design: which module may import which. Read from the sources; nothing is imported."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# room or module -> what it may import: rooms, or single modules of a room. Everybody may import errors and checks.
ARROWS = {
    "app": {"runs", "report", "results", "config"},
    "runs": {
        "trainers",
        "recording",
        "diagnostics",
        "report",
        "model",
        "task",
        "criterion",
        "results",
        "config",
        "",
    },
    "trainers": {"model", "heads", "learners.base", "task", "criterion"},
    "recording": {"diagnostics", "results", "cells", "learners.base", "learners.bptt", ""},
    "diagnostics": {"cells", "symbolic", "learners.base", "learners.bptt", "unroll"},
    "explain": {
        "runs",
        "symbolic",
        "diagnostics",
        "report",
        "results",
        "config",
        "cells",
        "learners.base",
        "conf",
        "",
    },
    "report": {"results"},
    "model": {"heads", "learners.base", "learners.states"},
    "heads": {"cells"},
    "learners": {"cells", "unroll", "task"},
    "symbolic": {"cells"},
    "cells": {"unroll", "config"},
    "tasks": {"task"},
    "describe": {"task", "criterion", "config"},
    "bench": {
        "app",
        "cells",
        "conf",
        "describe",
        "diagnostics.base",
        "learners",
        "model",
        "task",
        "config",
    },
    **{
        nobody: set()
        for nobody in (
            "unroll",
            "criterion",
            "results",
            "conf",
            "config",
            "checks",
            "errors",
            "typing",
            "",
        )
    },
}
EVERYBODY = {"errors", "checks", "typing"}
# Inside a room modules may import one another, without circles; these may import only the named ones of their own room.
INSIDE = {
    "learners.base": set(),
    "diagnostics.base": set(),
    "diagnostics": {
        "base",
        "values",
        "events",
        "products",
    },  # each measure: the interface, and what several of them share
    "report.pictures": set(),
}
HEAVY = {
    "tensorflow": {"learners", "trainers", "diagnostics", "recording", "model", "unroll", "bench"},
    "keras": {
        "learners",
        "heads",
        "trainers",
        "diagnostics",
        "recording",
        "model",
        "unroll",
        "cells",
        "symbolic",
        "runs",
        "bench",
    },
    "matplotlib": {"report", "describe", "diagnostics", "recording", "explain"},
}
# (module, function, package): imported only when that function is called
LAZY = {("tasks.pixels", "_fetch", "keras")}


def modules() -> dict[str, Path]:
    """Name below lstmlab -> file; '' is lstmlab itself. tasks/ and conf/ stand beside the package and install inside it."""
    files = {}
    for folder, prefix in (
        (ROOT / "lstmlab", ()),
        (ROOT / "tasks", ("tasks",)),
        (ROOT / "conf", ("conf",)),
    ):
        for path in sorted(folder.rglob("*.py")):
            parts = (*prefix, *path.relative_to(folder).with_suffix("").parts)
            files[".".join(part for part in parts if part != "__init__")] = path
    return files


def imports(path: Path) -> set[tuple[str, str]]:
    """(what is imported, the function it is imported in or ''), everywhere in the file, type-checking blocks included."""
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
    while name not in known:
        name = name.rpartition(".")[0]
    return name


def allowed(name: str, target: str) -> bool:
    if room(name) == room(target):  # an __init__ offers what is in its room
        inside = INSIDE.get(name, INSIDE.get(room(name)))
        return name == room(name) or inside is None or target.partition(".")[2] in inside
    arrows = ARROWS.get(name, ARROWS.get(room(name)))
    assert arrows is not None, f"lstmlab.{name}: a new module; say in ARROWS what it may import"
    return bool({target, room(target)} & (arrows | EVERYBODY))


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
    assert {"", "app", "cells.gated", "learners.bptt", "tasks.adding", "conf"} <= set(files)
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
    (tmp_path / "module.py").write_text("from lstmlab.describe import describe")
    with pytest.raises(CycleError):
        list(
            TopologicalSorter(
                arrows_between({**modules(), "task": tmp_path / "module.py"})
            ).static_order()
        )


def test_conf_holds_no_code():
    sources = [path for name, path in modules().items() if room(name) == "conf"]
    assert [path.name for path in sources] == ["__init__.py"]
    assert ast.get_docstring(tree := ast.parse(sources[0].read_text(encoding="utf-8")))
    assert len(tree.body) == 1


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("cells.gated", "from lstmlab.model import Head", ["lstmlab.cells.gated imports lstmlab.model"]),
        ("cells.gated", "import tensorflow as tf", ["lstmlab.cells.gated imports tensorflow"]),
        ("tasks.adding", "def sample():\n    import lstmlab.criterion", ["lstmlab.tasks.adding imports lstmlab.criterion"]),
        ("learners.bptt", "from lstmlab import model", ["lstmlab.learners.bptt imports lstmlab.model"]),
        ("learners.bptt", "from lstmlab.learners.base import Learner", []),
        ("learners.base", "from lstmlab.learners.bptt import BPTT", ["lstmlab.learners.base imports lstmlab.learners.bptt"]),
        ("diagnostics.example", "from lstmlab.diagnostics.error_flow import x", ["lstmlab.diagnostics.example imports "
                                                                                "lstmlab.diagnostics.error_flow"]),
        ("task", "def sample():\n    import tensorflow", ["lstmlab.task imports tensorflow"]),
        ("runs.train", "import tensorflow.data", ["lstmlab.runs.train imports tensorflow"]),
        ("report.tables", "import keras", ["lstmlab.report.tables imports keras"]),
        ("report.pictures", "from lstmlab.report.tables import table", ["lstmlab.report.pictures imports lstmlab.report.tables"]),
        ("report.pictures", "import tensorflow", ["lstmlab.report.pictures imports tensorflow"]),
    ],
)  # fmt: skip
def test_a_forbidden_arrow_is_found(name, source, expected, tmp_path):
    (tmp_path / "module.py").write_text(source)
    found = violations({**modules(), name: tmp_path / "module.py"})
    assert [line for line in found if line.startswith(f"lstmlab.{name} imports")] == expected


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
    ],
)
def test_light_modules_load_neither_tensorflow_nor_keras(module):
    code = f"import sys, {module}; print(sorted({{name.split('.')[0] for name in sys.modules}} & {{'tensorflow', 'keras'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
