"""What the tests of learners that carry derivatives forward share: cells, and a problem."""

import keras
import pytest
import tensorflow as tf
from branches import BRANCHES
from oracles import randomize

from lstmlab import Head, variant, variants

B, T, F, N, K = 2, 7, 3, 4, 2
KERAS = {
    "LSTM": keras.layers.LSTMCell,
    "GRU": keras.layers.GRUCell,
    "SimpleRNN": keras.layers.SimpleRNNCell,
}


class OutputApart(keras.Layer):
    """A cell whose output is no state: half of it."""

    def __init__(self, units):
        super().__init__(dtype="float64")
        self.inner = keras.layers.SimpleRNNCell(units, dtype="float64")
        self.state_size = self.output_size = units

    def build(self, shape):
        self.inner.build(shape)
        self.built = True

    def get_initial_state(self, batch_size=None):
        return self.inner.get_initial_state(batch_size)

    def call(self, inputs, states):
        output, states = self.inner(inputs, states)
        return 0.5 * output**2, states


def problem(rng, cell):
    head = Head(K, "sigmoid", shortcuts=True, dtype="float64")
    for layer, shapes in ((cell, [(None, F)]), (head, [(None, cell.output_size), (None, F)])):
        layer.build(*shapes)
        randomize(layer, rng)
    return head, *(
        tf.constant(rng.uniform(-1, 1, size=shape)) for shape in ((B, T, F), (B, T, K), (B, T))
    )


def cells():
    yield from (
        (name, lambda name=name: variant(name, units=N, dtype="float64")) for name in variants()
    )
    yield from (
        (f"keras {name}", lambda kind=kind: kind(N, dtype="float64"))
        for name, kind in KERAS.items()
    )
    yield "output apart", lambda: OutputApart(N)


def each_cell() -> list:
    """(name, make) of all: some are quick, the others of BRANCHES slow, and the rest on demand."""
    chosen = {"gru", "lstm1997", "peephole", "keras LSTM", "output apart"}
    marks = {name: [pytest.mark.slow] for name in BRANCHES} | {name: [] for name in chosen}
    on_demand = [pytest.mark.slow, pytest.mark.whole_table]
    return [pytest.param(*case, marks=marks.get(case[0], on_demand)) for case in cells()]
