"""Interventions against a clamped cell in NumPy, central differences, and the equations."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from oracles import FUNCTIONS, NumpyCell, randomize

from lstmlab import Gate, GatedCell, Head, Recurrent, variant
from lstmlab.diagnostics import Interventions, Probe, intervene
from lstmlab.learners import BPTT

B, T, F, N, K = 3, 7, 3, 4, 2
LETTERS = {"input_gate": "i", "forget_gate": "f", "output_gate": "o"}
CELLS = {
    "lstm1997": {"cell": "lstm1997"},
    "vanilla": {"cell": "vanilla"},
    "forget gate, blocks, all fed back": {"cell": "lstm1997", "forget_gate": Gate(bias=1.0)},
}
LENGTHS = np.array([7, 6, 5])
EVENTS = [[1, 3], [], [2]]
ERRORS = [[3, 6], [5], [4]]
STEPS = {  # those of each interval, in each sequence
    "between": [range(2, 6), range(1, 5), range(3, 4)],
    "all": [range(7), range(6), range(5)],
    (3, 5): [range(3, 6), range(3, 6), range(3, 5)],
    (5, 6): [range(5, 7), range(5, 6), ()],
}


class Clamped(NumpyCell):
    """The cell in NumPy with gates of {step: {letter: (which sequences [B], value [m])}} standing
    in for those that arise.
    """

    def play(self, x, clamps=None, bump=None, read_back=None, start=None):
        """Values at every step, and what the nets read back: as NumpyCell.run. start: hidden, cell
        state.
        """
        width = self.n + (
            self.m * sum(k in self.weights for k in "ifo") if self.feedback == "all" else 0
        )
        hidden, s = start or (np.zeros((len(x), width)), np.zeros((len(x), self.n)))
        steps, seen = [], []
        for t in range(x.shape[1]):
            seen.append(hidden)
            hidden = hidden if read_back is None else read_back[t]
            at = {
                k: FUNCTIONS[self.function[k]](self.net(k, x[:, t], hidden)) for k in self.weights
            }
            for k, (which, value) in (clamps or {}).get(t, {}).items():
                at[k] = np.where(which[:, None], value, at[k])
            wide = {k: np.repeat(at[k], self.size, axis=1) if k in at else 1.0 for k in "ifo"}
            at["s"] = wide["f"] * s + wide["i"] * at["g"]
            at["s"] = at["s"] + (bump[t] if bump and t in bump else 0.0)
            at["y"] = wide["o"] * FUNCTIONS[self.function["h"]](at["s"])
            back = (
                [at["y"], *(at[k] for k in "ifo" if k in at)]
                if self.feedback == "all"
                else [at["y"]]
            )
            hidden, s = np.concatenate(back, axis=1), at["s"]
            steps.append(at)
        return steps, seen


def problem(rng, cell: str = "vanilla", **overrides):
    model = Recurrent(
        variant(cell, units=N, dtype="float64", **overrides), Head(K, dtype="float64"), BPTT(), F
    )
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    valid = np.arange(T) < LENGTHS[:, None]
    w, events = np.zeros((B, T)), ~valid  # the padding is marked too, and must not count
    for b in range(B):
        w[b, ERRORS[b]] = 1.0 + b
        events[b, EVENTS[b]] = True
    x = rng.normal(size=(B, T, F))
    answers = predicted(model, Clamped(model.cell).play(x)[0])
    return model, Probe(x, answers + 0.02 * rng.normal(size=(B, T, K)), w, valid, events)


def predicted(model, steps) -> np.ndarray:
    return (
        np.stack([at["y"] for at in steps], axis=1) @ model.head.kernel.numpy()
        + model.head.bias.numpy()
    )


def clamps_of(model, probe, gate: str, value: str, interval) -> dict:
    steps, _ = Clamped(model.cell).play(probe.x)
    letter = LETTERS[gate]
    seen = [steps[t][letter][b] for b in range(B) for t in range(LENGTHS[b])]
    held = {"open": 1.0, "closed": 0.0, "mean": np.mean(seen, axis=0)}[value]
    return {
        t: {letter: (np.array([t in STEPS[interval][b] for b in range(B)]), held)} for t in range(T)
    }


def lost(model, probe, clamps) -> tuple[float, float]:
    """Mean absolute error and share of variance explained, at the steps with an error."""
    prediction = predicted(model, Clamped(model.cell).play(probe.x, clamps)[0])
    places = [(b, t) for b in range(B) for t in ERRORS[b]]
    target, found = (np.array([of[b, t] for b, t in places]) for of in (probe.y, prediction))
    explained = 1 - ((target - found) ** 2).sum() / ((target - target.mean(axis=0)) ** 2).sum()
    return np.abs(target - found).mean(), max(explained, 0.0)


def retained(model, probe, clamps, interval, carousel: bool, step: float = 1e-5) -> float:
    """d s_end / d s_begin by central differences: cell k of each sequence moved at its own
    beginning.
    """
    cell, found = Clamped(model.cell), []
    intervals = {b: list(STEPS[interval][b]) for b in range(B) if len(STEPS[interval][b])}
    ends = {b: (max(steps[0] - 1, 0), steps[-1]) for b, steps in intervals.items() if steps[-1]}
    read_back = cell.play(probe.x, clamps)[1] if carousel else None
    for k in range(N):
        # the sequences of a batch do not see one another: all are moved at once
        moves = {begin: np.zeros((B, N)) for begin, _ in ends.values()}
        for b, (begin, _) in ends.items():
            moves[begin][b, k] = step
        up, down = (
            cell.play(probe.x, clamps, {t: sign * m for t, m in moves.items()}, read_back)[0]
            for sign in (1, -1)
        )
        found += [
            (up[t]["s"][b, k] - down[t]["s"][b, k]) / (2 * step) for b, (_, t) in ends.items()
        ]
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("interval", STEPS)
def test_every_row_against_a_clamped_cell_in_numpy(name, interval, rng, eager):
    model, probe = problem(rng, **CELLS[name])
    table = Interventions(interval=interval).measure(model, probe)
    assert list(zip(table["gate"], table["value"], strict=True)) == [
        (gate, value) for gate in model.cell.gates for value in ("open", "closed", "mean")
    ]
    assert (table["steps"] == np.mean([len(steps) for steps in STEPS[interval]])).all()
    error, explained = lost(model, probe, None)
    np.testing.assert_allclose(table["error_before"], error, rtol=1e-9)
    np.testing.assert_allclose(table["recalled_before"], explained, rtol=1e-9)
    assert explained > 0.3
    exact, along = (retained(model, probe, None, interval, carousel) for carousel in (False, True))
    np.testing.assert_allclose(table["retention_before"], exact, rtol=1e-7)
    np.testing.assert_allclose(table["retention_carousel_before"], along, rtol=1e-7)
    assert abs(exact - along) > 1e-5
    for row in table.itertuples():
        clamps = clamps_of(model, probe, row.gate, row.value, interval)
        error, explained = lost(model, probe, clamps)
        np.testing.assert_allclose(row.error_after, error, rtol=1e-9)
        np.testing.assert_allclose(row.recalled_after, explained, rtol=1e-9, atol=1e-12)
        for carousel, found in ((False, row.retention_after), (True, row.retention_carousel_after)):
            np.testing.assert_allclose(
                found, retained(model, probe, clamps, interval, carousel), rtol=1e-7, atol=1e-9
            )
    same = (
        interval == "all"
    )  # with all inputs shut, and with all outputs shut, the net says nothing
    assert table["error_after"].nunique() == len(table) - same
    assert (table["recalled_after"] < table["recalled_before"]).any()


def test_only_the_forget_gate_forgets(rng, eager):
    """Along the carousel: shut, nothing is left; open, everything; no other gate changes what its
    own values leave.
    """
    model, probe = problem(
        rng, "lstm1997", forget_gate=Gate(bias=1.0), feedback="none"
    )  # nothing is fed back
    table = Interventions().measure(model, probe).set_index(["gate", "value"])
    after, before = table["retention_carousel_after"], table["retention_carousel_before"].iloc[0]
    np.testing.assert_allclose(
        table["retention_after"], after, rtol=1e-10, atol=1e-15
    )  # there is no other path
    assert after["forget_gate", "closed"] == 0
    assert after["forget_gate", "open"] == 1
    assert 0 < before < 0.9
    np.testing.assert_allclose(after[["input_gate", "output_gate"]], before, rtol=1e-12)
    assert (
        table["error_after"] - table["error_before"]
    ).abs().min() > 1e-6  # though every gate was clamped


def test_without_a_forget_gate_nothing_forgets(rng, eager):
    model, probe = problem(rng, "lstm1997")
    table = Interventions().measure(model, probe)
    assert (table[["retention_carousel_before", "retention_carousel_after"]] == 1).all(axis=None)
    closed = Recurrent(GatedCell(N, forget_gate="closed", dtype="float64"), model.head, BPTT(), F)
    table = Interventions().measure(closed, probe)
    assert (table[["retention_carousel_before", "retention_carousel_after"]] == 0).all(axis=None)
    assert (
        table["retention_before"] != 0
    ).all()  # a simple recurrent net: through what is fed back


def test_clamping_a_gate_leaves_the_one_coupled_to_it(rng, eager):
    cell = GatedCell(
        N,
        input_gate="coupled",
        output_gate=None,
        output_activation="linear",
        feedback="none",
        dtype="float64",
    )
    model = Recurrent(cell, Head(K, dtype="float64"), BPTT(), F)
    randomize(model.cell, rng)
    probe = problem(rng)[1]
    table = Interventions(interval=(2, 3)).measure(model, probe).set_index(["gate", "value"])
    assert table.loc[("forget_gate", "closed"), "retention_after"] == 0
    np.testing.assert_allclose(
        table.loc["input_gate", "retention_after"], table["retention_before"].iloc[0], rtol=1e-12
    )
    before, closed = table.loc[("input_gate", "closed"), ["error_before", "error_after"]]
    assert abs(before - closed) > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["refine_gate", "forget_gate", "input_gate"])
def test_gates_that_act_through_others(gate, rng, eager):
    """A refine gate held open or shut: e = 1 - (1 - f)^2 or f^2, in NumPy from the forget gate
    before it is refined.
    """
    cell = variant("ur_lstm", units=N, dtype="float64", feedback="none")
    model = Recurrent(cell, Head(K, dtype="float64"), BPTT(), F)
    randomize(model.cell, rng)
    probe = problem(rng)[1]
    f = 1 / (
        1 + np.exp(-(probe.x @ cell.kernel.numpy()[:, :N] + cell.bias.numpy()[:N]))
    )  # input is coupled: f comes first
    row = (
        Interventions(interval=(2, 3)).measure(model, probe).set_index(["gate", "value"]).loc[gate]
    )
    expected = {
        "refine_gate": {"open": 1 - (1 - f) ** 2, "closed": f**2},
        "forget_gate": {"open": np.ones_like(f), "closed": np.zeros_like(f)},
        "input_gate": {},
    }[gate]
    for value, e in expected.items():
        product = np.prod(e[:, 2:4], axis=1).mean()
        np.testing.assert_allclose(row.loc[value, "retention_carousel_after"], product, rtol=1e-10)
    if gate == "input_gate":
        np.testing.assert_allclose(row["retention_after"], row["retention_before"], rtol=1e-12)


@pytest.mark.slow
def test_where_no_step_lies_between_all_are_clamped(rng, eager):
    model, probe = problem(rng)
    last = np.zeros((B, T), bool)
    w = np.zeros((B, T))
    w[:, 1], last[:, 0] = 1.0, True
    valid = np.broadcast_to(np.arange(T) < 2, (B, T))
    short = probe._replace(w=w, events=last, valid=valid)
    pd.testing.assert_frame_equal(
        Interventions().measure(model, short), Interventions(interval="all").measure(model, short)
    )
    with pytest.raises(
        ValueError, match=r"^intervene: expected a sequence with a step of the interval behind"
    ):
        intervene(model, *short[:3], gate="input_gate", events=last)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_the_function_gives_the_row_of_the_table(compiled, rng, eager):
    tf.config.run_functions_eagerly(not compiled)
    model, probe = problem(rng)
    table = Interventions().measure(model, probe)
    for gate, value in (("forget_gate", "closed"), ("output_gate", "mean")):
        row = intervene(model, *probe[:3], gate, value, events=probe.events)
        expected = table[(table["gate"] == gate) & (table["value"] == value)].reset_index(drop=True)
        pd.testing.assert_frame_equal(row, expected, rtol=1e-10)


@pytest.mark.slow
def test_retention_of_some_cells_that_lie_evenly(rng, eager):
    model, probe = problem(rng, "lstm1997", forget_gate=Gate(bias=1.0), feedback="none")
    table = Interventions(interval=(3, 4), cells=2).measure(model, probe)
    steps, _ = Clamped(model.cell).play(probe.x)
    kept = np.array([steps[3]["f"][b] * steps[4]["f"][b] for b in range(B)])
    np.testing.assert_allclose(
        table["retention_carousel_before"], kept.mean(), rtol=1e-12
    )  # cells 1 and 4: either block once
    np.testing.assert_allclose(table["retention_before"], kept.mean(), rtol=1e-10)
    two = Interventions(interval=(3, 4), cells=2).measure(
        model, Probe(*(part[:2] for part in probe))
    )
    np.testing.assert_allclose(
        two["retention_before"], kept[:2].mean(), rtol=1e-10
    )  # as many sequences as cells
    one = Interventions(interval=(3, 4), cells=1).measure(model, probe)
    np.testing.assert_allclose(one["retention_before"], kept[:, 0].mean(), rtol=1e-10)
    assert abs(kept[:, 0].mean() - kept.mean()) > 1e-4


class Started:
    """A cell that begins elsewhere, as a layer of a larger net may."""

    def __init__(self, cell, states):
        self._cell, self._states = cell, states

    def __getattr__(self, name):
        return getattr(self._cell, name)

    def get_initial_state(self, batch_size):
        return [state[:batch_size] for state in self._states]


@pytest.mark.slow
def test_a_cell_that_begins_elsewhere_than_at_zero(rng, eager):
    model, probe = problem(rng)
    start = rng.normal(size=(B, N)), rng.normal(size=(B, N))
    zero = Interventions(interval=(1, 2)).measure(model, probe)
    model.cell = Started(model.cell, list(start))
    table = Interventions(interval=(1, 2)).measure(model, probe).set_index(["gate", "value"])
    steps, _ = Clamped(model.cell).play(probe.x, start=start)
    places = [(b, t) for b in range(B) for t in ERRORS[b]]
    prediction = predicted(model, steps)
    error = np.mean([np.abs(probe.y[b, t] - prediction[b, t]) for b, t in places])
    np.testing.assert_allclose(table["error_before"], error, rtol=1e-9)
    found = []
    for b, k in np.ndindex(B, N):
        move = np.zeros((B, N))
        move[b, k] = 1e-5
        up, down = (
            Clamped(model.cell).play(probe.x, bump={0: sign * move}, start=start)[0][2]["s"][b, k]
            for sign in (1, -1)
        )
        found.append((up - down) / 2e-5)
    np.testing.assert_allclose(table["retention_before"], np.mean(found), rtol=1e-7)
    assert abs(np.mean(found) - zero["retention_before"].iloc[0]) > 1e-4


@pytest.mark.slow
def test_a_layer_alone_has_its_retention_alone(rng, eager):
    model, probe = problem(rng)
    whole = Interventions().measure(model, probe)
    model.linear = True  # as a layer of a larger net says of itself, whose errors mean nothing
    table = Interventions().measure(model, probe)
    assert not [name for name in table if name.startswith(("error", "recalled"))]
    pd.testing.assert_frame_equal(table, whole[list(table.columns)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "dtype"), [("float32", "float32"), ("mixed_bfloat16", "float32")]
)
def test_other_precisions(policy, dtype, rng):
    model = Recurrent(GatedCell(N, dtype=policy), Head(K, dtype=policy), BPTT(), F)
    probe = problem(rng)[1]
    probe = Probe(*(part.astype(dtype) for part in probe[:3]), *probe[3:])
    table = Interventions().measure(model, probe).set_index(["gate", "value"])
    assert np.isfinite(table).all(axis=None)
    assert table.loc[("forget_gate", "closed"), "retention_carousel_after"] == 0


def test_shows_what_is_in_the_table(rng, eager):
    model, probe = problem(rng, "lstm1997")
    diagnostic, written = Interventions(), {}
    table = diagnostic.measure(model, probe)

    class Board:
        def scalar(self, tag, value, sequences):
            assert tag not in written
            written[tag] = value

    diagnostic.show(Board(), table, 700)
    for what in ("recalled", "retention"):
        assert written[f"interventions_{what}/untouched"] == table[f"{what}_before"].iloc[0]
        for row in table[table["value"] != "mean"].to_dict("records"):
            assert (
                written[f"interventions_{what}/{row['gate']}_{row['value']}"]
                == row[f"{what}_after"]
            )
    assert len(written) == 2 * (1 + 4)


def test_serves_cells_with_gates_alone():
    cells = {
        GatedCell(2): True,
        GatedCell(2, None, None, None): False,
        keras.layers.LSTMCell(2): False,
    }
    for cell, served in cells.items():
        assert Interventions().serves(Recurrent(cell, Head(K), BPTT(), F)) is served


def test_wrong_arguments(rng):
    model, probe = problem(rng, "lstm1997")
    x, y, w = probe[:3]
    expected = "expected 'between', 'all', or two steps (first, last), 0 <= first <= last."
    for arguments, message in [
        (
            {"gate": "forget_gate"},
            "intervene: expected a gate that the cell has: input_gate, output_gate. "
            "Received: gate='forget_gate'",
        ),
        (
            {"gate": "input_gate", "value": 0.5},
            "intervene: expected one of ('open', 'closed', 'mean'). Received: value=0.5",
        ),
        (
            {"gate": "input_gate", "interval": (4, 2)},
            f"intervene: {expected} Received: interval=(4, 2)",
        ),
        (
            {"gate": "input_gate", "interval": (-1, 2)},
            f"intervene: {expected} Received: interval=(-1, 2)",
        ),
        (
            {"gate": "input_gate", "interval": "never"},
            f"intervene: {expected} Received: interval='never'",
        ),
        (
            {"gate": "input_gate", "interval": (2, 7)},
            "intervene: expected steps within 0 .. 6. Received: interval=(2, 7)",
        ),
        (
            {"gate": "input_gate", "interval": (0, 0)},
            "intervene: expected a sequence with a step of the interval behind its first "
            "step. Received: interval=(0, 0)",
        ),
        (
            {"gate": "input_gate", "x": x[..., :2]},
            "intervene: expected x [B, T, 3]. Received: x=(3, 7, 2)",
        ),
        (
            {"gate": "input_gate", "y": y[..., :1]},
            "intervene: expected y [B, T, 2]. Received: y=(3, 7, 1)",
        ),
        (
            {"gate": "input_gate", "y": y[:, 1:]},
            "intervene: expected x [B, T, F], y [B, T, K], w [B, T]. Received: x=(3, 7, "
            "3), y=(3, 6, 2), w=(3, 7)",
        ),
        (
            {"gate": "input_gate", "x": x[:0], "y": y[:0], "w": w[:0]},
            "intervene: expected at least one sequence of at least one step. Received: "
            "x=(0, 7, 3), y=(0, 7, 2), w=(0, 7)",
        ),
        (
            {"gate": "input_gate", "y": np.nan * y},
            "intervene: expected finite numbers. Received: y with 42 of 42 not finite",
        ),
        (
            {"gate": "input_gate", "events": probe.events[:, 1:]},
            "intervene: expected events [B, T] = (3, 7). Received: events=(3, 6)",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            intervene(model, **{"x": x, "y": y, "w": w, **arguments})
        assert str(e.value) == message
    foreign = Recurrent(keras.layers.LSTMCell(N), Head(K), BPTT(), F)
    with pytest.raises(
        ValueError,
        match=r"^intervene: expected a lstmlab.Recurrent with a GatedCell. Received: "
        r"model=Recurrent$",
    ):
        intervene(foreign, x, y, w, "input_gate")
    plain = Recurrent(
        variant("elman", units=N, dtype="float64"), Head(K, dtype="float64"), BPTT(), F
    )
    with pytest.raises(
        ValueError, match=r"a gate that the cell has: none\. Received: gate='input_gate'$"
    ):
        intervene(plain, x, y, w, "input_gate")
    for arguments, message in [
        ({"interval": [1.5, 2]}, f"Interventions: {expected} Received: interval=[1.5, 2]"),
        ({"interval": None}, f"Interventions: {expected} Received: interval=None"),
        ({"cells": 0}, "Interventions: expected a positive integer. Received: cells=0"),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            Interventions(**arguments)
        assert str(e.value) == message
