"""Which jobs of a sweep are to do, by what is in their folders; which folders no job can have."""

import json
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import OmegaConf

from lstmlab import __version__
from lstmlab.runs import kept
from lstmlab.runs.kept import Kept
from lstmlab.runs.launch import Planned, Remembering, Resuming, check_names, sort


def job(seed: int, name: str | None = None, **settings) -> Planned:
    return Planned([f"seed={seed}"], name or f"run-{seed}", {"seed": seed, "trials": 1, **settings})


def left(sweep: Path, one: Planned, status: str, version: str = __version__) -> Path:
    """The folder of a job as a run leaves it."""
    folder = sweep / one.name
    folder.mkdir()
    kept.write(folder, Kept(one.settings, {}, {}))
    row = {"status": status, "sequences_to_solution": 5, "version.lstmlab": version}
    (folder / "result.json").write_text(json.dumps(row))
    return folder


def test_what_is_not_finished_is_to_do(tmp_path):
    statuses = ("solved", "failed", "budget", "killed", "interrupted", "running", "killed")
    jobs = [job(seed) for seed in range(9)]
    for one, status in zip(jobs, statuses, strict=False):
        left(tmp_path, one, status)
    (tmp_path / "run-7").mkdir()  # one that wrote nothing
    (tmp_path / "run-1" / "result.json").write_text('{"status": "sol')
    found = sort(jobs, tmp_path)
    assert [one.name for one in found.todo] == [f"run-{seed}" for seed in (1, 3, 4, 5, 6, 7, 8)]
    assert {folder.name for folder in found.skipped} == {"run-0", "run-2"}
    assert found.before == {"unreadable": 1, "killed": 2, "interrupted": 1, "running": 1}
    line = found.line(9, "outputs/x")
    assert line.startswith("sweep: 9 jobs, 2 finished before and skipped, 7 to do (before: ")
    assert "2 killed" in line
    assert line.endswith("in outputs/x")


def test_of_two_equal_jobs_one_is_done(tmp_path):
    assert [one.name for one in sort([job(0), job(1), job(0)], tmp_path).todo] == ["run-0", "run-1"]


def test_many_trials_are_finished_together(tmp_path):
    one = job(0, trials=2)
    folder = left(tmp_path, one, "solved")
    assert sort([one], tmp_path).todo == [one]
    (folder / "trials" / "1").mkdir(parents=True)
    (folder / "trials" / "1" / "result.json").write_text('{"status": "budget"}')
    assert sort([one], tmp_path).todo == []


def test_a_run_of_another_version_is_kept_unless_asked(tmp_path):
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    jobs = [job(0), job(1)]
    left(sweep, jobs[0], "solved", "0.0.1")
    left(sweep, jobs[1], "solved")
    found = sort(jobs, sweep)
    assert (found.todo, found.older) == ([], {"0.0.1": 1})
    assert "kept, though of another version of lstmlab: 1 of 0.0.1 (again=older" in found.line(
        2, "x"
    )
    found = sort(jobs, sweep, "older")
    assert (found.todo, found.older) == (jobs[:1], {})
    assert not (sweep / "run-0").exists()
    moved = tmp_path / "sweep.older" / "0.0.1" / "run-0" / "result.json"
    assert json.loads(moved.read_text())["status"] == "solved", "aside, not overwritten"


def test_a_folder_with_a_run_of_other_settings_is_refused(tmp_path):
    left(tmp_path, job(0), "killed")
    with pytest.raises(ValueError, match=r"^sweep: expected a folder without a run of other setti"):
        sort([job(1, "run-0")], tmp_path)
    assert sort([job(0, threads=3)], tmp_path).before == {"killed": 1}, "the same but for threads"


@pytest.mark.parametrize("name", [".", "..", "../x", "/x", "x" * 256, "a/" + "ö" * 128])
def test_folders_that_no_job_can_have(name, tmp_path):
    with pytest.raises(ValueError, match=r"^sweep: expected .* Received: hydra\.sweep\.subdir="):
        check_names([job(0, name)], tmp_path)


def test_two_jobs_of_other_settings_have_two_folders(tmp_path):
    check_names([job(0, "x" * 255), job(0, "x" * 255), job(1, "y/z")], tmp_path)
    with pytest.raises(ValueError, match="expected a folder of its own for each job"):
        check_names([job(0, "x"), job(1, "x")], tmp_path)


class Loader:
    """Composes the config of a job from `seed=K`, as Hydra would."""

    def __init__(self):
        self.composed = []

    def load_sweep_config(self, master_config, sweep_overrides):
        self.composed.append(sweep_overrides)
        seed = int(sweep_overrides[0].partition("=")[2])
        return OmegaConf.merge(master_config, {"seed": seed})


class Launched:
    """A launcher that keeps what it is given."""

    def setup(self, *, hydra_context, task_function, config):
        self.context, self.jobs = hydra_context, []

    def launch(self, job_overrides, initial_job_idx):
        self.jobs += job_overrides
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=job) for job in job_overrides]


def test_a_launcher_gets_what_is_to_do_and_each_job_its_answer(tmp_path, monkeypatch):
    from hydra.core.hydra_config import HydraConfig

    monkeypatch.setattr(HydraConfig, "set_config", lambda self, config: None)
    config = OmegaConf.create(
        {
            "seed": 0,
            "trials": 1,
            "again": None,
            "hydra": {
                "sweep": {"dir": str(tmp_path), "subdir": "run-${seed}"},
                "job": {"name": "lstmlab", "id": None, "num": None},
            },
        }
    )
    left(tmp_path, job(1), "solved")
    loader, inner, seen = Loader(), Launched(), []

    def carry_out(folders, found, call):
        seen.extend(folders)
        return call()

    context = HydraContext(config_loader=loader, callbacks=None)
    launcher = Resuming(inner, carry_out)
    launcher.setup(hydra_context=context, task_function=None, config=config)
    assert isinstance(context.config_loader, Remembering)
    assert inner.context.config_loader is loader, "what goes to workers is Hydra's own"
    jobs = [["seed=0"], ["seed=1"], ["seed=2"]]
    for one in jobs:  # as the sweeper checks them
        context.config_loader.load_sweep_config(config, one)
    answers = launcher.launch(jobs, 0)
    assert loader.composed == jobs, "each is composed once"
    assert inner.jobs == [
        ["seed=0", "hydra.sweep.subdir='run-0'"],
        ["seed=2", "hydra.sweep.subdir='run-2'"],
    ]
    assert [folder.name for folder in seen] == ["run-0", "run-1", "run-2"]
    assert [one.return_value for one in answers] == [inner.jobs[0], None, inner.jobs[1]]
