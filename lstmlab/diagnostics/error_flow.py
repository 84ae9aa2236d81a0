"""Error flow: how much of the error at the last target still arrives, so many steps earlier, and by which way."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe, checked, thinned, trace

PATHS = (
    "cell_state",
    "output",
    "carousel",
    "nets",
    "used",
)  # as vectors over the cells; the others are net_<name>


class ErrorFlow(Diagnostic):
    """Norms of the derivatives of E, the error at the last step with a target, against lag, averaged over the probe.

        (1) cell_state  |dE/ds_t|, exact: along the carousel, through the gates, and through what the nets read back
        (2) output      |dE/dy_t|, exact: y_t as the head reads it and as the nets read it back
        (3) carousel    |dE/ds_t| with see=stop_gradient: along the carousel alone, the part that the rule of 1997 uses
        (4) nets        |dE/ds_t of (1) - dE/ds_t of (3)|: what came through gates, candidates and fed-back outputs
        (5) net_<name>  |dE/dnet_t|, exact, for every net input of the cell: what its weights learn from
        (6) used        |dE/ds_t| as the learner uses it, with Traits.filters and 0 from lag Traits.horizon on, as the
                        step of the error is the first of these. Left out where it is (1), and where no filter says it

    lag: steps from t to the last step with a target, at most 500 of them (see base.thinned). The norm is over the cells, for
    net_<gate> over the blocks; a zero "tap" on each value is differentiated. As vectors (1) is the sum of (3) and (4): `flows`.
    Table: lag, path, norm. TensorBoard: all but (5) against lag, one sub-run lag/<sequences> for each moment of training.
    Source: Hochreiter & Schmidhuber 1997, appendix A.2, eqs. 30-41.
    """

    name = "error_flow"

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        return _by_lag(self.compiled(model, _norms), probe.x, probe.y, probe.w)

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        shown = table[table["path"].isin(PATHS)]
        curves = {
            f"error_flow_against_lag/{path}": (rows["lag"], rows["norm"])
            for path, rows in shown.groupby("path")
        }
        board.against_lag(curves, sequences)


def error_flow(model, x, y, w=None) -> pd.DataFrame:
    """DataFrame(lag, path, norm): the curves of ErrorFlow for a `Recurrent` model on a batch.

    x [B, T, F], y [B, T, K], w [B, T]: weight of the error at each step (default: 1 everywhere).
    Raises ValueError for a cell without `step`, for no step with an error, for shapes that do not fit, and for numbers that are
    not finite.
    """
    x, y, w = checked("error_flow", model, x, y, w)
    return _by_lag(lambda *batch: _norms(model, *batch), x, y, w)


def flows(model, x, y, w) -> dict:
    """The derivatives of which ErrorFlow shows the norms, {path: [B, T, n], net_<gate>: [B, T, m]}, tensors.

    x [B, T, F], y [B, T, K], w [B, T] in the cell's dtype. E is each sequence's error at its last step with w > 0, with that w.
    """
    x, y, w = (tf.convert_to_tensor(part) for part in (x, y, w))
    steps = tf.range(w.shape[1])
    lag = tf.reduce_max(tf.where(w > 0, steps, -1), axis=1)[:, None] - steps
    w = tf.where(lag == 0, w, 0)
    cuts = [{}, {"see": tf.stop_gradient}]
    filters, horizon = model.learner.traits.filters, model.learner.traits.horizon
    if filters is not None and filters not in cuts:
        cuts.append(filters)
    flow = _derivatives(model, x, y, w, cuts)
    states = tf.split(flow.pop("cell_state"), len(cuts))
    flow = {name: value[: x.shape[0]] for name, value in flow.items()}
    flow |= {"cell_state": states[0], "carousel": states[1], "nets": states[0] - states[1]}
    if filters is None or (not filters and horizon is None):
        return flow
    used = states[cuts.index(filters)]
    return {
        **flow,
        "used": used if horizon is None else tf.where((lag < horizon)[:, :, None], used, 0),
    }


def _norms(model, x, y, w) -> dict:
    """{path: [B, T]}, the squares in float64: in float32 those of values below 1e-19 would be 0."""
    found = flows(model, x, y, w)
    return {
        path: tf.cast(tf.norm(tf.cast(flow, tf.float64), axis=-1), flow.dtype)
        for path, flow in found.items()
    }


def _derivatives(model, x, y, w, cuts: list[dict]) -> dict:
    """dE/dvalue [cuts * B, T, ...]: the batch once under each of the filters `cuts`, in one graph, which compiles faster."""
    cell, (x, y, w) = model.cell, (tf.concat([part] * len(cuts), axis=0) for part in (x, y, w))
    sizes = {
        "cell_state": cell.units,
        "output": cell.units,
        **{f"net_{name}": size for name, size in cell.nets.items()},
    }
    taps = {
        name: tf.zeros((*x.shape[:2], size), cell.compute_dtype) for name, size in sizes.items()
    }

    def joined(filters: list) -> Callable:
        return lambda value: tf.concat(
            [f(part) for f, part in zip(filters, tf.split(value, len(filters)), strict=True)],
            axis=0,
        )

    see = [cut.get("see", tf.identity) for cut in cuts]
    candidates = [cut.get("see_candidate", f) for cut, f in zip(cuts, see, strict=True)]
    see_candidate = None if candidates == see else joined(candidates)
    with tf.GradientTape() as tape:
        tape.watch(taps)
        output = trace(cell, x, joined(see), taps, see_candidate=see_candidate)["output"]
        error = tf.reduce_sum(model.head.error(y, model.head(output, x), w))
    derivatives = tape.gradient(error, taps, unconnected_gradients="zero")
    return {name: tf.cast(value, cell.variable_dtype) for name, value in derivatives.items()}


def _by_lag(norms, x, y, w) -> pd.DataFrame:
    """Means over the sequences that are so long; w is looked at for its last step with an error alone."""
    flow = norms(tf.constant(x), tf.constant(y), tf.constant(w))
    last = np.where(w > 0, np.arange(w.shape[1]), -1).max(axis=1)
    lag = thinned(last.max())
    at = last[:, None] - lag
    tables = []
    for path, norm in flow.items():
        there = np.where(at >= 0, np.take_along_axis(norm.numpy(), np.maximum(at, 0), axis=1), 0)
        mean = there.sum(axis=0, dtype="float64") / (at >= 0).sum(axis=0)
        tables.append(
            pd.DataFrame({"lag": lag, "path": path, "norm": mean.astype(norm.numpy().dtype)})
        )
    return pd.concat(tables, ignore_index=True)
