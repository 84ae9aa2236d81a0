"""Draw what many trials of a small network cost, and one layer.

    python docs/scripts/draw_trials.py --bench FILE ...
    python docs/scripts/draw_trials.py --layer FILE

Each FILE is what `lstmlab-bench trials --csv FILE` wrote, or `lstmlab-bench layer --csv FILE`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lstmlab.bench import layer, trials_shown

IMAGES = Path(__file__).parents[1] / "images"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(prog="draw_trials.py", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--bench", nargs="+", metavar="FILE")
    asked.add_argument("--layer", metavar="FILE")
    options = parser.parse_args(argv)
    if options.layer:
        layer.draw(pd.read_csv(options.layer), str(IMAGES / "layer_speed.png"))
        return
    raw = pd.concat([pd.read_csv(file) for file in options.bench], ignore_index=True)
    trials_shown.draw(raw, str(IMAGES / "trials_speed.png"))


if __name__ == "__main__":
    main()
