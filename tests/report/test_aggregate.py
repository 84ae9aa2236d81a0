"""Mean and interval over seeds in TensorBoard, read back with TensorBoard's own reader."""

import itertools
import subprocess
import sys

import event_files
import numpy as np
import pandas as pd
import pytest

from lstmlab import report
from lstmlab.recording.board import Board
from lstmlab.report import aggregate
from lstmlab.results import Run, load

ROW = {
    "task": "adding", "cell": "gru", "learner": "bptt", "status": "budget", "sequences": 20,
    "trainer.budget": 20, "task.T": 5,
}  # fmt: skip
ERRORS = [[0.4, 0.2], [0.4, 0.1], [0.1, 0.0]]


@pytest.fixture
def sweep(tmp_path):
    """Three trials; the last one has no event files, the second ends early."""
    for seed, errors in enumerate(ERRORS):
        run = Run(tmp_path / str(seed))
        run.folder.mkdir()
        steps = [10, 20] if seed != 1 else [10, 15]
        run.write_row({**ROW, "seed": seed})
        run.append("history", pd.DataFrame({"sequences": steps, "absolute_error": errors}))
        if seed < 2:
            board = Board(run.folder / "tb")
            for step, error in zip(steps, errors, strict=True):
                board.scalar("training/absolute_error", error, step)
                board.scalar("gates/input", 0.5 + error, step)
            board.scalar(f"only/{seed}", 1.0, 10)
            board.text("config", "text", 0)
            board.against_lag({"flow/a": ([0, 1], [1.0, seed])}, 10)
            board.close()
    return tmp_path


def test_curves_by_hand(sweep):
    text = report.write(sweep, tensorboard=True)
    assert text.endswith("aggregate/ (2 runs)")
    of_three = sweep / "aggregate" / "adding-gru-bptt-3_trials"
    events = event_files.events(of_three / "mean")
    assert events.Tags()["tensors"] == ["training/absolute_error"]
    # at 15 the first and the third still have their values of 10, at 20 the second that of 15
    wanted = {10: 0.3, 15: (0.4 + 0.1 + 0.1) / 3, 20: (0.2 + 0.1 + 0.0) / 3}
    found = event_files.scalars(events, "training/absolute_error")
    assert found == pytest.approx(wanted, rel=1e-6)

    of_two = sweep / "aggregate" / "adding-gru-bptt-2_trials"
    events = event_files.events(of_two / "mean")
    tags = set(events.Tags()["tensors"])
    assert tags == {"gates/input", "flow/a_before"}, "what one trial has alone is no aggregate"
    high = event_files.events(of_two / "high")
    assert event_files.scalars(high, "flow/a_before") == {0: 1.0, 1: 1.0}
    low = event_files.events(of_two / "low")
    assert event_files.scalars(low, "flow/a_before") == {0: 1.0, 1: 0.0}


def test_again_replaces_what_was_there(sweep):
    report.write(sweep, tensorboard=True)
    before = sorted((sweep / "aggregate").rglob("*tfevents*"))
    report.write(sweep, tensorboard=True)
    after = sorted((sweep / "aggregate").rglob("*tfevents*"))
    assert before == after
    assert len(load(sweep)) == 3, "they are no runs of their own in the report"


def test_none_without_being_asked(sweep):
    report.write(sweep)
    assert not (sweep / "aggregate").exists()


def test_the_interval_against_all_resamplings():
    """Of four trials: the percentiles of the means of all 4^4 resamplings, at each step."""
    values = np.array([[1.0, 0], [2, 0], [4, 0], [8, 10]])
    means = [values[list(drawn)].mean(0) for drawn in itertools.product(range(4), repeat=4)]
    wanted = np.percentile(means, [2.5, 97.5], axis=0)
    found = aggregate.over([pd.Series(row, index=[10, 20]) for row in values])
    np.testing.assert_allclose(found["mean"], values.mean(0))
    np.testing.assert_allclose(found[["low", "high"]].to_numpy().T, wanted)


def test_before_its_first_value_a_trial_has_none():
    found = aggregate.over([pd.Series({0: 1.0, 10: 2.0}), pd.Series({10: 4.0})])
    assert found["mean"].to_dict() == {10: 3.0}


def test_values_that_are_no_numbers(tmp_path):
    board = Board(tmp_path / "tb")
    for step, value in enumerate([np.nan, 2.0, np.inf]):
        board.scalar("loss", value, step)
    board.close()
    assert aggregate.curves(tmp_path)["", "loss"].to_dict() == {1: 2.0}


def test_an_event_file_that_was_cut_off(tmp_path):
    board = Board(tmp_path / "tb")
    for step in range(3):
        board.scalar("loss", step, step)
    board.close()
    [path] = (tmp_path / "tb").glob("*tfevents*")
    path.write_bytes(path.read_bytes()[:-5])
    assert aggregate.curves(tmp_path)["", "loss"].to_dict() == {0: 0.0, 1: 1.0}


def test_neither_reading_nor_writing_loads_tensorflow(sweep):
    code = (
        "import sys; from lstmlab import report; "
        f"report.write({str(sweep)!r}, tensorboard=True); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_the_command(sweep, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lstmlab-report", str(sweep), "--tensorboard"])
    report.main()
    assert capsys.readouterr().out.rstrip().endswith("aggregate/ (2 runs)")
