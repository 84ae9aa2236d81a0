"""Back-propagation through time: the exact gradient."""

from lstmlab.learners.backward import backward
from lstmlab.learners.base import Found, GradientLearner, Traits, forward
from lstmlab.learners.refusals import refuse_dropout
from lstmlab.typing import Cell, Head, Nest, Tensor


class BPTT(GradientLearner):
    """The exact gradient of the error by reverse differentiation through all steps.

        (1) th_j(t) = f'_j(net_j(t)) (d_j(t) + sum_i w_ij th_i(t+1))
        (2) dw_jl = sum_t th_j(t) y_l(t-1)

    Memory grows with T: every step's values are kept. Supports any Keras cell without dropout and
    is exact for all of them.

    References:
        Werbos 1990; in this notation Hochreiter & Schmidhuber 1997, section 3.1.
    """

    traits = Traits(filters={})

    def check(self, cell: Cell) -> None:
        refuse_dropout(self, cell)

    def gradients(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        # (1) and (2): the tape inside `backward` goes through every step, from the last to the
        # first
        return backward(cell, head, x, y, w, lambda: forward(cell, x, states=states))
