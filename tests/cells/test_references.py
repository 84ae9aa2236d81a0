"""Named variants, and the general cell, against second writings in NumPy.

Every value at every step.
"""

from decimal import localcontext

import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, randomize, weight_differences
from references import REFERENCES, array, exact, exp, sigma, slstm, slstm_unstabilised, weights

from lstmlab import Gate, GatedCell, GatedRNN, variant

B, T, F, N = 3, 6, 2, 4
NAMES = {
    "i": "input_gate",
    "f": "forget_gate",
    "r": "refine_gate",
    "q": "reset_gate",
    "z": "candidate",
    "o": "output_gate",
}
SHORT = {name: letter for letter, name in NAMES.items()} | {
    "cell_state": "c",
    "normaliser": "n",
    "output": "y",
}


def start(cell, rng) -> dict:
    """Random states by name; normaliser positive."""
    states = {
        name: rng.normal(size=(B, size))
        for name, size in zip(cell.state_names, cell.state_size, strict=True)
    }
    if "normaliser" in states:
        states["normaliser"] = np.abs(states["normaliser"]) + 0.1
    return states


def built(cell, rng, features: int = F) -> GatedCell:
    cell.build((B, features))
    randomize(cell, rng)
    return cell


def traced(cell, x, past: dict) -> dict:
    """Every value at every step [B, T, ...] by its letter, through the layer."""
    layer = GatedRNN(cell, return_sequences=True, return_traces=True, dtype=cell.dtype)
    states = [tf.constant(past[name], cell.dtype) for name in cell.state_names]
    sequence, values = layer(tf.constant(x, cell.dtype), initial_state=states)
    np.testing.assert_array_equal(sequence, values["output"])
    return {SHORT[name]: value.numpy() for name, value in values.items()}


def assert_values(cell, reference, rng, tolerance: float = 1e-12) -> None:
    """Every named value at every step against the second writing, from a random state."""
    x, past = rng.normal(size=(B, T, F)), start(cell, rng)
    found, expected = traced(cell, x, past), list(reference(cell, x, past))
    assert len(expected) == T
    for t, values in enumerate(expected):
        assert sorted(values) == sorted(found)
        for letter, value in values.items():
            np.testing.assert_allclose(
                found[letter][:, t],
                value,
                rtol=tolerance,
                atol=tolerance,
                err_msg=f"{letter} at {t}",
            )
    assert np.abs(expected[0]["y"] - expected[-1]["y"]).max() > 0.01  # it moves


@pytest.mark.parametrize("name", REFERENCES)
def test_every_value_at_every_step_against_numpy(name, rng):
    assert_values(built(variant(name, units=N, dtype="float64"), rng), REFERENCES[name], rng)


def wide(gate, size: int):
    """[B, blocks] -> [B, n]: one value for all cells of a block."""
    return np.repeat(gate, size, axis=1)


def within(values, size: int):
    """[B, n] -> [B, blocks]: summed over the cells of a block."""
    return sum(values[:, v::size] for v in range(size))


def all_gates(reset_after: bool, look: str, size: int):
    """The equations of GatedCell with every gate it has, blocks of `size` cells, peepholes of all
    gates; `look`: of o.
    """

    def steps(cell, x, past):
        w, y, c = weights(cell, "ifrqzo"), past["hidden"], past["cell_state"]
        W, R, b, p = w.W, w.R, w.b, w.p
        for t in range(T):
            i, f, r, q = (
                sigma(x[:, t] @ W[k] + y @ R[k] + b[k] + within(p[k] * c, size)) for k in "ifrq"
            )
            if reset_after:
                z = np.tanh(
                    x[:, t] @ W["z"]
                    + b["z"]
                    + wide(q, size) * (y @ R["z"] + array(cell, "recurrent_bias"))
                )
            else:
                z = np.tanh(x[:, t] @ W["z"] + b["z"] + (wide(q, size) * y) @ R["z"])
            effective = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
            c_, c = c, wide(effective, size) * c + wide(i, size) * z
            o = sigma(
                x[:, t] @ W["o"]
                + y @ R["o"]
                + b["o"]
                + within(p["o"] * (c if look == "current" else c_), size)
            )
            y = wide(o, size) * np.tanh(c)
            yield {"i": i, "f": effective, "r": r, "q": q, "z": z, "o": o, "c": c, "y": y}

    return steps


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("reset_after", "look"), [(False, "current"), (True, "previous")])
def test_all_gates_together(reset_after, look, size, rng):
    before = Gate(peephole="previous")
    gates = dict.fromkeys(("input_gate", "forget_gate", "refine_gate", "reset_gate"), before)
    cell = GatedCell(
        N,
        **gates,
        output_gate=Gate(peephole=look),
        reset_after=reset_after,
        block_size=size,
        dtype="float64",
    )
    assert_values(built(cell, rng), all_gates(reset_after, look, size), rng)


def test_all_gates_are_fed_back_in_their_order(rng):
    """Hidden: y, i, f, r, o; the forget gate as it multiplies.

    Blocks of two cells, read by all nets.
    """

    def steps(cell, x, past):
        hidden, c = past["hidden"], past["cell_state"]
        w = weights(cell, "ifrzo")
        assert hidden.shape == (B, N + 4 * 2)
        for t in range(T):
            net = {k: x[:, t] @ w.W[k] + hidden @ w.R[k] + w.b[k] for k in "ifrzo"}
            i, f, r, o = (sigma(net[k]) for k in "ifro")
            z, f = np.tanh(net["z"]), r * (1 - (1 - f) ** 2) + (1 - r) * f**2
            c = wide(f, 2) * c + wide(i, 2) * z
            y = wide(o, 2) * np.tanh(c)
            hidden = np.concatenate([y, i, f, r, o], axis=1)
            yield {"i": i, "f": f, "r": r, "z": z, "o": o, "c": c, "y": y}

    cell = GatedCell(N, refine_gate="sigmoid", feedback="all", block_size=2, dtype="float64")
    assert_values(built(cell, rng), steps, rng)


def test_gates_that_read_back_in_other_ways(rng):
    """Of two heads with two cells each.

    I reads its own cells, f and z the cells of their head, o all, r none.
    """

    def steps(cell, x, past):
        y, c = past["hidden"], past["cell_state"]
        W, b = (
            dict(zip("ifrzo", np.split(array(cell, name), 5, axis=-1), strict=True))
            for name in ("kernel", "bias")
        )
        own, heads, full = (
            array(cell, f"recurrent_{kind}") for kind in ("elements", "blocks", "kernel")
        )
        assert (own.shape, heads.shape, full.shape) == ((1, N), (2, 2, 4), (N, N))
        for t in range(T):
            net = {k: x[:, t] @ W[k] + b[k] for k in "ifrzo"}
            net["i"] = net["i"] + own[0] * y
            for head, cells in enumerate(([0, 1], [2, 3])):
                net["f"][:, cells] += y[:, cells] @ heads[head][:, :2]
                net["z"][:, cells] += y[:, cells] @ heads[head][:, 2:]
            i, f, r, o = (
                sigma(net["i"]),
                sigma(net["f"]),
                sigma(net["r"]),
                sigma(net["o"] + y @ full),
            )
            z, f = np.tanh(net["z"]), r * (1 - (1 - f) ** 2) + (1 - r) * f**2
            c = f * c + i * z
            y = o * np.tanh(c)
            yield {"i": i, "f": f, "r": r, "z": z, "o": o, "c": c, "y": y}

    gates = {
        "input_gate": "by_element",
        "forget_gate": "block_diagonal",
        "refine_gate": "none",
        "output_gate": "full",
    }
    gates = {name: Gate(recurrent=kind) for name, kind in gates.items()}
    cell = GatedCell(N, **gates, candidate_recurrent="block_diagonal", heads=2, dtype="float64")
    assert_values(built(cell, rng), steps, rng)


def test_a_gate_that_reads_the_cells_of_its_block(rng):
    """By element in blocks of two cells.

    A gate reads both through one weight each, a candidate itself.
    """

    def steps(cell, x, past):
        y, c, own = past["hidden"], past["cell_state"], array(cell, "recurrent_elements")
        w = weights(cell, "fz")
        for t in range(T):
            f = sigma(x[:, t] @ w.W["f"] + within(own[0] * y, 2) + w.b["f"])
            z = np.tanh(x[:, t] @ w.W["z"] + own[1] * y + w.b["z"])
            c = wide(f, 2) * c + wide(1 - f, 2) * z
            y = np.tanh(c)
            yield {"i": 1 - f, "f": f, "z": z, "c": c, "y": y}

    forget = Gate(recurrent="by_element")
    cell = GatedCell(
        N, "coupled", forget, None, candidate_recurrent="by_element", block_size=2, dtype="float64"
    )
    assert_values(built(cell, rng), steps, rng)


@pytest.mark.parametrize("reset", [None, "sigmoid"])
def test_layer_normalization_of_each_product_and_of_the_state(reset, rng):
    def normalised(v, gain):
        return (
            gain
            * (v - v.mean(axis=1, keepdims=True))
            / np.sqrt(v.var(axis=1, keepdims=True) + 1e-5)
        )

    def steps(cell, x, past):
        y, c, gain = past["hidden"], past["cell_state"], lambda name: array(cell, f"{name}_gain")
        for t in range(T):
            net = normalised(x[:, t] @ array(cell, "kernel"), gain("kernel")) + array(cell, "bias")
            read = normalised(y @ array(cell, "recurrent_kernel"), gain("recurrent"))
            if reset:
                (i, f, q, o), net_z = (
                    np.split(
                        sigma(net[:, [*range(3 * N), *range(4 * N, 5 * N)]] + read), 4, axis=1
                    ),
                    net,
                )
                read_z = normalised(
                    (q * y) @ array(cell, "candidate_recurrent_kernel"), gain("candidate_recurrent")
                )
                gates, z = (
                    {"i": i, "f": f, "q": q, "o": o},
                    np.tanh(net_z[:, 3 * N : 4 * N] + read_z),
                )
            else:
                i, f, z, o = np.split(net + read, 4, axis=1)
                gates, z = {"i": sigma(i), "f": sigma(f), "o": sigma(o)}, np.tanh(z)
            c = gates["f"] * c + gates["i"] * z
            y = gates["o"] * np.tanh(normalised(c, gain("state")) + array(cell, "state_offset"))
            yield {**gates, "z": z, "c": c, "y": y}

    assert_values(
        built(GatedCell(N, reset_gate=reset, layer_normalization=True, dtype="float64"), rng),
        steps,
        rng,
    )


def test_slstm_of_blocks_shares_normaliser_and_stabiliser(rng):
    """Two cells of a block have the gates of one.

    The cell states of both are those of two nets of one cell each.
    """
    cell = built(variant("slstm", units=2, block_size=2, dtype="float64"), rng)
    past = start(cell, rng)
    x = rng.normal(size=(B, T, F))
    assert [past[name].shape[1] for name in cell.state_names] == [2, 2, 1, 1]
    found = traced(cell, x, past)
    for t, values in enumerate(
        slstm(cell, x, past)
    ):  # its columns are one gate wide: what it multiplies is broadcast
        for letter, value in values.items():
            np.testing.assert_allclose(
                found[letter][:, t], value, rtol=1e-12, atol=1e-12, err_msg=letter
            )


@pytest.mark.parametrize("name", ["input_gate", "forget_gate", "output_gate"])
def test_a_closed_gate_is_zero(name, rng):
    """Input gate: the state only decays; forget gate: it is what has just come in; output gate.

    Nothing comes out.
    """
    cell = built(GatedCell(N, **{name: "closed"}, dtype="float64"), rng)
    past = start(cell, rng)
    values = traced(cell, rng.normal(size=(B, T, F)), past)
    i, f, o = (0.0 if SHORT[name] == k else values[k] for k in "ifo")
    first = past["cell_state"] if "cell_state" in past else np.zeros((B, N))
    c_ = np.concatenate([first[:, None], values["c"][:, :-1]], axis=1)
    assert sorted(values) == sorted({*"ifozcy"} - {SHORT[name]})
    np.testing.assert_allclose(values["c"], f * c_ + i * values["z"], atol=1e-14)
    np.testing.assert_allclose(values["y"], o * np.tanh(values["c"]), atol=1e-14)


@pytest.mark.parametrize("name", REFERENCES)
def test_touch_sees_every_value_once_and_what_it_returns_is_used(name, rng):
    cell = built(variant(name, units=N, dtype="float64"), rng)
    x, past = tf.constant(rng.normal(size=(B, F))), start(cell, rng)
    before = [tf.constant(past[name]) for name in cell.state_names]
    seen = []
    values, states = cell.step(x, before, touch=lambda name, value: (seen.append(name), value)[1])
    assert sorted(seen) == sorted(values)
    for one in values:
        touched, after = cell.step(
            x, before, touch=lambda name, value, one=one: 1.5 * value if name == one else value
        )
        np.testing.assert_allclose(touched[one], 1.5 * values[one], rtol=1e-14)
        assert (
            max(np.abs(new - old).max() for new, old in zip(after, states, strict=True)) > 1e-6
        ), one


@pytest.mark.parametrize(
    "name",
    ["peephole", "cifg", "fgr", "ur_lstm", "gru", "gru_reset_after", "mgu", "janet", "minlstm"],
)
def test_what_sees_nothing_leaves_the_carousel(name, rng):
    """With see=stop_gradient the state flows through the forget gates alone, also where it is the
    output: d s_T / d s_0.
    """
    cell = built(variant(name, units=N, dtype="float64"), rng)
    x, past = tf.constant(rng.normal(size=(T, 1, F))), start(cell, rng)
    s_0 = tf.constant(past["cell_state" if "cell_state" in past else "hidden"][:1])
    flows = []
    for see in (tf.stop_gradient, lambda hidden: hidden):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(s_0)
            states = [tf.constant(past["hidden"][:1]), s_0] if "cell_state" in past else [s_0]
            opened = 1.0
            for x_t in x:
                values, states = cell.step(x_t, states, see=see)
                opened *= values["forget_gate"].numpy()[0]
        flows.append(tape.jacobian(states[-1], s_0, experimental_use_pfor=False)[0, :, 0].numpy())
    np.testing.assert_allclose(flows[0], np.diag(opened), rtol=1e-12)
    assert (np.abs(flows[1] - flows[0]).max() > 1e-6) == (
        name != "minlstm"
    )  # which reads nothing back


@pytest.mark.parametrize(("dtype", "reach"), [("float32", 200.0), ("float64", 1000.0)])
@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
@pytest.mark.parametrize("from_zero", [True, False])
def test_slstm_where_the_plain_formula_overflows(dtype, reach, forget, from_zero, rng):
    cell = built(variant("slstm", units=2, forget_gate=Gate(forget), dtype=dtype), rng, features=1)
    kernel = cell.kernel.numpy()
    kernel[:, :4] = [[reach, reach / 2, reach, -reach]]
    cell.kernel.assign(kernel)
    x = np.array([[1, -1, 1, -1, -1, 1], [-1, -1, 0.5, 1, 0, 1], [0, 0, 1, 1, -1, -1]])[:, :, None]
    past = {
        name: (0.0 * v if from_zero else v).astype(dtype) for name, v in start(cell, rng).items()
    }
    found = traced(cell, x, past)
    eps, limit = np.finfo(dtype).eps, float(np.log(np.finfo(dtype).max))
    with localcontext() as context:
        context.prec = 60
        expected = list(slstm_unstabilised(cell, x, past, forget))
    assert (
        max(np.abs(raw["i"]).max() for raw, _ in expected) > limit
    )  # the exponential of a net input is infinite in `dtype`
    size = max(float(np.abs(values.pop("m")).max()) for _, values in expected)
    tolerance = (
        16 * eps * size
    )  # a net input of this size is off by eps/2 of it, and so is the logarithm of a gate
    for t, (_, values) in enumerate(expected):
        for letter, value in values.items():
            actual, desired = found[letter][:, t], value.astype("float64")
            np.testing.assert_allclose(
                actual, desired, rtol=tolerance, atol=tolerance, err_msg=f"{letter} at {t}"
            )


@pytest.mark.parametrize(("dtype", "reach"), [("float32", 200.0), ("float64", 1000.0)])
def test_minlstm_where_both_gates_underflow(dtype, reach, rng):
    """i / (i + f) with i = f = 0 in `dtype`, against the same in 60 digits."""
    cell = built(variant("minlstm", units=3, dtype=dtype), rng, features=1)
    cell.kernel.assign([[reach, reach, reach, reach / 2, reach + 1, 2 * reach, 1.0, 1.0, 1.0]])
    x = np.array([-1, 1, 0.5, -0.5])[:, None, None]
    values = traced(cell, x, {"hidden": np.ones((4, 3))})
    with localcontext() as context:
        context.prec = 60
        net = exact(x[:, 0]) @ exact(array(cell, "kernel")) + exact(array(cell, "bias"))
        i, f, _ = np.split(1 / (1 + exp(-net)), 3, axis=1)
        expected = {"i": (i / (i + f)).astype("float64"), "f": (f / (i + f)).astype("float64")}
    assert i.astype(dtype).min() == f.astype(dtype).min() == 0
    tolerance = 16 * np.finfo(dtype).eps * 2 * reach  # as above
    for letter, value in expected.items():
        np.testing.assert_allclose(values[letter][:, 0], value, rtol=tolerance, atol=tolerance)


def test_gradients_of_slstm_from_the_zero_state_against_differences_of_numpy(rng):
    """Nothing is stored yet there, and the normaliser is zero."""
    cell = built(variant("slstm", units=2, dtype="float64"), rng)
    x, direction = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, 2))
    zero = {
        name: np.zeros((B, size))
        for name, size in zip(cell.state_names, cell.state_size, strict=True)
    }
    layer = GatedRNN(cell, return_sequences=True, dtype="float64")
    with tf.GradientTape() as tape:
        error = tf.reduce_sum(layer(tf.constant(x)) * direction)
    gradients = tape.gradient(error, [weight.value for weight in cell.weights])

    def outputs() -> np.ndarray:
        return np.stack([values["y"] for values in slstm(cell, x, zero)], axis=1)

    np.testing.assert_allclose(error, np.sum(outputs() * direction), rtol=1e-12)
    differences = weight_differences(lambda: np.sum(outputs() * direction), cell.weights)
    assert_gradients(gradients, differences, rtol=1e-6, atol=1e-8)
