"""The truncated learning rule of 1997: errors flow back through time along the carousel alone."""

import inspect

import tensorflow as tf

from lstmlab.learners.base import Learner, refuse_dropout
from lstmlab.learners.bptt import backward


class Truncated1997(Learner):
    """Error that reaches the net input of a gate or of a cell changes the weights into it and is propagated no further.

        (1) d net(t) / d hidden(t-1) = 0 for the net inputs of cells and of gates       (eqs. 10-14, "truncated")
        (2) d s(t) / d s(t-1) = 1, or the forget gate where there is one                (eq. 15)

    Written as one line: see=stop_gradient, so that what the nets read back counts as input. The gradient is that of half
    the summed squared error, which is what eqs. 19-28 follow (eq. 16 lacks the 1/2 that eq. 19 drops).
    Exact where nothing is read back: feedback="none", and no peephole.

    Serves cells that offer step(inputs, states, see), as GatedCell does; raises ValueError for others, and for dropout.
    Source: Hochreiter & Schmidhuber 1997, appendix A.1, eqs. 10-28.
    """

    def gradients(self, cell, head, x, y, w, states=None):
        return backward(cell, head, x, y, w, tf.stop_gradient, states)[:3]

    def check(self, cell) -> None:
        refuse_dropout(self, cell)
        step = getattr(cell, "step", None)
        if step is None or "see" not in inspect.signature(step).parameters:
            raise ValueError(
                "Truncated1997: the cell must say what its nets read back; expected a lstmlab.GatedCell "
                f"(learner=bptt serves any Keras cell). Received: cell={type(cell).__name__}"
            )

    def exact_case(self) -> dict:
        return {"feedback": "none"}
