"""The truncated learning rule of 1997, on the way back: errors flow along the carousel only."""

from typing import Any

import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.backward import backward
from lstmlab.learners.base import Found, GradientLearner, Traits, initial_states
from lstmlab.learners.refusals import refuse_dropout, refuse_hidden
from lstmlab.typing import Cell, Head, Nest, Tensor
from lstmlab.unroll import unroll

# what is cut -> arguments of GatedCell.step
SCOPES: dict[str, dict[str, Any]] = {
    "all": {"see": tf.stop_gradient},
    "gates": {"see": tf.stop_gradient, "see_candidate": tf.identity},
    "none": {},
}


class Truncated1997(GradientLearner):
    """An error that reaches a pre-activation changes the weights into it and goes no further.

        (1) ∂net(t)/∂hidden(t-1) = 0 for the pre-activations of cells and gates
                                                            (eqs. 10-14, "truncated")
        (2) so that ds(t)/ds(t-1) = e(t): 1, or the forget gate where there is one   (eq. 15)

    The gradient is that of half the summed squared error, as in eqs. 19-28 (eq. 16 lacks the 1/2
    that eq. 19 drops). `Truncated1997Forward` computes the same forward in time. Exact where
    nothing is read back: feedback="none", and no peephole.

    Args:
        scope: What (1) cuts: 'all', as in the paper, peepholes too; 'gates', all that gates see,
            while candidates are differentiated through what they read back; 'none', nothing: BPTT.

    Raises:
        ValueError: Another scope; a cell without step(inputs, states, see), or with dropout.

    References:
        Hochreiter & Schmidhuber 1997, appendix A.1, eqs. 10-28; with a forget gate Gers et al.
        2000; peepholes are cut as in Gers et al. 2002.
    """

    def __init__(self, scope: str = "all"):
        self.scope = checks.one_of("Truncated1997", "learner.scope", scope, SCOPES)
        exact = {} if scope == "none" else {"feedback": "none"}
        self.traits = Traits(filters=SCOPES[scope], exact_case=exact)

    def check(self, cell: Cell) -> None:
        refuse_dropout(self, cell)
        refuse_hidden(self, cell)

    def gradients(
        self, cell: Any, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        def step(x_t: Tensor, states: list) -> tuple[Tensor, list]:
            # (1): the pre-activations see a constant; (2): the carousel is never filtered
            values, states = cell.step(x_t, states, **SCOPES[self.scope])
            return values["output"], states

        def run() -> Tensor:
            return unroll(step, initial_states(cell, x.shape[0], states), x)[0]

        return backward(cell, head, x, y, w, run)
