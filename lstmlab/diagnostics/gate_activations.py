"""Gate activations: how far each gate stands open, step by step."""

import numpy as np
import pandas as pd

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.values import values

NEAR = 0.1  # "near 0" and "near 1" are within so much of it


class GateActivations(Diagnostic):
    """Per gate over all cells or blocks and all valid steps of the probe: mean, share near 0 (< 0.1) and near 1 (> 0.9).

    Table: gate, mean, near_0, near_1. TensorBoard: these as scalars, a histogram, and at the measurements number 1, 2, 4, 8,
    ... a time x cell image of one sequence; of the input gate also a histogram over the events of the task alone, which 1000
    steps of distractors would hide.
    """

    name = "gates"
    shown = 0

    def serves(self, model) -> bool:
        return bool(getattr(model.cell, "gates", None))

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        self.values = self.traces(model, probe)
        rows = []
        for gate in model.cell.gates:
            found = self.values[gate][probe.valid]
            rows.append(
                {
                    "gate": gate,
                    "mean": found.mean(),
                    "near_0": (found < NEAR).mean(),
                    "near_1": (found > 1 - NEAR).mean(),
                }
            )
        self.probe = probe
        return pd.DataFrame(rows)

    def traces(self, model, probe: Probe) -> dict[str, np.ndarray]:
        """Every named value of the cell on the probe, {name: [B, T, ...]} as NumPy."""
        return values(model, probe.x)

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        for row in table.itertuples():
            for statistic in ("mean", "near_0", "near_1"):
                board.scalar(f"gates_{statistic}/{row.gate}", getattr(row, statistic), sequences)
            board.histogram(f"gates/{row.gate}", self.values[row.gate][self.probe.valid], sequences)
        events = self.probe.events & self.probe.valid
        if events.any() and "input_gate" in self.values:
            board.histogram(
                "gates_at_events/input_gate", self.values["input_gate"][events], sequences
            )
        self.shown += 1
        if self.shown & (self.shown - 1):
            return
        steps = int(self.probe.valid[0].sum())
        rows = {gate: self.values[gate][0, :steps].T for gate in table["gate"]}
        board.time_by_cell("gates", rows, sequences)
