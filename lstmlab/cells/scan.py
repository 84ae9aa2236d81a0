"""The engine "scan" of GatedRNN: all steps at once, where a cell's state is a linear recurrence.

That is so if its gates and candidates read nothing that the cell has computed before. Then one call
of GatedCell.step computes every step, from states of zero: in (5), s_t = e_t s_tm1 + i_t g_t, this
leaves i_t g_t, and in its place the step is handed s_t, by a scan over time. So the equations of a
cell stand in one place, `step`.

References:
    Martin & Cundy 2018, "Parallelizing linear recurrent neural nets over sequence length".
    Feng et al. 2024 (minGRU, minLSTM).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src import backend

from lstmlab.cells.prefix import LINEAR, MAXIMUM, Semiring, before, over_time
from lstmlab.cells.replaced import replaced

_READ_NOTHING = (
    "gates and candidates that do not read the hidden state, as with feedback='none' (only a "
    "linear candidate may read it, with candidate_recurrent='by_element' in a cell without output "
    "gate)"
)


def obstacle(layer: Any) -> tuple[str, Any] | None:
    """Why the cell's state is no linear recurrence: (expected, received); None if it is one."""
    cell = layer.cell
    if found := replaced(cell):
        return "a subclass that computes its steps as GatedCell", {"cell": found}
    if layer.unroll:
        return "unroll=False", {"unroll": True}
    if cell.recurrence.products and not _reads_itself(cell):
        received = {"feedback": cell.feedback, "candidate_recurrent": cell.candidate_recurrent}
        return _READ_NOTHING, received
    for name in cell.peepholes:
        if cell.own[name].peephole == "previous":
            expected = "no peephole that sees the old state"
            return expected, {f"{name}.peephole": "previous"}
    return None


def _reads_itself(cell: Any) -> bool:
    """Whether all that is read back is each candidate's own state, by one factor."""
    [product, *others] = cell.recurrence.products
    return (
        not others
        and product.kind == "by_element"
        and list(product.nets) == ["candidate"]
        and cell.reset_gate is None
        and cell.is_own_output
        and cell.candidate_activation is keras.activations.linear
    )


def run(
    layer: Any, sequences: Any, states: list, mask: Any, drop: Any, every_step: bool, wanted: dict
) -> tuple[dict, list]:
    """Run the layer's cell over sequences [B, T, F]; arguments and results as in `engines.run`."""
    if backend.backend() == "torch" and layer.stateful:
        # PyTorch would change them in place under its own gradient.
        states = [ops.copy(state) for state in states]
    mask = None if mask is None else ops.cast(mask, "bool")
    if layer.go_backwards:
        sequences = ops.flip(sequences, axis=1)
        mask = None if mask is None else ops.flip(mask, axis=1)
    values, after = _AllSteps(layer.cell, sequences, states, mask, drop).values_and_states()
    values = {name: values[name] for name in wanted}
    if mask is None:
        last = [state[:, -1] for state in after]
    else:
        held = _last_unmasked(mask)
        last = [_at(held[:, -1:], a, s[:, None])[:, 0] for a, s in zip(after, states, strict=True)]
        if layer.zero_output_for_mask:
            held = ops.where(mask, held, -1)
        values = {name: _at(held, value, ops.zeros_like(value)) for name, value in values.items()}
    if not every_step:
        values = {name: value[:, -1] for name, value in values.items()}
    return values, last


class _AllSteps:
    """One call of the cell's `step` for all B T steps of a batch.

    Args:
        cell: A GatedCell.
        sequences: [B, T, F].
        states: The first ones, [B, size].
        mask: [B, T], bool, or None.
        drop: The mask of recurrent dropout [B, hidden], or None.
    """

    def __init__(self, cell: Any, sequences: Any, states: list, mask: Any, drop: Any):
        self.cell, self.sequences = cell, sequences
        self.mask, self.drop = mask, drop
        self.start = dict(zip(cell.state_names, states, strict=True))
        self.shape = tuple(ops.shape(sequences)[:2])
        self.seen: dict[str, Any] = {}  # what the step has computed so far, [B T, size]

    def values_and_states(self) -> tuple[dict, list]:
        """Every value and state of every step, [B, T, size]; masked steps have any values."""
        cell = self.cell
        x = self._flat(self.sequences)
        past = {
            name: ops.zeros((ops.shape(x)[0], size), cell.compute_dtype)
            for name, size in zip(cell.state_names, cell.state_size, strict=True)
        }
        nets, _ = cell.net(x, past["hidden"])
        if cell.normaliser == "state":
            past |= self._normalised(nets)
        values, after = cell.step(
            x, list(past.values()), touch=self._touch, net=lambda *_: (dict(nets), None)
        )
        return {name: self._over(v) for name, v in values.items()}, [self._over(s) for s in after]

    def _touch(self, name: str, value: Any) -> Any:
        """The `touch` of the step: what looks back is put in its place."""
        if name == "candidate" and self.cell.recurrence.products:
            value = self._read_back(value)
        elif name == "cell_state" and "cell_state" not in self.seen:
            factor = self.cell.state_factor({**self.seen, "cell_state": value})
            value = self._scan(factor, value, self._first_state())  # (5)
        elif name == "cell_state":
            value = self.seen["cell_state"]
        elif name == "normaliser":
            gates = self.seen["forget_gate"], self.seen["input_gate"]
            value = self._scan(*gates, self.start["normaliser"])  # (11)
            if self.mask is not None:  # no 0 / 0 where nothing is stored yet
                value = ops.where(self._flat(self.mask[:, :, None]), value, 1.0)
        self.seen[name] = value
        return value

    def _first_state(self) -> Any:
        return self.start.get("cell_state", self.start["hidden"][:, : self.cell.units])

    def _read_back(self, net_x: Any) -> Any:
        """The candidates net_x + u s_tm1, where s_t = e_t s_tm1 + i_t (net_x + u s_tm1)."""
        cell, s_0 = self.cell, self._first_state()
        u = ops.cast(getattr(cell, cell.recurrence.products[0].weight)[0], cell.compute_dtype)
        if self.drop is not None:
            u = u * self.drop[:, None, : cell.units]
        u = self._flat(ops.broadcast_to(u, (*self.shape, cell.units)))
        i_t = cell._factor("input_gate", self.seen)
        e_t = cell.state_factor({**self.seen, "cell_state": net_x})
        s_t = self.seen["cell_state"] = self._scan(e_t + i_t * u, i_t * net_x, s_0)
        return net_x + u * self._flat(before(self._over(s_t), s_0))

    def _normalised(self, nets: dict) -> dict:
        """What (10) reads of the past: the stabiliser m_tm1, and whether the normaliser is 0."""
        gates = self.cell.own
        log_i, log_f = (gates[name].log(nets[name]) for name in ("input_gate", "forget_gate"))
        empty = ops.equal(self.start["normaliser"], 0.0)
        m_0 = ops.where(empty, MAXIMUM.zero, self.start["stabiliser"])
        m_t = self._over(self._scan(log_f, log_i, m_0, MAXIMUM))
        m_tm1 = before(m_t, m_0)
        still_empty = ops.equal(m_tm1, MAXIMUM.zero)
        filled = ops.cast(ops.logical_not(still_empty), m_tm1.dtype)
        return {"normaliser": self._flat(filled), "stabiliser": self._flat(m_tm1)}

    def _scan(self, factor: Any, addend: Any, start: Any, kind: Semiring = LINEAR) -> Any:
        """The recurrence over time for values [B T, size], in which masked steps change nothing."""
        factor, addend = self._over(factor), self._over(addend)
        if self.mask is not None:
            here = self.mask[:, :, None]
            factor = ops.where(here, factor, kind.one)
            addend = ops.where(here, addend, kind.zero)
        return self._flat(over_time(factor, addend, start, kind))

    def _over(self, flat: Any) -> Any:
        """[B T, size] as [B, T, size]."""
        return ops.reshape(flat, (*self.shape, flat.shape[-1]))

    def _flat(self, values: Any) -> Any:
        return ops.reshape(values, (-1, values.shape[-1]))


def _last_unmasked(mask: Any) -> Any:
    """The last step up to each one that is not masked, [B, T]; -1 before the first."""
    t = ops.broadcast_to(ops.arange(ops.shape(mask)[1]), ops.shape(mask))
    steps = ops.where(mask, t, -1)[:, :, None]
    return over_time(ops.zeros_like(steps), steps, steps[:, 0], MAXIMUM)[:, :, 0]


def _at(steps: Any, values: Any, otherwise: Any) -> Any:
    """Values [B, T, size] at steps [B, S]; `otherwise` where a step is -1."""
    index = ops.maximum(steps, 0)[:, :, None]
    found = ops.take_along_axis(values, index, axis=1)
    return ops.where(steps[:, :, None] >= 0, found, otherwise)
