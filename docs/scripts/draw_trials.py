"""Draw what many trials of a small network cost.

    python docs/scripts/draw_trials.py --bench FILE ...

Each FILE is what `lstmlab-bench trials --csv FILE` wrote.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lstmlab.bench.trials_shown import draw

IMAGES = Path(__file__).parents[1] / "images"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(prog="draw_trials.py", description=__doc__)
    parser.add_argument("--bench", nargs="+", required=True, metavar="FILE")
    files = parser.parse_args(argv).bench
    raw = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    draw(raw, str(IMAGES / "trials_speed.png"))


if __name__ == "__main__":
    main()
