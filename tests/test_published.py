"""Published results: from the rows of a file to entries, matches, sources and tables, by hand."""

import pytest

from lstmlab import config, published
from lstmlab.task import Task

HEADS = (
    "task,experiment,paper,table,method,cell,learner,rate,where,departure,departs,weights,trials,"
    "solved,sequences,lowest,highest,unit,column,test_wrong,test_share,remark,commands,readings"
)
PAPER = {"task": "sums", "experiment": "7", "paper": "A & B 1990", "table": "Table 3"}
ROWS = [
    {
        **PAPER, "method": "LSTM", "cell": "lstm1997", "learner": "one two", "rate": "0.5",
        "where": "task.T=10 head.activation=sigmoid", "departure": "head.activation=linear",
        "departs": "for a logistic one", "weights": "12", "trials": "10", "solved": "0.97",
        "sequences": "1111", "lowest": "500", "highest": "2222", "test_share": "0.00028",
        "commands": "x/7_sums task.T=10; x/7",
    },
    {
        **PAPER, "method": "BPTT", "cell": "elman", "learner": "bptt", "rate": "1.0 10.0",
        "where": "weights=24", "weights": "30", "solved": "0", "test_wrong": "3",
        "remark": "none solved",
    },
    {
        "task": "sums", "paper": "C 2001", "method": "by hand", "sequences": "4444",
        "unit": "streams",
    },
    {"task": "other", "paper": "C 2001", "method": "by hand"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def file(monkeypatch):
    rows = [{**dict.fromkeys(HEADS.split(","), ""), **row} for row in ROWS]
    monkeypatch.setattr(config, "records", lambda name: rows)
    published.results.cache_clear()
    yield
    published.results.cache_clear()


def test_the_file_has_these_columns(monkeypatch):
    monkeypatch.undo()
    assert ",".join(config.records("published.csv")[0]) == HEADS


def test_entries_are_the_rows_with_a_cell_and_a_learner_and_their_departures():
    as_published, departing, rival = published.entries("sums")
    where = {
        "cell": "lstm1997", "learner": ["one", "two"], "optimizer": "sgd",
        "optimizer.learning_rate": 0.5,
        "weights": 12, "task.T": 10, "head.activation": "sigmoid",
    }  # fmt: skip
    assert as_published["where"] == where
    assert departing["where"] == {**where, "head.activation": "linear"}
    figures = {
        "sequences": 1111, "solved": 0.97, "test_wrong": 0.7, "trials": 10, "weights": 12,
        "lowest": 500, "highest": 2222, "method": "LSTM",
    }  # fmt: skip
    assert as_published == {**figures, "where": where, "source": "A & B 1990, Table 3"}
    assert departing["source"] == "A & B 1990, Table 3, for a logistic one"
    assert (rival["solved"], rival["sequences"], rival["test_wrong"]) == (0, None, 3)
    assert rival["source"] == "A & B 1990, Table 3 (none solved)"
    assert (rival["weights"], rival["where"]["weights"]) == (30, 24), "printed, and here"
    assert published.entries("other") == published.entries("nothing") == []


def test_a_row_matches_the_first_entry_all_of_whose_settings_it_has():
    entries = published.entries("sums")
    row = dict(entries[1]["where"], learner="two", seed=3)
    assert published.matching(entries, row) is entries[1]
    assert published.matching(entries, {**row, "head.activation": "sigmoid"}) is entries[0]
    for change in ({"learner": "three"}, {"task.T": 11}, {"weights": 13}, {"optimizer": "adam"}):
        assert published.matching(entries, {**row, **change}) is None
    rival = {**entries[2]["where"], "optimizer.learning_rate": 10.0}
    assert published.matching(entries, rival) is entries[2]


def test_a_table_names_one_source_in_its_title_and_leaves_empty_columns_out():
    title, rows = published.table("other")
    assert (title, rows) == ("Published (C 2001)", [["method"], ["by hand"]])
    title, (heads, *body) = published.table("sums")
    assert title == "Published"
    assert heads == [
        "experiment", "method", "settings", "weights", "trials", "solved", "sequences, mean",
        "test", "remark", "source", "run by",
    ]  # fmt: skip
    assert body[0][2:5] == ["rate 0.5, T=10, head.activation=sigmoid", "12", "10"]
    assert body[0][5:8] == ["97 %", "1,111 (500-2,222)", "0.028 % wrong"]
    assert body[0][-1] == "experiment=x/7_sums task.T=10; experiment=x/7"
    assert body[1][2:8] == ["rate 1.0 to 10.0", "30", "", "0 %", "", "3 of 2560 wrong"]
    assert body[2][6] == "4,444 streams"
    assert published.table("nothing") == ("", [])


def task(module: str, **attributes) -> type[Task]:
    """A class of tasks that says it is from `module`."""
    body = {"__module__": module, "sample": None, "correct": None, **attributes}
    return type("Sums", (Task,), body)


def test_our_own_tasks_take_their_figures_from_the_file_and_others_keep_theirs():
    assert task("lstmlab.tasks.sums").published == published.entries("sums")
    assert task("somewhere.sums").published == []
    assert task("lstmlab.tasks.sums", published=["mine"]).published == ["mine"]
