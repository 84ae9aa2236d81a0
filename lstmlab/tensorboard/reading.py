"""How to read a chart: sections of docs/diagnostics.md as pages of their own."""

import re
from html import escape
from importlib.resources import files

from markdown import markdown

PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)$", re.MULTILINE)
FORMULA = re.compile(r"\$([^$\n]+)\$")
ELSEWHERE = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")  # in the page, or beside it


def text() -> str:
    """The whole page, in Markdown."""
    return (files("lstmlab.docs") / "diagnostics.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """A section of the page as HTML, without its pictures and its links to other sections.

    Formulas are shown as they are written.

    Args:
        heading: Its heading.

    Raises:
        KeyError: The page has no such heading.
    """
    lines = text().splitlines()
    begin, end, level, code = None, len(lines), 0, False
    for number, line in enumerate(lines):
        code ^= line.startswith("```")
        found = None if code else re.fullmatch(r"(#+) (.*)", line)
        if found and begin is None and found[2] == heading:
            begin, level = number, len(found[1])
        elif found and begin is not None and len(found[1]) <= level:
            end = number
            break
    if begin is None:
        raise KeyError(heading)
    told = ELSEWHERE.sub(r"\1", PICTURE.sub("", "\n".join(lines[begin:end])))
    told = FORMULA.sub(r"`\1`", told)
    title = escape(lines[begin].lstrip("# "))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="stylesheet" href="page.css"><body class="page"><article class="reading">'
        f"{markdown(told, extensions=['tables', 'fenced_code'])}</article></body></html>"
    )
