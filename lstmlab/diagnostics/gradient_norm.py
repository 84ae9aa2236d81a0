"""Gradient norm: the size of the learner's gradient for each weight matrix."""

import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.learners.base import Learner


class GradientNorm(Diagnostic):
    """Norm of the learner's own gradient, averaged over the sequences of the probe, for each weight matrix.

    Table: weight, norm. TensorBoard: scalars.
    """

    name = "gradients"

    def serves(self, model) -> bool:
        return type(model.learner).gradients is not Learner.gradients

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        norms = self.compiled(model, _norms)(tf.constant(probe.x), tf.constant(probe.y), tf.constant(probe.w))
        return pd.DataFrame({"weight": model.weight_names, "norm": [float(norm) for norm in norms]})

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        for row in table.itertuples():
            board.scalar(f"gradient_norm/{row.weight}", row.norm, sequences)


def _norms(model, x, y, w) -> list:
    _, _, gradients = model.learner.gradients(model.cell, model.head, x, y, w)
    return [tf.norm(gradient) / x.shape[0] for gradient in gradients]
