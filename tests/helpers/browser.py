"""A headless Chromium, and a TensorBoard to look at with it."""

import csv
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
# selenium's names for an element that was there and is no more; selenium may be missing
REDRAWN = {"StaleElementReferenceException", "NoSuchElementException"}
FOUND = """
const each = document.evaluate(PATH, document, null, XPathResult.ORDERED_NODE_ITERATOR_TYPE);
const found = [];
for (let one; (one = each.iterateNext()); ) found.push(one);
"""


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
    """What `true` returns once that is true; fails after PATIENCE.

    What the page redraws between two questions of the driver is asked for again.
    """
    end = time.monotonic() + PATIENCE
    while True:
        redrawn = None
        try:
            if found := true():
                return found
        except Exception as error:
            if type(error).__name__ not in REDRAWN:
                raise
            redrawn = error
        assert time.monotonic() < end, redrawn
        time.sleep(0.2)


def open_gates(driver: Any, address: str) -> None:
    """The page Gates of a TensorBoard, in its frame."""
    driver.get(f"{address}#lstmlab_gates")
    enter_frame(driver)


def enter_frame(driver: Any) -> None:
    wait_until(lambda: driver.find_elements("css selector", "iframe"))
    driver.switch_to.frame(driver.find_element("css selector", "iframe"))


def card(title: str) -> str:
    """The XPath of a card of the page Gates."""
    return f"//article[.//h2[text()='{title}']]"


def of_class(name: str) -> str:
    """The XPath of all elements of a class."""
    return f"//*[contains(concat(' ', @class, ' '), ' {name} ')]"


def body(driver: Any) -> str:
    """The visible text."""
    return driver.execute_script("return document.body.innerText")


def read(driver: Any, path: str, what: str = "one.innerText.trim()") -> list[Any]:
    """A JavaScript expression in `one`, for each element of an XPath, all in the same moment."""
    return driver.execute_script(
        f"{FOUND} return found.map((one) => {what});".replace("PATH", json.dumps(path))
    )


def press(driver: Any, path: str) -> None:
    """Click on the first element of an XPath, as a hand does: it has to be visible."""

    def clicked() -> bool:
        driver.find_element("xpath", path).click()
        return True

    wait_until(clicked)


def choose(driver: Any, path: str, name: str) -> None:
    """Choose an entry of the first list of an XPath by its text."""
    press(driver, f"({path})[1]/option[normalize-space()='{name}']")


def copied(driver: Any, title: str) -> tuple[list[str], list[list[str]]]:
    """The names and rows of the csv that the button of a card of the page Gates copies."""
    driver.execute_script(
        "window.copied = []; navigator.clipboard.writeText = async (one) => window.copied.push(one)"
    )
    press(driver, card(title) + "//button[contains(., 'CSV')]")
    [text] = wait_until(lambda: driver.execute_script("return window.copied"))
    head, *rows = csv.reader(text.splitlines())
    return head, rows
