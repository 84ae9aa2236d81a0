"""The numbers of an audit as one DataFrame."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

COLUMNS = ["layer", "measure", "of", "what", "value"]
CELLS = ("retention", "half_life", "retention_over_lag", "saturated", "drift", "one_way", "largest")


def summary(found: list[Any]) -> pd.DataFrame:
    """Return a row for each number: layer, measure, of, what, value.

    gates and gradients have all columns of their tables; memory has the median, the smallest and
    the largest over the cells; error_flow has the norm at lags 0, 1, 2, 4, ... and the longest;
    interventions have what is left with a gate held, of '<gate> <value>', or of 'none'.
    """
    rows = [
        (layer.name, measure, *row)
        for layer in found
        for measure, table in layer.tables.items()
        for row in _ROWS[measure](table)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"value": float})


def lags(table: pd.DataFrame) -> list[int]:
    """The lags 0, 1, 2, 4, ... of a table, and the longest one."""
    there = sorted(set(table["lag"]))
    doubling = [lag for lag in there if lag & (lag - 1) == 0]  # 0 and the powers of two
    return doubling if doubling[-1] == there[-1] else [*doubling, there[-1]]


def _gates(table: pd.DataFrame) -> Iterator[tuple]:
    for row in table.to_dict("records"):
        for what in ("mean", "near_0", "near_1"):
            yield row["gate"], what, row[what]


def _memory(table: pd.DataFrame) -> Iterator[tuple]:
    for what in CELLS:
        for statistic in ("min", "median", "max"):
            yield statistic, what, getattr(table[what], statistic)()
    for what in ("lag", "effective_cells"):
        yield "layer", what, table[what].iloc[0]


def _error_flow(table: pd.DataFrame) -> Iterator[tuple]:
    shown = table[table["lag"].isin(lags(table))]
    for row in shown.to_dict("records"):
        yield row["path"], f"lag_{row['lag']}", row["norm"]


def _gradients(table: pd.DataFrame) -> Iterator[tuple]:
    for row in table.to_dict("records"):
        of = row["weight"] if row["net"] == "all" else f"{row['weight']} {row['net']}"
        for what in ("norm", "weight_norm", "finite"):
            yield of, what, row[what]


def _interventions(table: pd.DataFrame) -> Iterator[tuple]:
    kinds = ("retention", "retention_carousel")
    for what in kinds:
        yield "none", what, table[f"{what}_before"].iloc[0]
    for row in table.to_dict("records"):
        for what in kinds:
            yield f"{row['gate']} {row['value']}", what, row[f"{what}_after"]


_ROWS = {
    "gates": _gates,
    "memory": _memory,
    "error_flow": _error_flow,
    "gradients": _gradients,
    "interventions": _interventions,
}
