"""Eligibility traces of 1997, forward in time: learners/truncated1997_forward.py."""

from __future__ import annotations

from lstmlab.native.algebra import Value
from lstmlab.native.phases import Phases, Store
from lstmlab.native.rules.base import READOUT, Rule
from lstmlab.native.writing import Lines, Names, each


class Traces(Rule):
    """Tr_a(t) = e(t) Tr_a(t-1) + ds(t)/dnet_a(t) z_a(t), one for each cell of the net's block."""

    learns = True

    def make(self) -> None:
        block, program = self.block, self.program
        one = program.constant(1.0)
        before = "cell_state" if "cell_state" in self.layout.cell.state_names else "hidden"
        names = list(block.nets)
        self._traces: dict[tuple[str, int], int] = {}  # (net, cell of the block) -> first trace
        for k, state in enumerate(block.state):
            old = program.input("before", before, k)
            factor, *slopes = program.derivatives(
                {state: one}, [old, *(block.nets[name] for name in names)]
            )
            for (name, j), slope in zip(names, slopes, strict=True):
                if slope.constant != 0:
                    self._trace(name, j, k, factor, slope)
        seeds = {block.after["output", k]: self.adjoint("output", k) for k in range(block.cells)}
        found = program.derivatives(seeds, [*block.state, *block.nets.values()])
        states, nets = found[: block.cells], found[block.cells :]
        for k, of_state in enumerate(states):
            self.stores.append(Store(READOUT, "of_state = {0}", (of_state,)))
            self.stores += [
                Store(READOUT, "\n".join(self._used(name, k)), ())
                for name, cell in self._traces
                if cell == k
            ]
        for (name, j), of_net in zip(block.nets, nets, strict=True):
            if of_net.constant != 0:
                self.stores.append(Store(READOUT, self._direct(name, j), (of_net,)))

    def _row(self, name: str, j: int) -> str:
        """The row of a net of block b."""
        group = self.group(name)
        per_block = group.size // self.layout.blocks
        return "b" if per_block == 1 else f"(b * {per_block} + {j})"

    def _columns(self, name: str, row: str) -> list[tuple[int, int, str | None]]:
        """(offset, length, column c) of the segments of a net's row."""
        found = each(self.group(name), Names(), self.symbols, row)
        return [(offset, segment.length, text) for segment, offset, text in found]

    def _trace(self, name: str, j: int, k: int, factor: Value, slope: Value) -> None:
        group = self.group(name)
        first = self.carried
        self._traces[name, k] = first
        self.carried += group.width * self.layout.blocks
        lines = [f"e = {first} + b * {group.width}"]
        kept = factor.constant
        for offset, length, text in self._columns(name, self._row(name, j)):
            at = f"carried[e + {offset} + c]"
            if text is None:
                if kept != 1:
                    old = f"{at} * ({{0}})" if kept != 0 else "zero"
                    lines += [f"for c in range({length}):", f"    {at} = {old}"]
                lines.append(f"add_at(carried_flat, e + {offset}, sym, {{1}})")
                continue
            old = "" if kept == 0 else f"{at} + " if kept == 1 else f"{at} * ({{0}}) + "
            lines += [f"for c in range({length}):", f"    {at} = {old}{{1}} * {text}"]
        self.stores.append(Store(self.last, "\n".join(lines), (factor, slope)))

    def _used(self, name: str, k: int) -> Lines:
        """The gradient of a row from its trace: eqs. 24, 26, 28."""
        group = self.group(name)
        w = f"{group.base} + {self._row(name, k)} * {group.width}"
        return [
            f"w = {w}",
            f"e = {self._traces[name, k]} + b * {group.width}",
            f"for c in range({group.width}):",
            "    grad[w + c] += of_state * carried[e + c]",
        ]

    def _direct(self, name: str, j: int) -> str:
        group = self.group(name)
        lines = [f"w = {group.base} + {self._row(name, j)} * {group.width}", "d = {0}"]
        for offset, length, text in self._columns(name, self._row(name, j)):
            if text is None:
                lines.append(f"add_at(grad_flat, w + {offset}, sym, d)")
            else:
                lines.append(f"for c in range({length}):")
                lines.append(f"    grad[w + {offset} + c] += d * {text}")
        return "\n".join(lines)

    def at_readout(self, phases: Phases) -> Lines:
        return self.over_blocks(phases.lines(READOUT))
