"""Write the sources of the two kernels of a layer: over a sequence, and back."""

from __future__ import annotations

from typing import Any

from lstmlab.native.algebra import Value
from lstmlab.native.sequence.program import Cells, Element, Step
from lstmlab.native.sequence.text import BACKWARD, BACKWARD_TWO, FORWARD, FORWARD_TWO, HEAD


class Writer:
    """The sources for one kind of cell; they hold no sizes but those of a block.

    Attributes:
        slots: Vectors per tile of blocks that a step leaves for the way back.
    """

    def __init__(self, cells: Cells):
        self.cells, self.step = cells, Step(cells)
        self.count = len(cells.columns)
        self.slots = max(self.count, len(self.step.kept))

    # ---- how things are written

    def _column(self, v: int, of: int) -> str:
        """The place of a column among `of` of a tile, or of a slot."""
        return f"{v} * tiles + g" if self.cells.two else f"g * {of} + {v}"

    def _hidden(self, name: str, k: int) -> str:
        if name == "output":
            return f"g * {self.cells.cells} + {k}"
        return f"tiles * {self.cells.cells + self.cells.fed.index(name)} + g"

    def _state(self, name: str, k: int) -> str:
        return f"g * {len(self.cells.states)} + {self.cells.states.index((name, k))}"

    def _reads(self, kind: str, *what: Any) -> str:
        cells = self.cells
        if kind == "net":
            return f"keep[at, b, {self._column(cells.columns.index(what), self.slots)}]"
        if kind == "before" and what[0] == "hidden":
            return f"source[now, b, {self._hidden('output', what[1])}]"
        if kind == "before":
            return f"states[now, b, {self._state(*what)}]"
        if kind == "element":
            return f"elements[{cells.elements.index(Element(*what))} * tiles + g]"
        if what[0] == "hidden":
            return f"of_hidden[b, {self._hidden(*what[1:])}]"
        if what[0] == "state":
            return f"of_states[b, {self._state(*what[1:])}]"
        return f"of_second[b, g * {cells.cells} + {what[1]}]"

    # ---- the sources

    def forward(self) -> str:
        cells, step, after = self.cells, self.step, self.cells.after
        operations = cells.program.operations
        stores = []
        for slot, number in enumerate(step.kept):
            place = f"keep[at, b, {self._column(slot, self.slots)}]"
            there = operations[number].name == "input"
            if not there or self._reads(*operations[number].what) != place:
                stores.append((place + " = {}", Value(cells.program, number)))
        stores += [
            (f"source[then, b, {self._hidden(*one)}] = {{}}", after[one]) for one in step.hidden
        ]
        stores += [
            (f"states[then, b, {self._state(*one)}] = {{}}", after[one]) for one in cells.states
        ]
        places = [("source", self._hidden(*one)) for one in step.hidden]
        places += [("states", self._state(*one)) for one in cells.states]
        masked = [f"{array}[then, b, {at}] = {array}[now, b, {at}]" for array, at in places]
        two = ""
        if cells.two:
            kept = [
                (f"second[at, b, g * {cells.cells} + {k}] = {{}}", after["kept", k])
                for k in range(cells.cells)
            ]
            two = _filled(FORWARD_TWO, FIRST=step.lines(kept, self._reads, {}))
        return self._put(FORWARD, two, CELL=step.lines(stores, self._reads, {}), MASKED=masked)

    def backward(self) -> str:
        cells, step = self.cells, self.step
        given = {
            number: f"keep[now, b, {self._column(slot, self.slots)}]"
            for slot, number in enumerate(step.kept)
        }
        given |= {
            number: f"states[now + 1, b, {self._state(*one)}]"
            for number, one in step.states_after.items()
        }
        nets = [f"delta[now, b, {self._column(v, self.count)}]" for v in range(self.count)]
        stores = [(f"{net} = {{}}", value) for net, value in zip(nets, step.of_nets, strict=True)]
        before = [("output", k) for k in range(cells.cells)]
        into = [f"of_hidden[b, {self._hidden(*one)}]" for one in before]
        into += [f"of_states[b, {self._state(*one)}]" for one in cells.states]
        stores += [(f"{p} = {{}}", value) for p, value in zip(into, step.of_before, strict=True)]
        zero = cells.program.constant(0.0)
        stores += [(f"of_hidden[b, {self._hidden(name, 0)}] = {{}}", zero) for name in cells.fed]
        stores += [
            (f"of_elements[{e} * tiles + g] += {{}}", value)
            for e, value in enumerate(step.of_elements)
        ]
        masked = [f"{net} = zero" for net in nets]
        two = ""
        if cells.two:
            candidates = [
                net for net, one in zip(nets, cells.columns, strict=True) if one[0] == "candidate"
            ]
            first = [(f"{net} = {{}}", v) for net, v in zip(candidates, step.first, strict=True)]
            two = _filled(
                BACKWARD_TWO,
                FIRST=step.lines(first, self._reads, given),
                MASKED=[f"{net} = zero" for net in candidates],
            )
        lines = step.lines(stores, self._reads, given)
        return self._put(BACKWARD, two, CELL=lines, MASKED=masked)

    def _put(self, text: str, two: str, **parts: list[str]) -> str:
        cells = self.cells
        names = [name for name, _ in cells.columns]
        sizes = {
            "COLUMNS": self.count,
            "SLOTS": self.slots,
            "CELLS": cells.cells,
            "STATES": len(cells.states),
            "TWO": cells.two,
            "HEADS": cells.heads,
            "CANDIDATE": names.index("candidate"),
        }
        constants = "\n".join(f"{name} = {value}" for name, value in sizes.items())
        return HEAD + constants + "\n\n" + _filled(text.replace("        #TWO\n", two), **parts)


def _filled(text: str, **parts: list[str]) -> str:
    """The text with lines in place of a comment of their name, indented as it is."""
    out = []
    for line in text.split("\n"):
        name = line.strip().removeprefix("#")
        if line.strip().startswith("#") and name in parts:
            indent = line[: len(line) - len(line.lstrip())]
            out += [indent + one for one in parts[name]] or [indent + "pass"]
        else:
            out.append(line)
    return "\n".join(out)
