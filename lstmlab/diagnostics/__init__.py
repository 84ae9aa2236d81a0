"""What is measured on a fixed probe batch, outside the train step: measuring changes neither weights nor random state."""

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.error_flow import ErrorFlow, error_flow
from lstmlab.diagnostics.example import Example
from lstmlab.diagnostics.gate_activations import GateActivations
from lstmlab.diagnostics.gradient_norm import GradientNorm
from lstmlab.diagnostics.learner_comparison import LearnerComparison

__all__ = [
    "Diagnostic",
    "ErrorFlow",
    "Example",
    "GateActivations",
    "GradientNorm",
    "LearnerComparison",
    "Probe",
    "error_flow",
]
