"""What the tests of kernels are run on: cells, heads and rules, and kernels beside Keras learners.

References are computed by the Keras learners in float64, so that only the kernel's rounding counts.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from lstmlab import learners
from lstmlab.cells.gates import Coupled, Gate
from lstmlab.cells.variants import variant, variants
from lstmlab.heads import Head, OutputUnits
from lstmlab.learners import traces1997
from lstmlab.native.engine import Engine
from lstmlab.native.loops import Plan
from lstmlab.native.writing import LANES
from lstmlab.trainers.served import readout

FEATURES, STEPS, SEQUENCES = 3, 6, 2

# name -> (variant, units, what differs from it)
FURTHER: dict[str, tuple[str, int, dict[str, Any]]] = {
    "blocks of 2": ("vanilla", 4, {"block_size": 2}),
    "blocks of 3, all fed back": (
        "lstm1997",
        6,
        {"block_size": 3, "forget_gate": Gate(bias=1.0)},
    ),
    "blocks of 2 with peepholes": ("nfg", 4, {"block_size": 2}),
    "blocks of 2, all gates seeing": ("peephole", 4, {"block_size": 2, "feedback": "all"}),
    "blocks of 2, gates to gates": ("fgr", 6, {"block_size": 2}),
    "blocks of 2 behind a reset gate": ("gru", 4, {"block_size": 2}),
    "blocks of 3 before a reset gate": ("gru_reset_after", 6, {"block_size": 3}),
    "blocks of 2, refined": ("ur_lstm", 4, {"block_size": 2}),
    "blocks of 2, normalised": ("minlstm", 4, {"block_size": 2, "feedback": "cells"}),
    "blocks of 2 with a stabiliser": ("slstm", 4, {"block_size": 2}),
    "heads": (
        "vanilla",
        4,
        {
            "heads": 2,
            "candidate_recurrent": "block_diagonal",
            "input_gate": Gate(recurrent="block_diagonal"),
            "output_gate": Gate(recurrent="block_diagonal"),
        },
    ),
    "heads of an exponential forget gate": (
        "slstm",
        4,
        {
            "heads": 2,
            "candidate_recurrent": "block_diagonal",
            "input_gate": Gate("exponential", recurrent="block_diagonal"),
            "forget_gate": Gate("exponential", recurrent="none"),
        },
    ),
    "heads behind a reset gate": (
        "gru",
        4,
        {"heads": 2, "candidate_recurrent": "block_diagonal"},
    ),
    "elements": (
        "vanilla",
        4,
        {
            "block_size": 2,
            "candidate_recurrent": "by_element",
            "input_gate": Gate(recurrent="by_element"),
            "forget_gate": Gate(recurrent="none"),
        },
    ),
    "elements before a reset gate": ("gru_reset_after", 4, {"candidate_recurrent": "by_element"}),
    "cells alone and gates alone": (
        "lstm1997",
        4,
        {
            "block_size": 2,
            "candidate_recurrent": "cells",
            "input_gate": Gate(recurrent="gates"),
        },
    ),
    "candidates that read nothing": ("vanilla", 4, {"candidate_recurrent": "none"}),
    "closed input gate": ("vanilla", 4, {"input_gate": "closed"}),
    "closed forget gate": ("vanilla", 4, {"forget_gate": "closed"}),
    "output gate coupled": ("vanilla", 4, {"output_gate": Coupled(to="input_gate")}),
    "output gate as the forget gate": (
        "vanilla",
        4,
        {"output_gate": Coupled(to="forget_gate", complement=False), "block_size": 2},
    ),
    "coupled with a shift": (
        "vanilla",
        4,
        {"input_gate": Coupled(to="forget_gate", shift=0.7)},
    ),
    "hard_sigmoid and relu": (
        "vanilla",
        4,
        {"input_gate": Gate("hard_sigmoid"), "candidate_activation": "relu"},
    ),
    "softsign and softplus": (
        "vanilla",
        4,
        {"candidate_activation": "softsign", "output_activation": "softplus"},
    ),
    "silu and exponential": (
        "vanilla",
        4,
        {"output_activation": "silu", "input_gate": Gate("exponential")},
    ),
    "no biases": (
        "vanilla",
        4,
        {
            "input_gate": Gate(bias=None),
            "forget_gate": Gate(bias=None),
            "output_gate": Gate(bias=None, peephole="current"),
            "candidate_bias": None,
        },
    ),
    "no biases before a reset gate": (
        "gru_reset_after",
        4,
        {"candidate_bias": None, "reset_gate": Gate(bias=None)},
    ),
}

CELLS = [*variants(), *FURTHER]

HEADS: dict[str, dict[str, Any]] = {
    "linear": {},
    "sigmoid": {"activation": "sigmoid"},
    "prime offset": {"activation": "sigmoid", "prime_offset": 0.1},
    "softmax": {"activation": "softmax", "loss": "crossentropy"},
    "sigmoid crossentropy": {"activation": "sigmoid", "loss": "crossentropy"},
    "tanh": {"activation": "tanh"},
    "g1997": {"activation": "g1997"},
    "h1997, shortcuts": {"activation": "h1997", "shortcuts": True},
    "shortcuts, no bias": {"activation": "sigmoid", "shortcuts": True, "bias": None},
    "softmax, shortcuts": {"activation": "softmax", "loss": "crossentropy", "shortcuts": True},
    "units": {},
}

# name -> (rule and scope of the plan, the learner whose gradients it finds)
RULES: dict[str, tuple[str, str, Any]] = {
    "traces": ("traces", "all", learners.Truncated1997()),
    "truncated": ("backward", "all", learners.Truncated1997()),
    "gates": ("backward", "gates", learners.Truncated1997(scope="gates")),
    "bptt": ("backward", "none", learners.BPTT()),
    "one step": ("one_step", "none", learners.TruncatedBPTT(1, 1)),
    "rtrl": ("sensitivities", "none", learners.RTRL()),
}


class Case(NamedTuple):
    """A kernel: cell, rule and head by their names, and whether inputs are symbols."""

    cell: str
    rule: str
    head: str
    symbols: bool = False

    def __str__(self) -> str:
        return ", ".join([*self[:3], *(["symbols"] if self.symbols else [])])


def made_cell(name: str, dtype: str = "float32", features: int = FEATURES) -> Any:
    """The built cell of this name in CELLS."""
    start, units, overrides = FURTHER.get(name, (name, 4, {}))
    cell = variant(start, units, dtype=dtype, **overrides)
    cell.build((None, features))
    return cell


def made_head(name: str, units: int, dtype: str = "float32", features: int = FEATURES) -> Any:
    """The built head of this name in HEADS."""
    kind = OutputUnits if name == "units" else Head
    head = kind(2, dtype=dtype, **HEADS[name])
    head.build((None, units), (None, features))
    return head


def tables() -> list[Case]:
    """Every cell with every rule that it has; heads, and symbols, in turn."""
    found = []
    heads = list(HEADS)
    for cell in CELLS:
        traced = traces1997.misfit(made_cell(cell)) is None
        for rule in RULES:
            if rule != ("truncated" if traced else "traces"):
                k = len(found)
                found.append(Case(cell, rule, heads[k % len(heads)], k % 3 == 1))
    return found


class Sequences(NamedTuple):
    """Sequences of all lanes: x [L, N, T, F], codes [L, N, T], y [L, N, T, K], w [L, N, T]."""

    x: np.ndarray
    codes: np.ndarray
    y: np.ndarray
    w: np.ndarray


def drawn(rng: np.random.Generator, errors: str, symbols: bool, steps: int = STEPS) -> Sequences:
    """Sequences with errors at the 'end' (a step of its own for each), 'marked' or 'every' step."""
    shape = (LANES, SEQUENCES, steps)
    codes = rng.integers(0, FEATURES, shape).astype("int16")
    x = rng.normal(size=(*shape, FEATURES)).astype("float32")
    if symbols:
        x = np.eye(FEATURES, dtype="float32")[codes]
    y = rng.uniform(0.1, 0.9, (*shape, 2)).astype("float32")
    w = rng.choice([0.5, 1.0, 2.0], shape).astype("float32")
    if errors == "end":
        w *= np.arange(steps) == rng.integers(steps, size=(LANES, SEQUENCES, 1))
    elif errors == "marked":
        w *= rng.random(shape) < 0.4
    return Sequences(x, codes, y, w)


def told(sequences: Sequences, readouts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """place, target and weight of Engine.run, step by step."""
    lanes, n, steps = sequences.w.shape
    place = np.full((lanes, n, readouts + 1), steps, "int32")
    target = np.zeros((lanes, n, readouts, sequences.y.shape[-1]), "float32")
    weight = np.zeros((lanes, n, readouts), "float32")
    for lane in range(lanes):
        for k in range(n):
            at = np.flatnonzero(sequences.w[lane, k])
            place[lane, k, : len(at)] = at
            target[lane, k, : len(at)] = sequences.y[lane, k, at]
            weight[lane, k, : len(at)] = sequences.w[lane, k, at]
    return place, target, weight


def places_of(w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(lane, sequence, step, rank) of every error, for predictions of kernels and of Keras."""
    lane, n, step = np.nonzero(w)
    rank = (np.cumsum(w > 0, axis=-1) - 1)[lane, n, step]
    return lane, n, step, rank


class Pair:
    """A kernel, and the Keras learner of the same cell and head in float64."""

    def __init__(self, case: Case):
        rule, scope, learner = RULES[case.rule]
        cell = made_cell(case.cell)
        self.symbols = case.symbols
        head = made_head(case.head, cell.units)
        self.offset = head.prime_offset
        plan = Plan(rule, scope, "none", readout(head), case.symbols)
        self.engine = Engine(cell, head, plan, STEPS, STEPS)
        self.cell = made_cell(case.cell, "float64")
        self.head = made_head(case.head, cell.units, "float64")
        self.variables = [*self.cell.trainable_variables, *self.head.trainable_variables]

        @tf.function(autograph=False)
        def gradients(x: Any, y: Any, w: Any) -> Any:
            return learner.gradients(self.cell, self.head, x, y, w)[1:]

        self._gradients = gradients

    def kernel(self, weights: np.ndarray, sequences: Sequences) -> tuple[list, np.ndarray]:
        """Gradients of every lane, flat, and predictions [L, N, readouts, K]."""
        engine = self.engine
        for lane in range(LANES):
            engine.put(lane, weights[lane])
        n = sequences.w.shape[1]
        inputs = list(sequences.x)  # which must live until the kernel has read them
        at = np.array([engine.address(one) for one in inputs])
        numbers = np.array([0.0, 0.0, 0.0, self.offset, 1.0, 100.0])
        _, prediction = engine.run(
            at, sequences.codes, *told(sequences, STEPS),
            np.ones((LANES, n), bool), np.ones((n, LANES), "float32"), numbers, batch=n,
        )  # fmt: skip
        return [engine.gradient(lane) for lane in range(LANES)], prediction

    def keras(
        self, weights: np.ndarray, sequences: Sequences, lane: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of a lane, flat and summed over its sequences; predictions [N, T, K]."""
        first = 0
        for one in self.variables:
            size = int(np.prod(one.shape))
            one.assign(weights[lane, first : first + size].reshape(one.shape).astype("float64"))
            first += size
        given = [tf.constant(part[lane].astype("float64")) for part in
                 (sequences.x, sequences.y, sequences.w)]  # fmt: skip
        prediction, found = self._gradients(*given)
        return np.concatenate([np.ravel(one) for one in found]), np.asarray(prediction)


@functools.lru_cache(maxsize=2)
def pair(case: Case) -> Pair:
    return Pair(case)
