"""One self-contained HTML page: text, formulas as MathML, tables and pictures.

It has no scripts and fetches nothing.
"""

import base64
import re
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #1a1a1a; background: #fff; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .3rem; }
h2 { font-size: 1.25rem; margin-top: 2.4rem; border-bottom: 1px solid #bbb; padding-bottom: .2rem; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .93rem; }
th, td { text-align: left; vertical-align: baseline; }
th, td { padding: .22rem .8rem .22rem 0; border-bottom: 1px solid #e2e2e2; }
th { font-weight: normal; color: #555; border-bottom-color: #999; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { text-align: right; }
math { font-size: 1.06em; math-style: normal; }
.claim { border-left: 4px solid #999; padding: .35rem 0 .35rem .8rem; margin: .8rem 0; }
.claim b { display: block; }
.holds { border-color: #2b7a3d; } .holds .verdict { color: #2b7a3d; }
.fails { border-color: #b3261e; } .fails .verdict { color: #b3261e; }
.verdict { font-variant: small-caps; letter-spacing: .03em; }
.note { color: #555; font-size: .93rem; }
img { max-width: 100%; height: auto; }
figure { margin: 1rem 0; } figcaption { color: #555; font-size: .93rem; }
"""

# MathML of a letter with a prime as its superscript, with or without a subscript
# groups: the element, the letter, the subscript; (?!</\1>) keeps a match in one element
PRIMED = re.compile(
    r"<(msubsup|msup)>(<m[io][^>]*>[^<]*</m[io]>)((?:(?!</\1>).)*?)<mi>&#x02032;</mi></\1>"
)


class Page:
    """A page that grows from top to bottom; `text` returns the whole of it.

    Text is escaped, and a Formula among it is typeset.
    """

    def __init__(self, title: str):
        self.title = title
        self.parts = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        self.parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, *pieces: Any, note: bool = False) -> None:
        """Add a paragraph of text and Formulas; a note is in small print."""
        kind = ' class="note"' if note else ""
        self.parts.append(f"<p{kind}>{''.join(_shown(piece) for piece in pieces)}</p>")

    def table(self, heads: list[str], rows: list[list]) -> None:
        """Add a table. A column that has only numbers is aligned to the right."""
        right = [all(_is_number(row[k]) for row in rows) for k in range(len(heads))]
        kinds = [' class="number"' if one else "" for one in right]

        named = zip(kinds, heads, strict=True)
        head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in named)
        lines = []
        for row in rows:
            cells = zip(kinds, row, strict=True)
            lines.append("".join(f"<td{kind}>{_shown(cell)}</td>" for kind, cell in cells))
        body = "\n".join(f"<tr>{line}</tr>" for line in lines)
        self.parts.append(
            f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        )

    def claim(self, text: str, holds: bool, numbers: str) -> None:
        """Add a sentence, the verdict on it, and the numbers that the verdict is based on."""
        kind, does = ("holds", "holds") if holds else ("fails", "does not hold")
        verdict = f'<span class="verdict">{does} for this network:</span> {escape(numbers)}'
        self.parts.append(f'<div class="claim {kind}"><b>{escape(text)}</b> {verdict}</div>')

    def fact(self, text: str, numbers: str = "") -> None:
        """Add a sentence that the cell's switches make true, and numbers for it; no verdict."""
        found = f": {escape(numbers)}" if numbers else ""
        verdict = f'<span class="verdict">by construction</span>{found}'
        self.parts.append(f'<div class="claim fact"><b>{escape(text)}</b> {verdict}</div>')

    def picture(self, image: Path | bytes, caption: str) -> None:
        """Add a picture as PNG, given as a file or as its bytes; it becomes part of the page."""
        content = image if isinstance(image, bytes) else image.read_bytes()
        data = base64.b64encode(content).decode("ascii")
        self.parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def text(self) -> str:
        """Return the page as HTML."""
        body = "\n".join(self.parts)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
            f"<body>\n{body}\n</body>\n</html>\n"
        )


class Formula:
    """LaTeX that a page shows as MathML."""

    def __init__(self, latex: str):
        self.latex = latex

    def mathml(self) -> str:
        """Return the formula as MathML."""
        from latex2mathml.converter import convert

        return PRIMED.sub(_on_the_line, convert(self.latex))


def _on_the_line(found: re.Match) -> str:
    """A prime beside its letter.

    As a superscript it would be too small where the browser has no font for mathematics.
    """
    letter = f'<mrow>{found[2]}<mo lspace="0" rspace="0">&#x02032;</mo></mrow>'
    return f"<msub>{letter}{found[3]}</msub>" if found[1] == "msubsup" else letter


def number(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:.3g}"


def words(name: str) -> str:
    """Return the name of a value in words: 'input_gate' as 'input gate'."""
    return name.replace("_", " ")


def path_in_words(name: str) -> str:
    """Return a path of the one-step Jacobian in words: 'net_a to net_b' by its pre-activations."""
    passed = [words(net.removeprefix("net_")) for net in name.split(" to ") if net[:4] == "net_"]
    return (
        ", then of the ".join([f"pre-activation of the {passed[0]}", *passed[1:]])
        if passed
        else words(name)
    )


def _shown(piece: Any) -> str:
    return piece.mathml() if isinstance(piece, Formula) else escape(str(piece))


def _is_number(cell: Any) -> bool:
    try:
        float(str(cell).replace(",", "").removesuffix("%"))
    except ValueError:
        return False
    return True
