"""conf/experiment/study/lag_ladder.yaml: its learning rates; a ladder has no rung above its end."""

import sys
from pathlib import Path

import pytest

from lstmlab import config
from lstmlab.report.ladders import ENOUGH

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402
import study_lag_ladder as script  # noqa: E402


@pytest.fixture(scope="module")
def trials():
    return script.LADDER.trials()


def test_the_experiment_has_the_rates_that_the_search_chose(trials):
    rates = script.chosen(common.of_part(trials, "search"))
    listed = config.settings("experiment", "study/lag_ladder")["hydra"]["sweeper"]["commands"]
    assert listed == [script.command(line, rates[line]) for line in script.lines()]
    run = common.of_part(trials, "climb").groupby(script.LINE)["rate"].unique()
    assert {line: list(found) for line, found in run.items()} == {
        line: [rate] for line, rate in rates.items()
    }


def test_every_rung_has_its_trials_and_no_seed_of_the_search(trials):
    seeds = trials.groupby(["part", *script.RUNG, "rate"])["seed"].agg(list)
    assert all(found == list(range(1000, 1016)) for found in seeds["search"])
    assert all(found == list(range(16)) for found in seeds["climb"])


def test_a_ladder_ends_at_the_first_rung_that_is_not_solved(trials):
    found = common.of_part(trials, "climb")
    solved = (found["status"] == "solved").groupby([found[name] for name in script.RUNG]).mean()
    for line in script.lines():
        enough = solved[line] >= ENOUGH
        assert enough.is_monotonic_decreasing
        if enough.iloc[-1]:
            assert list(enough.index) == [T for T in script.RUNGS if script.top(line[0]) >= T]
        else:
            assert enough.index[-1] == 2 * enough.index[-2]


def test_the_budget_falls_with_the_lag():
    lags = (64, 2048, 4096, 16384)
    assert [script.budget(T) for T in lags] == [100_000, 100_000, 97_500, 24_000]
