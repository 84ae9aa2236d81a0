"""Which states of a cell the weights reach within some steps.

The sparse matrices of SnAp, in NumPy.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from lstmlab.learners.base import initial_states
from lstmlab.learners.one_step import count_of, flat, one_step
from lstmlab.typing import Array, Cell, Tensor


class Reach:
    """Which states the weights of a cell reach within `order` steps.

    Weights that reach the same R states form a group, and groups of one size lie in one bucket.

    Attributes:
        states: S. weights: P. kept: Entries of M [S, P] that are kept.
        buckets: List of Bucket.
        places: [P], the place of each weight among those of all buckets one after the other, or one
            behind the last for a weight that reaches no state.
        state_colours: [S]; rows of one colour share no column of J.
        weight_colours: [S]; rows of one colour share no column of I.
        output_apart: Whether the output is not the first of the states.
    """

    def __init__(self, cell: Cell, features: int, order: int | str):
        self.by_state, direct, self.output_apart = patterns(cell, features)
        self.states, self.weights = direct.shape
        reached = reachable(self.by_state, direct, order)
        self.kept = int(reached.sum())
        self.state_colours, self.weight_colours = colours(self.by_state), colours(direct)

        packed_columns, group = np.unique(np.packbits(reached, axis=0), axis=1, return_inverse=True)
        groups: dict[tuple[int, int], list] = {}
        for number, column in enumerate(np.unpackbits(packed_columns, axis=0, count=self.states).T):
            rows, members = np.flatnonzero(column), np.flatnonzero(group.ravel() == number)
            if rows.size:
                groups.setdefault((rows.size, members.size), []).append((rows, members))
        self.buckets = [
            Bucket(self, direct, *(np.array(part) for part in zip(*same, strict=True)))
            for same in groups.values()
        ]

        self.places = np.full(self.weights, sum(bucket.weights.size for bucket in self.buckets))
        in_order = [np.zeros(0, int), *(bucket.weights.ravel() for bucket in self.buckets)]
        order_of = np.concatenate(in_order)
        self.places[order_of] = np.arange(order_of.size)


class Bucket:
    """G groups of P' weights that reach the same R states, and where to find their J and I.

    Attributes:
        rows: The states [G, R].
        weights: The weights [G, P'].
    """

    def __init__(self, reach: Reach, direct: Array, rows: Array, weights: Array):
        self.rows, self.weights = rows, weights
        self.from_states = reach.state_colours[rows][:, :, None] * reach.states + rows[:, None, :]
        self.has_states = reach.by_state[rows[:, :, None], rows[:, None, :]]
        self.from_weights = reach.weight_colours[rows][:, :, None] * reach.weights
        self.from_weights = self.from_weights + weights[:, None, :]
        self.has_weights = direct[rows[:, :, None], weights[:, None, :]]

    def of_states(self, jacobian: Tensor) -> Tensor:
        """Return J [B, G, R, R] of the groups, from that of all states as [B, colours, S]."""
        jacobian = tf.reshape(jacobian, (jacobian.shape[0], -1))
        return _taken(jacobian, self.from_states, self.has_states)

    def of_weights(self, immediate: Tensor) -> Tensor:
        """Return I [B, G, R, P'] of the groups, from that of all weights as [B, colours * P]."""
        return _taken(immediate, self.from_weights, self.has_weights)


def _taken(values: Tensor, places: Array, there: Array) -> Tensor:
    """The values [B, ...] at the places, and 0 where nothing is there."""
    taken = tf.gather(values, places, axis=1)
    return taken if there.all() else tf.where(there, taken, tf.zeros((), taken.dtype))


class Patterns(NamedTuple):
    """Where J [S, S] and I [S, P] can differ from zero, and whether the output is apart from s."""

    by_state: Array
    direct: Array
    output_apart: bool


def patterns(
    cell: Cell, features: int, draws: int = 2, samples: int = 32, seed: int = 0
) -> Patterns:
    """Return the patterns of a cell, measured at random weights, inputs and states.

    Args:
        cell: The cell; its own weights are left alone.
        features: F.
        draws: Number of draws of the weights.
        samples: Inputs and states for each draw.
        seed: Seed of all that is drawn.
    """
    rng, sizes = np.random.default_rng(seed), [part.shape[1] for part in initial_states(cell, 1)]
    dtype, states = initial_states(cell, 1)[0].dtype, sum(sizes)
    by_state = np.zeros((states, states), bool)
    direct, apart = np.zeros((states, count_of(cell)), bool), False

    for _ in range(draws):
        values = [
            tf.constant(
                rng.normal(size=weight.shape, scale=max(1, weight.shape[0]) ** -0.5), weight.dtype
            )
            for weight in cell.trainable_variables
        ]
        x, state = (
            tf.constant(rng.uniform(-1, 1, size=(samples, size)), dtype)
            for size in (features, states)
        )
        share = tf.constant(rng.uniform(0.5, 1, size=(samples, 1)), dtype)

        scope = keras.StatelessScope(
            state_mapping=list(zip(cell.trainable_variables, values, strict=True))
        )
        with scope, tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            values = [weight.value for weight in cell.trainable_variables]
            tape.watch([state, *values])
            output, rows = one_step(cell, x, state)
            each = tf.unstack(tf.reduce_sum(share * rows, axis=0))

        for row, one in enumerate(each):
            of_state, *of_weights = tape.gradient(
                one, [state, *values], unconnected_gradients="zero"
            )
            by_state[row] |= (of_state.numpy() != 0).any(axis=0)
            direct[row] |= flat(of_weights).numpy() != 0
        width = output.shape[1]
        apart = apart or width > states or not np.array_equal(output, rows[:, :width])

    return Patterns(by_state, direct, apart)


def reachable(by_state: Array, direct: Array, order: int | str) -> Array:
    """Return K [S, P], eq. (1) of SnAp, from the patterns of J [S, S] and I [S, P]."""
    packed_columns, which = np.unique(np.packbits(direct, axis=0), axis=1, return_inverse=True)
    reached = np.unpackbits(packed_columns, axis=0, count=len(direct)).astype(bool)

    steps = 1
    while isinstance(order, str) or steps < order:
        more = reached | (by_state.astype("float32") @ reached.astype("float32") > 0)  # (1)
        if (more == reached).all():
            break
        reached, steps = more, steps + 1
    return reached[:, which.ravel()]


def colours(pattern: Array) -> Array:
    """Return a colour for each row, greedily, such that rows of one colour share no column."""
    taken: list[Array] = []
    found = np.zeros(len(pattern), int)
    for number, row in enumerate(pattern):
        free = (colour for colour, used in enumerate(taken) if not (used & row).any())
        found[number] = colour = next(free, len(taken))
        if colour == len(taken):
            taken.append(np.zeros_like(row))
        taken[colour] = taken[colour] | row
    return found
