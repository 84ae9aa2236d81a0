"""GatesPlugin: what it answers, and what it refuses."""

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from keras.saving import serialize_keras_object
from tensorboard.plugins import base_plugin
from werkzeug.test import Client

from lstmlab import GatedCell, config
from lstmlab.results import CELLS, Run
from lstmlab.tensorboard import reading
from lstmlab.tensorboard.equations import OWN, SAVED
from lstmlab.tensorboard.plugin import STATIC, GatesPlugin

ROOT = Path(__file__).parents[2]

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def logs(tmp_path):
    for name, cell in (("1997", "lstm1997"), ("today", "vanilla"), (f"x {SCRIPT[1:-10]}", None)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "gates.csv").write_text(f"sequences,gate,mean\n0,{SCRIPT},0.25\n")
        (folder / "result.json").write_text(json.dumps({"task": SCRIPT, "seed": 1}))
        if cell:
            settings, choices = config.compose(f"cell={cell}")
            content = {"settings": settings, "choices": choices, "runtime": {}}
            (folder / "run.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.fixture
def ask(logs):
    apps = GatesPlugin(base_plugin.TBContext(logdir=str(logs))).get_plugin_apps()

    def asked(path, method="GET", **query):
        return Client(apps[path]).open(path, method=method, query_string=query)

    return asked


def test_tensorboard_finds_it():
    [found] = entry_points(group="tensorboard_plugins", name="lstmlab")
    assert found.load() is GatesPlugin


def test_it_shows_itself_where_there_are_runs(logs, tmp_path_factory):
    plugin = GatesPlugin(base_plugin.TBContext(logdir=str(logs)))
    assert plugin.is_active()
    assert plugin.frontend_metadata().tab_name == "Gates"
    assert plugin.frontend_metadata().es_module_path in plugin.get_plugin_apps()
    empty = tmp_path_factory.mktemp("empty")
    assert not GatesPlugin(base_plugin.TBContext(logdir=str(empty))).is_active()


def test_the_folder_of_event_files_that_a_run_prints_shows_that_run(logs):
    (logs / "today" / "tb").mkdir()
    plugin = GatesPlugin(base_plugin.TBContext(logdir=str(logs / "today" / "tb")))
    assert plugin.is_active()
    assert [one["run"] for one in plugin.runs.listed()["runs"]] == ["."]
    assert plugin.runs.table(".", "gates").startswith("sequences,")


def test_the_event_files_of_a_sweep_show_its_runs(logs):
    """Both tb/ of the sweep, and in it the folder of one run."""
    (logs / "tb" / "vanilla bptt s0").mkdir(parents=True)
    (logs / "tb" / "names.json").write_text("{}")
    Run(logs / "today").keep_events_in(logs / "tb" / "vanilla bptt s0")
    for folder, expected in ((logs / "tb", 3), (logs / "tb" / "vanilla bptt s0", 1)):
        plugin = GatesPlugin(base_plugin.TBContext(logdir=str(folder)))
        assert plugin.is_active()
        assert len(plugin.runs.listed()["runs"]) == expected
    assert plugin.runs.table(".", "gates").startswith("sequences,")


def test_the_files_of_the_page(ask):
    for path in STATIC.glob("*.js"):
        answer = ask(f"/{path.name}")
        assert answer.get_data(as_text=True) == path.read_text(encoding="utf-8")
        assert answer.content_type.startswith("application/javascript")
    assert ask("/page.css").content_type.startswith("text/css")


def test_only_get_is_answered(ask):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = ask("/runs", method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_the_list_and_a_table_are_data_and_never_a_page(ask, logs):
    answer = ask("/runs")
    assert answer.content_type.startswith("application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    names = [one["run"] for one in answer.json["runs"]]
    assert len(names) == 3
    assert {one["row"]["task"] for one in answer.json["runs"]} == {SCRIPT}
    answer = ask("/table", run=names[0], name="gates")
    assert answer.content_type.startswith("text/csv")
    assert answer.get_data(as_text=True) == (logs / names[0] / "gates.csv").read_text()


def test_each_card_has_a_page_on_how_to_read_it(ask):
    text = (STATIC / "cards.js").read_text(encoding="utf-8")
    sections = re.findall(r'^  \["[^"]+", \w+, "[^"]+", "([^"]+)"\],$', text, re.MULTILINE)
    assert len(sections) == 5
    for name in sections:
        answer = ask("/reading", section=name)
        assert answer.content_type.startswith("text/html")
        page = answer.get_data(as_text=True)
        assert re.findall(r"<h[1-6]>(.*?)</h", page)[0] == name
        assert page.count("<h2>") <= 1
        assert "$" not in page
        assert "<p>" in page
        assert not re.search(r"<img|\]\(|href=\"(?!https?:|page\.css)", page)
    # the line of its code that begins as a heading does is not the end of it
    last = "<code>lstmlab diagnostic=[light,saturation]</code>"
    assert last in reading.section("Add a diagnostic")


@pytest.mark.parametrize("name", ["", "none", "# Diagnostics", "../diagnostics", "Diagnostic"])
def test_a_page_of_no_section_is_not_found(ask, name):
    assert ask("/reading", section=name).status_code == 404


@pytest.mark.parametrize("run", ["", "..", "../..", "/etc", "1997/../..", "none"])
def test_what_is_not_there_is_not_found(ask, run):
    assert ask("/table", run=run, name="gates").status_code == 404
    assert ask("/equations", run=run).status_code == 404
    assert ask("/table", run="1997", name="../1997/gates").status_code == 404


def test_equations_are_those_of_the_cell_as_it_is_switched(ask):
    old, new = (ask("/equations", run=name).json for name in ("1997", "today"))
    assert [one["gate"] for one in old["gates"]] == ["input_gate", "output_gate"]
    assert "forget_gate" in [one["gate"] for one in new["gates"]]
    assert all("<math" in one["mathml"] for one in [*old["equations"], *new["equations"]])
    assert "cell state" in [one["name"] for one in new["equations"]]
    nothing = ask("/equations", run=next(one for one in names(ask) if one.startswith("x"))).json
    assert list(nothing) == ["reason"]


@pytest.fixture
def keras_model(logs):
    """The folder of a model of two layers, as GateTensorBoard writes it."""
    cells = {"one": GatedCell(2), "two": GatedCell(3, forget_gate=None)}
    folder = logs / "keras"
    folder.mkdir()
    (folder / "gates.csv").write_text("step,layer,gate,mean\n0,one,input_gate,0.5\n")
    saved = {name: serialize_keras_object(cell) for name, cell in cells.items()}
    (folder / CELLS).write_text(json.dumps(saved))
    return folder


def test_equations_of_a_keras_model_are_those_of_the_layer(ask, keras_model):
    gates = [
        {one["gate"] for one in ask("/equations", run="keras", layer=layer).json["gates"]}
        for layer in ("one", "two")
    ]
    assert gates[0] - gates[1] == {"forget_gate"}
    assert list(ask("/equations", run="keras", layer="three").json) == ["reason"]
    (keras_model / CELLS).write_text('["one"]')
    assert list(ask("/equations", run="keras", layer="one").json) == ["reason"]


@pytest.mark.parametrize("place", [[], ["config", "input_gate"], ["config", "kernel_initializer"]])
def test_a_class_that_a_saved_cell_names_is_not_made(ask, keras_model, place):
    path = keras_model / CELLS
    content = json.loads(path.read_text())
    node = content["one"]
    for name in place:
        node = node[name]
    node |= {"module": "os", "class_name": "mkdir", "registered_name": None}
    path.write_text(json.dumps(content))
    answer = ask("/equations", run="keras", layer="one").json
    assert answer == {"reason": "No equations: this cell is made by os mkdir."}


def test_no_other_module_counts_as_one_of_cells():
    assert SAVED.fullmatch("lstmlab.cells.gates Gate")
    assert SAVED.fullmatch("keras DTypePolicy")
    for name in ("keras.utils get_file", "keras.utils Sequence", "builtins function", "None X"):
        assert not SAVED.fullmatch(name)


@pytest.mark.parametrize("place", [["cell"], ["cell", "input_gate"], ["cell", "bias"]])
def test_a_class_that_a_strangers_folder_names_is_not_made(ask, logs, place):
    path = logs / "1997" / "run.yaml"
    content = yaml.safe_load(path.read_text())
    node = content["settings"]
    for name in place[:-1]:
        node = node[name]
    made = logs / "made"
    node[place[-1]] = {"_target_": "os.mkdir", "path": str(made)}
    path.write_text(yaml.safe_dump(content))
    answer = ask("/equations", run="1997").json
    assert answer == {"reason": "No equations: this cell is made by os.mkdir."}
    assert not made.exists()


def test_no_attribute_of_a_module_counts_as_a_class():
    for name in (
        "lstmlab.files.os.mkdir",
        "lstmlab.cells.gates.keras.Model",
        "keras.utils.x",
        "os",
    ):
        assert not OWN.fullmatch(name)
    for path in (ROOT / "conf" / "cell").glob("*.yaml"):
        for name in re.findall(r"_target_: *([\w.]+)", path.read_text()):
            assert OWN.fullmatch(name), path


def names(ask):
    return [one["run"] for one in ask("/runs").json["runs"]]


def test_no_script_of_the_page_loads_anything_from_outside():
    for path in STATIC.glob("*.*"):
        if path.suffix in (".js", ".css") and not path.stem.startswith("uplot"):
            assert "http" not in path.read_text(encoding="utf-8"), path.name
    assert "MIT" in (STATIC / "uplot.LICENSE.txt").read_text()


def test_text_of_runs_becomes_markup_nowhere_but_in_equations():
    """Once from MathML that the server made of a cell's own symbols, and once from a constant."""
    uses = [
        line.strip()
        for path in STATIC.glob("*.js")
        if path.stem != "uplot"
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(
            word in line
            for word in ("HTML", "document.write", "parseFromString", "createContextualFragment")
        )
    ]
    constant, made = sorted(uses)
    assert made.startswith("made.innerHTML = mathml;")
    assert constant.startswith('const tried = new DOMParser().parseFromString("<math><msub>')
