"""One block of cells and its derivatives as straight-line code, for blocks that lie in lanes.

A step of a layer has two parts. Products with matrices make pre-activations out of the inputs and
of what is read back; here is all the rest, which looks at one block of cells only. What is read
back through one weight per cell belongs to the rest: peepholes and recurrences by element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lstmlab.native.algebra import Value
from lstmlab.native.block import Block

COSTLY = ("tanh", "logistic", "exp", "log", "softplus", "div")
SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


class Element(NamedTuple):
    """A weight of one number per cell: row `row` of the weight `weight`, of cell k of a block."""

    weight: str
    row: int
    k: int


class Cells(Block):
    """The program of one block with its peepholes and recurrences by element.

    Attributes:
        columns: (net, place in the block) of the pre-activations that products make, in order.
        elements: The weights of one number per cell, in order.
        states: (part, place) of the states but for the hidden values, in order.
        fed: The gates among the hidden values.
        two: Whether a second product follows once the reset gate is there.
        heads: Whether some products leave out weights of other heads.
    """

    def __init__(self, cell: Any):
        self.weights: dict[Element, Value] = {}
        recurrence = cell.recurrence.products
        self._by_element = {
            name: (one.weight, row)
            for one in recurrence
            if one.kind == "by_element"
            for row, name in enumerate(one.nets)
        }
        super().__init__(cell)
        self.two = any(one.alone for one in recurrence)
        self.heads = any(one.kind == "block_diagonal" for one in recurrence)
        waiting = [name for name, _ in self.nets if name == "waiting"]
        sizes = {name: cell.block_size if name == "candidate" else 1 for name in cell.nets}
        sizes |= dict.fromkeys(waiting, cell.block_size)
        self.columns = [(name, k) for name, size in sizes.items() for k in range(size)]
        self.elements = list(self.weights)
        own = {"cell_state": self.cells, "normaliser": 1, "stabiliser": 1}
        self.states = [
            (name, k) for name in cell.state_names if name in own for k in range(own[name])
        ]
        self.fed = list(cell.gates) if cell.hidden_size > cell.units else []

    def _net(self, name: str, k: int) -> Value:
        net = super()._net(name, k)
        for cell in range(self.cells) if name != "candidate" else (k,):
            if name in self.cell.peepholes:
                gate = self.cell.own[name]
                row = self.cell.peepholes.index(name)
                seen = self.state[cell] if gate.peephole == "current" else self._state_before(cell)
                net = net + self._element("peephole", row, cell) * seen
        read = "candidate" if name == "waiting" else name
        if read in self._by_element and not (name == "candidate" and self.cell.reset_gate):
            weight, row = self._by_element[read]
            for cell in (k,) if read == "candidate" else range(self.cells):
                net = net + self._element(weight, row, cell) * self._before("hidden", cell)
        return net

    def _element(self, weight: str, row: int, k: int) -> Value:
        one = Element(weight, row, k)
        if one not in self.weights:
            self.weights[one] = self.program.input("element", *one)
        return self.weights[one]


class Step:
    """What the forward and the backward kernel do with one block at one time step.

    Attributes:
        kept: Values of the forward step that the backward step reads, in order.
    """

    def __init__(self, cells: Cells):
        self.cells = cells
        program, after = cells.program, cells.after
        self.hidden = [("output", k) for k in range(cells.cells)]
        self.hidden += [(name, 0) for name in cells.fed]
        seeds: dict[Value, Value] = {}

        def sow(value: Value, *what: Any) -> None:
            seed = program.input("seed", *what)
            seeds[value] = seeds[value] + seed if value in seeds else seed

        for one in self.hidden:
            sow(after[one], "hidden", *one)
        for one in cells.states:
            sow(after[one], "state", *one)

        nets = [cells._named(cells.nets, "net", *one) for one in cells.columns]
        before = [cells._named(cells.before, "before", "hidden", k) for k in range(cells.cells)]
        before += [cells._named(cells.before, "before", *one) for one in cells.states]
        elements = [cells.weights[one] for one in cells.elements]
        inputs = [*nets, *before, *elements]

        self.first: list[Value] = []  # of the candidates, before the others
        if cells.two:
            self.first = program.derivatives(
                seeds,
                [
                    n
                    for n, (name, _) in zip(nets, cells.columns, strict=True)
                    if name == "candidate"
                ],
            )
            seeds = dict(seeds)
            for k in range(cells.cells):
                sow(after["kept", k], "kept", k)
        found = program.derivatives(seeds, inputs)
        self.of_nets = found[: len(nets)]
        self.of_before = found[len(nets) : len(nets) + len(before)]
        self.of_elements = found[len(nets) + len(before) :]
        self.states_after = {after[one].number: one for one in cells.states}
        self._flags = self._flagged()
        self.kept = self._find_kept([*self.first, *found])

    def _flagged(self) -> list[tuple[bool, bool]]:
        """Of each value: whether it depends on a pre-activation that is gone, and on a seed."""
        flags: list[tuple[bool, bool]] = []
        for number, operation in enumerate(self.cells.program.operations):
            if number in self.states_after:
                flags.append((False, False))
            elif operation.name == "input":
                flags.append((operation.what[0] == "net", operation.what[0] == "seed"))
            else:
                of = [flags[one] for one in operation.of]
                flags.append((any(net for net, _ in of), any(seed for _, seed in of)))
        return flags

    def _find_kept(self, wanted: Iterable[Value]) -> list[int]:
        """Pre-activations, and costly functions of them, that the backward step needs."""
        operations = self.cells.program.operations
        kept: set[int] = set()
        seen: set[int] = set()
        waiting = [value.number for value in wanted]
        while waiting:
            number = waiting.pop()
            if number in seen or number in self.states_after:
                continue
            seen.add(number)
            of_net, of_seed = self._flags[number]
            operation = operations[number]
            costly = operation.name in COSTLY or operation.name == "input"
            if of_net and not of_seed and costly:
                kept.add(number)
            else:
                waiting.extend(operation.of)
        return sorted(kept)

    def lines(
        self, stores: list[tuple[str, Value]], reads: Callable, given: dict[int, str]
    ) -> list[str]:
        """The code that stores values.

        Args:
            stores: (text, value): a line in which {} stands for the value's name.
            reads: (what an input is) -> how it is written.
            given: {number of a value: how it is written} where it need not be computed.
        """
        operations = self.cells.program.operations
        needed: set[int] = set()
        waiting = [value.number for _, value in stores]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting.extend(() if number in given else operations[number].of)
        lines = []
        for number in sorted(needed):
            operation = operations[number]
            of = [self._name(one) for one in operation.of]
            if number in given:
                text = given[number]
            elif operation.name == "constant":
                continue
            elif operation.name == "input":
                text = reads(*operation.what)
            elif operation.name in SIGNS:
                text = f"{of[0]} {SIGNS[operation.name]} {of[1]}"
            else:
                text = f"{operation.name}({', '.join(of)})"
            lines.append(f"v{number} = {text}")
        return lines + [text.format(self._vector(value)) for text, value in stores]

    def _name(self, number: int) -> str:
        operation = self.cells.program.operations[number]
        return f"f32({operation.what!r})" if operation.name == "constant" else f"v{number}"

    def _vector(self, value: Value) -> str:
        name = self._name(value.number)
        return name if value.constant is None else f"spread({name}, LANES)"
