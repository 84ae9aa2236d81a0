"""The command as a person uses it: through the real program, in an empty folder."""

import contextlib
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from composed import SMALL
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig

from lstmlab import app

PROGRAM = str(Path(sys.executable).parent / "lstmlab")
ENDLESS = (
    "trainer.budget=10000000",
    "trainer.window=100",
    "task.T=24",
    "probe=2",
    "task.criterion.sequences=1000000",
)
PARTS = ("task", "cell", "head", "learner", "trainer", "optimizer", "diagnostic")
NOTHING = (*SMALL, "diagnostic=[]")  # is measured
LITTLE = (*SMALL, "diagnostic=[example]")
PATIENCE = 180  # seconds until a test gives up: no measure of speed


def start(folder: Path, *arguments: str, name: str = "run") -> subprocess.Popen:
    """The command in a session of its own, as in a terminal of its own; what it says goes to files.

    Tests that run in the background have SIGINT ignored, and pass that on; a terminal does not.
    """
    with open(folder / f"{name}.out", "w") as out, open(folder / f"{name}.err", "w") as err:
        process = subprocess.Popen(
            [PROGRAM, *arguments], cwd=folder, stdout=out, stderr=err, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    started.append(process)
    return process


started: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """A test that fails leaves no process that another test would trip over."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finish(process: subprocess.Popen, folder: Path, name: str = "run") -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        code = process.wait(timeout=PATIENCE)
    finally:
        process.kill()
    return code, (folder / f"{name}.out").read_text(), (folder / f"{name}.err").read_text()


def command(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return finish(start(folder, *arguments), folder)


def rows(folder: Path) -> dict[Path, dict]:
    """Run folder -> row, of every run so far that has one."""
    found = {}
    for path in sorted(folder.rglob("result.json")):
        text = path.read_text()
        if text:  # a run that begins creates the file, and then fills it
            found[path.parent] = json.loads(text)
    return found


def wait_until(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def processes_about(folder: Path) -> list[int]:
    """Ids of all processes whose command line names a folder below `folder`, or that run in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            about = (
                str(folder).encode() in (entry / "cmdline").read_bytes()
                or (entry / "cwd").resolve() == folder
            )
        except OSError:
            continue
        if about:
            found.append(int(entry.name))
    return found


def the_line(stderr: str) -> str:
    """The one line for the user, on a stderr without a traceback."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line.startswith("lstmlab:")]
    assert len(lines) == 1, stderr
    return lines[0]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two runs of the same seed, started in the same moment in the same folder."""
    folder = tmp_path_factory.mktemp("twins")
    processes = [start(folder, *LITTLE, "seed=1", name=name) for name in ("a", "b")]
    return folder, [
        finish(process, folder, name) for process, name in zip(processes, "ab", strict=True)
    ]


def test_run_ends_with_a_summary_a_row_and_a_picture(twins):
    folder, results = twins
    for code, out, err in results:
        assert code == 0, err
        assert "Traceback" not in err
        first, second, third = err.splitlines()[:3]
        assert first.startswith("building task adding, cell lstm1997, learner truncated1997, ")
        assert second.startswith("trainer=auto: ")
        assert third == "measuring, and compiling the training"
        assert len(err) < 2000, "greetings of libraries belong into the log"
        for word in (
            "result ",
            "not solved in 200 sequences",
            "of 2560 wrong",
            "picture.png",
            "tensorboard --logdir outputs/",
        ):
            assert word in out
        run = folder / next(line.split()[1] for line in out.splitlines() if line.startswith("run "))
        assert (run / "picture.png").read_bytes().startswith(b"\x89PNG")
        assert json.loads((run / "result.json").read_text())["status"] == "budget"


def test_runs_of_one_moment_take_two_folders_and_agree(twins):
    folder, _ = twins
    found = rows(folder)
    assert len(found) == 2
    assert {row["sequences"] for row in found.values()} == {200}
    measured = ("seconds", "peak_memory_mb")
    first, second = ({k: v for k, v in row.items() if k not in measured} for row in found.values())
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fast"], ["--fast", "expected"]),
        (["--cfg", "everything"], ["everything", "choose from"]),
        (["fast"], ["name=value", "'fast'"]),
        (["speed=3"], ["no such setting", "expected", "speed=3"]),
        (["task.TT=3"], ["task: no such setting of Adding; expected one of T, ", "task.TT=3"]),
        (["task=nosuch"], ["expected one of adding, adding_modern, ", "task=nosuch"]),
        *(([f"{part}=null"], [f"{part}: expected one of ", f"{part}=null"]) for part in PARTS),
        (["cell="], ["cell: expected one of cascade, ", "cell="]),
        (["task=3"], ["task: expected one of adding, ", "task=3"]),
        (["outputs="], ["outputs: expected the name of a folder", "outputs=''"]),
        (["outputs=null"], ["outputs: expected the name of a folder", "outputs=None"]),
        (["outputs='~/x'"], ["without ~, as /", "outputs='~/x'"]),
        (["seed="], ["expected an integer >= 0", "seed=''"]),
        (["seed=null"], ["expected an integer >= 0", "seed=None"]),
        (["probe="], ["expected a positive integer", "probe=''"]),
        (["threads=0"], ["lstmlab: threads: expected an integer in 1..", "threads=0"]),
        (["cell.foo=1"], ["cell: no such setting of ", " expected one of units, ", "cell.foo=1"]),
        (["tasc=adding"], ["(nearest: task)", "tasc=adding"]),
        (["optimizer.lerning_rate=1"], ["(nearest: optimizer.learning_rate)"]),
        (["task=csv", "task.sepratr=x"], ["(nearest: task.separator)"]),
        (["+lerning_rate=0.1"], ["(nearest: optimizer.learning_rate)", "+lerning_rate=0.1"]),
        (["+optimiser.learning_rate=1"], ["(nearest: optimizer.learning_rate)"]),
        (["+model=lstm"], ["(nearest: cell=lstm1997)", "Received: +model=lstm"]),
        (["++x=1"], ["expected task, cell, ", "Received: ++x=1"]),
        (["+hydra.foo=1"], ["hydra: no such setting", "Received: +hydra.foo=1"]),
        (["+hydra.sweeep.dir=x"], ["(nearest: sweep)", "Received: hydra.sweeep"]),
        (["+hydra.job.env_set.A=1", "threads=0"], ["lstmlab: threads: expected"]),
        (["+hydra.run.dirr=x"], ["hydra.run: no such setting", "Received: +hydra.run.dirr=x"]),
        (["-m", "seed=0,1", "+hydra.foo=1"], ["hydra: no such setting", "+hydra.foo=1"]),
        (["-m", "+lerning_rate=1,2"], ["(nearest: optimizer.learning_rate)"]),
        (["-m", "+lerning_rate=1", "seed=0,1"], ["(nearest: optimizer.learning_rate)"]),
        (["seed=0", "-m", "--cfg", "job"], ["Only one of --run, --multirun, --cfg"]),
        (["task.file=~/x.csv"], ["""as in 'task.file="~/x.csv"'"""]),
        (["task.target=pH (units)"], ["""as in 'task.target="pH (units)"'"""]),
        (["task.file=/d/a,b.csv"], ["lstmlab -m", """as in 'task.file="/d/a,b.csv"'"""]),
        (["task.separator=;"], ["""as in 'task.separator=";"'"""]),
        (
            ["experiment=hs97/nosuch"],
            ["expected one of chunker/stream, ", "experiment=hs97/nosuch"],
        ),
        (["seed=0,1"], ["lstmlab -m", "seed=0,1"]),
        (
            ["cell.input_gate.bias=[-1,-2]"],
            ["cell.input_gate.bias: expected", "replaces it whole", "bias=[-1,-2]"],
        ),
        (["outputs=file/below"], ["expected a folder that can be written", "file/below"]),
        (
            ["-m", "seed=0,1", "outputs=file/below"],
            ["expected a folder that can be written", "file/below"],
        ),
        (["-m", "seed=range(3,0)"], ["at least one value", "Received: seed=range(3,0)"]),
        (["-m", "seed=0,1", "sweep=a/b"], ["a name without /", "sweep='a/b'"]),
        (["-m", "seed=0,1", "again=all"], ["null, or older", "again='all'"]),
        (
            ["-m", "seed=0,1", "hydra/launcher=submitit_none"],
            ["one of basic, dask, joblib", "'lstmlab[cluster]'`", "=submitit_none"],
        ),
        (
            ["-m", "seed=0,1", "hydra/launcher=basic", "hydra.launcher.n_jobs=2"],
            ["hydra/launcher=basic has no such setting", "launcher.n_jobs=2"],
        ),
        (["-m", "seed=0,1", "hydra/launcher=joblob"], ["(nearest: joblib)", "=joblob"]),
        (["-m", "cell=vanilla,nosuch"], ["expected one of cascade, chrono, ", "cell=nosuch"]),
        (["hydra.run.dir=used"], ["expected a folder without a run", "used"]),
        (["hydra.run.dir=begun"], ["expected a folder without a run", "begun"]),
        (["hydra.run.dir=file"], ["file: expected a folder that can be written"]),
    ],
)
def test_bad_command_lines_are_one_line(arguments, words, tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "result.json").write_text('{"status": "solved", "sequences": 5}')
    (tmp_path / "begun" / ".hydra").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command(tmp_path, *arguments)
    assert code == 1
    wrote = {*tmp_path.rglob("*")} - {*before, tmp_path / "run.out", tmp_path / "run.err"}
    # Hydra finds an option of a sweep missing when the sweep has begun
    assert not wrote or "cell=vanilla,nosuch" in arguments, "refused before anything is written"
    line = the_line(err)
    assert err.strip() == line
    assert all(word in line for word in words), line
    assert out == ""
    assert json.loads((tmp_path / "used" / "result.json").read_text())["sequences"] == 5
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
def test_the_usual_variables_bound_the_cores(name, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    for other in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    assert app._cores() == 4
    for value, cores in (("1", 1), ("3", 3), ("99", 4), ("0", 4), ("many", 4)):
        monkeypatch.setenv(name, value)
        assert app._cores() == cores


def test_flags_may_stand_among_the_settings(tmp_path):
    outs = [
        command(tmp_path, *arguments)
        for arguments in (
            ["--cfg", "job", "seed=7", "cell=gru"],
            ["seed=7", "--cfg", "job", "cell=gru"],
            ["seed=7", "cell=gru", "--cfg=job"],
        )
    ]
    assert outs[0] == outs[1] == outs[2]
    assert "seed: 7" in outs[0][1]


def test_traceback_when_asked_for(tmp_path):
    asked = subprocess.run(
        [PROGRAM, "task=nosuch"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "HYDRA_FULL_ERROR": "1"},
    )
    assert asked.returncode == 1
    assert "Traceback" in asked.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_answers_without_tensorflow(arguments, tmp_path):
    code = "import sys; from lstmlab.app import main\ntry: main()\n"
    code += "finally: print(sorted(HEAVY & set(sys.modules)))"
    code = code.replace(
        "HEAVY", "{'tensorflow', 'keras', 'pandas', 'matplotlib', 'scipy', 'numpy'}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert "[]" in done.stdout.splitlines()[-1], done
    assert (
        "embedded_reber" in done.stdout
        if arguments == ["--help"]
        else "learning_rate" in done.stdout
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_bad_setting_and_divergence(tmp_path):
    """Both need TensorFlow, so they share the time.

    Found by the classes themselves, and found in training.
    """
    cases = {
        "bad": ("cell.block_size=3",),
        "nan": (
            *SMALL,
            "optimizer.learning_rate=1e30",
            "diagnostic=[]",
            "trainer.window=50",
            "trainer.steps_per_execution=10",
        ),
    }
    for name in cases:
        (tmp_path / name).mkdir()
    processes = {name: start(tmp_path / name, *arguments) for name, arguments in cases.items()}
    ends = {name: finish(process, tmp_path / name) for name, process in processes.items()}
    assert {code for code, _, _ in ends.values()} == {1}
    assert not list((tmp_path / "bad").glob("outputs")), "refused before anything is written"
    assert the_line(ends["bad"][2]).endswith(
        ": GatedCell: expected a divisor of units=4, one of [1, 2, 4]. Received: block_size=3"
    )
    assert ends["bad"][1] == ""
    assert "Received: optimizer.learning_rate=1e+30" in the_line(ends["nan"][2])
    assert "failed after" in ends["nan"][1]
    [(folder, row)] = rows(tmp_path / "nan").items()
    assert row["status"] == "failed"
    assert row["reason"] in the_line(ends["nan"][2])
    assert "Traceback" in (folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_full_disk(tmp_path):
    """No file may grow beyond 40,000 bytes, as the weights do: the row and the last line say so."""
    large = ("cell=vanilla", "cell.units=80", "learner=bptt", "trainer.jit_compile=false")
    arguments = [*SMALL, *large, "diagnostic=[]", "hydra.run.dir=run"]
    limit = (resource.RLIMIT_FSIZE, (40_000, 40_000))
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(*limit),
    )
    assert done.returncode == 1
    weights = f"{tmp_path}/run/model.weights.h5"
    assert the_line(done.stderr) == (
        f"lstmlab: {weights}: expected a file that can be written. Received: File too large"
    )
    assert "failed after 200 sequences" in done.stdout
    assert not os.path.exists(weights)
    row = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (row["status"], row["reason"]) == ("failed", the_line(done.stderr)[len("lstmlab: ") :])


@pytest.mark.slow
def test_interrupted_runs(tmp_path):
    """Ctrl-C in one, and in another the signal that ends programs when a machine is shut down."""
    for how in (signal.SIGINT, signal.SIGTERM):
        (tmp_path / how.name).mkdir()
    processes = {
        how: start(tmp_path / how.name, *ENDLESS, "diagnostic=[]")
        for how in (signal.SIGINT, signal.SIGTERM)
    }
    for how, process in processes.items():
        wait_until(
            lambda how=how: any(
                row["sequences"] >= 300 for row in rows(tmp_path / how.name).values()
            ),
            process,
        )
        process.send_signal(how)
    for how, process in processes.items():
        code, out, err = finish(process, tmp_path / how.name)
        assert code == 130
        assert "interrupted" in the_line(err)
        [(folder, row)] = rows(tmp_path / how.name).items()
        assert row["status"] == "interrupted"
        history = pd.read_csv(folder / "history.csv")["sequences"]
        assert history.tolist() == list(range(100, row["sequences"] + 1, 100))
        assert f"interrupted after {row['sequences']:,} sequences" in out
        assert (folder / "model.weights.h5").exists()
        assert (folder / "picture.png").exists()


@pytest.mark.slow
def test_sweep_in_which_a_job_is_killed(twins, tmp_path):
    """The other three rows are complete, the same as alone, and the report is written."""
    sweep = [setting for setting in SMALL if "budget" not in setting]
    process = start(
        tmp_path,
        "-m",
        "cell=vanilla,lstm1997",
        "seed=0,1",
        *sweep,
        "trainer.budget=200",
        "hydra.launcher.n_jobs=2",
    )
    victim = []

    def job_zero_trains():
        for folder in rows(tmp_path):
            if folder.name.startswith("adding-vanilla-0-") and not victim:
                victim.extend(jobs_in(folder))
        return bool(victim)

    wait_until(job_zero_trains, process)
    os.kill(victim[0], signal.SIGKILL)
    code, out, err = finish(process, tmp_path)
    found = {(row["cell"], row["seed"]): row for row in rows(tmp_path).values()}
    assert {name: row["status"] for name, row in found.items()} == {
        ("vanilla", 0): "killed",
        ("vanilla", 1): "budget",
        ("lstm1997", 0): "budget",
        ("lstm1997", 1): "budget",
    }
    assert "exit code -9" in found["vanilla", 0]["reason"]
    assert found["vanilla", 0]["task.T"] == 24
    assert code == 1
    assert "1 of 4 jobs did not finish" in the_line(err)
    assert "killed      cell=vanilla task=adding" in out, "in the list of jobs"
    assert "- killed: " in out, "in the report"
    for folder, row in rows(tmp_path).items():
        assert (folder / "picture.png").exists() == (row["status"] == "budget")
    for name in ("report.md", "report.csv", "report.png"):
        assert list(tmp_path.glob(f"outputs/sweeps/*/{name}"))
    alone = next(iter(rows(twins[0]).values()))
    differ = {name for name, value in alone.items() if found["lstm1997", 1].get(name) != value}
    assert differ <= {"seconds", "peak_memory_mb"}


@pytest.mark.slow
def test_ctrl_c_in_a_sweep(tmp_path):
    """As a terminal sends it: to all processes of the group.

    Every job leaves a row, and no process is left.
    """
    process = start(
        tmp_path, "-m", "seed=0,1,2", *ENDLESS, "diagnostic=[]", "hydra.launcher.n_jobs=2"
    )
    wait_until(
        lambda: sum(row["sequences"] >= 200 for row in rows(tmp_path).values()) == 2, process
    )
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = finish(process, tmp_path)
    assert code == 130
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].startswith("lstmlab: interrupted")
    found = list(rows(tmp_path).values())  # sorted by the names of folders, which have the seed
    assert [row["status"] for row in found] == ["interrupted"] * 3
    assert [row["sequences"] >= 200 for row in found] == [True, True, False]
    assert found[2]["reason"] == "the sweep was stopped before this job began"
    for folder, row in list(rows(tmp_path).items())[:2]:
        assert pd.read_csv(folder / "history.csv")["sequences"].max() == row["sequences"]
    end = time.monotonic() + PATIENCE
    while processes_about(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes_about(tmp_path)


@pytest.mark.slow
def test_the_end_of_the_leader_ends_its_jobs(tmp_path):
    process = start(
        tmp_path, "-m", "seed=0,1,2", *ENDLESS, "diagnostic=[]", "hydra.launcher.n_jobs=2"
    )
    wait_until(
        lambda: sum(row["sequences"] >= 200 for row in rows(tmp_path).values()) == 2, process
    )
    process.kill()
    process.wait()
    end = time.monotonic() + PATIENCE
    while processes_about(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes_about(tmp_path)
    assert [row["status"] for row in rows(tmp_path).values()] == ["interrupted"] * 2


# by Keras: a job then takes long enough to be killed
FOUR = ("-m", "sweep=four", "cell=vanilla,gru", "seed=0,1", "trainer=keras_fit", *NOTHING)


def sweep_of_four(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return command(folder, *FOUR, *arguments)


def without_costs(found: dict[Path, dict]) -> dict[str, dict]:
    """Name of the folder -> row without what differs from run to run."""
    costs = ("seconds", "peak_memory_mb")
    return {
        folder.name: {name: value for name, value in row.items() if name not in costs}
        for folder, row in found.items()
    }


def files_in(folder: Path) -> dict[Path, int]:
    """The files of finished runs, and when each was written."""
    found = [row.parent for row in folder.rglob("result.json")]
    return {path: path.stat().st_mtime_ns for run in found for path in run.rglob("*")}


@pytest.mark.slow
def test_the_same_command_finishes_a_sweep(tmp_path):
    """Killed at its job, at its worker, at its leader; the rows are those of a sweep left alone."""
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    for folder in (alone, disturbed):
        folder.mkdir()
    code, out, err = sweep_of_four(alone)
    assert code == 0, err
    assert "sweep: 4 jobs, 0 finished before and skipped, 4 to do, in outputs/sweeps/four" in out
    expected = without_costs(rows(alone))
    assert len(expected) == 4

    for who in ("job", "forking process", "worker", "leader"):
        process = start(disturbed, *FOUR)
        wait_until(lambda: jobs_in(disturbed), process)
        job = jobs_in(disturbed)[0]
        forking = parent(job)
        victims = {"job": job, "forking process": forking, "worker": parent(forking)}
        os.kill(victims.get(who, process.pid), signal.SIGKILL)
        code, out, _ = finish(process, disturbed)
        assert code != 0
    code, out, err = sweep_of_four(disturbed)
    assert code == 0, err
    assert without_costs(rows(disturbed)) == expected
    before = files_in(disturbed)
    code, out, err = sweep_of_four(disturbed)
    assert code == 0, err
    assert "4 finished before and skipped, 0 to do" in out
    code, out, err = sweep_of_four(disturbed, "seed=1,0,2", "threads=1")
    assert "sweep: 6 jobs, 4 finished before and skipped, 2 to do" in out
    assert {path: when for path, when in files_in(disturbed).items() if path in before} == before
    assert len(rows(disturbed)) == 6


def jobs_in(folder: Path) -> list[int]:
    """The processes that were forked for runs in or below a folder, and hold their locks."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if not is_warm(process) or not is_warm(Path("/proc", str(parent(int(process.name))))):
                continue
            held = [os.readlink(file) for file in (process / "fd").iterdir()]
            if any(file.startswith(f"{folder}/") and file.endswith("/.lock") for file in held):
                found.append(int(process.name))
    return found


def is_warm(process: Path) -> bool:
    return b"lstmlab.runs.warm" in (process / "cmdline").read_bytes()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_other_launchers(launcher, tmp_path):
    """With the process moved into the folder of the job, and without Hydra's own files."""
    if launcher == "submitit_local":
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    moved = (f"hydra/launcher={launcher}", "hydra.job.chdir=True", "hydra.output_subdir=null")
    code, out, err = sweep_of_four(tmp_path, *moved)
    assert code == 0, err
    found = rows(tmp_path)
    assert [row["status"] for row in found.values()] == ["budget"] * 4
    assert all((folder / "run.yaml").exists() for folder in found)
    assert not list(tmp_path.rglob(".hydra"))
    code, out, err = sweep_of_four(tmp_path)
    assert "4 finished before and skipped, 0 to do" in out, "by another launcher"


@pytest.mark.slow
def test_ctrl_c_where_jobs_are_in_their_folders(tmp_path):
    """The file that stops a sweep is found from there too."""
    process = start(tmp_path, "-m", "seed=0,1", *ENDLESS, "diagnostic=[]", "hydra.job.chdir=True")
    wait_until(lambda: any(row["sequences"] >= 200 for row in rows(tmp_path).values()), process)
    os.kill(process.pid, signal.SIGINT)
    code, _, err = finish(process, tmp_path)
    assert code == 130
    assert "interrupted" in err
    assert {row["status"] for row in rows(tmp_path).values()} == {"interrupted"}


@pytest.mark.slow
def test_a_second_sweep_in_the_same_folder_is_refused(tmp_path):
    process = start(tmp_path, "-m", "sweep=one", "seed=0,1", *ENDLESS, "diagnostic=[]")
    wait_until(lambda: any(row["sequences"] >= 200 for row in rows(tmp_path).values()), process)
    (tmp_path / "other").mkdir()
    sweep = tmp_path / "outputs" / "sweeps" / "one"
    composed = {path: path.read_bytes() for path in sweep.rglob("*.yaml")}
    second = ("-m", f"hydra.sweep.dir={sweep}", "seed=0,1,2", *ENDLESS)
    code, _, err = command(tmp_path / "other", *second)
    assert code == 1
    assert "expected a folder in which no other sweep runs now" in the_line(err)
    assert {path: path.read_bytes() for path in sweep.rglob("*.yaml")} == composed
    os.kill(process.pid, signal.SIGINT)
    assert finish(process, tmp_path)[0] == 130


@pytest.mark.parametrize(("overrides", "name"), [((), "adding"), (("~task",), "custom")])
def test_a_part_without_an_option_is_custom_in_the_names_of_folders(overrides, name):
    with initialize_config_module("lstmlab.conf", version_base="1.3"):
        composed = compose("config", list(overrides), return_hydra_config=True)
    importlib.import_module("lstmlab.runs.begin")  # as the program does
    HydraConfig.instance().set_config(composed)
    assert f"-{name}-lstm1997-0" in composed.hydra.run.dir
    assert re.fullmatch(rf"{name}-lstm1997-0-[0-9a-f]{{10}}", composed.hydra.sweep.subdir)
