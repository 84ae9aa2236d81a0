"""read: what a run wrote, and what is left of it when it was killed, is old or is damaged."""

import json

import numpy as np
import pandas as pd
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

import lstmlab
from lstmlab.recording.board import Board
from lstmlab.recording.reading import read


@pytest.fixture
def run(tmp_path):
    """A run's folder with two tables, events and a result of this version."""
    (tmp_path / "gates.csv").write_text(
        "sequences,gate,mean\n0,input_gate,0.5\n1000,input_gate,0.25\n"
    )
    (tmp_path / "history.csv").write_text("sequences,absolute_error\n1000,0.125\n")
    (tmp_path / "result.json").write_text(
        json.dumps({"status": "budget", "version.lstmlab": lstmlab.__version__})
    )
    board = Board(tmp_path / "tb")
    for n in range(5):
        board.scalar("training/absolute_error", n / 8, n)
    board.histogram("gates/input_gate", np.arange(4.0), 0)
    board.against_lag({"error_flow_log10_against_lag/output": ([0, 1, 2], [1.0, 0.5, 0.25])}, 1000)
    board.close()
    return tmp_path


def test_tables_by_name(run, capsys):
    tables = read(run)
    assert sorted(tables) == ["gates", "history"]
    expected = pd.DataFrame(
        {"sequences": [0, 1000], "gate": ["input_gate"] * 2, "mean": [0.5, 0.25]}
    )
    pd.testing.assert_frame_equal(tables["gates"], expected, check_dtype=False)
    assert capsys.readouterr().err == ""


def test_events_are_every_scalar_of_the_event_files(run, capsys):
    found = read(str(run), events=True)["events"]
    assert list(found.columns) == ["run", "tag", "step", "wall_time", "value"]
    assert set(found["tag"]) == {
        "training/absolute_error",
        "error_flow_log10_against_lag/output_before",
    }  # no histogram
    assert set(found["run"]) == {"."}
    training = found[found["tag"] == "training/absolute_error"]
    assert dict(zip(training["step"], training["value"], strict=True)) == {
        n: n / 8 for n in range(5)
    }
    flow = found[found["tag"] != "training/absolute_error"]
    assert dict(zip(flow["step"], flow["value"], strict=True)) == {0: 1.0, 1: 0.5, 2: 0.25}
    assert found["wall_time"].diff().abs().max() < 600
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("left", [1, 20, 60])
def test_an_event_file_that_is_cut_off_is_read_as_far_as_it_goes(left, run, capsys):
    (path,) = (run / "tb").glob("*tfevents*")
    content = path.read_bytes()
    whole = read(run, events=True)["events"]
    path.write_bytes(content[:-left])
    found = read(run, events=True)["events"]
    assert 3 <= len(found) <= len(whole)
    assert capsys.readouterr().err.startswith(f"read: {path}: cut off after ")
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), whole.merge(found)[found.columns].reset_index(drop=True)
    )


def test_what_is_no_event_file_is_left_out_with_a_line(run, capsys):
    (run / "tb" / "events.out.tfevents.0").write_bytes(b"not at all what TensorBoard writes")
    assert len(read(run, events=True)["events"]) == 8
    assert (
        capsys.readouterr().err
        == f"read: {run}/tb/events.out.tfevents.0: cut off after 0 bytes, and read up to there\n"
    )


def test_event_files_of_tensorflow_1(tmp_path):
    with open(tmp_path / "events.out.tfevents.1", "wb") as file:
        value = Summary.Value(tag="loss", simple_value=0.5)
        RecordWriter(file).write(
            Event(step=3, wall_time=7.0, summary=Summary(value=[value])).SerializeToString()
        )
    found = read(tmp_path, events=True)["events"]
    assert found.to_numpy().tolist() == [[".", "loss", 3, 7.0, 0.5]]


def test_the_cut_off_last_line_of_a_killed_run_is_left_out(run, capsys):
    path = run / "gates.csv"
    path.write_text(path.read_text() + "2000,input_gate,0.1")
    assert read(run)["gates"]["sequences"].tolist() == [0, 1000]
    assert capsys.readouterr().err == f"read: {path}: the last line is cut off, and left out\n"


def test_a_damaged_csv_is_refused_with_its_name(run):
    path = run / "gates.csv"
    good = path.read_text()
    path.write_text(good.replace("0,input_gate,0.5\n", "0,inp"))
    with pytest.raises(
        ValueError,
        match=rf"^read: expected a csv with 3 columns\. Received: {path}, damaged: 4 in line 2$",
    ):
        read(run)
    path.write_text(good.replace(",0.5\n", "\n"))
    with pytest.raises(
        ValueError,
        match=rf"^read: expected a csv with 3 columns\. Received: {path}, damaged: 2 in line 2$",
    ):
        read(run)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        ValueError, match=rf"^read: expected a csv\. Received: {path}, damaged: invalid start byte$"
    ):
        read(run)


def test_an_empty_csv_is_an_empty_table(run):
    (run / "net.csv").write_text("")
    assert read(run)["net"].empty


@pytest.mark.parametrize("row", ['{"version.lstmlab": "0.0.1"}', "{}", '{"version', "[]"])
def test_a_run_of_another_version_says_so(row, run, capsys):
    (run / "result.json").write_text(row)
    assert len(read(run)["gates"]) == 2
    written = "0.0.1" if "0.0.1" in row else "unknown"
    assert capsys.readouterr().err == (
        f"read: {run} was written by version {written} of lstmlab; "
        f"this is version {lstmlab.__version__}\n"
    )


def test_no_folder_and_no_run_in_it(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"^read: expected the folder of a run\. "
        rf"Received: folder='{tmp_path}/none', which is not a folder$",
    ):
        read(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        FileNotFoundError,
        match=r"^read: expected the folder of a run\. "
        rf"Received: folder='{tmp_path}', with no run in it$",
    ):
        read(tmp_path)


def test_tables_of_the_explanation_are_no_tables_of_the_run(run):
    (run / "explain_jacobians.csv").write_text("lag,value\n0,1.0\n")
    (run / "explained.csv").write_text("lag,value\n0,1.0\n")
    assert sorted(read(run)) == ["explained", "gates", "history"]


@pytest.mark.parametrize("folder", [3, None, b"run", ["run"]])
def test_what_is_no_path(folder):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        read(folder)
    assert str(e.value) == f"read: expected the folder of a run. Received: folder={folder!r}"
