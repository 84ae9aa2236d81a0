"""GateTensorBoard in stock fit: on any Keras model, and without touching what is trained."""

import json
import random

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from event_files import events, scalars
from keras_models import Zeros, two_layers
from measures import Scale, named
from oracles import randomize
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lstmlab import GatedCell, GatedRNN, Head, Recurrent, variant
from lstmlab.diagnostics import ErrorFlow, GateActivations, Interventions
from lstmlab.learners import BPTT
from lstmlab.recording.callback import GateTensorBoard
from lstmlab.recording.reading import read

layers = keras.layers
B, T, F, N = 12, 6, 3, 4


@pytest.fixture
def data(rng):
    return rng.normal(size=(B, T, F)).astype("float32"), rng.normal(size=(B, 2)).astype("float32")


def simple(*more, loss="mse", run_eagerly=True):
    """One GatedRNN; op by op, since a graph would take longer to compile than to train."""
    model = keras.Sequential(
        [keras.Input((T, F)), *more, GatedRNN(N, "lstm1997", name="r"), layers.Dense(2)]
    )
    randomize(model.get_layer("r"), np.random.default_rng(4), scale=0.5)
    model.compile("adam", loss, metrics=["mae"], run_eagerly=run_eagerly)
    return model


def gates_and_flow():
    return [GateActivations(), ErrorFlow(every="doubling")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("diagnostics", "names"),
    [
        ([GateActivations(), Scale()], ["gates", "scale"]),
        ("light", ["error_flow", "example", "gates", "gradients", "memory"]),
    ],
    ids=["some", "light"],
)
def test_a_strangers_model_logs_every_layer(diagnostics, names, data, rng, tmp_path):
    """Functional, masked, two GatedRNN layers, one of which runs both ways; validation data."""
    model, (x, y) = two_layers(rng, "float32"), data
    x[::3, 4:] = 0
    settings = {"units": N, "cell": "peephole", "masked": True}
    callback = GateTensorBoard(tmp_path, (x[:4], y[:4]), diagnostics=diagnostics, hparams=settings)
    model.fit(x, y, batch_size=4, epochs=2, validation_split=0.25, verbose=0, callbacks=[callback])
    tables = read(tmp_path, events=True)
    assert sorted(tables) == sorted(["events", "history", *names])
    assert sorted(set(tables["gates"]["layer"])) == ["backward_both", "forward_both", "top"]
    assert sorted(set(tables["gates"]["step"])) == [0, 3, 6]
    assert tables["gates"].groupby("layer")["mean"].nunique().min() > 3  # the gates moved
    assert set(tables["history"]["metric"]) >= {"loss", "val_loss"}
    written = tables["events"].set_index(["run", "tag", "step"])["value"]
    for row in tables["gates"].itertuples():
        assert written[".", f"gates_mean/{row.layer}/{row.gate}", row.step] == np.float32(row.mean)
    for row in tables["history"].itertuples():
        assert written[".", f"training/{row.metric}", row.step] == np.float32(row.value)
    assert set(tables["events"]["run"]) == {"."}  # one entry in TensorBoard's list
    lags = (".", "error_flow_log10_against_lag/top/output_before", 0) in written.index
    assert lags == ("error_flow" in names)
    plugins = events(tmp_path).Tags()["tensors"]
    session = {f"_hparams_/{tag}" for tag in ("experiment", "session_start_info")}
    assert session | {"_hparams_/session_end_info"} <= set(plugins)
    assert {"custom_scalars__config__", "model"} <= set(events(tmp_path).Tags()["tensors"])
    saved = json.loads((tmp_path / "cells.json").read_text())
    assert sorted(saved) == ["backward_both", "forward_both", "top"]
    assert GatedCell.from_config(saved["top"]["config"]).units == N


@pytest.mark.slow
def test_settings_for_the_page_hparams_are_those_of_the_model_unless_they_are_given(data, tmp_path):
    x, y = data
    model = simple()
    model.compile(keras.optimizers.SGD(0.25), "mse", run_eagerly=True)
    look = GateTensorBoard(tmp_path, (x[:4], y[:4]), diagnostics=[GateActivations()])
    model.fit(x, y, verbose=0, callbacks=[look])
    content = events(tmp_path).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info.hparams
    told = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.items()}
    assert told == {
        "optimizer": "SGD", "learning_rate": 0.25, "loss": "mse", "weights": model.count_params(),
        "r.units": N,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_training_is_bit_for_bit_what_it_is_without(compiled, data, tmp_path):
    """Weights, optimizer, seeds and random states, with dropout and running means."""
    ends = []
    for looks in (False, True):
        keras.utils.set_random_seed(3)
        more = layers.Dropout(0.3), layers.BatchNormalization()
        model = simple(*more, run_eagerly=not compiled)
        callback = GateTensorBoard(
            tmp_path, (data[0][:4], data[1][:4]), every=2, diagnostics=gates_and_flow()
        )
        logs = model.fit(
            *data, batch_size=3, epochs=2, verbose=0, callbacks=[callback] if looks else []
        )
        state = [
            v.numpy()
            for v in (*model.variables, *model.optimizer.variables, *model.metrics_variables)
        ]
        draws = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        ends.append((state, draws, logs.history, model.predict(data[0], verbose=0)))
    for one, other in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert ends[0][1:3] == ends[1][1:3]
    np.testing.assert_array_equal(ends[0][3], ends[1][3])
    assert sorted(set(read(tmp_path)["gates"]["step"])) == [0, 2, 4, 6, 8]


@pytest.mark.slow
def test_doubling_measures_come_at_powers_of_two_only(data, tmp_path):
    both = [Scale(), named("wide", every="doubling")]
    callback = GateTensorBoard(tmp_path, data, diagnostics=both)
    simple().fit(*data, batch_size=B, epochs=6, verbose=0, callbacks=[callback])
    tables = read(tmp_path)
    assert sorted(set(tables["scale"]["step"])) == [0, 1, 2, 3, 4, 5, 6]
    assert sorted(set(tables["wide"]["step"])) == [0, 1, 2, 4, 6]


@pytest.mark.slow
def test_one_layer_has_no_sub_run_and_a_second_fit_goes_on(data, tmp_path):
    model, callback = simple(), GateTensorBoard(tmp_path, data, diagnostics=[GateActivations()])
    for _ in range(2):
        model.fit(*data, batch_size=B, epochs=1, verbose=0, callbacks=[callback])
    table = read(tmp_path)["gates"]
    assert table.groupby("step").size().to_dict() == {0: 2, 1: 2, 2: 2}
    assert set(table["layer"]) == {"r"}
    assert not (tmp_path / "r").exists()
    steps = [
        step
        for file in sorted(tmp_path.glob("*tfevents*"))
        for step in scalars(events(file), "gates_mean/input_gate")
    ]
    assert sorted(steps) == [0, 1, 2]


@pytest.mark.slow
def test_beside_keras_own_callback(data, tmp_path):
    both = [
        keras.callbacks.TensorBoard(tmp_path / "keras", histogram_freq=0),
        GateTensorBoard(tmp_path / "gates", data, diagnostics=[Scale()]),
    ]
    simple().fit(*data, epochs=1, verbose=0, callbacks=both)
    tables = read(tmp_path, events=True)
    assert {"keras/train", "gates"} <= set(tables["events"]["run"])


def test_of_a_recurrent(rng, tmp_path):
    model = Recurrent(variant("lstm1997", units=N), Head(1), BPTT(), F)
    model.compile("adam", run_eagerly=True)
    x, y, w = (rng.normal(size=size).astype("float32") for size in ((4, T, F), (4, T, 1), (4, T)))
    w = np.abs(w)
    data = tf.data.Dataset.from_tensors((x, y, w))
    model.fit(
        data,
        epochs=2,
        verbose=0,
        shuffle=False,
        callbacks=[GateTensorBoard(tmp_path, (x, y, w), diagnostics=[GateActivations()])],
    )
    tables = read(tmp_path)
    assert list(tables["gates"].columns) == ["step", "gate", "mean", "near_0", "near_1"]
    assert sorted(set(tables["gates"]["step"])) == [0, 1, 2]


def test_a_folder_that_is_not_writable_does_not_stop_the_training(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    model = simple()
    before = model.get_weights()
    callback = GateTensorBoard(
        tmp_path / "file" / "logs", data, diagnostics=[Scale()], hparams={"a": 1}
    )
    model.fit(*data, epochs=2, verbose=0, callbacks=[callback])
    assert capsys.readouterr().err == (
        f"diagnostics: nothing more is written to {tmp_path}/file/logs, the training goes on: "
        f"{tmp_path}/file/logs: expected a file that can be written. Received: Not a directory\n"
    )
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(before, model.get_weights(), strict=True)
    )


def test_presets():
    light, full = (
        GateTensorBoard("x", (np.zeros((1, 2)), np.zeros((1, 2))), diagnostics=name).diagnostics
        for name in ("light", "full")
    )
    assert {type(one).__name__ for one in light.values()} == {
        "GateActivations",
        "ErrorFlow",
        "Example",
        "GradientNorm",
        "Memory",
    }
    assert set(light) < set(full)
    assert (light["gates"].every, light["error_flow"].every, full["jacobians"].every) == (
        10_000,
        "doubling",
        "doubling",
    )
    assert {"gates", "error_flow", "memory", "jacobians", "interventions"} <= set(full)
    assert "learners" not in full  # it needs learners


def test_arguments_that_are_refused(data):
    for arguments, text in (
        ({"every": 0}, r"expected a positive integer, or 'epoch'\. Received: every=0"),
        ({"every": True}, r"expected a positive integer, or 'epoch'\. Received: every=True"),
        ({"every": "batch"}, r"expected a positive integer, or 'epoch'\. Received: every='batch'"),
        (
            {"diagnostics": "some"},
            r"expected 'light', 'full' or a list of diagnostics\. Received: diagnostics='some'",
        ),
        (
            {"diagnostics": []},
            r"expected 'light', 'full' or a list of diagnostics\. Received: diagnostics=\[\]",
        ),
        (
            {"diagnostics": gates_and_flow() * 2},
            r"expected diagnostics of different names\. Received: diagnostics=\['gates'.*",
        ),
        ({"hparams": [1]}, r"expected a dictionary or None\. Received: hparams=\[1\]"),
    ):
        with pytest.raises(ValueError, match=f"^GateTensorBoard: {text}$"):
            GateTensorBoard("x", data, **arguments)
    for probe, text in (
        (data[0], r"expected a probe \(x, y\) or \(x, y, sample_weight\)\. Received: ndarray"),
        ((data[0][:0], data[1][:0]), "expected as many sequences in y as in x, at least one.*"),
    ):
        with pytest.raises(ValueError, match=f"^GateTensorBoard: {text}$"):
            GateTensorBoard("x", probe)


def test_models_and_probes_that_are_refused_before_training(data, tmp_path):
    x, y = data
    plain = keras.Sequential([keras.Input((T, F)), layers.Flatten(), layers.Dense(2)], name="plain")
    plain.compile("sgd", "mse")
    for model, probe, text in (
        (
            plain,
            data,
            r"expected a model with at least one GatedRNN, keras\.layers\.LSTM, GRU, SimpleRNN, or "
            r"RNN of their cells\. Received: model='plain'",
        ),
        (
            simple(),
            (x[..., :2], y),
            r"expected a probe that the model takes\. Received: x of shapes \(12, 6, 2\), y of .*",
        ),
    ):
        before = model.get_weights()
        with pytest.raises(ValueError, match=f"^GateTensorBoard: {text}$"):
            model.fit(x, y, verbose=0, callbacks=[GateTensorBoard(tmp_path, probe)])
        assert not list(tmp_path.iterdir()), "nothing is written for what is refused"
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    without = simple(loss=None)
    with pytest.raises(ValueError, match="No loss to compute"):
        without.fit(x, y, verbose=0, callbacks=[GateTensorBoard(tmp_path, data)])


def test_an_interval_beyond_the_sequence_is_refused_before_training(data, tmp_path):
    clamp = Interventions(interval=[T + 1, T + 3])
    with pytest.raises(ValueError, match=r"^Interventions: "):
        simple().fit(
            *data, verbose=0, callbacks=[GateTensorBoard(tmp_path, data, diagnostics=[clamp])]
        )


@pytest.mark.slow
def test_the_history_keeps_metrics_that_come_seldom(data, tmp_path):
    callback = GateTensorBoard(tmp_path, data, diagnostics=[Scale()])
    fit = simple().fit(
        *data, validation_data=data, validation_freq=2, epochs=2, verbose=0, callbacks=[callback]
    )
    table = read(tmp_path)["history"]
    for metric, values in fit.history.items():
        np.testing.assert_allclose(table.loc[table["metric"] == metric, "value"], values, rtol=1e-6)
    assert table.groupby("metric").size().to_dict() == {
        "loss": 2,
        "mae": 2,
        "val_loss": 1,
        "val_mae": 1,
    }


@pytest.mark.slow
def test_masked_steps_count_for_nothing(data, tmp_path):
    """The gates' mean is that over the steps that a mask leaves, here by hand."""
    x, y = data
    x[:, 3:] = 0
    model = simple(Zeros())
    model.fit(
        x,
        y,
        epochs=1,
        verbose=0,
        callbacks=[GateTensorBoard(tmp_path, data, diagnostics=[GateActivations()])],
    )
    cell, states, opened = (
        model.get_layer("r").cell,
        model.get_layer("r").cell.get_initial_state(B),
        [],
    )
    for t in range(3):
        values, states = cell.step(tf.constant(x[:, t]), states)
        opened.append(values["input_gate"].numpy())
    table = read(tmp_path)["gates"]
    mean = table[(table["step"] == table["step"].max()) & (table["gate"] == "input_gate")]["mean"]
    np.testing.assert_allclose(mean, np.mean(opened), rtol=1e-5)
    assert isinstance(table, pd.DataFrame)
