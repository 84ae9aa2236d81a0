"""conf/experiment/study/gates.yaml: its cells are alike in all else."""

import sys
from pathlib import Path

import pytest

from lstmlab import config
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
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


@pytest.mark.slow
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
