"""What diagnostics write is read back with TensorBoard's own reader."""

import numpy as np
import pandas as pd
import tensorflow as tf
from oracles import randomize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import ErrorFlow, GateActivations, GradientNorm, Probe
from lstmlab.diagnostics.tensorboard import Board, _bands
from lstmlab.learners import BPTT

B, T, F, N, K = 2, 6, 2, 4, 1


def events(folder) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(accumulator: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)}


def problem(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(K), BPTT(), F)
    randomize(model.cell, rng)
    x, y = rng.normal(size=(B, T, F)).astype("float32"), rng.normal(size=(B, T, K)).astype("float32")
    w = np.ones((B, T), "float32")
    return model, Probe(x, y, w, w > 0, w > 0)


def test_text_scalars_and_histograms(tmp_path, rng):
    board = Board(tmp_path)
    board.text("config", "seed: 0", 0)
    for step in (1000, 2000):
        board.scalar("training/error", step / 4, step)
    values = rng.uniform(size=100)
    board.histogram("gates/input_gate", values, 1000)
    board.close()
    written = events(tmp_path)
    assert tf.make_ndarray(written.Tensors("config")[0].tensor_proto).item() == b"seed: 0"
    assert scalars(written, "training/error") == {1000: 250.0, 2000: 500.0}
    buckets = tf.make_ndarray(written.Tensors("gates/input_gate")[0].tensor_proto)
    assert buckets[:, 2].sum() == 100
    np.testing.assert_allclose([buckets[0, 0], buckets[-1, 1]], [values.min(), values.max()])


def test_curves_against_lag_lie_in_one_sub_run_for_each_moment(tmp_path):
    board = Board(tmp_path)
    curves = {
        sequences: {tag: (np.arange(T), np.arange(T) + offset) for offset, tag in enumerate("ab")} for sequences in (0, 500)
    }
    for sequences, both in curves.items():
        board.against_lag(both, sequences)
    board.close()
    assert sorted(p.name for p in (tmp_path / "lag").iterdir()) == ["000000000", "000000500"]
    for name in ("000000000", "000000500"):
        folder = tmp_path / "lag" / name
        assert len(list(folder.iterdir())) == 1
        for offset, tag in enumerate("ab"):
            assert scalars(events(folder), tag) == {lag: lag + offset for lag in range(T)}
    assert not {"a", "b"} & set(events(tmp_path).Tags()["tensors"])  # not in the run's own folder


def test_error_flow_writes_its_table(tmp_path, rng, eager):
    (model, probe), board, diagnostic = problem(rng), Board(tmp_path), ErrorFlow()
    table = diagnostic.measure(model, probe)
    diagnostic.show(board, table, 3000)
    board.close()
    written = events(tmp_path / "lag" / "000003000")
    assert sorted(written.Tags()["tensors"]) == [
        *(f"error_flow_against_lag/{path}" for path in ("carousel", "cell_state", "nets", "output"))
    ]
    for path, rows in table[~table["path"].str.startswith("net_")].groupby("path"):
        read = pd.Series(scalars(written, f"error_flow_against_lag/{path}"))
        assert list(read.index) == list(range(T))
        np.testing.assert_allclose(read, rows["norm"], rtol=1e-6)
        assert read.nunique() > 1 or path == "carousel"


def test_gates_and_gradients_write_their_tables(tmp_path, rng, eager):
    (model, probe), board = problem(rng), Board(tmp_path)
    gates, gradients = GateActivations(), GradientNorm()
    tables = gates.measure(model, probe), gradients.measure(model, probe)
    for diagnostic, table in zip((gates, gradients), tables, strict=True):
        diagnostic.show(board, table, 700)
    board.close()
    written = events(tmp_path)
    for row in tables[0].to_dict("records"):
        for statistic in ("mean", "near_0", "near_1"):
            assert scalars(written, f"gates_{statistic}/{row['gate']}") == {700: np.float32(row[statistic])}
        assert tf.make_ndarray(written.Tensors(f"gates/{row['gate']}")[0].tensor_proto)[:, 2].sum() == B * T * model.cell.blocks
    for row in tables[1].to_dict("records"):
        assert scalars(written, f"gradient_norm/{row['weight']}") == {700: np.float32(row["norm"])}
    width, height, png = tf.make_ndarray(written.Tensors("gates/time_by_cell")[0].tensor_proto)[:3]
    image = tf.io.decode_png(png).numpy()
    assert image.shape == (int(height), int(width), 3)
    assert image.std() > 10


def test_bands_show_open_gates_bright_and_time_from_left_to_right():
    ramp = np.linspace(0, 1, 20)[None]
    image = _bands({"input_gate": ramp, "output_gate": 1 - ramp})
    assert image.dtype == np.uint8
    brightness = image.astype(float).mean(axis=-1)
    height, width = brightness.shape
    upper, lower = brightness[height // 4, : int(0.8 * width)], brightness[int(0.6 * height), : int(0.8 * width)]
    left, right = int(0.25 * width), int(0.7 * width)
    assert upper[left] < upper[right]
    assert lower[left] > lower[right]
