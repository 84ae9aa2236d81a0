"""conf/experiment/study/gates.yaml: its learning rates, and cells that are alike in all else."""

import sys
from pathlib import Path

import pytest

from lstmlab import config
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402
import study_gates as script  # noqa: E402

GATES = ("input_gate", "forget_gate", "output_gate")
DIFFERS = {  # cell -> in what its settings differ from those of the whole cell
    "nig": {"input_gate"},
    "nfg": {"forget_gate"},
    "nog": {"output_gate"},
    "niaf": {"candidate_activation"},
    "noaf": {"output_activation"},
    "cifg": {"input_gate.bias", "forget_gate"},
    "np": {f"{gate}.peephole" for gate in GATES},
    "fgr": {"feedback"},
}


@pytest.fixture(scope="module")
def trials():
    return script.GATES.trials()


def test_the_experiment_has_the_rates_that_the_search_chose(trials):
    rates = script.chosen(common.of_part(trials, "search"))
    listed = config.settings("experiment", "study/gates")["hydra"]["sweeper"]["commands"]
    assert listed == [script.command(*line, rates[line]) for line in script.lines()]
    run = common.of_part(trials, "grid").groupby(script.LINE)["rate"].unique()
    assert {line: list(found) for line, found in run.items()} == {
        line: [rate] for line, rate in rates.items()
    }


def test_every_line_has_its_trials_and_no_seed_of_the_search(trials):
    seeds = trials.groupby(["part", *script.LINE, "rate"])["seed"].agg(list)
    assert all(found == list(range(1000, 1008)) for found in seeds["search"])
    assert all(found == list(range(16)) for found in seeds["grid"])
    assert len(seeds["grid"]) == len(script.lines())


def test_a_chosen_rate_that_solves_a_trial_lies_between_two_that_were_tried(trials):
    found = common.of_part(trials, "search")
    rates = script.chosen(found)
    for line, part in found.groupby(script.LINE):
        tried = sorted(part["rate"].unique())
        solved = (part["status"] == "solved").any()
        assert tried[0] < rates[line] < tried[-1] or not solved, line


def test_cells_are_alike_in_all_else():
    """Of each bias: what differs from the whole cell is what the cell is named for."""
    for bias in script.BIASES:
        whole = cell("peephole", bias)
        for name, differs in DIFFERS.items():
            own = cell(name, "none" if name == "nfg" else bias)
            keys = {key for key in {*whole, *own} if whole.get(key) != own.get(key)}
            # of a gate that is not there, all settings differ
            found = {key.partition(".")[0] if key.split(".")[0] in differs else key for key in keys}
            assert found == differs, (name, bias)


def cell(name: str, bias: str) -> dict:
    words = script.command("adding", name, bias, 0.001).split()
    settings, _ = config.compose("experiment=study/gates", *words)
    assert settings["optimizer"]["learning_rate"] == 0.001
    return flat(settings["cell"])
