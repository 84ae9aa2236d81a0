"""Bound: how fast error must decay in a network without a carousel, next to how fast it does."""

from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.cells.gates import g1997, h1997
from lstmlab.diagnostics.base import ERRORS, Chart, Probe
from lstmlab.diagnostics.common.checked import checked
from lstmlab.diagnostics.common.products import (
    OfProducts,
    Products,
    log10,
    norms,
    of_finite,
    over_sequences,
    products,
    rows,
)

__all__ = ["bound"]

SLOPES = (  # the largest slope of each activation that acts unit by unit
    (keras.activations.linear, 1.0),
    (keras.activations.tanh, 1.0),
    (keras.activations.sigmoid, 0.25),
    (keras.activations.relu, 1.0),
    (keras.activations.hard_sigmoid, 1 / 6),
    (keras.activations.softsign, 1.0),
    (keras.activations.elu, 1.0),
    (g1997, 1.0),
    (h1997, 0.5),
)
SHOWN = ("norm", "bound", "bound_spectral", "carousel")


class Bound(OfProducts):
    """ds_T*/ds_t at lag q = T* - t, T* the last step with an error, next to its bounds.

    In a plain network s is y.

        (1) largest          the largest magnitude of an element, over the sequences
        (2) norm             the largest singular value, over the sequences
      for a plain network, y_t = f(W y_tm1 + ...) without gates and without a carousel:
        (3) bound            n (f'max |W|)^q     >= (1)   |W|: the largest sum of magnitudes in a
                                                          row, f'max: see (6)
        (4) bound_spectral   (f'max |W|_2)^q     >= (2)   |W|_2: the largest singular value
        (5) bound_a_priori   (3) with (7) instead of (6): with logistic units it decays if all
                             |w| < 4/n
        (6) slope_max        the largest |f'(net)| on the sequences, steps 1 to T*
        (7) slope_a_priori   the largest slope of the activation anywhere
        (8) row_sum          |W|
        (9) spectral_norm    |W|_2
      for a cell with a carousel:
       (10) carousel         the largest product of forget activations of a cell, steps t+1 to T*:
                             1 without a forget gate

    (6) to (9) are factors of one step, and have a row at lag 1 only.

    W [n, n] is the matrix of recurrent weights, w_ij from j to i; with element-wise recurrence
    (IndRNN) it is diagonal, so that |W| and |W|_2 are the largest |w_ii|. Rectified units (IRNN,
    IndRNN) have slopes 0 and 1: if W is the identity, (4) is 1 at every lag. (3) holds both for
    elements of a product of these matrices and for those of its transpose: for dy_T*/dy_t and for
    the scaling of an error on its way back from unit u to unit v, for which the source of (3)
    states it; its n is that of the paper. The bounds hold up to the rounding of the cell's
    precision, 1e-7 per step in float32.

    Table: lag, kind, value; for each of (1) to (5) and (10) also its log10 as log10_<kind>, which
    continues beyond the range of float64: a value beyond 1e308 has only that row, and a value of 0
    does not have it. At most 500 lags (see steps.thinned). A network with gates and no carousel, or
    with an activation that is not in SLOPES, has only (1) and (2). TensorBoard: log10
    of (2), (3), (4) and (10) against lag.

    Args and Raises: see OfProducts.

    References:
        Hochreiter 1991, pp. 19-21; Hochreiter & Schmidhuber 1997, section 3.1.
    """

    name = "bound"
    charts = (
        Chart(
            ERRORS,
            "log10 of the bound of 1991 against lag",
            r"bound_log10_against_lag/.*",
            3,
        ),
    )

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        return _table(model.cell, *self.products(model, probe))

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        logs = table[table["kind"].isin([f"log10_{kind}" for kind in SHOWN])]
        curves = {
            f"bound_log10_against_lag/{kind[6:]}": (part["lag"], part["value"])
            for kind, part in logs.groupby("kind")
        }
        board.against_lag(curves, sequences)


def bound(model: Any, x: Any, w: Any = None) -> pd.DataFrame:
    """The rows of Bound over all sequences of a batch.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        w: Weight of the error at each step [B, T]; None: 1 everywhere.

    Returns:
        DataFrame(lag, kind, value).

    Raises:
        ValueError: For a cell without `step`, for shapes that do not fit, for an empty batch, for
            numbers that are not finite, and for a sequence without an error.
    """
    x, _, w = checked("bound", model, x, w=w)
    return _table(model.cell, x, products(model, x, w))


def recurrent_weights(cell: Any) -> np.ndarray:
    """W [n, n] in float64 of a cell without gates; w_ij leads from cell j to cell i, 0 if none."""
    total = np.zeros((cell.units, cell.units))
    for product in cell.recurrence.products:
        weight = getattr(cell, product.weight)
        identity = tf.eye(cell.units, dtype=weight.dtype)
        # row j of the product with the identity is what cell j sends to all others
        total += np.asarray(cell.recurrence(product, weight, identity), "float64").T
    return total


def _is_plain(cell: Any) -> bool:
    without_gates = not cell.gates and cell.input_gate is None
    without_carousel = cell.forget_gate == "closed" and cell.is_own_output
    known = any(cell.candidate_activation is known for known, _ in SLOPES)
    return without_gates and without_carousel and known


def _slopes(cell: Any, x: np.ndarray, found: Products) -> np.ndarray:
    """|f'(net)| of the steps 1 to T* of all sequences [steps, n]."""
    steps = np.arange(found.states.shape[1])
    # the slope at step 0 multiplies nothing: the derivatives begin at the state after it
    taken = (steps <= found.last[:, None]) & (steps > 0)
    before = tf.constant(found.states[taken], cell.compute_dtype)
    inputs = tf.constant(x[:, : len(steps)][taken], cell.compute_dtype)

    net = cell.net(inputs, before)[0]["candidate"]
    with tf.GradientTape() as tape:
        tape.watch(net)
        # f acts unit by unit, so that the gradient of the sum has every slope by itself
        total = tf.reduce_sum(cell.candidate_activation(net))
    return np.abs(tf.cast(tape.gradient(total, net), "float64").numpy())


def _bounds(
    cell: Any, x: np.ndarray, found: Products
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """log10 of (3) to (5) at each lag, and the factors (6) to (9)."""
    weights = recurrent_weights(cell)
    largest = [slope for known, slope in SLOPES if known is cell.candidate_activation]
    factors = {
        "slope_max": _slopes(cell, x, found).max(initial=0.0),
        "slope_a_priori": largest[0],
        "row_sum": np.abs(weights).sum(axis=1).max(),
        "spectral_norm": np.linalg.norm(weights, 2),
    }

    def power(slope: str, norm: str) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # 0 ^ 0
            logs = found.lags * log10(factors[slope] * factors[norm])
        return np.where(found.lags == 0, 0.0, logs)

    more = np.log10(cell.units)
    curves = {
        "bound": more + power("slope_max", "row_sum"),  # (3)
        "bound_spectral": power("slope_max", "spectral_norm"),  # (4)
        "bound_a_priori": more + power("slope_a_priori", "row_sum"),  # (5)
    }
    return curves, factors


def _table(cell: Any, x: np.ndarray, found: Products) -> pd.DataFrame:
    matrices, scale = found.matrices["cell_state"], found.logs["cell_state"]
    largest = of_finite(lambda m: np.abs(m).max(axis=(-2, -1)), matrices)
    measured = {
        "largest": scale + log10(largest),
        "norm": scale + log10(of_finite(norms, matrices)),
    }
    if cell.forget_gate != "closed":
        measured["carousel"] = found.forget.max(axis=2)  # (10)

    curves = {
        kind: over_sequences(np.max, found.there, values) for kind, values in measured.items()
    }
    factors: dict[str, float] = {}
    if _is_plain(cell):
        bounds, factors = _bounds(cell, x, found)
        curves |= bounds

    tables = [table for kind, logs in curves.items() for table in rows(logs, found.lags, kind=kind)]
    tables.append(pd.DataFrame({"lag": 1, "kind": list(factors), "value": list(factors.values())}))
    return pd.concat([table for table in tables if len(table)], ignore_index=True)
