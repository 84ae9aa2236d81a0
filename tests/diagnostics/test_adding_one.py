"""The recipe of docs/diagnostics.md: one Python file and one yaml make a diagnostic."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from event_files import events
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from lstmlab import Head, Recurrent, config, diagnostics, variant
from lstmlab.diagnostics import Probe
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board, story
from lstmlab.recording.callback import GateTensorBoard
from lstmlab.recording.recorder import Recorder

PAGE = Path(__file__).parents[2] / "docs" / "diagnostics.md"
B, T, F, N = 3, 4, 2, 4


def blocks(language: str) -> list[str]:
    """The blocks of code in the section of the page."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Add a diagnostic\n")[2]
    return re.findall(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The page's own example, in a folder of its own that the package looks into too."""
    (source,), (option,) = blocks("python"), blocks("yaml")
    name = re.search(r'^    name = "(\w+)"$', source, re.MULTILINE).group(1)
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(diagnostics, "__path__", [*diagnostics.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    for found, value in diagnostics._offered().items():  # as when the package is imported
        monkeypatch.setattr(diagnostics, found, value, raising=False)
    yield name, option
    sys.modules.pop(f"lstmlab.diagnostics.{name}", None)
    vars(diagnostics).pop(name, None)


def problem(rng):
    model = Recurrent(variant("vanilla", units=N), Head(1), BPTT(), F)
    x, y = (rng.normal(size=(B, T, size)).astype("float32") for size in (F, 1))
    w = np.ones((B, T), "float32")
    return model, Probe(x, y, w, w > 0, w > 0)


def test_the_example_of_the_page_is_found_and_gets_its_csv_and_its_charts(added, rng, tmp_path):
    name, option = added
    kind = diagnostics.kinds()[name]
    assert option.startswith(f"# @package diagnostic.{name}\n")
    target = re.search(r"^_target_: (.+)$", option, re.MULTILINE).group(1)
    assert config.found(target) is kind
    assert config.found(f"{kind.__module__}.{kind.__name__}") is kind
    assert f"`{kind.__module__}.{kind.__name__}` works as well" in PAGE.read_text(encoding="utf-8")
    every = re.search(r"^every: (\d+)", option, re.MULTILINE).group(1)
    assert int(every) == kind.every

    model, probe = problem(rng)
    recorder = Recorder(tmp_path / "run", {name: kind()}, probe)
    recorder.start(model)
    recorder.board.layout()
    recorder.measure(model, 0)
    recorder.measure(model, 1000)
    recorder.close()

    table = pd.read_csv(tmp_path / "run" / f"{name}.csv")
    assert list(table["sequences"].unique()) == [0, 1000]
    assert len(table) > 2

    board = events(tmp_path / "run" / "tb")
    written = board.Tensors("custom_scalars__config__")[-1].tensor_proto
    layout = Layout.FromString(tf.make_ndarray(written).item())
    patterns = [
        chart.multiline.tag[0]
        for chapter in layout.category
        for chart in chapter.chart
        for one in kind.charts
        if chapter.title == one.chapter and chart.title.startswith(f"{one.title}: ")
    ]
    assert len(patterns) >= len(kind.charts) > 0
    for pattern in patterns:
        assert any(re.match(pattern, tag) for tag in board.Tags()["tensors"]), pattern


def test_it_is_in_the_callbacks_preset_of_all(added):
    name, _ = added
    callback = GateTensorBoard("logs", (np.zeros((1, 2)), np.zeros((1, 2))), diagnostics="full")
    assert name in callback.diagnostics


def test_a_class_from_elsewhere_brings_its_charts_along(tmp_path):
    chart = diagnostics.Chart("6 What else?", "surprise", r"surprise/.*")

    class Surprise(diagnostics.Diagnostic):
        name = "surprise"
        charts = (chart,)

        def measure(self, model, probe):
            return pd.DataFrame({"a": [1.0]})

        def show(self, board, table, sequences):
            board.scalar("surprise/a", 1.0, sequences)

    assert "surprise" not in diagnostics.kinds()
    assert story([Surprise()])[-1] == ("6 What else?", [chart])
    assert "6 What else?" not in dict(story())
    board = Board(tmp_path)
    board.layout([Surprise()])
    board.scalar("surprise/a", 1.0, 0)
    board.close()
    assert any(b"6 What else?" in path.read_bytes() for path in tmp_path.iterdir())


def test_the_story_is_told_in_order():
    told = [(chapter, [chart.title for chart in charts]) for chapter, charts in story()]
    assert [chapter[0] for chapter, _ in told] == ["1", "2", "3", "4", "5"]
    titles = dict(told)["3 Where does the error go?"]
    assert titles == [
        "log10 of error flow against lag",
        "log10 of state to state against lag",
        "log10 of the bound of 1991 against lag",
        "gradient of the weights",
    ]
