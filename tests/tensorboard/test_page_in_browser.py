"""The page Gates in a headless Chromium: at first sight, and driven."""

import json
import math
import time

import pytest
from browser import (
    body,
    card,
    choose,
    copied,
    enter_frame,
    headless,
    of_class,
    open_gates,
    press,
    read,
    served,
    wait_until,
)
from keras.saving import serialize_keras_object

from lstmlab import GatedCell
from lstmlab.results import CELLS

SCRIPT = "<img src=x onerror=alert(1)>"
PICTURED = (
    "navigator.clipboard.write = async ([one]) => { const made = await createImageBitmap("
    "await one.getType('image/png')); window.size = [made.width, made.height]; }"
)
CHARTS = of_class("uplot")
FOLD = "//aside//label//input"
PLAY = of_class("time") + "//button"
EXAMPLE = (
    "sequences,t,input_1,target_1,weight,event,prediction_1,input_gate_1,cell_state_1,output_1"
)


def write(folder, seed, cell):
    folder.mkdir()
    row = {"task": "adding", "cell": cell, "learner": "bptt", "seed": seed, "status": "budget"}
    (folder / "result.json").write_text(json.dumps(row))
    lines = [EXAMPLE]
    flow, memory = ["sequences,lag,path,norm"], ["sequences,cell,half_life,lag,drift"]
    bound, gates = ["sequences,lag,kind,value"], ["sequences,gate,mean"]
    for now in (0, 1000, 2000):
        lines += [
            f"{now},{t},0.5,1,{int(t == 9)},{int(t == 2)},{now},0.5,{t},0.1" for t in range(10)
        ]
        flow += [
            f"{now},{lag},{path},{0.5**lag}"
            for lag in range(10)
            for path in ("cell_state", "output")
        ]
        gates += [f"{now},{gate},{0.1 * (seed + 1)}" for gate in GatedCell(2).gates]
        memory += [f"{now},{cell},{cell * (10 + now)},8,0.1" for cell in (1, 2)]
        bound += [
            f"{now},{lag},log10_bound_spectral,{-0.2 * lag + 0.1 * seed}" for lag in range(10)
        ]
    tables = {"example": lines, "error_flow": flow, "memory": memory, "bound": bound}
    tables["gates"] = gates
    held = ["sequences,gate,value,steps,error_before,error_after,recalled_before,recalled_after"]
    held += [
        f"{now},{gate},closed,8,0.125,{after},0.75,0.75"
        for now in (0, 1000, 2000)
        for gate, after in (("input_gate", 0.5), ("output_gate", 0.25))
    ]
    tables["interventions"] = held
    (folder / CELLS).write_text(json.dumps({"": serialize_keras_object(GatedCell(2))}))
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(table) + "\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page behind a prefix, in its frame."""
    folder = tmp_path_factory.mktemp("sweep")
    for seed in range(3):
        write(folder / f"old {seed}", seed, "lstm1997")
        write(folder / f"new = ü{seed}", seed, "vanilla")
    write(folder / "bad", 0, SCRIPT)
    with headless() as driver, served(folder, "--path_prefix", "/below") as address:
        open_gates(driver, address)
        wait_until(lambda: "Error against lag" in body(driver))
        yield driver


def lines(driver):
    """The texts of the list of runs, a line each."""
    return read(driver, of_class("list") + "//tbody/tr")


def set_value(driver, selector, value, event):
    driver.execute_script(
        "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
        "one.dispatchEvent(new Event(arguments[2], {bubbles: true}))",
        selector, value, event,
    )  # fmt: skip


@pytest.mark.slow
def test_the_page(page):
    """At first sight; then slider, filter, sorting, overlay, folding, play, heat map and export."""
    assert len(lines(page)) == 7
    assert "after 2,000 training sequences" in body(page)
    assert read(page, CHARTS)
    assert SCRIPT in body(page), "as text"
    assert not read(page, "//img")

    set_value(page, ".time input", "1", "input")
    assert "after 1,000 training sequences" in body(page)

    set_value(page, "input[type=search]", "vanilla", "input")
    assert len(lines(page)) == 3
    set_value(page, "input[type=search]", "vanilla seed=2", "input")
    assert ["new = ü2" in line for line in lines(page)] == [True]
    set_value(page, "input[type=search]", "", "input")

    def names():
        return set(read(page, of_class("u-legend") + of_class("u-label"), "one.textContent"))

    assert {"vanilla", "lstm1997"} < names(), "seeds of one setting are one line"
    press(page, FOLD)
    wait_until(lambda: {"vanilla s0", "vanilla s1", "lstm1997 s2"} < names())
    press(page, FOLD)
    wait_until(lambda: "vanilla" in names())

    def column(title, name):
        head, rows = copied(page, title)
        return [float(row[head.index(name)]) for row in rows]

    values = column("Error against lag", "log10 vanilla")
    assert values == pytest.approx([-0.30103 * lag for lag in range(10)], abs=1e-4)
    values = column("Error against lag", "log10 vanilla, bound of the norm")
    assert values == pytest.approx([-0.2 * lag + 0.1 for lag in range(10)]), "median of seeds"

    of_bound = "//tr[contains(., 'bound of the norm')]" + of_class("u-marker")
    assert set(read(page, of_bound, "getComputedStyle(one).borderTopStyle")) == {"dotted"}

    halfway = [(math.log10(one) + math.log10(2 * one)) / 2 for one in (10, 1010, 2010)]
    assert column("Memory", "log10 vanilla") == pytest.approx(halfway), "median of cells and seeds"
    cells = "//label[starts-with(., 'cells')]/select"
    assert read(page, f"{cells}/option", "one.text")[1:] == ["cell 1", "cell 2"]
    choose(page, cells, "cell 2")
    of_two = [math.log10(2 * one) for one in (10, 1010, 2010)]
    assert column("Memory", "log10 vanilla, lowest") == pytest.approx(of_two)

    choose(page, card("Equations") + "//select", "vanilla")
    wait_until(lambda: "equation of vanilla" in body(page))
    assert column("Equations", "mean") == pytest.approx([0.2] * 3), "over seeds"

    choice = "//article//label[starts-with(., 'run')]/select"
    called = set(read(page, f"{choice}/option", "one.text"))
    assert {"vanilla s0", "vanilla s2", "lstm1997 s1"} < called, "without what all have"
    press(page, "//label[contains(., 'gates as')]/select/option[2]")
    wait_until(lambda: read(page, of_class("body") + "/canvas", "one.width"))

    bold = read(page, card("What if") + "//b")
    assert bold == ["0.5"] * 3, "what changes a number most, once in each line of runs"

    set_value(page, ".time input", "0", "input")
    press(page, PLAY)
    wait_until(lambda: "after 2,000 training sequences" in body(page))
    wait_until(lambda: read(page, PLAY) == ["play"])


@pytest.mark.slow
def test_a_keras_model_of_two_layers_shows_one_of_them(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    flow = ["step,layer,lag,path,norm"]
    flow += [
        f"{now},{layer},{lag},cell_state,{share**lag}"
        for now in (0, 64)
        for layer, share in (("low", 0.5), ("top", 0.25))
        for lag in range(4)
    ]
    (folder / "error_flow.csv").write_text("\n".join(flow) + "\n")
    with headless() as driver, served(tmp_path) as address:
        open_gates(driver, address)
        wait_until(lambda: "after 64 optimizer steps" in body(driver))
        assert lines(driver) == ["model"]

        def slope():
            _, rows = copied(driver, "Error against lag")
            return float(rows[1][1])

        assert slope() == pytest.approx(-0.30103, abs=1e-4)
        press(driver, "//label[contains(., 'layer')]/select/option[2]")
        assert slope() == pytest.approx(-0.60206, abs=1e-4)


@pytest.mark.slow
def test_it_is_dark_where_tensorboard_is(page):
    def ground():
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    def switch():
        page.execute_script("window.parent.document.body.classList.toggle('dark-mode')")

    def dots():
        return set(read(page, of_class("dot"), "getComputedStyle(one).borderTopColor"))

    light, colours = ground(), dots()
    switch()
    wait_until(lambda: ground() == "rgb(48, 48, 48)")
    assert "Error against lag" in body(page)
    wait_until(lambda: dots().isdisjoint(colours))  # brighter ones
    switch()
    wait_until(lambda: ground() == light)
    wait_until(lambda: dots() == colours)


@pytest.mark.slow
def test_a_folder_without_runs_says_how_to_get_one(tmp_path):
    with headless() as driver, served(tmp_path) as address:
        open_gates(driver, address)
        wait_until(lambda: "No runs below this log folder yet" in body(driver))
        assert "GateTensorBoard" in body(driver)
        write(tmp_path / "run", 0, "lstm1997")
        driver.refresh()
        enter_frame(driver)
        wait_until(lambda: "Error against lag" in body(driver))
        assert "No runs below" not in body(driver)


@pytest.mark.slow
def test_it_shows_itself_in_the_frame_of_a_notebook(tmp_path):
    """%tensorboard puts TensorBoard into a frame of a page from another place."""
    write(tmp_path / "run", 0, "lstm1997")
    with headless() as driver, served(tmp_path / "run") as address:
        notebook = tmp_path / "notebook.html"
        frame = f'<iframe src="{address}#lstmlab_gates" width="1200" height="900"></iframe>'
        notebook.write_text(f"<!DOCTYPE html><body>{frame}</body>")
        driver.get(notebook.as_uri())
        for _ in range(2):
            enter_frame(driver)
        wait_until(lambda: read(driver, CHARTS))
        [line] = lines(driver)
        assert line.endswith("this folder"), "the run is the log folder itself"


@pytest.mark.slow
def test_no_row_is_executed_and_nothing_comes_from_outside(page):
    time.sleep(0.5)
    loaded = page.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert loaded
    assert all(one.startswith("http://127.0.0.1") for one in loaded), loaded
    assert all("/below/" in one for one in loaded)


OLD = "sequences,gate,mittel\n0,input_gate,0.5\n"


@pytest.mark.slow
def test_a_run_of_another_version_takes_no_card_of_the_others(tmp_path):
    """Without a column, with other columns altogether; and a picture has a title and a legend."""
    write(tmp_path / "new", 0, "vanilla")
    for seed, cell in enumerate(("lstm1997", "gru"), 1):
        write(tmp_path / cell, seed, cell)
    path = tmp_path / "lstm1997" / "memory.csv"
    path.write_text(path.read_text().replace("half_life", "half_time"))
    for name in ("memory", "error_flow", "gates", "interventions", "bound"):
        (tmp_path / "gru" / f"{name}.csv").write_text(OLD)
    with headless() as driver, served(tmp_path) as address:
        open_gates(driver, address)
        wait_until(lambda: "Equations" in body(driver))
        titles = set(read(driver, "//h2"))
        assert {"Error against lag", "Memory", "What if", "Equations"} < titles
        assert len(read(driver, CHARTS)) >= 3, "those of the other runs"
        driver.execute_script(PICTURED)
        press(driver, card("Error against lag") + "//button[contains(., 'PNG')]")
        wide, high = wait_until(lambda: driver.execute_script("return window.size"))
        sizes = read(driver, card("Error against lag") + "//canvas", "[one.width, one.height]")
        # a title, and one line for the two runs that were measured and their bounds
        assert [wide, high - 3 * 18] == sizes[0]
