"""Where everything lies: the columns that pre-activations read, and their weights, row by row.

A kernel keeps all that a step reads in one array of columns z, and the weights of each
pre-activation as a row, so that net_a = sum_c row_a[c] z[c]. `Layout` says which column is which,
and which entry of which Keras weight stands at each place of a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Segment(NamedTuple):
    """Columns that lie side by side, as the rows of a group read them.

    Row r reads `length` columns from `start + (r // per) * step` on; they are of the part `part`.
    """

    part: str
    start: int
    length: int
    step: int = 0
    per: int = 1


class Group(NamedTuple):
    """The rows of the pre-activations of one kind.

    Attributes:
        name: As in `cell.nets`; 'waiting' for R y + c behind a reset gate; 'head' for the readout.
        size: Rows.
        stage: 0, or the number of sums and blocks that must be made before.
        base: The place of its first weight; row r begins at base + r * width.
        segments: What its rows read, in the order of their weights.
        net: The place of its first pre-activation.
    """

    name: str
    size: int
    stage: int
    base: int
    width: int
    segments: tuple[Segment, ...]
    net: int


class Layout:
    """The columns and rows of a built GatedCell and head.

    Attributes:
        columns: {part: (first column, count)}: inputs, hidden, the states, one, kept, current.
        width: Columns.
        memory: (first, count) of the columns that a step hands to the next.
        groups: The rows of the cell, by stage. stages: {stage: groups}.
        head: The rows of the readout, or None (see OutputUnits).
        places: For each weight in the order of the rows, its place in the flat Keras weights.
        of_cell, of_head: Numbers of weights.
    """

    def __init__(self, cell: Any, head: Any):
        self.cell, self.units, self.blocks = cell, cell.units, cell.blocks
        self.features = cell.kernel.shape[0]
        self._lay_columns()
        self._number([*cell.trainable_variables, *head.trainable_variables])
        self.groups: list[Group] = []
        self._places: list[np.ndarray] = []
        self._base = self._net = 0
        for name, size in self._nets().items():
            self._add(name, size, self._stage(name), self._of_cell(name, size))
        self.of_cell = self._base
        self.nets = self._net
        self.head = None
        self.outputs = head.outputs
        if hasattr(head, "places"):
            self.output_units = head.places
        else:
            self._add("head", head.outputs, 0, self._of_head(head))
            self.head = self.groups.pop()
        self.of_head = self._base - self.of_cell
        self.places = np.concatenate(self._places)
        self.stages = {
            stage: [group for group in self.groups if group.stage == stage]
            for stage in sorted({group.stage for group in self.groups})
        }
        if sorted(self.places) != list(range(self._count)):
            raise NotImplementedError("a weight that stands in no row, or in several")

    def start(self, part: str) -> int:
        """The first column of a part."""
        return self.columns[part][0]

    def _lay_columns(self) -> None:
        cell = self.cell
        sizes = {
            "inputs": self.features,
            **dict(zip(cell.state_names, cell.state_size, strict=True)),
        }
        self.memory = (self.features, sum(cell.state_size))
        sizes["one"] = 1
        if cell.reset_gate is not None and not cell.reset_after:
            sizes["kept"] = cell.units
        if cell._looks_at_new_state:
            sizes["current"] = cell.units
        self.columns, self.width = {}, 0
        for name, size in sizes.items():
            self.columns[name] = (self.width, size)
            self.width += size

    def _number(self, weights: list) -> None:
        """Give every entry of every weight its place in the flat weights."""
        self._entries, self._count = {}, 0
        for weight in weights:
            shape = tuple(weight.shape)
            size = int(np.prod(shape))
            self._entries[id(weight)] = self._count + np.arange(size).reshape(shape)
            self._count += size

    def _nets(self) -> dict[str, int]:
        cell = self.cell
        nets = dict(cell.nets)
        if cell.reset_after and cell.reset_gate is not None and cell.candidate_recurrent != "none":
            nets["waiting"] = cell.units
        return nets

    def _stage(self, name: str) -> int:
        cell = self.cell
        behind = cell.reset_gate is not None and not cell.reset_after
        if name == "candidate" and behind:
            return 1
        if name in cell.own and cell.own[name].peephole == "current":
            return 2
        return 0

    def _add(self, name: str, size: int, stage: int, parts: list) -> None:
        segments = tuple(segment for segment, _ in parts)
        places = np.concatenate([entries for _, entries in parts], axis=1)
        width = places.shape[1]
        self.groups.append(Group(name, size, stage, self._base, width, segments, self._net))
        self._places.append(places.ravel())
        self._base += size * width
        self._net += size

    def _of_cell(self, name: str, size: int) -> list[tuple[Segment, np.ndarray]]:
        """The segments of a net's rows, and the place of every weight, [size, length] each."""
        cell, parts = self.cell, []
        waits = name == "waiting"
        net = "candidate" if waits else name
        if not waits:
            first = 0
            for other, count in cell.nets.items():
                if other == name:
                    break
                first += count
            kernel = self._entries[id(cell.kernel)]
            parts.append((Segment("inputs", 0, self.features), kernel[:, first : first + size].T))
        behind = net == "candidate" and cell.reset_gate is not None and cell.reset_after
        if waits or not behind:
            parts += self._read_back(net, size)
        if not waits and name in cell.own and cell.own[name].peephole:
            row = self._entries[id(cell.peephole)][cell.peepholes.index(name)]
            per_block = cell.units // size
            old = "cell_state" if "cell_state" in cell.state_names else "hidden"
            part = "current" if cell.own[name].peephole == "current" else old
            start = self.start(part)
            parts.append((Segment(part, start, per_block, per_block), row.reshape(size, per_block)))
        if waits and cell.recurrent_bias is not None:
            bias = self._entries[id(cell.recurrent_bias)]
            parts.append((Segment("one", self.start("one"), 1), bias[:, None]))
        if not waits and name in cell._biased:
            first = 0
            for other, count in cell._biased.items():
                if other == name:
                    break
                first += count
            bias = self._entries[id(cell.bias)][first : first + size]
            parts.append((Segment("one", self.start("one"), 1), bias[:, None]))
        return parts

    def _read_back(self, net: str, size: int) -> list[tuple[Segment, np.ndarray]]:
        cell, parts = self.cell, []
        for product in cell.recurrence.products:
            if net not in product.nets:
                continue
            entries = self._entries[id(getattr(cell, product.weight))]
            before = list(product.nets)[: list(product.nets).index(net)]
            first = sum(product.nets[other] for other in before)
            part = "kept" if product.alone else "hidden"
            start = self.start(part)
            if product.kind in ("full", "cells"):
                segment = Segment(part, start, entries.shape[0])
                places = entries[:, first : first + size].T
            elif product.kind == "gates":
                segment = Segment(part, start + cell.units, entries.shape[0])
                places = entries[:, first : first + size].T
            elif product.kind == "by_element":
                per_row = cell.units // size
                segment = Segment(part, start, per_row, per_row)
                places = entries[len(before)].reshape(size, per_row)
            else:
                of_head = size // cell.heads
                first = sum(product.nets[other] // cell.heads for other in before)
                length = cell.units // cell.heads
                segment = Segment(part, start, length, length, of_head)
                # [heads, n/heads, nets/heads] -> [heads, size/heads, n/heads] -> rows
                places = entries[:, :, first : first + of_head].transpose(0, 2, 1)
                places = places.reshape(size, length)
            parts.append((segment, places))
        return parts

    def _of_head(self, head: Any) -> list[tuple[Segment, np.ndarray]]:
        hidden = self.start("hidden")
        kernel = self._entries[id(head.kernel)]
        parts = [(Segment("output", hidden, self.units), kernel.T)]
        if head.shortcut_kernel is not None:
            shortcut = self._entries[id(head.shortcut_kernel)]
            parts.append((Segment("inputs", 0, self.features), shortcut.T))
        if head.bias is not None:
            bias = self._entries[id(head.bias)]
            parts.append((Segment("one", self.start("one"), 1), bias[:, None]))
        return parts
