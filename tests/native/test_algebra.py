"""Programs of blocks: values in NumPy, derivatives against finite differences in float64."""

from collections.abc import Callable

import numpy as np
import pytest

from lstmlab.native.algebra import Program

FUNCTIONS: dict[str, Callable] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "least": min,
    "most": max,
    "above": lambda a, b: float(a > b),
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
    "softplus": lambda a: np.logaddexp(0.0, a),
    "magnitude": abs,
    "cut": lambda a: a,
    "only": lambda mask, a: a if mask else 0.0,
    "positive": lambda a: max(a, 0.0),
}


def evaluated(program: Program, inputs: dict) -> list[float]:
    """The value of every operation; inputs: by name."""
    values: list[float] = []
    for operation in program.operations:
        if operation.name == "input":
            values.append(inputs[operation.what[0]])
        elif operation.name == "constant":
            values.append(operation.what)
        else:
            values.append(FUNCTIONS[operation.name](*(values[k] for k in operation.of)))
    return values


MADE: dict[str, Callable] = {
    "sums and products": lambda p, x, y: (x + 2.0) * (y - 3.0) - (1.0 - x) * y + x,
    "quotients": lambda p, x, y: x / (y * y + 1.0) + 2.0 / (x * x + 1.0) - (-x),
    "exp": lambda p, x, y: p.make("exp", x * y),
    "log": lambda p, x, y: p.make("log", x * x + y * y),
    "tanh": lambda p, x, y: p.make("tanh", x * y) * x,
    "logistic": lambda p, x, y: p.make("logistic", x - y) * y,
    "softplus": lambda p, x, y: p.make("softplus", x * y) + x,
    "magnitude": lambda p, x, y: p.make("magnitude", x) * p.make("magnitude", y),
    "most": lambda p, x, y: p.make("most", x * x, y) + p.make("most", y, x),
    "least": lambda p, x, y: p.make("least", x * x, y) + p.make("least", y, x),
    "above": lambda p, x, y: p.make("above", x, y) * x + p.make("above", y, x) * y * y,
    "only": lambda p, x, y: p.make("only", p.make("above", x, y), x * x * y),
    "positive": lambda p, x, y: (
        p.make("positive", x) * p.make("positive", y) + p.make("positive", x * y)
    ),
    "shared": lambda p, x, y: p.make("tanh", x + y) * p.make("tanh", x + y) + p.make("exp", x + y),
}


@pytest.mark.parametrize("name", MADE)
def test_derivatives_against_finite_differences(name):
    program = Program()
    x, y = program.input("x"), program.input("y")
    value = MADE[name](program, x, y)
    seed = program.input("seed")
    slopes = program.derivatives({value: seed}, [x, y])
    for at in ({"x": 0.7, "y": -1.3}, {"x": -0.4, "y": 0.9}, {"x": 1.6, "y": 0.5}):
        found = evaluated(program, {**at, "seed": 1.7})
        for slope, of in zip(slopes, at, strict=True):
            up, down = (
                evaluated(program, {**at, of: at[of] + h, "seed": 0.0})[value.number]
                for h in (1e-6, -1e-6)
            )
            expected = 1.7 * (up - down) / 2e-6
            assert found[slope.number] == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_several_values_are_seeded_together():
    program = Program()
    x = program.input("x")
    one, other = x * x, program.make("exp", x)
    (slope,) = program.derivatives({one: program.constant(3.0), other: x}, [x])
    found = evaluated(program, {"x": 0.8})[slope.number]
    assert found == pytest.approx(3.0 * 1.6 + 0.8 * np.exp(0.8))


def test_what_inputs_are_made_of_is_held():
    program = Program()
    x = program.input("x")
    between = program.make("tanh", x)
    value = between * between + x
    of_between, of_x = program.derivatives({value: program.constant(1.0)}, [between, x])
    found = evaluated(program, {"x": 0.8})
    assert found[of_between.number] == pytest.approx(2 * np.tanh(0.8))
    assert of_x.constant == 1.0  # not through `between`


def test_a_cut_keeps_the_value_and_passes_nothing_back():
    program = Program()
    x = program.input("x")
    value = program.make("cut", x) * x
    (slope,) = program.derivatives({value: program.constant(1.0)}, [x])
    found = evaluated(program, {"x": 0.8})
    assert found[value.number] == pytest.approx(0.64)
    assert found[slope.number] == 0.8


def test_what_does_not_depend_on_an_input_has_the_slope_0():
    program = Program()
    x, y = program.input("x"), program.input("y")
    (slope,) = program.derivatives({x * x: program.constant(1.0)}, [y])
    assert slope.constant == 0.0


def test_constants_are_folded():
    program = Program()
    x, two = program.input("x"), program.constant(2.0)
    assert (two + 3.0).constant == 5.0
    assert (3.0 - two).constant == 1.0
    assert (two * 4.0).constant == 8.0
    assert (1.0 / two).constant == 0.5
    assert (-two).constant == -2.0
    for same in (x + 0.0, 0.0 + x, x - 0.0, x * 1.0, 1.0 * x, x / 1.0):
        assert same.number == x.number
    assert (x * 0.0).constant == 0.0
    assert (0.0 * x).constant == 0.0
    assert (0.0 / x).constant == 0.0
    assert (0.0 - x).constant is None


def test_equal_values_are_made_once():
    program = Program()
    x, y = program.input("x"), program.input("y")
    assert program.input("x").number == x.number
    assert (x * y).number == (x * y).number != (y * x + 1.0).number
    assert len(program.operations) == len(set(program.operations))


def test_an_unknown_operation_has_no_derivative():
    program = Program()
    x = program.input("x")
    with pytest.raises(NotImplementedError, match="sine"):
        program.derivatives({program.make("sine", x): program.constant(1.0)}, [x])
