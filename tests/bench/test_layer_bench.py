"""lstmlab-bench layer: the csv and the tables hold what was measured. No time is asserted."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest

from lstmlab.bench import command as bench
from lstmlab.bench import defaults, devices, layer, layer_peers

SHAPE = (2, 3, 2, 4)


def made_up() -> pd.DataFrame:
    """Two rounds, the machine being half as fast in the second: ratios are the same in both."""
    speeds = {"mingru scan": 1.0, "mingru xla": 4.0}
    rows = [
        {"part": "shape", "shape": shape, "layer": name, "mode": "training", "round": number}
        | {"ms": ms * slow * size, "first_s": 1.0}
        for shape, size in (("narrow", 1.0), ("tiny", 10.0))
        for number, slow in enumerate((1.0, 2.0))
        for name, ms in speeds.items()
    ]
    return pd.DataFrame(rows, columns=list(layer.COLUMNS))


def test_medians_and_ratios_within_rounds():
    table = layer.summary(made_up(), "shape", "training").set_index("layer")
    assert table.loc["mingru xla"].tolist() == [6, 60]
    assert table.loc["mingru scan"].tolist() == [1.5, 15]
    ratios = layer.summary(made_up(), "shape", "training", "ratio").set_index("layer")
    assert list(ratios.index) == ["mingru xla", "mingru scan"]
    assert ratios.loc["mingru scan"].tolist() == [0.25, 0.25]


@pytest.mark.slow
def test_the_command_with_engines_that_serve_and_one_that_does_not(tmp_path, capsys, monkeypatch):
    refused = ("tensorflow", "vanilla", {"engine": "scan"}, False)
    monkeypatch.setitem(layer_peers.LAYERS, "vanilla scan", refused)
    monkeypatch.setitem(defaults.LAYER_SHAPES, "tiny", SHAPE)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    monkeypatch.setattr(layer, "_processes", _here)
    names = ["keras LSTM", "mingru xla", "mingru scan", "vanilla scan"]
    paths = [str(tmp_path / "layer.csv"), str(tmp_path / "layer.png")]
    asked = ["--layers", *names, "--layer-shapes", "tiny", "--lengths", "3", "5", "--rounds", "2"]
    bench.main(["layer", *asked, "--csv", paths[0], "--picture", paths[1]])

    printed = capsys.readouterr()
    assert "left out: vanilla scan: " in printed.err
    assert "expected gates and candidates that do not read the hidden state" in printed.err
    table = pd.read_csv(paths[0])
    assert list(table.columns) == list(layer.COLUMNS)
    assert table.groupby(["part", "shape", "layer", "mode"]).size().tolist() == [2] * 3 * 3 * 2
    assert (table["ms"] > 0).all()
    assert sorted(table["layer"].unique()) == sorted(names[:3])
    assert "training, ratio to keras LSTM, by length" in printed.out
    assert (tmp_path / "layer.png").stat().st_size > 10_000


class _here:
    """In place of processes: the same orders, answered here."""

    def __init__(self, backends, gpu):
        self.calls = {}
        self.backends = backends

    def __enter__(self):
        return dict.fromkeys(self.backends, self)

    def __exit__(self, *_):
        return None

    @property
    def stdin(self):
        return self

    stdout = stdin

    def write(self, line):
        self.answer = layer_peers.reply(self.calls, line)

    def flush(self):
        return None

    def readline(self):
        return self.answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "keras LSTM, compiled",
        "keras LSTM on JAX",
        "JAX lax.scan",
        "torch LSTM",
        "vanilla native on JAX",
        "slstm on JAX",
    ],
)
def test_peers_answer_from_a_process_of_their_own(name):
    backend = defaults.LAYERS[name][0]
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    table = layer.run([name], {"any": SHAPE}, {}, rounds=1, seconds=0.0)
    assert table["mode"].tolist() == ["forward", "training"]
    assert np.all(table[["ms", "first_s"]] > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla native", "torch LSTM"])
def test_memory_is_at_least_what_the_way_back_needs(name, capsys):
    """The states of all steps; and less than a hundred times as much."""
    if importlib.util.find_spec(defaults.LAYERS[name][0]) is None:
        pytest.skip(f"{defaults.LAYERS[name][0]} is not installed")
    batch, steps, units = 64, 400, 64
    shapes = {"any": (batch, steps, 2, units)}
    table = layer.run([name], shapes, {}, rounds=1, seconds=0.0, modes=(), memory=True)
    states = 4 * batch * steps * units / 2**20
    assert states < table["mb"].item() < 100 * states
    assert "MB beyond those of the process" in layer.tables(table)


def test_what_is_not_installed_is_left_out_with_a_word(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert layer.run(["torch LSTM"], {"any": SHAPE}, {}, 1, 0.0).empty
    assert capsys.readouterr().err == "left out: torch LSTM: torch is not installed\n"


def test_a_process_that_ends_is_reported(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ValueError, match=r"^layer: expected a process that runs keras LSTM at \(2"):
        layer.run(["keras LSTM"], {"any": SHAPE}, {}, 1, 0.0)


# ---- --gpu, as far as a machine without one goes


def test_a_gpu_that_no_backend_sees_is_refused_with_one_line(monkeypatch):
    monkeypatch.setattr(layer, "_processes", _here)
    with pytest.raises(SystemExit) as ended:
        bench.main(["layer", "--gpu", "--layers", "keras LSTM", "--no-lengths"])
    line = "lstmlab-bench: layer: expected a GPU that tensorflow can use. Received: gpu=None"
    assert ended.value.code == line


def test_backends_that_see_no_gpu_are_left_out_and_the_memory_is_the_gpus(capsys, monkeypatch):
    monkeypatch.setattr(layer, "_installed", lambda name: True)
    monkeypatch.setattr(layer, "_processes", _here)
    monkeypatch.setattr(devices, "has_gpu", lambda backend: backend == "tensorflow")
    monkeypatch.setattr(devices, "peak_mb", lambda backend: 123.0)
    names = ["keras LSTM", "torch LSTM"]
    table = layer.run(names, {"any": SHAPE}, {}, 1, 0.0, ["training"], memory=True, gpu=True)
    assert set(table["layer"]) == {"keras LSTM"}
    assert table[table["part"] == "memory"]["mb"].tolist() == [123.0]
    assert capsys.readouterr().err == "left out: layers of torch, which sees no GPU\n"
    assert "training, MB of the GPU, by shape" in layer.tables(table, gpu=True)


@pytest.mark.parametrize("gpu", [False, True])
def test_a_gpu_is_hidden_from_the_processes_unless_it_is_asked_for(gpu, monkeypatch):
    started = []
    monkeypatch.setattr(layer.subprocess, "Popen", lambda *_, env, **__: started.append(env))
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AttributeError), layer._processes({"jax"}, gpu):
        pass  # what was started is no process, which cannot be ended
    assert ("CUDA_VISIBLE_DEVICES" in started[0], "JAX_PLATFORMS" in started[0]) == (not gpu,) * 2
