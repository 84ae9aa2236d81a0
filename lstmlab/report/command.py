"""The command `lstmlab-report`."""

import argparse
import sys

from lstmlab.files import say


def _parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    about = (
        "Tables over all runs in a folder: printed, and written as Markdown, csv, LaTeX, HTML, PNG "
        "and SVG. The folder of one run gets its picture, too."
    )
    made = argparse.ArgumentParser(prog="lstmlab-report", description=about)
    made.add_argument(
        "folder",
        nargs="?",
        default="outputs",
        help="folder with runs, at any depth, or of one run (default: outputs)",
    )

    made.add_argument(
        "--by",
        metavar="COLUMN,...",
        default="",
        help="columns of the result rows: one line for each combination of their values, "
        "such as cell,task.T (default: task, cell, learner and settings that differ)",
    )
    made.add_argument(
        "--against",
        metavar="TEXT",
        default="",
        help="compare all lines with the first one that has this in its name",
    )
    made.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write mean and interval over the trials of each line for TensorBoard, "
        "as runs in FOLDER/aggregate",
    )
    made.add_argument(
        "--published",
        action="store_true",
        help="instead, our trials beside the rows of Hochreiter & Schmidhuber 1997 "
        "(experiment=hs97/all), as FOLDER/published.md; their rows alone as published_rows.csv",
    )
    return made


def main() -> None:
    """Run the command: print the report on a folder of runs, and write it there."""
    given = _parser().parse_args()
    by = [name.strip() for name in given.by.split(",") if name.strip()]
    # these load pandas and matplotlib, which --help does not need
    from lstmlab.report import page, reproduction

    try:
        if given.published:
            say(reproduction.write(given.folder))
        else:
            say(page.write(given.folder, by, given.against, given.tensorboard))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-report: {error}")
