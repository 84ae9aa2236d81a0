"""docs/reproduction.md: what stands in it is made from the rows in docs/data/."""

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import write_reproduction as script  # noqa: E402

from lstmlab import published  # noqa: E402
from lstmlab.report.reproduction import LSTM, PAPER, lines  # noqa: E402


@pytest.fixture(scope="module")
def found():
    return lines(pd.read_csv(script.DATA), PAPER)


def test_the_page_is_made_from_the_rows(found):
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.with_blocks(text, script.blocks(found)) == text


def test_every_reading_that_is_shown_has_ten_trials_and_the_others_are_named(found):
    asked = [
        (row["experiment"], one.command)
        for row in published.results()
        if row["paper"] == PAPER and row["method"] == LSTM
        for one in published.readings(row)
    ]
    lstm = found[found["method"] == LSTM]
    shown = list(zip(lstm["experiment"], lstm["command"], strict=True))
    assert shown == [one for one in asked if one in shown]
    assert (lstm["trials"] >= 10).all()
    text = script.PAGE.read_text(encoding="utf-8")
    assert all(f"`experiment={command}`" in text for _, command in set(asked) - set(shown))


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in (script.DATA, script.CURVES)) < 2**20


def test_a_page_with_other_numbers_is_found(found):
    text = script.PAGE.read_text(encoding="utf-8")
    wrong = found.assign(verdict="slower")
    assert script.with_blocks(text, script.blocks(wrong)) != text


def test_only_what_was_run_again_is_renewed(tmp_path):
    old = pd.read_csv(script.DATA)
    path = tmp_path / "rows.csv"
    old.to_csv(path, index=False)
    command = old["command"].unique()[3]
    again = old[old["command"] == command].assign(seconds=-1.0)
    gone = again.assign(command="hs97/4_adding nothing=1")
    pd.concat([old, gone]).to_csv(path, index=False)
    found = script.renewed(path, again)
    assert list(found["command"]) == list(old["command"])  # in the order of the published rows
    assert (found["seconds"] == -1).equals(found["command"] == command)
    assert script.renewed(tmp_path / "none.csv", old)["command"].equals(old["command"])
