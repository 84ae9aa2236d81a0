"""Run folders: rows that are whole at every moment, and nothing dropped when they are read."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lstmlab.results import FINISHED, STATUSES, Run, first_row, flat, load


def write(folder, **row):
    folder.mkdir(parents=True)
    Run(folder).write_row({"status": "solved", "sequences_to_solution": 5, **row})
    return folder


def test_flat():
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [1, {"f": 2}], "g": "x"}
    assert flat(nested) == {"a.b": 1, "a.c.d": None, "e": '[1, {"f": 2}]', "g": "x"}


def test_first_row():
    row = first_row(
        {"seed": 3, "task": {"T": 5}, "cell": {"units": 2}},
        {"task": "adding", "cell": "vanilla", "hydra/x": "y"},
    )
    assert (row["seed"], row["task"], row["cell"], row["learner"]) == (
        3,
        "adding",
        "vanilla",
        "custom",
    )
    assert (row["task.T"], row["cell.units"], row["status"]) == (5, 2, "running")
    assert row["version.keras"].startswith("3.")
    assert json.loads(json.dumps(row)) == row


def test_a_folder_takes_one_run(tmp_path):
    Run(tmp_path).begin({"status": "running", "seed": 1})
    with pytest.raises(ValueError, match=r"expected a folder without a run. Received: folder="):
        Run(tmp_path).begin({"status": "running", "seed": 2})
    assert Run(tmp_path).read_row()["seed"] == 1


def test_no_half_row_is_left(tmp_path):
    run = Run(tmp_path)
    run.write_row({"status": "running"})
    with pytest.raises(TypeError):
        run.write_row({"status": object()})
    assert run.read_row() == {"status": "running"}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_end_if_running(tmp_path):
    ended = write(tmp_path / "a", sequences=7)
    open_ = write(tmp_path / "b", sequences=8, status="running")
    empty = tmp_path / "c"
    empty.mkdir()
    rows = [Run(folder).end_if_running("killed", "gone") for folder in (ended, open_, empty)]
    assert [row["status"] for row in rows] == ["solved", "killed", "killed"]
    assert rows[0] == {"status": "solved", "sequences_to_solution": 5, "sequences": 7}
    assert (
        rows[1]
        == {"status": "killed", "sequences_to_solution": 5, "sequences": 8, "reason": "gone"}
        == Run(open_).read_row()
    )
    assert Run(empty).read_row()["reason"] == "gone"


def test_tables_grow_and_keep_their_header(tmp_path):
    run = Run(tmp_path)
    assert run.read("history").empty
    for n in (1, 2):
        run.append("history", pd.DataFrame([{"sequences": n, "error": n / 8}]))
    assert run.read("history").to_dict("list") == {"sequences": [1, 2], "error": [0.125, 0.25]}


def test_load_drops_nothing(tmp_path):
    write(tmp_path / "x" / "2", seed=2)
    write(tmp_path / "x" / "1", seed=1)
    half = write(tmp_path / "half")
    (half / "result.json").write_text('{"status": "sol')
    other = write(tmp_path / "list")
    (other / "result.json").write_text("[1, 2]")
    (tmp_path / "rowless" / ".hydra").mkdir(parents=True)
    rows = load(tmp_path)
    assert [run.rsplit("/", 1)[1] for run in rows["run"]] == ["half", "list", "rowless", "1", "2"]
    assert rows["status"].tolist() == ["unreadable"] * 3 + ["solved"] * 2
    assert "not a JSON object" in rows["reason"][1]
    assert "No such file" in rows["reason"][2]
    assert set(rows["status"]) <= set(STATUSES)
    assert set(FINISHED) < set(STATUSES)


def test_numbers_in_paths_by_their_value(tmp_path):
    names = ["10-a", "9-a", "9-a/trials/10", "9-a/trials/2", "b"]
    for name in names:
        write(tmp_path / name)
    found = [str(Path(run).relative_to(tmp_path)) for run in load(tmp_path)["run"]]
    assert found == ["9-a", "9-a/trials/2", "9-a/trials/10", "10-a", "b"]


def test_whole_numbers_stay_whole_beside_rows_without_them(tmp_path):
    """A lag of 100 is no lag of 100.0 because another row is broken; floats remain floats."""
    write(tmp_path / "1", **{"task.T": 100, "rate": 1.0, "seed": 2**60})
    write(tmp_path / "2", **{"task.T": None, "rate": None, "seed": 2**60 + 1})
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "result.json").write_text("{")
    rows = load(tmp_path)
    assert [str(value) for value in rows["task.T"]] == ["100", "<NA>", "<NA>"]
    assert rows["rate"].dtype == float
    assert rows["seed"].tolist()[:2] == [2**60, 2**60 + 1]
    assert rows["sequences_to_solution"].tolist()[:2] == [5, 5]


def test_load_of_nothing(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder with runs. Received: folder='.*none'"
    ):
        load(tmp_path / "none")
    with pytest.raises(
        FileNotFoundError, match=r"expected runs, folders with a result.json. Received: folder="
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        '{"task": "adding"}',
        '{"status": "done"}',
        '{"status": "solved", "sequences_to_solution": "abc"}',
    ],
)
def test_rows_that_make_no_sense_are_unreadable(tmp_path, row):
    (tmp_path / "result.json").write_text(row)
    assert Run(tmp_path).read_row()["status"] == "unreadable"
