"""conf/experiment/study/chrono.yaml: its initial biases are all that differs."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from lstmlab import config
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402
import study_chrono as script  # noqa: E402


@pytest.mark.parametrize("start", script.STARTS)
def test_only_the_biases_differ_and_rows_tell_them_apart(start):
    whole, own = (composed(one) for one in ("1", start))
    keys = {key for key in {*whole, *own} if whole.get(key) != own.get(key)}
    gates = ("cell.input_gate.bias", "cell.forget_gate.bias")
    assert all(key.startswith(gates) for key in keys)
    row = {"cell": script.STARTS[start].split()[0].partition("=")[2], "task": "adding", **own}
    row |= {name: row.get(name) for name in (f"{script.BIAS}.lag", *gates)}
    row |= dict.fromkeys(common.KEPT, 1)
    [told] = script.told(pd.DataFrame([row])).to_dict("records")
    assert (told["start"], told["rate"]) == (start, 0.001)


def composed(start: str) -> dict:
    words = script.command("adding", start, 0.001).split()
    settings, _ = config.compose("experiment=study/chrono", *words)
    return flat({name: settings[name] for name in ("task", "cell", "trainer", "optimizer")})
