"""A diagnostic that costs nothing, for tests of what records diagnostics."""

import numpy as np
import pandas as pd

from lstmlab.diagnostics import Diagnostic


class Scale(Diagnostic):
    """The largest weight; it fails when it is told to."""

    name = "scale"
    fails: Exception | None = None

    def measure(self, model, probe):
        if self.fails:
            raise self.fails
        largest = max(float(np.abs(weight).max()) for weight in model.trainable_variables)
        return pd.DataFrame({"largest": [largest], "steps": probe.w.sum()})

    def show(self, board, table, sequences):
        board.scalar("scale/largest", table["largest"][0], sequences)


def named(name: str, **settings) -> Scale:
    """A Scale of another name, with tables of its own."""
    scale = Scale(**settings)
    scale.name = name
    return scale
