"""One self-contained HTML page: text, formulas as MathML, tables and pictures.

It has no scripts and fetches nothing.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
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
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", math; }
math { font-size: 1.06em; math-style: normal; }
a { color: #1a5276; text-decoration-thickness: 1px; text-underline-offset: 2px; }
nav { columns: 2; column-gap: 2.5rem; font-size: .93rem; margin: 1.2rem 0; }
nav a { display: block; break-inside: avoid; padding: .1rem 0 .1rem 1rem; text-indent: -1rem; }
.answer { font-size: 1.1rem; }
summary { cursor: pointer; font-size: 1.25rem; margin-top: 2.4rem; }
summary { border-bottom: 1px solid #bbb; padding-bottom: .2rem; }
.claim { border-left: 4px solid #999; padding: .35rem 0 .35rem .8rem; margin: .8rem 0; }
.claim b { display: block; }
.claim p { margin: .25rem 0 0; }
.holds { border-color: #2b7a3d; } .holds .verdict { color: #2b7a3d; }
.fails { border-color: #b3261e; } .fails .verdict { color: #b3261e; }
.excused { border-color: #9a6700; } .excused .verdict { color: #9a6700; }
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
THEOREM = re.compile(r"Theorem (\d+)(?: \([a-z]\))?")
POWER = re.compile(r"(?<![\w.])(?:(\d(?:\.\d+)?)e|10\^)([+-]?\d+)\b")  # 1.2e-07, 10^-400
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Page:
    """A page that grows from top to bottom; `text` returns the whole of it.

    Text is escaped, a Formula among it is typeset, and the number of a theorem is a link to its
    statement on the page, which `theorem` adds.
    """

    def __init__(self, title: str):
        self.title = title
        self.parts = [f"<h1>{escape(title)}</h1>"]
        self._places: dict[str, str] = {}  # where to go: what the contents call it
        self._anchors: set[str] = set()
        self._contents: int | None = None
        self._folded = False

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        place = self._place(text, listed=level == 2)
        self.parts.append(f'<h{level} id="{place}">{escape(text)}</h{level}>')

    def contents(self) -> None:
        """Add links to the headings of level 2 that follow; what is folded away is one of them."""
        self._contents = len(self.parts)
        self._places = {}
        self.parts.append("")

    @contextmanager
    def fold(self, text: str) -> Iterator[None]:
        """Fold away what is added within the `with` block, under a line of text."""
        place = self._place(text, listed=True)
        self.parts.append(f'<details id="{place}"><summary>{escape(text)}</summary>')
        self._folded = True
        yield
        self._folded = False
        self.parts.append("</details>")

    def paragraph(self, *pieces: Any, note: bool = False, answer: bool = False) -> None:
        """Add a paragraph of text and Formulas; a note is in small print, an answer in large."""
        kind = ' class="note"' if note else ' class="answer"' if answer else ""
        self.parts.append(f"<p{kind}>{''.join(_shown(piece) for piece in pieces)}</p>")

    def theorem(self, number: int, name: str, *pieces: Any) -> None:
        """Add the statement of a theorem, to which its number leads wherever it is named."""
        said = "".join(_shown(piece) for piece in pieces)
        head = f"<b>Theorem {number}</b> ({escape(name)})."
        self.parts.append(f'<p id="theorem-{number}">{head} {said}</p>')

    def theorems(self) -> list[int]:
        """Return the numbers of the theorems that the page names so far."""
        found = re.findall(r'href="#theorem-(\d+)"', "".join(self.parts))
        return sorted({int(number) for number in found})

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

    def claim(
        self, text: str, holds: bool, numbers: str, excuse: str = "", where: str = ""
    ) -> None:
        """Add a sentence, the verdict on it, and the numbers that the verdict is based on.

        Args:
            text: The sentence.
            holds: The verdict.
            numbers: The numbers.
            excuse: Why it is no fault if the sentence does not hold; shown only then.
            where: The heading under which it is measured.
        """
        kind, does = ("holds", "holds") if holds else ("fails", "does not hold")
        rest = f" {_shown(numbers)}{_measured(where)}"
        if excuse and not holds:
            kind += " excused"
            rest += f'<p class="excuse"><i>No fault:</i> {_shown(excuse)}</p>'
        self._said(kind, text, f"{does} for this network:", rest)

    def fact(self, text: str, numbers: str = "", where: str = "") -> None:
        """Add a sentence that the cell's switches make true, and numbers for it; no verdict."""
        found = f": {_shown(numbers)}" if numbers else ""
        self._said("fact", text, "by construction", found + _measured(where))

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
        parts = [*self.parts]
        if self._contents is not None:
            links = "".join(
                f'<a href="#{place}">{escape(text)}</a>' for place, text in self._places.items()
            )
            parts[self._contents] = f"<nav>{links}</nav>"
        body = "\n".join(parts)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
            f"<body>\n{body}\n</body>\n</html>\n"
        )

    def _place(self, text: str, listed: bool) -> str:
        """A name on the page for the place with this heading; of equal ones the first is short."""
        place, k = anchor(text), 1
        while place in self._anchors:
            k += 1
            place = f"{anchor(text)}-{k}"
        self._anchors.add(place)
        if listed and not self._folded:
            self._places[place] = text
        return place

    def _said(self, kind: str, text: str, verdict: str, rest: str) -> None:
        said = f'<b>{_shown(text)}</b> <span class="verdict">{verdict}</span>{rest}'
        self.parts.append(f'<div class="claim {kind}">{said}</div>')


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


def powers(text: str) -> str:
    """Return a text with numbers such as 1.2e-07 and 10^-400 written as 1.2·10⁻⁷ and 10⁻⁴⁰⁰."""
    return POWER.sub(_power, text)


def anchor(heading: str) -> str:
    """Return the name that a link to a heading uses."""
    return "-".join(re.findall(r"\w+", heading.lower()))


def _power(found: re.Match) -> str:
    digits, raised = found[1], f"10{str(int(found[2])).translate(RAISED)}"
    return raised if digits in ("1", None) else f"{digits}·{raised}"


def _measured(where: str) -> str:
    """A link to the measurement under a heading."""
    return f' <a class="where" href="#{anchor(where)}">measurement</a>' if where else ""


def _shown(piece: Any) -> str:
    if isinstance(piece, Formula):
        return piece.mathml()
    linked = r'<a href="#theorem-\1">\g<0></a>'
    return THEOREM.sub(linked, powers(escape(str(piece))))


def _is_number(cell: Any) -> bool:
    try:
        float(str(cell).replace(",", "").removesuffix("%"))
    except ValueError:
        return False
    return True
