"""Write the operations of a block's program as lines of code, spread over the phases of a kernel.

A kernel goes through its blocks several times: once for each set of sums, once at a readout, once
on the way back. A value is computed in one phase. Where a later phase needs it, it is kept in
memory: keep[slot * blocks + b].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lstmlab.native.algebra import Program, Value

EARLY = ("tanh", "logistic", "exp", "log", "softplus", "div")  # costly: never computed twice
SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


class Store(NamedTuple):
    """A line that uses values in a phase: `text`, in which {0}, {1}, ... stand for their names."""

    phase: int
    text: str
    values: tuple[Value, ...]


class Phases:
    """The lines of each phase.

    Args:
        program: The program.
        reads: (what an input is) -> (phase from which on it is there, how it is written).
        stores: What is done with the values.
    """

    def __init__(self, program: Program, reads: Callable, stores: list[Store]):
        self.program, self.reads, self.stores = program, reads, stores
        self._used: dict[int, int] = {}
        self.phase: dict[int, int] = {}
        self._place()
        self._keep()

    @property
    def kept(self) -> int:
        """Slots of `keep`."""
        return len(self._slots)

    def _place(self) -> None:
        operations = self.program.operations
        needed: set[int] = set()
        waiting = [value.number for store in self.stores for value in store.values]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting.extend(operations[number].of)
        self.needed = sorted(needed)

        earliest: dict[int, int] = {}
        for number in self.needed:
            operation = operations[number]
            if operation.name == "input":
                earliest[number] = self.reads(*operation.what)[0]
            elif operation.name == "constant":
                earliest[number] = 0
            else:
                earliest[number] = max(earliest[one] for one in operation.of)

        # cheap ones as late as they are used: fewer values are kept
        latest: dict[int, int] = {}
        for store in self.stores:
            for value in store.values:
                latest[value.number] = min(latest.get(value.number, store.phase), store.phase)
        for number in reversed(self.needed):
            early = operations[number].name in (*EARLY, "input")
            self.phase[number] = earliest[number] if early else latest[number]
            if self.phase[number] < earliest[number]:
                raise AssertionError(f"value {number} is used before it is there")
            for one in operations[number].of:
                latest[one] = min(latest.get(one, self.phase[number]), self.phase[number])

    def _keep(self) -> None:
        """Find what later phases need."""
        operations = self.program.operations
        uses = [(value.number, store.phase) for store in self.stores for value in store.values]
        uses += [(one, self.phase[n]) for n in self.needed for one in operations[n].of]
        self._slots: dict[int, int] = {}
        self._loads: dict[int, set[int]] = {}
        for number, phase in sorted(uses):
            if operations[number].name == "constant" or phase == self.phase[number]:
                continue
            self._slots.setdefault(number, len(self._slots))
            self._loads.setdefault(phase, set()).add(number)

    def name(self, value: Value | int) -> str:
        number = value.number if isinstance(value, Value) else value
        operation = self.program.operations[number]
        if operation.name == "constant":
            return f"f32({operation.what!r})"
        return f"v{number}"

    def lines(self, phase: int, keep: str = "keep[") -> list[str]:
        """The lines of a phase, for block b; keep: how an index into `keep` begins."""
        operations, lines = self.program.operations, []
        for number in sorted(self._loads.get(phase, ())):
            lines.append(f"v{number} = {keep}{self._slots[number]} * BLOCKS + b]")
        for number in self.needed:
            operation = operations[number]
            if self.phase[number] != phase or operation.name == "constant":
                continue
            of = [self.name(one) for one in operation.of]
            if operation.name == "input":
                text = self.reads(*operation.what)[1]
            elif operation.name in SIGNS:
                text = f"{of[0]} {SIGNS[operation.name]} {of[1]}"
            elif operation.name == "cut":
                text = of[0]
            else:
                text = f"{operation.name}({', '.join(of)})"
            lines.append(f"v{number} = {text}")
            if number in self._slots:
                lines.append(f"{keep}{self._slots[number]} * BLOCKS + b] = v{number}")
        for store in self.stores:
            if store.phase == phase:
                names = [
                    f"spread({self.name(value)}, LANES)"
                    if value.constant is not None
                    else self.name(value)
                    for value in store.values
                ]
                lines += store.text.format(*names).split("\n")
        return lines
