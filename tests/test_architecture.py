"""The arrows of the design: which module may import which. Read from the sources; nothing is imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# module or room ("room.*": each of its modules) -> what it may import; a room stands for its __init__ and all its modules
ARROWS = {
    "app": {"errors", "train", "results", "report", "sweep"},
    "sweep": {"errors", "results", "report"},
    "report": {"pictures", "results"},
    "pictures": {"results"},
    "train": {"build", "task", "criterion", "diagnostics", "results"},
    "build": {"diagnostics.base", "results", "task", ""},
    "trainers": {"trainers", "model", "learners.base", "task", "criterion"},
    "model": {"cells", "learners.base"},
    "learners": {"learners", "cells", "task", "unroll"},
    "learners.base": {"unroll"},
    # every measure: the interface, and what several of them share
    "diagnostics": {"cells", "unroll", *(f"diagnostics.{name}" for name in ("base", "values", "events", "products"))},
    "diagnostics.base": {"unroll"},
    "diagnostics.parts": {"cells", "diagnostics.base", "diagnostics.calls", "learners.base", "learners.bptt"},
    "diagnostics.recorder": {"diagnostics.base", "diagnostics.parts", "diagnostics.tensorboard"},
    "diagnostics.callback": {"cells", *(f"diagnostics.{name}" for name in ("base", "parts", "recorder", "tensorboard"))},
    "diagnostics.reading": {""},
    "explain": {"", "explain", "build", "cells", "conf", "diagnostics", "learners.base", "results"},
    "diagnostics.gradient_norm": {"diagnostics.base", "learners.base"},
    "diagnostics.learner_comparison": {"diagnostics.base", "learners.base", "learners.bptt", "unroll"},
    "tasks": {"task", "tasks"},  # a task may build on another
    "cells": {"cells", "unroll"},
    "bench": {"bench_diagnostics", "bench_learners", "cells", "describe", "task"},
    "bench_diagnostics": {"app", "cells", "conf", "diagnostics.base", "learners", "model"},
    "bench_learners": {"cells", "model"},  # and the learners that it names
    "describe": {"task", "criterion", "conf"},  # conf's folder alone
    "task": {"describe"},  # only when Task.describe or Task.picture is called
    "errors": {"conf"},  # its folders alone, for the options that exist; conf/ holds no code
    **{nobody: set() for nobody in ("unroll", "criterion", "results", "conf", "")},
}
HEAVY = {
    "tensorflow": {"learners", "trainers", "diagnostics", "model", "unroll", "bench_learners"},
    "keras": {"learners", "trainers", "diagnostics", "model", "unroll", "cells", "build", "bench", "bench_learners"},
    "matplotlib": {"pictures", "describe", "diagnostics", "explain"},
}
# (module, function, package): imported only when that function is called
LAZY = {("task", "stream", "tensorflow"), ("tasks.pixels", "_fetch", "keras")}


def modules() -> dict[str, Path]:
    """Name below lstmlab -> file; '' is lstmlab itself. tasks/ and conf/ stand beside the package and install inside it."""
    files = {}
    for folder, prefix in ((ROOT / "lstmlab", ()), (ROOT / "tasks", ("tasks",)), (ROOT / "conf", ("conf",))):
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
    arrows = ARROWS.get(name, ARROWS.get(room(name)))
    assert arrows is not None, f"lstmlab.{name}: a new module; say in ARROWS what it may import"
    own_room = name == room(name) and room(target) == name  # an __init__ offers what is in its room
    return own_room or target in arrows or room(target) in arrows


def violations(files: dict[str, Path]) -> list[str]:
    found = []
    for name, path in files.items():
        for imported, function in sorted(imports(path)):
            target, package = ours(imported, files), room(imported)
            if target is not None and target != name and not allowed(name, target):
                found.append(f"lstmlab.{name} imports lstmlab.{target}")
            if package in HEAVY and room(name) not in HEAVY[package] and (name, function, package) not in LAZY:
                found.append(f"lstmlab.{name} imports {package}")
    return found


def test_nothing_imports_what_it_may_not():
    files = modules()
    assert {"", "app", "cells.gated", "learners.bptt", "tasks.adding", "conf"} <= set(files)
    assert violations(files) == []


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
        ("task", "def stream():\n    import tensorflow", []),
        ("task", "def sample():\n    import tensorflow", ["lstmlab.task imports tensorflow"]),
        ("train", "import tensorflow.data", ["lstmlab.train imports tensorflow"]),
        ("report", "import keras", ["lstmlab.report imports keras"]),
        ("report", "from matplotlib.figure import Figure", ["lstmlab.report imports matplotlib"]),
        ("pictures", "from lstmlab.report import table", ["lstmlab.pictures imports lstmlab.report"]),
        ("pictures", "import tensorflow", ["lstmlab.pictures imports tensorflow"]),
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
        "lstmlab.bench",
        "lstmlab.bench_learners",
        "lstmlab.report",
        "lstmlab.pictures",
        "lstmlab.tasks.adding",
        "lstmlab.criterion",
        "lstmlab.describe",
    ],
)
def test_light_modules_load_neither_tensorflow_nor_keras(module):
    code = f"import sys, {module}; print(sorted({{name.split('.')[0] for name in sys.modules}} & {{'tensorflow', 'keras'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
