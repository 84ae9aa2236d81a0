"""What diagnostics write is read back with TensorBoard's own reader."""

import re

import numpy as np
import pandas as pd
import tensorflow as tf
from event_files import events, scalars
from matplotlib.figure import Figure
from oracles import randomize
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import (
    Bound,
    ErrorFlow,
    GateActivations,
    GradientNorm,
    Interventions,
    Jacobians,
    Memory,
    Probe,
)
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board, _bands, story

B, T, F, N, K = 2, 6, 2, 4, 1


def problem(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(K), BPTT(), F)
    randomize(model.cell, rng)
    x, y = (
        rng.normal(size=(B, T, F)).astype("float32"),
        rng.normal(size=(B, T, K)).astype("float32"),
    )
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


def test_a_figure_as_an_image_of_its_size(tmp_path):
    figure = Figure(figsize=(3, 2), dpi=50, facecolor=(1.0, 0.0, 0.0))
    board = Board(tmp_path)
    board.figure("gates/timeline", figure, 400)
    board.close()
    (event,) = events(tmp_path).Tensors("gates/timeline")
    width, height, png = tf.make_ndarray(event.tensor_proto)
    assert (event.step, int(width), int(height)) == (400, 150, 100)
    assert (tf.io.decode_png(png).numpy() == [255, 0, 0]).all()


def sessions(folder, tag: str) -> HParamsPluginData:
    """What the page HParams keeps under a tag."""
    content = (
        events(folder / "final").SummaryMetadata(f"_hparams_/session_{tag}").plugin_data.content
    )
    return HParamsPluginData.FromString(content)


def test_settings_and_final_metrics_for_the_page_hparams(tmp_path):
    board = Board(tmp_path)
    board.hparams(
        {
            "cell": "cifg",
            "rate": np.float32(0.5),
            "units": 4,
            "peepholes": True,
            "none": None,
            "sizes": [1, 2],
        }
    )
    board.flush()
    start = sessions(tmp_path, "start_info").session_start_info
    values = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert values == {
        "cell": "cifg",
        "rate": 0.5,
        "units": 4.0,
        "peepholes": True,
        "sizes": "[1, 2]",
    }
    for failed in (False, True):
        board.final(
            {"test_error": 0.25, "solved": True, "reason": "text", "nothing": None}, 900, failed
        )
    board.close()
    written = events(tmp_path / "final")
    assert scalars(written, "test_error") == {900: 0.25}
    assert scalars(written, "solved") == {900: 1.0}
    assert {"reason", "nothing"}.isdisjoint(written.Tags()["tensors"])
    assert (
        sessions(tmp_path, "end_info").session_end_info.status == STATUS_SUCCESS
    )  # metadata are those written first


def test_a_failed_session(tmp_path):
    board = Board(tmp_path)
    board.hparams({"rate": 1.0})
    board.final({}, 0, failed=True)
    board.close()
    assert sessions(tmp_path, "end_info").session_end_info.status == STATUS_FAILURE


def test_layout_tells_the_story_with_tags_that_diagnostics_write(tmp_path, rng, eager):
    """Each chart finds what a network writes; each regular expression is valid."""
    (model, probe), board = problem(rng), Board(tmp_path)
    board.layout()
    for diagnostic in (
        GateActivations(),
        ErrorFlow(),
        Memory(),
        Jacobians(),
        Bound(),
        Interventions(),
    ):
        diagnostic.show(board, diagnostic.measure(model, probe), 100)
    for name in ("absolute_error", "squared_error", "recent_wrong"):
        board.scalar(f"training/{name}", 1.0, 100)
    board.close()
    tags = {
        tag
        for folder in (tmp_path, tmp_path / "lag" / "000000100")
        for tag in events(folder).Tags()["tensors"]
    }
    layout = Layout.FromString(
        tf.make_ndarray(events(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto).item()
    )
    charts = {
        chart.title: chart.multiline.tag[0]
        for category in layout.category
        for chart in category.chart
    }
    assert len(charts) == sum(len(charts) for _, charts in story()) > 9
    for title, pattern in charts.items():
        assert any(re.match(pattern, tag) for tag in tags), title


def test_what_is_flushed_can_be_read_while_the_writing_goes_on(tmp_path):
    board = Board(tmp_path)
    board.scalar("a", 1.0, 1)
    board.flush()
    board.scalar("a", 2.0, 2)
    assert scalars(events(tmp_path), "a").get(1) == 1.0
    board.close()
    assert scalars(events(tmp_path), "a") == {1: 1.0, 2: 2.0}


def test_curves_against_lag_lie_in_one_sub_run_for_each_moment(tmp_path):
    board = Board(tmp_path)
    curves = {
        sequences: {tag: (np.arange(T), np.arange(T) + offset) for offset, tag in enumerate("ab")}
        for sequences in (0, 500)
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
            assert scalars(written, f"gates_{statistic}/{row['gate']}") == {
                700: np.float32(row[statistic])
            }
        assert (
            tf.make_ndarray(written.Tensors(f"gates/{row['gate']}")[0].tensor_proto)[:, 2].sum()
            == B * T * model.cell.blocks
        )
    for row in tables[1][tables[1]["net"] == "all"].to_dict("records"):
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
    upper, lower = (
        brightness[height // 4, : int(0.8 * width)],
        brightness[int(0.6 * height), : int(0.8 * width)],
    )
    left, right = int(0.25 * width), int(0.7 * width)
    assert upper[left] < upper[right]
    assert lower[left] > lower[right]
