"""GateTimeline against a loop in NumPy over a cell in NumPy."""

import keras
import numpy as np
import pandas as pd
import pytest
from oracles import NumpyCell, randomize

from lstmlab import GatedCell, Head, Recurrent, variant
from lstmlab.diagnostics import GateTimeline, Probe, gate_timeline
from lstmlab.learners import BPTT

B, T, F, N, K = 4, 9, 2, 4, 1
LETTERS = {"input_gate": "i", "forget_gate": "f", "output_gate": "o"}
LENGTHS = [9, 7, 8, 3]
EVENTS = [[1, 4], [0], [2, 3, 7], []]  # steps of each sequence
ERRORS = [[8], [3, 6], [7], [2]]


def problem(rng, name: str = "vanilla"):
    model = Recurrent(variant(name, units=N, dtype="float64"), Head(K, dtype="float64"), BPTT(), F)
    randomize(model.cell, rng, scale=3.0)  # gates that are shut and gates that are open
    valid = np.arange(T) < np.array(LENGTHS)[:, None]
    w, events = np.zeros((B, T)), ~valid  # the padding is marked too, and must not count
    for b in range(B):
        w[b, ERRORS[b]] = 1.0
        events[b, EVENTS[b]] = True
    return model, Probe(rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K)), w, valid, events)


def looped(model, probe, before: int, after: int, most: int) -> dict[tuple, list[float]]:
    """{(event, offset, gate, block): [values]}, one sequence after the other."""
    steps, _ = NumpyCell(model.cell).run(probe.x)
    found: dict[tuple, list[float]] = {}
    for b in range(B):
        anchors = {"beginning": 0, "last_error": ERRORS[b][-1]}
        anchors |= {f"event_{k + 1}": t for k, t in enumerate(EVENTS[b][:most])}
        for event, anchor in anchors.items():
            for offset in range(-before, after + 1):
                if 0 <= anchor + offset < LENGTHS[b]:
                    for gate in model.cell.gates:
                        for block, value in enumerate(steps[anchor + offset][LETTERS[gate]][b]):
                            found.setdefault((event, offset, gate, block + 1), []).append(value)
    return found


@pytest.mark.parametrize("name", ["lstm1997", "vanilla"])
@pytest.mark.parametrize(("before", "after", "most"), [(5, 20, 4), (2, 3, 2), (0, 0, 1)])
def test_every_row_against_a_loop_in_numpy(name, before, after, most, rng, eager):
    model, probe = problem(rng, name)
    table = GateTimeline(before=before, after=after, events=most).measure(model, probe)
    assert list(table.columns) == [
        "event",
        "offset",
        "gate",
        "block",
        "mean",
        "near_0",
        "near_1",
        "count",
    ]
    expected = looped(model, probe, before, after, most)
    table = table.set_index(["event", "offset", "gate", "block"])
    assert set(table.index) == set(expected)
    assert not table.index.duplicated().any()
    for key, values in expected.items():
        row, at = table.loc[key], np.array(values)
        np.testing.assert_allclose(row["mean"], at.mean(), rtol=1e-9)
        assert row["near_0"] == pytest.approx((at < 0.1).mean(), abs=1e-12)
        assert row["near_1"] == pytest.approx((at > 0.9).mean(), abs=1e-12)
        assert row["count"] == len(values)
    assert table["near_0"].max() > 0 < table["near_1"].max()
    if before:
        assert {"beginning", "event_1", "event_2", "last_error"} <= set(
            table.index.get_level_values("event")
        )
        assert table["count"].nunique() > 2


def test_padding_does_not_count(rng, eager):
    model, probe = problem(rng)
    other = probe._replace(x=np.where(probe.valid[..., None], probe.x, 7.0))
    pd.testing.assert_frame_equal(
        GateTimeline().measure(model, probe), GateTimeline().measure(model, other)
    )


def test_without_events_there_are_beginning_and_last_error(rng, eager):
    model, probe = problem(rng)
    table = GateTimeline().measure(model, probe._replace(events=np.zeros((B, T), bool)))
    assert list(table["event"].unique()) == ["beginning", "last_error"]


def test_of_many_blocks_some_that_lie_evenly(rng, eager):
    model = Recurrent(GatedCell(9, dtype="float64"), Head(K, dtype="float64"), BPTT(), F)
    randomize(model.cell, rng)
    probe = problem(rng)[1]
    few, every = (GateTimeline(blocks=blocks).measure(model, probe) for blocks in (3, 16))
    assert sorted(few["block"].unique()) == [1, 5, 9]
    assert sorted(every["block"].unique()) == list(range(1, 10))
    pd.testing.assert_frame_equal(few, every[every["block"].isin([1, 5, 9])].reset_index(drop=True))


def test_the_function_gives_the_table_of_the_diagnostic(rng, eager):
    model, probe = problem(rng)
    arguments = {"before": 1, "after": 2, "events": 1, "blocks": 2}
    pd.testing.assert_frame_equal(
        gate_timeline(model, probe, **arguments),
        GateTimeline(every=10, **arguments).measure(model, probe),
    )


def test_picture_shows_the_table(rng, eager):
    model, probe = problem(rng)
    table = GateTimeline(before=2, after=3).measure(model, probe)
    shown = []

    class Board:
        def figure(self, *arguments):
            shown.append(arguments)

    GateTimeline().show(Board(), table, 700)
    [(tag, figure, sequences)] = shown
    assert (tag, sequences) == ("gate_timeline", 700)
    gates, events = list(model.cell.gates), list(table["event"].unique())
    panels = [axis for axis in figure.axes if axis.images and axis.get_ylabel()]
    assert [panel.get_ylabel().replace("\n", "_") for panel in panels] == gates
    for panel, gate in zip(panels, gates, strict=True):
        drawn, place = np.ma.filled(panel.images[0].get_array(), np.nan), 0
        marked = []
        for event in events:
            rows = table[(table["event"] == event) & (table["gate"] == gate)]
            for offset in range(rows["offset"].min(), rows["offset"].max() + 1):
                means = rows[rows["offset"] == offset].set_index("block")["mean"]
                np.testing.assert_array_equal(drawn[:, place], means[[1, 2, 3, 4]])
                marked += [place] if offset == 0 else []
                place += 1
            assert np.isnan(drawn[:, place : place + 2]).all()  # the gap, or the end
            place += 2
        assert drawn.shape == (N, place - 2)
        assert [line.get_xdata()[0] for line in panel.lines] == marked
    assert [text.get_text().replace(" ", "_") for text in panels[0].texts] == events


def test_serves_cells_with_gates_alone():
    cells = {
        GatedCell(2): True,
        GatedCell(2, None, None, None): False,
        keras.layers.LSTMCell(2): False,
    }
    for cell, served in cells.items():
        assert GateTimeline().serves(Recurrent(cell, Head(K), BPTT(), F)) is served


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"before": -1}, "GateTimeline: expected an integer >= 0. Received: before=-1"),
        ({"after": 1.5}, "GateTimeline: expected an integer >= 0. Received: after=1.5"),
        ({"events": 0}, "GateTimeline: expected a positive integer. Received: events=0"),
        ({"blocks": True}, "GateTimeline: expected a positive integer. Received: blocks=True"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        GateTimeline(**arguments)
    assert str(e.value) == message


def test_the_function_refuses_what_it_cannot_measure(rng):
    model, probe = problem(rng)
    for arguments, message in [
        (
            (problem(rng, "elman")[0], probe),
            "gate_timeline: expected a cell with gates. Received: cell=GatedCell without one",
        ),
        (
            (Recurrent(keras.layers.LSTMCell(N), Head(K), BPTT(), F), probe),
            "gate_timeline: expected a lstmlab.Recurrent with a GatedCell. Received: model=Recurrent",
        ),
        (
            (model, probe.x),
            "gate_timeline: expected a Probe (x, y, w, valid, events). Received: probe=ndarray",
        ),
        (
            (model, probe._replace(x=probe.x[..., :1])),
            "gate_timeline: expected x [B, T, 2]. Received: x=(4, 9, 1)",
        ),
        (
            (model, probe._replace(x=np.inf * probe.x)),
            "gate_timeline: expected finite numbers. Received: x with 72 of 72 not finite",
        ),
        (
            (model, probe._replace(valid=~probe.valid & False)),
            "gate_timeline: expected at least one valid step. Received: valid without one",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            gate_timeline(*arguments)
        assert str(e.value) == message
