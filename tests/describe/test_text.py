"""describe against sequences made by hand."""

import numpy as np
import pytest
from by_hand import ByHand, question

from lstmlab import describe
from lstmlab.describe.example import is_one_hot
from lstmlab.describe.text import WIDTH


def test_symbols_as_text():
    assert describe.describe(question("abba?", events=[1])) == (
        "ByHand: training sequence 0 of seed 0: 5 steps, 1 with an error, lag at least 1\n"
        "step  1 2 3 4 5\n"
        "shown a b b a ?\n"
        "asked         Q\n"
        "event   *"
    )


def test_a_long_sequence_shows_the_steps_that_matter():
    text = describe.describe(
        question("a" * 50 + "b" + "a" * 48 + "?", events=[50, 52])
    ).splitlines()
    assert text[1:] == [
        "step  1 2 3                  51 52 53                  98 99 100",
        "shown a a a ... 47 steps ...  b  a  a ... 44 steps ...  a  a   ?",
        "asked                                                          Q",
        "event                         *     *",
    ]


def test_lines_are_wrapped_and_every_step_is_in_one():
    lines = describe.describe(question("ab" * 20)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    steps = [int(step) for line in lines if line.startswith("step") for step in line.split()[1:]]
    assert steps == list(range(1, 41))
    assert (
        "".join("".join(line.split()[1:]) for line in lines if line.startswith("shown"))
        == "ab" * 20
    )


def test_numbers_as_text():
    x = [[0.5, 1], [-0.25, 0], [1234.5, 0]]
    task = ByHand(x, [[0], [0], [0.12345]], [0, 0, 1], [0], ("value", "marker"))
    assert describe.describe(task, seed=3, position=2) == (
        "ByHand: training sequence 2 of seed 3: 3 steps, 1 with an error, lag at least 1\n"
        "step  value  marker  asked\n"
        "   1    0.5       1         *\n"
        "   2  -0.25       0\n"
        "   3   1234       0  0.123"
    )


def test_numbers_with_classes_many_lines_and_sets_of_symbols():
    x = np.arange(36).reshape(3, 12) / 10
    text = describe.describe(ByHand(x, [[0, 0, 0], [1, 1, 0], [0, 0, 0]], [0, 1, 1])).splitlines()
    assert text[1].split() == ["step", *"12345678", "(4", "more)", "asked"]
    assert text[3].split()[-2:] == ["1.9", "1/2"]
    assert text[4].split()[-2:] == ["3.1", "-"]


def test_all_steps_asked():
    """Of many steps with an error those are shown whose answer changes."""
    y = np.zeros((200, 1))
    y[120:] = 1
    steps = [
        line.split()[0]
        for line in describe.describe(ByHand(np.zeros((200, 1)), y, np.ones(200))).splitlines()[2:]
    ]
    assert steps == ["1", "2", "3", "...", "121", "...", "198", "199", "200"]


def test_too_many_events_are_cut_in_the_middle():
    task = ByHand(np.zeros((999, 1)), np.zeros((999, 1)), np.ones(999), range(0, 999, 2))
    lines = describe.describe(task).splitlines()[2:]
    assert [line.split()[0] for line in lines] == [
        *map(str, range(1, 21)),
        "...",
        *map(str, range(980, 1000)),
    ]


@pytest.mark.parametrize(
    ("values", "several", "expected"),
    [
        ([[1, 0], [0, 1]], False, True),
        ([[1, 0], [0, 0]], False, False),
        ([[1, 0], [1, 1]], True, True),
        ([[1], [0]], True, False),
        ([[1, 0], [0, -1]], True, False),
    ],
)
def test_is_one_hot(values, several, expected):
    assert is_one_hot(np.array(values, "float32"), several) is expected
