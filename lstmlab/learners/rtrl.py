"""Real-time recurrent learning: the exact gradient, carried forward in time."""

from typing import Any

import tensorflow as tf
from keras import tree

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Traits, initial_states, packed
from lstmlab.learners.one_step import by_weight, count_of
from lstmlab.learners.refusals import refuse_dropout, refuse_stacked
from lstmlab.learners.stepwise import MAX_TRACE, Readout, Stepwise
from lstmlab.typing import Cell, Nest, Net, Tensor

MAX_SENSITIVITIES = 100_000_000


class RTRL(Stepwise):
    """The exact gradient without a backward pass: d state / d weight is carried forward.

        (1) M(t) = J(t) M(t-1) + I(t)        M(0) = 0
            M(t) = ds(t)/dW, J(t) = ∂s(t)/∂s(t-1), I(t) = ∂s(t)/∂W with s(t-1) held
            s: all states; W: the cell's weights
        (2) dE/dW = sum_t dE(t)/dy(t) M_y(t)           M_y: the rows of the output y
        (3) teacher forcing: after step t the outputs among the states are set to their targets, and
            their rows of M to 0

    For n fully connected units this is the paper's
    p_kij(t+1) = f'_k(net_k) [sum_l w_kl p_lij(t) + delta_ik z_j(t)]. It supports any single Keras
    cell, through its one-step derivatives. The memory does not grow with T; it holds B * S * P
    numbers for S states and P weights, and a step costs B * S * S * P multiplications: n^3 and n^4
    for n units. Equals BPTT for every cell it supports, with update_every=None and no teacher
    forcing.

    Args:
        update_every: See Forward; 1 is the on-line form of the paper.
        teacher_forcing: (3), for head=output_units, whose outputs are units of the cell.
        max_sensitivities: The largest count of numbers that M may hold.
        decay: See Forward.
        decay_steps: See Forward.
        max_trace: See Stepwise.

    Raises:
        ValueError: For any other value; for stacked cells or dropout; for M larger than allowed;
            for teacher forcing with another head.

    References:
        Williams & Zipser 1989, eqs. 6-9; Robinson & Fallside 1987.
    """

    traits = Traits(streams=True, filters={})

    def __init__(
        self,
        update_every: int | None = None,
        teacher_forcing: bool = False,
        max_sensitivities: int = MAX_SENSITIVITIES,
        decay: float = 1.0,
        decay_steps: int = 100,
        max_trace: float = MAX_TRACE,
    ):
        super().__init__(update_every, decay, decay_steps, max_trace)
        self.max_sensitivities = checks.integer(
            "RTRL", "learner.max_sensitivities", max_sensitivities
        )
        self.teacher_forcing = checks.flag("RTRL", "learner.teacher_forcing", teacher_forcing)

    def check(self, cell: Cell) -> None:
        refuse_stacked(self, cell)
        refuse_dropout(self, cell)

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        if self.teacher_forcing and not hasattr(net.head, "places"):
            received = f"learner.teacher_forcing=true, head={type(net.head).__name__}"
            expected = "head=output_units, since the forced outputs must be units of the cell"
            raise refusal("RTRL", expected, received)
        return super().init(net, streams)

    def initial(self, cell: Cell, x: Tensor, states: Nest) -> dict[str, Nest]:
        """Return state: s [B, S]; sensitivity: M [B, S, P]."""
        state = tf.concat(initial_states(cell, x.shape[0], states), axis=1)
        self._check_size(x.shape[0], state.shape[1], count_of(cell))
        sensitivity = tf.zeros((*state.shape, count_of(cell)), state.dtype)
        return {"state": state, "sensitivity": sensitivity}

    def step(
        self, cell: Cell, x_t: Tensor, memory: dict, readout: Readout
    ) -> tuple[dict[str, Nest], Tensor]:
        state, weights = memory["state"], [weight.value for weight in cell.trainable_variables]
        sizes = [part.shape[1] for part in initial_states(cell, x_t.shape[0])]

        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([state, *weights])
            output, states = cell(x_t, packed(cell, x_t.shape[0], tf.split(state, sizes, axis=1)))
            states = tree.flatten(states)
            # the rows of s, and those of y where it is not the first of the states
            apart = [] if output is states[0] else [output]
            rows = tf.concat([*states, *apart], axis=1)

        immediate = tape.jacobian(rows, weights, unconnected_gradients="zero")
        immediate = [tf.reshape(part, (*rows.shape, -1)) for part in immediate]
        immediate = tf.concat(immediate, axis=-1)
        m = tape.batch_jacobian(rows, state) @ memory["sensitivity"] + immediate  # (1)

        width = state.shape[1]
        m_y = m[:, width:] if apart else m[:, : output.shape[1]]
        gradient = tf.einsum("bi,bip->p", readout(output), m_y)  # (2)

        after = {"state": rows[:, :width], "sensitivity": m[:, :width]}
        return self._forced(after, readout) if self.teacher_forcing else after, gradient

    def trace_sizes(self, cell: Cell, memory: dict) -> Tensor:
        return by_weight(cell, tf.reduce_sum(tf.abs(memory["sensitivity"]), axis=1))

    def _forced(self, memory: dict, readout: Readout) -> dict[str, Nest]:
        """(3): the output units come last among the cell's units."""
        state, m = memory["state"], memory["sensitivity"]
        first, last = readout.head.places
        around = [(0, 0), (first, state.shape[1] - last)]

        known = tf.ones_like(readout.y_t) * tf.cast(readout.w_t > 0, state.dtype)[:, None]
        forced = tf.pad(known, around) > 0
        return {
            "state": tf.where(forced, tf.pad(readout.y_t, around), state),
            "sensitivity": tf.where(forced[..., None], tf.zeros_like(m), m),
        }

    def _check_size(self, batch: Any, states: int, weights: int) -> None:
        """Raise ValueError where M would hold too many numbers."""
        numbers = batch * states * weights
        if numbers > self.max_sensitivities:
            most = f"learner.max_sensitivities={self.max_sensitivities:,} numbers"
            received = (
                f"batch {batch} * states {states} * weights {weights} = {numbers:,} numbers, "
                f"and {numbers * states:,} multiplications per step"
            )
            raise refusal("RTRL", f"sensitivities of at most {most}", received)
