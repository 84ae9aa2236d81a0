"""GatedCell: what each of its switches does, against a second writing in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from single_step import B, F, N, T, built, logistic, net_of, normal, stepped, unseen, wide

from lstmlab import Coupled, Gate, GatedCell
from lstmlab.cells import Chrono, Opposite


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("output", [None, "closed", "sigmoid"])
@pytest.mark.parametrize("forget", [None, "closed", "sigmoid"])
@pytest.mark.parametrize("given", [None, "closed", "sigmoid"])
def test_an_absent_gate_is_one_and_a_closed_gate_is_zero(given, forget, output, block_size, rng):
    cell = built(
        rng, input_gate=given, forget_gate=forget, output_gate=output, block_size=block_size
    )
    x, before, values, _ = stepped(cell, rng)
    gates = {"input_gate": given, "forget_gate": forget, "output_gate": output}
    factor = {}
    for name, gate in gates.items():
        assert (name in values) == (gate == "sigmoid")
        constant = np.full((B, N), 0.0 if gate == "closed" else 1.0)
        factor[name] = (
            wide(cell, logistic(net_of(cell, name, x, before["hidden"])))
            if name in values
            else constant
        )
    g = np.tanh(net_of(cell, "candidate", x, before["hidden"]))
    s = factor["forget_gate"] * before.get("cell_state", 0.0) + factor["input_gate"] * g
    np.testing.assert_allclose(values["candidate"], g, atol=1e-12)
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)
    np.testing.assert_allclose(values["output"], factor["output_gate"] * np.tanh(s), atol=1e-12)
    assert ("cell_state" in before) == (forget != "closed")


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("complement", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.7, -2.0])
@pytest.mark.parametrize(
    ("gate", "to"),
    [
        (a, b)
        for a in ("input_gate", "forget_gate", "output_gate")
        for b in ("input_gate", "forget_gate", "output_gate")
        if a != b
    ]
    + [("reset_gate", "input_gate"), ("input_gate", "reset_gate")],
)
def test_a_coupled_gate_against_its_partner(gate, to, shift, complement, block_size, rng):
    options = {"reset_gate": "sigmoid"} if to == "reset_gate" else {}
    partner = {to: Gate("hard_sigmoid")} if shift else {}
    cell = built(
        rng,
        **{**options, **partner, gate: Coupled(to, complement, shift)},
        block_size=block_size,
        reset_after="reset" in gate + to,
    )
    x, before, values, _ = stepped(cell, rng)
    assert gate not in cell.nets
    hidden = before["hidden"]
    squash = (lambda net: np.clip(net / 6 + 0.5, 0, 1)) if shift else logistic
    shifted = squash(net_of(cell, to, x, hidden) - shift)
    np.testing.assert_allclose(values[gate], 1 - shifted if complement else shifted, atol=1e-12)
    np.testing.assert_allclose(values[to], squash(net_of(cell, to, x, hidden)), atol=1e-12)
    assert (np.abs(shifted - values[to]).max() > 0.05) == bool(shift)
    i, f, o = (wide(cell, values[name]) for name in ("input_gate", "forget_gate", "output_gate"))
    s = f * before["cell_state"] + i * values["candidate"]
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)
    np.testing.assert_allclose(values["output"], o * np.tanh(s), atol=1e-12)


def test_coupled_follows_the_forget_gate_after_its_refine_gate(rng):
    """Gu et al. 2020: both sums to one of the refined gate."""
    cell = built(rng, input_gate="coupled", refine_gate="sigmoid")
    x, before, values, _ = stepped(cell, rng)
    f, r = (
        logistic(net_of(cell, name, x, before["hidden"])) for name in ("forget_gate", "refine_gate")
    )
    e = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
    np.testing.assert_allclose(values["forget_gate"], e, atol=1e-12)
    np.testing.assert_allclose(values["input_gate"], 1 - e, atol=1e-12)
    np.testing.assert_allclose(values["refine_gate"], r, atol=1e-12)
    assert np.abs(e - f).max() > 0.01


@pytest.mark.parametrize("block_size", [1, 2])
def test_normalised_gates_sum_to_one(block_size, rng):
    """minLSTM: i / (i + f) and f / (i + f)."""
    cell = built(rng, normaliser="gates", input_gate="exponential", block_size=block_size)
    x, before, values, _ = stepped(cell, rng)
    i = np.exp(net_of(cell, "input_gate", x, before["hidden"]))
    f = logistic(net_of(cell, "forget_gate", x, before["hidden"]))
    np.testing.assert_allclose(values["input_gate"], i / (i + f), atol=1e-12)
    np.testing.assert_allclose(values["forget_gate"], f / (i + f), atol=1e-12)
    s = (
        wide(cell, f / (i + f)) * before["cell_state"]
        + wide(cell, i / (i + f)) * values["candidate"]
    )
    np.testing.assert_allclose(values["cell_state"], s, atol=1e-12)


def test_normalised_gates_that_are_both_closed_are_no_nan(rng):
    cell = GatedCell(
        2, Gate(bias=-300.0), Gate(bias=-301.0), None, normaliser="gates", dtype="float32"
    )
    cell.build((B, F))
    values, _ = cell.step(tf.zeros((B, F)), cell.get_initial_state(B))
    np.testing.assert_allclose(values["input_gate"], np.full((B, 2), logistic(1.0)), rtol=1e-5)
    np.testing.assert_allclose(values["forget_gate"], np.full((B, 2), logistic(-1.0)), rtol=1e-5)


def test_biases_as_an_array():
    cell = GatedCell(2, Gate(bias=np.array([1.0, 2.0])))
    cell.build((None, F))
    np.testing.assert_array_equal(cell.bias[:2], [1, 2])


def test_a_config_may_leave_out_what_is_as_by_default():
    assert (
        GatedCell.from_config({"units": 4, "name": "x"}).get_config()
        == GatedCell(4, name="x").get_config()
    )


@pytest.mark.parametrize("shape", [(2, 3, 4), (2,), (2, None)])
def test_inputs_of_more_than_one_step_are_refused(shape):
    with pytest.raises(
        ValueError,
        match=r"^GatedCell: expected inputs \[B, F\] of one step, F known. Received: shape=",
    ):
        GatedCell(4).build(shape)


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize(
    ("given", "forget"),
    [("exponential", "sigmoid"), ("exponential", "exponential"), ("sigmoid", "sigmoid")],
)
def test_the_normalised_state_against_plain_sums_that_are_not_stabilised(
    given, forget, block_size, rng
):
    """sLSTM.

    From s = n = 0, y = o h(S / N) with S = f S + i g and N = f N + i, no stabiliser in sight.
    """
    options = {
        "normaliser": "state",
        "input_gate": given,
        "forget_gate": forget,
        "block_size": block_size,
    }
    cell = built(rng, **options)
    states, hidden = cell.get_initial_state(B), np.zeros((B, N))
    s, n = np.zeros((B, N)), np.zeros((B, cell.blocks))
    for _ in range(T):
        x = rng.normal(size=(B, F))
        values, states = cell.step(tf.constant(x), states)
        nets = {name: net_of(cell, name, x, hidden) for name in cell.nets}
        i, f = ACTIVATIONS[given](nets["input_gate"]), ACTIVATIONS[forget](nets["forget_gate"])
        s, n = wide(cell, f) * s + wide(cell, i) * np.tanh(nets["candidate"]), f * n + i
        hidden = wide(cell, logistic(nets["output_gate"])) * np.tanh(s / wide(cell, n))
        np.testing.assert_allclose(values["output"], hidden, atol=1e-12)
        scale = np.exp(dict(zip(cell.state_names, states, strict=True))["stabiliser"])
        np.testing.assert_allclose(values["normaliser"] * scale, n, rtol=1e-12)


ACTIVATIONS = {
    "sigmoid": logistic,
    "hard_sigmoid": lambda net: np.clip(net / 6 + 0.5, 0, 1),
    "exponential": np.exp,
    "softplus": lambda net: np.log1p(np.exp(net)),
    "softsign": lambda net: net / (1 + np.abs(net)),
    "relu6": lambda net: np.clip(net, 0, 6),
    "linear": lambda net: net,
    "g1997": lambda net: 4 / (1 + np.exp(-net)) - 2,
    "h1997": lambda net: 2 / (1 + np.exp(-net)) - 1,
    tf.math.sin: np.sin,
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_every_net_has_an_activation_of_its_own(activation, rng):
    function = ACTIVATIONS[activation]
    for chosen in (
        "input_gate",
        "forget_gate",
        "refine_gate",
        "reset_gate",
        "output_gate",
        "candidate",
    ):
        options = {"refine_gate": "sigmoid", "reset_gate": "sigmoid", "reset_after": True}
        if chosen == "candidate":
            cell = built(rng, candidate_activation=activation)
        else:
            cell = built(rng, **{**options, chosen: Gate(activation)})
        x, before, values, _ = stepped(cell, rng)
        nets = {
            name: net_of(cell, name, x, before["hidden"]) for name in values if name in cell.nets
        }
        at = {
            name: (function if name == chosen else np.tanh if name == "candidate" else logistic)(
                net
            )
            for name, net in nets.items()
        }
        if "refine_gate" in at:
            f, r = at["forget_gate"], at["refine_gate"]
            at["forget_gate"] = 2 * r * f + (1 - 2 * r) * f**2
            at.pop("candidate")  # behind its reset gate
        for name, value in at.items():
            np.testing.assert_allclose(
                values[name], value, rtol=1e-12, atol=1e-12, err_msg=f"{chosen}: {name}"
            )


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
def test_output_activation(activation, rng):
    cell = built(rng, output_activation=activation)
    _, _, values, _ = stepped(cell, rng)
    np.testing.assert_allclose(
        values["output"],
        values["output_gate"] * ACTIVATIONS[activation](values["cell_state"]),
        atol=1e-12,
    )


@pytest.mark.parametrize("block_size", [1, 2])
@pytest.mark.parametrize("output", [None, "previous", "current"])
def test_peepholes_against_numpy(output, block_size, rng):
    """One weight per cell, summed over the cells of the block that the gate controls."""
    gates = {"input_gate": Gate("tanh", peephole="previous"), "output_gate": Gate(peephole=output)}
    cell = built(rng, **gates, refine_gate=Gate(peephole="previous"), block_size=block_size)
    x, before, values, after = stepped(cell, rng)
    rows = ["input_gate", "refine_gate"] + (["output_gate"] if output else [])
    assert cell.peephole.shape == (len(rows), N)
    seen = {name: before["cell_state"] for name in rows} | (
        {"output_gate": after["cell_state"]} if output == "current" else {}
    )
    for name, squash in (
        ("input_gate", np.tanh),
        ("refine_gate", logistic),
        ("output_gate", logistic),
    ):
        net = net_of(cell, name, x, before["hidden"])
        if name in rows:
            looks = cell.peephole.numpy()[rows.index(name)] * seen[name]
            net = net + np.stack(
                [
                    looks[:, k * block_size : (k + 1) * block_size].sum(axis=1)
                    for k in range(cell.blocks)
                ],
                1,
            )
        np.testing.assert_allclose(values[name], squash(net), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("when", ["previous", "current"])
def test_see_filters_what_peepholes_see(when, rng):
    cell = built(rng, input_gate=Gate(peephole="previous"), output_gate=Gate(peephole=when))
    states = [normal(rng, B, size) for size in cell.state_size]
    x, slopes = normal(rng, B, F), []
    for options in ({}, {"see": tf.stop_gradient}):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(states)
            values, _ = cell.step(x, states, **options)
        slopes.append(
            [tape.gradient(values[name], states[1]) for name in ("input_gate", "output_gate")]
        )
    assert np.abs(slopes[0]).min() > 1e-6
    assert slopes[1] == [None, None]


def drawn_biases(**arguments):
    cell = GatedCell(400, **arguments)
    cell.build((None, 1))
    bias, pieces, start = cell.bias.numpy(), {}, 0
    for name, size in cell.nets.items():
        if cell._initial_bias(name) is not None:
            pieces[name], start = bias[start : start + size], start + size
    assert start == len(bias)
    return pieces


def test_opposite_biases_are_minus_those_drawn_for_the_other_gate():
    chrono, opposite = Gate(bias=Chrono(50)), Gate(bias=Opposite("forget_gate"))
    drawn = drawn_biases(
        forget_gate=chrono,
        input_gate=opposite,
        reset_gate=opposite,
        output_gate=Gate(bias="random_normal"),
    )
    np.testing.assert_array_equal(drawn["input_gate"], -drawn["forget_gate"])
    np.testing.assert_array_equal(drawn["reset_gate"], -drawn["forget_gate"])
    assert len(np.unique(drawn["forget_gate"])) > 390
    drawn = drawn_biases(
        forget_gate=Gate(bias=Opposite("output_gate")),
        output_gate=Gate(bias=[*map(float, range(400))]),
    )
    np.testing.assert_array_equal(
        drawn["forget_gate"], -np.arange(400.0)
    )  # before the gate it follows


def test_one_unseeded_initializer_serves_several_gates_with_other_draws():
    chrono = Chrono(50)
    drawn = drawn_biases(
        forget_gate=Gate(bias=chrono), output_gate=Gate(bias=chrono), candidate_bias=chrono
    )
    assert np.abs(drawn["forget_gate"] - drawn["output_gate"]).min() > 0
    assert np.abs(drawn["forget_gate"] - drawn["candidate"]).min() > 0


def normalised(value, gain):
    """Ba, Kiros & Hinton 2016, eqs. 2-3 without offset; epsilon as in Keras."""
    centred = value - value.mean(axis=-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("reset", [None, "before", "after"])
@pytest.mark.parametrize("block_size", [1, 2])
def test_layer_normalisation_against_ba_et_al_2016(reset, block_size, rng):
    """Their eqs.

    20-22: W x and R y each normalised over all nets, with gains, before the bias; the state before
    h.
    """
    options = {} if reset is None else {"reset_gate": "sigmoid", "reset_after": reset == "after"}
    cell = built(rng, layer_normalization=True, block_size=block_size, **options)
    x, before, values, after = stepped(cell, rng)
    y_tm1, weights = before["hidden"], {w.name: w.numpy() for w in cell.weights}
    m = cell.blocks
    sizes = [m, m, *([m] if reset else []), N, m]
    names = [
        "input_gate",
        "forget_gate",
        *(["reset_gate"] if reset else []),
        "candidate",
        "output_gate",
    ]
    of_x = np.split(
        normalised(x @ weights["kernel"], weights["kernel_gain"]) + weights["bias"],
        np.cumsum(sizes)[:-1],
        axis=1,
    )
    nets = dict(zip(names, of_x, strict=True))
    gates = [k for k, name in enumerate(names) if reset != "before" or name != "candidate"]
    of_y = np.split(
        normalised(y_tm1 @ weights["recurrent_kernel"], weights["recurrent_gain"]),
        np.cumsum([sizes[k] for k in gates])[:-1],
        axis=1,
    )
    read = {names[k]: part for k, part in zip(gates, of_y, strict=True)}
    for name in names:
        if name != "candidate":
            np.testing.assert_allclose(
                values[name], logistic(nets[name] + read[name]), atol=1e-12, err_msg=name
            )
    if reset == "before":
        behind = (wide(cell, values["reset_gate"]) * y_tm1) @ weights["candidate_recurrent_kernel"]
        read["candidate"] = normalised(behind, weights["candidate_recurrent_gain"])
    if reset == "after":
        read["candidate"] = wide(cell, values["reset_gate"]) * (
            read["candidate"] + weights["recurrent_bias"]
        )
    g = np.tanh(nets["candidate"] + read["candidate"])
    s = (
        wide(cell, values["forget_gate"]) * before["cell_state"]
        + wide(cell, values["input_gate"]) * g
    )
    np.testing.assert_allclose(after["cell_state"], s, atol=1e-12)
    h = np.tanh(normalised(s, weights["state_gain"]) + weights["state_offset"])
    np.testing.assert_allclose(values["output"], wide(cell, values["output_gate"]) * h, atol=1e-12)


def test_layer_normalisation_starts_with_gains_of_one_and_no_offset():
    cell = GatedCell(N, layer_normalization=True)
    cell.build((None, F))
    gains = {w.name: w.numpy() for w in cell.weights if "gain" in w.name or "offset" in w.name}
    assert {k: len(v) for k, v in gains.items()} == {
        "kernel_gain": 4 * N, "recurrent_gain": 4 * N, "state_gain": N, "state_offset": N,
    }  # fmt: skip
    assert all(np.all(v == (0 if "offset" in k else 1)) for k, v in gains.items())
    assert "recurrent_gain" not in {
        w.name for w in unseen(layer_normalization=True, feedback="none").weights
    }
