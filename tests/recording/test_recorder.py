"""Recorder: which diagnostics serve, what is due, the csv files, and what must not stop a run."""

import resource

import keras
import numpy as np
import pandas as pd
import pytest
from event_files import events, scalars
from measures import Scale, named
from oracles import randomize

from lstmlab import GatedRNN, Head, Recurrent, variant
from lstmlab.diagnostics import ErrorFlow, GateActivations, Probe
from lstmlab.files import WriteError
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board, Disk
from lstmlab.recording.recorder import Recorder

B, T, F, N, K = 2, 6, 2, 4, 1


def recurrent(rng, name="lstm1997"):
    model = Recurrent(variant(name, units=N), Head(K), BPTT(), F)
    randomize(model.cell, rng)
    return model


def probe(rng):
    x, y = (
        rng.normal(size=(B, T, F)).astype("float32"),
        rng.normal(size=(B, T, K)).astype("float32"),
    )
    w = np.ones((B, T), "float32")
    return Probe(x, y, w, w > 0, w > 0)


def keras_model(rng, *names):
    model = keras.Sequential(
        [
            keras.Input((T, F)),
            *(GatedRNN(N, name=name, return_sequences=True) for name in names),
            keras.layers.Dense(1),
        ]
    )
    randomize(model, rng)
    model.compile("sgd", "mse")
    return model


def test_of_a_recurrent_the_table_as_measured_with_the_count_in_front(rng, tmp_path, eager):
    model, batch = recurrent(rng), probe(rng)
    recorder = Recorder(tmp_path, {"gates": GateActivations(), "error_flow": ErrorFlow()}, batch)
    recorder.start(model)
    expected = []
    for now in (0, 500):
        randomize(model.cell, rng)
        recorder.measure(model, now)
        expected.append(GateActivations().measure(model, batch).assign(sequences=now))
    recorder.close()
    written = pd.read_csv(tmp_path / "gates.csv")
    assert list(written.columns) == ["sequences", "gate", "mean", "near_0", "near_1"]
    pd.testing.assert_frame_equal(
        written, pd.concat(expected, ignore_index=True)[written.columns], check_dtype=False
    )
    assert list(pd.read_csv(tmp_path / "error_flow.csv").columns)[:2] == ["sequences", "lag"]
    assert set(scalars(events(tmp_path / "tb"), "gates_mean/input_gate")) == {0, 500}


def test_what_is_due_and_not_yet_measured(rng, tmp_path):
    model = recurrent(rng)
    recorder = Recorder(
        tmp_path, {"often": Scale(every=100), "seldom": named("rare", every=1000)}, probe(rng)
    )
    recorder.start(model)
    for before, now in (
        (None, 0),
        (0, 100),
        (100, 150),
        (150, 1000),
        (1000, 1050),
        (None, 1050),
        (None, 1050),
    ):
        recorder.measure(model, now, before)
    recorder.measure(model, 2000, among=["often"])
    recorder.close()
    counts = {
        name: pd.read_csv(tmp_path / f"{name}.csv")["sequences"].tolist()
        for name in ("scale", "rare")
    }
    assert counts == {"scale": [0, 100, 1000, 1050, 2000], "rare": [0, 1000, 1050]}


def test_of_several_layers_a_column_and_tags_for_each(rng, tmp_path, eager):
    model, batch = keras_model(rng, "low", "high"), probe(rng)
    recorder = Recorder(
        tmp_path, {"scale": Scale(), "gates": GateActivations()}, batch[:2], unit="step"
    )
    recorder.start(model)
    recorder.measure(model, 7)
    recorder.close()
    table = pd.read_csv(tmp_path / "scale.csv")
    assert list(table.columns) == ["step", "layer", "largest", "steps"]
    for row in table.itertuples():
        largest = max(np.abs(weight).max() for weight in model.get_layer(row.layer).get_weights())
        np.testing.assert_allclose([row.step, row.largest], [7, largest], rtol=1e-6)
        assert scalars(events(tmp_path / "tb"), f"scale/{row.layer}/largest") == {
            7: np.float32(largest)
        }
    assert table["layer"].tolist() == ["low", "high"]
    assert pd.read_csv(tmp_path / "gates.csv").groupby("layer").size().to_dict() == {
        "low": 3,
        "high": 3,
    }


def test_what_serves_no_layer_is_left_out_with_a_line(rng, tmp_path, capsys):
    recorder = Recorder(tmp_path, {"gates": GateActivations(), "scale": Scale()}, probe(rng))
    recorder.start(recurrent(rng, "elman"))
    assert (
        capsys.readouterr().err
        == "diagnostic.gates: left out, cell=GatedCell with learner=BPTT does not have what it "
        "measures\n"
    )
    assert list(recorder.diagnostics) == ["scale"]


def test_a_diagnostic_that_fails_costs_one_line_and_not_the_others(rng, tmp_path, capsys):
    model, bad, good = recurrent(rng), named("bad"), Scale()
    recorder = Recorder(tmp_path, {"bad": bad, "scale": good}, probe(rng))
    recorder.start(model)
    recorder.measure(model, 0)
    bad.fails = RuntimeError("no\nluck")
    for now in (100, 200):
        recorder.measure(model, now)
    recorder.close()
    assert capsys.readouterr().err == "diagnostic.bad: left out, no luck\n"
    assert pd.read_csv(tmp_path / "bad.csv")["sequences"].tolist() == [0]
    assert pd.read_csv(tmp_path / "scale.csv")["sequences"].tolist() == [0, 100, 200]


def test_a_wrong_setting_shows_before_training_where_strict(rng, tmp_path, capsys):
    model = recurrent(rng)
    for strict in (True, False):
        bad = Scale()
        bad.fails = ValueError("Scale: expected less")
        recorder = Recorder(tmp_path, {"scale": bad}, probe(rng), strict=strict)
        recorder.start(model)
        if strict:
            with pytest.raises(ValueError, match=r"^Scale: expected less$"):
                recorder.measure(model, 0)
        else:
            recorder.measure(model, 0)
            assert capsys.readouterr().err == "diagnostic.scale: left out, Scale: expected less\n"


def test_what_is_no_diagnostic_and_a_csv_of_another_kind_are_refused(rng, tmp_path):
    with pytest.raises(
        ValueError, match=r"^Recorder: expected a diagnostic\. Received: diagnostic\.a=3$"
    ):
        Recorder(tmp_path, {"a": 3}, probe(rng))
    (tmp_path / "scale.csv").write_text("sequences,smallest\n0,1\n")
    recorder = Recorder(tmp_path, {"scale": Scale()}, probe(rng))
    recorder.start(model := recurrent(rng))
    with pytest.raises(
        ValueError,
        match=r"^Recorder: expected the columns of scale\.csv, sequences,smallest\. Received: seq",
    ):
        recorder.measure(model, 0)
    assert (tmp_path / "scale.csv").read_text() == "sequences,smallest\n0,1\n"


def test_a_folder_that_is_not_writable_costs_one_line(rng, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    model = recurrent(rng)
    recorder = Recorder(
        tmp_path / "file" / "run", {"scale": Scale(), "gates": GateActivations()}, probe(rng)
    )
    recorder.start(model)
    for now in (0, 100):
        recorder.measure(model, now)
    recorder.close()
    assert capsys.readouterr().err == (
        f"diagnostics: nothing more is written to {tmp_path}/file/run/tb, the training goes on: "
        f"{tmp_path}/file/run/scale.csv: expected a file that can be written. "
        "Received: Not a directory\n"
    )
    assert recorder.measured_at == {"scale": 100, "gates": 100}


def test_with_a_strict_disk_the_first_failure_is_raised(rng, tmp_path):
    model = recurrent(rng)
    (tmp_path / "scale.csv").symlink_to("/dev/full")
    board = Board(tmp_path / "tb", Disk(tmp_path, strict=True))
    recorder = Recorder(tmp_path, {"scale": Scale()}, probe(rng), board=board)
    recorder.start(model)
    with pytest.raises(WriteError, match=r"scale\.csv: .*Received: No space left on device$"):
        recorder.measure(model, 0)
    recorder.measure(model, 100)  # after it nothing is written
    recorder.close()


def test_a_disk_that_becomes_full_costs_one_line_and_leaves_what_was_written(tmp_path, rng, capsys):
    """Full, for a while: no file of this process may grow beyond 20,000 bytes."""
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    board = Board(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
    try:
        for k in range(300):
            board.scalar("a", k, k)
            board.histogram("h", rng.normal(size=100), k)
            board.flush()
        board.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    lines = [line for line in capsys.readouterr().err.splitlines() if "diagnostics:" in line]
    assert len(lines) == 1
    [name] = [path.name for path in tmp_path.iterdir()]
    assert lines[0].startswith(
        f"diagnostics: nothing more is written to {tmp_path}, the training goes on: "
        f"{tmp_path}/{name}: expected a file that can be written. Received: "
    )
    assert "File too large" in lines[0]
    read = scalars(events(tmp_path), "a")
    assert 5 < len(read) < 300
    assert read == {k: float(k) for k in range(len(read))}
