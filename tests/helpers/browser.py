"""A headless Chromium, and a TensorBoard to look at with it."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 180  # seconds for a page to show what it should, on a machine with other work


@contextmanager
def headless() -> Iterator[Any]:
    """Chromium with its driver; the test is skipped where one of them, or selenium, is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    places = [
        next(filter(None, map(shutil.which, names)), None)
        for names in (("chromium", "chromium-browser"), ("chromedriver",))
    ]
    for what, place in zip(("chromium", "chromedriver"), places, strict=True):
        if place is None:
            pytest.skip(f"{what} is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = places[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1600,1300",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(places[1]))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """The address of a TensorBoard on a log folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--host", "127.0.0.1", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate()


def _address(process: Any) -> str:
    for line in process.stderr:
        if found := re.search(r"http://\S+", line):
            return found[0]
    pytest.fail("tensorboard did not start")


def answer(address: str) -> Any:
    """What a server answers, as JSON."""
    with urllib.request.urlopen(address) as response:
        return json.load(response)


def wait_until(true: Callable[[], Any]) -> Any:
    """What `true` returns once that is true; fails after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found
