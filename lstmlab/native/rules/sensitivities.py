"""Real-time recurrent learning: learners/rtrl.py."""

from __future__ import annotations

from lstmlab.native.algebra import Value
from lstmlab.native.layout import Group
from lstmlab.native.phases import Phases, Store
from lstmlab.native.rules.base import Rule
from lstmlab.native.writing import Lines, indent, place


class Sensitive(Rule):
    """M(t) = J(t) M(t-1) + I(t), column by column: the tangent of the step for each weight.

    Attributes:
        size: Entries of a column, those of the memory.
        slopes: Entries of the block's Jacobian that are kept.
    """

    learns = True

    def make(self) -> None:
        self.size = self.layout.memory[1]
        self.carried = self.layout.of_cell * self.size
        self.slopes = 0
        self._lines: dict[int, Lines] = {0: [], 1: [], 2: []}  # stage of the sums -> lines
        self._first = 1 if 1 in self.layout.stages else 0  # the stage in which s_t is there

        # s_t stands between: its tangent first, then those of what is made of it
        for k, value in enumerate(self.block.state):
            self._state(k, value)
        if self._first < self.last:
            self._lines[self.last] += [f"ds{k} = {self._held(k)}" for k in self._cells]
        for (part, k), value in self.block.after.items():
            if part not in ("cell_state", "current"):
                stage = 0 if part == "kept" else self.last
                tangent = self._tangent(value, of_states=part != "kept")
                self._lines[stage].append(f"{self._into(part, k)} = {tangent}")

    @property
    def _cells(self) -> range:
        return range(self.block.cells)

    def _held(self, k: int) -> str:
        """Where the tangent of a state waits for a later stage."""
        return f"dstate[b * {self.block.cells} + {k}]"

    def _state(self, k: int, value: Value) -> None:
        lines = self._lines[self._first]
        lines.append(f"ds{k} = {self._tangent(value, of_states=False)}")
        for name in ("cell_state", "current"):
            if (name, k) in self.block.after:
                lines.append(f"{self._into(name, k)} = ds{k}")
        if self._first < self.last:
            lines.append(f"{self._held(k)} = ds{k}")

    def _tangent(self, value: Value, of_states: bool) -> str:
        """sum_i dvalue/di times the tangent of i: over the nets and what was before the step, and
        over s_t if `of_states`."""
        block, program = self.block, self.program
        tangents: dict[str, Value] = {}
        if of_states:
            tangents |= {f"ds{j}": block.state[j] for j in self._cells}
        tangents |= {f"dnet[{self.place(*net)}]": block.nets[net] for net in block.nets}
        for part, j in block.before:
            at = f"carried[m + {self.memory_place(part, j)}]"
            tangents[at] = block.before[part, j]
        slopes = program.derivatives({value: program.constant(1.0)}, [*tangents.values()])
        terms = [
            tangent if slope.constant == 1 else f"{self._kept(slope)} * {tangent}"
            for tangent, slope in zip(tangents, slopes, strict=True)
            if slope.constant != 0
        ]
        return " + ".join(terms) or "zero"

    def _kept(self, slope: Value) -> str:
        """Keep a slope for all weights, in the last phase of the sums."""
        at = f"slope[{self.slopes} * BLOCKS + b]"
        self.slopes += 1
        self.stores.append(Store(self.last, f"{at} = {{0}}", (slope,)))
        return at

    def _into(self, part: str, k: int) -> str:
        first = self.layout.features
        if part in ("kept", "current"):
            start = self.layout.columns[part][0] - first
            return f"dnew[{start} + b * {self.block.cells} + {k}]"
        return f"dnew[{self.memory_place(part, k)}]"

    def tables(self) -> dict[str, list[int]]:
        """For each weight the pre-activation that it drives, and the column that it multiplies."""
        rows: list[int] = []
        columns: list[int] = []
        for group in self.layout.groups:
            for r in range(group.size):
                rows += [group.net + r] * group.width
                for segment in group.segments:
                    first = segment.start + (r // segment.per) * segment.step
                    columns += range(first, first + segment.length)
        return {"ROWS": rows, "COLUMNS": columns}

    def after_blocks(self, phases: Phases) -> Lines:
        lines = [f"m, row, seen = p * {self.size}, ROWS[p], z[COLUMNS[p]]"]
        for stage in sorted({*self.layout.stages, self.last}):
            for group in self.layout.stages.get(stage, []):
                lines += self._tangents(group)
            for group in self.layout.stages.get(stage, []):
                inside = f"{group.net} <= row < {group.net + group.size}"
                lines += [f"if {inside}:", "    dnet[row] += seen"]
            lines += self.over_blocks(self._lines[stage])
        lines += [f"for c in range({self.size}):", "    carried[m + c] = dnew[c]"]
        return [f"for p in range({self.layout.of_cell}):", *indent(lines)]

    def _tangents(self, group: Group) -> Lines:
        """dnet_a from the tangents of what its rows read."""
        lines = [f"w = {group.base} + r * {group.width}", "a = zero"]
        offset = 0
        for segment in group.segments:
            if segment.part not in ("inputs", "one"):
                at = place(segment, before=self.layout.features)
                made = segment.part in ("kept", "current")
                source = f"dnew[{at}]" if made else f"carried[m + {at}]"
                lines += [f"for c in range({segment.length}):"]
                lines += [f"    a = a + theta[w + {offset} + c] * {source}"]
            offset += segment.length
        return [f"for r in range({group.size}):", *indent([*lines, f"dnet[{group.net} + r] = a"])]

    def at_readout(self, phases: Phases) -> Lines:
        return [
            f"for p in range({self.layout.of_cell}):",
            "    a = zero",
            f"    for c in range({self.layout.units}):",
            f"        a = a + of_output[c] * carried[p * {self.size} + c]",
            "    grad[p] += a",
        ]
