"""Several trials of one setting: rows, folders, and what each is by itself."""

import json

import numpy as np
import pytest
from composed import NO_DIAGNOSTICS

from lstmlab import report, results
from lstmlab.config import compose as composed
from lstmlab.report import curves
from lstmlab.results import Run
from lstmlab.runs import train, trials
from lstmlab.runs.build import reopen
from lstmlab.runs.screen import job_line
from lstmlab.runs.settings import check_plain
from lstmlab.runs.train import RunError

pytest.importorskip("numba")

SMALL = ("task.T=24", "trainer.window=50", "trainer.budget=100", "seed=4", "trials=3")
MEASURED = ("seconds", "peak_memory_mb", "trials")
KERAS = ("trainer=keras_fit", "trainer.steps_per_execution=10", "trainer.jit_compile=false")


def carried_out(folder, *overrides):
    config, choices = composed(*SMALL, *overrides)
    return trials.run(config, folder, choices, progress=False)


def plain(row):
    return {name: value for name, value in row.items() if name not in MEASURED}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    return folder, carried_out(folder, "trainer=native")


def test_a_row_and_a_folder_for_each(three):
    folder, row = three
    table = results.load(folder)
    assert table["seed"].tolist() == [4, 5, 6]
    assert table["run"].tolist() == [str(folder), *(str(folder / "trials" / s) for s in "56")]
    assert set(table["status"]) == {"budget"}
    assert table["test_error"].nunique() == 3
    assert row == json.loads((folder / "result.json").read_text())
    for run in table["run"]:
        assert Run(run).read("history")["sequences"].tolist() == [50, 100]


def test_the_first_is_shown_and_the_others_are_not(three):
    folder, _ = three
    shown = {"tb", "picture.png", "error_flow.csv", "trials.png", "report.md"}
    assert {path.name for path in folder.iterdir()} >= shown
    others = {path.name for path in (folder / "trials" / "5").iterdir()}
    assert others == {".hydra", "result.json", "history.csv", "model.weights.h5"}


@pytest.mark.slow
def test_each_is_the_run_of_its_seed(three, tmp_path):
    folder, _ = three
    for seed, other in ((4, folder), (6, folder / "trials" / "6")):
        config, choices = composed(*SMALL, "trainer=native", f"seed={seed}", "trials=1")
        quiet = {} if seed == 4 else {"diagnostic": {}}
        (tmp_path / str(seed)).mkdir()
        row = train.run({**config, **quiet}, tmp_path / str(seed), choices, progress=False)
        assert plain(row) == plain(Run(other).read_row())


def test_one_of_many_can_be_opened_again(three):
    folder, _ = three
    opened = reopen(folder / "trials" / "5")
    assert (opened.config["seed"], opened.config["trials"]) == (5, 1)
    x, y, w = next(iter(opened.task.sets(5)["test"]))
    error = np.abs(opened.model.answers(x) - y)[w > 0].mean()
    np.testing.assert_allclose(error, opened.row["test_error"], rtol=1e-4)


@pytest.mark.slow
def test_more_are_shown_on_request(tmp_path):
    carried_out(tmp_path, "trainer=native", "trials_shown=2", "trials=2")
    assert (tmp_path / "trials" / "5" / "picture.png").exists()


@pytest.mark.slow
def test_one_after_the_other_with_keras(tmp_path):
    carried_out(tmp_path, *KERAS, *NO_DIAGNOSTICS, "trials=2", "trainer.budget=50")
    table = results.load(tmp_path)
    assert table["seed"].tolist() == [4, 5]
    assert set(table["status"]) == {"budget"}


@pytest.mark.slow
def test_each_has_levels_of_its_own_as_by_keras(tmp_path):
    """The first trial has a second level when it is tested, the other one has not."""
    levels = ("experiment=hs97/2a_noise_free_lag_chunker_levels", "task.p=6", "learner.window=20")
    levels += ("learner.patience=1", "learner.improvement=0.1", "seed=6", "trials=2")
    tables = []
    for trainer in (("trainer=native",), KERAS):
        folder = tmp_path / trainer[0]
        folder.mkdir()
        config, choices = composed(*SMALL[1:3], *levels, *trainer, *NO_DIAGNOSTICS)
        trials.run(config, folder, choices, progress=False)
        tables.append(results.load(folder))
    native, keras_fit = tables
    assert keras_fit["levels"].nunique() == 2
    for name in ("levels", "unexpected_1", "unexpected_2", "sequences", "status", "test_wrong"):
        assert native[name].tolist() == keras_fit[name].tolist()
    np.testing.assert_allclose(native["test_error"], keras_fit["test_error"], rtol=1e-4)


def test_a_trial_that_explodes_costs_no_other(tmp_path, monkeypatch):
    """Its row says why; the others end as always."""
    checked = train.Job._check_finite

    def stumble(job, before, prediction, w):
        if job.seed == 5 and before == 50:
            prediction = prediction * np.nan
        checked(job, before, prediction, w)

    monkeypatch.setattr(train.Job, "_check_finite", stumble)
    with pytest.raises(RunError, match="1 of 3 trials failed; seed 5: training: the prediction is"):
        carried_out(tmp_path, "trainer=native", *NO_DIAGNOSTICS)
    table = results.load(tmp_path).set_index("seed")
    assert table["status"].to_dict() == {4: "budget", 5: "failed", 6: "budget"}
    assert table.loc[5, "sequences"] in (50, 100)
    assert (tmp_path / "trials" / "5" / "history.csv").exists()


def test_ctrl_c_keeps_every_row(tmp_path, monkeypatch):
    observed = train.Job.observe

    def interrupt(job, *window):
        if job.seed == 5:
            raise KeyboardInterrupt
        return observed(job, *window)

    monkeypatch.setattr(train.Job, "observe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path, "trainer=native", *NO_DIAGNOSTICS)
    table = results.load(tmp_path)
    assert set(table["status"]) == {"interrupted"}
    assert len(table) == 3


def test_ctrl_c_leaves_a_picture_of_what_there_is(tmp_path, monkeypatch):
    observed = train.Job.observe

    def interrupt(job, *window):
        if job.row["sequences"] == 50:
            raise KeyboardInterrupt
        return observed(job, *window)

    monkeypatch.setattr(train.Job, "observe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path, "trainer=native", *NO_DIAGNOSTICS)
    assert (tmp_path / "trials.png").exists()
    assert "3 interrupted" in report.summary_of_trials(tmp_path)


def test_a_fault_in_drawing_costs_one_line(tmp_path, monkeypatch, capsys):
    def fault(*arguments):
        raise ArithmeticError("no\nroom")

    monkeypatch.setattr(curves, "draw", fault)
    row = carried_out(tmp_path, "trainer=native", *NO_DIAGNOSTICS)
    assert row["status"] == "budget"
    line = f"report: left out, no room; `lstmlab-report {tmp_path}` draws it\n"
    assert capsys.readouterr().err.endswith(line)
    assert "0 of 3 trials solved" in report.summary_of_trials(tmp_path)


def test_the_line_of_a_job_counts_the_solved_trials(three, tmp_path):
    folder, row = three
    assert ", 0 of 3 trials solved, " in job_line(row, folder)
    for place, status in ((tmp_path, "budget"), (tmp_path / "trials" / "5", "solved")):
        place.mkdir(parents=True, exist_ok=True)
        Run(place).write_row({**row, "status": status, "sequences_to_solution": 70})
    assert ", 1 of 3 trials solved, " in job_line(row, tmp_path)
    assert "trials" not in job_line({**row, "trials": 1}, tmp_path / "one")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("trials=0", "expected a positive integer"),
        ("trials=x", "expected a positive integer"),
        ("trials_shown=-1", "expected an integer >= 0"),
    ],
)
def test_wrong_numbers_of_trials(override, line):
    config, _ = composed(override)
    with pytest.raises(ValueError, match=line) as refused:
        check_plain(config)
    assert str(refused.value).endswith(f"Received: {override}".replace("=x", "='x'"))
