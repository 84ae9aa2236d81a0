"""Gates: how far each gate is open, step by step."""

from typing import Any

import numpy as np
import pandas as pd

from lstmlab.diagnostics.base import GATES, Chart, Diagnostic, Probe
from lstmlab.diagnostics.common.values import NEAR, values


class GateActivations(Diagnostic):
    """How far each gate is open, over all cells or blocks and all valid steps of the probe.

    Table: gate, mean, near_0 (share of values below 0.1), near_1 (share above 0.9).

    TensorBoard: these as scalars, a histogram, and at measurements 1, 2, 4, 8, ... and the last one
    a time x cell image of one sequence. For the input gate there is also a histogram over the
    events of the task only, which would otherwise be hidden by 1000 steps of distractors.
    """

    name = "gates"
    every = 10_000
    light = True
    charts = (
        Chart(GATES, "mean", r"gates_mean/.*", 1),
        Chart(GATES, "shut, share near 0", r"gates_near_0/.*", 2),
        Chart(GATES, "open, share near 1", r"gates_near_1/.*", 3),
    )
    shown = 0

    def serves(self, model: Any) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        self.probe, self.values = probe, self.traces(model, probe)
        return pd.DataFrame([self._row(gate) for gate in model.cell.gates])

    def traces(self, model: Any, probe: Probe) -> dict[str, np.ndarray]:
        """Every named value of the cell on the probe, {name: [B, T, ...]}."""
        return values(model, probe.x)

    def _row(self, gate: str) -> dict[str, Any]:
        found = self.values[gate][self.probe.valid]
        shares = {"near_0": (found < NEAR).mean(), "near_1": (found > 1 - NEAR).mean()}
        return {"gate": gate, "mean": found.mean(), **shares}

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        for row in table.itertuples():
            for statistic in ("mean", "near_0", "near_1"):
                board.scalar(f"gates_{statistic}/{row.gate}", getattr(row, statistic), sequences)
            board.histogram(f"gates/{row.gate}", self.values[row.gate][self.probe.valid], sequences)

        events = self.probe.events & self.probe.valid
        if events.any() and "input_gate" in self.values:
            at_events = self.values["input_gate"][events]
            board.histogram("gates_at_events/input_gate", at_events, sequences)

        self.shown += 1
        steps = int(self.probe.valid[0].sum())
        rows = {gate: self.values[gate][0, :steps].T for gate in table["gate"]}
        now = self.shown & (self.shown - 1) == 0  # 1, 2, 4, 8, ...
        board.time_by_cell("gates", rows, sequences, now)
