"""What only the cells of conf/cell/ are held to; every cell is by lstmlab.conformance."""

import numpy as np

from lstmlab import GatedCell, config, variants
from lstmlab.conformance import test_cell
from lstmlab.conformance.branches import BRANCHES

OTHERS = {"cascade"}  # cells of another class
CELLS = config.options("cell")


def test_every_file_is_a_variant_or_a_cell_of_another_class():
    assert sorted([*variants(), *OTHERS]) == CELLS == test_cell.NAMES
    assert variants() == test_cell.GATED
    assert len(variants()) >= 24
    assert all(type(config.changed("cell", name)) is GatedCell for name in variants())
    assert not any(isinstance(config.changed("cell", name), GatedCell) for name in OTHERS)


def test_every_cell_that_stands_for_others_is_a_file():
    assert set(CELLS) >= BRANCHES


def test_weight_count_of_the_cascade():
    formula = test_cell.header("cascade", "Weights, F inputs, n units:")
    assert formula == "n (F + 2) + n (n - 1) / 2"
    for features, units in ((3, 4), (5, 1), (2, 7)):
        cell = config.changed("cell", "cascade", [f"units={units}"])
        cell.build((None, features))
        counted = units * (features + 2) + units * (units - 1) // 2
        drawn = sum(np.size(w) for w in cell.trainable_variables)
        assert drawn == counted == cell.count_params() - units
