"""Where the weights and values of a layer lie while its kernels run.

Blocks of cells lie in lanes, 16 to a tile. A column of the packed weights is a vector: one
pre-activation of 16 blocks. The rows of the weights are what the pre-activations read: the hidden
values, in tiles, then the inputs, then 1.

    source    row of a step    [outputs of cell 0 of every block | of cell 1 | ... of each tile,
                                then gates that are fed back | inputs | 1]
    forward   weights          [columns, rows, 16]
    second    weights          [candidates, units, 16], behind a reset gate
    backward  weights          [tiles of hidden values, columns x 16, 16]: `forward`, transposed
"""

from __future__ import annotations

import weakref
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from lstmlab.native.sequence.products import LANES
from lstmlab.native.sequence.program import Cells

NONE = -1  # the place of a weight that is not there: 0


class Layout:
    """The places of everything, for one cell and a number of inputs.

    Attributes:
        tiles: Tiles of blocks.
        hidden: Columns of hidden values in a row of `source`, a multiple of 16.
        rows: Columns of a row of `source` that are read; `width` with the rest of the last vector.
        weights: The names of the cell's weights, in the order in which they lie flat.
        forward, second, elements, backward, second_back, of_inputs: Places in the flat weights.
        places: Of each flat weight, where its gradient lies behind one another in `forward`,
            `second` and `elements`.
        reads: Of each column, the hidden values that it reads, [columns, 2]: from, to.
        read_by: Of each tile of hidden values, the numbers of pre-activations that read it.
        of_hidden: Where each hidden value lies in a row of `source`.
        of_state: By state, where each of its values lies in a row of states.
    """

    def __init__(self, cell: Any, cells: Cells, features: int):
        # not held: kernels are kept for as long as their cell is there
        self.cell, self.cells = weakref.proxy(cell), weakref.proxy(cells)
        self.features, self.count = features, len(cells.columns)
        self.tiles = -(-cell.blocks // LANES)
        self.of_block = cell.block_size
        self.hidden = LANES * self.tiles * (cell.block_size + len(cells.fed))
        self.rows = self.hidden + features + 1
        self.width = -(-self.rows // LANES) * LANES
        # the candidates lie together where a second product follows
        self.steps = (1, self.tiles) if cells.two else (self.count, 1)  # of a tile, of a column
        self.columns = self.tiles * self.count

        self.shapes = self._shapes()
        self.weights = list(self.shapes)
        sizes = [prod(shape) for shape in self.shapes.values()]
        self.size = sum(sizes)
        self._begin = dict(zip(self.weights, [0, *accumulate(sizes)], strict=False))
        self._flat = {
            name: self._begin[name] + np.arange(prod(shape), dtype=np.int32).reshape(shape)
            for name, shape in self.shapes.items()
        }
        self._lay_out()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The weights by name, with their shapes, in the order in which they lie flat."""
        cell = self.cell
        names = ["kernel", *(one.weight for one in cell.recurrence.products), "peephole"]
        names += ["bias", "recurrent_bias"]
        found = {name: getattr(cell, name, None) for name in names}
        return {name: tuple(weight.shape) for name, weight in found.items() if weight is not None}

    # ---- numbers of units and blocks

    def _units(self) -> np.ndarray:
        """The unit in each place of a hidden tile [tiles, of_block, 16]; n where there is none."""
        block = np.arange(self.tiles * LANES).reshape(self.tiles, 1, LANES)
        unit = block * self.of_block + np.arange(self.of_block)[:, None]
        return np.where(block < self.cell.blocks, unit, self.cell.units)

    def _blocks(self) -> np.ndarray:
        """The block in each lane [tiles, 16]; m where there is none."""
        block = np.arange(self.tiles * LANES).reshape(self.tiles, LANES)
        return np.where(block < self.cell.blocks, block, self.cell.blocks)

    def column(self, name: str, k: int) -> np.ndarray:
        """Which of the pre-activations `name` lies in each lane [tiles, 16]; their number: none."""
        return self._units()[:, k] if name in ("candidate", "waiting") else self._blocks()

    def number(self, tile: Any, v: int) -> Any:
        """The number of a column among all."""
        return tile * self.steps[0] + v * self.steps[1]

    # ---- places

    def _lay_out(self) -> None:
        cell, columns = self.cell, self.cells.columns
        forward = np.full((self.columns, self.rows, LANES), NONE, np.int32)
        candidates = [k for name, k in columns if name == "candidate"]
        count = self.tiles * len(candidates) if self.cells.two else 0
        units = LANES * self.tiles * self.of_block
        second = np.full((count, units, LANES), NONE, np.int32)
        biases = dict(zip(cell._biased, accumulate([0, *cell._biased.values()]), strict=False))
        begins = dict(zip(cell.nets, accumulate([0, *cell.nets.values()]), strict=False))
        for v, (name, k) in enumerate(columns):
            at = self.number(np.arange(self.tiles), v)
            own = self.column(name, k)
            there = own < (cell.units if name in ("candidate", "waiting") else cell.blocks)
            if name == "waiting":
                if cell.recurrent_bias is not None:
                    bias = self._flat["recurrent_bias"][np.where(there, own, 0)]
                    forward[at, -1] = np.where(there, bias, NONE)
            else:
                kernel = self._flat["kernel"][:, np.where(there, begins[name] + own, 0)]
                inputs = np.where(there, kernel, NONE)  # [F, tiles, 16]
                forward[at, self.hidden : -1] = inputs.swapaxes(0, 1)
                if name in biases:
                    bias = self._flat["bias"][np.where(there, biases[name] + own, 0)]
                    forward[at, -1] = np.where(there, bias, NONE)
            for one in cell.recurrence.products:
                read = self._read(one, name, own, there)
                if read is None:
                    continue
                if one.alone:
                    place = self.tiles * k + np.arange(self.tiles)
                    second[place] = read[:, :units]
                else:
                    here = forward[at, : self.hidden]
                    forward[at, : self.hidden] = np.where(read == NONE, here, read)
        self.forward, self.second = forward, second
        self.elements = self._elements()
        self._turn()

    def _read(self, one: Any, name: str, own: np.ndarray, there: np.ndarray) -> np.ndarray | None:
        """The places of one product's weight for a column [tiles, hidden, 16], or None."""
        cell = self.cell
        net = "candidate" if name == "waiting" else name
        waits = cell.reset_gate is not None and net == "candidate"
        if one.kind == "by_element" or net not in one.nets:
            return None
        if waits and not one.alone and name != "waiting":
            return None  # what waits for the reset gate has a column of its own
        weight = self._flat[one.weight]
        begin = dict(zip(one.nets, accumulate([0, *one.nets.values()]), strict=False))[net]
        safe = np.where(there, own, 0)
        row = self._rows_of_hidden()  # which hidden value lies there, or -1
        if one.kind == "block_diagonal":
            per_head, width = cell.units // cell.heads, one.nets[net] // cell.heads
            begin = begin // cell.heads
            head = safe // width
            inside = begin + safe % width
            own_head = row // per_head == head[:, :, None]
            near = (row >= 0) & (row < cell.units) & own_head & there[:, :, None]
            places = weight[head[:, :, None], np.where(near, row % per_head, 0), inside[:, :, None]]
            return np.where(near, places, NONE).swapaxes(1, 2)
        first, last = 0, len(weight)
        if one.kind == "gates":
            first, last = cell.units, cell.hidden_size
        read = (row >= first) & (row < last)
        places = weight[np.where(read, row - first, 0)[:, None, None], (begin + safe)[None]]
        found = np.where(read[:, None, None] & there[None], places, NONE)  # [hidden, tiles, 16]
        return found.swapaxes(0, 1)

    def _rows_of_hidden(self) -> np.ndarray:
        """Which hidden value lies in each column of a row of `source`; -1 for none."""
        cell = self.cell
        units = self._units().reshape(-1)
        row = [np.where(units < cell.units, units, -1)]
        for number in range(len(self.cells.fed)):
            block = self._blocks().reshape(-1)
            row.append(np.where(block < cell.blocks, cell.units + number * cell.blocks + block, -1))
        return np.concatenate(row)

    def _elements(self) -> np.ndarray:
        """The places of the weights of one number per cell [elements, tiles, 16]."""
        found = np.full((len(self.cells.elements), self.tiles, LANES), NONE, np.int32)
        units = self._units()
        for number, (weight, row, k) in enumerate(self.cells.elements):
            there = units[:, k] < self.cell.units
            places = self._flat[weight][row][np.where(there, units[:, k], 0)]
            found[number] = np.where(there, places, NONE)
        return found

    def _turn(self) -> None:
        """What follows from `forward` and `second`."""

        def turned(packed: np.ndarray, rows: int) -> np.ndarray:
            """[columns, rows, 16] as [rows / 16, columns x 16, 16]."""
            cut = packed[:, :rows].reshape(len(packed), rows // LANES, LANES, LANES)
            return cut.transpose(1, 0, 3, 2).reshape(rows // LANES, -1, LANES)

        self.backward = turned(self.forward, self.hidden)
        self.second_back = turned(self.second, self.second.shape[1])
        inputs = self.forward[:, self.hidden : -1]
        self.of_inputs = inputs.transpose(0, 2, 1).reshape(self.columns * LANES, self.features)
        everything = [self.forward, self.second, self.elements]
        packed = np.concatenate([one.reshape(-1) for one in everything])
        self.places = np.full(self.size, NONE, np.int32)
        there = np.flatnonzero(packed != NONE)
        self.places[packed[there]] = there
        self.reads = _ranges((self.forward[:, : self.hidden] != NONE).any(axis=2))
        self.read_by = _ranges((self.backward != NONE).any(axis=2))
        self.second_reads = _ranges((self.second != NONE).any(axis=2))
        self.second_read_by = _ranges((self.second_back != NONE).any(axis=2))
        row = self._rows_of_hidden()
        self.of_hidden = np.argsort(row, kind="stable")[np.count_nonzero(row < 0) :]
        part = {"cell_state": self.cell.units, "normaliser": self.cell.blocks}
        part["stabiliser"] = self.cell.blocks
        self.of_state = {}
        count = len(self.cells.states)
        for name in self.cell.state_names[1:]:
            places = np.zeros(part[name], np.int64)
            for s, (one, k) in enumerate(self.cells.states):
                if one == name:
                    own = self._units()[:, k] if name == "cell_state" else self._blocks()
                    tile, lane = np.nonzero(own < part[name])
                    places[own[tile, lane]] = (tile * count + s) * LANES + lane
            self.of_state[name] = places


def _ranges(used: np.ndarray) -> np.ndarray:
    """The first and behind the last place that is used in each row [n, 2]; 0, 0 where none is."""
    if not used.size:
        return np.zeros((len(used), 2), np.int64)
    some = used.any(axis=1)
    first = np.where(some, used.argmax(axis=1), 0)
    last = np.where(some, used.shape[1] - used[:, ::-1].argmax(axis=1), 0)
    return np.stack([first, last], axis=1).astype(np.int64)
