"""audit: every measure of every recurrent layer of a Keras model, on a few of its sequences."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lstmlab import checks, diagnostics
from lstmlab.auditing.page import page
from lstmlab.auditing.summary import summary
from lstmlab.diagnostics import Diagnostic, Probe
from lstmlab.errors import refusal
from lstmlab.measures import table
from lstmlab.recording.data import batch, check_weights, size
from lstmlab.recording.layers import MeasuredLayers

OWNER = "audit"


class Layer(NamedTuple):
    """What was found in one layer.

    name: as in `lstmlab.traces`. cell: its GatedCell. probe: the sequences as they reached it.
    gates: {gate: [B, T, m]}. tables: {measure: its DataFrame}.
    """

    name: str
    cell: Any
    probe: Probe
    gates: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]


def audit(
    model: Any,
    x: Any,
    y: Any = None,
    w: Any = None,
    *,
    path: str | os.PathLike | None = None,
    sequences: int = 32,
) -> pd.DataFrame:
    """Measure every recurrent layer of a Keras model, and write one page that explains it.

        audit = lstmlab.audit(model, x, y, path="audit.html")

    For each layer: how far its gates are open, how long its cells keep their states, how much of
    the error arrives how many steps earlier and on which path, the gradient of each gate's weights,
    drift and saturation, and what is left of the states with a gate held open or closed. The model
    may hold GatedRNN layers or Keras' own LSTM, GRU and SimpleRNN; it stays as it is.

    Args:
        model: A compiled Keras model.
        x, y, w: Inputs, targets and sample weights as model.fit takes them; or a dataset as x.
        path: Where the page goes: one HTML file that needs no other. None: no page.
        sequences: How many sequences are used: the first ones. The page says so.

    Returns:
        DataFrame(layer, measure, of, what, value): a row for each number, such as ('lstm', 'gates',
        'forget_gate', 'mean', 0.73). The full tables are those of lstmlab.measures.

    Raises:
        ValueError: As the functions of lstmlab.measures; and for a path that cannot be written,
            before anything is measured.
    """
    sequences = checks.integer(OWNER, "sequences", sequences)
    file = None if path is None else _writable(path)
    layers = MeasuredLayers(model, OWNER)
    given = batch(OWNER, model, x, y, w, most=sequences)
    check_weights(OWNER, model)
    found = [_layer(name, *net) for name, net in layers(given).items()]
    if file is not None:
        made = page(model, found, _amount(size(given[0]), size(x)), layers.left_out)
        file.write_text(made.text(), encoding="utf-8")
    return summary(found)


def _writable(path: str | os.PathLike) -> Path:
    """The path, once it is known that a file can be written there."""
    file = Path(path)
    if file.is_dir():
        raise refusal(OWNER, "the path of a file", {"path": str(path)})
    if not os.access(file.parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        expected = "a path in a folder that is there and can be written"
        raise refusal(OWNER, expected, {"path": str(path)})
    return file


def _amount(used: int | None, of: int | None) -> str:
    """How many sequences of how many were used, in words."""
    if of is None:
        return f"the first {used} sequences of the dataset, or all if it has no more"
    if used != of:
        return f"the first {used} of {of:,} sequences"
    return "one sequence" if of == 1 else f"all {of} sequences"


def _layer(name: str, net: Any, probe: Probe) -> Layer:
    """Measure one layer by every diagnostic that serves it."""
    gates = diagnostics.GateActivations()
    tables = dict(_tables(gates, name, net, probe))
    values = gates.traces(net, probe)
    return Layer(name, net.cell, probe, {gate: values[gate] for gate in net.cell.gates}, tables)


def _tables(gates: Diagnostic, name: str, net: Any, probe: Probe) -> Iterator[tuple]:
    measures = [
        gates,
        diagnostics.Memory(),
        diagnostics.ErrorFlow(),
        diagnostics.GradientNorm(),
    ]
    if probe.valid[:, 1:].any():  # with one step there is nothing between
        measures.append(diagnostics.Interventions())
    for measure in measures:
        if measure.serves(net):
            yield measure.name, table(measure, {name: (net, probe)})
