"""The page Gates on log folders of Keras models, written by hand, in a headless Chromium."""

import pytest
from browser import headless, served, wait_until

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


def body(driver):
    return driver.find_element("tag name", "body").text


def card(driver, title):
    return driver.find_element("xpath", f"//article[.//h2[text()='{title}']]")


def copied(driver, title):
    """The names and rows of a card's csv."""
    driver.execute_script(
        "window.copied = []; navigator.clipboard.writeText = async (one) => window.copied.push(one)"
    )
    card(driver, title).find_element("xpath", ".//button[contains(., 'CSV')]").click()
    [text] = wait_until(lambda: driver.execute_script("return window.copied"))
    head, *rows = [line.split(",") for line in text.splitlines()]
    return head, rows


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write(folder / "model")
    with headless() as driver, served(folder) as address:
        driver.get(f"{address}#lstmlab_gates")
        frame = wait_until(lambda: driver.find_elements("css selector", "iframe"))[0]
        driver.switch_to.frame(frame)
        wait_until(lambda: "after 64 optimizer steps" in body(driver))
        yield driver


def choose(driver, label, name):
    choice = driver.find_element("xpath", f"//label[starts-with(., '{label}')]/select")
    [option] = [one for one in choice.find_elements("tag name", "option") if one.text == name]
    option.click()


def drawn(driver):
    """The labels of the lines of the card of gates."""
    found = card(driver, "Gates on one sequence").find_elements("css selector", ".u-label")
    return [one.get_attribute("textContent") for one in found]


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "shape"), [("wide", WIDE), ("narrow", NARROW)])
def test_a_layer_shows_its_own_inputs_and_cells_alone(page, layer, shape):
    choose(page, "layer", layer)
    labels = drawn(page)
    count = [sum(one.startswith(name) for one in labels) for name in ("input_", "forget_gate")]
    assert count == [shape[0], min(shape[1], 8)]
    assert ("The first 8 of 12;" in body(page)) == (layer == "wide")
    assert ("The first 8 of" in body(page)) == (layer == "wide")

    head, rows = copied(page, "Gates on one sequence")
    assert [sum(one.startswith(name) for one in head) for name in ("input_", "forget_")] == [*shape]
    assert len(rows) == 4
    assert all(value for row in rows for value in row)
