"""docs/glossary.md: every letter of the legend is on it, and every entry leads somewhere."""

import re
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import lstmlab
from lstmlab.cells.gates import GATES

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
LETTER = r"[A-Za-z]+_(?:t|a)|net|lag|_tm1|(?<=^ {4})[A-Za-z](?= {2})|(?<= {3})[A-Za-z](?= {2})"


def letters_of_the_legend() -> list[str]:
    """Every letter that lstmlab/__init__.py explains; c stands within a line."""
    legend = re.sub(r"elsewhere \w_t", "", lstmlab.__doc__.split("1997):\n")[1])
    found = re.findall(rf"(?<![\w^])(?:{LETTER})(?!\w)", legend, re.MULTILINE)
    return list(dict.fromkeys([*found, *re.findall(r"; (\w): ", legend)]))


def rows(section: str) -> list[list[str]]:
    """The cells of the table of a section, without its two first lines."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_legend_is_read_whole():
    letters = letters_of_the_legend()
    assert len(letters) == 29
    assert {"B", "T", "F", "K", "n", "m", "P", "R", "w", "c", "lag", "net", "_tm1"} <= {*letters}
    assert {"x_t", "i_t", "m_t", "W_a", "R_a", "b_a", "u_a", "s_t", "y_t"} <= {*letters}


@pytest.mark.parametrize("letter", letters_of_the_legend())
def test_every_letter_of_the_legend_has_one_row(letter):
    assert [row[0] for row in rows("Letters")].count(f"`{letter}`") == 1


def test_the_letters_of_1997_are_those_of_the_legend():
    beside = {row[0].strip("`"): row[2] for row in rows("Letters")}
    found = re.findall(r"(\w_t)  [^()\n]*\((?:2000: [^;]+; )?1997: ([^);]+)", lstmlab.__doc__)
    assert [letter for letter, _ in found] == ["i_t", "f_t", "o_t", "g_t", "s_t", "y_t"]
    for letter, other in found:
        assert other in beside[letter].replace("`", ""), letter
    assert "y^phi" in beside["f_t"]
    for other in re.findall(r"elsewhere (\w_t)", lstmlab.__doc__):
        assert f"elsewhere `{other}`" in PAGE


def terms() -> dict[str, str]:
    """{term: what is said of it}."""
    section = PAGE.split("## Terms\n")[1].split("\n## ")[0]
    found = re.findall(r"^### (.+)\n(.+?)(?=\n\n###|\Z)", section, re.MULTILINE | re.DOTALL)
    return {name: text.strip() for name, text in found}


def test_terms_are_in_order_short_and_each_leads_to_where_it_is_measured_or_defined():
    assert list(terms()) == sorted(terms(), key=str.lower)
    for name, text in terms().items():
        assert "](" in text, name
        sentences = re.sub(r"\[[^\]]*\]\([^)]*\)", "", text)
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", sentences)) <= 4, name


def test_terms_that_a_newcomer_meets_are_there():
    said = " ".join(terms()).lower()
    asked = (
        "gate, cell, block, carousel, error flow, lag, trial, sequence, window, chance, criterion, "
        "held-out set, eligibility trace, truncation, probe, head, peephole, candidate, budget"
    )
    for term in asked.split(", "):
        assert term in said, term
    for gate in GATES.values():
        assert gate.words in said, gate


def test_the_names_in_keras_are_those_of_keras():
    """That the pairs of the table are the same function is tested in tests/cells."""
    pairs = {row[0]: row[1] for row in rows("Names in Keras")}
    x = tf.zeros((2, 3, 1))
    for ours, theirs in list(pairs.items())[:3]:
        names = re.findall(r'"(\w+)"', ours)
        calls = re.findall(r"\w+\([^)]*\)", theirs)
        assert len(names) == len(calls)
        for name, call in zip(names, calls, strict=True):
            layer = eval(f"keras.layers.{call}", {"keras": keras})
            layer(x)
            lstmlab.variant(name, units=8).from_keras(layer)
    for argument in re.findall(r"`(unit_forget_bias|recurrent_activation|activation)\b", PAGE):
        assert argument in keras.layers.LSTM(1).get_config()
