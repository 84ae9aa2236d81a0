"""Jacobians: how the last state and output depend on earlier ones, next to the carousel's part."""

from typing import Any

import numpy as np
import pandas as pd

from lstmlab.diagnostics.base import ERRORS, Chart, Probe
from lstmlab.diagnostics.common.checked import checked
from lstmlab.diagnostics.common.products import (
    VALUES,
    OfProducts,
    Products,
    log10,
    magnitudes,
    norms,
    of_finite,
    over_sequences,
    products,
    rows,
)

__all__ = ["jacobians"]

SPECTRUM = ("largest", "median", "smallest")


class Jacobians(OfProducts):
    """State-to-state derivatives against lag; T* is the last step with an error and t = T* - lag.

        (1) cell_state  ds_T*/ds_t
        (2) output      dy_T*/dy_t; both are total derivatives with respect to the value as
                        computed: s_t acts through y_t, gates and candidates as well
        (3) carousel    diag(product of the forget activations of steps t+1 .. T*): (1) along the
                        carousel only; after refine gate and normaliser; 1 if there is no forget
                        gate, from lag 1 on 0 if it is closed
        (4) one_step    d(all states)_t / d(all states)_t-1: magnitudes of its eigenvalues at each
                        step; states that follow from others (y_t next to the gates that are fed
                        back) give zeros, up to rounding

    Table: lag, path, measure, value. Measures of (1) and (2): norm (the largest singular value),
    spectral_radius, and the log10 of both; of (3): norm and its log10, since its spectral radius
    is the same; of (4): largest, median, smallest.

    The products are computed in float64 with their scale kept as a logarithm, so that log10 rows
    can hold decay and growth beyond the range of float64: a value beyond 1e308 has only its log10
    row, a value of exactly 0 has none. At most 500 lags (see steps.thinned); fewer for large
    networks, but at least 32.

    Each row of (1) to (3) is the median over the sequences that reach back that far. It is taken of
    log10, since magnitudes are spread over many decades: for an even number of sequences it is the
    geometric mean of the middle two. For (4) it is the plain median.

    TensorBoard: log10 of the norms against lag.

    Args and Raises: see OfProducts.

    References:
        Hochreiter & Schmidhuber 1997, appendix A.2; Pascanu, Mikolov & Bengio 2013, section 2.
    """

    name = "jacobians"
    charts = (
        Chart(
            ERRORS,
            "log10 of state to state against lag",
            r"jacobians_log10_norm_against_lag/.*",
            2,
        ),
    )

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        _, found = self.products(model, probe)
        return _table(found)

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        logs = table[table["measure"] == "log10_norm"]
        curves = {
            f"jacobians_log10_norm_against_lag/{path}": (part["lag"], part["value"])
            for path, part in logs.groupby("path")
        }
        board.against_lag(curves, sequences)


def jacobians(model: Any, x: Any, w: Any = None) -> pd.DataFrame:
    """The curves of Jacobians over all sequences of a batch.

    The one-step Jacobians of all steps take B * T * (S + 2n)^2 numbers for S states and n cells, in
    pieces of 12 million at a time.

    Args:
        model: A Recurrent with a GatedCell.
        x: Inputs [B, T, F].
        w: Weight of the error at each step [B, T]; None: 1 everywhere.

    Returns:
        DataFrame(lag, path, measure, value).

    Raises:
        ValueError: For a cell without `step`, for shapes that do not fit, for an empty batch, for
            numbers that are not finite, and for a sequence without an error.
    """
    x, _, w = checked("jacobians", model, x, w=w)
    return _table(products(model, x, w))


def _table(found: Products) -> pd.DataFrame:
    """The medians over the sequences as rows."""
    # the norm of a diagonal matrix is its largest element
    curves = {("carousel", "norm"): found.forget.max(axis=2)}
    for name in VALUES:
        # (1), (2): the matrices are without their scale, which is in logs
        sizes = of_finite(norms, found.matrices[name])
        radii = of_finite(lambda m: magnitudes(m)[:, -1], found.matrices[name])
        curves[name, "norm"] = found.logs[name] + log10(sizes)
        curves[name, "spectral_radius"] = found.logs[name] + log10(radii)

    tables = []
    for (path, measure), values in curves.items():
        middle = over_sequences(np.median, found.there, values)
        tables += rows(middle, found.lags, path=path, measure=measure)

    # magnitudes come sorted from the smallest up
    spectrum = of_finite(magnitudes, found.one_step)
    ends = spectrum[..., -1], np.median(spectrum, axis=-1), spectrum[..., 0]
    for measure, values in zip(SPECTRUM, ends, strict=True):
        middle = over_sequences(np.median, found.there, values)
        columns = {"lag": found.lags, "path": "one_step", "measure": measure, "value": middle}
        # NaN where the Jacobian of every sequence has exploded
        tables.append(pd.DataFrame(columns).dropna())
    return pd.concat(tables, ignore_index=True)
