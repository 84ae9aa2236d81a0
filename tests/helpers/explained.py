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
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.sources += [
            value for name, value in attributes if name in ("src", "href", "data", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def verdicts(text: str) -> dict[str, tuple[bool, str]]:
    """{claim: (whether the page says that it holds, the numbers)}."""
    found = re.findall(
        r'<div class="claim (holds|fails)"><b>(.*?)</b> '
        r'<span class="verdict">(.*?):</span> (.*?)</div>',
        text,
        re.DOTALL,
    )
    assert all(
        said == ("holds for this network" if kind == "holds" else "does not hold for this network")
        for kind, _, said, _ in found
    )
    return {
        html.unescape(claim): (kind == "holds", html.unescape(numbers))
        for kind, claim, _, numbers in found
    }


def facts(text: str) -> dict[str, str]:
    """{what holds by construction: the numbers}."""
    found = re.findall(
        r'<div class="claim fact"><b>(.*?)</b> '
        r'<span class="verdict">by construction</span>(?:: )?(.*?)</div>',
        text,
        re.DOTALL,
    )
    return {html.unescape(fact): html.unescape(numbers) for fact, numbers in found}
