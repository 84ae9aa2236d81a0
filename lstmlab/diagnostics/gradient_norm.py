"""Gradient norm: size, direction and health of the learner's gradient, and how far the weights moved, by matrix and by gate."""

import sys
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.learners.base import GradientLearner


class GradientNorm(Diagnostic):
    """The learner's own gradient g, averaged over the sequences of the probe, beside the weights W that it changes.

        (1) norm, weight_norm   |g|, |W|: Euclidean, over all elements
        (2) update_ratio        |W - W'| / |W|, W' the weights at the measurement before; 0 at the first
        (3) angle               degrees between g and g' of the measurement before; 90 if one of them is zero; 0 at the first
        (4) clipped             1 where clipnorm, global_clipnorm or clipvalue of the optimizer would change g (without the
                                gradients of regularizers): a mean over sequences, so that single ones are mostly larger;
                                0 without an optimizer, as for a single layer of a Keras model
        (5) finite              1, or 0 where g has an element that is no finite number; |g| and angle are then none either

    One row for each weight whole, net 'all'; where several nets share its columns (kernel, the matrices that read back, bias),
    one more for the columns of each. clipped: clipnorm looks at the whole weight, clipvalue at the columns, global_clipnorm at
    all weights. Table: weight, net, norm, weight_norm, update_ratio, angle, clipped, finite.
    TensorBoard: the norms of whole weights and of the kernel's columns by net; update_ratio and angle of the kernel.
    The first gradient that is not finite is named on stderr.
    """

    name = "gradients"

    def serves(self, model) -> bool:
        return isinstance(model.learner, GradientLearner)

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        if self._model is not model:
            self._before, self._warned = None, False
        gradients = self.compiled(model, _mean_gradients)(
            tf.constant(probe.x), tf.constant(probe.y), tf.constant(probe.w)
        )
        now = _in_float64(gradients), _in_float64(model.trainable_variables)
        before, self._before = self._before or now, now
        with np.errstate(over="ignore", invalid="ignore"):  # of what is not finite
            return _table(
                _blocks(model), *now, *before, _Clipping(getattr(model, "optimizer", None), now[0])
            )

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        for row in table[table["net"] == "all"].itertuples():
            board.scalar(f"gradient_norm/{row.weight}", row.norm, sequences)
        for row in table[
            table["weight"] == "kernel"
        ].itertuples():  # few: this is written after every window
            if row.net == "all":
                board.scalar("gradient_update_ratio/kernel", row.update_ratio, sequences)
                board.scalar("gradient_angle/kernel", row.angle, sequences)
            else:
                board.scalar(f"gradient_norm_of_kernel/{row.net}", row.norm, sequences)
        self._warn(table, sequences)

    def _warn(self, table: pd.DataFrame, sequences: int) -> None:
        """One line, the first time."""
        sick = table.loc[(table["net"] == "all") & (table["finite"] == 0), "weight"]
        if len(sick) and not self._warned:
            print(
                f"diagnostic.{self.name}: not finite after {sequences} sequences: {', '.join(sick)}",
                file=sys.stderr,
            )
            self._warned = True


class Block(NamedTuple):
    """Columns of the weight at that place among the trainable ones."""

    place: int
    weight: str
    net: str
    columns: slice


class _Clipping:
    """Whether an optimizer would clip a gradient."""

    def __init__(self, optimizer: Any, gradients: list[np.ndarray]):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self.clipnorm, self.clipvalue, most = (
            getattr(inner, n, None) for n in ("clipnorm", "clipvalue", "global_clipnorm")
        )
        self.together = most is not None and bool(
            np.sqrt(sum(np.sum(g**2) for g in gradients)) > most
        )

    def acts(self, whole: np.ndarray, columns: np.ndarray) -> bool:
        by_norm = self.clipnorm is not None and np.linalg.norm(whole) > self.clipnorm
        by_value = self.clipvalue is not None and np.abs(columns).max() > self.clipvalue
        return bool(self.together or by_norm or by_value)


def _mean_gradients(model, x, y, w) -> list:
    _, _, gradients = model.learner.gradients(model.cell, model.head, x, y, w)
    return [gradient / x.shape[0] for gradient in gradients]


def _in_float64(tensors) -> list[np.ndarray]:
    return [tensor.numpy().astype("float64") for tensor in tensors]


def _blocks(model) -> list[Block]:
    """Every weight whole, followed by the columns of each net where several nets share it."""
    blocks, shared = [], _shared(model.cell)
    for place, (name, weight) in enumerate(
        zip(model.weight_names, model.trainable_variables, strict=True)
    ):
        blocks.append(Block(place, name, "all", slice(None)))
        end = 0
        for net, size in shared.get(id(weight), {}).items():
            blocks.append(Block(place, name, net, slice(end, end + size)))
            end += size
    return blocks


def _shared(cell) -> dict[int, dict[str, int]]:
    """{id of a weight: {net: its columns, in order}} for those that several nets share."""
    if not hasattr(cell, "nets"):
        return {}
    found = {
        id(getattr(cell, p.weight)): p.nets
        for p in cell.recurrence.products
        if p.kind in ("full", "gates")
    }
    found |= {id(cell.kernel): cell.nets, id(cell.bias): cell._biased}
    return {weight: nets for weight, nets in found.items() if len(nets) > 1}


def _table(
    blocks: list[Block], gradients, weights, gradients_before, weights_before, clipping: _Clipping
) -> pd.DataFrame:
    rows = []
    for place, weight, net, columns in blocks:
        g, g_before = gradients[place][..., columns], gradients_before[place][..., columns]
        value, moved = (
            weights[place][..., columns],
            (weights[place] - weights_before[place])[..., columns],
        )
        size = np.linalg.norm(value)
        rows.append(
            {
                "weight": weight,
                "net": net,
                "norm": np.linalg.norm(g),
                "weight_norm": size,
                "update_ratio": np.linalg.norm(moved) / size if size else 0.0,
                "angle": _angle(g.ravel(), g_before.ravel()),
                "clipped": int(clipping.acts(gradients[place], g)),
                "finite": int(np.isfinite(g).all()),
            }
        )
    return pd.DataFrame(rows)


def _angle(u: np.ndarray, v: np.ndarray) -> float:
    """Degrees between two vectors, to full precision for small angles; 90 if one of them is zero, 0 if both are."""
    lengths = np.linalg.norm(u), np.linalg.norm(v)
    if not all(lengths):
        return 90.0 if any(lengths) else 0.0
    u, v = u / lengths[0], v / lengths[1]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))
