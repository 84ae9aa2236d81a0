"""What a run was made from, its lock, and an earlier attempt in its folder."""

import json
import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from lstmlab.files import WriteError
from lstmlab.results import Run
from lstmlab.runs import kept
from lstmlab.runs.kept import Kept

MADE_FROM = Kept({"seed": 3, "cell": {"units": 4, "rate": 1e-05}}, {"cell": "gru"}, {"cwd": "/x"})


def test_settings_are_written_once_and_read_to_the_digit(tmp_path):
    kept.write(tmp_path, MADE_FROM)
    assert kept.read(tmp_path) == MADE_FROM
    with pytest.raises(WriteError, match=r"run\.yaml: expected a file that can be written"):
        kept.write(tmp_path, MADE_FROM)
    assert kept.read(tmp_path) == MADE_FROM


def test_what_hydra_writes_later_does_not_matter(tmp_path):
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save({"seed": 9}, tmp_path / ".hydra" / "config.yaml")
    runtime = {"cwd": "/y", "choices": {"cell": "mgu"}}
    OmegaConf.save({"hydra": {"runtime": runtime}}, tmp_path / ".hydra" / "hydra.yaml")
    older = kept.read(tmp_path)  # of a run of an earlier version
    assert older == Kept({"seed": 9}, {"cell": "mgu"}, runtime)
    kept.write(tmp_path, MADE_FROM)
    assert kept.read(tmp_path) == MADE_FROM


def test_a_lock_is_open_when_all_who_hold_it_have_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE", 0.0)
    assert not kept.is_held(tmp_path)
    code = "import sys; sys.stdin.read()"
    with kept.held(tmp_path) as lock:
        assert lock is not None
        assert kept.is_held(tmp_path)
        with kept.held(tmp_path) as second:
            assert second is None
        # a job that outlives its worker
        job = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=[lock])
    assert kept.is_held(tmp_path)
    job.communicate()
    assert not kept.is_held(tmp_path)
    with kept.held(tmp_path) as third:
        assert third is not None


def test_one_who_waits_for_a_lock_gives_up_when_asked(tmp_path):
    with kept.held(tmp_path), kept.held(tmp_path, lambda: True) as second:
        assert second is None


def test_an_earlier_attempt_is_removed_and_nothing_else(tmp_path):
    run = kept.begin(tmp_path, MADE_FROM)
    for name in ("history.csv", "log.txt", "tb/events", "trials/4/result.json", "mine/notes"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="expected a folder without a run"):
        kept.begin(tmp_path, MADE_FROM)
    run.write_row({"status": "failed"})
    again = MADE_FROM._replace(choices={"cell": "mgu"})
    with kept.held(tmp_path):
        kept.begin(tmp_path, again, anew=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock", "mine", "result.json", "run.yaml",
    }  # fmt: skip
    assert (tmp_path / "mine" / "notes").exists()
    assert (run.read_row()["status"], run.read_row()["cell"]) == ("running", "mgu")
    assert kept.read(tmp_path) == again


def test_event_files_in_the_folder_of_a_sweep_are_removed_with_the_attempt(tmp_path):
    job, events = tmp_path / "job", tmp_path / "tb" / "vanilla bptt s0"
    job.mkdir()
    for attempt in ("first", "second"):
        events.mkdir(parents=True)  # also what a run left whose folder was removed
        (events / "left").touch()
        run = kept.begin(job, MADE_FROM, anew=True, events=events)
        assert run.events == events, attempt
        assert not events.exists()


@pytest.mark.parametrize("place", ["other", "elsewhere/tb/vanilla bptt s0"])
def test_no_folder_is_removed_that_is_not_of_the_sweep_of_a_run(place, tmp_path):
    sweep, there = tmp_path / "sweep", tmp_path / place
    job = sweep / "job"
    job.mkdir(parents=True)
    there.mkdir(parents=True)
    run = kept.begin(job, MADE_FROM)
    run.keep_events_in(there)
    assert run.events == there
    kept.clear(job)
    assert there.is_dir()


def test_a_run_is_finished_when_all_of_its_trials_are(tmp_path):
    def row(folder, status):
        folder.mkdir(parents=True, exist_ok=True)
        content = {"status": status, "sequences_to_solution": 1}
        (folder / "result.json").write_text(json.dumps(content))

    assert not kept.finished(tmp_path)
    for status in ("running", "failed", "killed", "interrupted", "budget", "solved"):
        row(tmp_path, status)
        assert kept.finished(tmp_path) == (status in ("budget", "solved"))
    assert not kept.finished(tmp_path, trials=3)
    row(tmp_path / "trials" / "1", "solved")
    assert not kept.finished(tmp_path, trials=3)
    row(tmp_path / "trials" / "2", "running")
    assert not kept.finished(tmp_path, trials=3)
    row(tmp_path / "trials" / "2", "budget")
    assert kept.finished(tmp_path, trials=3)
    (tmp_path / "result.json").write_text('{"status": "sol')
    assert not kept.finished(tmp_path)


def test_an_identity_that_cannot_be_read_is_none(tmp_path):
    assert kept.identity_in(tmp_path) is None
    kept.write(tmp_path, MADE_FROM)
    assert kept.identity_in(tmp_path) == kept.identity(MADE_FROM.settings)
    (tmp_path / "run.yaml").write_text("settings: [")
    assert kept.identity_in(tmp_path) is None


def test_the_errors_of_a_run_pass_between_processes(tmp_path):
    """A worker of a sweep hands them to the leader."""
    import pickle

    error = WriteError(tmp_path, OSError(28, os.strerror(28)), "folder")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert Run(tmp_path).read_row()["status"] == "unreadable"
