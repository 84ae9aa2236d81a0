"""The command `lstmlab-report`."""

import argparse
import sys

from lstmlab.files import say


def main() -> None:
    """Run the command: print the report on a folder of runs, and write it there."""
    about = (
        "One table over all runs in a folder: printed, and written as Markdown, csv and PNG. "
        "The folder of one run gets its picture, too."
    )
    parser = argparse.ArgumentParser(prog="lstmlab-report", description=about)
    parser.add_argument(
        "folder",
        nargs="?",
        default="outputs",
        help="folder with runs, at any depth, or of one run (default: outputs)",
    )

    folder = parser.parse_args().folder
    from lstmlab.report.page import write  # loads pandas and matplotlib, which --help does not need

    try:
        say(write(folder))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-report: {error}")
