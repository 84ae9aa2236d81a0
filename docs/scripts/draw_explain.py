"""Draws docs/images/explain_page.png: the top of a page of lstmlab-explain, as a browser shows it.

    python docs/scripts/draw_explain.py [RUN]

It trains a network in a folder of its own, or takes the run that is given, and needs
chromium, chromedriver and selenium.
"""

import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "docs" / "images" / "explain_page.png"
WIDTH = 1000
TRAINED = [
    "task=adding",
    "task.T=50",
    "cell=vanilla",
    "cell.forget_gate.bias=4",
    "learner=bptt",
    "optimizer=adam",
    "trainer.budget=60000",
]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser import headless  # noqa: E402


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
    """Save what a browser shows of a page, as far as the first claim."""
    with headless() as driver:
        driver.set_window_size(WIDTH, 1000)
        driver.get(page.as_uri())
        end = "return document.querySelector('.claim').getBoundingClientRect().bottom"
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": driver.execute_script(end), "scale": 1}
        asked = {"clip": clip, "captureBeyondViewport": True}
        found = driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"]
    with Image.open(io.BytesIO(base64.b64decode(found))) as drawn:
        drawn.convert("P", palette=Image.Palette.ADAPTIVE).save(IMAGE, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
