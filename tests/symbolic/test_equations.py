"""A cell's Jacobian in symbols against automatic differentiation of its step.

Its equations against its switches.
"""

import inspect
from contextlib import nullcontext
from functools import cache
from importlib import resources

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from oracles import randomize
from symbolic_cells import CASES, SWITCHES, B, F, N, at_a_step, every_cell

from lstmlab import GatedCell, variant, variants
from lstmlab.cells.gates import LETTERS
from lstmlab.symbolic import symbols
from lstmlab.symbolic.equations import equations, legend
from lstmlab.symbolic.jacobian import jacobian
from lstmlab.symbolic.numbers import symbol_values
from lstmlab.symbolic.symbols import VALUES, Derivative, Factor, Term, before, symbol


@cache
def of_case(case: str) -> tuple:
    """The cell of a case, its inputs and states, its derivatives and the values of its symbols."""
    name, overrides = CASES[case]
    cell, x, states = at_a_step(name, overrides, np.random.default_rng(1997))
    return cell, x, states, jacobian(cell), symbol_values(cell, x, states)


def pieces(cell, states) -> dict:
    """{part of the step before: its tensor}: the hidden values taken apart."""
    named = dict(zip(cell.state_names, states, strict=True))
    hidden = named.pop("hidden")
    sizes = {"cell_state" if cell.is_own_output else "output": cell.units}
    sizes |= dict.fromkeys(cell.gates if cell.hidden_size > cell.units else (), cell.blocks)
    return {
        **named,
        **dict(zip(sizes, tf.split(hidden, list(sizes.values()), axis=1), strict=True)),
    }


def differentiated(cell, x, states, wanted, **filters) -> dict:
    """{(value, part): [B, size of value, size of part]} by automatic differentiation of the step.

    Each row of a Jacobian by its own copy of the step.
    """
    rows = max(*cell.value_sizes.values(), *cell.state_size)
    parts = {name: tf.tile(part, (rows, 1)) for name, part in pieces(cell, states).items()}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parts)
        of_hidden = [value for name, value in parts.items() if _is_hidden(cell, name)]
        before = {**parts, "hidden": tf.concat(of_hidden, axis=1)}
        values, after = cell.step(
            tf.tile(x, (rows, 1)), [before[name] for name in cell.state_names], **filters
        )
        if "stabiliser" in cell.state_names:
            values["stabiliser"] = after[-1]
        picked = {}
        for name in {value for value, _ in wanted}:
            width = values[name].shape[1]
            copies = tf.reshape(values[name], (rows, len(x), width))[:width]
            picked[name] = tf.reduce_sum(copies * tf.eye(width, dtype=copies.dtype)[:, None])
    found = {}
    for name, number in picked.items():
        width = values[name].shape[1]
        of_parts = tape.gradient(number, parts, unconnected_gradients="zero")
        for part, gradient in of_parts.items():
            by_row = tf.reshape(gradient, (rows, len(x), -1))[:width]
            found[name, part] = by_row.numpy().transpose(1, 0, 2)
    return {key: found[key] for key in wanted}


def _is_hidden(cell, name: str) -> bool:
    return name in ("output", *cell.gates) or (name == "cell_state" and cell.is_own_output)


@every_cell
def test_every_block_against_automatic_differentiation(case):
    cell, x, states, blocks, numbers = of_case(case)
    assert {part for _, part in blocks} == set(pieces(cell, states)), (
        "every part of the step before"
    )
    assert {value for value, _ in blocks} >= {part for _, part in blocks} | {"cell_state"}, (
        "every part that is carried on"
    )
    for key, expected in differentiated(cell, x, states, blocks).items():
        actual = blocks[key].value(numbers)
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-13, err_msg=str(key))
        assert (np.abs(expected).max() > 0) == bool(blocks[key].terms) or "stabiliser" in key, key


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("peephole", {"block_size": 2}),
        ("fgr", {}),
        ("gru_reset_after", {}),
        ("slstm", {"block_size": 2}),
        ("vanilla", SWITCHES["refined, reset behind"]),
        ("vanilla", SWITCHES["layer normalisation, reset"]),
    ],
)
def test_latex_is_only_for_show(name, overrides, rng, monkeypatch):
    """Every LaTeX string is changed, and the numbers stay right."""
    cell, x, states = at_a_step(name, overrides, rng)
    numbers, blocks = symbol_values(cell, x, states), jacobian(cell)
    for shown in (LETTERS, VALUES):
        for key, letter in list(shown.items()):
            monkeypatch.setitem(shown, key, f"{letter} ")
    for key, block in jacobian(cell).items():
        terms = tuple(
            term._replace(factors=tuple(f._replace(symbol=f"{f.symbol} ") for f in term.factors))
            for term in block.terms
        )
        changed = block._replace(terms=terms)
        assert changed.latex() != blocks[key].latex()
        np.testing.assert_array_equal(changed.value(numbers), blocks[key].value(numbers))


@every_cell
def test_the_carousel_is_what_is_left_where_the_nets_read_nothing(case):
    """With see=stop_gradient, the truncation of 1997.

    From the stabiliser, which no net reads, its own terms.
    """
    cell, x, states, blocks, numbers = of_case(case)
    for key, expected in differentiated(cell, x, states, blocks, see=tf.stop_gradient).items():
        kept = "stabiliser" if key[1] == "stabiliser" else "carousel"
        terms = tuple(term for term in blocks[key].terms if term.way == kept)
        np.testing.assert_allclose(
            blocks[key]._replace(terms=terms).value(numbers), expected, rtol=1e-9, atol=1e-13
        )


@every_cell
def test_only_the_forget_gate_or_its_absence_scales_the_old_state(case):
    cell, x, states, blocks, numbers = of_case(case)
    terms = [
        term
        for term in blocks.get(("cell_state", "cell_state"), Derivative("", "", (N, N), ())).terms
        if not term.path
    ]
    if cell.forget_gate == "closed":
        assert terms == []
        return
    [term] = terms
    [factor] = term.factors
    values, _ = cell.step(x, states)
    forget = values.get("forget_gate", tf.ones((B, cell.blocks), "float64")).numpy()
    kept = factor.value(numbers) * np.ones((B, 1, 1))
    np.testing.assert_allclose(
        kept, np.repeat(forget, cell.block_size, axis=1)[:, :, None] * np.eye(N), rtol=1e-12
    )
    assert factor.symbol.removeprefix("E ") in ("I", "e_t", "f_t", r"\bar{f}_t")
    assert (factor.symbol == "I") == (cell.forget_gate is None)


@every_cell
def test_every_other_path_passes_a_net(case):
    cell, _, _, blocks, _ = of_case(case)
    nets = {"stabiliser", *cell.nets}
    for (value, part), block in blocks.items():
        for term in block.terms:
            assert term.sign in (1, -1)
            assert set(term.path) <= nets
            assert term.path or (value, part) in {
                ("cell_state", "cell_state"), ("normaliser", "normaliser"),
                ("output", "cell_state"), ("output", "normaliser"),
            }  # fmt: skip


@every_cell
def test_equations_name_every_value_and_use_its_letter(case):
    cell, *_ = of_case(case)
    found = equations(cell)
    names = [equation.name for equation in found]
    assert set(names) >= {*cell.value_sizes, *(f"net_{net}" for net in cell.nets)}
    assert ("hidden" in names) == (cell.hidden_size > cell.units)
    text = " ".join(equation.latex for equation in found)
    for gate, letter in LETTERS.items():
        if gate != "candidate":
            assert (f"{letter}_t" in text or (letter == "f" and "e_t" in text)) == (
                gate in cell.gates
            ), gate
    assert ("u_" in text) == bool(cell.peepholes)
    assert ("E" in text.replace(r"\mathsf{E}", "")) == (cell.block_size > 1 and bool(cell.gates))
    assert r"\mathcal{N}" in text or not cell.layer_normalization
    assert [
        equation.name
        for equation in found
        if equation.latex.startswith(f"{symbol(cell, 'cell_state')} =")
    ] == ["cell_state"]


def test_the_equations_of_the_vanilla_cell():
    assert {equation.name: equation.latex for equation in equations(variant("vanilla"))} == {
        "net_input_gate": r"\mathrm{net}_i = W_i x_t + R_i y_{t-1} + b_i",
        "input_gate": r"i_t = \sigma(\mathrm{net}_i)",
        "net_forget_gate": r"\mathrm{net}_f = W_f x_t + R_f y_{t-1} + b_f",
        "forget_gate": r"f_t = \sigma(\mathrm{net}_f)",
        "net_output_gate": r"\mathrm{net}_o = W_o x_t + R_o y_{t-1} + b_o",
        "output_gate": r"o_t = \sigma(\mathrm{net}_o)",
        "net_candidate": r"\mathrm{net}_g = W_g x_t + R_g y_{t-1} + b_g",
        "candidate": r"g_t = \tanh(\mathrm{net}_g)",
        "cell_state": r"s_t = f_t \odot s_{t-1} + i_t \odot g_t",
        "output": r"y_t = o_t \odot \tanh(s_t)",
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("lstm1997", "cell_state", r"s_t = s_{t-1} + E i_t \odot g_t"),
        (
            "lstm1997",
            "hidden",
            r"\mathrm{hidden}_t = (y_t \, i_t \, o_t)".replace(r" \, ", r", \, "),
        ),
        (
            "lstm1997",
            "net_input_gate",
            r"\mathrm{net}_i = W_i x_t + R_{iy} y_{t-1} + R_{ii} i_{t-1} + R_{io} o_{t-1} + b_i",
        ),
        ("elman", "cell_state", "s_t = g_t"),
        ("gru", "net_candidate", r"\mathrm{net}_g = W_g x_t + R_g (q_t \odot y_{t-1}) + b_g"),
        ("gru", "input_gate", "i_t = 1 - f_t"),
        ("gru_reset_after", "waiting", "p_t = R_g y_{t-1} + c"),
        ("cifg", "forget_gate", "f_t = 1 - i_t"),
        ("janet", "input_gate", r"i_t = 1 - \sigma(\mathrm{net}_f - 1)"),
        (
            "peephole",
            "net_output_gate",
            r"\mathrm{net}_o = W_o x_t + R_o y_{t-1} + b_o + u_o \odot s_t",
        ),
        ("mingru", "net_input_gate", r"\mathrm{net}_i = W_i x_t + b_i"),
        ("ur_lstm", "input_gate", "i_t = 1 - e_t"),
        ("slstm", "normaliser", r"n_t = \bar{f}_t \odot n_{t-1} + \bar{i}_t"),
        ("slstm", "output", r"y_t = o_t \odot z_t"),
    ],
)
def test_equations_against_the_comments_of_the_files(name, value, expected):
    """What conf/cell/ says of each variant, written again by hand."""
    assert [equation.latex for equation in equations(variant(name)) if equation.name == value][
        -1
    ] == expected


def test_blocks_in_symbols():
    blocks = jacobian(variant("peephole"))
    assert blocks["cell_state", "output"].latex() == (
        r"\frac{\partial s_t}{\partial y_{t-1}} = "
        r"\operatorname{diag}(s_{t-1}) \, \operatorname{diag}(f'_t) \, R_f "
        r"+ \operatorname{diag}(i_t) \, R_g "
        r"+ \operatorname{diag}(g_t) \, \operatorname{diag}(i'_t) \, R_i"
    )
    assert [term.way for term in blocks["output", "cell_state"].terms] == [
        "carousel", "net_forget_gate", "net_input_gate", "net_output_gate",
        "net_forget_gate to net_output_gate", "net_input_gate to net_output_gate",
    ]  # fmt: skip


def test_a_term_by_hand():
    term = Term(-1, (Factor("key a", "a"), Factor("key R", "R", False)), ("candidate",))
    numbers = {
        "key a": np.array([[2.0, 3.0]]),
        "key R": np.array([[1.0, 4.0], [5.0, 6.0]]),
        "cell_state": np.zeros((1, 2)),
    }
    np.testing.assert_array_equal(term.value(numbers), [[[-2.0, -8.0], [-15.0, -18.0]]])
    block = Derivative(
        "s_t", "y_{t-1}", (2, 2), (term, Term(1, (Factor("key R", "R", False),), ()))
    )
    np.testing.assert_array_equal(block.value(numbers), [[[-1.0, -4.0], [-10.0, -12.0]]])
    assert (
        block.latex()
        == r"\frac{\partial s_t}{\partial y_{t-1}} = - \operatorname{diag}(a) \, R + R"
    )
    np.testing.assert_array_equal(
        Derivative("", "", (2, 3), ()).value(numbers), np.zeros((1, 2, 3))
    )


def test_every_file_is_covered_or_refused_in_one_line():
    names = {
        path.name.removesuffix(".yaml")
        for path in (resources.files("lstmlab.conf") / "cell").iterdir()
        if ".yaml" in path.name
    }
    others = names - set(variants())
    assert others == {"cascade"}
    from lstmlab.cells import CascadeCell

    for asked in (equations, jacobian, legend):
        with pytest.raises(
            ValueError,
            match=r"^equations: expected a GatedCell, from whose switches they follow\. "
            r"Received: cell=CascadeCell$",
        ):
            asked(CascadeCell(3))


def test_activations_that_mix_net_inputs_are_refused():
    for arguments, name in (
        ({"candidate_activation": "softmax"}, "candidate_activation='softmax'"),
        ({"output_gate": "sparsemax"}, "output_gate.activation='sparsemax'"),
    ):
        with pytest.raises(ValueError, match=rf"a diagonal\. Received: {name}$"):
            jacobian(GatedCell(N, **arguments))


def mixes(activation) -> bool:
    """Measured: whether an output moves by another input than its own."""
    at = 3 * np.random.default_rng(2).normal(size=(50, 6))
    before = ops.convert_to_numpy(activation(ops.convert_to_tensor(at)))
    for k in range(6):
        moved = at.copy()
        moved[:, k] += 0.7
        after = ops.convert_to_numpy(activation(ops.convert_to_tensor(moved)))
        # of another size, as by glu, it is made from several
        if after.shape != at.shape or np.any(np.delete(after != before, k, axis=1)):
            return True
    return False


ACTIVATIONS = [
    function
    for name, function in sorted(vars(keras.activations).items())
    # threshold is none by itself: it asks for two numbers more
    if inspect.isfunction(function) and name not in ("deserialize", "get", "serialize", "threshold")
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activations_of_keras_that_are_refused_are_those_that_mix(activation):
    cell = GatedCell(N, candidate_activation=activation)
    refused = pytest.raises(ValueError, match=r"a diagonal\. Received: candidate_activation=")
    with refused if mixes(activation) else nullcontext():
        symbols.check(cell)


def test_every_activation_said_to_mix_is_one_of_keras():
    assert len(ACTIVATIONS) > 20
    assert set(symbols.MIXING) <= {function.__name__ for function in ACTIVATIONS}


def test_slopes_of_other_activations_are_asked_for(rng):
    cell, x, states = at_a_step("vanilla", {"candidate_activation": "softsign"}, rng)
    with pytest.raises(
        ValueError,
        match=r"^symbol_values: expected one of \['linear', .*\. Received: activation='softsign'$",
    ):
        symbol_values(cell, x, states)

    def slope(activation, net):
        net = tf.constant(net)
        with tf.GradientTape() as tape:
            tape.watch(net)
            value = activation(net)
        return tape.gradient(value, net).numpy()

    blocks, numbers = jacobian(cell), symbol_values(cell, x, states, slope)
    for key, expected in differentiated(cell, x, states, blocks).items():
        np.testing.assert_allclose(blocks[key].value(numbers), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "name", ["linear", "sigmoid", "tanh", "relu", "exponential", "g1997", "h1997"]
)
def test_closed_slopes_against_automatic_differentiation(name):
    from lstmlab.cells.gates import squashing
    from lstmlab.symbolic.numbers import slope

    activation, net = squashing("test", "activation", name), np.linspace(-30.0, 29.0, 60)
    with tf.GradientTape() as tape:
        tape.watch(at := tf.constant(net))
        value = activation(at)
    expected = tape.gradient(value, at).numpy()
    inner = np.abs(net) < 8  # beyond, 1 - tanh^2 has lost its digits
    np.testing.assert_allclose(slope(activation, net)[inner], expected[inner], rtol=1e-8)
    np.testing.assert_allclose(slope(activation, net), expected, rtol=1e-7, atol=1e-13)


def test_the_stabiliser_on_either_side_and_with_nothing_stored(rng):
    """Both branches of the maximum and the empty sum occur, and each is differentiated rightly."""
    cell, x, states = at_a_step("slstm", {}, rng)
    named = dict(zip(cell.state_names, states, strict=True))
    named["stabiliser"] = tf.constant([[5.0, -5.0] * 2, [-5.0, 5.0] * 2, [0.1, 5.0] * 2], "float64")
    named["normaliser"] = tf.where(
        [[True] * 4, [True] * 4, [True, False] * 2], named["normaliser"], 0.0
    )
    states = [named[part] for part in cell.state_names]
    blocks, numbers = jacobian(cell), symbol_values(cell, x, states)
    kappa, mu = numbers["kappa"], numbers["mu"]
    assert {(a, b) for a, b in zip(kappa.ravel(), mu.ravel(), strict=True)} == {
        (1.0, 0.0),
        (0.0, 1.0),
        (0.0, 0.0),
    }
    for key, expected in differentiated(cell, x, states, blocks).items():
        np.testing.assert_allclose(
            blocks[key].value(numbers), expected, rtol=1e-9, atol=1e-13, err_msg=str(key)
        )
    assert before(symbol(cell, "stabiliser")) == "m_{t-1}"


def test_single_precision(rng):
    cell = variant("peephole", units=N)
    cell.build((B, F))
    randomize(cell, rng)
    x, states = (
        tf.constant(rng.normal(size=(B, F)), "float32"),
        [tf.constant(rng.normal(size=(B, N)), "float32")] * 2,
    )
    blocks, numbers = jacobian(cell), symbol_values(cell, x, states)
    for key, expected in differentiated(cell, x, states, blocks).items():
        np.testing.assert_allclose(blocks[key].value(numbers), expected, rtol=1e-4, atol=1e-6)
    assert keras.backend.floatx() == "float32"
