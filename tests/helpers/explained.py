"""What the tests of explanations share: a small network, and a page read back."""

import html
import re
from html.parser import HTMLParser

import numpy as np
from oracles import randomize

from lstmlab import Head, Recurrent
from lstmlab.diagnostics import Probe
from lstmlab.learners import BPTT


def small(rng, cell, steps: int = 6):
    model = Recurrent(cell, Head(1), BPTT(), 2)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    x, w = rng.normal(size=(3, steps, 2)).astype("float32"), np.zeros((3, steps), "float32")
    w[:, -1] = 1.0
    valid = np.arange(steps) < np.array([[steps], [steps - 2], [steps - 1]])
    return model, Probe(x, x[..., :1], w, valid, w > 0)


class Tags(HTMLParser):
    """Opening and closing tags, one within the other, and what they refer to."""

    VOID = ("meta", "img", "mspace")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.names, self.sources = [], set(), []
        self.places, self.within = [], []  # the ids, and the links to them
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        for name, value in attributes:
            if name == "href" and value.startswith("#"):
                self.within.append(value[1:])
            elif name in ("src", "href", "data", "action"):
                self.sources.append(value)
            elif name == "id":
                self.places.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


POWER = re.compile(r"(?:(\d(?:\.\d+)?)·)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
CLAIM = re.compile(
    r'<div class="claim (holds|fails|fails excused)"><b>(.*?)</b> '
    r'<span class="verdict">(.*?):</span> (.*?)(?: <a class="where" href="#([^"]*)">.*?</a>)?'
    r'(?:<p class="excuse"><i>No fault:</i> (.*?)</p>)?</div>',
    re.DOTALL,
)


def plain(text: str) -> str:
    """HTML as text, without links, and with 1.2·10⁻⁷ as Python writes it, 1.2e-07."""
    text = html.unescape(re.sub(r"</?a\b[^>]*>", "", text))

    def as_python(found: re.Match) -> str:
        return f"{found[1] or 1}e{int(found[2].translate(LOWERED)):+03d}"

    return POWER.sub(as_python, text)


def verdicts(text: str) -> dict[str, tuple[bool, str]]:
    """{claim: (whether the page says that it holds, the numbers)}."""
    found = CLAIM.findall(text)
    assert all(
        said == ("holds for this network" if kind == "holds" else "does not hold for this network")
        for kind, _, said, *_ in found
    )
    return {
        plain(claim): (kind == "holds", plain(numbers)) for kind, claim, _, numbers, *_ in found
    }


def excuses(text: str) -> dict[str, str]:
    """{claim that does not hold: why that is no fault, '' where it is one}."""
    found = CLAIM.findall(text)
    assert all((kind == "fails excused") == bool(why) for kind, *_, why in found)
    return {plain(claim): plain(why) for kind, claim, *_, why in found if kind != "holds"}


def facts(text: str) -> dict[str, str]:
    """{what holds by construction: the numbers}."""
    found = re.findall(
        r'<div class="claim fact"><b>(.*?)</b> <span class="verdict">by construction</span>'
        r'(?:: )?(.*?)(?: <a class="where" href="#[^"]*">.*?</a>)?</div>',
        text,
        re.DOTALL,
    )
    return {plain(fact): plain(numbers) for fact, numbers in found}
