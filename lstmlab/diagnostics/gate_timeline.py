"""Gate timeline: what each gate does before, at and after the events of the task."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lstmlab import checks
from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.common.checked import checked_probe
from lstmlab.diagnostics.common.steps import evenly, first_steps, last_errors
from lstmlab.diagnostics.common.values import NEAR, values
from lstmlab.errors import refusal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gate_timeline"]

COLUMNS = ["event", "offset", "gate", "block", "mean", "near_0", "near_1", "count"]


class GateTimeline(Diagnostic):
    """Gates per block against the steps since an event, averaged over sequences of the probe.

    event: 'beginning', the first step; 'event_1', 'event_2', ..., the first, second, ... event of a
    sequence as the task marks them; 'last_error', the last step with an error. offset: steps since
    then, negative before. Padding never counts: a sequence that does not have the step at an offset
    is left out there, and an offset that no sequence has is left out of the table.

    Table: event, offset, gate, block (1, 2, ...), mean, near_0 (share below 0.1), near_1 (share
    above 0.9), count (of sequences averaged). TensorBoard: one image of the means, a row for each
    gate, a panel for each event, which a line marks.

    Args:
        every: See Diagnostic.
        before: Steps shown before an event, an integer >= 0.
        after: Steps shown after it, an integer >= 0.
        events: How many events of a sequence are shown at most.
        blocks: How many blocks are shown at most; of more, some that are spread evenly.

    Raises:
        ValueError: For any other value.
    """

    name = "gate_timeline"
    every = "doubling"
    wide = True

    def __init__(
        self,
        every: int | str | None = None,
        before: int = 5,
        after: int = 20,
        events: int = 4,
        blocks: int = 16,
    ):
        super().__init__(every)
        owner = "GateTimeline"
        self.before = checks.integer(owner, "before", before, least=0)
        self.after = checks.integer(owner, "after", after, least=0)
        self.events = checks.integer(owner, "events", events)
        self.blocks = checks.integer(owner, "blocks", blocks)

    def serves(self, model: Any) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        found = values(model, probe.x)
        gates = {gate: found[gate] for gate in model.cell.gates}
        offsets = np.arange(-self.before, self.after + 1)
        return _timeline(gates, probe, offsets, self.events, self.blocks)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        board.figure("gate_timeline", picture(table), sequences)


def gate_timeline(
    model: Any, probe: Probe, before: int = 5, after: int = 20, events: int = 4, blocks: int = 16
) -> pd.DataFrame:
    """The table of GateTimeline.

    Args:
        model: A Recurrent whose cell has gates.
        probe: The sequences to look at.
        before, after, events, blocks: As in GateTimeline.

    Raises:
        ValueError: As GateTimeline does, for a cell without gates, for anything that is not a
            Probe, for shapes that do not fit, for a probe without a valid step, and for numbers
            that are not finite.
    """
    timeline = GateTimeline(before=before, after=after, events=events, blocks=blocks)
    probe = checked_probe("gate_timeline", model, probe)
    if not model.cell.gates:
        received = f"cell={type(model.cell).__name__} without one"
        raise refusal("gate_timeline", "a cell with gates", received)
    return timeline.measure(model, probe)


# ---- the picture


def picture(table: pd.DataFrame) -> "Figure":
    """A figure of the means: a band (block x offset) for each gate, 0 dark and 1 bright.

    The events are side by side.
    """
    from matplotlib.figure import Figure

    columns = table[["event", "offset"]].drop_duplicates()
    places = np.arange(len(columns)) + 2 * pd.factorize(columns["event"])[0]  # a gap between events
    # the rows of a gate come column after column: [columns, blocks] -> [blocks, columns]
    bands = {
        gate: rows["mean"].to_numpy().reshape(len(columns), -1).T
        for gate, rows in table.groupby("gate", sort=False)
    }

    heights = [len(band) for band in bands.values()]
    size = 2.5 + 0.09 * places[-1], 0.9 + 0.35 * len(bands) + 0.2 * sum(heights)
    figure = Figure(size, dpi=80, layout="constrained")
    axes = figure.subplots(len(bands), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]

    for axis, gate in zip(axes, bands, strict=True):
        image = _band(axis, bands[gate], places, table.loc[table["gate"] == gate, "block"].unique())
        axis.set_ylabel(gate.replace("_", "\n"), rotation=0, ha="right", va="center")
    _mark(axes, columns, places)

    ticks = columns["offset"] % 5 == 0
    axes[-1].set_xticks(places[ticks], columns["offset"][ticks].astype(str))
    axes[-1].set_xlabel("steps since then")
    figure.colorbar(image, ax=list(axes))
    return figure


def _band(axis: Any, means: np.ndarray, places: np.ndarray, blocks: np.ndarray) -> Any:
    """Draw means [blocks, columns] at their places from left to right."""
    # NaN leaves the gaps between events empty
    band = np.full((len(means), places[-1] + 1), np.nan)
    band[:, places] = means
    axis.set_yticks(range(len(blocks)), [str(block) for block in blocks])
    return axis.imshow(band, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")


def _mark(axes: np.ndarray, columns: pd.DataFrame, places: np.ndarray) -> None:
    """A line through all bands at each event, and its name above it."""
    at = ("data", "axes fraction")
    for place, (event, offset) in zip(places, columns.to_numpy(), strict=True):
        if offset != 0:
            continue
        for axis in axes:
            axis.axvline(place, color="red", linewidth=1)
        name = event.replace("_", " ")
        axes[0].annotate(name, (place, 1.02), xycoords=at, ha="center", size=8)


# ---- the table


def _timeline(
    gates: dict[str, np.ndarray], probe: Probe, offsets: np.ndarray, events: int, blocks: int
) -> pd.DataFrame:
    tables = []
    for event, step in _anchors(probe, events).items():
        at, there = _steps(step, offsets, probe.valid)
        if not there.any():
            continue
        for gate, value in gates.items():
            shown = evenly(value.shape[-1], blocks)
            found = value[np.arange(len(at))[:, None], at][..., shown]
            tables.append(_statistics(found, there, offsets, shown).assign(event=event, gate=gate))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _anchors(probe: Probe, events: int) -> dict[str, np.ndarray]:
    """{event: its step in each sequence [B], -1 where it does not come}."""
    marks = probe.events & probe.valid
    numbered = {f"event_{k}": first_steps(marks, k) for k in range(1, events + 1)}
    return {"beginning": first_steps(probe.valid), **numbered, "last_error": last_errors(probe)}


def _steps(
    step: np.ndarray, offsets: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The steps at the offsets from `step` [B]: [B, offsets], and whether the sequence has them."""
    at = step[:, None] + offsets
    there = (step >= 0)[:, None] & (at >= 0) & (at < valid.shape[1])
    # clipped only to be an index: `there` says which of these count
    at = np.clip(at, 0, valid.shape[1] - 1)
    return at, there & np.take_along_axis(valid, at, axis=1)


def _statistics(
    found: np.ndarray, there: np.ndarray, offsets: np.ndarray, shown: np.ndarray
) -> pd.DataFrame:
    """Rows by offset and block: found [B, offsets, blocks] averaged where `there` [B, offsets]."""
    count = there.sum(axis=0)
    some = count > 0

    def average(value: np.ndarray) -> np.ndarray:
        total = np.sum(value, axis=0, where=there[..., None], dtype="float64")
        return (total[some] / count[some, None]).ravel()

    return pd.DataFrame(
        {
            "offset": np.repeat(offsets[some], len(shown)),
            "block": np.tile(shown + 1, some.sum()),
            "mean": average(found),
            "near_0": average(found < NEAR),
            "near_1": average(found > 1 - NEAR),
            "count": np.repeat(count[some], len(shown)),
        }
    )
