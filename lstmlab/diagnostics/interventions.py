"""Interventions: one gate held open, shut or at its mean for a while, and what is lost by it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe, checked, trace
from lstmlab.diagnostics.events import evenly, spans

Interval = Literal["between", "all"] | tuple[int, int]
VALUES = ("open", "closed", "mean")


class Interventions(Diagnostic):
    """Every gate of the cell clamped over an interval of steps, one at a time: which of them forgets?

    value: 'open' (1), 'closed' (0) or 'mean' (of the gate itself over the valid steps of the probe, per block). The clamp
    touches the gate's own value alone, as it multiplies: a gate coupled to it has been computed before. The refine gate acts
    through the forget gate, and so on a gate coupled to that one.
    interval: 'between', the steps strictly between the first event and the last error of each sequence (without an event
    before it, between the first step and the last error; where no sequence has such a step, as 'all'); 'all', every valid step;
    or (first, last), steps counted from 0. Sequences without such a step go on untouched.

        (1) error               mean |target - prediction| over the steps with an error
        (2) recalled            share of the target's variance there that the prediction explains, over sequences, steps and
                                outputs: 1 - sum |target - prediction|^2 / sum |target - mean target|^2; 0 if negative or if
                                all targets are equal
        (3) retention           ds^k_end / ds^k_begin, exact: by every path. begin: the step before the interval, or the first
                                step for an interval from there on; end: its last step
        (4) retention_carousel  the same with see=stop_gradient, which is the product of the forget gate over begin+1 .. end

    (3) and (4) are means over cells k and the sequences with such an interval. A closed forget gate makes (4) zero, and (3) but
    for what begin has put into the fed-back values before its state is lost; other gates change (3) only by what is fed back
    and what gates see, and (4) only so far as the forget gate's value follows from that.

    every: see Diagnostic. cells: (3) and (4) are taken for so many at most, of more for some that lie evenly among all; time
    and memory grow with them.
    Raises ValueError for another interval, and for cells that is no positive integer.

    Table: gate, value, steps (clamped, mean over sequences), and <what>_before, <what>_after for (1) to (4); (3) and (4) alone
    for a single layer of a Keras model. TensorBoard: interventions_error, interventions_recalled and
    interventions_retention/<gate>_<value>, and /untouched beside them.
    """

    name = "interventions"

    def __init__(
        self, every: int | str = 50_000, interval: str | Sequence[int] = "between", cells: int = 8
    ):
        super().__init__(every)
        self.interval = _checked_interval("Interventions", interval)
        if isinstance(cells, bool) or not isinstance(cells, int) or cells < 1:
            raise ValueError(
                f"Interventions: expected a positive integer. Received: cells={cells!r}"
            )
        self.cells = cells

    def serves(self, model) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        where = _where("Interventions", probe, self.interval, widen=True)
        cells = tuple(evenly(model.cell.units, self.cells).tolist())
        effects = _Effects(
            model, probe, where, cells, self.compiled(model, partial(_effects, cells=cells))
        )
        return pd.DataFrame(
            [effects.row(gate, value) for gate in model.cell.gates for value in VALUES]
        )

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        for what in ("error", "recalled", "retention"):
            if f"{what}_after" in table:
                board.scalar(
                    f"interventions_{what}/untouched", table[f"{what}_before"].iloc[0], sequences
                )
                for row in table.to_dict("records"):
                    board.scalar(
                        f"interventions_{what}/{row['gate']}_{row['value']}",
                        row[f"{what}_after"],
                        sequences,
                    )


def intervene(
    model,
    x,
    y,
    w,
    gate: str,
    value: str = "closed",
    interval: str | Sequence[int] = "between",
    events=None,
) -> pd.DataFrame:
    """One row of the table of Interventions, for a batch x [B, T, F], y [B, T, K], w [B, T]; over all cells.

    events: bool [B, T], for 'between'; default: none. Valid are the steps up to and with the last error of a sequence.
    Compiles for each call. Raises ValueError for a gate that the cell has not, another value, an interval that is none, leaves
    T, or leaves no step to begin from and one after it in any sequence, for a cell without `step`, for shapes that do not fit
    it or the head, for nothing, and for numbers that are not finite.
    """
    x, y, w = checked("intervene", model, x, y, w, each=False)
    if gate not in model.cell.gates:
        has = ", ".join(model.cell.gates) or "none"
        raise ValueError(
            f"intervene: expected a gate that the cell has: {has}. Received: gate={gate!r}"
        )
    if value not in VALUES:
        raise ValueError(f"intervene: expected one of {VALUES}. Received: value={value!r}")
    events = np.zeros(w.shape, bool) if events is None else np.asarray(events, bool)
    if events.shape != w.shape:
        raise ValueError(
            f"intervene: expected events [B, T] = {w.shape}. Received: events={events.shape}"
        )
    valid = np.flip(np.cumsum(np.flip(w > 0, axis=1), axis=1), axis=1) > 0
    probe = Probe(x, y, w, valid, events)
    where = _where("intervene", probe, _checked_interval("intervene", interval))
    cells = tuple(range(model.cell.units))
    function = tf.function(partial(_effects, model, cells=cells), jit_compile=True, autograph=False)
    return pd.DataFrame([_Effects(model, probe, where, cells, function).row(gate, value)])


def _checked_interval(owner: str, interval) -> Interval:
    if interval == "between":
        return "between"
    if interval == "all":
        return "all"
    if isinstance(interval, Sequence) and not isinstance(interval, str) and len(interval) == 2:
        whole = all(
            isinstance(step, (int, np.integer)) and not isinstance(step, bool) for step in interval
        )
        if whole and 0 <= interval[0] <= interval[1]:
            return int(interval[0]), int(interval[1])
    raise ValueError(
        f"{owner}: expected 'between', 'all', or two steps (first, last), 0 <= first <= last. Received: interval={interval!r}"
    )


def _where(owner: str, probe: Probe, interval: Interval, widen: bool = False) -> np.ndarray:
    """bool [B, T]: the steps of the interval. widen: 'between' becomes 'all' where it has no step."""
    length = probe.w.shape[1]
    steps = np.arange(length)
    if interval == "between":
        first, last = spans(probe)
        where = (steps > first[:, None]) & (steps < last[:, None])
        if widen and not where.any():
            return _where(owner, probe, "all")
    elif interval == "all":
        where = np.broadcast_to(steps >= 0, probe.valid.shape)
    else:
        start, stop = interval
        if stop >= length:
            raise ValueError(
                f"{owner}: expected steps within 0 .. {length - 1}. Received: interval={interval}"
            )
        where = np.broadcast_to((steps >= start) & (steps <= stop), probe.valid.shape)
    where = where & probe.valid
    if not (where.any(axis=1) & (_end(where) > 0)).any():
        raise ValueError(
            f"{owner}: expected a sequence with a step of the interval behind its first step. Received: interval={interval!r}"
        )
    return where


def _end(where: np.ndarray) -> np.ndarray:
    return np.where(where, np.arange(where.shape[1]), -1).max(axis=1)


class _Effects:
    """What clamps over the steps `where` [B, T] do, beside what happens untouched; function: _effects, compiled."""

    def __init__(
        self, model, probe: Probe, where: np.ndarray, cells: tuple[int, ...], function: Callable
    ):
        self.cell, self.probe, self.where, self.function = model.cell, probe, where, function
        self.linear = getattr(model, "linear", False)
        self.cells = list(cells)
        self.begin, self.end = (
            np.maximum(np.argmax(where, axis=1) - 1, 0),
            np.maximum(_end(where), 0),
        )
        self.none = {
            gate: np.zeros(model.cell.value_sizes[gate], probe.x.dtype) for gate in model.cell.gates
        }
        self.before, gates = self._measured(None, {})
        self.means = {gate: values[probe.valid].mean(axis=0) for gate, values in gates.items()}

    def row(self, gate: str, value: str) -> dict:
        mean = self.means[gate]
        held = mean if value == "mean" else np.full_like(mean, value == "open")
        after, _ = self._measured(gate, {gate: held})
        both = {
            f"{what}_{when}": side[what]
            for what in after
            for when, side in (("before", self.before), ("after", after))
        }
        return {"gate": gate, "value": value, "steps": self.where.sum(axis=1).mean(), **both}

    def _measured(
        self, gate: str | None, held: dict
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """(1) to (4), and the values [B, T, m] of the gates."""
        clamped = {name: np.array(name == gate) for name in self.none}
        found = self.function(
            self.probe.x, self.where, self.begin, self.end, clamped, {**self.none, **held}
        )
        gates = {name: value.numpy() for name, value in found["gates"].items()}
        known = self.end > self.begin
        retained = {
            "retention": float(found["retention"].numpy()[:, known].mean(dtype="float64")),
            "retention_carousel": self._carousel(gates, known),
        }
        return (
            retained if self.linear else {**self._recall(found["prediction"].numpy()), **retained}
        ), gates

    def _carousel(self, gates: dict[str, np.ndarray], known: np.ndarray) -> float:
        """(4): where the nets see nothing of it, s_tm1 reaches s_t through the forget gate alone."""
        steps = np.arange(self.where.shape[1])
        within = (steps > self.begin[:, None]) & (steps <= self.end[:, None])
        like = np.ones((*self.where.shape, self.cell.units))
        factor = self.cell.state_factor({**gates, "cell_state": like})
        kept = factor.astype("float64")[..., self.cells]
        return float(np.prod(kept, axis=1, where=within[..., None])[known].mean())

    def _recall(self, prediction: np.ndarray) -> dict[str, float]:
        """(1) and (2)."""
        there = self.probe.w > 0
        target, found = self.probe.y[there].astype("float64"), prediction[there].astype("float64")
        spread = np.sum((target - target.mean(axis=0)) ** 2)
        explained = 1 - np.sum((target - found) ** 2) / spread if spread else 0.0
        return {
            "error": float(np.abs(target - found).mean()),
            "recalled": float(max(explained, 0.0)),
        }


def _effects(
    model, x, where, begin, end, clamped: dict, held: dict, cells: tuple[int, ...]
) -> dict:
    """prediction [B, T, K], retention [cells, B] and gates {name: [B, T, m]}, under clamps of those gates that are `clamped`.

    x [B, T, F]; where bool [B, T]; begin, end [B]; held {gate: [m]}. The batch is repeated for each of the cells, so that one
    derivative gives ds^k_end / ds^k_begin for all of them.
    """
    cell, (batch, length), dtype = model.cell, x.shape[:2], model.cell.compute_dtype
    x = tf.tile(x, [len(cells), 1, 1])
    clamps = {}
    for gate in clamped:
        here = tf.tile((where & clamped[gate])[..., None], [len(cells), 1, 1])
        clamps[gate] = (
            tf.cast(here, dtype),
            tf.broadcast_to(tf.cast(held[gate], dtype), (*x.shape[:2], held[gate].shape[0])),
        )
    own = tf.one_hot(np.repeat(cells, batch), cell.units, dtype=dtype)[:, None]
    at_begin, at_end = (
        tf.tile(tf.one_hot(step, length, dtype=dtype), [len(cells), 1])[..., None]
        for step in (begin, end)
    )
    tap = tf.zeros((*x.shape[:2], cell.units), dtype)
    with tf.GradientTape() as tape:
        tape.watch(tap)
        values = trace(_Copies(cell, len(cells)), x, taps={"cell_state": tap}, clamps=clamps)
        asked = tf.reduce_sum(values["cell_state"] * tf.cast(own * at_end, cell.variable_dtype))
    retention = tf.reduce_sum(tape.gradient(asked, tap) * own * at_begin, axis=(1, 2))
    return {
        "prediction": model.head(values["output"][:batch], x[:batch]),
        "retention": tf.reshape(tf.cast(retention, cell.variable_dtype), (len(cells), batch)),
        "gates": {gate: values[gate][:batch] for gate in clamped},
    }


class _Copies:
    """A cell for copies of a batch, one below the other: each begins in the states of the batch, which need not be zero."""

    def __init__(self, cell, copies: int):
        self._cell, self._copies = cell, copies

    def __getattr__(self, name: str):
        return getattr(self._cell, name)

    def get_initial_state(self, batch_size: int) -> list:
        states = self._cell.get_initial_state(batch_size=batch_size // self._copies)
        return [tf.tile(state, [self._copies, 1]) for state in states]
