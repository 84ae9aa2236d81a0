"""Draws docs/images/keras_audit.png: the page that docs/keras.md makes, as a browser shows it.

    python docs/scripts/draw_audit.py

It runs the page's first two blocks of Python in a folder of its own, and needs chromium.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "keras.md"
IMAGE = DOCS / "images" / "keras_audit.png"
SIZE = "1060,2620"  # as far as the error flow


def main() -> None:
    """Make the page and its picture."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        names: dict = {"__name__": "page"}
        for block in blocks[:2]:
            exec(compile(block, PAGE.name, "exec"), names)
        shoot(Path(folder) / "audit.html")


def shoot(page: Path) -> None:
    """Save what a browser shows of a page."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={SIZE}", f"--screenshot={IMAGE}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
