"""A finished run opened again answers as it did.

A folder that cannot be opened says why in one line.
"""

import shutil

import h5py
import numpy as np
import pytest
from composed import SMALL, run
from omegaconf import OmegaConf

from lstmlab.config import compose as composed
from lstmlab.diagnostics import ErrorFlow
from lstmlab.results import Run
from lstmlab.runs.build import build, reopen


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A small run with one diagnostic, its folder as the command leaves it, and its row."""
    folder = tmp_path_factory.mktemp("ended")
    row = run(folder, "seed=3", "diagnostic=[error_flow]")
    config, _ = composed(*SMALL, "seed=3", "diagnostic=[error_flow]")
    (folder / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")
    return folder, row


def test_initial_weights_follow_the_seed_of_the_run():
    weights = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        config, _ = composed(*SMALL, f"seed={seed}")
        weights[name] = build(config).model.get_weights()

    assert all(map(np.array_equal, weights["first"], weights["again"]))
    assert not np.array_equal(weights["first"][0], weights["other"][0])


def test_a_run_opened_again_answers_the_test_set_as_its_row_says(ended):
    folder, row = ended
    again = reopen(folder)
    assert again.row == row
    [(x, y, w)] = list(again.task.sets(again.config["seed"])["test"])
    prediction = again.model.answers(x)
    assert np.abs(y - prediction)[w > 0].mean() == pytest.approx(row["test_error"], rel=1e-6)
    assert int((~again.task.correct(y, prediction, w)).sum()) == row["test_wrong"]


def test_its_probe_is_that_of_the_run(ended):
    """The last measurement of the run, made again."""
    folder, _ = ended
    again = reopen(folder)
    kept = Run(folder).read("error_flow")
    kept = kept[kept["sequences"] == 200].drop(columns="sequences").reset_index(drop=True)
    found = ErrorFlow().measure(again.model, again.probe).reset_index(drop=True)
    assert found["path"].tolist() == kept["path"].tolist()
    np.testing.assert_allclose(found["norm"], kept["norm"], rtol=1e-5)


def test_what_cannot_be_opened_is_told_in_one_line(ended, tmp_path):
    folder, _ = ended
    refused = {}
    for name in ("empty", "no_weights", "other_net", "damaged"):
        shutil.copytree(folder, tmp_path / name)
    shutil.rmtree(tmp_path / "empty" / ".hydra")
    refused["empty"] = r"expected a folder with a run, config\.yaml\. Received: folder='.*empty'"
    (tmp_path / "no_weights" / "model.weights.h5").unlink()
    refused["no_weights"] = (
        r"expected a folder with a run that has ended and saved its weights, model\.weights\.h5\."
    )
    settings = tmp_path / "other_net" / ".hydra" / "config.yaml"
    settings.write_text(settings.read_text().replace("units: 4", "units: 6"))
    refused["other_net"] = (
        r"expected a run that lstmlab \S+ can open\. "
        r"Received: folder='.*other_net', version\.lstmlab=\S+: "
    )
    with h5py.File(tmp_path / "damaged" / "model.weights.h5", "w"):
        pass
    refused["damaged"] = (
        r"expected a run that lstmlab \S+ can open\. "
        r"Received: folder='.*damaged', version\.lstmlab=\S+: "
    )
    for name, text in refused.items():
        with pytest.raises(ValueError, match=f"^reopen: {text}") as e:
            reopen(tmp_path / name)
        assert "\n" not in str(e.value)


def test_opening_trains_and_writes_nothing(ended):
    folder, _ = ended
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    reopen(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
