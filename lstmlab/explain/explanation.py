"""The page of a cell, in symbols only, and the page of a run, with its measurements.

What needs TensorFlow or Hydra is imported when a page is made.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lstmlab import __version__, config
from lstmlab.errors import refusal
from lstmlab.explain.page import Page
from lstmlab.explain.progress import Progress
from lstmlab.files import check, write

OWNER = "explain"
PAGE = "explain.html"


def of_cell(name: str, settings: Sequence[str] = ()) -> Page:
    """Return the page of a cell in symbols.

    Args:
        name: An option of conf/cell/.
        settings: Changes to it, as `lstmlab` reads them: 'units=4', 'forget_gate=null'.

    Raises:
        ValueError: There is no such cell or setting, or the cell is not given in symbols.
    """
    _load()
    from lstmlab.explain.symbols import symbolic
    from lstmlab.explain.theorems import state
    from lstmlab.symbolic.symbols import check

    cell = config.changed("cell", name, settings)
    check(cell)
    page = Page(f"The cell {name}{' with ' if settings else ''}{', '.join(settings)}")
    page.paragraph(
        f"{cell.units} cells. Typeset from the cell's switches; nothing is measured here."
    )
    symbolic(page, cell, contents=True)
    state(page)
    return page


def of_run(folder: str | Path, out: str | Path | None = None, progress: bool = False) -> Path:
    """Write explain.html, its pictures (PNG) and its tables (csv), all named explain_*.

    A run of another version of lstmlab is explained like any other, with one line on stderr. If the
    weights of a run are not finite, its page has only the symbols, with one line on stderr.

    Args:
        folder: The folder of a finished run.
        out: Where to write. Default: into that folder.
        progress: Whether to show on stderr, where it is a terminal, what is being done.

    Returns:
        The path of explain.html.

    Raises:
        WriteError: A file cannot be written.
        ValueError: The folder holds no run, or one without weights; this version does not accept
            its config or weights; or `out` is not a folder and cannot be made one.
    """
    from lstmlab.results import ROW  # loads pandas

    folder = Path(folder)
    if not folder.is_dir():
        received = f"folder={str(folder)!r}, which is not a folder"
        raise refusal(OWNER, "a folder with a run", received)
    if not (folder / ROW).exists():
        received = f"folder={str(folder)!r}, with none"
        raise refusal(OWNER, f"a folder with a run, {ROW}", received)

    if out is None or Path(out).is_dir():  # before TensorFlow is loaded
        check(Path(folder if out is None else out) / PAGE)

    with Progress(folder.resolve().name, progress) as tell:
        return _of_run(folder, out, tell)


def _of_run(folder: Path, out: str | Path | None, tell: Callable[[str], None]) -> Path:
    tell("loading TensorFlow")
    _load()
    from lstmlab.explain.run import ended, title
    from lstmlab.runs.build import reopen

    tell("opening the run")
    run = reopen(folder)
    _check_version(folder, run.row)
    # only now: for a run that is refused no folder is made
    out = made(Path(folder if out is None else out))

    page, said = Page(title(run.row)), ended(run.row)
    page.paragraph(f"{said[0].upper()}{said[1:]}.", note=True)
    _explain(page, run, folder, out, tell)
    write(out / PAGE, page.text())
    return out / PAGE


def _explain(page: Page, run: Any, folder: Path, out: Path, tell: Callable[[str], None]) -> None:
    """The answer, the measurements and the symbols; or why some of them are missing."""
    from lstmlab.explain.run import not_finite, what_was_run
    from lstmlab.explain.symbols import symbolic
    from lstmlab.explain.theorems import state
    from lstmlab.symbolic.symbols import check

    cell, broken = run.model.cell, not_finite(run.model.weights)
    try:
        check(cell)
    except ValueError as error:  # such as a cell that has grown, which has no switches
        what_was_run(page, run)
        page.paragraph(f"Nothing in symbols, and no gate to measure: {error}", note=True)
        return
    if broken:
        page.paragraph(f"The {broken}: nothing can be measured.", note=True)
        _warn(f"{folder}: the {broken}: nothing can be measured, only symbols are on the page")
        page.contents()
        what_was_run(page, run)
        symbolic(page, cell)
    else:
        _measured(page, run, out, tell)
        with page.fold("In symbols: the equations, the derivatives, and which gate forgets"):
            symbolic(page, cell, measured=True)
    state(page)


def _measured(page: Page, run: Any, out: Path, tell: Callable[[str], None]) -> None:
    """Everything that is measured: the answer, the contents, the claims, the measurements."""
    from lstmlab.explain import measured
    from lstmlab.explain.answer import forgets_its_task, write_answer
    from lstmlab.explain.run import what_was_run

    tables = measured.measure(run.model, run.probe, tell)
    found = measured.measured_terms(run.model, run.probe, tell)
    tell("drawing and writing")
    for name, table in {**tables, "terms": found.table}.items():
        write(out / f"explain_{name}.csv", table.to_csv(index=False))

    forgot = forgets_its_task(run.model.cell, tables, run.row)
    write_answer(page, run.model.cell, tables, out, forgot)
    page.contents()
    sections = measured.sections(run.model.cell, tables, found, out)
    measured.write_claims(page, sections, forgot)
    what_was_run(page, run)
    measured.write_sections(page, sections)


def made(out: Path) -> Path:
    """Return a folder after making it, and all above it, where it does not exist.

    Raises:
        ValueError: It cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        received = f"--out={str(out)!r}: {error.strerror}"
        raise refusal(OWNER, "a folder that exists or can be made", received) from error
    return out


def _load() -> None:
    """Import TensorFlow without what it prints on stderr, which no setting turns off."""
    sys.stderr.flush()
    # the file descriptor itself: TensorFlow writes from C++, past sys.stderr
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import_module("lstmlab.diagnostics")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_version(folder: Path, row: dict) -> None:
    written = row.get("version.lstmlab", "unknown")
    if written != __version__:
        this = f"this is version {__version__}"
        _warn(f"{folder} was written by version {written} of lstmlab; {this}")


def _warn(line: str) -> None:
    tqdm.write(f"lstmlab-explain: {line}", file=sys.stderr)  # above the line of the progress
