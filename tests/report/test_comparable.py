"""Groups by any column, ladders, and what else differs."""

import pandas as pd
import pytest

from lstmlab.report import statistics
from lstmlab.report.ladders import ladders
from lstmlab.report.unlike import unlike, versions

BASE = {
    "task": "adding",
    "cell": "lstm1997",
    "learner": "bptt",
    "seed": 0,
    "status": "solved",
    "sequences": 50,
    "sequences_to_solution": 40,
    "trainer.budget": 50,
    "task.T": 100,
    "cell.block_size": 2,
    "version.keras": "3",
}
UNSOLVED = {"status": "budget", "sequences_to_solution": None}


def rows(*changes):
    return pd.DataFrame([{"run": f"r{n}", **BASE, **change} for n, change in enumerate(changes)])


def at(lag, solved, unsolved, **more):
    return [{"task.T": lag, **more}] * solved + [{"task.T": lag, **UNSOLVED, **more}] * unsolved


# ---- groups


def test_groups_by_any_columns():
    table = statistics.table(
        rows({}, {"task.T": 200}, {"task.T": 200, **UNSOLVED}, {"cell": "gru"}), ["task.T", "cell"]
    )
    found = table[["task.T", "cell", "trials", "solved"]].to_numpy().tolist()
    assert found == [[100, "gru", 1, 1], [100, "lstm1997", 1, 1], [200, "lstm1997", 2, 1]]
    assert set(table["settings"]) == {""}


def test_a_group_of_runs_without_the_column_is_not_dropped():
    table = statistics.table(rows({}, {"task.T": None}), ["task.T"])
    assert table["trials"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "near"), [("cel", "cell"), ("T", "task.T"), ("task.t", "task.T"), ("zzz", None)]
)
def test_a_column_that_does_not_exist(name, near):
    with pytest.raises(ValueError, match="expected a column of the result rows") as error:
        statistics.table(rows({}), [name])
    assert str(error.value).endswith(f"Received: by={name!r}")
    assert (f"nearest: {near}" in str(error.value)) == (near is not None)
    assert "\n" not in str(error.value)


# ---- ladders


def test_the_largest_lag_by_hand():
    climbed = [*at(100, 4, 0), *at(200, 2, 2), *at(400, 1, 3)]
    other = [*at(100, 1, 3, cell="gru"), *at(200, 3, 1, cell="gru")]
    lines = ladders(rows(*climbed, *other)).set_index("setting").to_dict("index")
    assert lines["lstm1997, bptt"] == {
        "task": "adding",
        "lag": "task.T",
        "largest": 200,
        "gaps": 0,
        "trials": 12,
        "rungs": "100: 4/4, 200: 2/4, 400: 1/4",
    }
    assert (lines["gru, bptt"]["largest"], lines["gru, bptt"]["gaps"]) == (200, 1)


def test_nothing_solved_and_a_lag_only():
    [line] = ladders(rows(*at(100, 0, 2), *at(200, 0, 2))).to_dict("records")
    assert pd.isna(line["largest"])
    assert ladders(rows(*at(100, 2, 2))).empty


def test_a_budget_that_grows_with_the_lag_is_no_setting_of_its_own():
    short, long = at(100, 2, 0), at(200, 1, 0, **{"trainer.budget": 500})
    assert ladders(rows(*short, *long))["setting"].tolist() == ["lstm1997, bptt"]


def test_settings_at_one_lag_climb_apart():
    changes = [
        {**change, "optimizer.learning_rate": rate}
        for rate in (0.1, 0.5)
        for change in [*at(100, 2, 0), *at(200, 0, 2)]
    ]
    assert ladders(rows(*changes))["setting"].tolist() == [
        "lstm1997, bptt, optimizer.learning_rate=0.1",
        "lstm1997, bptt, optimizer.learning_rate=0.5",
    ]


def test_runs_that_are_no_trials_climb_nothing():
    killed = {"status": "killed", "sequences": 0, "sequences_to_solution": None, "task.T": 400}
    [line] = ladders(rows(*at(100, 1, 0), *at(200, 1, 0), killed)).to_dict("records")
    assert line["rungs"] == "100: 1/1, 200: 1/1"


# ---- what else differs


def test_settings_that_follow_a_cell_are_told():
    [line] = unlike(rows({}, {}, {"cell": "gru", "cell.block_size": 1})).to_dict("records")
    assert line == {
        "task": "adding",
        "setting": "cell.block_size",
        "within": False,
        "values": "2 (2 runs), 1 (1 runs)",
    }


def test_the_class_of_an_option_goes_without_saying():
    one = {"learner": "truncated1997", "learner._target_": "lstmlab.learners.Truncated1997"}
    other = {"learner": "bptt", "learner._target_": "lstmlab.learners.BPTT"}
    assert unlike(rows(one, other)).empty
    mixed = unlike(rows(one, other), ["cell"])
    assert mixed["setting"].tolist() == ["learner._target_"]
    assert mixed["within"].tolist() == [True]


def test_swept_settings_stand_in_the_names():
    assert unlike(rows({}, {"task.T": 200})).empty


def test_settings_of_two_tasks_are_not_compared():
    assert unlike(rows({}, {"task": "parity", "task.T": 200})).empty


def test_what_a_coarse_group_mixes_is_told():
    found = unlike(rows({}, {"task.T": 200}), ["cell"]).to_dict("records")
    assert [(line["setting"], line["within"]) for line in found] == [("task.T", True)]
    named = unlike(rows({}, {"task.T": 200}), ["cell", "task.T"])
    assert named.empty


def test_versions():
    assert versions(rows({}, {"version.keras": "4"}, {})) == ["keras 3 (2 runs), 4 (1 runs)"]
    assert versions(rows({}, {})) == []
