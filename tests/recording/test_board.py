"""What diagnostics write is read back with TensorBoard's own reader."""

import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from event_files import events, scalars
from matplotlib.figure import Figure
from oracles import randomize
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_BOOL,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_FAILURE,
    STATUS_SUCCESS,
)
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
from lstmlab.recording.board import Board, _bands, _moments, story

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
    content = events(folder).SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
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
        },
        {"result/test_error": "test_error", "result/solved": "solved"},
        first=["rate", "cell"],
    )
    board.flush()
    start = sessions(tmp_path, "session_start_info").session_start_info
    values = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert values == {
        "cell": "cifg",
        "rate": 0.5,
        "units": 4.0,
        "peepholes": True,
        "sizes (list)": "[1, 2]",
    }
    columns = sessions(tmp_path, "experiment").experiment
    assert [(one.name.tag, one.display_name) for one in columns.metric_infos] == [
        ("result/test_error", "test_error"),
        ("result/solved", "solved"),
    ]
    kinds = {one.name: one.type for one in columns.hparam_infos}
    assert kinds == {
        "cell": DATA_TYPE_STRING,
        "rate": DATA_TYPE_FLOAT64,
        "units": DATA_TYPE_FLOAT64,
        "peepholes": DATA_TYPE_BOOL,
        "sizes (list)": DATA_TYPE_STRING,
    }
    assert {one.name for one in columns.hparam_infos if one.differs} == {"rate", "cell"}
    for failed in (False, True):
        row = {"test_error": 0.25, "solved": True, "reason": "text", "nothing": None}
        board.final({f"result/{name}": value for name, value in row.items()}, 900, failed)
    board.close()
    written = events(tmp_path)
    assert scalars(written, "result/test_error") == {900: 0.25}
    assert scalars(written, "result/solved") == {900: 1.0}
    assert {"result/reason", "result/nothing"}.isdisjoint(written.Tags()["tensors"])
    assert (
        sessions(tmp_path, "session_end_info").session_end_info.status == STATUS_SUCCESS
    )  # metadata are those written first


@pytest.mark.parametrize("bias", [1.0, "[1, 2]", [1, 2]])
def test_a_setting_that_is_a_list_in_another_run_has_both_columns(bias, tmp_path):
    """Rows have lists as text, and TensorBoard takes the columns from a single run."""
    board = Board(tmp_path)
    board.hparams({"bias": bias, "cell": "gru"}, {}, first=["bias", "bias (list)"])
    board.close()
    infos = sessions(tmp_path, "experiment").experiment.hparam_infos
    assert {one.name: one.type for one in infos if one.differs} == {
        "bias": DATA_TYPE_FLOAT64,
        "bias (list)": DATA_TYPE_STRING,
    }
    start = sessions(tmp_path, "session_start_info").session_start_info
    assert set(start.hparams) == {"cell", "bias" if bias == 1.0 else "bias (list)"}


def test_a_failed_session(tmp_path):
    board = Board(tmp_path)
    board.hparams({"rate": 1.0}, {})
    board.final({}, 0, failed=True)
    board.close()
    assert sessions(tmp_path, "session_end_info").session_end_info.status == STATUS_FAILURE


def charts(folder) -> dict[str, str]:
    """{title: regular expression} of the page Custom Scalars, as it was written last."""
    written = events(folder).Tensors("custom_scalars__config__")[-1]
    layout = Layout.FromString(tf.make_ndarray(written.tensor_proto).item())
    chapters = [category.title for category in layout.category]
    assert chapters == sorted(chapters)
    return {
        chart.title: chart.multiline.tag[0]
        for category in layout.category
        for chart in category.chart
    }


@pytest.mark.slow
def test_layout_tells_the_story_with_a_chart_for_each_tag_that_is_there(tmp_path, rng, eager):
    (model, probe), board = problem(rng), Board(tmp_path)
    board.layout()
    board.flush()
    assert "custom_scalars__config__" not in events(tmp_path).Tags()["tensors"]
    kinds = GateActivations, ErrorFlow, Memory, Jacobians, Bound, Interventions, GradientNorm
    measures = [kind() for kind in kinds]
    tables = [diagnostic.measure(model, probe) for diagnostic in measures]
    for now in (0, 100):
        for diagnostic, table in zip(measures, tables, strict=True):
            diagnostic.show(board, table, now)
    for name in ("absolute_error", "squared_error", "recent_wrong"):
        board.scalar(f"training/{name}", 1.0, 100)
    board.close()
    tags, found = events(tmp_path).Tags()["tensors"], charts(tmp_path)
    for title, pattern in found.items():
        assert len([tag for tag in tags if re.match(pattern, tag)]) == 1, title
    titles = {title.partition(":")[0] for title in found}
    assert titles == {chart.title for _, told in story() for chart in told}
    assert {"mean: input gate", "log10 of error flow against lag: cell state after"} <= set(found)


def test_what_is_flushed_can_be_read_while_the_writing_goes_on(tmp_path):
    board = Board(tmp_path)
    board.scalar("a", 1.0, 1)
    board.flush()
    board.scalar("a", 2.0, 2)
    assert scalars(events(tmp_path), "a").get(1) == 1.0
    board.close()
    assert scalars(events(tmp_path), "a") == {1: 1.0, 2: 2.0}


def test_curves_against_lag_are_tags_before_and_after_training(tmp_path):
    board = Board(tmp_path)
    for sequences in (0, 500, 900):
        both = {f"flow/{k}": (np.arange(T), np.arange(T) + sequences + k) for k in range(2)}
        board.against_lag(both, sequences)
    board.flush()
    assert "flow/0_after" not in events(tmp_path).Tags()["tensors"]  # it may not be the last yet
    board.close()
    assert len(list(tmp_path.iterdir())) == 1  # one file, no folder: one entry in the list of runs
    for k in range(2):
        before, after = (
            scalars(events(tmp_path), f"flow/{k}_{end}") for end in ("before", "after")
        )
        assert before == {lag: lag + k for lag in range(T)}
        assert after == {lag: lag + 900 + k for lag in range(T)}


def test_all_moments_are_one_image_and_the_last_one_is_of_the_last_step(tmp_path):
    board = Board(tmp_path)
    for sequences in range(0, 700, 100):  # seven: the image of the fourth is the last in between
        values = np.where(np.arange(T) < 3, -np.inf, -sequences / 100)
        board.against_lag({"flow/a": (np.arange(T), values)}, sequences, picture=True)
        board.time_by_cell("gates", {"g": np.full((2, 3), 0.5)}, sequences, now=sequences == 0)
    board.close()
    written = events(tmp_path)
    assert [one.step for one in written.Tensors("moments/flow")] == [100, 300, 600]
    assert [one.step for one in written.Tensors("time_by_cell/gates")] == [0, 600]
    png = tf.make_ndarray(written.Tensors("moments/flow")[-1].tensor_proto)[2]
    assert tf.io.decode_png(png).numpy().std() > 10


def test_the_first_moment_is_above_and_colours_follow_the_values():
    moments = {
        0: (np.arange(20), np.zeros(20)),
        500: (np.arange(20), np.linspace(0.0, -9.0, 20)),
    }
    brightness = _moments({"flow/a": moments}).astype(float).mean(axis=-1)
    height, width = brightness.shape
    top, bottom = int(0.35 * height), int(0.55 * height)
    left, right = int(0.2 * width), int(0.8 * width)
    assert brightness[top, left] == brightness[top, right]
    assert brightness[bottom, left] > brightness[bottom, right] + 30


def test_the_tags_of_a_layer_have_its_name_behind_their_group(tmp_path):
    board = Board(tmp_path)
    board.sub("low").scalar("gates_mean/input_gate", 0.5, 1)
    board.sub("high").scalar("scale", 0.25, 1)
    board.close()
    written = events(tmp_path)
    assert set(written.Tags()["tensors"]) == {"gates_mean/low/input_gate", "scale/high"}
    assert len(list(tmp_path.iterdir())) == 1


def test_error_flow_writes_its_table(tmp_path, rng, eager):
    (model, probe), board, diagnostic = problem(rng), Board(tmp_path), ErrorFlow()
    table = diagnostic.measure(model, probe)
    diagnostic.show(board, table, 3000)
    board.close()
    written, paths = events(tmp_path), ("carousel", "cell_state", "nets", "output")
    assert {f"error_flow_log10_against_lag/{path}_before" for path in paths} == {
        tag for tag in written.Tags()["tensors"] if tag.endswith("_before")
    }
    for path in paths:
        rows = table[(table["path"] == path) & (table["norm"] > 0)]
        read = pd.Series(scalars(written, f"error_flow_log10_against_lag/{path}_before"))
        assert list(read.index) == list(rows["lag"])
        np.testing.assert_allclose(read, np.log10(rows["norm"]), rtol=1e-5)
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
    width, height, png = tf.make_ndarray(written.Tensors("time_by_cell/gates")[0].tensor_proto)[:3]
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
