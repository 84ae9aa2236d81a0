"""The page Gates on log folders of Keras models, written by hand, in a headless Chromium."""

import pytest
from browser import (
    body,
    card,
    choose,
    copied,
    headless,
    of_class,
    open_gates,
    press,
    read,
    served,
    wait_until,
)

# input_1..2 and cells 1..12 of the wide layer, input_1..4 and cells 1..3 of the narrow one
WIDE, NARROW = (2, 12), (4, 3)


def fields(values, count):
    """A value for each column, and nothing in the columns of another layer."""
    return [str(value) for value in values] + [""] * (count - len(values))


def write(folder):
    folder.mkdir()
    most = [max(pair) for pair in zip(WIDE, NARROW, strict=True)]
    head = ["step", "layer", "t"]
    head += [f"input_{k + 1}" for k in range(most[0])]
    head += [f"forget_gate_{k + 1}" for k in range(most[1])]
    lines = [",".join(head)]
    for name, (inputs, cells) in (("wide", WIDE), ("narrow", NARROW)):
        for t in range(4):
            row = ["64", name, str(t)]
            row += fields([0.1 * t] * inputs, most[0]) + fields([0.5] * cells, most[1])
            lines.append(",".join(row))
    (folder / "example.csv").write_text("\n".join(lines) + "\n")


def write_others(folder):
    """An error flow whose last moment is half-written, interventions of the first moment alone."""
    flow = ["step,layer,lag,path,norm"]
    flow += [
        f"{now},{layer},{lag},{path},{0.5**lag}"
        for now in (0, 64)
        for layer in ("wide", "narrow")
        for path in ("cell_state", "output")
        for lag in range(4)
    ]
    # 64 is cut in the third line of the layer wide
    (folder / "error_flow.csv").write_text("\n".join(flow[:20])[:-3])
    held = "retention_before,retention_after,retention_carousel_before,retention_carousel_after"
    lines = [f"step,layer,gate,value,{held}"]
    lines += [f"0,{layer},forget_gate,open,0.25,0.5,0.125,1" for layer in ("wide", "narrow")]
    (folder / "interventions.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write(folder / "model")
    write_others(folder / "model")
    (folder / "unread").mkdir()
    (folder / "unread" / "gates.csv").write_text("step,layer,gate,me")
    with headless() as driver, served(folder) as address:
        open_gates(driver, address)
        wait_until(lambda: "after 64 optimizer steps" in body(driver))
        yield driver


def drawn(driver):
    """The labels of the lines of the card of gates."""
    labels = card("Gates on one sequence") + of_class("u-label")
    return read(driver, labels, "one.textContent")


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "shape"), [("wide", WIDE), ("narrow", NARROW)])
def test_a_layer_shows_its_own_inputs_and_cells_alone(page, layer, shape):
    choose(page, "//label[starts-with(., 'layer')]/select", layer)
    labels = drawn(page)
    count = [sum(one.startswith(name) for one in labels) for name in ("input_", "forget_gate")]
    assert count == [shape[0], min(shape[1], 8)]
    assert ("The first 8 of 12;" in body(page)) == (layer == "wide")
    assert ("The first 8 of" in body(page)) == (layer == "wide")

    head, rows = copied(page, "Gates on one sequence")
    assert [sum(one.startswith(name) for one in head) for name in ("input_", "forget_")] == [*shape]
    assert len(rows) == 4
    assert all(value for row in rows for value in row)


@pytest.mark.slow
def test_the_last_complete_moment_shows_while_another_is_written(page):
    assert "Measured after 0 optimizer steps." in read(page, card("Error against lag"))[0]
    _, rows = copied(page, "Error against lag")
    values = [float(row[1]) for row in rows]
    assert values == pytest.approx([-0.30103 * lag for lag in range(4)], abs=1e-4)


@pytest.mark.slow
def test_what_if_tells_its_moment_and_the_way_along_the_carousel(page):
    assert "Measured after 0 optimizer steps." in read(page, card("What if"))[0]
    head, [row] = copied(page, "What if")
    values = dict(zip(head, row, strict=True))
    assert (values["retention before"], values["retention after"]) == ("0.25", "0.5")
    assert values["along the carousel before"] == "0.125"
    assert values["along the carousel after"] == "1"
    assert values["error before"] == ""


@pytest.mark.slow
def test_who_has_no_settings_is_told_of_the_callback(page):
    [told] = read(page, card("Memory"))
    assert 'GateTensorBoard(..., diagnostics="full")' in told
    assert "diagnostic=" not in told


@pytest.mark.slow
def test_a_chosen_run_without_rows_is_told_from_no_choice(page):
    def click(name):
        press(page, f"//input[@aria-label='show {name}']")

    assert "Nothing of the chosen runs" not in body(page)
    click("model")
    wait_until(lambda: "Nothing of the chosen runs can be read yet" in body(page))
    assert "Choose a run" not in body(page)
    click("unread")
    wait_until(lambda: "Choose a run at the left." in body(page))
    click("model")
