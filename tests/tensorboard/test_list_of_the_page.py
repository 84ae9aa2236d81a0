"""The list of the page Gates and the lines of its charts, in a headless Chromium."""

import hashlib
import json

import pytest
from browser import headless, of_class, open_gates, read, served, wait_until

SPY = """
window.dashes = [];
const set = CanvasRenderingContext2D.prototype.setLineDash;
CanvasRenderingContext2D.prototype.setLineDash = function (dash) {
  window.dashes.push(dash.map((one) => one / devicePixelRatio).join());
  return set.call(this, dash);
};
"""


def write(folder, cell, seed):
    folder = folder / hashlib.sha256(f"{cell} {seed}".encode()).hexdigest()[:8]
    folder.mkdir()
    row = {"task": "adding", "cell": cell, "learner": "bptt", "seed": seed, "status": "budget"}
    (folder / "result.json").write_text(json.dumps(row))
    flow = [f"0,{lag},cell_state,{0.5**lag}" for lag in range(4)]
    (folder / "error_flow.csv").write_text("\n".join(["sequences,lag,path,norm", *flow, ""]))
    return folder.name


@pytest.mark.slow
def test_runs_are_in_the_order_of_their_names_and_no_two_lines_look_alike(tmp_path):
    order = [write(tmp_path, cell, seed) for cell in ("gru", "vanilla") for seed in range(12)]
    assert order != sorted(order), "the names of the folders say nothing"
    with headless() as driver, served(tmp_path) as address:
        open_gates(driver, address)
        wait_until(lambda: read(driver, of_class("uplot")))
        assert read(driver, of_class("list") + "//tbody/tr/td[last()]") == order

        def looks():
            return driver.execute_script(
                "return [...document.querySelectorAll('.dot')].map((one) =>"
                " one.style.borderColor + ' ' + one.style.backgroundColor)"
            )

        assert len(set(looks())) == 2, "a line for each setting"
        driver.execute_script(SPY)
        # the list is drawn in the same moment
        after = driver.execute_script(
            "document.querySelector('aside label input').click();"
            "return [...document.querySelectorAll('.dot')].map((one) => one.style.borderColor)"
        )
        assert len(set(after)) == 10
        # colours of the palette, full and hollow: twenty of 24 lines, and four with another dash
        assert len(set(looks())) == 20
        wait_until(lambda: driver.execute_script("return window.dashes.includes('14,4,3,3')"))
        dashes = driver.execute_script("return window.dashes")
        assert dashes.count("14,4") == 10 * dashes.count("14,4,3,3") // 4 > 0
