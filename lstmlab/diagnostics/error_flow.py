"""Error flow: how much of the error at the last target still arrives, so many steps earlier."""

import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.diagnostics.base import Diagnostic, Probe, trace

PATHS = ("cell_state", "output", "carousel")


class ErrorFlow(Diagnostic):
    """|dE/ds_t| and |dE/dy_t| against lag, E the error at the last step with a target, averaged over the probe.

        (1) cell_state  |dE/ds_t|, exact: along the carousel, through the gates, and through what the nets read back
        (2) output      |dE/dy_t|, exact: y_t as the head reads it and as the nets read it back
        (3) carousel    |dE/ds_t| with see=stop_gradient: along the carousel alone, the part that the rule of 1997 uses

    lag: steps from t to the last step with a target. The norm is over the cells; a zero "tap" on each value is differentiated.
    Table: lag, path, norm. TensorBoard: curves against lag, one sub-run lag/<sequences> for each moment of training.
    Source: Hochreiter & Schmidhuber 1997, appendix A.2, eqs. 30-41.
    """

    name = "error_flow"

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        return _by_lag(self.compiled(model, _norms), probe.x, probe.y, probe.w)

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        curves = {f"error_flow_against_lag/{path}": (rows["lag"], rows["norm"]) for path, rows in table.groupby("path")}
        board.against_lag(curves, sequences)


def error_flow(model, x, y, w=None) -> pd.DataFrame:
    """DataFrame(lag, path, norm): the three curves of ErrorFlow for a `Recurrent` model on a batch.

    x [B, T, F], y [B, T, K], w [B, T]: weight of the error at each step (default: 1 everywhere).
    Raises ValueError for a cell without `step`, for no step with an error, and for shapes that do not fit.
    """
    if not hasattr(getattr(model, "cell", None), "step"):
        raise ValueError(f"error_flow: expected a lstmlab.Recurrent with a GatedCell. Received: model={type(model).__name__}")
    dtype = model.cell.variable_dtype
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    w = np.ones(x.shape[:2], dtype) if w is None else np.asarray(w, dtype)
    if x.ndim != 3 or y.ndim != 3 or x.shape[:2] != y.shape[:2] or w.shape != x.shape[:2]:
        raise ValueError(
            f"error_flow: expected x [B, T, F], y [B, T, K], w [B, T]. Received: x={x.shape}, y={y.shape}, w={w.shape}"
        )
    if not (w > 0).any(axis=1).all():
        raise ValueError("error_flow: expected at least one step with w > 0 in every sequence. Received: w without one")
    return _by_lag(lambda *batch: _norms(model, *batch), x, y, w)


def _norms(model, x, y, w) -> dict:
    """Norm of the derivative of each sequence's error to each step's value, {path: [B, T]}."""
    tap = tf.zeros((x.shape[0], x.shape[1], model.cell.units), model.cell.compute_dtype)
    exact = _derivatives(model, x, y, w, None, {"cell_state": tap, "output": tf.identity(tap)})
    cut = _derivatives(model, x, y, w, tf.stop_gradient, {"cell_state": tap})
    flow = {**exact, "carousel": cut["cell_state"]}
    return {path: tf.norm(tf.cast(flow[path], model.cell.variable_dtype), axis=-1) for path in PATHS}


def _derivatives(model, x, y, w, see, taps: dict) -> dict:
    with tf.GradientTape() as tape:
        tape.watch(taps)
        error = tf.reduce_sum(model.head.error(y, model.head(trace(model.cell, x, see, taps)["output"], x), w))
    return tape.gradient(error, taps)


def _by_lag(norms, x, y, w) -> pd.DataFrame:
    steps = np.arange(w.shape[1])
    last = np.where(w > 0, steps, -1).max(axis=1)
    at_last = (w * (steps == last[:, None])).astype(w.dtype)
    flow = norms(tf.constant(x), tf.constant(y), tf.constant(at_last))
    lag = last[:, None] - steps
    seen = lag >= 0
    tables = [pd.DataFrame({"lag": lag[seen], "path": path, "norm": flow[path].numpy()[seen]}) for path in PATHS]
    return pd.concat(tables).groupby(["path", "lag"], as_index=False)["norm"].mean()[["lag", "path", "norm"]]
