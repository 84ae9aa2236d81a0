"""One run: what it writes when it ends well, and what it writes when it does not."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from composed import NO_DIAGNOSTICS, run
from lstmlab.tasks.adding import Adding

from lstmlab import baselines
from lstmlab.config import compose as composed
from lstmlab.results import Run
from lstmlab.runs import train
from lstmlab.runs.build import prepare

MEASURED = ("seconds", "peak_memory_mb")
PLAIN = (*NO_DIAGNOSTICS, "trainer.jit_compile=false", "trainer.steps_per_execution=10")


def same(row, other, *but):
    return {k: v for k, v in row.items() if k not in (*MEASURED, *but)} == {
        k: v for k, v in other.items() if k not in (*MEASURED, *but)
    }


def history(folder):
    return Run(folder).read("history").drop(columns="seconds", errors="ignore")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run with all diagnostics, and its row."""
    folder = tmp_path_factory.mktemp("full")
    return folder, run(folder, "seed=3")


def test_the_folder_of_a_run(full):
    folder, row = full
    assert json.loads((folder / "result.json").read_text()) == row
    assert (row["status"], row["sequences"], row["solved"], row["seed"]) == (
        "budget",
        200,
        False,
        3,
    )
    assert (row["task"], row["cell"], row["weights"], row["task.T"]) == (
        "adding",
        "lstm1997",
        93,
        24,
    )
    assert 0 <= row["test_wrong"] <= row["test_size"] == 2560
    files = {path.name for path in folder.iterdir()}
    assert files >= {
        "history.csv",
        "gates.csv",
        "error_flow.csv",
        "memory.csv",
        "example.csv",
        "model.weights.h5",
        "tb",
    }
    assert list((folder / "tb").glob("events*"))
    assert Run(folder).read("history")["sequences"].tolist() == [100, 200]
    assert set(Run(folder).read("error_flow")["sequences"]) == {0, 200}


def test_saved_weights_give_the_test_result(full, tmp_path):
    """Read back by plain Keras into a new model, they answer the test set as the row says."""
    folder, row = full
    config, choices = composed("task.T=24", "seed=3")
    job = train.Job(config, Run(tmp_path), choices, progress=False)
    job.start()
    job.build(prepare(config))
    job.test()
    assert job.row["test_error"] != row["test_error"], "the weights before training"
    job.model.load_weights(folder / "model.weights.h5")
    job.test()
    assert (job.row["test_wrong"], job.row["test_error"]) == (row["test_wrong"], row["test_error"])


def test_what_a_task_adds_to_the_row_from_its_test_set(tmp_path, monkeypatch):
    """A task's summary sees which sequences are right and the losses of network and baselines.

    Its columns come last.
    """
    told = []

    def baselines(task, x, w):
        return {"half": np.full((*w.shape, 1), 0.5, "float32")}

    def summary(task, correct, losses):
        told.append((correct, dict(losses)))
        return {"own": 7.0}

    monkeypatch.setattr(Adding, "baselines", baselines)
    monkeypatch.setattr(Adding, "summary", summary)
    row = run(tmp_path, *PLAIN)
    [(correct, losses)] = told
    assert row["own"] == 7.0
    assert ((~correct).sum(), correct.shape, correct.dtype) == (row["test_wrong"], (2560,), bool)
    assert losses == {"test": row["test_loss"], "half": row["half_loss"]}
    assert row["half_loss"] == pytest.approx(row["chance_loss"], rel=0.1), (
        "0.5 is the best constant answer"
    )
    assert row["test_loss"] != row["half_loss"]


def test_same_seed_same_row_and_diagnostics_change_nothing(full, tmp_path):
    folder, row = full
    bare = run(tmp_path / mkdir(tmp_path, "bare"), "seed=3", *NO_DIAGNOSTICS)
    again = run(tmp_path / mkdir(tmp_path, "again"), "seed=3", *NO_DIAGNOSTICS)
    assert same(bare, again)
    pd.testing.assert_frame_equal(history(tmp_path / "bare"), history(tmp_path / "again"))
    assert same(
        bare, {name: value for name, value in row.items() if not name.startswith("diagnostic.")}
    )
    pd.testing.assert_frame_equal(history(folder), history(tmp_path / "bare"))


def test_other_seed_other_numbers(tmp_path):
    rows = [run(tmp_path / mkdir(tmp_path, str(seed)), f"seed={seed}", *PLAIN) for seed in (0, 1)]
    assert rows[0]["test_error"] != rows[1]["test_error"]
    assert not history(tmp_path / "0").equals(history(tmp_path / "1"))


def mkdir(parent, name):
    (parent / name).mkdir()
    return name


def test_solved_is_exact_to_the_sequence(tmp_path, monkeypatch):
    """A criterion that everything meets is met at its first full window.

    30 sequences, not one window of 100.
    """
    easy = (
        "task.criterion.sequences=30",
        "task.criterion.wrong=29",
        "task.criterion.error_below=100",
    )
    # otherwise no such run is called solved, see tests/test_baselines.py
    monkeypatch.setattr(baselines, "meeting", lambda task, seed: [])
    row = run(tmp_path, *easy, *PLAIN)
    assert (row["status"], row["solved"]) == ("solved", True)
    assert (row["sequences"], row["sequences_to_solution"]) == (100, 30)


def test_training_that_diverges(tmp_path):
    with pytest.raises(
        train.RunError,
        match=r"not finite from sequence \d+ on; expected .*optimizer.learning_rate=1e",
    ) as error:
        run(tmp_path, "optimizer.learning_rate=1e30", "trainer.window=10", *PLAIN)
    row = Run(tmp_path).read_row()
    assert (row["status"], row["reason"]) == ("failed", str(error.value))
    assert row["sequences"] > 0
    assert row["seconds"] is not None
    assert "FloatingPointError" in (tmp_path / "log.txt").read_text()


def test_history_is_kept_when_a_run_fails_or_is_interrupted(tmp_path, monkeypatch):
    for name, failure, raised in (
        ("int", KeyboardInterrupt, KeyboardInterrupt),
        ("fail", ArithmeticError("x"), train.RunError),
    ):
        observed = train.Job._check_finite

        def stumble(job, before, *arrays, failure=failure, observed=observed):
            if before == 100:
                raise failure
            observed(job, before, *arrays)

        with monkeypatch.context() as patch:
            patch.setattr(train.Job, "_check_finite", stumble)
            with pytest.raises(raised):
                run(tmp_path / mkdir(tmp_path, name), *PLAIN)
        row = Run(tmp_path / name).read_row()
        assert row["status"] == {"int": "interrupted", "fail": "failed"}[name]
        assert row["reason"]
        assert history(tmp_path / name)["sequences"].tolist() == [100]
        assert (tmp_path / name / "model.weights.h5").exists()


def test_not_finite_is_found_where_it_begins():
    job = train.Job.__new__(train.Job)
    job.row = {"optimizer.learning_rate": 0.5}
    prediction, w = np.zeros((6, 2, 1)), np.array([[1.0, 0.0]] * 6)
    prediction[1, 1] = np.nan  # at a step without an error
    job._check_finite(40, prediction, w)
    prediction[3, 0] = np.inf
    with pytest.raises(FloatingPointError, match="from sequence 44 on"):
        job._check_finite(40, prediction, w)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=", "expected an integer >= 0. Received: seed=''"),
        ("seed=abc", "expected an integer >= 0. Received: seed='abc'"),
        ("seed=-1", "expected an integer >= 0. Received: seed=-1"),
        ("probe=0", "expected a positive integer, sequences in the probe batch. Received: probe=0"),
        (
            "threads=x",
            f"expected an integer in 1..{os.cpu_count()} or null, CPU threads of one run. "
            "Received: threads='x'",
        ),
        ("threads=100000", "CPU threads of one run. Received: threads=100000"),
        (
            "optimizer.learning_rate=-1",
            "expected a number > 0. Received: optimizer.learning_rate=-1",
        ),
        (
            "optimizer.learning_rate=inf",
            "expected a number > 0. Received: optimizer.learning_rate=inf",
        ),
        ("diagnostic.gates=null", "expected a diagnostic. Received: diagnostic.gates=None"),
        (
            "task.criterion.error_below=0",
            "expected a number > 0 or null. Received: criterion.error_below=0",
        ),
        (
            "task.T=10",
            "expected an integer >= 24, for two marks in the first half. Received: task.T=10",
        ),
        (
            "task.T=long",
            "expected an integer >= 24, for two marks in the first half. Received: task.T='long'",
        ),
        ("task.criterion.wrong=-1", "expected an integer in 0..99. Received: criterion.wrong=-1"),
        ("trainer.budget=abc", "expected a positive integer. Received: trainer.budget='abc'"),
        (
            "trainer.batch_size=7",
            "expected a multiple of trainer.batch_size=7. Received: .*window=",
        ),
        ("optimizer.learning_rate=fast", "optimizer: .*Received.*learning_rate=fast"),
        ("cell.block_size=3", "expected a divisor of units=4, .*Received: block_size=3"),
        ("cell.units=-4", "expected .*Received: units=-4"),
        ("cell.feedback=some", "expected .*Received: feedback='some'"),
        ("cell.input_gate.bias.first=x", "expected a number. Received: first='x'"),
        ("head.activation=magic", "Received: activation='?magic'?"),
        (
            "diagnostic.gates.every=0",
            "expected a positive integer, 'window' or 'doubling'. Received: every=0",
        ),
        (
            "cell._target_=keras.layers.LSTMCell",
            r"^cell: no such setting of LSTMCell; .*~cell.*Received: cell.block_size, cell.feed",
        ),
        (
            "+cell.colour=red",
            "^cell: no such setting of .*; expected one of .*Received: cell.colour",
        ),
        ("~learner", "expected an option of the group 'learner'. Received: learner=None"),
    ],
)
def test_bad_settings_are_one_line_and_leave_a_row(override, line, tmp_path):
    with pytest.raises(train.RunError, match=line) as error:
        run(tmp_path, override)
    assert "\n" not in str(error.value)
    row = Run(tmp_path).read_row()
    assert (row["status"], row["reason"], row["sequences"]) == ("failed", str(error.value), 0)


FOREIGN = ("~cell", "+cell._target_=keras.layers.LSTMCell", "+cell.units=3")


def test_truncated_learner_with_a_foreign_cell(tmp_path):
    with pytest.raises(
        train.RunError,
        match=r"Truncated1997: expected .*lstmlab.GatedCell .*Received: cell=LSTMCell",
    ):
        run(tmp_path, *FOREIGN)
    assert Run(tmp_path).read_row()["status"] == "failed"


@pytest.mark.slow
def test_exact_learner_with_a_foreign_cell(tmp_path, capsys):
    row = run(tmp_path, *FOREIGN, "learner=bptt", "trainer.jit_compile=false")
    assert (row["status"], row["cell"], row["cell._target_"]) == (
        "budget",
        "custom",
        "keras.layers.LSTMCell",
    )
    assert "diagnostic.gates: left out, cell=LSTMCell" in capsys.readouterr().err
    assert row["weights"] == 4 * (2 * 3 + 3 * 3 + 3) + 3 + 1


def test_a_folder_takes_one_run(full):
    folder, row = full
    with pytest.raises(ValueError, match=r"expected a folder without a run. Received: folder="):
        run(folder, "seed=4")
    assert Run(folder).read_row() == row
