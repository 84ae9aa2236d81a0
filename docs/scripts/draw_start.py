"""The pictures of README.md and docs/start.md: python docs/scripts/draw_start.py [RUN]

RUN is the folder of the run that `make run` wrote; without it the script makes one, which takes a
minute or two. adding_100.png is the picture of that run, the others show TensorBoard in a headless
Chromium: Debian's chromium and chromium-driver, driven by selenium.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium import webdriver
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

from lstmlab.report import picture

IMAGES = Path(__file__).parents[1] / "images"
MAKE_RUN = "experiment=hs97/4_adding_100"
PAGES = {  # picture -> what follows the address of TensorBoard, and text that the page must show
    "tensorboard_error_flow": ("?tagFilter=error_flow&smoothing=0#timeseries", "carousel"),
    "tensorboard_histograms": ("#histograms", "gates_at_events/input_gate"),
}
SIZE = (1400, 1000)
PATIENCE, DRAWING = 120, 10  # seconds for a page to show its text, and for its curves
# all text of a page, also that inside shadow roots and of attributes
TEXT = """
const text = node => [node.nodeValue, node.title, ...[node.shadowRoot, ...node.childNodes]
  .filter(part => part).map(text)].join(' ');
return text(document.body);
"""


def run_folder(arguments: list[str]) -> Path:
    """The run that was named, or a new one."""
    if arguments:
        return Path(arguments[0]).resolve()
    outputs = Path(tempfile.mkdtemp()) / "outputs"
    subprocess.run([_beside("lstmlab"), MAKE_RUN, f"outputs={outputs}"], check=True)
    return next(outputs.glob("*/*/result.json")).parent


def _beside(command: str) -> str:
    """A command of the environment that runs this script."""
    return str(Path(sys.executable).with_name(command))


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """The address of a TensorBoard on a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        cwd=folder.parent,  # the page shows the path, here only its last part
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        said = iter(process.stderr or ())
        yield next(found[0].decode() for line in said if (found := re.search(rb"http://\S+", line)))
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    size = f"--window-size={SIZE[0]},{SIZE[1]}"
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        size,
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def photograph(driver: Any, address: str, expected: str) -> Image.Image:
    """The page, once it shows the text."""
    driver.get("about:blank")
    driver.get(address)
    end = time.monotonic() + PATIENCE
    while expected not in driver.execute_script(TEXT):
        if time.monotonic() > end:
            raise TimeoutError(f"draw_start: expected {expected!r} on a page. Received: {address}")
        time.sleep(0.5)
    time.sleep(DRAWING)  # curves are drawn after the words
    return Image.open(io.BytesIO(driver.get_screenshot_as_png()))


def tags(run: Path) -> str:
    """The curves and histograms that the run shows, kept in the pictures: see test_evening.py."""
    events = EventMultiplexer().AddRunsFromDirectory(str(run))
    events.Reload()
    names = [(name, tag) for name, found in events.Runs().items() for tag in found["tensors"]]
    shown = {tag for name, tag in names if _plugin(events, name, tag) in ("scalars", "histograms")}
    return " ".join(sorted(shown))


def _plugin(events: EventMultiplexer, name: str, tag: str) -> str:
    return events.SummaryMetadata(name, tag).plugin_data.plugin_name


def save(image: Image.Image, name: str, shows: str = "") -> None:
    """A PNG of few colours, which is small."""
    info = PngInfo()
    info.add_text("Tags", shows)
    few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(IMAGES / f"{name}.png", optimize=True, pnginfo=info)
    print(IMAGES / f"{name}.png")


def main(arguments: list[str]) -> None:
    run = run_folder(arguments)
    save(Image.open(picture(run)), "adding_100")
    with tensorboard(run) as address, chromium() as driver:
        for name, (page, expected) in PAGES.items():
            save(photograph(driver, address + page, expected), name, tags(run))


if __name__ == "__main__":
    main(sys.argv[1:])
