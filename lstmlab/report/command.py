"""The command `lstmlab-report`."""

import argparse
import sys

from lstmlab.report.page import write


def main() -> None:
    """Run the command: print the report on a folder of runs, and write it there."""
    about = "One table over all runs in a folder: printed, and written as Markdown, csv and PNG."
    parser = argparse.ArgumentParser(prog="lstmlab-report", description=about)
    parser.add_argument(
        "folder",
        nargs="?",
        default="outputs",
        help="folder with runs, at any depth (default: outputs)",
    )

    try:
        print(write(parser.parse_args().folder))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-report: {error}")
