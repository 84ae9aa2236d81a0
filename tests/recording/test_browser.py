"""TensorBoard on what diagnostics wrote: what it answers, and its pages in a headless Chromium.

The pages need Debian's chromium and chromium-driver, and selenium. LSTMLAB_SCREENSHOTS names a
folder for a picture of each page.
"""

import json
import os
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from browser import PATIENCE, answer, headless, served, wait_until
from oracles import randomize
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import ErrorFlow, GateActivations, Memory, Probe
from lstmlab.learners import BPTT
from lstmlab.recording.recorder import Recorder

RUNS, B, T, F = 12, 4, 10, 2
# all text of the page, also that inside shadow roots and frames, with the text of attributes
TEXT = """
function text(node) {
  if (node.nodeType === 3) return node.textContent;
  if (['STYLE', 'SCRIPT', 'TEMPLATE'].includes(node.nodeName)) return '';
  let found = '';
  if (node.getAttribute)
    found = [node.getAttribute('title'), node.getAttribute('data-tag'), node.value].join(' ');
  if (node.nodeName === 'IFRAME' && node.contentDocument)
    found += text(node.contentDocument.body);
  if (node.shadowRoot) found += text(node.shadowRoot);
  for (const child of node.childNodes) found += ' ' + text(child);
  return found;
}
return text(document.body);
"""


@pytest.fixture(scope="module")
def chromium():
    with headless() as driver:
        yield driver


def write_run(folder: Path, cell: str, rate: float, rng) -> None:
    """A run as the lab writes it, of a network that was never trained but changed at random."""
    model = Recurrent(variant(cell, units=4), Head(1), BPTT(), F)
    x, y, w = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 1)), np.zeros((B, T))
    w[:, -1] = 1.0
    probe = Probe(
        *(part.astype("float32") for part in (x, y, w)), w >= 0, np.arange(T) == np.full((B, 1), 2)
    )
    recorder = Recorder(
        folder, {"gates": GateActivations(), "error_flow": ErrorFlow(), "memory": Memory()}, probe
    )
    recorder.start(model)
    recorder.board.layout()
    recorder.board.text("config", f"cell: {cell}", 0)
    recorder.board.hparams(
        {"cell": cell, "optimizer.learning_rate": rate, "seed": 1, "peepholes": False},
        {"result/test_error": "test_error", "result/solved": "solved"},
        first=("cell", "optimizer.learning_rate", "peepholes"),
    )
    for now in (0, 1000):
        randomize(model.cell, rng)
        recorder.measure(model, now)
        for name in ("absolute_error", "squared_error", "recent_wrong"):
            recorder.board.scalar(f"training/{name}", rate / (1 + now), now)
    recorder.board.final({"result/test_error": rate / 2, "result/solved": rate < 0.02}, 1000)
    recorder.close()


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory):
    """The address of a TensorBoard on 12 runs.

    It starts after they are written: it may miss one of two files written within a second.
    """
    folder, rng = tmp_path_factory.mktemp("sweep"), np.random.default_rng(1997)
    tf.config.run_functions_eagerly(True)
    try:
        for k in range(RUNS):
            write_run(
                folder / f"run{k:02d}",
                ("lstm1997", "lstm2000", "vanilla")[k % 3],
                0.01 * (k + 1),
                rng,
            )
    finally:
        tf.config.run_functions_eagerly(False)
    with served(folder) as address:
        wait_until(lambda: len(answer(f"{address}data/runs")) == RUNS)
        yield address


def shown(driver, address: str, page: str, expected: list[str]) -> str:
    """The page's text once it holds all that is expected."""
    driver.get("about:blank")
    driver.get(f"{address}#{page}")
    end, text = time.monotonic() + PATIENCE, ""
    while missing := [one for one in expected if one not in text]:
        assert time.monotonic() < end, f"{page}: {missing} missing in {text[:4000]}"
        time.sleep(0.5)
        text = " ".join(driver.execute_script(TEXT).split())
    if folder := os.environ.get("LSTMLAB_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        time.sleep(3)  # lines are drawn after the words
        driver.save_screenshot(str(Path(folder) / f"{page}.png"))
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "timeseries",
            ["error_flow_log10_against_lag/carousel", "gates_mean", "time_by_cell"],
        ),
        ("scalars", ["training", "gates_mean", "error_flow_log10_against_lag", "memory_half_life"]),
        ("histograms", ["gates_at_events/input_gate", "gates gates"]),
        (
            "images",
            ["time_by_cell/gates", "moments/error_flow_log10_against_lag"],
        ),
        ("text", ["config"]),
        ("hparams", ["optimizer.learning_rate", "peepholes", "lstm1997", "vanilla", "test_error"]),
        (
            "custom_scalars",
            [
                "1 Does it learn?",
                "2 What do the gates do?",
                "3 Where does the error go?",
                "4 What is remembered?",
                "error of training: absolute error",
                "mean: input gate",
                "log10 of error flow against lag: carousel before",
                "Matches (12)",
            ],
        ),
    ],
)
def test_page_shows_what_the_sweep_wrote(page, expected, chromium, tensorboard):
    assert "No dashboards are active" not in shown(
        chromium, tensorboard, page, ["run00/tb", *expected]
    )


@pytest.mark.slow
def test_hparams_page_has_a_row_for_each_run_and_no_other_metrics(chromium, tensorboard):
    text = shown(chromium, tensorboard, "hparams", [f"run{k:02d}/tb" for k in range(RUNS)])
    assert "gates_mean" not in text


CHARTS = (
    ("error of training: absolute error", "training/absolute_error"),
    ("mean: input gate", "gates_mean/input_gate"),
    (
        "log10 of error flow against lag: carousel after",
        "error_flow_log10_against_lag/carousel_after",
    ),
    ("half-life, in steps: median", "memory_half_life/median"),
)


def assert_charts_find_their_tags(layout: dict, scalars: Callable[[str, str], dict], run: str):
    """scalars: what TensorBoard answers for a run and a regular expression of the layout."""
    assert [category["title"][0] for category in layout["category"]] == ["1", "2", "3", "4"]
    charts = [chart for category in layout["category"] for chart in category["chart"]]
    patterns = {chart["title"]: chart["multiline"]["tag"] for chart in charts}
    for title, tag in CHARTS:
        (pattern,) = patterns[title]
        found = scalars(f"{run}/tb", pattern)
        assert found["regex_valid"]
        assert list(found["tag_to_events"]) == [tag]
        assert len(found["tag_to_events"][tag]) >= 2


@pytest.mark.slow
def test_custom_scalars_find_the_tags_of_each_chart(tensorboard):
    """What TensorBoard itself answers for the regular expressions of the layout."""

    def scalars(run: str, pattern: str) -> dict:
        query = urllib.parse.urlencode({"run": run, "tag": pattern})
        return answer(f"{tensorboard}data/plugin/custom_scalars/scalars?{query}")

    layout = answer(f"{tensorboard}data/plugin/custom_scalars/layout")
    assert_charts_find_their_tags(layout, scalars, "run03")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")
def test_custom_scalars_of_one_run_without_a_server(tmp_path, rng, eager):
    """The same answers from TensorBoard's own code in this process."""
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin

    write_run(tmp_path / "run", "vanilla", 0.01, rng)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    runs.Reload()
    provider = MultiplexerDataProvider(runs, str(tmp_path))
    plugins: dict = {}
    given = TBContext(data_provider=provider, logdir="", plugin_name_to_instance=plugins)
    plugins["scalars"] = ScalarsPlugin(given)
    page, asked = CustomScalarsPlugin(given), RequestContext()

    def scalars(run: str, pattern: str) -> dict:
        return page.scalars_impl(asked, run, pattern, "")

    assert_charts_find_their_tags(json.loads(page.layout_impl(asked, "")), scalars, "run")
