"""The command `lstmlab-explain`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lstmlab import config, files
from lstmlab.errors import refusal
from lstmlab.explain.explanation import made, of_cell, of_run


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command: write one page for each run, or one for a cell.

    Args:
        argv: The arguments. Default: those of the command line.
    """
    options = _parser().parse_intermixed_args(argv)
    # read when Keras and TensorFlow are loaded, which the first job does
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    try:
        config.use(options.config_dir)
        jobs = _jobs(options)
    except ValueError as error:
        sys.exit(f"lstmlab-explain: {error}")
    problems = 0
    for job in jobs:
        try:
            files.say(f"written: {job()}")
        except (OSError, ValueError) as error:
            problems += 1
            print(f"lstmlab-explain: {error}", file=sys.stderr)
    if problems:
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lstmlab-explain",
        description="What the gates of a network do: a page of equations and derivatives and, "
        "for a finished run, measurements.",
    )

    parser.add_argument(
        "what",
        nargs="+",
        metavar="RUN",
        help="folders of finished runs; or cell=NAME, an option of the group cell, and settings, "
        "as in cell=peephole units=2",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: the run's folder, or here)",
    )
    config.add_flag(parser)
    return parser


def _jobs(options: argparse.Namespace) -> list[Callable[[], Path]]:
    """Functions that write one page each and return its path."""
    first, *rest = options.what
    if first.startswith("cell="):
        return [partial(_write_cell, first.removeprefix("cell="), rest, options.out)]
    # the files of all runs have the same names: each run gets a folder of its own in --out
    if options.out is None or len(options.what) == 1:
        return [partial(of_run, run, options.out, progress=True) for run in options.what]
    names = [Path(run).resolve().name for run in options.what]
    if len({*names}) < len(names):  # the runs of two sweeps may have the same name
        expected = "runs whose folders have different names, as each gets a folder in --out"
        raise refusal("explain", expected, f"{' '.join(options.what)}")
    return [
        partial(of_run, run, options.out / name, progress=True)
        for run, name in zip(options.what, names, strict=True)
    ]


def _write_cell(name: str, settings: Sequence[str], out: Path | None) -> Path:
    page = of_cell(name, settings)
    path = (Path() if out is None else made(out)) / f"explain-{name}.html"
    files.write(path, page.text())
    return path
