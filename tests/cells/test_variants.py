"""Named variants: conf/cell/ is the single list of them."""

import re
from importlib import resources

import numpy as np
import pytest

from lstmlab import Gate, GatedCell, variant, variants


def test_names_are_the_files_of_conf_cell():
    odyssey = {"nig", "nfg", "nog", "niaf", "noaf", "cifg", "np", "fgr"}
    gru = {"gru", "gru_reset_after", "mgu", "janet", "mingru", "minlstm"}
    others = {
        "lstm1997",
        "lstm2000",
        "peephole",
        "vanilla",
        "chrono",
        "ur_lstm",
        "slstm",
        "elman",
        "irnn",
        "indrnn",
    }
    assert odyssey | gru | others <= set(variants())
    assert variants() == sorted(variants())


@pytest.mark.parametrize("name", variants())
def test_every_file_names_its_source_and_its_equations(name):
    lines = (
        (resources.files("lstmlab.conf") / "cell" / f"{name}.yaml")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    comments = [line for line in lines if line.startswith("#")]
    assert re.search(r"\b(19|20)\d\d\b", " ".join(comments))
    assert any(line.startswith("#   ") and " = " in line for line in comments)


def test_lstm1997_is_the_cell_of_1997():
    cell = variant("lstm1997")
    assert list(cell.gates) == ["input_gate", "output_gate"]
    config = cell.get_config()
    assert (config["candidate_activation"], config["output_activation"]) == ("g1997", "h1997")
    assert (config["block_size"], config["feedback"]) == (2, "all")
    cell.build((None, 2))
    np.testing.assert_array_equal(cell.bias[:2], [-3, -6])
    assert 0 < np.abs(cell.bias[2:]).max() <= 0.1
    for kernel in (cell.kernel, cell.recurrent_kernel):
        assert 0.05 < np.abs(kernel).max() <= 0.1


def test_vanilla_has_the_arguments_of_gated_cell_by_default():
    named, default = (
        variant("vanilla", units=3, name="x").get_config(),
        GatedCell(3, name="x").get_config(),
    )
    assert named == default


def test_units_and_overrides():
    gate = Gate("hard_sigmoid", bias=[1.0, 2.0, 3.0])
    cell = variant(
        "lstm1997",
        units=6,
        forget_gate=gate,
        output_gate=None,
        candidate_bias=None,
        dtype="float64",
    )
    assert cell.units == 6
    assert cell.forget_gate is gate
    assert cell.output_gate is None
    assert cell.dtype == "float64"
    assert variant("vanilla", candidate_activation=np.tanh).candidate_activation is np.tanh


def test_two_calls_draw_different_weights():
    kernels = []
    for _ in range(2):
        cell = variant("lstm1997")
        cell.build((None, 2))
        kernels.append(cell.kernel.numpy())
    assert np.abs(kernels[0] - kernels[1]).min() > 0


def test_unknown_name():
    with pytest.raises(
        ValueError,
        match=r"^variant: expected one of \[.*'lstm1997'.*\]. Received: name='lstm'$",
    ):
        variant("lstm")


def test_what_the_cell_refuses_arrives_unchanged():
    with pytest.raises(
        ValueError, match=r"^GatedCell: expected a divisor of units=3, .* Received: block_size=2$"
    ):
        variant("lstm1997", units=3)
