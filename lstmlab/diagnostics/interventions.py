"""Interventions: one gate held open, closed or at its mean for a while, and what is lost by it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab import checks
from lstmlab.diagnostics.base import CAUSES, Chart, Diagnostic, Probe
from lstmlab.diagnostics.common.checked import checked
from lstmlab.diagnostics.common.steps import evenly, last_steps, spans, until_last_error
from lstmlab.diagnostics.common.tracing import trace
from lstmlab.errors import refusal

__all__ = ["intervene"]

Interval = Literal["between", "all"] | tuple[int, int]
VALUES = ("open", "closed", "mean")


class Interventions(Diagnostic):
    """Each gate of the cell is clamped in turn over an interval of steps: which one forgets?

    value: 'open' (1), 'closed' (0) or 'mean' (of the gate itself over the valid steps of the probe,
    per block). The clamp changes only the factor by which this gate multiplies; a gate coupled to
    it has already been computed. The refine gate acts through the forget gate, and therefore also
    on a gate coupled to the forget gate.

        (1) error               mean |target - prediction| over the steps with an error
        (2) recalled            share of the target's variance there that the prediction explains,
                                over sequences, steps and outputs:
                                1 - sum |target - prediction|^2 / sum |target - mean target|^2;
                                0 if negative or if all targets are equal
        (3) retention           ds^k_end / ds^k_begin, exact: along every path. begin: the step
                                before the interval, or the first step for an interval that starts
                                there; end: its last step
        (4) retention_carousel  the same with see=stop_gradient, which is the product of the forget
                                gate over begin+1 .. end

    (3) and (4) are means over cells k and the sequences with such an interval. A closed forget gate
    makes (4) zero, and (3) too, except for what the state at `begin` has put into the fed-back
    values before it is lost; other gates change (3) only through fed-back values and peepholes, and
    (4) only insofar as the forget gate's value depends on those.

    Table: gate, value, steps (clamped, mean over sequences), and <what>_before, <what>_after for
    (1) to (4); only (3) and (4) for a single layer of a Keras model. TensorBoard:
    interventions_recalled and interventions_retention/<gate>_<value> of 'open' and 'closed', and
    /untouched next to them.

    Args:
        every: See Diagnostic.
        interval: 'between', the steps strictly between the first event and the last error of each
            sequence (without an event before it, between the first step and the last error; if no
            sequence has such a step, as 'all'); 'all', every valid step; or (first, last), steps
            counted from 0. Sequences without such a step are not clamped.
        cells: (3) and (4) are computed for at most this many cells; if there are more, for an
            evenly spaced selection. Time and memory grow with them.

    Raises:
        ValueError: For any other interval, and if `cells` is not a positive integer.
    """

    name = "interventions"
    every = 50_000
    wide = True
    charts = (
        Chart(
            CAUSES,
            "recalled with a gate clamped",
            r"interventions_recalled/.*",
            1,
        ),
        Chart(
            CAUSES,
            "retention with a gate clamped",
            r"interventions_retention/.*",
            2,
        ),
    )

    def __init__(
        self,
        every: int | str | None = None,
        interval: str | Sequence[int] = "between",
        cells: int = 8,
    ):
        super().__init__(every)
        self.interval = _checked_interval("Interventions", interval)
        self.cells = checks.integer("Interventions", "cells", cells)

    def serves(self, model: Any) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        where = _where("Interventions", probe, self.interval, widen=True)
        cells = tuple(evenly(model.cell.units, self.cells).tolist())
        function = self.compiled(model, partial(_effects, cells=cells))
        effects = _Effects(model, probe, where, cells, function)
        rows = [effects.row(gate, value) for gate in model.cell.gates for value in VALUES]
        return pd.DataFrame(rows)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        shown = [what for what in ("recalled", "retention") if f"{what}_after" in table]
        held = table[table["value"] != "mean"].to_dict("records")
        for what in shown:
            untouched = table[f"{what}_before"].iloc[0]
            board.scalar(f"interventions_{what}/untouched", untouched, sequences)
            for row in held:
                tag = f"interventions_{what}/{row['gate']}_{row['value']}"
                board.scalar(tag, row[f"{what}_after"], sequences)


def intervene(
    model: Any,
    x: Any,
    y: Any,
    w: Any,
    gate: str,
    value: str = "closed",
    interval: str | Sequence[int] = "between",
    events: Any = None,
) -> pd.DataFrame:
    """One row of the table of Interventions for a batch; over all cells. Compiles for each call.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        y: Targets [B, T, K].
        w: Weight of the error [B, T]. Steps up to the last error of a sequence are valid.
        gate: The gate to clamp.
        value: 'open', 'closed' or 'mean'.
        interval: As in Interventions.
        events: bool [B, T], for 'between'; None: no events.

    Raises:
        ValueError: For a gate that the cell does not have, another value, an interval that is not
            one, leaves T, or leaves no step to begin from and one after it in any sequence, for a
            cell without `step`, for shapes that do not fit it or the head, for an empty batch, and
            for numbers that are not finite.
    """
    owner = "intervene"
    x, y, w = checked(owner, model, x, y, w, each=False)
    if gate not in model.cell.gates:
        has = ", ".join(model.cell.gates) or "none"
        raise refusal(owner, f"a gate that the cell has: {has}", {"gate": gate})
    checks.one_of(owner, "value", value, VALUES)
    events = np.zeros(w.shape, bool) if events is None else np.asarray(events, bool)
    if events.shape != w.shape:
        raise refusal(owner, f"events [B, T] = {w.shape}", f"events={events.shape}")

    probe = Probe(x, y, w, until_last_error(w), events)
    where = _where(owner, probe, _checked_interval(owner, interval))
    cells = tuple(range(model.cell.units))
    function = tf.function(partial(_effects, model, cells=cells), jit_compile=True, autograph=False)
    return pd.DataFrame([_Effects(model, probe, where, cells, function).row(gate, value)])


# ---- the interval


def _checked_interval(owner: str, interval: Any) -> Interval:
    if interval == "between":
        return "between"
    if interval == "all":
        return "all"
    if isinstance(interval, Sequence) and not isinstance(interval, str) and len(interval) == 2:
        first, last = interval
        if _is_step(first) and _is_step(last) and 0 <= first <= last:
            return int(first), int(last)
    expected = "'between', 'all', or two steps (first, last), 0 <= first <= last"
    raise refusal(owner, expected, {"interval": interval})


def _is_step(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _where(owner: str, probe: Probe, interval: Interval, widen: bool = False) -> np.ndarray:
    """bool [B, T]: the steps of the interval. widen: 'between' becomes 'all' where it is empty."""
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
            raise refusal(owner, f"steps within 0 .. {length - 1}", {"interval": interval})
        where = np.broadcast_to((steps >= start) & (steps <= stop), probe.valid.shape)

    where = where & probe.valid
    if not (where.any(axis=1) & (last_steps(where) > 0)).any():
        expected = "a sequence with a step of the interval behind its first step"
        raise refusal(owner, expected, {"interval": interval})
    return where


# ---- the clamps


class _Effects:
    """Effects of clamps over the steps `where` [B, T], next to the run without clamps.

    function: _effects, compiled.
    """

    def __init__(
        self,
        model: Any,
        probe: Probe,
        where: np.ndarray,
        cells: tuple[int, ...],
        function: Callable,
    ):
        self.cell, self.probe, self.where, self.function = model.cell, probe, where, function
        # then the head's answer means nothing (recording.layers), and (1) and (2) are left out
        self.linear = getattr(model, "linear", False)
        self.cells = list(cells)
        self.begin = np.maximum(np.argmax(where, axis=1) - 1, 0)
        self.end = np.maximum(last_steps(where), 0)

        sizes = {gate: model.cell.value_sizes[gate] for gate in model.cell.gates}
        self.none = {gate: np.zeros(size, probe.x.dtype) for gate, size in sizes.items()}
        self.before, gates = self._measured(None, {})
        self.means = {gate: values[probe.valid].mean(axis=0) for gate, values in gates.items()}

    def row(self, gate: str, value: str) -> dict[str, Any]:
        mean = self.means[gate]
        held = mean if value == "mean" else np.full_like(mean, value == "open")
        after, _ = self._measured(gate, {gate: held})

        row = {"gate": gate, "value": value, "steps": self.where.sum(axis=1).mean()}
        for what in after:
            row |= {f"{what}_before": self.before[what], f"{what}_after": after[what]}
        return row

    def _measured(
        self, gate: str | None, held: dict[str, np.ndarray]
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """(1) to (4), and the values [B, T, m] of the gates."""
        # all gates and as arrays, so that one compiled graph serves every clamp
        clamped = {name: np.array(name == gate) for name in self.none}
        held = {**self.none, **held}
        found = self.function(self.probe.x, self.where, self.begin, self.end, clamped, held)

        gates = {name: value.numpy() for name, value in found["gates"].items()}
        # a sequence whose interval is its first step has nothing to retain
        known = self.end > self.begin
        retained = {
            "retention": float(found["retention"].numpy()[:, known].mean(dtype="float64")),
            "retention_carousel": self._carousel(gates, known),
        }
        recalled = {} if self.linear else self._recall(found["prediction"].numpy())
        return {**recalled, **retained}, gates

    def _carousel(self, gates: dict[str, np.ndarray], known: np.ndarray) -> float:
        """(4): where nothing of it is read back, s_tm1 reaches s_t through the forget gate only."""
        steps = np.arange(self.where.shape[1])
        within = (steps > self.begin[:, None]) & (steps <= self.end[:, None])
        # without a forget gate the factor takes only its shape and kind from here
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
        error = np.abs(target - found).mean()
        return {"error": float(error), "recalled": float(max(explained, 0.0))}


def _effects(
    model: Any,
    x: Any,
    where: Any,
    begin: Any,
    end: Any,
    clamped: dict,
    held: dict,
    cells: tuple[int, ...],
) -> dict[str, Any]:
    """One run under clamps: what is answered, and what is left of the cells' states.

    The batch is repeated for each of the cells, so that one derivative gives ds^k_end / ds^k_begin
    for all of them.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        where: bool [B, T], the steps of the clamp.
        begin, end: [B], the steps between which retention is measured.
        clamped: {gate: whether it is clamped}.
        held: {gate: the value it is clamped to [m]}.
        cells: The cells k.

    Returns:
        prediction [B, T, K], retention [cells, B] and gates {name: [B, T, m]}.
    """
    cell, (batch, length), dtype = model.cell, x.shape[:2], model.cell.compute_dtype
    copies = len(cells)
    x = tf.tile(x, [copies, 1, 1])

    clamps = {}
    for gate in clamped:
        here = tf.tile((where & clamped[gate])[..., None], [copies, 1, 1])
        shape = (*x.shape[:2], held[gate].shape[0])
        clamps[gate] = tf.cast(here, dtype), tf.broadcast_to(tf.cast(held[gate], dtype), shape)

    # copy k looks at cell k only: at its state at `end`, and at a tap on it at `begin`
    own = tf.one_hot(np.repeat(cells, batch), cell.units, dtype=dtype)[:, None]
    # [copies * B, T, 1], copy after copy as tf.tile lays them
    at_begin, at_end = (
        tf.tile(tf.one_hot(step, length, dtype=dtype), [copies, 1])[..., None]
        for step in (begin, end)
    )
    tap = tf.zeros((*x.shape[:2], cell.units), dtype)
    with tf.GradientTape() as tape:
        tape.watch(tap)
        values = trace(_Copies(cell, copies), x, taps={"cell_state": tap}, clamps=clamps)
        asked = tf.reduce_sum(values["cell_state"] * tf.cast(own * at_end, cell.variable_dtype))
    # (3), the one element of the sum that is not masked out
    retention = tf.reduce_sum(tape.gradient(asked, tap) * own * at_begin, axis=(1, 2))

    return {
        "prediction": model.head(values["output"][:batch], x[:batch]),
        "retention": tf.reshape(tf.cast(retention, cell.variable_dtype), (copies, batch)),
        "gates": {gate: values[gate][:batch] for gate in clamped},
    }


class _Copies:
    """A cell for copies of a batch, one below the other.

    Each copy begins in the states of the batch, which need not be zero.
    """

    def __init__(self, cell: Any, copies: int):
        self._cell, self._copies = cell, copies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def get_initial_state(self, batch_size: int) -> list:
        states = self._cell.get_initial_state(batch_size=batch_size // self._copies)
        return [tf.tile(state, [self._copies, 1]) for state in states]
