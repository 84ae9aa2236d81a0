"""What docs/diagnostics.md says of the spikes of `output`, on a cell whose gate is set by hand."""

import numpy as np
import pytest
from oracles import randomize

import lstmlab
from lstmlab import Head, Recurrent, variant
from lstmlab.learners import BPTT

T, MARKS = 30, (6, 17)
LAGS = [T - 1 - t for t in MARKS]


def curves(rng, opening: float, cell_name: str = "lstm1997", **switches):
    """error_flow by lag of a cell whose input gates get `opening` at the marks, -6 elsewhere."""
    cell = variant(cell_name, units=4, dtype="float64", **switches)
    model = Recurrent(cell, Head(1, dtype="float64"), BPTT(), 2)
    for layer in (model.cell, model.head):
        randomize(layer, rng, 0.3)
    kernel, bias = cell.kernel.numpy(), cell.bias.numpy()
    kernel[:, : cell.blocks], bias[: cell.blocks] = [[0.0], [opening]], -6.0
    cell.kernel.assign(kernel)
    cell.bias.assign(bias)

    x = np.zeros((3, T, 2))
    x[:, :, 0] = rng.normal(size=(3, T))
    x[:, MARKS, 1] = 1.0
    w = np.zeros((3, T))
    w[:, -1] = 1.0
    flow = lstmlab.error_flow(model, x, rng.normal(size=(3, T, 1)), w)
    return flow.pivot_table(index="lag", columns="path", values="norm")


@pytest.mark.parametrize(
    ("name", "switches"), [("lstm1997", {}), ("vanilla", {"forget_gate": None}), ("nfg", {})]
)
def test_output_jumps_at_the_step_before_each_opening_of_the_input_gate(name, switches, rng):
    found = curves(rng, 6.0, name, **switches)
    far = found[found.index >= 3]
    assert sorted(far["output"].nlargest(2).index) == sorted(lag + 1 for lag in LAGS)
    for net in ("net_candidate", "net_input_gate"):
        assert sorted(far[net].nlargest(2).index) == sorted(LAGS)
    spikes = far["output"].loc[[lag + 1 for lag in LAGS]] / far["output"].median()
    assert spikes.min() > 8


@pytest.mark.slow
def test_there_are_no_spikes_where_the_gate_stays_shut_or_nothing_is_read_back(rng):
    shut = curves(rng, 0.0)
    far = shut["output"][shut.index >= 3]
    assert far.max() < 4 * far.median()
    unread = curves(rng, 6.0, feedback="none")
    assert (unread["output"][unread.index >= 1] == 0).all()
    assert sorted(unread["net_candidate"][3:].nlargest(2).index) == sorted(LAGS)
