"""Example: one sequence of the probe, step by step, with all that the cell does on it."""

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.values import values


class Example(Diagnostic):
    """The first probe sequence: inputs, target, weight of the error, prediction, and every value of the cell at each step.

    Table, one row per valid step: t, input_1 .. input_F, target_1 .. target_K, weight, event (0 or 1), prediction_1 .., then
    each gate present, candidate, cell_state and output as <name>_1, <name>_2, ... (gates: per block). Nothing for TensorBoard.
    """

    name = "example"

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        steps = int(probe.valid[0].sum())
        found = {name: value[0] for name, value in values(model, probe.x).items()}
        prediction = model.head(
            tf.constant(found["output"][None]), tf.constant(probe.x[:1])
        ).numpy()[0]
        columns = {
            "input": probe.x[0],
            "target": probe.y[0],
            "weight": probe.w[0],
            "event": probe.events[0].astype(int),
            "prediction": prediction,
            **found,
        }
        table = {"t": np.arange(1, steps + 1)}
        for name, column in columns.items():
            if column.ndim == 1:
                table[name] = column[:steps]
            else:
                table.update({f"{name}_{k + 1}": column[:steps, k] for k in range(column.shape[1])})
        return pd.DataFrame(table)

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        """Left to the run's picture."""
