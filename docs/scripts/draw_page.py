"""Draws docs/images/tensorboard_gates.png: the page Gates of TensorBoard, as a browser shows it.

    python docs/scripts/draw_page.py [SWEEP]

It runs a sweep of six runs in a folder of its own, or takes the one that is given, and needs
chromium, chromedriver and selenium.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "docs" / "images" / "tensorboard_gates.png"
SWEEP = [
    "-m",
    "cell=lstm1997,vanilla",
    "seed=range(0,3)",
    "diagnostic=full",
    "trainer.budget=100000",
    "sweep=page",
]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser import headless, served, wait_until  # noqa: E402


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not arguments:
            command = [Path(sys.executable).with_name("lstmlab"), *SWEEP, f"outputs={folder}"]
            subprocess.run(command, check=True)
        shoot(Path(arguments[0]) if arguments else Path(folder) / "sweeps" / "page")


def shoot(sweep: Path) -> None:
    """Save what a browser shows at first opening."""
    with headless() as driver, served(sweep) as address:
        driver.set_window_size(1500, 3230)
        driver.get(f"{address}#lstmlab_gates")
        driver.switch_to.frame(
            wait_until(lambda: driver.find_elements("css selector", "iframe"))[0]
        )
        wait_until(lambda: driver.find_elements("css selector", ".uplot"))
        time.sleep(5)  # the equations come last
        driver.switch_to.default_content()
        driver.save_screenshot(str(IMAGE))
    with Image.open(IMAGE) as drawn:
        drawn.convert("P", palette=Image.Palette.ADAPTIVE).save(IMAGE, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
