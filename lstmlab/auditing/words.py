"""An audit in words: how to read its numbers, and what stands out in those of a layer."""

import numpy as np
import pandas as pd

from lstmlab.explain.page import number, words

GATES = (
    "A gate is a factor from 0 (shut) to 1 (open) for each cell and step. The forget gate "
    "multiplies the old state, the input gate what is written, the output gate what is shown. "
    "Healthy gates change along the sequence. A gate that stays below 0.1 or above 0.9 nearly "
    "all the time is a constant, and hardly learns."
)
GRU = (
    "The forget gate is what Keras calls the update gate z: it multiplies the old state. The "
    "input gate is 1 - z."
)
MEMORY = (
    "retention: what one step leaves of a cell's state, the geometric mean of the forget gate. "
    "half-life: the steps after which half of a state is left. A cell can carry something over "
    "a lag only if its half-life is not much shorter than that lag. saturated: the share of "
    "steps at which the output function is flat, so that the error hardly enters the cell. "
    "drift: the slope of the state per step; with one way near 1 a state grows and never comes "
    "back."
)
FLOW = (
    "The derivative of the error at the layer's last step with an error by the state this many "
    "steps earlier, mean over the sequences. A flat curve: steps that long ago can be learned "
    "from. A curve that falls by a decade every few steps: they cannot, whatever the data. The "
    "dashed curve is the part along the cell state alone, which only the forget gate shrinks; "
    "the dotted one the part through gates and fed-back outputs."
)
GRADIENTS = (
    "The norm of the gradient of each gate's columns of a weight, mean over the sequences, "
    "beside the norm of the weights. A gate whose gradient is many decades below that of the "
    "others is not learning. Values that are not finite: lower the rate, or clip."
)
HELD = (
    "What is left of a state at the end of the sequences if one gate is held open (1), closed "
    "(0) or at its mean on all steps between: the derivative of the last state by the first "
    "one, mean over cells. Only a closed forget gate takes it to 0; what other gates change "
    "comes through fed-back outputs. Far below 1 with no gate held: the layer forgets by "
    "itself."
)


def gates(table: pd.DataFrame) -> list[str]:
    """Name the gates that are constants."""
    said = []
    for row in table.to_dict("records"):
        for side, where in (("near_0", "shut"), ("near_1", "open")):
            if row[side] > 0.95:
                said.append(f"The {words(row['gate'])} is {where} {row[side]:.0%} of the time.")
    return said


def memory(table: pd.DataFrame, steps: int) -> list[str]:
    """Compare the half-lives with the sequences; name what has run away or is saturated."""
    life = table["half_life"]
    short = int((life < steps / 2).sum())
    said = [
        f"Half-life of the middle cell: {_steps(life.median())}, from {_steps(life.min())} to "
        f"{_steps(life.max())}; the sequences have up to {steps} steps. {short} of {len(life)} "
        "cells have lost half of their state before half of that."
    ]
    flat = int((table["saturated"] > 0.5).sum())
    if flat:
        said.append(f"{flat} of {len(table)} cells are saturated on more than half of the steps.")
    away = int(((table["one_way"] > 0.99) & (table["largest"] > 5)).sum())
    if away:
        said.append(f"{away} of {len(table)} cells only ever grew, and beyond 5: they drift.")
    return said


_UNCOUNTED = (
    "Not measured: no error comes back through the outputs of this layer. What comes through its "
    "final states alone is not counted."
)


def flow(table: pd.DataFrame) -> list[str]:
    """Say how much of the error is left at the longest lag."""
    curve = table[table["path"] == "cell_state"].sort_values("lag")
    lag, first, last = int(curve["lag"].iloc[-1]), curve["norm"].iloc[0], curve["norm"].iloc[-1]
    if not lag or not first:
        return [_UNCOUNTED] if not first else []
    said = f"{lag} steps back, {number(last / first)} of the error is left"
    if not last:
        return [f"{said}: nothing that this precision can hold."]
    per_step = float(np.exp(np.log(last / first) / lag))
    return [f"{said}, a factor of {number(per_step)} per step."]


def gradients(table: pd.DataFrame) -> list[str]:
    """Name the gate that gets the smallest gradient if it is far below the others."""
    rows = table[(table["weight"] == "kernel") & (table["net"] != "all")]
    if not table["finite"].all():
        return ["The gradient is not finite."]
    if len(rows) < 2 or rows["norm"].min() > 1e-3 * rows["norm"].max() or not rows["norm"].max():
        return []
    least = rows.loc[rows["norm"].idxmin()]
    factor = number(least["norm"] / rows["norm"].max())
    return [f"The {words(least['net'])} gets {factor} of the gradient of the gate that gets most."]


def _steps(life: float) -> str:
    return "no end" if life >= 1e8 else f"{number(life)} steps"
