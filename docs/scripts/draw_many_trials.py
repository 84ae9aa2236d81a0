"""The picture of many trials in docs: python docs/scripts/draw_many_trials.py [RUN]

RUN is the folder that `lstmlab trials=16` wrote; without it the script makes one, which takes half
a minute.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lstmlab.report import write

IMAGES = Path(__file__).parents[1] / "images"


def run_folder(arguments: list[str]) -> Path:
    """The run that was named, or a new one."""
    if arguments:
        return Path(arguments[0])
    outputs = Path(tempfile.mkdtemp()) / "outputs"
    command = str(Path(sys.executable).with_name("lstmlab"))
    subprocess.run([command, "trials=16", f"outputs={outputs}"], check=True)
    return next(outputs.glob("*/*/result.json")).parent


def main(arguments: list[str]) -> None:
    run = run_folder(arguments)
    write(run)
    few = Image.open(run / "trials.png").convert("RGB").quantize(64, dither=Image.Dither.NONE)
    few.save(IMAGES / "many_trials.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
