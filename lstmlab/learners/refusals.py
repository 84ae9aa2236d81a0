"""Cells that a learner does not support: each function raises ValueError in the learner's name."""

import inspect
from typing import Any

from lstmlab.errors import refusal
from lstmlab.learners.base import Learner


def refuse_stacked(learner: Learner, cell: Any) -> None:
    """Raise ValueError for stacked cells."""
    if hasattr(cell, "cells"):
        received = f"cell={type(cell).__name__} of {len(cell.cells)} cells"
        raise refusal(type(learner).__name__, "a single cell", received)


def refuse_dropout(learner: Learner, cell: Any) -> None:
    """Raise ValueError for a cell with dropout, or stacked cells with one."""
    for part in getattr(cell, "cells", [cell]):
        rates = {name: getattr(part, name, 0) for name in ("dropout", "recurrent_dropout")}
        if any(rates.values()):
            expected = "dropout=0 and recurrent_dropout=0, since no dropout is applied here"
            raise refusal(type(learner).__name__, expected, rates)


def refuse_hidden(learner: Learner, cell: Any) -> None:
    """Raise ValueError for a cell that cannot filter what its pre-activations read back."""
    step = getattr(cell, "step", None)
    takes = {} if step is None else inspect.signature(step).parameters
    passes_on = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
    if "see" not in takes and not passes_on:
        expected = (
            "a cell that lets what it reads back be filtered, a lstmlab.GatedCell "
            "(learner=bptt serves any Keras cell)"
        )
        raise refusal(type(learner).__name__, expected, f"cell={type(cell).__name__}")
