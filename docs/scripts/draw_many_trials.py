"""A picture of many trials in docs: python docs/scripts/draw_many_trials.py [RUN [NAME]]

RUN is the folder that a command with `trials=` wrote; without it the script makes one by
`lstmlab trials=16`, which takes half a minute. NAME is that of the image, `many_trials` by default.
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
    name = arguments[1] if len(arguments) > 1 else "many_trials"
    few.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
