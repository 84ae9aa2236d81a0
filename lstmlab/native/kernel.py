"""The source of a whole kernel: trials in lanes, sequence after sequence.

`loops` has the loops; here is what stands in them: the block's program, with what it reads and
writes, and a rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lstmlab.native.block import Block
from lstmlab.native.layout import Layout
from lstmlab.native.loops import Loops, Plan
from lstmlab.native.phases import Phases, Store
from lstmlab.native.rules import READOUT, Backward, OneStep, Rule, Sensitive, Traces
from lstmlab.native.writing import OPTIMIZERS, Names

RULES: dict[str, type[Rule]] = {
    "nothing": Rule,
    "traces": Traces,
    "one_step": OneStep,
    "backward": Backward,
    "sensitivities": Sensitive,
}
IMPORTS = """
import numpy as np
from numba import njit

from lstmlab.native.functions import exp, log, logistic, positive, softplus, tanh
from lstmlab.native.simd import (
    above, add_at, chosen, fetch, flush_subnormals, gather, least, magnitude, most, only, restore,
    spread, sqrt, stack, vec,
)

f32 = np.float32
"""


class Written(NamedTuple):
    """The source of a kernel, and the numbers of vectors that it works with.

    carried: beside the memory, from step to step. slots: of the optimizer. tape, kept: of each
    step, on the way back.
    """

    source: str
    layout: Layout
    carried: int
    slots: int
    tape: int
    kept: int


def write(cell: Any, head: Any, plan: Plan) -> Written:
    """Write the kernel of a built cell and head.

    Raises:
        NotImplementedError, KeyError: The cell has something that no kernel has.
    """
    return _Kernel(cell, head, plan).written()


class _Kernel:
    def __init__(self, cell: Any, head: Any, plan: Plan):
        self.plan, self.layout = plan, Layout(cell, head)
        back = plan.rule == "backward"
        self.block = Block(cell, cut=back and plan.scope == "all")
        # sensitivities need the inputs as columns
        self.symbols = plan.symbols and plan.rule != "sensitivities"
        self.rule = RULES[plan.rule](self.layout, self.block, self.symbols, plan.scope)
        self.back, self.last, self.names = back, self.rule.last, Names()
        if back:  # through steps that are kept
            self.names = Names("tape[zu + ", f"tape[zn + {self.layout.features} + ", "kept[ku + ")
        self.phases = Phases(self.block.program, self._reads, self._stores())

    def written(self) -> Written:
        layout, plan = self.layout, self.plan
        slots = OPTIMIZERS[plan.optimizer][0] * (layout.of_cell + layout.of_head)
        kept = self.phases.kept * layout.blocks
        loops = Loops(plan, layout, self.rule, self.names, self.phases, self.symbols)
        text = "\n".join([IMPORTS, *loops.constants(), "", "", *loops.function(), ""])
        tape = layout.width if self.back else 0
        return Written(text, layout, self.rule.carried, slots, tape, kept)

    # ---- what the block's program reads and writes

    def _reads(self, kind: str, name: str, k: int) -> tuple[int, str]:
        if kind == "net":
            return self.rule.group(name).stage, f"net[{self.rule.place(name, k)}]"
        if kind == "before":
            return 0, f"{self.names.z}{self._at(name, k)}]"
        return self._adjoint(name, k)

    def _adjoint(self, part: str, k: int) -> tuple[int, str]:
        if isinstance(self.rule, OneStep):
            return self.rule.reads(part, k)
        return READOUT, f"of_output[b * {self.block.cells} + {k}]"

    def _at(self, part: str, k: int, before: int = 0) -> str:
        """The column of a part of block b."""
        layout, cells = self.layout, self.block.cells
        if part == "output" or part in layout.cell.gates:
            start = layout.start("hidden") - before
            if part == "output":
                return f"{start} + b * {cells} + {k}"
            order = list(layout.cell.gates).index(part)
            return f"{start + layout.units + order * layout.blocks} + b"
        start, count = layout.columns[part]
        if part == "hidden" or count == layout.units:
            return f"{start - before} + b * {cells} + {k}"
        return f"{start - before} + b"

    def _stores(self) -> list[Store]:
        stores = []
        for (part, k), value in self.block.after.items():
            if part in ("kept", "current"):
                # before the sums that read it
                phase = self._first_after(value, 0 if part == "kept" else 2)
                text = f"{self.names.z}{self._at(part, k)}] = {{0}}"
            else:
                phase = self.last
                text = f"{self.names.output}{self._at(part, k, self.layout.features)}] = {{0}}"
            stores.append(Store(phase, text, (value,)))
        return stores + self.rule.stores

    def _first_after(self, value: Any, before: int) -> int:
        """The last phase whose sums come before stage `before`."""
        return 0 if before == 0 else max(s for s in (0, *self.layout.stages) if s < before)
