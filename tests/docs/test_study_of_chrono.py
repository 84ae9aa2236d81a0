"""conf/experiment/study/chrono.yaml: its learning rates, and biases that are all that differs."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from lstmlab import config
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402
import study_chrono as script  # noqa: E402


@pytest.fixture(scope="module")
def trials():
    return script.CHRONO.trials()


def test_the_listed_rates_are_those_that_the_search_chose(trials):
    rates = script.chosen(common.of_part(trials, "search"))
    listed = config.settings("experiment", "study/chrono")["hydra"]["sweeper"]["commands"]
    assert listed == [script.command(*line, rates[line]) for line in script.lines()]
    run = common.of_part(trials, "grid").groupby(script.LINE)["rate"].unique()
    assert {line: list(found) for line, found in run.items()} == {
        line: [rate] for line, rate in rates.items()
    }


def test_seeds_of_the_search_are_not_shown(trials):
    seeds = trials.groupby(["part", *script.LINE, "rate"])["seed"].agg(list)
    assert all(found == list(range(1000, 1008)) for found in seeds["search"])
    assert all(found == list(range(16)) for found in seeds["grid"])
    assert len(seeds["grid"]) == len(script.lines())


def test_a_rate_that_solves_a_trial_has_two_neighbours(trials):
    found = common.of_part(trials, "search")
    rates = script.chosen(found)
    for line, part in found.groupby(script.LINE):
        tried = sorted(part["rate"].unique())
        solved = (part["status"] == "solved").any()
        assert tried[0] < rates[line] < tried[-1] or not solved, line


@pytest.mark.parametrize("start", script.STARTS)
def test_only_the_biases_differ_and_rows_tell_them_apart(start):
    whole, own = (composed(one) for one in ("1", start))
    keys = {key for key in {*whole, *own} if whole.get(key) != own.get(key)}
    gates = ("cell.input_gate.bias", "cell.forget_gate.bias")
    assert all(key.startswith(gates) for key in keys)
    row = {"cell": script.STARTS[start].split()[0].partition("=")[2], "task": "adding", **own}
    row |= {name: row.get(name) for name in (f"{script.BIAS}.lag", *gates)}
    row |= dict.fromkeys(common.KEPT, 1)
    [told] = script.told(pd.DataFrame([row])).to_dict("records")
    assert (told["start"], told["rate"]) == (start, 0.001)


def composed(start: str) -> dict:
    words = script.command("adding", start, 0.001).split()
    settings, _ = config.compose("experiment=study/chrono", *words)
    return flat({name: settings[name] for name in ("task", "cell", "trainer", "optimizer")})
