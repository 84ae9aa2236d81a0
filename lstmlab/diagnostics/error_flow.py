"""Error flow: how much of the error at the last target arrives at earlier steps, by which path."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import ERRORS, Chart, Diagnostic, Probe
from lstmlab.diagnostics.common.checked import checked
from lstmlab.diagnostics.common.steps import last_steps, thinned
from lstmlab.diagnostics.common.tracing import trace

__all__ = ["error_flow"]

# the paths that are vectors over the cells; the others are net_<name>
PATHS = ("cell_state", "output", "carousel", "nets", "used")


class ErrorFlow(Diagnostic):
    """Norms of the derivatives of E, the error at the last step with a target, against lag.

    They are total derivatives, d: by every path, but for those that `see` cuts.

        (1) cell_state  |dE/ds_t|, exact: along the carousel, through the gates, and through
                        everything that is read back
        (2) output      |dE/dy_t|, exact: y_t as the head reads it and as it is read back
        (3) carousel    |dE/ds_t| with see=stop_gradient: along the carousel only, the part that
                        the rule of 1997 uses
        (4) nets        |dE/ds_t of (1) - dE/ds_t of (3)|: the part through gates, candidates and
                        fed-back outputs
        (5) net_<name>  |dE/dnet_t|, exact, for every pre-activation of the cell: what its weights
                        learn from
        (6) used        |dE/ds_t| as the learner uses it, with Traits.filters, and 0 from lag
                        Traits.horizon on, since the horizon includes the step of the error.
                        Left out where it equals (1), and where no filter describes it

    lag: steps from t to the last step with a target, at most 500 lags (see steps.thinned). The norm
    is over the cells, for net_<gate> over the blocks; a zero "tap" on each value is differentiated.
    As vectors, (1) is the sum of (3) and (4): see `flows`.

    Table: lag, path, norm, averaged over the probe. TensorBoard: log10 of all but (5)
    against lag, before and after the training, and all moments as one image.

    References:
        Hochreiter & Schmidhuber 1997, appendix A.2, eqs. 30-41.
    """

    name = "error_flow"
    every = "doubling"
    light = True
    wide = True
    charts = (
        Chart(ERRORS, "log10 of error flow against lag", r"error_flow_log10_against_lag/.*", 1),
    )

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        return _by_lag(self.compiled(model, _norms), probe.x, probe.y, probe.w)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        shown = table[table["path"].isin(PATHS)]
        with np.errstate(divide="ignore"):  # a norm of 0 has no point
            curves = {
                f"error_flow_log10_against_lag/{path}": (rows["lag"], np.log10(rows["norm"]))
                for path, rows in shown.groupby("path")
            }
        board.against_lag(curves, sequences, picture=True)


def error_flow(model: Any, x: Any, y: Any, w: Any = None) -> pd.DataFrame:
    """The curves of ErrorFlow for a batch.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        y: Targets [B, T, K].
        w: Weight of the error at each step [B, T]; None: 1 everywhere.

    Returns:
        DataFrame(lag, path, norm).

    Raises:
        ValueError: For a cell without `step`, for a sequence without an error, for shapes that do
            not fit, and for numbers that are not finite.
    """
    x, y, w = checked("error_flow", model, x, y, w)
    return _by_lag(lambda *batch: _norms(model, *batch), x, y, w)


def flows(model: Any, x: Any, y: Any, w: Any) -> dict[str, Any]:
    """The derivatives of which ErrorFlow shows the norms.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F] in the cell's dtype.
        y: Targets [B, T, K].
        w: Weight of the error [B, T]. E is each sequence's error at its last step with w > 0.

    Returns:
        {path: [B, T, n], net_<gate>: [B, T, m]}, tensors.
    """
    x, y, w = (tf.convert_to_tensor(part) for part in (x, y, w))
    steps = tf.range(w.shape[1])
    lag = tf.reduce_max(tf.where(w > 0, steps, -1), axis=1)[:, None] - steps
    # E is the error of the last step alone: others would mix the lags
    w = tf.where(lag == 0, w, 0)

    # (1), (3) and, where the learner says what it uses, (6): the same batch under each filter
    cuts: list[dict] = [{}, {"see": tf.stop_gradient}]
    filters, horizon = model.learner.traits.filters, model.learner.traits.horizon
    if filters is not None and filters not in cuts:
        cuts.append(filters)

    flow = _derivatives(model, x, y, w, cuts)
    states = tf.split(flow.pop("cell_state"), len(cuts))
    # of output and pre-activations only the exact copy, the first one, is shown
    flow = {name: value[: x.shape[0]] for name, value in flow.items()}
    flow |= {"cell_state": states[0], "carousel": states[1], "nets": states[0] - states[1]}
    if filters is None or (not filters and horizon is None):
        return flow

    used = states[cuts.index(filters)]
    within = used if horizon is None else tf.where((lag < horizon)[:, :, None], used, 0)
    return {**flow, "used": within}


def _norms(model: Any, x: Any, y: Any, w: Any) -> dict[str, Any]:
    """{path: [B, T]}, the squares in float64: in float32 those of values below 1e-19 would be 0."""
    found = flows(model, x, y, w)
    return {
        path: tf.cast(tf.norm(tf.cast(flow, tf.float64), axis=-1), flow.dtype)
        for path, flow in found.items()
    }


def _derivatives(model: Any, x: Any, y: Any, w: Any, cuts: list[dict]) -> dict[str, Any]:
    """dE/dvalue [cuts * B, T, ...]: the batch once under each of the filters `cuts`.

    All of them are in one graph, which compiles faster than several.
    """
    cell, (x, y, w) = model.cell, (tf.concat([part] * len(cuts), axis=0) for part in (x, y, w))
    of_nets = {f"net_{name}": size for name, size in cell.nets.items()}
    sizes = {"cell_state": cell.units, "output": cell.units, **of_nets}
    taps = {
        name: tf.zeros((*x.shape[:2], size), cell.compute_dtype) for name, size in sizes.items()
    }

    def joined(filters: list) -> Callable:
        def see(value: Any) -> Any:
            parts = zip(filters, tf.split(value, len(filters)), strict=True)
            return tf.concat([one(part) for one, part in parts], axis=0)

        return see

    # a learner may cut the candidate's input elsewhere than that of the gates
    see = [cut.get("see", tf.identity) for cut in cuts]
    candidates = [cut.get("see_candidate", one) for cut, one in zip(cuts, see, strict=True)]
    see_candidate = None if candidates == see else joined(candidates)

    with tf.GradientTape() as tape:
        tape.watch(taps)
        output = trace(cell, x, joined(see), taps, see_candidate=see_candidate)["output"]
        error = tf.reduce_sum(model.head.error(y, model.head(output, x), w))
    derivatives = tape.gradient(error, taps, unconnected_gradients="zero")
    return {name: tf.cast(value, cell.variable_dtype) for name, value in derivatives.items()}


def _by_lag(norms: Callable, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> pd.DataFrame:
    """Means over the sequences that reach back so far; of w only the last step > 0 counts."""
    flow = norms(tf.constant(x), tf.constant(y), tf.constant(w))
    last = last_steps(w > 0)
    lag = thinned(last.max())
    at = last[:, None] - lag

    tables = []
    for path, norm in flow.items():
        # sequences that are shorter than a lag have no part in its mean
        there = np.where(at >= 0, np.take_along_axis(norm.numpy(), np.maximum(at, 0), axis=1), 0)
        mean = there.sum(axis=0, dtype="float64") / (at >= 0).sum(axis=0)
        rows = {"lag": lag, "path": path, "norm": mean.astype(norm.numpy().dtype)}
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)
