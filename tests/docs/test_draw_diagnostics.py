"""docs/scripts/draw_diagnostics.py: its commands, its page and its curves."""

import importlib
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmlab.config import compose as composed
from lstmlab.runs.build import build

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def draw():
    sys.path.insert(0, str(DOCS / "scripts"))
    yield importlib.import_module("draw_diagnostics")
    sys.path.remove(str(DOCS / "scripts"))


def test_its_commands_are_settings_that_make_a_net(draw):
    for name, settings in draw.RUNS.items():
        config, _ = composed(*shlex.split(settings), "probe=1")
        built = build(config)
        assert built.model.cell.units == config["cell"]["units"], name


def test_the_page_tells_of_every_run_and_shows_every_picture(draw):
    page = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
    for name in draw.RUNS:
        assert f"| `{name}` |" in page, name
    for name in draw.PICTURES:
        assert f"(images/diagnostics_{name}.png)" in page, name
        assert (draw.IMAGES / f"diagnostics_{name}.png").stat().st_size < 150_000, name


def test_the_factor_of_a_step_against_a_curve_that_falls_by_it(draw):
    lag = pd.Series(np.arange(3, 50))
    assert draw.per_step(lag, 7.0 * 0.375**lag) == "0.375"


def test_a_curve_is_what_was_chosen_by_lag_up_to_the_longest_shown(draw):
    lags = np.arange(draw.LAG + 10)[::-1]
    table = pd.concat(
        [pd.DataFrame({"lag": lags, "path": path, "norm": lags + n}) for n, path in enumerate("ab")]
    )
    found = draw.curve(table, path="b")
    np.testing.assert_array_equal(found["lag"], np.arange(draw.LAG + 1))
    np.testing.assert_array_equal(found["norm"], np.arange(draw.LAG + 1) + 1)


def test_runs_that_are_not_there_are_named_and_their_pictures_left_out(draw, tmp_path, capsys):
    draw.main([str(tmp_path), "--to", str(tmp_path)])
    said = capsys.readouterr().out
    for name in draw.PICTURES:
        assert f"{name}: left out: draw_diagnostics: expected a run in {tmp_path}" in said
    assert list(tmp_path.iterdir()) == []


def test_the_slope_of_h_against_differences(draw):
    s = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(
        draw.slope(s),
        (np.tanh((s + 1e-6) / 2) - np.tanh((s - 1e-6) / 2)) / 2e-6,
        rtol=1e-6,
        atol=1e-9,
    )


def test_the_lags_of_the_marked_steps_by_hand(draw):
    steps = {"t": [1, 2, 3, 4, 5], "input_2": [-1.0, 0.0, 1.0, 1.0, -1.0]}
    assert draw.mark_lags(pd.DataFrame(steps)) == [1, 2]
