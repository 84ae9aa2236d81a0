"""The total derivative of a state in symbols, against automatic differentiation of a sequence."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import jacobian as differentiated
from symbolic_cells import CASES, SWITCHES, B, F, at_a_step, every_cell

from lstmlab import variant
from lstmlab.cells.gates import LETTERS
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.symbolic.numbers import symbol_values
from lstmlab.symbolic.symbols import VALUES, key_before
from lstmlab.symbolic.total import detours, total_derivative

T = 4


def sequence(case: str) -> tuple:
    """A cell with random weights, inputs [B, T, F], and the values of its symbols at each step."""
    cell, _, _ = at_a_step(*CASES[case], np.random.default_rng(1997))
    x = tf.constant(np.random.default_rng(2000).normal(size=(B, T, F)))
    states, numbers = list(cell.get_initial_state(batch_size=B)), []
    for t in range(T):
        numbers.append(symbol_values(cell, x[:, t], states))
        _, states = cell.step(x[:, t], states)
    return cell, x, numbers


def at(numbers: list, t: int) -> dict:
    """Those of step t, and those of the step before under their keys."""
    return {**{key_before(key): value for key, value in numbers[t - 1].items()}, **numbers[t]}


@every_cell
def test_one_step_against_automatic_differentiation(case):
    cell, x, numbers = sequence(case)
    derivative = total_derivative(cell)
    for t in range(1, T):
        _, exact = differentiated(cell, x[:, : t + 1], "cell_state")
        found = derivative.value(at(numbers, t))
        np.testing.assert_allclose(found, exact[:, t - 1], rtol=1e-9, atol=1e-13)


@every_cell
def test_one_step_is_e_and_what_passes_a_net(case):
    cell, x, numbers = sequence(case)
    carousel, nets = (
        total_derivative(cell)._replace(
            terms=tuple(t for t in total_derivative(cell).terms if bool(t.path) == through)
        )
        for through in (False, True)
    )
    values = {name: value.numpy() for name, value in trace(cell, x).items()}
    e = cell.state_factor(values)[:, -1]
    found = carousel.value(at(numbers, T - 1))
    np.testing.assert_allclose(found, e[..., None] * np.eye(cell.units), rtol=1e-12)
    reads = cell.feedback != "none" or bool(cell.peepholes)
    assert bool(nets.terms) == (reads and bool(np.abs(nets.value(at(numbers, T - 1))).max() > 0))


@every_cell
def test_the_products_are_exact_where_there_are_no_detours(case):
    cell, x, numbers = sequence(case)
    derivative = total_derivative(cell)
    _, exact = differentiated(cell, x, "cell_state")
    product = derivative.value(at(numbers, T - 1)) @ derivative.value(at(numbers, T - 2))
    apart = np.abs(product - exact[:, T - 3]).max() / np.abs(exact[:, T - 3]).max()
    assert (apart > 1e-6) == bool(detours(cell)), (apart, detours(cell))
    if not detours(cell):
        assert apart < 1e-12


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("vanilla", {}, ["output"]),
        ("nog", {}, []),
        ("gru", {}, []),
        ("elman", {}, []),
        ("mingru", {}, []),
        ("vanilla", {"feedback": "none"}, []),
        ("vanilla", {"output_gate": "closed"}, []),
        ("lstm1997", {}, ["output", "input_gate", "output_gate"]),
        ("slstm", {"heads": 1}, ["output", "stabiliser"]),
    ],
)
def test_the_detours_by_hand(name, settings, expected):
    assert detours(variant(name, units=4, **settings)) == expected


def test_the_terms_of_the_vanilla_cell_by_hand():
    terms = {term.way: term.latex() for term in total_derivative(variant("vanilla", units=2)).terms}
    shown = r"\operatorname{diag}(o_{t-1}) \, \operatorname{diag}(h'(s_{t-1}))"
    i, f, g = (rf"\operatorname{{diag}}({letter}'_t) \, R_{letter}" for letter in "ifg")
    assert terms == {
        "carousel": r"\operatorname{diag}(f_t)",
        "net_forget_gate": rf"\operatorname{{diag}}(s_{{t-1}}) \, {f} \, {shown}",
        "net_candidate": rf"\operatorname{{diag}}(i_t) \, {g} \, {shown}",
        "net_input_gate": rf"\operatorname{{diag}}(g_t) \, {i} \, {shown}",
    }


def test_an_output_peephole_is_a_path_of_its_own():
    ways = {term.way for term in total_derivative(variant("noaf", units=2)).terms}
    assert {"carousel", "net_forget_gate", "net_candidate"} <= ways
    assert {"net_output_gate to net_forget_gate", "net_output_gate to net_candidate"} <= ways


def test_latex_is_only_for_show(monkeypatch):
    cell, _, numbers = sequence("peephole in blocks")
    expected = total_derivative(cell)
    for shown in (LETTERS, VALUES):
        for key, letter in list(shown.items()):
            monkeypatch.setitem(shown, key, f"{letter} ")
    changed = total_derivative(cell)
    assert changed.latex() != expected.latex()
    for_both = at(numbers, T - 1)
    np.testing.assert_array_equal(changed.value(for_both), expected.value(for_both))


def test_what_is_of_the_step_before_says_so():
    for switches in SWITCHES.values():
        for term in total_derivative(variant("vanilla", units=4, **switches)).terms:
            for factor in term.factors:
                if "of the step before" in factor.key and not factor.key.startswith("peephole"):
                    assert "t-1" in factor.symbol or factor.symbol == "E", factor
