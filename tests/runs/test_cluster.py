"""The launcher of a Dask cluster: what it refuses, and a search over two local workers."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lstmlab.runs import cluster

SCHEDULER = "tcp://127.0.0.1:8786"


def test_what_is_refused_before_anything_is_written(monkeypatch):
    launcher = {"_target_": cluster.DASK, "scheduler": None, "patience": 60}
    cluster.check({"_target_": "another"})
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'lstmlab\[dask\]'"):
        cluster.check(launcher)
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    monkeypatch.setattr(cluster, "_address", lambda given: given or "")
    for wrong in (None, "nonsense", "tcp://host"):
        with pytest.raises(ValueError, match="expected the address of a scheduler"):
            cluster.check({**launcher, "scheduler": wrong})
    with pytest.raises(ValueError, match=r"hydra\.launcher\.patience"):
        cluster.check({**launcher, "scheduler": SCHEDULER, "patience": 0})
    for right in (SCHEDULER, "host:8786"):
        cluster.check({**launcher, "scheduler": right})


@pytest.fixture
def address(tmp_path):
    """The address of a scheduler with two workers, in folders of their own."""
    pytest.importorskip("distributed")
    file, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    (tmp_path / "elsewhere").mkdir()
    workers = ["--nthreads", "1", "--nworkers", "2", "--local-directory", str(tmp_path / "dask")]
    with open(tmp_path / "dask.log", "ab") as log:
        started = [
            subprocess.Popen([*dask, *command, *common], cwd=folder, stdout=log, stderr=log)
            for command, folder in (
                (["scheduler", "--host", "127.0.0.1", "--port", "0"], tmp_path),
                (["worker", *workers], tmp_path / "elsewhere"),
            )
        ]
    while not file.exists():
        assert all(one.poll() is None for one in started), (tmp_path / "dask.log").read_text()
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"]
    for one in reversed(started):
        one.send_signal(signal.SIGTERM)
        one.wait()


@pytest.mark.slow
def test_a_search_over_two_workers(address, tmp_path):
    """The workers have another working folder than the sweep, which still holds all rows."""
    pytest.importorskip("optuna")
    typed = [
        "-m", "sweep=x", "hydra/sweeper=search", "hydra.sweeper.objective=test_loss",
        "optimizer.learning_rate=interval(0.1,1)", "hydra.sweeper.trials=2",
        "hydra.sweeper.at_once=2", "hydra/launcher=dask", "task.T=24", "trainer.budget=200",
        "trainer.window=100", "diagnostic=[]",
    ]  # fmt: skip
    outs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", "from lstmlab.app import main; main()", *typed],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "DASK_SCHEDULER_ADDRESS": address},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outs.append(done.stdout)
    rows = [json.loads(path.read_text()) for path in tmp_path.rglob("result.json")]
    assert [row["status"] for row in rows] == ["budget"] * 2
    assert "search: best of 2 trials" in outs[0]
    assert "search: 2 trials, 2 before, 0 to do" in outs[1]
