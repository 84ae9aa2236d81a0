"""Jacobians: how state and output at the end depend on those so many steps earlier, beside what the carousel alone would do."""

import numpy as np
import pandas as pd

from lstmlab.diagnostics.base import Diagnostic, Probe, checked
from lstmlab.diagnostics.products import (
    VALUES,
    Products,
    count,
    log10,
    magnitudes,
    norms,
    of_finite,
    one_steps,
    over_sequences,
    products,
    rows,
    with_errors,
)

SPECTRUM = ("largest", "median", "smallest")


class Jacobians(Diagnostic):
    """State-to-state derivatives against lag, T* being the last step with an error and t = T* - lag.

        (1) cell_state  ds_T*/ds_t      (2) output  dy_T*/dy_t      total derivatives by the value as it arises: s_t acts
                                                                    through y_t, gates and candidates as well
        (3) carousel    diag(product of the forget activations of steps t+1 .. T*): what (1) would be along the carousel alone;
                        after refine gate and normaliser; 1 where there is no forget gate, from lag 1 on 0 where it is closed
        (4) one_step    d(all states)_t / d(all states)_t-1: magnitudes of its eigenvalues at each step; states that follow from
                        others (y_t beside the gates that are fed back) give zeros, but for rounding

    Table: lag, path, measure, value. Measures of (1) and (2): norm (the largest singular value), spectral_radius, and the log10
    of both; of (3): norm and its log10, its spectral radius being the same; of (4): largest, median, smallest. The products are
    taken in float64 with their scale as a logarithm, so that log10 rows hold decays and growth that no number does: a value
    beyond 1e308 has its log10 row alone, a value of exactly 0 has none. At most 500 lags (see base.thinned), for large nets
    fewer, at least 32. Each row of (1) to (3) is the median over the sequences that are so long, found as log10, as magnitudes
    are spread over many decades: of an even number the geometric mean of the middle two. For (4) it is the plain median.
    TensorBoard: log10 of norm and spectral radius, and (4), against lag.

    sequences: so many of the probe's, those first that have an error. Raises ValueError if that is no positive integer.
    Source: Hochreiter & Schmidhuber 1997, appendix A.2; Pascanu, Mikolov & Bengio 2013, section 2.
    """

    name = "jacobians"

    def __init__(self, every: int | str = "doubling", sequences: int = 8):
        super().__init__(every)
        self.sequences = count("Jacobians", "sequences", sequences)

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        x, w = with_errors(probe.x, probe.w, self.sequences)
        return _table(products(model, x, w, self.compiled(model, one_steps)))

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        curves = {}
        for (path, measure), part in table.groupby(["path", "measure"]):
            if path == "one_step":
                curves[f"jacobians_one_step_against_lag/{measure}"] = part["lag"], part["value"]
            elif measure.startswith("log10_"):
                curves[f"jacobians_{measure}_against_lag/{path}"] = part["lag"], part["value"]
        board.against_lag(curves, sequences)


def jacobians(model, x, w=None) -> pd.DataFrame:
    """DataFrame(lag, path, measure, value): the curves of Jacobians for a `Recurrent` model, over all sequences of x.

    x [B, T, F]; w [B, T]: weight of the error at each step (default: 1 everywhere). The one-step Jacobians of all steps take
    B * T * (S + 2n)^2 numbers for S states and n cells, in pieces of 12 million at a time.
    Raises ValueError for a cell without `step`, for shapes that do not fit, for nothing, for numbers that are not finite, and
    for a sequence without an error.
    """
    x, _, w = checked("jacobians", model, x, w=w)
    return _table(products(model, x, w))


def _table(found: Products) -> pd.DataFrame:
    """The medians over the sequences as rows."""
    curves = {("carousel", "norm"): found.forget.max(axis=2)}
    for name in VALUES:
        sizes = of_finite(norms, found.matrices[name])
        radii = of_finite(lambda m: magnitudes(m)[:, -1], found.matrices[name])
        curves |= {
            (name, "norm"): found.logs[name] + log10(sizes),
            (name, "spectral_radius"): found.logs[name] + log10(radii),
        }
    tables = []
    for (path, measure), values in curves.items():
        tables += rows(
            over_sequences(np.median, found.there, values), found.lags, path=path, measure=measure
        )
    spectrum = of_finite(magnitudes, found.one_step)
    for measure, values in zip(
        SPECTRUM, (spectrum[..., -1], np.median(spectrum, axis=-1), spectrum[..., 0]), strict=True
    ):
        middle = over_sequences(np.median, found.there, values)
        tables.append(
            pd.DataFrame(
                {"lag": found.lags, "path": "one_step", "measure": measure, "value": middle}
            ).dropna()
        )
    return pd.concat(tables, ignore_index=True)
