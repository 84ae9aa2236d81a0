"""The list of runs and the tables of the page Gates, against the files."""

import json
import os

import pandas as pd
import pytest

from lstmlab.tensorboard.runs import Runs


def run(folder, tables=(), **row):
    folder.mkdir(parents=True)
    if row:
        (folder / "result.json").write_text(json.dumps(row))
    for name in tables:
        (folder / f"{name}.csv").write_text(
            "sequences,gate,mean\n0,input_gate,0.25\n10,input_gate,0.5\n"
        )
    return folder


@pytest.fixture
def runs(tmp_path):
    run(tmp_path / "a = ü", ["gates"], task="adding", cell="gru", seed=1, **{"cell.units": 4})
    run(tmp_path / "b" / "trials" / "2", ["gates"], task="adding", cell="gru", seed=2)
    run(tmp_path / "model", ["gates"])  # the log folder of a GateTensorBoard
    run(tmp_path / "model" / "tb", ["gates"])
    run(tmp_path / "no run", ["history"])
    return Runs({"": tmp_path})


def test_the_list_has_every_run_and_nothing_else(runs):
    found = runs.listed()
    assert [one["run"] for one in found["runs"]] == ["a = ü", "b/trials/2", "model"]
    assert found["runs"][0]["row"] == {"task": "adding", "cell": "gru", "seed": 1}
    assert found["runs"][2]["row"] == {}
    assert runs.any()


def test_what_differs_has_a_column_unless_the_option_says_it(tmp_path):
    for seed, cell, units, rate in (
        (0, "gru", 4, 0.1),
        (1, "gru", 4, 0.2),
        (2, "lstm2000", 8, 0.1),
    ):
        settings = {"cell.units": units, "optimizer.learning_rate": rate, "task.T": 10}
        run(tmp_path / str(seed), ["gates"], cell=cell, optimizer="sgd", seed=seed, **settings)
    found = Runs({"": tmp_path}).listed()
    assert found["varied"] == ["optimizer.learning_rate"]
    assert [one["row"]["optimizer.learning_rate"] for one in found["runs"]] == [0.1, 0.2, 0.1]


def test_a_table_is_the_file_without_what_is_damaged(runs, tmp_path):
    path = tmp_path / "a = ü" / "gates.csv"
    pd.testing.assert_frame_equal(frame(runs.table("a = ü", "gates")), pd.read_csv(path))
    with path.open("a") as file:
        file.write("20,input_gate\n30,input_gate,0.75\n40,input_")
    assert frame(runs.table("a = ü", "gates"))["sequences"].tolist() == [0, 10, 30]
    path.write_text('sequences,gate,mean\n0,"a, b",1\n10,"c""d",2\n')
    assert frame(runs.table("a = ü", "gates"))["gate"].tolist() == ["a, b", 'c"d']
    path.write_text("")
    assert runs.table("a = ü", "gates") == ""


@pytest.mark.parametrize(
    ("cut", "left"),
    [("20,a,1\n20,b,", [0, 10]), ("20,a,1\n20,b,1\n2", [0, 10]), ("20,a,1\n20,b,1\n3", [0, 10, 20]),
     ("20,a,1\n30,b,", [0, 10, 20]), ("20,a,1\n20,b,1\n", [0, 10, 20])],
)  # fmt: skip
def test_a_half_written_moment_is_left_out(runs, tmp_path, cut, left):
    path = tmp_path / "a = ü" / "gates.csv"
    with path.open("a") as file:
        file.write(cut)
    assert sorted(set(frame(runs.table("a = ü", "gates"))["sequences"])) == left


def frame(text):
    from io import StringIO

    return pd.read_csv(StringIO(text))


@pytest.mark.parametrize(
    ("name", "table"),
    [("..", "gates"), ("a = ü/..", "gates"), ("/etc", "gates"), ("", "gates"),
     ("model/tb", "gates"), ("gone", "gates"), ("a = ü", "../b/gates"), ("a = ü", "result"),
     ("a = ü", "memory")],
)  # fmt: skip
def test_a_name_that_was_not_found_leads_nowhere(runs, name, table):
    runs.listed()
    with pytest.raises(KeyError):
        runs.table(name, table)


def test_a_link_out_of_the_log_folder_is_not_followed(runs, tmp_path):
    outside = run(tmp_path.parent / f"{tmp_path.name}-outside", ["gates"])
    os.symlink(outside, tmp_path / "link")
    assert "link" not in [one["run"] for one in runs.listed()["runs"]]


def test_rows_are_read_again_when_they_change_and_broken_ones_are_told(runs, tmp_path):
    row = tmp_path / "a = ü" / "result.json"
    runs.listed()
    row.write_text(json.dumps({"status": "solved", "seed": 12345}))
    assert runs.listed()["runs"][0]["row"] == {"status": "solved", "seed": 12345}
    row.write_text('{"status": "sol')
    assert runs.listed()["runs"][0]["row"] == {"status": "unreadable"}
    row.write_text("[1]")
    assert runs.listed()["runs"][0]["row"] == {}
    (tmp_path / "a = ü" / "gates.csv").unlink()
    row.unlink()
    assert [one["run"] for one in runs.listed()["runs"]] == ["b/trials/2", "model"]
    with pytest.raises(KeyError):
        runs.table("a = ü", "gates")


def test_no_folder_has_no_runs(tmp_path):
    runs = Runs({"": tmp_path / "none"})
    assert not runs.any()
    assert runs.listed() == {"runs": [], "varied": []}


def test_several_log_folders_have_names(tmp_path):
    for name in "ab":
        run(tmp_path / name / "x", ["gates"])
    runs = Runs({name: tmp_path / name for name in "ab"})
    assert [one["run"] for one in runs.listed()["runs"]] == ["a/x", "b/x"]
    assert runs.table("b/x", "gates").startswith("sequences,")
