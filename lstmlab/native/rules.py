"""What each learner adds to a kernel: what it carries forward, and how it finds the gradient.

A rule gives the stores of the block's program (see `phases`) and the lines around them.

    Traces    eligibility traces of 1997, forward in time (learners/truncated1997_forward.py)
    Sensitive real-time recurrent learning (learners/rtrl.py)
    OneStep   the error goes back one step (learners/elman.py)
    Backward  back-propagation through time, exact or truncated (learners/bptt.py, truncated1997.py)
    Nothing   answers only
"""

from __future__ import annotations

from lstmlab.native.algebra import Value
from lstmlab.native.block import Block
from lstmlab.native.layout import Group, Layout
from lstmlab.native.phases import Phases, Store
from lstmlab.native.writing import Lines, Names, each, indent, passed_back, place, products

READOUT = 3  # phases: 0, 1, 2 are those of the sums; then the readout; then three on the way back
BACK = {2: 4, 1: 5, 0: 6}  # stage of the sums -> phase in which their derivatives are found


class Rule:
    """The part of a kernel that a learner decides; this one learns nothing.

    Attributes:
        carried: Vectors of what is carried forward beside the memory.
        learns: Whether there is a gradient.
        stores: What is done with values of the block's program, beyond the step itself.
    """

    learns = False
    carried = 0

    def __init__(self, layout: Layout, block: Block, symbols: bool):
        self.layout, self.block, self.symbols = layout, block, symbols
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
        return []

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

    def begin(self) -> Lines:
        # a product would keep what is not finite
        return [
            f"for c in range({self.carried}):",
            "    carried[c] = chosen(fresh, zero, carried[c])",
        ]

    def at_readout(self, phases: Phases) -> Lines:
        return self.over_blocks(phases.lines(READOUT))


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


class Backward(OneStep):
    """Derivatives go back through all steps: of everything, or as the rule of 1997 cuts them.

    scope: 'none' cuts nothing (BPTT); 'all' and 'gates' as in learners/truncated1997.py.
    """

    scope = "none"

    def make(self) -> None:
        cell = self.layout.cell
        self.cut = self.scope != "none"
        self.parts = ("hidden", *cell.state_names)
        super().make()

    def _reaches(self, part: str) -> bool:
        return True if part != "current" else not self.cut

    def back_to(self, group: Group) -> tuple[str, ...]:
        everything = ("hidden", "cell_state", "kept", "current")
        if self.scope == "none" or (
            self.scope == "gates" and group.name in ("candidate", "waiting")
        ):
            return everything
        return ("kept",)

    def at_readout(self, phases: Phases) -> Lines:
        return []


class Sensitive(Rule):
    """M(t) = J(t) M(t-1) + I(t), column by column: the tangent of the step for each weight."""

    learns = True

    def make(self) -> None:
        layout, block, program = self.layout, self.block, self.program
        self.size = layout.memory[1]
        self.carried = layout.of_cell * self.size
        one = program.constant(1.0)
        self._slots = 0

        # s_t stands between: its tangent first, then those of what is made of it
        order = [("state", k, value) for k, value in enumerate(block.state)]
        order += [
            (part, k, value)
            for (part, k), value in block.after.items()
            if part not in ("cell_state", "current")
        ]
        sources = {("state", k): value for k, value in enumerate(block.state)}
        lines: dict[int, Lines] = {0: [], 1: [], 2: []}
        for part, k, value in order:
            held = [] if part in ("state", "kept") else list(sources.values())
            inputs = [*held, *block.nets.values(), *block.before.values()]
            slopes = program.derivatives({value: one}, inputs)
            names = [f"ds{j}" for j in range(block.cells)] if held else []
            names += [f"dnet[{self.place(name, j)}]" for name, j in block.nets]
            names += [f"carried[m + {self.memory_place(part_, j)}]" for part_, j in block.before]
            terms = []
            stage = 1 if part == "state" and 1 in layout.stages else 0
            if part not in ("state", "kept"):
                stage = self.last
            for name, slope in zip(names, slopes, strict=True):
                if slope.constant == 0:
                    continue
                if slope.constant == 1:
                    terms.append(name)
                    continue
                slot = self._slots
                self._slots += 1
                store = f"slope[{slot} * BLOCKS + b] = {{0}}"
                self.stores.append(Store(self.last, store, (slope,)))
                terms.append(f"slope[{slot} * BLOCKS + b] * {name}")
            text = " + ".join(terms) or "zero"
            if part == "state":
                lines[stage].append(f"ds{k} = {text}")
                for name in ("cell_state", "current"):
                    if (name, k) in block.after:
                        into = self._into(name, k)
                        lines[stage].append(f"{into} = ds{k}")
                if self.last == 2 or stage < self.last:
                    lines[stage].append(f"dstate[b * {block.cells} + {k}] = ds{k}")
            else:
                lines[stage].append(f"{self._into(part, k)} = {text}")
        if self.last > (1 if 1 in layout.stages else 0):
            loads = [f"ds{k} = dstate[b * {block.cells} + {k}]" for k in range(block.cells)]
            lines[self.last] = loads + lines[self.last]
        self._lines = lines
        self.slopes = self._slots

    def _into(self, part: str, k: int) -> str:
        first = self.layout.features
        if part in ("kept", "current"):
            start = self.layout.columns[part][0] - first
            return f"dnew[{start} + b * {self.block.cells} + {k}]"
        return f"dnew[{self.memory_place(part, k)}]"

    def begin(self) -> Lines:
        return [
            f"for c in range({self.carried}):",
            "    carried[c] = chosen(fresh, zero, carried[c])",
        ]

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
