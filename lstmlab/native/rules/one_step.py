"""The error goes back one step: learners/elman.py."""

from __future__ import annotations

from lstmlab.native.algebra import Value
from lstmlab.native.layout import Group
from lstmlab.native.phases import Phases, Store
from lstmlab.native.rules.base import READOUT, Rule
from lstmlab.native.writing import Lines, Names, passed_back, products

BACK = {2: 4, 1: 5, 0: 6}  # stage of the sums -> phase in which their derivatives are found


class OneStep(Rule):
    """The gradient of the error of one step, its state before being held."""

    learns = True
    parts: tuple[str, ...] = ()  # what derivatives are passed back to, beyond this step
    cut = False

    def make(self) -> None:
        block, program = self.block, self.program
        seeds: dict[Value, Value] = {}

        def seed(value: Value, adjoint: Value) -> None:
            seeds[value] = seeds[value] + adjoint if value in seeds else adjoint

        for (part, k), value in block.after.items():
            if self._reaches(part):
                seed(value, self.adjoint(part, k))
        inputs = [*block.nets.values(), *block.before.values()]
        found = program.derivatives(_by_number(seeds), inputs)
        nets, before = found[: len(block.nets)], found[len(block.nets) :]
        for (name, k), value in zip(block.nets, nets, strict=True):
            phase = BACK[self.group(name).stage]
            self.stores.append(Store(phase, f"dnet[{self.place(name, k)}] = {{0}}", (value,)))
        for (part, k), value in zip(block.before, before, strict=True):
            if part in self.parts and value.constant != 0:
                at = self.memory_place(part, k)
                self.stores.append(Store(BACK[0], f"dold[{at}] += {{0}}", (value,)))

    def _reaches(self, part: str) -> bool:
        """Whether an error may come back to a part of what the block leaves."""
        if part in ("kept", "current"):
            return part == "kept" or not self.cut
        return part == "output"

    def reads(self, part: str, k: int) -> tuple[int, str]:
        """(phase, text) of the derivative that comes to a part."""
        start = self.layout.columns.get(part, (0, 0))[0]
        if part == "kept":
            return BACK[0], f"dold[{start - self.layout.features} + b * {self.block.cells} + {k}]"
        if part == "current":
            return BACK[1], f"dold[{start - self.layout.features} + b * {self.block.cells} + {k}]"
        return READOUT, f"of_after[{self.memory_place(part, k)}]"

    def way_back(self, phases: Phases, names: Names) -> Lines:
        """From of_after, the derivative to what the step left, to grad and dold."""
        lines = [f"for c in range({self.width}):", "    dold[c] = zero"]
        lines += self.over_blocks(phases.lines(READOUT, names.keep))
        for stage in (2, 1, 0):
            lines += self.over_blocks(phases.lines(BACK[stage], names.keep))
            for group in self.layout.stages.get(stage, []):
                lines += products(group, names, self.symbols, "dnet")
                lines += passed_back(self.layout, group, self.back_to(group), "dnet", "dold")
        return lines

    @property
    def width(self) -> int:
        return self.layout.width - self.layout.features

    def back_to(self, group: Group) -> tuple[str, ...]:
        """The parts to which derivatives of a group's sums are passed back."""
        return ("kept", "current")

    def at_readout(self, phases: Phases) -> Lines:
        memory = self.layout.memory[1]
        lines = [f"for c in range({self.layout.units}):", "    of_after[c] = of_output[c]"]
        if memory > self.layout.units:
            lines += [f"for c in range({self.layout.units}, {memory}):", "    of_after[c] = zero"]
        return lines + self.way_back(phases, Names())


def _by_number(seeds: dict[Value, Value]) -> dict[Value, Value]:
    return dict(sorted(seeds.items(), key=lambda item: item[0].number))
