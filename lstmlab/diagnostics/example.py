"""Example: one sequence of the probe, step by step, with everything the cell computes on it."""

from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.common.values import values


class Example(Diagnostic):
    """Inputs, target, weight of the error, prediction and cell values on the first probe sequence.

    Table, one row per valid step: t, input_1 .. input_F, target_1 .. target_K, weight, event (0 or
    1), prediction_1 .., then each gate present, candidate, cell_state and output as <name>_1,
    <name>_2, ... (gates: per block). Nothing for TensorBoard.
    """

    name = "example"
    every = 50_000
    light = True
    wide = True

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        steps = int(probe.valid[0].sum())
        found = {name: value[0] for name, value in values(model, probe.x).items()}
        output, x = tf.constant(found["output"][None]), tf.constant(probe.x[:1])

        columns = {
            "input": probe.x[0],
            "target": probe.y[0],
            "weight": probe.w[0],
            "event": probe.events[0].astype(int),
            "prediction": model.head(output, x).numpy()[0],
            **found,
        }

        table = {"t": np.arange(1, steps + 1)}
        for name, column in columns.items():
            if column.ndim == 1:
                table[name] = column[:steps]
            else:
                table |= {f"{name}_{k + 1}": column[:steps, k] for k in range(column.shape[1])}
        return pd.DataFrame(table)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        """Write nothing: the run's own picture shows it."""
