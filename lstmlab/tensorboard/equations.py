"""The equations of a run's cell, as the page shows them."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import GATES
from lstmlab.explain.page import Formula, path_in_words, words
from lstmlab.results import CELLS
from lstmlab.runs import build, kept
from lstmlab.symbolic import equations as symbolic
from lstmlab.symbolic import symbols

# the classes of cells, gates and initial values that lstmlab and Keras have
OWN = re.compile(r"lstmlab\.(cells\.)?[A-Z]\w*|keras\.initializers\.[A-Z]\w*")
# the same as Keras saves them, by module and class
SAVED = re.compile(
    r"lstmlab\.cells\.\w+ [A-Z]\w*|keras(\.(initializers|regularizers|constraints))? [A-Z]\w*"
)
_cells: dict[str, Any] = {}
_lock = threading.Lock()


def equations(folder: Path, layer: str = "") -> dict[str, Any]:
    """Return the equations of the cell of a run, or of a layer of a Keras model.

    Returns:
        equations: A list with `name`, the name of the value in words, and `mathml`. gates: For
        each gate `gate`, its name in the tables, and `multiplies`, as MathML, empty for one that
        adjusts another gate. Where the cell is not given in symbols, is not one of lstmlab, or
        the folder does not say what it is, `reason` alone.
    """
    make: Callable[[], Any]
    try:
        if (folder / CELLS).exists():
            saved = json.loads((folder / CELLS).read_text(encoding="utf-8"))[layer]
            key, make = repr(saved), lambda: GatedCell.from_config(saved["config"])
            other = [name for name in _saved(saved) if not SAVED.fullmatch(name)]
        else:
            settings = kept.read(folder).settings
            key, make = repr(settings.get("cell")), lambda: build.part(settings, "cell")
            other = [name for name in _named(settings.get("cell")) if not OWN.fullmatch(name)]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {"reason": "This folder does not say which switches its cell has."}
    # a folder may be a stranger's, and a class that it names would be called
    if other:
        return {"reason": f"No equations: this cell is made by {', '.join(other)}."}
    try:
        with _lock:
            if key not in _cells:
                _cells[key] = _told(make())
    except (ValueError, TypeError, KeyError) as error:
        return {"reason": str(error)}
    return _cells[key]


def _saved(node: Any) -> list[str]:
    """'module class' of all objects in what Keras saves, at any depth."""
    if isinstance(node, list):
        return [name for part in node for name in _saved(part)]
    if not isinstance(node, dict):
        return []
    own = [f"{node.get('module')} {node['class_name']}"] if "class_name" in node else []
    return own + _saved(list(node.values()))


def _named(node: Any) -> list[str]:
    """All classes that settings name, at any depth."""
    if isinstance(node, list):
        return [name for part in node for name in _named(part)]
    if not isinstance(node, dict):
        return []
    own = [str(node["_target_"])] if "_target_" in node else []
    return own + _named(list(node.values()))


def _told(cell: Any) -> dict[str, Any]:
    lines = [
        {"name": _name(line.name), "mathml": Formula(line.latex).mathml()}
        for line in symbolic.equations(cell)
    ]
    gates = [{"gate": gate, "multiplies": _multiplies(cell, gate)} for gate in cell.gates]
    return {"equations": lines, "gates": gates}


def _name(name: str) -> str:
    return path_in_words(name) if name.startswith("net_") else words(name)


def _multiplies(cell: Any, gate: str) -> str:
    """What a gate multiplies, as MathML; nothing for one that adjusts another gate."""
    if GATES[gate].moves:
        return ""
    return Formula(symbols.multiplied(cell, gate)).mathml()
