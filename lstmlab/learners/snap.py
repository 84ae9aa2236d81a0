"""SnAp: real-time recurrent learning of the dependences that arise within a few steps."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Traits, initial_states
from lstmlab.learners.one_step import (
    as_weights,
    back_one_step,
    by_example,
    by_weight,
    flat,
    one_step,
)
from lstmlab.learners.reach import Reach
from lstmlab.learners.refusals import refuse_dropout, refuse_stacked
from lstmlab.learners.rtrl import MAX_SENSITIVITIES
from lstmlab.learners.stepwise import MAX_TRACE, Readout, Stepwise
from lstmlab.typing import Cell, Nest, Tensor


class SnAp(Stepwise):
    """Sparse n-step approximation: RTRL for the states that a weight affects within `order` steps.

        (1) K_1 = pattern of I, K_k = K_(k-1) or pattern(J) K_(k-1)
            K [S, P]: whether this entry is kept; k = order
        (2) M(t) = K * (J(t) M(t-1) + I(t)),  M(0) = 0            J, I, M: as in RTRL
        (3) dE/dW = sum_t dE(t)/dy(t) M_y(t)                      M_y: the rows of the output y
        (4) dE/dW = sum_t dE(t)/dy(t) [J_y(t) M(t-1) + I_y(t)]
            instead of (3) if y is not part of the states

    Supports any single Keras cell. The patterns are those of J and I at random weights, states and
    inputs, found once per cell. Only what is kept is stored and computed: weights that affect the
    same R states form a group, and each group has its own matrix [R, weights]. I takes one
    vector-Jacobian product per colour, and rows that share no weight have the same colour; the same
    holds for J with rows that share no state. For n fully connected units, I has 1 colour (elman)
    or 2 (vanilla), and J has as many as there are states. A step costs B * sum of R * R * weights
    over the groups, and B * n^3 for J: at order 1 these are n^2 numbers and n^3 multiplications
    instead of RTRL's n^3 and n^4. A weight of a reset gate affects all n units at once, because
    what it gates is an input of all of them.

    Equals BPTT with order='full', and with order=1 if no unit is an input of another:
    feedback='none', without peepholes or with blocks of one cell; and element-wise recurrence
    (indrnn).

    Args:
        order: A positive integer, or 'full' for as many steps as add new entries, which is RTRL
            without its zeros.
        update_every: See Forward.
        max_sensitivities: The largest number of entries that M may hold.
        decay: See Forward.
        decay_steps: See Forward.
        max_trace: See Stepwise.

    Raises:
        ValueError: For any other value, for stacked cells or dropout, and for M larger than
            allowed.

    References:
        Menick et al. 2021, "SnAp-n".
    """

    traits = Traits(streams=True, exact_case={"feedback": "none"})

    def __init__(
        self,
        order: int | str = 1,
        update_every: int | None = None,
        max_sensitivities: int = MAX_SENSITIVITIES,
        decay: float = 1.0,
        decay_steps: int = 100,
        max_trace: float = MAX_TRACE,
    ):
        super().__init__(update_every, decay, decay_steps, max_trace)
        if order != "full":
            order = checks.integer("SnAp", "learner.order", order, why="or 'full'")
        self.order = order
        self.max_sensitivities = checks.integer(
            "SnAp", "learner.max_sensitivities", max_sensitivities
        )
        self._reaches: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def check(self, cell: Cell) -> None:
        refuse_stacked(self, cell)
        refuse_dropout(self, cell)

    def reach(self, cell: Cell, features: int) -> Reach:
        """Return what is kept for the cell: (1)."""
        if cell not in self._reaches:
            # in a thread of its own, which has no graph: tf.init_scope would stop the tapes as well
            with ThreadPoolExecutor(1) as thread:
                self._reaches[cell] = thread.submit(Reach, cell, features, self.order).result()
        return self._reaches[cell]

    def initial(self, cell: Cell, x: Tensor, states: Nest) -> dict[str, Nest]:
        """Return state: s [B, S]; sensitivity: M, for each bucket [B, groups, R, weights]."""
        state = tf.concat(initial_states(cell, x.shape[0], states), axis=1)
        reach = self.reach(cell, x.shape[2])
        self._check_size(x.shape[0], reach)
        shapes = [
            (x.shape[0], *bucket.rows.shape, bucket.weights.shape[1]) for bucket in reach.buckets
        ]
        return {"state": state, "sensitivity": [tf.zeros(shape, state.dtype) for shape in shapes]}

    def step(
        self, cell: Cell, x_t: Tensor, memory: dict, readout: Readout
    ) -> tuple[dict[str, Nest], dict]:
        reach, state, m_before = self._reaches[cell], memory["state"], memory["sensitivity"]

        output, rows, jacobian = _of_states(cell, reach, x_t, state)
        immediate = by_example(lambda *one: _of_weights(cell, reach, *one), x_t, state)
        m = [
            bucket.of_states(jacobian) @ old + bucket.of_weights(immediate)  # (2)
            for bucket, old in zip(reach.buckets, m_before, strict=True)
        ]

        of_output, sums = readout(output), {}
        if reach.output_apart:
            of_rows, sums["direct"] = back_one_step(cell, x_t, state, of_output)
            sums["kept"] = _rows_times(of_rows, reach, m_before)  # (4)
        else:
            of_rows = tf.pad(of_output, [(0, 0), (0, reach.states - of_output.shape[1])])
            sums["kept"] = _rows_times(of_rows, reach, m)  # (3)
        return {"state": rows, "sensitivity": m}, sums

    def trace_sizes(self, cell: Cell, memory: dict) -> Tensor:
        sums = [tf.reduce_sum(tf.abs(part), axis=2) for part in memory["sensitivity"]]
        flat = tf.concat([tf.reshape(part, (part.shape[0], -1)) for part in sums], axis=1)
        places = self._reaches[cell].places
        return by_weight(cell, tf.gather(tf.pad(flat, [(0, 0), (0, 1)]), places, axis=1))

    def zeros(self, cell: Cell) -> dict[str, Nest]:
        reach, dtype = self._reaches[cell], cell.trainable_variables[0].dtype
        total: dict = {"kept": [tf.zeros(bucket.weights.shape, dtype) for bucket in reach.buckets]}
        if reach.output_apart:
            total["direct"] = tf.zeros((reach.weights,), dtype)
        return total

    def finish(self, cell: Cell, total: dict) -> list:
        kept = [tf.reshape(part, (-1,)) for part in total["kept"]]
        kept.append(tf.zeros((1,), cell.trainable_variables[0].dtype))
        row = tf.gather(tf.concat(kept, axis=0), self._reaches[cell].places)
        return as_weights(cell, row + total["direct"] if "direct" in total else row)

    def _check_size(self, batch: int, reach: Reach) -> None:
        """Raise ValueError if M would hold too many numbers."""
        numbers = batch * reach.kept
        if numbers > self.max_sensitivities:
            most = f"learner.max_sensitivities={self.max_sensitivities:,} numbers"
            received = (
                f"batch {batch} * {reach.kept:,} kept of states {reach.states} * weights "
                f"{reach.weights} = {numbers:,} numbers with learner.order={self.order}"
            )
            raise refusal("SnAp", f"sensitivities of at most {most}", received)


def _of_states(
    cell: Cell, reach: Reach, x_t: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """y(t), s(t), and J(t) [B, colours, S].

    The rows of a colour summed, none of which share a state.
    """
    count = int(reach.state_colours.max()) + 1
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(state)
        output, rows = one_step(cell, x_t, state)
        coloured = rows @ tf.one_hot(reach.state_colours, count, dtype=state.dtype)
        each = tf.unstack(coloured, axis=1) if _one_by_one(count) else []

    if not each:
        return output, rows, tape.batch_jacobian(coloured, state)
    gradients = [tape.gradient(one, state, unconnected_gradients="zero") for one in each]
    return output, rows, tf.stack(gradients, axis=1)


def _of_weights(cell: Cell, reach: Reach, x_t: Tensor, state: Tensor) -> Tensor:
    """I(t) of one example [colours * P].

    The rows of a colour summed, none of which share a weight.
    """
    weights = [weight.value for weight in cell.trainable_variables]
    count = int(reach.weight_colours.max()) + 1
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(weights)
        _, rows = one_step(cell, x_t, state)
        coloured = (rows @ tf.one_hot(reach.weight_colours, count, dtype=state.dtype))[0]
        each = tf.unstack(coloured) if _one_by_one(count) else []

    if each:
        gradients = [tape.gradient(one, weights, unconnected_gradients="zero") for one in each]
        return tf.concat([flat(one) for one in gradients], axis=0)
    parts = tape.jacobian(coloured, weights, unconnected_gradients="zero")
    parts = [tf.reshape(part, (count, -1)) for part in parts]
    return tf.reshape(tf.concat(parts, axis=1), (-1,))


def _rows_times(of_rows: Tensor, reach: Reach, m: list) -> list:
    """dE/ds [B, S] times M, for each bucket [groups, weights], summed over the batch."""
    return [
        tf.einsum("bgr,bgrp->gp", tf.gather(of_rows, bucket.rows, axis=1), part)
        for bucket, part in zip(reach.buckets, m, strict=True)
    ]


def _one_by_one(count: int) -> bool:
    """Whether derivatives are taken one after the other.

    Few of them, or all where none is compiled.
    """
    return count <= 4 or tf.executing_eagerly()
