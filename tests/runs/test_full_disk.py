"""A run of which one file cannot be written: it fails, and says which file and why.

The file is a link to /dev/full, which takes no byte, or its writing is made to fail.
"""

import errno
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from composed import NO_DIAGNOSTICS, run

from lstmlab import files, report
from lstmlab.diagnostics import Example
from lstmlab.report import pictures
from lstmlab.results import Run
from lstmlab.runs import begin, train

PLAIN = ("trainer.jit_compile=false", "trainer.steps_per_execution=10")
BARE = (*PLAIN, *NO_DIAGNOSTICS)
FULL = OSError(errno.ENOSPC, "No space left on device")


def refuse_to_open(monkeypatch, name):
    """Let no file of that name be opened by files.append."""
    true = files.os.open

    def opened(path, *arguments, **more):
        if str(path).endswith(name):
            raise FULL
        return true(path, *arguments, **more)

    monkeypatch.setattr(files.os, "open", opened)


def failed(folder, *overrides):
    """The row of a run that fails."""
    with pytest.raises(train.RunError) as raised:
        run(folder, *overrides)
    row = Run(folder).read_row()
    assert "\n" not in str(raised.value)
    assert (row["status"], row["reason"]) == ("failed", str(raised.value))
    assert not list(folder.glob(".draft*"))
    return row


@pytest.mark.parametrize(
    "name", [pytest.param("model.weights.h5", marks=pytest.mark.slow), "picture.png"]
)
def test_a_file_of_the_end(name, tmp_path):
    (tmp_path / name).symlink_to("/dev/full")
    row = failed(tmp_path, *BARE)
    assert row["reason"] == (
        f"{tmp_path}/{name}: expected a file that can be written. Received: No space left on device"
    )
    assert row["test_wrong"] is not None, "what was measured is in the row"
    assert pd.read_csv(tmp_path / "history.csv")["sequences"].tolist() == [100, 200]


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("history.csv", BARE), ("example.csv", (*PLAIN, "diagnostic=[example]"))],
)
def test_a_table(name, overrides, tmp_path, monkeypatch):
    refuse_to_open(monkeypatch, name)
    row = failed(tmp_path, *overrides)
    assert row["reason"].startswith(f"{tmp_path}/{name}: expected a file")
    assert row["test_wrong"] is None
    assert not (tmp_path / name).exists()


def test_event_files(tmp_path):
    (tmp_path / "tb").write_text("no folder")
    row = failed(tmp_path, *BARE)
    assert row["reason"].startswith(f"{tmp_path}/tb")
    assert row["sequences"] == 0


def test_the_last_row_goes_over_the_one_before_where_there_is_no_room_for_a_draft(
    tmp_path, monkeypatch
):
    ends = []

    def write(path, content, sync=False):
        if sync and path.name == "result.json":
            ends.append(path)
            raise files.WriteError(path, FULL)
        true(path, content, sync)

    true = files.write
    monkeypatch.setattr(files, "write", write)
    row = run(tmp_path, *BARE)
    assert len(ends) == 1
    assert json.loads((tmp_path / "result.json").read_text()) == row
    assert row["status"] == "budget"


def test_a_last_row_that_cannot_be_written_at_all(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise files.WriteError(path, FULL)

    monkeypatch.setattr(files, "overwrite", refuse)
    true = files.write
    monkeypatch.setattr(
        files, "write", lambda path, *a, sync=False: refuse(path) if sync else true(path, *a)
    )
    with pytest.raises(train.RunError) as raised:
        run(tmp_path, *BARE)
    assert "model.weights.h5: expected a file" in str(raised.value)
    assert "result.json: expected a file" in str(raised.value)
    assert Run(tmp_path).read_row()["status"] == "running"


def test_a_folder_that_is_removed_while_it_runs(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    true = train.Job._check_finite

    def remove(job, before, *arrays):
        if before:
            shutil.rmtree(folder)
        true(job, before, *arrays)

    monkeypatch.setattr(train.Job, "_check_finite", remove)
    with pytest.raises(train.RunError, match=r"history\.csv: .*No such file or directory"):
        run(folder, *PLAIN, "diagnostic=[gates]")
    assert not folder.exists(), "it is not made again"


def test_a_diagnostic_that_cannot_write_does_not_hide_behind_its_own_failures(
    tmp_path, monkeypatch, capsys
):
    """What goes wrong in measuring leaves a diagnostic out; the disk ends the run."""

    def measure(self, model, probe):
        raise OSError(errno.EIO, "of its own")

    monkeypatch.setattr(Example, "measure", measure)
    row = run(tmp_path, *PLAIN, "diagnostic=[example]")
    assert row["status"] == "budget"
    assert "diagnostic.example: left out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_costs_one_line(tmp_path, monkeypatch, capsys):
    def draw(*_):
        raise ArithmeticError("no such\ncolour")

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "_learning", draw)
        assert run(tmp_path, *BARE)["status"] == "budget"
    [line] = [one for one in capsys.readouterr().err.splitlines() if one.startswith("picture:")]
    assert line == f"picture: left out, no such colour; `lstmlab-report {tmp_path}` draws it"
    assert not (tmp_path / "picture.png").exists()
    assert report.write(tmp_path).endswith("report.png, picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_look_for_room_makes_no_folder_that_another_run_would_lose(tmp_path, monkeypatch):
    written = []
    true = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda path, content: written.append(path) or true(path, content)
    )
    begin._check_room(tmp_path / "outputs" / "sweeps" / "one")
    assert [path.parent for path in written] == [tmp_path]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_a_folder_that_cannot_be_made_is_named(kind, tmp_path):
    place = tmp_path / "outputs"
    place.symlink_to(tmp_path / "nothing") if kind != "file" else place.write_text("no folder")
    with pytest.raises(files.WriteError, match="expected a folder that can be written") as raised:
        begin._check_room(place / "one")
    assert str(raised.value).startswith(f"{place}/one: ")
    assert list(tmp_path.iterdir()) == [place]


def test_the_row_is_the_last_file_of_a_run(tmp_path):
    run(tmp_path, *PLAIN, "diagnostic=[example]")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    last = times.pop(tmp_path / "result.json")
    assert (tmp_path / "picture.png") in times
    assert last >= max(times.values())
