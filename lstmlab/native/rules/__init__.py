"""What each learner adds to a kernel: what it carries forward, and how it finds the gradient.

    base           what rules share; the rule that answers only
    traces         eligibility traces of 1997, forward in time
    one_step       the error goes back one step
    backward       back-propagation through time, exact or truncated
    sensitivities  real-time recurrent learning

A rule gives the stores of the block's program (see `phases`) and the lines around them. `kernel`
imports the names below.
"""

from lstmlab.native.rules.backward import Backward
from lstmlab.native.rules.base import READOUT, Rule
from lstmlab.native.rules.one_step import OneStep
from lstmlab.native.rules.sensitivities import Sensitive
from lstmlab.native.rules.traces import Traces

__all__ = ["READOUT", "Backward", "OneStep", "Rule", "Sensitive", "Traces"]
