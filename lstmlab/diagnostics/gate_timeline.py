"""Gate timeline: what each gate does before, at and after the events of the task, whenever they come."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lstmlab.diagnostics.base import Diagnostic, Probe, checked_probe
from lstmlab.diagnostics.events import evenly, first_steps, last_errors
from lstmlab.diagnostics.values import values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 0.1  # "near 0" and "near 1" are within so much of it


class GateTimeline(Diagnostic):
    """Gates per block against the steps since an event, averaged over the sequences of the probe that have that step.

    event: 'beginning', the first step; 'event_1', 'event_2', ..., the first, second, ... event of a sequence as the task marks
    them; 'last_error', the last step with an error. offset: steps since then, negative before. Padding never counts: a
    sequence that is not there at an offset is left out of it, and an offset that none has is left out of the table.

    every: see Diagnostic. before, after: the offsets, -before .. after. events: so many events of a sequence at most.
    blocks: so many blocks at most, of more of them some that lie evenly among all.
    Raises ValueError for a before or after that is no integer >= 0, and for events or blocks that are no positive integers.

    Table: event, offset, gate, block (1, 2, ...), mean, near_0 (share below 0.1), near_1 (share above 0.9), count (of
    sequences averaged). TensorBoard: one image of the means, a row for each gate, a panel for each event, which a line marks.
    """

    name = "gate_timeline"

    def __init__(
        self,
        every: int | str = "doubling",
        before: int = 5,
        after: int = 20,
        events: int = 4,
        blocks: int = 16,
    ):
        super().__init__(every)
        least = {"before": 0, "after": 0, "events": 1, "blocks": 1}
        for argument, value in zip(least, (before, after, events, blocks), strict=True):
            if isinstance(value, bool) or not isinstance(value, int) or value < least[argument]:
                raise ValueError(
                    f"GateTimeline: expected an integer >= {least[argument]}. Received: {argument}={value!r}"
                )
        self.before, self.after, self.events, self.blocks = before, after, events, blocks

    def serves(self, model) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        found = values(model, probe.x)
        offsets = np.arange(-self.before, self.after + 1)
        return _timeline(
            {gate: found[gate] for gate in model.cell.gates},
            probe,
            offsets,
            self.events,
            self.blocks,
        )

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        board.figure("gate_timeline", picture(table), sequences)


def gate_timeline(
    model, probe: Probe, before: int = 5, after: int = 20, events: int = 4, blocks: int = 16
) -> pd.DataFrame:
    """The table of GateTimeline.

    Raises ValueError as that does, for a cell without gates, for what is no Probe, for shapes that do not fit, for a probe
    without a valid step, and for numbers that are not finite.
    """
    timeline = GateTimeline(before=before, after=after, events=events, blocks=blocks)
    probe = checked_probe("gate_timeline", model, probe)
    if not model.cell.gates:
        raise ValueError(
            f"gate_timeline: expected a cell with gates. Received: cell={type(model.cell).__name__} without one"
        )
    return timeline.measure(model, probe)


def picture(table: pd.DataFrame) -> "Figure":
    """A figure of the means: for each gate a band block x offset from 0 (dark) to 1 (bright), the events side by side."""
    from matplotlib.figure import Figure

    columns = table[["event", "offset"]].drop_duplicates()
    places = np.arange(len(columns)) + 2 * pd.factorize(columns["event"])[0]  # a gap between events
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
    for place, (event, offset) in zip(places, columns.to_numpy(), strict=True):
        for axis in axes if offset == 0 else ():
            axis.axvline(place, color="red", linewidth=1)
        if offset == 0:
            axes[0].annotate(
                event.replace("_", " "),
                (place, 1.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                size=8,
            )
    ticks = columns["offset"] % 5 == 0
    axes[-1].set_xticks(places[ticks], columns["offset"][ticks].astype(str))
    axes[-1].set_xlabel("steps since then")
    figure.colorbar(image, ax=list(axes))
    return figure


def _band(axis, means: np.ndarray, places: np.ndarray, blocks: np.ndarray):
    """Means [blocks, columns] at their places from left to right."""
    band = np.full((len(means), places[-1] + 1), np.nan)
    band[:, places] = means
    axis.set_yticks(range(len(blocks)), [str(block) for block in blocks])
    return axis.imshow(band, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")


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
    return pd.concat(tables, ignore_index=True)[
        ["event", "offset", "gate", "block", "mean", "near_0", "near_1", "count"]
    ]


def _anchors(probe: Probe, events: int) -> dict[str, np.ndarray]:
    """{event: its step in each sequence [B], -1 where it does not come}."""
    numbered = {
        f"event_{k}": first_steps(probe.events & probe.valid, k) for k in range(1, events + 1)
    }
    return {"beginning": first_steps(probe.valid), **numbered, "last_error": last_errors(probe)}


def _steps(
    step: np.ndarray, offsets: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The steps at the offsets from `step` [B]: [B, offsets], and whether the sequence has them."""
    at = step[:, None] + offsets
    there = (step >= 0)[:, None] & (at >= 0) & (at < valid.shape[1])
    at = np.clip(at, 0, valid.shape[1] - 1)
    return at, there & np.take_along_axis(valid, at, axis=1)


def _statistics(
    found: np.ndarray, there: np.ndarray, offsets: np.ndarray, shown: np.ndarray
) -> pd.DataFrame:
    """Rows by offset and block, found [B, offsets, blocks] averaged where `there` [B, offsets]."""
    count = there.sum(axis=0)
    some = count > 0
    columns = {"mean": found, "near_0": found < NEAR, "near_1": found > 1 - NEAR}
    averages = {
        name: (
            np.sum(value, axis=0, where=there[..., None], dtype="float64")[some] / count[some, None]
        ).ravel()
        for name, value in columns.items()
    }
    return pd.DataFrame(
        {
            "offset": np.repeat(offsets[some], len(shown)),
            "block": np.tile(shown + 1, some.sum()),
            **averages,
            "count": np.repeat(count[some], len(shown)),
        }
    )
