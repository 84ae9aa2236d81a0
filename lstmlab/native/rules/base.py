"""What the rules of learning share, and the rule that answers only."""

from __future__ import annotations

from lstmlab.native.algebra import Value
from lstmlab.native.block import Block
from lstmlab.native.layout import Group, Layout
from lstmlab.native.phases import Phases, Store
from lstmlab.native.writing import Lines, indent

READOUT = 3  # phases: 0, 1, 2 are those of the sums; then the readout; then three on the way back


class Rule:
    """The part of a kernel that a learner decides; this one learns nothing.

    Attributes:
        carried: Vectors of what is carried forward beside the memory.
        learns: Whether there is a gradient.
        stores: What is done with values of the block's program, beyond the step itself.
    """

    learns = False
    carried = 0

    def __init__(self, layout: Layout, block: Block, symbols: bool, scope: str = "none"):
        self.layout, self.block, self.symbols, self.scope = layout, block, symbols, scope
        self.program = block.program
        self.last = max(layout.stages, default=0)
        self.stores: list[Store] = []
        self.make()

    def make(self) -> None:
        """Add to the program and to `stores`."""

    def tables(self) -> dict[str, list[int]]:
        """Whole numbers that the kernel looks up, by name."""
        return {}

    def begin(self) -> Lines:
        """At the beginning of sequences; `fresh` is 1 in lanes that begin one, else 0."""
        if not self.carried:
            return []
        # a product would keep what is not finite
        return [
            f"for c in range({self.carried}):",
            "    carried[c] = chosen(fresh, zero, carried[c])",
        ]

    def after_blocks(self, phases: Phases) -> Lines:
        """In each step, after the blocks."""
        return []

    def at_readout(self, phases: Phases) -> Lines:
        """Where there is an error; of_output[u] is dE/dy_u."""
        return []

    # ---- what rules share

    def place(self, name: str, k: int) -> str:
        """The place of a net of block b among `net`."""
        group = next(group for group in self.layout.groups if group.name == name)
        if group.size == self.layout.blocks:
            return f"{group.net} + b"
        return f"{group.net} + b * {self.block.cells} + {k}"

    def group(self, name: str) -> Group:
        return next(group for group in self.layout.groups if group.name == name)

    def adjoint(self, part: str, k: int) -> Value:
        return self.program.input("adjoint", part, k)

    def memory_place(self, part: str, k: int) -> str:
        """The place of a part of block b among the memory."""
        first = self.layout.features
        if part == "output":
            return f"b * {self.block.cells} + {k}"
        if part in self.layout.cell.gates:
            order = list(self.layout.cell.gates).index(part)
            return f"{self.layout.units + order * self.layout.blocks} + b"
        start, count = self.layout.columns[part]
        if part == "hidden" or count == self.layout.units:
            return f"{start - first} + b * {self.block.cells} + {k}"
        return f"{start - first} + b"

    def over_blocks(self, lines: Lines) -> Lines:
        return [f"for b in range({self.layout.blocks}):", *indent(lines)] if lines else []
