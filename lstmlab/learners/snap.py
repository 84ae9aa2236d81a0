"""SnAp: real-time recurrent learning of the dependences that arise within a few steps."""

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from lstmlab.learners.base import initial_states, packed, positive, refuse_dropout, single
from lstmlab.learners.forward_mode import ForwardMode
from lstmlab.learners.rtrl import by_weight

LIMIT = 100_000_000  # numbers in the sensitivities of a batch


class SnAp(ForwardMode):
    """Sparse n-step approximation: RTRL that keeps only the states which a weight reaches within `order` steps.

        (1) K_1 = pattern of I, K_k = K_(k-1) or pattern(J) K_(k-1)         K [S, P]: is this entry kept; k = order
        (2) M(t) = K * (J(t) M(t-1) + I(t)),  M(0) = 0                      J, I, M: as in RTRL
        (3) dE/dW = sum_t dE(t)/dy(t) M_y(t)                                M_y: the rows of the output y
        (4) dE/dW = sum_t dE(t)/dy(t) [J_y(t) M(t-1) + I_y(t)]              instead of (3) where y is no part of the states

    For any single Keras cell. The patterns are those of J and I at random weights, states and inputs, found once per cell. Only
    what is kept is stored and computed: weights that reach the same R states form a group, and each group has its own matrix
    [R, weights]. I takes one vector-Jacobian product per colour, rows that share no weight having the same colour, and so does
    J with rows that share no state. For n units fully connected I has 1 (elman) or 2 (vanilla), J as many as states.
    A step costs B * sum of R * R * weights over the groups, and B * n^3 for J: at order 1 n^2 numbers and n^3 multiplications
    instead of RTRL's n^3 and n^4. A weight of a reset gate reaches all n at once, as what it gates is read by all.

    order: a positive integer, or 'full' for as many steps as reach anything new, which is RTRL without its zeros.
    updates, decay, decay_steps: see OnLine. limit: the most numbers that M may hold.
    Equals BPTT with order='full', and with order=1 where no unit is read by another: feedback='none', without peepholes or with
    blocks of one cell; and recurrence by element (indrnn). Raises ValueError for other values, for stacked cells, for dropout
    and beyond the limit. Source: Menick et al. 2021, "SnAp-n".
    """

    def __init__(
        self,
        order: int | str = 1,
        updates: int | None = None,
        limit: int = LIMIT,
        decay: float = 1.0,
        decay_steps: int = 100,
    ):
        super().__init__(updates, decay, decay_steps)
        if order != "full" and (isinstance(order, bool) or not isinstance(order, int) or order < 1):
            raise ValueError(
                f"SnAp: expected a positive integer or 'full'. Received: learner.order={order!r}"
            )
        self.order, self.limit = order, positive(self, "limit", limit)
        self._reaches: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def check(self, cell) -> None:
        single(self, cell)
        refuse_dropout(self, cell)

    def exact_case(self) -> dict:
        return {"feedback": "none"}

    def reach(self, cell, features: int) -> "Reach":
        """What is kept for the cell: (1)."""
        if cell not in self._reaches:
            # in a thread of its own, which has no graph: tf.init_scope would stop the gradient tapes as well
            with ThreadPoolExecutor(1) as thread:
                self._reaches[cell] = thread.submit(Reach, cell, features, self.order).result()
        return self._reaches[cell]

    def begin(self, cell, head, x, states=None):
        """state [B, S]; sensitivity: per bucket [B, groups, R, weights], see Reach."""
        state = tf.concat(initial_states(cell, x.shape[0], states), axis=1)
        reach = self.reach(cell, x.shape[2])
        self._check_size(x.shape[0], reach)
        shapes = [
            (x.shape[0], *bucket.rows.shape, bucket.weights.shape[1]) for bucket in reach.buckets
        ]
        return self.watched(
            cell,
            {"state": state, "sensitivity": [tf.zeros(shape, state.dtype) for shape in shapes]},
        )

    def step(self, cell, x_t, memory):
        """(2): the output y(t), the states s(t) with M(t), and what (3) or (4) needs."""
        reach, state = self._reaches[cell], memory["state"]
        count = reach.state_colours.max() + 1
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(state)
            output, rows = one_step(cell, x_t, state)
            coloured = rows @ tf.one_hot(reach.state_colours, count, dtype=state.dtype)
            each = tf.unstack(coloured, axis=1) if one_by_one(count) else []
        if each:
            jacobian = tf.stack(
                [tape.gradient(one, state, unconnected_gradients="zero") for one in each], axis=1
            )
        else:
            jacobian = tape.batch_jacobian(coloured, state)
        direct = by_example(lambda x_t, state: self._direct(cell, reach, x_t, state), x_t, state)
        after = [
            bucket.after(old, jacobian, direct)
            for bucket, old in zip(reach.buckets, memory["sensitivity"], strict=True)
        ]
        known = (
            {"sensitivity": memory["sensitivity"], "state": state, "x": x_t}
            if reach.output_apart
            else {"sensitivity": after}
        )
        return output, {"state": rows, "sensitivity": after}, known

    def slopes(self, cell, of_output, known):
        """(3) or (4)."""
        reach, total = self._reaches[cell], {}
        if reach.output_apart:
            of_rows, total["direct"] = back_one_step(cell, known["x"], known["state"], of_output)
        else:
            of_rows = tf.pad(of_output, [(0, 0), (0, reach.states - of_output.shape[1])])
        total["kept"] = [
            tf.einsum("bgr,bgrp->gp", tf.gather(of_rows, bucket.rows, axis=1), part)
            for bucket, part in zip(reach.buckets, known["sensitivity"], strict=True)
        ]
        return total

    def nothing(self, cell):
        reach, dtype = self._reaches[cell], cell.trainable_variables[0].dtype
        total = {"kept": [tf.zeros(bucket.weights.shape, dtype) for bucket in reach.buckets]}
        return total | (
            {"direct": tf.zeros((reach.places.size,), dtype)} if reach.output_apart else {}
        )

    def sizes(self, cell, memory):
        sums = [tf.reduce_sum(tf.abs(part), axis=2) for part in memory["sensitivity"]]
        flat = tf.concat([tf.reshape(part, (part.shape[0], -1)) for part in sums], axis=1)
        return by_weight(
            cell, tf.gather(tf.pad(flat, [(0, 0), (0, 1)]), self._reaches[cell].places, axis=1)
        )

    def finish(self, cell, total) -> list:
        kept = [tf.reshape(part, (-1,)) for part in total["kept"]]
        kept.append(tf.zeros((1,), cell.trainable_variables[0].dtype))
        flat = tf.gather(tf.concat(kept, axis=0), self._reaches[cell].places)
        return as_weights(cell, flat + total["direct"] if "direct" in total else flat)

    def _direct(self, cell, reach: "Reach", x_t, state):
        """I(t) of one example, [colours * weights]: the rows of a colour summed, none of which share a weight."""
        weights, colours = (
            [weight.value for weight in cell.trainable_variables],
            reach.weight_colours.max() + 1,
        )
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(weights)
            _, rows = one_step(cell, x_t, state)
            coloured = (rows @ tf.one_hot(reach.weight_colours, colours, dtype=state.dtype))[0]
            each = tf.unstack(coloured) if one_by_one(colours) else []
        if each:
            return tf.concat(
                [flat(tape.gradient(one, weights, unconnected_gradients="zero")) for one in each],
                axis=0,
            )
        parts = tape.jacobian(coloured, weights, unconnected_gradients="zero")
        return tf.reshape(
            tf.concat([tf.reshape(part, (colours, -1)) for part in parts], axis=1), (-1,)
        )

    def _check_size(self, batch: int, reach: "Reach") -> None:
        numbers = batch * reach.kept
        if numbers > self.limit:
            raise ValueError(
                f"SnAp: expected sensitivities of at most learner.limit={self.limit:,} numbers. Received: batch {batch} * "
                f"{reach.kept:,} kept of states {reach.states} * weights {reach.places.size} = {numbers:,} numbers with "
                f"learner.order={self.order}"
            )


class Reach:
    """Which states the weights of a cell reach within `order` steps, in buckets of groups of the same size; NumPy throughout.

    states: S. kept: entries of M [S, P] that are kept. buckets: list of Bucket. places [P]: of each weight among those of all
    buckets one after the other, or one behind the last for a weight that reaches no state. state_colours, weight_colours [S]:
    rows of one colour share no column of J, of I. output_apart: the output is not the first of the states.
    """

    def __init__(self, cell, features: int, order: int | str):
        self.by_state, direct, self.output_apart = patterns(cell, features)
        self.states, weights = direct.shape
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
        self.places = np.full(weights, sum(bucket.weights.size for bucket in self.buckets))
        order_of = np.concatenate(
            [np.zeros(0, int), *(bucket.weights.ravel() for bucket in self.buckets)]
        )
        self.places[order_of] = np.arange(order_of.size)


class Bucket:
    """G groups of P' weights that reach the same R states: rows [G, R], weights [G, P'], and where to find J and I."""

    def __init__(self, reach: Reach, direct: np.ndarray, rows: np.ndarray, weights: np.ndarray):
        self.rows, self.weights = rows, weights
        self.from_states = reach.state_colours[rows][:, :, None] * reach.states + rows[:, None, :]
        self.has_states = reach.by_state[rows[:, :, None], rows[:, None, :]]
        self.from_weights = (
            reach.weight_colours[rows][:, :, None] * direct.shape[1] + weights[:, None, :]
        )
        self.has_weights = direct[rows[:, :, None], weights[:, None, :]]

    def after(self, old, jacobian, direct):
        """(2) for old [B, G, R, P'], J as [B, colours, S] and I as [B, colours * P]."""
        jacobian = tf.reshape(jacobian, (old.shape[0], -1))
        jacobian, direct = (
            _taken(jacobian, self.from_states, self.has_states),
            _taken(direct, self.from_weights, self.has_weights),
        )
        return jacobian @ old + direct


def _taken(values, places: np.ndarray, there: np.ndarray):
    """values [B, ...] at the places, and 0 where nothing is there."""
    taken = tf.gather(values, places, axis=1)
    return taken if there.all() else tf.where(there, taken, tf.zeros((), taken.dtype))


def patterns(cell, features: int, weights: int = 2, samples: int = 32, seed: int = 0):
    """Where J [S, S] and I [S, P] can differ from zero, and whether the output differs from the first states.

    Measured at random weights, inputs and states, many at a time. The cell's own weights are left alone.
    """
    rng, sizes = np.random.default_rng(seed), [part.shape[1] for part in initial_states(cell, 1)]
    dtype = initial_states(cell, 1)[0].dtype
    count = sum(int(np.prod(weight.shape)) for weight in cell.trainable_variables)
    by_state, direct, apart = (
        np.zeros((sum(sizes),) * 2, bool),
        np.zeros((sum(sizes), count), bool),
        False,
    )
    for _ in range(weights):
        values = [
            tf.constant(
                rng.normal(size=weight.shape, scale=max(1, weight.shape[0]) ** -0.5), weight.dtype
            )
            for weight in cell.trainable_variables
        ]
        x, state = (
            tf.constant(rng.uniform(-1, 1, size=(samples, size)), dtype)
            for size in (features, sum(sizes))
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
        apart = apart or width > sum(sizes) or not np.array_equal(output, rows[:, :width])
    return by_state, direct, apart


def reachable(by_state: np.ndarray, direct: np.ndarray, order: int | str) -> np.ndarray:
    """(1): K of this order [S, P] from the patterns of J [S, S] and of I [S, P]."""
    packed_columns, which = np.unique(np.packbits(direct, axis=0), axis=1, return_inverse=True)
    reached = np.unpackbits(packed_columns, axis=0, count=len(direct)).astype(bool)
    steps = 1
    while isinstance(order, str) or steps < order:
        more = reached | (by_state.astype("float32") @ reached.astype("float32") > 0)
        if (more == reached).all():
            break
        reached, steps = more, steps + 1
    return reached[:, which.ravel()]


def colours(pattern: np.ndarray) -> np.ndarray:
    """A colour for each row, greedily, such that rows of one colour have no column in common."""
    taken: list[np.ndarray] = []
    found = np.zeros(len(pattern), int)
    for number, row in enumerate(pattern):
        free = (colour for colour, used in enumerate(taken) if not (used & row).any())
        found[number] = colour = next(free, len(taken))
        if colour == len(taken):
            taken.append(np.zeros_like(row))
        taken[colour] = taken[colour] | row
    return found


def one_step(cell, x_t, state):
    """The output [B, n] and the states [B, S] in one row, from x_t [B, F] and the states before."""
    sizes = [part.shape[1] for part in initial_states(cell, 1)]
    output, states = cell(x_t, packed(cell, x_t.shape[0], tf.split(state, sizes, axis=1)))
    return output, tf.concat(tree.flatten(states), axis=1)


def back_one_step(cell, x_t, state, of_output):
    """What dE/dy [B, n] means for the states before [B, S], and for all weights through this step alone [P]."""
    weights = [weight.value for weight in cell.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([state, *weights])
        output, _ = one_step(cell, x_t, state)
    of_state, *of_weights = tape.gradient(
        output, [state, *weights], of_output, unconnected_gradients="zero"
    )
    return of_state, flat(of_weights)


def one_by_one(count: int) -> bool:
    """Whether so many derivatives are taken one after the other: few of them, or all where nothing is compiled."""
    return count <= 4 or tf.executing_eagerly()


def by_example(function: Callable, *batch):
    """function(*examples), each a batch of 1, for every example of the batch: [B, ...]."""
    count = batch[0].shape[0]
    if count == 1 or (tf.executing_eagerly() and count <= 8):
        return tf.stack([function(*(part[b : b + 1] for part in batch)) for b in range(count)])
    one = tf.autograph.experimental.do_not_convert(
        lambda example: function(*(part[None] for part in example))
    )
    return tf.vectorized_map(one, batch)


def flat(parts: list):
    """All numbers in one row [P]."""
    return tf.concat([tf.reshape(part, (-1,)) for part in parts], axis=0)


def as_weights(cell, row) -> list:
    """A row [P] in the shapes of the cell's weights."""
    shapes = [weight.shape for weight in cell.trainable_variables]
    parts = tf.split(row, [int(np.prod(shape)) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
