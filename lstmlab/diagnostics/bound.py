"""Bound: how fast error must decay in a net without a carousel, beside how fast it does; and the carousel's constant."""

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from lstmlab.cells.gates import g1997, h1997
from lstmlab.diagnostics.base import Diagnostic, Probe, checked
from lstmlab.diagnostics.products import (
    Products,
    count,
    log10,
    norms,
    of_finite,
    one_steps,
    over_sequences,
    products,
    rows,
    with_errors,
)

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


class Bound(Diagnostic):
    """ds_T*/ds_t, lag q = T* - t before the last step T* with an error, beside what bounds it. In a plain net s is y.

        (1) largest          the largest magnitude of an element, over the sequences
        (2) norm             the largest singular value, over the sequences
      for a plain net, y_t = f(W y_tm1 + ...) without gates and without a carousel:
        (3) bound            n (f'max |W|)^q     >= (1)     |W|: the largest sum of magnitudes in a row, f'max: see (6)
        (4) bound_spectral   (f'max |W|_2)^q     >= (2)     |W|_2: the largest singular value
        (5) bound_a_priori   (3) with (7) instead of (6): with logistic units it decays if all |w| < 4/n
        (6) slope_max        the largest |f'(net)| on the sequences, steps 1 to T*        (7) slope_a_priori   of the activation
        (8) row_sum  |W|     (9) spectral_norm  |W|_2        (6) to (9) are factors of one step, and have a row at lag 1 alone
      for a cell with a carousel:
       (10) carousel         the largest product of forget activations of a cell, steps t+1 to T*: 1 without a forget gate

    W [n, n] is the matrix of recurrent weights, w_ij from j to i; read back by element (IndRNN) it is diagonal, so that |W| and
    |W|_2 are the largest |w_ii|. Rectified units (IRNN, IndRNN) have slopes 0 and 1: where W is the identity, (4) is 1 over
    every lag. (3) holds for elements of a product of these matrices and of its transpose alike: for dy_T*/dy_t as for the
    scaling of an error on its way back from unit u to unit v, which is (3)'s source; its n is that of the paper.
    The bounds hold but for the rounding of the cell's precision, 1e-7 per step in float32.

    Table: lag, kind, value; beside each of (1) to (5) and (10) its log10 as log10_<kind>, which goes on where the numbers end:
    a value beyond 1e308 has that row alone, a value of 0 has none. At most 500 lags (see base.thinned). A net with gates and no
    carousel, or with an activation that is not in SLOPES, has (1) and (2) alone. TensorBoard: log10 rows against lag.

    sequences: so many of the probe's, those first that have an error. Raises ValueError if that is no positive integer.
    Source: Hochreiter 1991, pp. 19-21; Hochreiter & Schmidhuber 1997, section 3.1.
    """

    name = "bound"

    def __init__(self, every: int | str = "doubling", sequences: int = 8):
        super().__init__(every)
        self.sequences = count("Bound", "sequences", sequences)

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        x, w = with_errors(probe.x, probe.w, self.sequences)
        return _table(model.cell, x, products(model, x, w, self.compiled(model, one_steps)))

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        logs = table[table["kind"].str.startswith("log10_")]
        curves = {
            f"bound_log10_against_lag/{kind[6:]}": (part["lag"], part["value"])
            for kind, part in logs.groupby("kind")
        }
        board.against_lag(curves, sequences)


def bound(model, x, w=None) -> pd.DataFrame:
    """DataFrame(lag, kind, value): the rows of Bound for a `Recurrent` model, over all sequences of x.

    x [B, T, F]; w [B, T]: weight of the error at each step (default: 1 everywhere).
    Raises ValueError for a cell without `step`, for shapes that do not fit, for nothing, for numbers that are not finite, and
    for a sequence without an error.
    """
    x, _, w = checked("bound", model, x, w=w)
    return _table(model.cell, x, products(model, x, w))


def recurrent_weights(cell) -> np.ndarray:
    """W [n, n] in float64 of a cell without gates, w_ij leading from cell j to cell i; 0 where none leads."""
    total = np.zeros((cell.units, cell.units))
    for product in cell.recurrence.products:
        weight = getattr(cell, product.weight)
        total += np.asarray(
            cell.recurrence(product, weight, tf.eye(cell.units, dtype=weight.dtype)), "float64"
        ).T
    return total


def _is_plain(cell) -> bool:
    only_candidate = (
        not cell.gates
        and cell.input_gate is None
        and cell.forget_gate == "closed"
        and cell.is_own_output
    )
    return only_candidate and any(cell.candidate_activation is known for known, _ in SLOPES)


def _slopes(cell, x, found: Products) -> np.ndarray:
    """|f'(net)| of the steps 1 to T* of all sequences [steps, n]."""
    taken = (np.arange(found.states.shape[1]) <= found.last[:, None]) & (
        np.arange(found.states.shape[1]) > 0
    )
    before, inputs = (
        tf.constant(part[taken], cell.compute_dtype)
        for part in (found.states, x[:, : found.states.shape[1]])
    )
    net = cell.net(inputs, before)[0]["candidate"]
    with tf.GradientTape() as tape:
        tape.watch(net)
        total = tf.reduce_sum(cell.candidate_activation(net))
    return np.abs(tf.cast(tape.gradient(total, net), "float64").numpy())


def _bounds(cell, x, found: Products) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """log10 of (3) to (5) at each lag, and the factors (6) to (9)."""
    weights = recurrent_weights(cell)
    factors = {
        "slope_max": _slopes(cell, x, found).max(initial=0.0),
        "slope_a_priori": next(
            slope for known, slope in SLOPES if known is cell.candidate_activation
        ),
        "row_sum": np.abs(weights).sum(axis=1).max(),
        "spectral_norm": np.linalg.norm(weights, 2),
    }

    def power(slope: str, norm: str) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # 0 ^ 0
            return np.where(
                found.lags == 0, 0.0, found.lags * log10(factors[slope] * factors[norm])
            )

    more = np.log10(cell.units)
    return {
        "bound": more + power("slope_max", "row_sum"),
        "bound_spectral": power("slope_max", "spectral_norm"),
        "bound_a_priori": more + power("slope_a_priori", "row_sum"),
    }, factors


def _table(cell, x, found: Products) -> pd.DataFrame:
    matrices, scale = found.matrices["cell_state"], found.logs["cell_state"]
    measured = {
        "largest": scale + log10(of_finite(lambda m: np.abs(m).max(axis=(-2, -1)), matrices)),
        "norm": scale + log10(of_finite(norms, matrices)),
    }
    if cell.forget_gate != "closed":
        measured["carousel"] = found.forget.max(axis=2)
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
