"""What GateTensorBoard measures, once: a function for each measure, on any Keras model.

    lstmlab.measures.error_flow(model, x, y)      lstmlab.measures.memory(model, x, y)

A function has the name of its table in the callback's folder and of its class in
lstmlab.diagnostics, which defines the columns. They are together here because one of the names,
`learners`, is that of a package; `lstmlab.error_flow` is the function of this module.

The arguments are the same everywhere:

    model  a compiled Keras model with recurrent layers: GatedRNN, or Keras' own LSTM, GRU,
           SimpleRNN and RNN around their cells; or a lstmlab.Recurrent
    x, y   inputs and targets as model.fit takes them; a tf.data.Dataset or PyDataset of both as x.
           For a Recurrent also a Probe as x
    w      sample weights; for a Recurrent the weight of the error at each step [B, T]

Each returns a DataFrame whose first column is `layer`. All sequences of x are used. The model stays
as it is: weights, optimizer, states, seeds, metrics and compiled functions; dropout is off.

Each raises ValueError for a model that is not compiled, has no recurrent layer that can be measured
or has weights that are not finite, for x, y and w that the model does not take, and where nothing
is left to measure. A layer that cannot be measured beside others is named on stderr.
"""

import copy
from collections.abc import Sequence
from typing import Any

import pandas as pd

from lstmlab import diagnostics
from lstmlab.diagnostics import Diagnostic, Probe
from lstmlab.diagnostics.common.checked import checked
from lstmlab.diagnostics.common.steps import until_last_error
from lstmlab.errors import refusal
from lstmlab.recording.data import batch, check_weights
from lstmlab.recording.layers import MeasuredLayers, is_recurrent

__all__ = [
    "bound",
    "error_flow",
    "example",
    "gate_timeline",
    "gates",
    "gradients",
    "interventions",
    "jacobians",
    "learners",
    "memory",
]


def bound(model: Any, x: Any, y: Any = None, w: Any = None, *, sequences: int = 8) -> pd.DataFrame:
    """How fast error must decay without a carousel: diagnostics.Bound; lag, kind, value."""
    return _measured(diagnostics.Bound(sequences=sequences), model, x, y, w)


def error_flow(model: Any, x: Any, y: Any = None, w: Any = None) -> pd.DataFrame:
    """How much of the error arrives how many steps earlier: diagnostics.ErrorFlow.

    Returns:
        DataFrame(layer, lag, path, norm): lag in steps back from the layer's last step with an
        error; norm of dE/d(value), mean over the sequences.
    """
    return _measured(diagnostics.ErrorFlow(), model, x, y, w, each=True)


def example(model: Any, x: Any, y: Any = None, w: Any = None) -> pd.DataFrame:
    """All that each layer computes on the first sequence: diagnostics.Example; a row per step.

    In a Keras model target and prediction of a layer are dE/d(output) and the output itself.
    """
    return _measured(diagnostics.Example(), model, x, y, w)


def gate_timeline(
    model: Any,
    x: Any,
    y: Any = None,
    w: Any = None,
    *,
    before: int = 5,
    after: int = 20,
    events: int = 4,
    blocks: int = 16,
) -> pd.DataFrame:
    """Gates against the steps since an event: diagnostics.GateTimeline.

    In a Keras model the events are the first step and the last one with an error.
    """
    kind = diagnostics.GateTimeline(before=before, after=after, events=events, blocks=blocks)
    return _measured(kind, model, x, y, w)


def gates(model: Any, x: Any, y: Any = None, w: Any = None) -> pd.DataFrame:
    """How far each gate is open: diagnostics.GateActivations; gate, mean, near_0, near_1."""
    return _measured(diagnostics.GateActivations(), model, x, y, w)


def gradients(model: Any, x: Any, y: Any = None, w: Any = None) -> pd.DataFrame:
    """Norms of the gradient by weight and by gate: diagnostics.GradientNorm.

    What compares with an earlier measurement, update_ratio and angle, is 0 here.
    """
    return _measured(diagnostics.GradientNorm(), model, x, y, w)


def interventions(
    model: Any,
    x: Any,
    y: Any = None,
    w: Any = None,
    *,
    interval: str | Sequence[int] = "between",
    cells: int = 8,
) -> pd.DataFrame:
    """What is lost with a gate held open, closed or at its mean: diagnostics.Interventions."""
    kind = diagnostics.Interventions(interval=interval, cells=cells)
    return _measured(kind, model, x, y, w)


def jacobians(
    model: Any, x: Any, y: Any = None, w: Any = None, *, sequences: int = 8
) -> pd.DataFrame:
    """How the last state depends on earlier ones: diagnostics.Jacobians."""
    return _measured(diagnostics.Jacobians(sequences=sequences), model, x, y, w)


def learners(
    model: Any,
    x: Any,
    y: Any = None,
    w: Any = None,
    *,
    learners: dict[str, Any] | None = None,
    draws: int = 16,
) -> pd.DataFrame:
    """The gradients of other learning rules beside BPTT's: diagnostics.LearnerComparison.

    Args:
        learners: {name: Learner}, such as {"elman": lstmlab.learners.Elman()}.
        draws: How many gradients are taken from a learner that draws.
    """
    kind = diagnostics.LearnerComparison(learners=learners, draws=draws)
    return _measured(kind, model, x, y, w)


def memory(model: Any, x: Any, y: Any = None, w: Any = None) -> pd.DataFrame:
    """How long each cell keeps its state: diagnostics.Memory; a row per cell."""
    return _measured(diagnostics.Memory(), model, x, y, w)


# ---- measuring


def networks(
    owner: str, model: Any, x: Any, y: Any = None, w: Any = None, each: bool = False
) -> dict[str, tuple[Any, Probe]]:
    """Return {layer name: (network, probe)} of a model, for any number of measures.

    Args:
        owner: The function that complains.
        model, x, y, w: As above.
        each: Whether every sequence needs an error; only asked of a Recurrent.

    Raises:
        ValueError: As all functions here.
    """
    if is_recurrent(model) or hasattr(model, "cell"):
        if not isinstance(x, Probe):
            x, y, w = checked(owner, model, x, y, w, each=each)
            x = Probe(x, y, w, until_last_error(w), w > 0)
        return {model.cell.name: (model, x)}

    layers = MeasuredLayers(model, owner)
    given = batch(owner, model, x, y, w)
    check_weights(owner, model)
    return layers(given)


def table(measure: Diagnostic, found: dict[str, tuple[Any, Probe]]) -> pd.DataFrame:
    """Return the rows of a measure on all networks that it serves, the layer in the first column.

    Raises:
        ValueError: It serves none of them.
    """
    tables = []
    for layer, (net, probe) in found.items():
        if measure.serves(net):
            # a copy: a diagnostic keeps what it compiled for one network
            rows = copy.copy(measure).measure(net, probe)
            tables.append(rows.assign(layer=layer)[["layer", *rows.columns]])
    if not tables:
        raise refusal(measure.name, "a layer that has what is measured", f"{', '.join(found)}")
    return pd.concat(tables, ignore_index=True)


def _measured(
    measure: Diagnostic, model: Any, x: Any, y: Any, w: Any, each: bool = False
) -> pd.DataFrame:
    return table(measure, networks(measure.name, model, x, y, w, each))
