"""What a person sees of a sweep, from rows that change."""

import json
import os
from datetime import datetime

import pytest

from lstmlab.runs import kept
from lstmlab.runs.screen import LINES, Screen, job_line, last_lines


def row(folder, status, **more):
    """Write a row as a run does, in one move."""
    folder.mkdir(exist_ok=True)
    content = {"status": status, "cell": "gru", "task": "adding", "seed": 1, **more}
    (folder / "draft").write_text(json.dumps(content))
    os.replace(folder / "draft", folder / "result.json")


def test_a_line_for_each_job_that_ends(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [tmp_path / str(number) for number in range(4)]
    row(folders[0], "killed", reason="before")
    screen = Screen(folders, live=False, log=tmp_path / "sweep.log")
    with screen:
        screen.look()
        assert screen.count() == "0 done, 0 running, 0 failed, 4 waiting", "of an earlier attempt"
        row(folders[0], "running")
        row(folders[1], "running")
        screen.look()
        assert screen.count() == "0 done, 2 running, 0 failed, 2 waiting"
        row(folders[0], "solved", sequences_to_solution=1200, seconds=3.2)
        (folders[1] / "log.txt").write_text(
            "".join(f"line {k}\n\n" for k in range(9)) + "Error: no more\n"
        )
        row(folders[1], "failed", reason="no more")
        screen.look()
        screen.look()
        assert screen.count() == "1 done, 0 running, 1 failed, 2 waiting"
    out, err = capsys.readouterr()
    what = "cell=gru task=adding learner=None seed=1"
    assert out.splitlines() == [
        f"[1/4] solved      {what}, after 1,200 sequences, 3 s, 0",
        f"[2/4] failed      {what}, after 0 sequences, 0 s, 1: no more",
        *(f"    line {k}" for k in range(9 - LINES, 9)),
    ]
    assert err == "", "no live line in a log file"
    logged = (tmp_path / "sweep.log").read_text().splitlines()
    assert [line[20:] if line[:2] == "20" else line for line in logged] == out.splitlines()
    assert all(datetime.fromisoformat(line[:19]) for line in logged if line[:2] == "20")


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    folder = tmp_path / "0"
    with Screen([folder], live=False, log=tmp_path / "none" / "sweep.log"):
        row(folder, "budget")
    assert capsys.readouterr().out.startswith("[1/1] budget")


def test_the_live_line(tmp_path, capsys):
    screen = Screen([tmp_path / "0", tmp_path / "1"], live=True)
    with screen:
        row(tmp_path / "0", "budget")
        screen.look()
    out, err = capsys.readouterr()
    assert "1 done, 0 running, 0 failed, 1 waiting |" in err
    assert " left" in err
    assert "[1/2] budget" in out


def test_a_row_that_cannot_be_read_is_of_a_job_that_runs(tmp_path, capsys):
    screen = Screen([tmp_path], live=False)
    with screen:
        (tmp_path / "result.json").touch()
        screen.look()
        assert screen.running == 1
    assert capsys.readouterr().out == ""


def test_a_job_whose_first_trial_is_done_goes_on_while_it_is_held(tmp_path, capsys):
    folder = tmp_path / "0"
    folder.mkdir()
    with Screen([folder], live=False) as screen:
        with kept.held(folder):
            row(folder, "budget", trials=2)
            screen.look()
            assert screen.count() == "0 done, 1 running, 0 failed, 0 waiting"
        screen.look()
        assert screen.count() == "1 done, 0 running, 0 failed, 0 waiting"
    assert capsys.readouterr().out.count("[1/1]") == 1


def test_the_line_of_a_job(tmp_path):
    line = job_line({"status": "killed", "cell": "gru", "reason": "gone"}, tmp_path / "x", tmp_path)
    assert line == (
        "killed      cell=gru task=None learner=None seed=None, after 0 sequences, 0 s, x: gone"
    )


def test_the_line_of_a_job_of_many_trials(tmp_path):
    """With the time of all, and 'finished' whether the first was solved or not."""
    for number, (status, at) in enumerate((("budget", None), ("solved", 1000), ("solved", 3000))):
        row(tmp_path / str(number), status, sequences_to_solution=at)
        for name, seconds in (("run.yaml", 100), ("result.json", 110 + number)):
            (tmp_path / str(number) / name).touch()
            os.utime(tmp_path / str(number) / name, (seconds, seconds))
    line = job_line({"status": "budget", "trials": 3}, tmp_path, tmp_path)
    assert line.startswith("finished    cell=None")
    assert "2 of 3 trials solved, after 2,000 sequences on average, 12 s, ." in line
    row(tmp_path / "1", "failed", reason="no more")
    line = job_line({"status": "failed", "trials": 3, "reason": "no more"}, tmp_path, tmp_path)
    assert "1 of 3 trials solved, after 3,000 sequences on average, 1 failed, " in line
    line = job_line({"status": "killed", "trials": 3, "reason": "gone"}, tmp_path / "x", tmp_path)
    assert line.startswith("killed      cell=None")
    assert line.endswith(", 0 of 3 trials solved, x: gone")


def test_a_job_has_failed_if_one_of_its_trials_has(tmp_path, capsys):
    folder = tmp_path / "0"
    for place, status, reason in (("", "solved", None), ("trials/1", "failed", "no more")):
        (folder / place).mkdir(parents=True)
        row(folder / place, status, trials=2, reason=reason, sequences_to_solution=3)
    with Screen([folder], live=False) as screen:
        screen.waiting[folder] = None  # as if it were written now
        screen.look()
        assert screen.count() == "0 done, 0 running, 1 failed, 0 waiting"
    said = capsys.readouterr().out
    assert said.startswith("[1/1] failed      ")
    assert said.rstrip().endswith(": no more")


@pytest.mark.parametrize("size", [0, 3, 100_000])
def test_the_last_lines_of_a_log(size, tmp_path):
    (tmp_path / "log").write_text("x\n" * size)
    assert last_lines(tmp_path / "log") == ["x"] * min(size, LINES)
    assert last_lines(tmp_path / "none") == []
