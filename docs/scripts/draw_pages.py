"""Draws docs/images/tensorboard_pages_*.png: all pages of TensorBoard, as a browser shows them.

    python docs/scripts/draw_pages.py [SWEEP]

`sweep`: a sweep of twelve short runs, or the one that is given. `keras`: a keras.layers.LSTM,
trained by `fit` with the callback GateTensorBoard. Nothing is clicked. It prints what a newcomer
meets: entries, cards, and the seconds until a page changes no more. It needs chromium, chromedriver
and selenium, and uses lstmlab as it is installed.
"""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SWEEP = [
    "-m",
    "cell=lstm1997,vanilla",
    "learner=truncated1997,bptt,elman",
    "seed=0,1",
    "trainer.budget=10000",
    "sweep=pages",
]
PAGES = (
    "timeseries",
    "scalars",
    "custom_scalars",
    "images",
    "histograms",
    "hparams",
    "text",
    "lstmlab_gates",
)
SIZE, SHOWN = (1400, 1050), (700, 525)  # of a window, and of a page in the picture
ACROSS, STRIP = 2, 22
QUIET, PATIENCE = 12.0, 120.0  # seconds without a change, and until a page is given up
# how much a page shows: the length of its texts, and its drawn parts, also inside shadow roots
DRAWN = """
let words = 0, parts = 0, cards = 0;
const look = node => {
  if (node.nodeValue) words += node.nodeValue.length;
  const name = (node.nodeName || '').toLowerCase();
  if (['path', 'canvas', 'img', 'td', 'rect'].includes(name)) parts += 1;
  if (name === 'card-view') cards += 1;
  for (const one of [node.shadowRoot, ...node.childNodes]) if (one) look(one);
  if (name === 'iframe' && node.contentDocument) look(node.contentDocument.body || node);
};
if (document.body) look(document.body);
return [words, parts, cards];
"""
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser import answer, headless  # noqa: E402
from draw_start import tensorboard  # noqa: E402


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if arguments:
            sweep = Path(arguments[0])
        else:
            command = [Path(sys.executable).with_name("lstmlab"), *SWEEP, f"outputs={folder}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            sweep = Path(folder) / "sweeps" / "pages"
        keras_logs = Path(folder) / "logs"
        train(keras_logs)
        for name, logs in (("sweep", sweep / "tb"), ("keras", keras_logs)):
            with tensorboard(logs) as address:
                print(f"{name}: {len(answer(f'{address}data/runs'))} entries")
                save(name, [(page, photograph(address, page)) for page in PAGES])


def train(logs: Path) -> None:
    """A model of somebody who only knows Keras, with the callback."""
    import keras

    from lstmlab.diagnostics import GateTensorBoard

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 60, 2)).astype("float32")
    y = x[:, :10, :1].sum(axis=1)
    inner = [keras.layers.LSTM(16, name="lstm"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((60, 2)), *inner], name="sums")
    model.compile("adam", "mse")
    model.fit(x, y, epochs=4, verbose=0, callbacks=[GateTensorBoard(logs, (x[:16], y[:16]))])


def photograph(address: str, page: str) -> Image.Image:
    """A page at first opening, in a browser of its own, once it changes no more."""
    with headless() as driver:
        driver.set_window_size(*SIZE)
        begin = time.monotonic()
        driver.get(f"{address}#{page}")
        changed, before = time.monotonic(), driver.execute_script(DRAWN)
        while time.monotonic() - changed < QUIET and time.monotonic() - begin < PATIENCE:
            time.sleep(0.2)
            now = driver.execute_script(DRAWN)
            if now != before:
                before, changed = now, time.monotonic()
        image = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    cards = f", {before[2]} cards" if before[2] else ""
    print(f"  {page}: {changed - begin:.1f} s{cards}")
    return image


def save(name: str, pages: list[tuple[str, Image.Image]]) -> None:
    """All pages in one picture, with the name of each above it."""
    wide, high = SHOWN[0], SHOWN[1] + STRIP
    sheet = Image.new("RGB", (ACROSS * wide, -(-len(pages) // ACROSS) * high), "white")
    words = ImageDraw.Draw(sheet)
    for number, (page, image) in enumerate(pages):
        left, top = number % ACROSS * wide, number // ACROSS * high
        words.text((left + 6, top + 5), page, fill="black")
        sheet.paste(image.resize(SHOWN, Image.Resampling.LANCZOS), (left, top + STRIP))
    few = sheet.quantize(128, dither=Image.Dither.NONE)
    few.save(IMAGES / f"tensorboard_pages_{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
