"""Gradients: size, direction and health of the learner's gradient, and how far weights move."""

import sys
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import ERRORS, Chart, Diagnostic, Probe
from lstmlab.diagnostics.common.vectors import angle
from lstmlab.learners.base import GradientLearner


class GradientNorm(Diagnostic):
    """The learner's gradient g, averaged over the sequences of the probe, and the weights W.

        (1) norm, weight_norm   |g|, |W|: Euclidean, over all elements
        (2) update_ratio        |W - W'| / |W|, W' the weights at the measurement before; 0 at the
                                first
        (3) angle               degrees between g and g' of the measurement before; 90 if one of
                                them is zero; 0 at the first
        (4) clipped             1 where clipnorm, global_clipnorm or clipvalue of the optimizer
                                would change g (without the gradients of regularizers): a mean over
                                sequences, so that single ones are mostly larger; 0 without an
                                optimizer, as for a single layer of a Keras model
        (5) finite              1, or 0 where g has an element that is not a finite number; |g| and
                                angle are not finite either then

    One row for each whole weight, net 'all'; where several pre-activations share its
    columns (kernel, recurrent matrices, bias), one more for the columns of each. clipped: clipnorm
    looks at the whole weight, clipvalue at the columns, global_clipnorm at all weights.

    Table: weight, net, norm, weight_norm, update_ratio, angle, clipped, finite. TensorBoard: the
    norms of whole weights, and of all columns of each net together (gradient_norm_by_gate);
    update_ratio and angle of the kernel.
    The first gradient that is not finite is named on stderr.
    """

    name = "gradients"
    every = 10_000
    light = True
    charts = (Chart(ERRORS, "gradient of the weights", r"gradient_norm_by_gate/.*", 4),)

    def serves(self, model: Any) -> bool:
        return isinstance(model.learner, GradientLearner)

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        # before `compiled`, which makes this model the one measured last
        if self._model is not model:
            self._before, self._warned = None, False
        batch = (tf.constant(part) for part in (probe.x, probe.y, probe.w))
        gradients = self.compiled(model, _mean_gradients)(*batch)

        now = _in_float64(gradients), _in_float64(model.trainable_variables)
        # the first measurement is compared with itself: nothing has moved
        before, self._before = self._before or now, now
        with np.errstate(over="ignore", invalid="ignore"):  # of what is not finite
            clipping = _Clipping(getattr(model, "optimizer", None), now[0])
            return _table(_columns(model), *now, *before, clipping)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        for row in table[table["net"] == "all"].itertuples():
            board.scalar(f"gradient_norm/{row.weight}", row.norm, sequences)

        # only the kernel: this may be written after every window
        for row in table[(table["weight"] == "kernel") & (table["net"] == "all")].itertuples():
            board.scalar("gradient_update_ratio/kernel", row.update_ratio, sequences)
            board.scalar("gradient_angle/kernel", row.angle, sequences)
        for net, rows in table[table["net"] != "all"].groupby("net", sort=False):
            norm = np.linalg.norm(rows["norm"])
            board.scalar(f"gradient_norm_by_gate/{net}", norm, sequences)
        self._warn(table, sequences)

    def _warn(self, table: pd.DataFrame, sequences: int) -> None:
        """One line, the first time."""
        sick = table.loc[(table["net"] == "all") & (table["finite"] == 0), "weight"]
        if len(sick) and not self._warned:
            said = f"not finite after {sequences} sequences: {', '.join(sick)}"
            print(f"diagnostic.{self.name}: {said}", file=sys.stderr)
            self._warned = True


class Columns(NamedTuple):
    """Columns of the weight at `place` among the trainable ones."""

    place: int
    weight: str
    net: str
    columns: slice


class _Clipping:
    """Whether an optimizer would clip a gradient."""

    def __init__(self, optimizer: Any, gradients: list[np.ndarray]):
        # a LossScaleOptimizer leaves the clipping to the one that it wraps
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self.clipnorm = getattr(inner, "clipnorm", None)
        self.clipvalue = getattr(inner, "clipvalue", None)
        most = getattr(inner, "global_clipnorm", None)
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        self.together = most is not None and bool(norm > most)

    def acts(self, whole: np.ndarray, columns: np.ndarray) -> bool:
        by_norm = self.clipnorm is not None and np.linalg.norm(whole) > self.clipnorm
        by_value = self.clipvalue is not None and np.abs(columns).max() > self.clipvalue
        return bool(self.together or by_norm or by_value)


def _mean_gradients(model: Any, x: Any, y: Any, w: Any) -> list:
    _, _, gradients = model.learner.gradients(model.cell, model.head, x, y, w)
    return [gradient / x.shape[0] for gradient in gradients]


def _in_float64(tensors: list) -> list[np.ndarray]:
    return [tensor.numpy().astype("float64") for tensor in tensors]


def _columns(model: Any) -> list[Columns]:
    """Every whole weight, followed by the columns of each pre-activation where several share it."""
    found, shared = [], _shared(model.cell)
    named = zip(model.weight_names, model.trainable_variables, strict=True)
    for place, (name, weight) in enumerate(named):
        found.append(Columns(place, name, "all", slice(None)))
        end = 0
        for net, size in shared.get(id(weight), {}).items():
            found.append(Columns(place, name, net, slice(end, end + size)))
            end += size
    return found


def _shared(cell: Any) -> dict[int, dict[str, int]]:
    """{id of a weight: {net: its columns, in order}} for those that several share."""
    if not hasattr(cell, "nets"):
        return {}
    # only these have a column for each pre-activation: the others are cut by head or by row
    recurrent = [p for p in cell.recurrence.products if p.kind in ("full", "cells", "gates")]
    found = {id(getattr(cell, product.weight)): product.nets for product in recurrent}
    found |= {id(cell.kernel): cell.nets, id(cell.bias): cell._biased}
    return {weight: nets for weight, nets in found.items() if len(nets) > 1}


def _table(
    shown: list[Columns],
    gradients: list[np.ndarray],
    weights: list[np.ndarray],
    gradients_before: list[np.ndarray],
    weights_before: list[np.ndarray],
    clipping: _Clipping,
) -> pd.DataFrame:
    rows = []
    for place, weight, net, columns in shown:
        g, g_before = gradients[place][..., columns], gradients_before[place][..., columns]
        value = weights[place][..., columns]
        moved = (weights[place] - weights_before[place])[..., columns]
        size = np.linalg.norm(value)
        rows.append(
            {
                "weight": weight,
                "net": net,
                "norm": np.linalg.norm(g),
                "weight_norm": size,
                "update_ratio": np.linalg.norm(moved) / size if size else 0.0,
                "angle": angle(g.ravel(), g_before.ravel()),
                "clipped": int(clipping.acts(gradients[place], g)),
                "finite": int(np.isfinite(g).all()),
            }
        )
    return pd.DataFrame(rows)
