"""A sweep's jobs against processes that end as they please.

Whole sweeps are in tests/test_app.py.
"""

import importlib
import os
import shlex
import signal
import textwrap
import time
from pathlib import Path

import pytest

from lstmlab.results import Run
from lstmlab.runs import job, kept, sweep
from lstmlab.runs.sweep import STOP, Leader
from lstmlab.runs.warm import Warm


@pytest.fixture
def run(tmp_path) -> Run:
    """A run that has begun, in a folder of its own within the sweep's folder."""
    (tmp_path / "0").mkdir()
    run = Run(tmp_path / "0")
    run.begin(
        {"status": "running", "cell": "vanilla", "task": "adding", "learner": "bptt", "seed": 7}
    )
    return run


@pytest.fixture(autouse=True)
def _signals_as_before():
    """A job of a sweep blocks SIGINT in its thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def job_is(tmp_path, monkeypatch):
    """Let every job be Python code in a forked process; returns the folders that were started."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sweep, "Warm", lambda log: Warm(log, "any_job"))

    def write(code: str) -> None:
        lines = textwrap.indent(code, "    ")
        text = f"LATER = ()\n\ndef carry_out(folder, parent):\n{lines}\n"
        (tmp_path / "any_job.py").write_text(text)

    yield write
    for warm in sweep.warmed.values():
        warm.end()
    sweep.warmed.clear()


def test_a_process_that_ends_without_a_last_word_was_killed(run, job_is):
    job_is("return 3")
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    row = run.read_row()
    assert row["status"] == "killed"
    assert row["reason"] == "the process ended with exit code 3 before it could write its end"


def test_the_row_of_a_job_that_ended_by_itself_stays(run, job_is):
    job_is("return 0")
    run.write_row({"status": "solved", "sequences_to_solution": 12})
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    assert run.read_row() == {"status": "solved", "sequences_to_solution": 12}


def test_a_stopped_sweep_starts_no_job(run, job_is):
    job_is("return 0")
    (run.folder.parent / STOP).touch()
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    assert sweep.warmed == {}
    assert run.read_row()["status"] == "interrupted"
    assert run.read_row()["reason"] == "the sweep was stopped before this job began"


def test_a_sweep_that_stops_interrupts_its_job(run, job_is):
    """The job says that it is ready by making the file that stops the sweep.

    Then it waits for SIGINT.
    """
    stop = run.folder.parent / STOP
    job_is(
        "import os, pathlib, signal\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})\n"
        "signal.signal(signal.SIGINT, lambda *_: os._exit(130))\n"
        f"pathlib.Path({str(stop)!r}).touch()\n"
        "signal.pause()",
    )
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    row = run.read_row()
    assert row["status"] == "interrupted"
    assert row["reason"] == "the sweep was stopped; the process ended with exit code 130"


def test_jobs_of_one_process_write_to_their_own_logs_and_share_no_state(run, job_is):
    job_is("import sys\nprint(folder.name, hasattr(sys, 'before'))\nsys.before = True\nreturn 0")
    (run.folder.parent / "1").mkdir()
    second = Run(run.folder.parent / "1")
    second.begin({"status": "running"})
    forked = set()
    for name, other in (("0", run), ("1", second)):
        sweep.run_in_own_process(other, Leader(run.folder.parent), 0)
        assert (other.folder / "log.txt").read_text() == f"{name} False\n"
        forked |= {warm.process.pid for warm in sweep.warmed.values()}
    assert len(forked) == 1


def test_a_job_that_ends_before_its_process_is_read(tmp_path, job_is, monkeypatch):
    """Its two numbers wait together, and stay two."""
    job_is("return 7")
    answer = Warm._answer
    with open(tmp_path / "log.txt", "ab") as log, open(tmp_path / "lock", "w") as lock:
        warm = Warm(log, "any_job")

        def late(self):
            time.sleep(1)
            return answer(self)

        monkeypatch.setattr(Warm, "_answer", late)
        assert warm.fork(tmp_path, log, lock.fileno()) != 7
        assert warm.wait(10) == 7
        assert warm.end() == 0


def test_a_job_whose_working_folder_is_gone_says_so(run, job_is, tmp_path, monkeypatch):
    job_is("return 0")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(os, "getcwd", lambda: str(gone))
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    assert "FileNotFoundError" in (run.folder / "log.txt").read_text()
    assert "exit code 1" in run.read_row()["reason"]


def test_a_forking_process_that_is_killed_is_started_anew(run, job_is):
    """Its job loses its parent, and has time to write its end."""
    job_is(
        "import os, signal, time\n"
        "os.kill(parent, signal.SIGKILL)\n"
        "time.sleep(0.5)\n"
        "(folder / 'end').touch()\n"
        "return 0"
    )
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    assert (run.folder / "end").exists()
    row = run.read_row()
    assert row["reason"] == "the process ended with exit code -9 before it could write its end"
    assert sweep.warmed == {}


def test_other_threads_need_another_forking_process(run, job_is, monkeypatch):
    job_is("return 0")
    seen = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
        [(key, warm)] = sweep.warmed.items()
        seen.append((key, warm.process.pid))
    assert [key for key, _ in seen] == ["1", "2"]
    assert len({pid for _, pid in seen}) == 2


def test_a_forking_process_that_cannot_load_says_why_in_the_log(run, job_is):
    job_is("return 0")
    (run.folder.parent / "any_job.py").write_text("raise ImportError('no such library')")
    sweep.run_in_own_process(run, Leader(run.folder.parent), 0)
    assert "no such library" in (run.folder / "log.txt").read_text()
    assert "exit code 1" in run.read_row()["reason"]


def test_a_leader_that_is_gone_stops_its_jobs(tmp_path, monkeypatch):
    leader = Leader(tmp_path)
    assert (leader.gone(), leader.stops()) == (False, False)
    monkeypatch.setattr(os, "getppid", lambda: leader.pid + 1)
    assert (leader.gone(), leader.stops()) == (True, True)


def test_one_that_leads_itself_is_never_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "led", [tmp_path])
    leader, parent = Leader(tmp_path), os.getppid()
    monkeypatch.setattr(os, "getppid", lambda: parent + 1)
    assert (leader.gone(), leader.stops()) == (False, False)
    (tmp_path / STOP).touch()
    assert leader.stops()


def test_the_end_of_a_sweep(run, capsys):
    led = sweep.Led(run.folder.parent)
    led.end(None)  # no job: nothing to say
    assert capsys.readouterr().out == ""
    led.jobs.append(run.folder)
    with pytest.raises(RuntimeError, match=r"^1 of 1 jobs did not finish; the list above"):
        led.end(None)
    assert run.read_row()["reason"] == "the sweep ended before it"
    with pytest.raises(RuntimeError, match=r"^the sweep broke off: no more; 0 jobs had finished"):
        led.end(ValueError("no more. And that was all"))
    (run.folder.parent / STOP).touch()
    with pytest.raises(KeyboardInterrupt):
        led.end(None)
    os.close(led.file)


@pytest.mark.parametrize(
    ("lines", "published", "brief", "expected"),
    [
        (3, "", False, "a\na\na\nwritten"),
        (300, "", False, "a\n" * 300 + "written"),
        (3, "theirs", False, "a\na\na\nwritten\n\ntheirs"),
        (300, "theirs", False, "theirs\nwritten"),
        (300, "theirs", True, "written"),
    ],
)
def test_a_long_report_gives_way_to_that_of_the_published_rows(
    tmp_path, lines, published, brief, expected
):
    led = sweep.Led(tmp_path / "sweep")
    led.brief = brief
    assert led._told("a\n" * lines + "written", published) == expected
    os.close(led.file)


def test_the_end_of_a_sweep_says_how_to_open_its_event_files(run, capsys):
    led, events = sweep.Led(run.folder.parent), run.folder.parent / "tb"
    events.mkdir()
    led.jobs.append(run.folder)
    with pytest.raises(RuntimeError):
        led.end(None)
    [line] = [one for one in capsys.readouterr().out.splitlines() if "TensorBoard" in one]
    program, option, folder = shlex.split(line.removeprefix("TensorBoard: "))
    assert (Path(program).name, option) == ("tensorboard", "--logdir")
    assert Path(program).exists()
    assert Path(folder).samefile(events)
    os.close(led.file)


def test_the_end_of_a_sweep_leaves_a_job_that_still_runs(run, capsys):
    led = sweep.Led(run.folder.parent)
    led.jobs.append(run.folder)
    with kept.held(run.folder) as lock:
        assert lock is not None
        with pytest.raises(RuntimeError, match="1 of 1 jobs did not finish"):
            led.end(None)
    assert run.read_row()["status"] == "running"
    os.close(led.file)


def test_two_sweeps_in_one_folder(tmp_path):
    """The second is refused; the first one's end, however it comes, makes room."""
    first = sweep.Led(tmp_path / "sweep")
    (tmp_path / "sweep" / STOP).touch()
    with pytest.raises(ValueError, match=r"^sweep: expected a folder in which no other sweep runs"):
        sweep.Led(tmp_path / "sweep")
    assert (tmp_path / "sweep" / STOP).exists(), "the first one's"
    os.close(first.file)
    second = sweep.Led(tmp_path / "sweep")
    assert not (tmp_path / "sweep" / STOP).exists(), "that of a sweep that has ended"
    os.close(second.file)


@pytest.mark.parametrize("name", job.LATER)
def test_what_is_loaded_before_a_job_is_there(name):
    """A name that cannot be loaded is passed over in silence."""
    if name.startswith("numba"):
        pytest.importorskip("numba")
    importlib.import_module(name)
