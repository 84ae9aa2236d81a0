"""Back-propagation through time: the exact gradient."""

from collections.abc import Callable

import tensorflow as tf

from lstmlab.learners.base import Learner, refuse_dropout, run_on


class BPTT(Learner):
    """The exact gradient of the error by reverse differentiation through all steps; for any Keras cell.

        (1) th_j(t) = f'_j(net_j(t)) (d_j(t) + sum_i w_ij th_i(t+1))       (2) dw_jl = sum_t th_j(t) y_l(t-1)

    Memory grows with T: every step's values are kept. Exact for every cell; raises ValueError for one with dropout.
    Source: Werbos 1990; in these letters Hochreiter & Schmidhuber 1997, section 3.1.
    """

    def check(self, cell) -> None:
        refuse_dropout(self, cell)

    def filters(self) -> dict:
        return {}

    def gradients(self, cell, head, x, y, w, states=None):
        return backward(cell, head, x, y, w, states=states)[:3]


def backward(cell, head, x, y, w, see: Callable | None = None, states=None):
    """loss, prediction, gradients by reverse differentiation, and the flat list of states after the last step."""
    weights = [weight.value for weight in cell.trainable_variables + head.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        outputs, states = run_on(cell, x, see, states)
        prediction = head(outputs, x)
        loss = tf.reduce_sum(head.error(y, prediction, w))
    return loss, prediction, tape.gradient(loss, weights, unconnected_gradients="zero"), states
