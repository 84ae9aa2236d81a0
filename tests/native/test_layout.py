"""Rows and columns: W x + R h + b and peepholes from Layout's rows are those of GatedCell.step."""

import numpy as np
import pytest
from native_cases import CELLS, HEADS, made_cell, made_head

from lstmlab.native.layout import Group, Layout

RNG = np.random.default_rng(3)
FEATURES = 3


def flat_weights(cell, head):
    for variable in [*cell.trainable_variables, *head.trainable_variables]:
        variable.assign(RNG.normal(size=variable.shape))
    variables = [*cell.trainable_variables, *head.trainable_variables]
    return np.concatenate([np.ravel(variable) for variable in variables])


def rows_times(group: Group, weights: np.ndarray, z: np.ndarray) -> np.ndarray:
    """net_a = sum_c row_a[c] z[c] of a group; weights in the order of the rows."""
    nets = []
    for r in range(group.size):
        row = weights[group.base + r * group.width :][: group.width]
        seen = []
        for segment in group.segments:
            first = segment.start + r // segment.per * segment.step
            seen.append(z[first : first + segment.length])
        nets.append(row @ np.concatenate(seen))
    return np.array(nets)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("features", [1, FEATURES])
def test_every_weight_stands_in_one_row(name, features):
    cell = made_cell(name, features=features)
    head = made_head("shortcuts, no bias", cell.units, features=features)
    layout = Layout(cell, head)
    count = sum(int(np.prod(v.shape)) for v in cell.trainable_variables + head.trainable_variables)
    assert sorted(layout.places) == list(range(count))
    assert layout.of_cell == sum(int(np.prod(v.shape)) for v in cell.trainable_variables)
    assert [group.base for group in layout.groups] == [
        0, *np.cumsum([group.size * group.width for group in layout.groups])[:-1]
    ]  # fmt: skip
    for group in layout.groups:
        assert sum(segment.length for segment in group.segments) == group.width
        for segment in group.segments:
            last = (group.size - 1) // segment.per * segment.step
            assert segment.start + last + segment.length <= layout.width


@pytest.mark.parametrize("name", CELLS)
def test_sums_of_rows_are_the_nets_of_the_cell(name):
    cell = made_cell(name, "float64")
    head = made_head("linear", cell.units, "float64")
    layout = Layout(cell, head)
    weights = flat_weights(cell, head)[layout.places]
    x = RNG.normal(size=(1, FEATURES))
    states = [RNG.uniform(0.1, 1.0, (1, size)) for size in cell.state_size]
    past = dict(zip(cell.state_names, states, strict=True))
    s_tm1 = past.get("cell_state", past["hidden"][:, : cell.units])

    nets, waiting = cell.net(x, past["hidden"])
    values, _ = cell.step(x, states)
    new = {name: np.asarray(value) for name, value in values.items()}
    cell._look("previous", nets, lambda value: value, s_tm1)
    cell._look("current", nets, lambda value: value, values["cell_state"])
    nets = {name: np.asarray(value)[0] for name, value in nets.items()}

    z = np.zeros(layout.width)
    parts = {"inputs": x, **past, "one": np.ones((1, 1)), "current": new["cell_state"]}
    behind = cell.reset_gate is not None and not cell.reset_after
    if behind:
        gate = new.get("reset_gate")
        parts["kept"] = np.repeat(gate, cell.block_size, axis=1) * past["hidden"]
    for part, (start, count) in layout.columns.items():
        z[start : start + count] = parts[part][0]
    if behind:
        read = cell._all_read_back(parts["kept"], alone=True)
        nets["candidate"] = nets["candidate"] + np.asarray(read["candidate"])[0]
    elif waiting is not None:
        bias = 0.0 if cell.recurrent_bias is None else np.asarray(cell.recurrent_bias)
        nets["waiting"] = np.asarray(waiting)[0] + bias

    assert {group.name for group in layout.groups} == set(nets)
    for group in layout.groups:
        found = rows_times(group, weights, z)
        np.testing.assert_allclose(found, nets[group.name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "units"])
def test_rows_of_the_readout_are_those_of_the_head(name):
    cell = made_cell("blocks of 2, all gates seeing", "float64")
    head = made_head(name, cell.units, "float64")
    layout = Layout(cell, head)
    weights = flat_weights(cell, head)[layout.places]
    x, output = RNG.normal(size=(1, FEATURES)), RNG.normal(size=(1, cell.units))
    z = np.zeros(layout.width)
    z[:FEATURES], z[layout.start("one")] = x, 1
    z[layout.start("hidden") :][: cell.units] = output
    expected = np.asarray(head.activation(rows_times(layout.head, weights, z)[None]))
    np.testing.assert_allclose(np.asarray(head(output, x)), expected, rtol=1e-12)


def test_output_units_have_no_rows():
    cell = made_cell("elman")
    layout = Layout(cell, made_head("units", cell.units))
    assert layout.head is None
    assert layout.of_head == 0
    assert layout.output_units == (2, 4)
