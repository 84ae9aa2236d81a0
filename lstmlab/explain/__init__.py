"""What a cell's gates do, in symbols and, of a finished run, measured on its own net; also the command `lstmlab-explain`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lstmlab import __version__, config
from lstmlab.explain.page import Page
from lstmlab.explain.sections import measured, not_finite, symbolic, what_was_run
from lstmlab.results import ROW

PAGE = "explain.html"


def of_cell(name: str, settings: Sequence[str] = ()) -> Page:
    """The symbolic half for conf/cell/<name>.yaml with settings as 'units=4' or 'forget_gate=null', as `lstmlab` reads them.

    Raises ValueError, in one line, for a cell that is not there, a setting it has not, and what is not given in symbols.
    """
    cell = build(name, settings)
    page = Page(f"The cell {name}{' with ' if settings else ''}{', '.join(settings)}")
    page.paragraph(
        f"{cell.units} cells. Typeset from the switches of the cell; nothing is measured here."
    )
    symbolic(page, cell)
    return page


def of_run(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write explain.html, its pictures (PNG) and its tables (csv), named explain_*, into the run's folder or `out`.

    A run of another version of lstmlab is explained like any, with one line on stderr; of one whose weights are not finite
    there are the symbols alone, and one line on stderr.
    Raises ValueError, in one line, for a folder without a run, a run without weights, one whose config or weights this version
    does not take, and an `out` that is no folder and cannot be made one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"expected a folder with a run. Received: folder={str(folder)!r}, which is none"
        )
    if not (folder / ROW).exists():
        raise ValueError(
            f"expected a folder with a run, {ROW}. Received: folder={str(folder)!r}, with none"
        )
    _load()
    from lstmlab.runs.build import reopen

    run = reopen(folder)
    _check_version(folder, run.row)
    out = _made(Path(folder if out is None else out))
    page = Page(
        f"{run.row.get('task')}, cell {run.row.get('cell')}, learner {run.row.get('learner')}, seed {run.row.get('seed')}"
    )
    what_was_run(page, run)
    broken = not_finite(run.model.weights)
    try:
        symbolic(page, run.model.cell, measured=not broken)
    except ValueError as error:
        page.paragraph(f"Nothing in symbols, and no gate to measure: {error}", note=True)
    else:
        if broken:
            page.paragraph(f"The {broken}: nothing can be measured.", note=True)
            _warn(
                f"{folder}: the {broken}: nothing can be measured, and the page has the symbols alone"
            )
        else:
            measured(page, run.model, run.probe, out)
    (out / PAGE).write_text(page.text(), encoding="utf-8")
    return out / PAGE


def build(name: str, settings: Sequence[str] = ()):
    """The cell of conf/cell/<name>.yaml. Raises ValueError as `of_cell`."""
    _load()
    return config.changed("cell", name, settings)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(
        prog="lstmlab-explain",
        description="What the gates of a net do: a page of equations, derivatives and, for a finished run, measurements.",
    )
    either = "folders of finished runs; or cell=NAME, a cell of conf/cell/, and settings, as in cell=peephole units=2"
    parser.add_argument("what", nargs="+", metavar="RUN", help=either)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: the run's folder, or here)",
    )
    options = parser.parse_intermixed_args(argv)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    problems = 0
    for job in _jobs(options):
        try:
            print(f"written: {job()}")
        except (OSError, ValueError) as error:
            problems += 1
            print(f"lstmlab-explain: {error}", file=sys.stderr)
    if problems:
        sys.exit(1)


def _load() -> None:
    """Import TensorFlow, which greets on stderr and has no setting against it."""
    from importlib import import_module

    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import_module("lstmlab.diagnostics")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _jobs(options: argparse.Namespace) -> list:
    """Functions that write one page each and say where."""
    from functools import partial

    first, *rest = options.what
    if first.startswith("cell="):
        return [partial(_write_cell, first.removeprefix("cell="), rest, options.out)]
    several = options.out is not None and len(options.what) > 1
    return [
        partial(of_run, run, options.out / Path(run).name if several else options.out)
        for run in options.what
    ]


def _write_cell(name: str, settings: Sequence[str], out: Path | None) -> Path:
    page = of_cell(name, settings)
    path = (Path() if out is None else _made(out)) / f"explain-{name}.html"
    path.write_text(page.text(), encoding="utf-8")
    return path


def _made(out: Path) -> Path:
    """The folder, with all above it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"expected a folder, there or to be made. Received: --out={str(out)!r}: {error.strerror}"
        ) from error
    return out


def _check_version(folder: Path, row: dict) -> None:
    written = row.get("version.lstmlab", "unknown")
    if written != __version__:
        _warn(
            f"{folder} was written by version {written} of lstmlab; this is version {__version__}"
        )


def _warn(line: str) -> None:
    print(f"lstmlab-explain: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
