"""Every GatedCell whose derivatives tests compare in symbols and by automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Coupled, Gate, variant, variants

B, F, N = 3, 3, 4
BLOCKS = (None, 2)  # as in the file, and cells that share gates
SWITCHES = {
    "all fed back": {"feedback": "all", "block_size": 2},
    "no gates, all fed back": {
        "input_gate": None,
        "forget_gate": None,
        "output_gate": None,
        "feedback": "all",
    },
    "output is the state, gates fed back": {
        "input_gate": None,
        "output_gate": None,
        "feedback": "all",
        "output_activation": "linear",
    },
    "coupled with a shift, without complement": {
        "input_gate": Coupled("forget_gate", False, 0.5),
        "output_gate": Coupled("forget_gate"),
        "block_size": 2,
    },
    "closed": {"input_gate": "closed", "output_gate": "closed"},
    "closed forget gate with an output gate": {"forget_gate": "closed"},
    "refined, reset behind": {
        "refine_gate": "sigmoid",
        "reset_gate": "sigmoid",
        "reset_after": True,
        "block_size": 2,
    },
    "refine gate fed back": {
        "refine_gate": Gate(peephole="previous"),
        "feedback": "gates_to_gates",
        "block_size": 2,
    },
    "reset gate with a peephole": {
        "reset_gate": Gate(peephole="previous"),
        "input_gate": Coupled("reset_gate"),
    },
    "reset, no bias": {"reset_gate": "sigmoid", "reset_after": True, "candidate_bias": None},
    "kinds of recurrence": {
        "input_gate": Gate(recurrent="by_element"),
        "forget_gate": Gate(recurrent="none"),
        "candidate_recurrent": "block_diagonal",
        "heads": 2,
    },
    "cells alone and gates alone": {
        "input_gate": Gate(recurrent="gates"),
        "forget_gate": Gate(recurrent="cells"),
        "candidate_recurrent": "gates",
        "feedback": "all",
        "block_size": 2,
    },
    "by element, blocks": {
        "input_gate": Gate(recurrent="by_element"),
        "block_size": 2,
        "candidate_recurrent": "none",
    },
    "normalised gates, fed back": {"normaliser": "gates", "feedback": "all", "block_size": 2},
    "normalised exponential gates": {
        "normaliser": "gates",
        "input_gate": "exponential",
        "forget_gate": "exponential",
    },
    "normalised state": {
        "normaliser": "state",
        "input_gate": Gate("exponential", peephole="previous"),
        "output_activation": "tanh",
        "output_gate": Gate(peephole="current"),
        "feedback": "all",
        "block_size": 2,
    },
    "layer normalisation": {"layer_normalization": True},
    "layer normalisation, all fed back": {
        "layer_normalization": True,
        "feedback": "all",
        "block_size": 2,
    },
    "layer normalisation, gates to gates": {
        "layer_normalization": True,
        "feedback": "gates_to_gates",
    },
    "layer normalisation, reset": {"layer_normalization": True, "reset_gate": "sigmoid"},
    "layer normalisation, reset behind": {
        "layer_normalization": True,
        "reset_gate": "sigmoid",
        "reset_after": True,
    },
    "layer normalisation, normalised state": {
        "layer_normalization": True,
        "normaliser": "state",
        "candidate_recurrent": "by_element",
        "block_size": 2,
    },
    "squashing of 1997": {
        "candidate_activation": "g1997",
        "output_activation": "h1997",
        "input_gate": "exponential",
    },
}


def cells() -> list:
    """(name, overrides) of every GatedCell in conf/cell/, as it is and with blocks of two cells,
    and of the switches above.
    """
    files = [(name, {"block_size": size} if size else {}) for name in variants() for size in BLOCKS]
    return files + [("vanilla", {**switches}) for switches in SWITCHES.values()]


def ids() -> list[str]:
    return [
        f"{name}{' in blocks' if size else ''}" for name in variants() for size in BLOCKS
    ] + list(SWITCHES)


CASES = dict(zip(ids(), cells(), strict=True))
every_cell = pytest.mark.parametrize("case", CASES)


def at_a_step(name: str, overrides: dict, rng) -> tuple:
    """A cell with random weights, inputs, and random states of the step before.

    A normaliser is positive.
    """
    cell = variant(name, units=N, **{**overrides, "dtype": "float64"})
    cell.build((B, F))
    randomize(cell, rng)
    states = [rng.normal(size=(B, size)) for size in cell.state_size]
    states = [
        np.abs(s) + 0.5 if name == "normaliser" else s
        for name, s in zip(cell.state_names, states, strict=True)
    ]
    return cell, tf.constant(rng.normal(size=(B, F))), [tf.constant(state) for state in states]
