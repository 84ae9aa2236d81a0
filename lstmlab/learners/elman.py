"""Elman's training procedure: the context is a copy, and the weights change after every symbol."""

from lstmlab.learners.base import Traits
from lstmlab.learners.truncated_bptt import TruncatedBPTT


class Elman(TruncatedBPTT):
    """The previous state is an input like any other: an error is propagated back only one step.

        (1) h(t) = f(U x(t) + V c(t)), c(t) = h(t-1) copied        y(t) = f(W h(t))
        (2) e_y = f'(y) (d - y), e_h = f'(h) W^T e_y
            dW = a e_y h^T, dU = a e_h x^T, dV = a e_h c^T
        (3) the weights change after every symbol, and the context is carried over

    Supports any Keras cell without dropout; cell=elman gives the network of the source. Equals BPTT
    for sequences of one step, or if the cell has no recurrent inputs and keeps no state.

    Args:
        decay: See Forward.
        decay_steps: See Forward.

    References:
        Elman 1990; Cleeremans, Servan-Schreiber & McClelland 1989; Hochreiter & Schmidhuber 1997,
        section 5.1.
    """

    def __init__(self, decay: float = 1.0, decay_steps: int = 100):
        # (1) and (2): an error goes back one step; (3): after every one. This is BPTT(1; 1).
        super().__init__(1, 1, decay, decay_steps)
        exact = {"feedback": "none", "forget_gate": "closed"}
        self.traits = Traits(streams=True, horizon=1, filters={}, exact_case=exact)
