"""Studies whose learning rates were searched: what is listed is what the search found best."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from lstmlab import config
from lstmlab.runs.rows import Rows

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402
import study_chrono  # noqa: E402
import study_gates  # noqa: E402
import study_rules  # noqa: E402
import study_truncation  # noqa: E402

CASES = [  # the study, what a line of it is by the data and by its settings, the budget
    (study_rules.RULES_STUDY, {"learner": "learner"}, study_rules.BUDGET),
    (study_truncation.TRUNCATION, {"task": "task", "scope": "learner.scope"}, 150_000),
]


@pytest.mark.parametrize(
    ("study", "names", "budget"), CASES, ids=lambda one: getattr(one, "name", "")
)
def test_the_listed_rates_are_the_best_of_the_search(study, names, budget):
    experiment = config.settings("experiment", f"study/{study.name}")
    assert experiment["trainer"]["budget"] == budget
    [jobs] = Rows(commands=experiment["hydra"]["sweeper"]["commands"]).jobs([], None)
    typed = [dict(word.split("=", 1) for word in job) for job in jobs]
    listed = {
        tuple(job[name] for name in names.values()): float(job["optimizer.learning_rate"])
        for job in typed
    }
    trials, line = study.trials(), list(names)
    found = trials[trials["part"] == "search"]
    assert listed == common.best_rates(found, line, budget)
    run = trials[trials["part"] == "grid"].groupby(line)["rate"].unique()
    assert {key if isinstance(key, tuple) else (key,): list(one) for key, one in run.items()} == {
        key: [rate] for key, rate in listed.items()
    }
    # searched alike for all, on seeds of its own; shown on 0 to 15
    assert found.groupby(line)["rate"].unique().map(sorted).map(tuple).nunique() == 1
    assert found["seed"].min() == 1000
    seeds = trials[trials["part"] == "grid"].groupby(line)["seed"].agg(sorted)
    assert all(one == list(range(16)) for one in seeds)


SEARCHED = (study_gates.SEARCHED, study_chrono.SEARCHED)
by_name = pytest.mark.parametrize("one", SEARCHED, ids=lambda one: one.study.name)


@by_name
def test_the_experiment_lists_the_rates_that_the_search_chose(one):
    best = one.chosen()
    experiment = config.settings("experiment", f"study/{one.study.name}")
    assert experiment["trainer"]["budget"] == one.budget
    jobs = experiment["hydra"]["sweeper"]["commands"]
    assert jobs == [one.command(*line, best[line]) for line in one.lines]
    run = common.of_part(one.study.trials(), "grid").groupby(one.line)["rate"].unique()
    assert {line: list(found) for line, found in run.items()} == {
        line: [rate] for line, rate in best.items()
    }


@by_name
def test_every_line_is_shown_on_seeds_that_the_search_did_not_have(one):
    seeds = one.study.trials().groupby(["part", *one.line, "rate"])["seed"].agg(list)
    assert all(found == list(range(1000, 1008)) for found in seeds["search"])
    assert all(found == list(range(16)) for found in seeds["grid"])
    assert len(seeds["grid"]) == len(one.lines)


@by_name
def test_a_chosen_rate_that_solves_a_trial_lies_between_two_that_were_tried(one):
    best = one.chosen()
    for line, part in common.of_part(one.study.trials(), "search").groupby(one.line):
        tried = sorted(part["rate"].unique())
        solved = (part["status"] == "solved").any()
        assert tried[0] < best[line] < tried[-1] or not solved, line


@by_name
def test_a_part_that_is_kept_replaces_its_own_trials_alone(one, tmp_path, monkeypatch):
    before = one.study.trials()
    written = tmp_path / "trials.csv"
    before.to_csv(written, index=False)
    monkeypatch.setattr(common.Study, "data", written)
    grid = common.of_part(before, "grid").sample(frac=1, random_state=0)
    one.keep("grid", grid.assign(status="failed"))
    after = one.study.trials()
    assert list(after["seed"]) == list(before["seed"])
    expected = before["status"].where(before["part"] != "grid", "failed")
    assert after["status"].equals(expected)
    pd.testing.assert_frame_equal(after.drop(columns="status"), before.drop(columns="status"))


@by_name
def test_only_what_the_data_lack_is_run(one, tmp_path, monkeypatch):
    grid = common.of_part(one.study.trials(), "grid").reset_index(drop=True)
    jobs = [(*line, rate) for line, rate in one.chosen().items()]
    by = grid[[*one.line, "rate"]].itertuples(index=False, name=None)
    gone = pd.Series([job == jobs[2] for job in by])
    written = tmp_path / "trials.csv"
    grid[~gone].to_csv(written, index=False)
    monkeypatch.setattr(common.Study, "data", written)
    asked = []

    def sweep(study, part, trials, settings, commands):
        asked.append((part, trials, settings, commands))
        return grid[gone].iloc[::-1]

    monkeypatch.setattr(common.Study, "sweep", sweep)
    found = one.trials("grid", "trials=16", jobs, ["seed=3"])
    assert asked == [("grid", "trials=16", ["seed=3"], [one.command(*jobs[2])])]
    columns = [*one.line, "rate", "seed"]
    assert list(found) == list(grid)
    assert sorted(map(str, found[columns].values)) == sorted(map(str, grid[columns].values))
    there = one.trials("grid", "trials=16", jobs[3:5], [])
    assert len(asked) == 1
    assert len(there) == 2 * 16


def test_the_best_rate_has_few_sequences_then_a_small_loss():
    line = {"learner": "bptt", "seed": 1000}
    unsolved = [
        {**line, "rate": r, "sequences_to_solution": None, "test_loss": 1 / r} for r in (1.0, 2.0)
    ]
    found = pd.DataFrame(unsolved).astype({"sequences_to_solution": float})
    assert common.best_rates(found, ["learner"], 100) == {("bptt",): 2.0}
    solved = {**line, "rate": 1.0, "sequences_to_solution": 5.0, "test_loss": 9.0}
    found = pd.DataFrame([*unsolved, solved]).astype({"sequences_to_solution": float})
    assert common.best_rates(found, ["learner"], 100) == {("bptt",): 1.0}


def test_a_search_goes_on_beside_the_best_rate():
    rates = (0.0003, 0.001, 0.003, 0.01, 0.03)
    assert common.beside(0.001, [0.001, 0.003, 0.01], rates) == [0.0003]
    assert common.beside(0.01, [0.001, 0.003, 0.01], rates) == [0.03]
    assert common.beside(0.003, [0.001, 0.003, 0.01], rates) == []
    assert common.beside(0.0003, [0.0003, 0.001], rates) == []
