"""What is measured on a fixed probe batch, outside the train step: measuring changes neither weights nor random state."""

import importlib

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.bound import Bound, bound
from lstmlab.diagnostics.error_flow import ErrorFlow, error_flow
from lstmlab.diagnostics.example import Example
from lstmlab.diagnostics.gate_activations import GateActivations
from lstmlab.diagnostics.gate_timeline import GateTimeline, gate_timeline
from lstmlab.diagnostics.gradient_norm import GradientNorm
from lstmlab.diagnostics.interventions import Interventions, intervene
from lstmlab.diagnostics.jacobians import Jacobians, jacobians
from lstmlab.diagnostics.learner_comparison import LearnerComparison
from lstmlab.diagnostics.memory import Memory, memory

__all__ = [
    "Bound",
    "Diagnostic",
    "ErrorFlow",
    "Example",
    "GateActivations",
    "GateTensorBoard",
    "GateTimeline",
    "GradientNorm",
    "Interventions",
    "Jacobians",
    "LearnerComparison",
    "Memory",
    "Probe",
    "bound",
    "error_flow",
    "gate_timeline",
    "intervene",
    "jacobians",
    "memory",
    "read",
]

_ELSEWHERE = {"GateTensorBoard": "lstmlab.recording.callback", "read": "lstmlab.recording.reading"}


def __getattr__(name: str):
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    raise AttributeError(
        f"module 'lstmlab.diagnostics' has no attribute {name!r}; it has {', '.join(__all__)}"
    )
