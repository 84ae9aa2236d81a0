"""The door to the kernels of a layer: its arrays are checked before a kernel runs."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from lstmlab.native.compiled import compiled
from lstmlab.native.engine import expect
from lstmlab.native.sequence import packing, threads
from lstmlab.native.sequence.layout import Layout
from lstmlab.native.sequence.memory import aligned
from lstmlab.native.sequence.products import LANES
from lstmlab.native.sequence.program import Cells
from lstmlab.native.sequence.text import AHEAD, STRIDE
from lstmlab.native.sequence.writing import Writer


class Tape(NamedTuple):
    """What the way back reads. See `layout`; T + 1 steps of sources and states, T of the others.

    Attributes:
        source: [T + 1, B, width].
        second: [T, B, units], behind a reset gate.
        keep: [T, B, slots x 16 x tiles].
        states: [T + 1, B, states x 16 x tiles].
    """

    source: np.ndarray
    second: np.ndarray
    keep: np.ndarray
    states: np.ndarray


class Kernels:
    """The kernels of one layer.

    Args:
        cell: A built GatedCell.
        features: Its inputs.

    Attributes:
        weights: The names of its weights, in the order in which they are given flat.
        size: The number of weights.
    """

    def __init__(self, cell: Any, features: int):
        cells = Cells(cell)
        writer = Writer(cells)
        layout = self.layout = Layout(cell, cells, features)
        self.weights, self.size, self.units = layout.weights, layout.size, cell.units
        self.names, self.sizes = cell.state_names, cell.state_size
        self.slots, self.states, self.two = writer.slots, len(cells.states), cells.two
        ahead = layout.forward, layout.second, layout.elements
        back = layout.backward, layout.second_back, layout.elements
        self._ahead_shapes, self._back_shapes = ([a.shape for a in some] for some in (ahead, back))
        self._ahead_places, self._back_places = _joined(*ahead), _joined(*back)
        # as large as the weights, and no longer needed
        del layout.forward, layout.second, layout.elements, layout.backward, layout.second_back
        self._ahead = compiled(writer.forward())
        self._source_back = writer.backward()
        self._pack, self._sum = compiled(packing.SOURCE), compiled(packing.SUM)
        self._reads = [_fixed(one) for one in (layout.reads, layout.second_reads)]
        self._read_by = [_fixed(one) for one in (layout.read_by, layout.second_read_by)]
        self._of_hidden = _fixed(layout.of_hidden)
        self._uniform = not self.two and bool((layout.reads == layout.reads[:1]).all())

    @cached_property
    def _back(self) -> Any:
        return compiled(self._source_back)

    def forward(
        self,
        x: np.ndarray,
        theta: np.ndarray,
        initial: list[np.ndarray],
        valid: np.ndarray,
        counts: np.ndarray,
        every: bool,
        backwards: bool = False,
        kept: bool = True,
    ) -> tuple[np.ndarray, list[np.ndarray], Tape | None]:
        """Run over sequences.

        Args:
            x: Inputs [B, T, F], float32.
            theta: The weights, flat.
            initial: The states, in the order of cell.state_names.
            valid, counts: At which steps there is an input, and where what is put out counts; bool
                [B, T] in the order of processing, or [0, 0] where it is everywhere.
            every: Whether all outputs are wanted, or only the last.
            backwards: From the last step to the first.
            kept: Whether `backward` will be called.

        Returns:
            The outputs [B, T, n] in the order of processing, or [B, 1, n]; the last states; and
            what `backward` needs, or None.
        """
        layout = self.layout
        batch, steps, _ = x.shape
        self._check(x, theta, initial, valid, counts)
        tiles = layout.tiles
        long, short = (steps + 1, steps) if kept else (2, 1)
        source = aligned(long, batch, layout.width)
        second = aligned(short, batch, self._ahead_shapes[1][1] if self.two else 0)
        keep = aligned(short, batch, tiles * self.slots * LANES)
        states = aligned(long, batch, tiles * self.states * LANES)
        out = aligned(batch, steps if every else 1, self.units)
        source[0, :, : layout.hidden] = 0
        source[0][:, layout.of_hidden] = initial[0]
        states[0] = 0
        for name, one in zip(self.names[1:], initial[1:], strict=True):
            states[0][:, layout.of_state[name]] = one
        packed = self._packed(theta, self._ahead_places)
        weights, second_weights, elements = _cut(packed, *self._ahead_shapes)
        given = (x, valid, counts, weights, second_weights, elements.reshape(-1, LANES))
        fixed = [*map(_fixed, given), *self._reads, self._of_hidden]

        def run(number: int, low: int, high: int) -> None:
            self._ahead(
                *fixed, source, second, keep, states, out, low, high, kept, backwards, self._uniform
            )

        if batch:
            work = float(batch * steps) * layout.columns * layout.rows * LANES
            threads.each(run, threads.shares(batch, work))
        last = steps if kept else steps & 1
        final = [source[last][:, layout.of_hidden]]
        final += [states[last][:, layout.of_state[name]] for name in self.names[1:]]
        return out, final, Tape(source, second, keep, states) if kept else None

    def backward(
        self,
        theta: np.ndarray,
        tape: Tape,
        of_out: np.ndarray,
        of_final: list[np.ndarray],
        valid: np.ndarray,
        counts: np.ndarray,
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """The gradients.

        Args:
            theta, tape, valid, counts: As given to `forward`, and what it gave.
            of_out, of_final: The gradients of what it returned.

        Returns:
            Those of the weights, flat; of the initial states; and of all pre-activations, [T, B,
            columns x 16]: `layout.of_inputs` says how they lead to the inputs.
        """
        layout = self.layout
        steps, batch = len(tape.keep), tape.keep.shape[1]
        delta = aligned(steps, batch, layout.columns * LANES)
        of_hidden = np.zeros((batch, layout.hidden), "float32")
        of_states = np.zeros((batch, tape.states.shape[2]), "float32")
        of_hidden[:, layout.of_hidden] = of_final[0]
        for name, one in zip(self.names[1:], of_final[1:], strict=True):
            of_states[:, layout.of_state[name]] = one
        of_second = np.zeros((batch, tape.second.shape[2]), "float32")
        packed = self._packed(theta, self._back_places)
        weights, second_weights, elements = _cut(packed, *self._back_shapes)
        work = 2.0 * batch * steps * layout.columns * layout.rows * LANES
        pieces = threads.shares(batch, work)
        gradients = np.zeros((len(pieces), self._ahead_places.size), "float32")
        given = (valid, counts, weights, second_weights, elements.reshape(-1, LANES))
        fixed = [*map(_fixed, given), *self._reads, *self._read_by, self._of_hidden]
        fixed += map(_fixed, (*tape, of_out))
        deep = max(layout.rows, self._ahead_shapes[1][1])

        def run(number: int, low: int, high: int) -> None:
            parts = _cut(gradients[number], *self._ahead_shapes)
            self._back(
                *fixed, of_hidden, of_states, of_second, delta, parts[0], parts[1],
                parts[2].reshape(-1, LANES), aligned(deep, STRIDE),
                aligned(layout.columns * (AHEAD + 1), LANES), layout.features, low, high,
            )  # fmt: skip

        of_theta = np.zeros(self.size, "float32")
        if batch:
            threads.each(run, pieces)
            self._sum(gradients, layout.places, of_theta, 0, self.size)
        initial = [of_hidden[:, layout.of_hidden]]
        initial += [of_states[:, layout.of_state[name]] for name in self.names[1:]]
        return of_theta, initial, delta

    def _packed(self, theta: np.ndarray, places: np.ndarray) -> np.ndarray:
        packed = aligned(places.size)

        def run(number: int, low: int, high: int) -> None:
            self._pack(_fixed(theta), places, packed, low, high)

        threads.each(run, threads.shares(places.size, 4.0 * places.size))
        return packed

    def _check(self, x: Any, theta: Any, initial: Any, valid: Any, counts: Any) -> None:
        """Refuse what a kernel would misread."""
        batch, steps = x.shape[:2]
        expect("x", x, "float32", (batch, steps, self.layout.features))
        expect("weights", theta, "float32", (self.size,))
        for name, size, state in zip(self.names, self.sizes, initial, strict=True):
            expect(name, state, "float32", (batch, size))
        shape = (batch, steps) if valid.size else (0, 0)
        expect("valid", valid, "bool", shape)
        expect("counts", counts, "bool", shape)
        if not steps:
            raise ValueError("native: x: expected at least one step. Received: 0")


def _joined(*places: np.ndarray) -> np.ndarray:
    return np.concatenate([one.reshape(-1) for one in places])


def _cut(flat: np.ndarray, *shapes: tuple) -> list[np.ndarray]:
    """Pieces of a flat array, in these shapes."""
    begin, pieces = 0, []
    for shape in shapes:
        size = int(np.prod(shape))
        pieces.append(flat[begin : begin + size].reshape(shape))
        begin += size
    return pieces


def _fixed(array: np.ndarray) -> np.ndarray:
    """The array, read only: TensorFlow's are, and a kernel is compiled for one kind."""
    view = array.view() if array.flags.c_contiguous else np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
