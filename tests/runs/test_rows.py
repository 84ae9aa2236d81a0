"""The sweeper of experiment=hs97/all: its jobs are the commands of the published rows."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lstmlab import published
from lstmlab.runs.rows import OWN, Rows, check_single

PAPER = "Hochreiter & Schmidhuber 1997"


def jobs(*typed: str, **chosen) -> list[list[str]]:
    typed = ("experiment=hs97/all", *typed)
    parsed = OverridesParser.create().parse_overrides(list(typed))
    [batch] = Rows(paper=PAPER, **chosen).jobs(parsed, None)
    assert all(OWN in job for job in batch)
    return [[setting for setting in job if setting != OWN] for job in batch]


def test_all_commands_of_the_paper_once_each():
    rows = [row for row in published.results() if row["paper"] == PAPER]
    commands = {one.command for row in rows for one in published.readings(row)}
    values = [setting.count(",") + 1 for one in commands for setting in one.split()]
    assert {1, 2, 3} == {*values}, "of rates and pairs of sets"
    expected = sum(math.prod(setting.count(",") + 1 for setting in one.split()) for one in commands)
    found = jobs("trials=10")
    assert len(found) == expected > 70
    assert len({tuple(job) for job in found}) == len(found)
    assert all(job[0].startswith("experiment=hs97/") and "trials=10" in job for job in found)
    assert not any("experiment=hs97/all" in job for job in found)


def test_rows_methods_and_readings_are_chosen():
    as_written = ["experiment=hs97/6a_temporal_order"]
    assert jobs(rows="6a") == [as_written]
    assert len(jobs(rows=["6a", "6b"])) == 3
    assert len(jobs(rows="2c")) == 18
    first = jobs(rows="2c", readings="first")
    assert len(first) == 9
    assert not any("candidate_recurrent" in setting for job in first for setting in job)
    last = jobs(rows="2c", readings="last")
    assert len(last) == 9
    assert all("cell.candidate_recurrent=none" in job for job in last)
    assert jobs(rows="6a", readings="last") == [as_written], "its only one"
    rivals = jobs(rows="2a", methods=["BPTT"])
    assert len(jobs(rows="1", methods="RTRL, 12")) == len(jobs(rows="1", methods="RTRL, 3")) == 3
    assert [job[1] for job in rivals] == [f"optimizer.learning_rate={r}" for r in ("1.0", "10.0")]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"rows": "9z"}, r"expected numbers of experiments: 1, 2a, .*6b\. .*sweeper\.rows='9z'$"),
        ({"rows": ["6a", "9z"]}, r"Received: hydra\.sweeper\.rows='9z'$"),
        ({"rows": 2.5}, r"Received: hydra\.sweeper\.rows='2.5'$"),
        ({"rows": []}, r"Received: hydra\.sweeper\.rows=\[\]$"),
        ({"methods": []}, r"Received: hydra\.sweeper\.methods=\[\]$"),
        ({"commands": ["task=adding"], "rows": "2a"}, r"lists its jobs itself\. .*rows='2a'$"),
        ({"commands": ["task=adding"], "readings": "last"}, r"itself\. .*readings='last'$"),
        ({"methods": ["LSTM", "GRU"]}, r"how a method begins: .*LSTM.*sweeper\.methods='GRU'$"),
        ({"rows": "6a", "methods": "BPTT"}, r"a method that was tried in .*rows='6a', .*='BPTT'$"),
    ],
)
def test_what_the_paper_does_not_have_is_refused_by_its_name(chosen, said):
    with pytest.raises(ValueError, match=said):
        jobs(**chosen)


def test_another_choice_of_readings_and_a_single_run_are_refused():
    with pytest.raises(ValueError, match=r"one of \('all', 'first', 'last'\).*readings='some'"):
        jobs(readings="some")
    rows = {"_target_": f"{Rows.__module__}.{Rows.__name__}"}
    with pytest.raises(ValueError, match=r"expected a sweep: lstmlab -m experiment=hs97/all"):
        check_single(rows, {"experiment": "hs97/all"})
    check_single({"_target_": "another"}, {"experiment": "hs97/6a_temporal_order"})


def test_what_is_typed_has_the_last_word_and_is_swept():
    settings = ["trials_shown=0", "diagnostic=[]"]
    found = jobs("trials_shown=2", "seed=0,10", rows="6a", settings=settings)
    name = "experiment=hs97/6a_temporal_order"
    assert found == [["trials_shown=2", "diagnostic=[]", name, f"seed={seed}"] for seed in (0, 10)]


def test_a_command_that_is_listed_goes_before_the_settings_of_all_jobs():
    commands = ["diagnostic=[memory]", "task.T=24"]
    memory, other = jobs(commands=commands, settings=["trials_shown=0", "diagnostic=[]"])
    assert "diagnostic=[memory]" in memory
    assert "diagnostic=[]" not in memory
    assert {"diagnostic=[]", "trials_shown=0", "task.T=24"} < {*other}


def test_jobs_of_a_study_are_those_that_it_lists():
    listed = ["task=adding cell=nfg,nig optimizer.learning_rate=0.1", "task=latch cell=gru"]
    found = jobs("trials=3", commands=listed)
    rest = ["experiment=hs97/all", "trials=3"]
    assert found == [
        ["task=adding", "cell=nfg", "optimizer.learning_rate=0.1", *rest],
        ["task=adding", "cell=nig", "optimizer.learning_rate=0.1", *rest],
        ["task=latch", "cell=gru", *rest],
    ]
