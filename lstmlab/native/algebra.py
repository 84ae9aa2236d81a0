"""Straight-line programs of one block of cells, and their derivatives.

A `Program` makes values out of named inputs, one operation at a time. Equal values are made once,
and constants are folded. `derivatives` adds the chain rule to the same program, so what comes out
is again straight-line code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ZERO_SLOPE = ("above", "cut")  # operations whose derivative is 0 everywhere


class Operation(NamedTuple):
    """What makes a value: an operation on the values numbered `of`, an input or a constant."""

    name: str
    of: tuple[int, ...] = ()
    what: Any = None


class Value:
    """One value of a program; + - * / and the functions of `Program` make further ones."""

    __slots__ = ("number", "program")

    def __init__(self, program: Program, number: int):
        self.program, self.number = program, number

    def __add__(self, other: Value | float) -> Value:
        return self.program.make("add", self, other)

    def __radd__(self, other: float) -> Value:
        return self.program.make("add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return self.program.make("sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.program.make("sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self.program.make("mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return self.program.make("mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.program.make("div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self.program.make("div", other, self)

    def __neg__(self) -> Value:
        return self.program.make("mul", self, -1.0)

    @property
    def operation(self) -> Operation:
        return self.program.operations[self.number]

    @property
    def constant(self) -> float | None:
        """Its number if it is a constant, else None."""
        return self.operation.what if self.operation.name == "constant" else None


class Program:
    """Operations in the order in which they were made.

    Attributes:
        operations: Operation number k makes value number k.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._known: dict[Operation, Value] = {}

    def input(self, *what: Any) -> Value:
        """The value that comes from outside under this name."""
        return self._value(Operation("input", (), what))

    def constant(self, number: float) -> Value:
        return self._value(Operation("constant", (), float(number)))

    def make(self, name: str, *of: Value | float) -> Value:
        """The value of an operation; simpler where operands are constants."""
        values = [one if isinstance(one, Value) else self.constant(one) for one in of]
        folded = _folded(name, values)
        if folded is not None:
            return folded
        return self._value(Operation(name, tuple(value.number for value in values)))

    def _value(self, operation: Operation) -> Value:
        if operation not in self._known:
            self.operations.append(operation)
            self._known[operation] = Value(self, len(self.operations) - 1)
        return self._known[operation]

    # ---- derivatives

    def derivatives(self, seeds: Mapping[Value, Value], inputs: Iterable[Value]) -> list[Value]:
        """The derivatives of sum_k seed_k value_k to each of the inputs (reverse mode).

        Args:
            seeds: {value_k: seed_k}.
            inputs: Values that the others are made of. What they are made of is held.
        """
        inputs = list(inputs)
        held = {value.number for value in inputs}
        adjoint: dict[int, Value] = {}
        for value, seed in seeds.items():
            adjoint[value.number] = (
                adjoint[value.number] + seed if value.number in adjoint else seed
            )
        for number in range(max(adjoint, default=-1), -1, -1):
            if number not in adjoint or number in held:
                continue
            for of, more in self._passed_back(number, adjoint[number]):
                adjoint[of] = adjoint[of] + more if of in adjoint else more
        zero = self.constant(0.0)
        return [adjoint.get(value.number, zero) for value in inputs]

    def _passed_back(self, number: int, adjoint: Value) -> list[tuple[int, Value]]:
        """What an operation passes back to each of its operands."""
        operation = self.operations[number]
        value, of = Value(self, number), [Value(self, one) for one in operation.of]
        name = operation.name
        if name in ("input", "constant", *ZERO_SLOPE):
            return []
        back: tuple
        if name == "add":
            back = adjoint, adjoint
        elif name == "sub":
            back = adjoint, -adjoint
        elif name == "mul":
            back = adjoint * of[1], adjoint * of[0]
        elif name == "div":
            back = adjoint / of[1], -(adjoint * value / of[1])
        elif name == "only":
            return [(of[1].number, self.make("only", of[0], adjoint))]
        elif name == "most":
            first = 1.0 - self.make("above", of[1], of[0])
            back = adjoint * first, adjoint * (1.0 - first)
        elif name == "least":
            first = 1.0 - self.make("above", of[0], of[1])
            back = adjoint * first, adjoint * (1.0 - first)
        else:
            back = (adjoint * self._slope(name, of[0], value),)
        return [(one.number, more) for one, more in zip(of, back, strict=True)]

    def _slope(self, name: str, x: Value, y: Value) -> Value:
        """dy/dx of y = name(x)."""
        if name == "exp":
            return y
        if name == "log":
            return 1.0 / x
        if name == "tanh":
            return 1.0 - y * y
        if name == "logistic":
            return y * (1.0 - y)
        if name == "softplus":
            return self.make("logistic", x)
        if name == "positive":
            return self.make("above", x, 0.0)
        if name == "magnitude":
            return self.make("above", x, 0.0) - self.make("above", 0.0, x)
        raise NotImplementedError(name)


def _folded(name: str, of: list[Value]) -> Value | None:
    """The simpler value of an operation on constants, or with 0 or 1; None if there is none."""
    constants = [value.constant for value in of]
    program = of[0].program
    if name == "cut":
        return of[0] if constants[0] is not None else None
    if all(number is not None for number in constants) and name in _ARITHMETIC:
        return program.constant(_ARITHMETIC[name](*constants))
    if name == "add":
        return next((of[1 - k] for k in (0, 1) if constants[k] == 0), None)
    if name == "sub" and constants[1] == 0:
        return of[0]
    if name == "mul":
        if 0 in constants:
            return program.constant(0.0)
        return next((of[1 - k] for k in (0, 1) if constants[k] == 1), None)
    if name == "div":
        if constants[0] == 0:
            return program.constant(0.0)
        return of[0] if constants[1] == 1 else None
    return None


_ARITHMETIC: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
