"""Draws docs/images/explain_page.png: the top of a page of lstmlab-explain, as a browser shows it.

    python docs/scripts/draw_explain.py [RUN]

It trains a network in a folder of its own, or takes the run that is given, and needs chromium.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGE = Path(__file__).parents[1] / "images" / "explain_page.png"
SIZE = "1000,1095"  # as far as the first claim
TRAINED = [
    "task=adding",
    "task.T=50",
    "cell=vanilla",
    "cell.forget_gate.bias=4",
    "learner=bptt",
    "optimizer=adam",
    "trainer.budget=60000",
]


def main(arguments: list[str]) -> None:
    """Make the page and its picture."""
    with tempfile.TemporaryDirectory() as folder:
        programs, run = Path(sys.executable).parent, arguments[0] if arguments else None
        if run is None:
            subprocess.run([programs / "lstmlab", *TRAINED, f"outputs={folder}"], check=True)
            [run] = {path.parent for path in Path(folder).rglob("result.json")}
        subprocess.run([programs / "lstmlab-explain", run, "--out", folder], check=True)
        shoot(Path(folder) / "explain.html")


def shoot(page: Path) -> None:
    """Save what a browser shows of a page."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={SIZE}", f"--screenshot={IMAGE}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(IMAGE) as drawn:
        drawn.convert("P", palette=Image.Palette.ADAPTIVE).save(IMAGE, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
