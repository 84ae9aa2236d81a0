"""The pages for readers, taken apart: fenced blocks, inline code, prose."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# the first word of what a reader may type
PROGRAMS = (
    "lstmlab", "lstmlab-tasks", "lstmlab-report", "lstmlab-explain", "lstmlab-bench", "make", "pip",
    "python", "tensorboard", "source", "git", "pytest",
)  # fmt: skip


class Block(NamedTuple):
    """A fenced block: the word after the fence, and the text."""

    language: str
    text: str


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(text_of(page))]


def prose(page: Path) -> str:
    """The page without blocks, inline code, pictures and targets of links, on one line."""
    text = FENCE.sub("", text_of(page))
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|`[^`\n]+`", "", text)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


def commands(page: Path) -> list[str]:
    """What the page lets a reader type, in its order.

    In a block without a language, or `bash`, every line is a command. Inline code is one if it is
    a program with arguments.
    """
    found = []
    for block in blocks(page):
        if block.language in ("", "bash"):
            found += _lines(block.text)
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))
    return found + [code for code in inline if code.split()[0] in PROGRAMS and " " in code]


def _lines(text: str) -> list[str]:
    """Commands of a block, without comments; \\ continues a line."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    lines = [re.sub(r"(^|\s+)#\s.*", "", line).strip() for line in lines]
    return [line for line in lines if line]
