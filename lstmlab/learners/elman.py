"""Elman's training procedure: the context is a copy, and the weights change after every symbol."""

from lstmlab.learners.truncated_bptt import TruncatedBPTT


class Elman(TruncatedBPTT):
    """The state of the step before is an input like any other: an error goes back through one step and no further.

        (1) h(t) = f(U x(t) + V c(t)), c(t) = h(t-1) copied        y(t) = f(W h(t))
        (2) e_y = f'(y) (d - y), e_h = f'(h) W^T e_y; dW = a e_y h^T, dU = a e_h x^T, dV = a e_h c^T
        (3) the weights change after every symbol, and the context goes on

    This is BPTT(1; 1). For any Keras cell; for the net of the source cell=elman. Equals BPTT for sequences of one step, or
    where the cell reads nothing back and keeps nothing. Raises ValueError for dropout.
    Source: Elman 1990; Cleeremans, Servan-Schreiber & McClelland 1989; Hochreiter & Schmidhuber 1997, section 5.1.
    """

    def __init__(self, decay: float = 1.0, decay_steps: int = 100):
        super().__init__(1, 1, decay, decay_steps)

    def exact_case(self) -> dict:
        return {"feedback": "none", "forget_gate": "closed"}
