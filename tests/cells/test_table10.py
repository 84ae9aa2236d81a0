"""The published numbers of weights, counted: Table 10 of 1997 row by row, and two later networks.

The numbers are those of conf/published.csv.
"""

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Gate, GatedCell, Head, variant
from lstmlab.published import results

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
    """Of Gers et al. 2000: only the gates have biases, and only cells are read back."""
    return GatedCell(8, BIASED, BIASED, BIASED, "g1997", "h1997", candidate_bias=None, block_size=2)


def head(outputs: int, bias=0.0, shortcuts: bool = False) -> Head:
    return Head(outputs, "sigmoid", bias, shortcuts=shortcuts)


NETS = {  # experiment and row of Table 10, or a task -> inputs, cell, head
    "1-1": (7, cell1997(4, 1, BIASED), head(7, None)),
    "1-2": (7, cell1997(3, 2, BIASED), head(7, None)),
    "1-3": (7, cell1997(3, 2, BIASED), head(7, None)),
    "1-4": (7, cell1997(4, 1, BIASED), head(7, None)),
    "1-5": (7, cell1997(3, 2, BIASED), head(7, None)),
    "2a": (101, cell_of_experiment_2(), head(101, None, shortcuts=True)),
    "2b": (101, cell_of_experiment_2(), head(101, None, shortcuts=True)),
    "2c-1": (54, cell1997(2, 1, BARE), head(2, None)),
    "2c-2": (104, cell1997(2, 1, BARE), head(2, None)),
    "2c-3": (204, cell1997(2, 1, BARE), head(2, None)),
    "2c-4": (504, cell1997(2, 1, BARE), head(2, None)),
    "2c-5": (1004, cell1997(2, 1, BARE), head(2, None)),
    "2c-6": (504, cell1997(2, 1, BARE), head(2, None)),
    "2c-7": (204, cell1997(2, 1, BARE), head(2, None)),
    "2c-8": (104, cell1997(2, 1, BARE), head(2, None)),
    "2c-9": (54, cell1997(2, 1, BARE), head(2, None)),
    "3a": (1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "3b": (1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "3c": (1, cell1997(3, 1, BIASED, candidate_bias=0.0), head(1, None)),
    "4-1": (2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "4-2": (2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "4-3": (2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "5": (2, cell1997(2, 2, BIASED, candidate_bias=0.0), head(1)),
    "6a": (8, cell1997(2, 2, BIASED, candidate_bias=0.0), head(4)),
    "6b": (8, cell1997(3, 2, BIASED, candidate_bias=0.0), head(8)),
    "continual_embedded_reber": (7, cell2000(), head(7, shortcuts=True)),
    "timing": (1, variant("peephole", units=1), head(1)),
}


def printed(net: str) -> int:
    """The number of weights that the paper prints for a network of NETS."""
    number, _, row = net.partition("-")
    rows = [
        result
        for result in results()
        if number in (result["experiment"], result["task"]) and result["method"].startswith("LSTM")
    ]
    return rows[int(row or 1) - 1]["weights"]


@pytest.mark.parametrize("net", NETS)
def test_weight_counts_of_published_nets(net, rng):
    """As printed; and the error moves each of them: none is counted without a connection."""
    features, cell, head = NETS[net]
    count = printed(net)
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
