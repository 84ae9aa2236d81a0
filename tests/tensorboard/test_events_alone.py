"""A folder with event files alone: what the page tells of it, against what was written."""

import io
import os

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from lstmlab.recording.board import Board
from lstmlab.tensorboard.runs import Runs

LAGS = np.arange(6)


def written(folder, layers=("",), training=True):
    """Two moments of training, as a run or a GateTensorBoard writes them."""
    board = Board(folder)
    for number, layer in enumerate(layers):
        part = board.sub(layer) if layer else board
        for moment, share in ((0, 0.5), (200, 0.25)):
            curve = LAGS, LAGS * np.log10(share) - number
            part.against_lag({"error_flow_log10_against_lag/cell_state": curve}, moment)
            part.scalar("gates_mean/input_gate", share + number / 8, moment)
            part.scalar("gates_near_0/input_gate", share / 2, moment)
            if training:
                board.scalar("training/absolute_error", 0.1, moment)
    board.close()


def table(runs, run, name):
    return pd.read_csv(io.StringIO(runs.table(run, name)))


def test_error_flow_before_and_after_and_gates(tmp_path):
    written(tmp_path / "vanilla s0")
    runs = Runs({"": tmp_path})
    [one] = runs.listed()["runs"]
    assert one["run"] == "vanilla s0"
    assert list(one["tables"]) == ["gates", "error_flow"]
    flow = table(runs, "vanilla s0", "error_flow")
    assert list(flow) == ["sequences", "lag", "path", "norm"]
    for moment, share in ((0, 0.5), (200, 0.25)):
        own = flow[flow["sequences"] == moment]
        assert own["lag"].tolist() == LAGS.tolist()
        np.testing.assert_allclose(own["norm"], share**LAGS, rtol=1e-5)
    gates = table(runs, "vanilla s0", "gates")
    assert gates["mean"].tolist() == [0.5, 0.25]
    assert gates["near_0"].tolist() == [0.25, 0.125]


def test_layers_of_a_keras_model_count_optimizer_steps(tmp_path):
    written(tmp_path, ("low", "top"), training=False)
    flow = table(Runs({"": tmp_path}), ".", "error_flow")
    assert list(flow) == ["step", "layer", "lag", "path", "norm"]
    top = flow[(flow["layer"] == "top") & (flow["step"] == 200)]
    np.testing.assert_allclose(top["norm"], 0.25**LAGS / 10, rtol=1e-5)


def test_it_is_read_anew_when_more_is_written_and_not_where_there_are_tables(tmp_path):
    folder = tmp_path / "run"
    written(folder)
    runs = Runs({"": tmp_path})
    [before] = runs.listed()["runs"]
    written(folder)
    [after] = runs.listed()["runs"]
    assert before["tables"]["gates"] != after["tables"]["gates"]
    (folder / "gates.csv").write_text("sequences,gate,mean\n0,input_gate,0.875\n")
    [one] = runs.listed()["runs"]
    assert list(one["tables"]) == ["gates"]
    assert table(runs, "run", "gates")["mean"].tolist() == [0.875]


@pytest.mark.parametrize("what", ["foreign", "half", "empty"])
def test_others_are_no_runs(what, tmp_path):
    if what == "foreign":
        with tf.summary.create_file_writer(str(tmp_path / "run")).as_default():
            tf.summary.scalar("loss", 1.0, 0)
    else:
        written(tmp_path / "run")
        [path] = (tmp_path / "run").iterdir()
        os.truncate(path, 0 if what == "empty" else path.stat().st_size // 2)
    found = Runs({"": tmp_path}).listed()["runs"]
    assert [one["run"] for one in found] == (["run"] if what == "half" else [])
