"""The sizes of published nets, counted from their weights.

Table 10 of 1997 row by row, and two later ones.
"""

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Gate, GatedCell, Head, variant

BIASED, BARE = Gate(), Gate(bias=None)


def cell1997(blocks: int, size: int, gate: Gate, candidate_bias=None) -> GatedCell:
    arguments = {
        "candidate_activation": "g1997",
        "output_activation": "h1997",
        "feedback": "all",
        "block_size": size,
    }
    return GatedCell(blocks * size, gate, None, gate, candidate_bias=candidate_bias, **arguments)


def cell_of_experiment_2() -> GatedCell:
    """2a, 2b: one cell and its input gate; g logistic, h the identity; nothing is read back."""
    return GatedCell(1, BARE, None, None, "sigmoid", "linear", candidate_bias=None, feedback="none")


def cell2000() -> GatedCell:
    """Continual embedded Reber grammar of Gers et al.

    2000: gates alone are biased, cells alone are read back.
    """
    return GatedCell(8, BIASED, BIASED, BIASED, "g1997", "h1997", candidate_bias=None, block_size=2)


def head(outputs: int, bias=0.0, shortcuts: bool = False) -> Head:
    return Head(outputs, "sigmoid", bias, shortcuts=shortcuts)


NETS = {  # row of Table 10 -> its column W, inputs, cell, head
    "1-1": (264, 7, cell1997(4, 1, BIASED), head(7, None)),
    "1-2": (276, 7, cell1997(3, 2, BIASED), head(7, None)),
    "1-3": (276, 7, cell1997(3, 2, BIASED), head(7, None)),
    "1-4": (264, 7, cell1997(4, 1, BIASED), head(7, None)),
    "1-5": (276, 7, cell1997(3, 2, BIASED), head(7, None)),
    "2a": (10504, 101, cell_of_experiment_2(), head(101, None, shortcuts=True)),
    "2b": (10504, 101, cell_of_experiment_2(), head(101, None, shortcuts=True)),
    "2c-1": (364, 54, cell1997(2, 1, BARE), head(2, None)),
    "2c-2": (664, 104, cell1997(2, 1, BARE), head(2, None)),
    "2c-3": (1264, 204, cell1997(2, 1, BARE), head(2, None)),
    "2c-4": (3064, 504, cell1997(2, 1, BARE), head(2, None)),
    "2c-5": (6064, 1004, cell1997(2, 1, BARE), head(2, None)),
    "2c-6": (3064, 504, cell1997(2, 1, BARE), head(2, None)),
    "2c-7": (1264, 204, cell1997(2, 1, BARE), head(2, None)),
    "2c-8": (664, 104, cell1997(2, 1, BARE), head(2, None)),
    "2c-9": (364, 54, cell1997(2, 1, BARE), head(2, None)),
    "3a": (102, 1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "3b": (102, 1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "3c": (102, 1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "4-1": (93, 2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "4-2": (93, 2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "4-3": (93, 2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "5": (93, 2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "6a": (156, 8, cell1997(2, 2, BIASED, candidate_bias=0.0), head(4)),
    "6b": (308, 8, cell1997(3, 2, BIASED, candidate_bias=0.0), head(8)),
    "Gers et al. 2000, continual embedded Reber grammar": (
        424,
        7,
        cell2000(),
        head(7, shortcuts=True),
    ),
    "Gers et al. 2002, timing": (17, 1, variant("peephole", units=1), head(1)),
}


@pytest.mark.parametrize("net", NETS)
def test_weight_counts_of_published_nets(net, rng):
    """As printed.

    And the error moves every one of them, so that none is counted that is no connection.
    """
    count, features, cell, head = NETS[net]
    cell.build((None, features))
    head.build((None, cell.units), (None, features))
    weights = [*cell.trainable_variables, *head.trainable_variables]
    assert sum(int(np.prod(weight.shape)) for weight in weights) == count
    for part in (cell, head):
        randomize(part, rng, scale=0.3 / np.sqrt(features))
    states = [tf.constant(rng.normal(size=(1, size)), "float32") for size in cell.state_size]
    error = 0.0
    with tf.GradientTape() as tape:
        for x in tf.constant(rng.normal(size=(2, 1, features)), "float32"):
            y, states = cell(x, states)
            error += tf.reduce_sum(head(y, x) ** 2)
    gradients = tape.gradient(error, [weight.value for weight in weights])
    assert sum(np.count_nonzero(gradient) for gradient in gradients) == count
