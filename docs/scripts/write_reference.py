"""The API reference, made from the docstrings: python docs/scripts/write_reference.py [FOLDER]

`make docs` calls it. It writes a page for each public module into FOLDER (build/reference), with a
search; the pages need no network. Without pdoc: pip install -c constraints.txt -e ".[docs]".
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pdoc
from write_tasks import WORDS

import lstmlab
from lstmlab import config

TO = Path(__file__).parents[2] / "build" / "reference"
BESIDE = ("lstmlab.describe", "lstmlab.explain")  # for users too, and no attributes of lstmlab
LEFT_OUT = "lstmlab.tasks.common"  # what tasks share; docs/new_task.md says what it offers


def public() -> Iterator[ModuleType]:
    """lstmlab, its rooms for users, and those BESIDE."""
    yield lstmlab
    rooms = (getattr(lstmlab, name) for name in lstmlab.__all__)
    yield from (room for room in rooms if isinstance(room, ModuleType))
    yield from (importlib.import_module(name) for name in BESIDE)


def offered(module: ModuleType) -> list[str]:
    """What the module offers by name, put into it: names fetched on first use are not yet there."""
    names = getattr(module, "__all__", [])
    for name in names:
        setattr(module, name, getattr(module, name))
    return list(names)


def hidden(module: ModuleType) -> list[str]:
    """Files of a room whose names stand for what they define: diagnostics.bound is a function."""
    values = ((name, getattr(module, name)) for name in offered(module))
    found = [name for name, value in values if not isinstance(value, ModuleType)]
    return [f"{module.__name__}.{name}" for name in found]


def itemise_cards() -> None:
    """Make a list of what a task shows, asks and so on, which stands line by line in docstrings."""
    for name in config.options("task"):
        task = config.target("task", name)
        lines = rf"^({'|'.join(WORDS)})\b"
        task.__doc__ = re.sub(lines, r"- **\1**", inspect.getdoc(task) or "", flags=re.MULTILINE)


def write(folder: Path) -> Path:
    """Write the pages; the path of the first."""
    itemise_cards()
    without = [f"!{name}" for room in public() for name in hidden(room)] + [f"!{LEFT_OUT}"]
    pdoc.render.configure(
        docformat="google",
        show_source=False,
        footer_text=f"lstmlab {lstmlab.__version__}; letters and signs: the first page",
    )
    pdoc.pdoc("lstmlab", *BESIDE, *without, output_directory=folder)
    return folder / "lstmlab.html"


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else TO))
