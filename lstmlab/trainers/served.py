"""Which networks and learners kernels serve: the plan of a kernel, or what stands against it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import g1997, h1997
from lstmlab.heads import Head, OutputUnits
from lstmlab.learners import (
    BPTT,
    RTRL,
    ChunkerLevels,
    Elman,
    Growing,
    SequenceChunker,
    Truncated1997,
    Truncated1997Forward,
    TruncatedBPTT,
    traces1997,
)
from lstmlab.native.block import ACTIVATIONS
from lstmlab.native.chunking.engine import ChunkerPlan
from lstmlab.native.chunking.parts import KINDS, LevelSettings, PairSettings
from lstmlab.native.loops import Plan
from lstmlab.native.writing import Readout

HEADS = {
    keras.activations.linear: "linear",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.tanh: "tanh",
    keras.activations.softmax: "softmax",
    g1997: "g1997",
    h1997: "h1997",
}


class Unserved(Exception):
    """What a kernel does not have, as setting=value."""


def check_cell(cell: Any) -> None:
    """Raise Unserved for a cell that is more than sums of products and pointwise functions."""
    if type(cell) is not GatedCell:
        raise Unserved(f"cell={type(cell).__name__}")
    if cell.layer_normalization:
        raise Unserved("cell.layer_normalization=true")
    for name in ("dropout", "recurrent_dropout"):
        if getattr(cell, name):
            raise Unserved(f"cell.{name}={getattr(cell, name)}")
    if cell.compute_dtype != "float32":
        raise Unserved(f"cell.dtype={cell.compute_dtype}")
    activations = {"candidate_activation": cell.candidate_activation}
    activations["output_activation"] = cell.output_activation
    activations |= {f"{name}.activation": gate.activation for name, gate in cell.own.items()}
    for name, function in activations.items():
        if function not in ACTIVATIONS:
            raise Unserved(f"cell.{name}={_named(function)}")
    for weight in cell.trainable_variables:
        for kind in ("regularizer", "constraint"):
            if getattr(weight, kind) is not None:
                raise Unserved(f"cell: a {kind} of {weight.name}")


def _named(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def readout(head: Any) -> Readout:
    """What the head computes; raises Unserved."""
    if type(head) not in (Head, OutputUnits):
        raise Unserved(f"head={type(head).__name__}")
    name = HEADS.get(head.activation)
    if name is None:
        raise Unserved(f"head.activation={_named(head.activation)}")
    if type(head) is OutputUnits and head.loss != "squared":
        raise Unserved(f"head={type(head).__name__} with head.loss={head.loss}")
    if name == "softmax" and head.loss != "crossentropy":
        raise Unserved(f"head.activation=softmax with head.loss={head.loss}")
    for weight in head.trainable_variables:
        if weight.constraint is not None or weight.regularizer is not None:
            raise Unserved(f"head: a regularizer or constraint of {weight.name}")
    return Readout(name, head.loss, head.prime_offset > 0)


# settings of an optimizer -> the value at which kernels serve them
PLAIN = {
    "weight_decay": (None, 0, False),
    "clipnorm": (None,),
    "clipvalue": (None,),
    "global_clipnorm": (None,),
    "use_ema": (False, None),
    "gradient_accumulation_steps": (None, 1),
    "loss_scale_factor": (None, 1, 1.0),
    "amsgrad": (False,),
    "centered": (False,),
}


def optimizer(made: Any) -> tuple[str, list[float]]:
    """The name of the rule in `writing`, and its numbers: momentum, second, epsilon."""
    for name, plain in PLAIN.items():
        value = getattr(made, name, plain[0])
        if value not in plain:
            raise Unserved(f"optimizer.{name}={value}")
    kinds = keras.optimizers
    if type(made) is kinds.SGD:
        kind = "sgd" if not made.momentum else "nesterov" if made.nesterov else "momentum"
        return kind, [float(made.momentum), 0.0, 0.0]
    if type(made) is kinds.RMSprop:
        return "rmsprop", [float(made.rho), float(made.momentum), float(made.epsilon)]
    if type(made) is kinds.Adam:
        return "adam", [float(made.beta_1), float(made.beta_2), float(made.epsilon)]
    raise Unserved(f"optimizer={type(made).__name__}")


def rule(learner: Any, cell: Any) -> dict[str, Any]:
    """Rule and scope of the Plan, every, decay and forced for a learner; raises Unserved.

    grows: of one that adds the cells later, what its numbers are.
    """
    kind = type(learner)
    if kind is Growing:
        grows = [float(learner.period), 1 - learner.improvement]
        return {**rule(learner.learner, cell), "grows": grows}
    if kind is BPTT:
        return {"rule": "backward", "scope": "none"}
    if kind is Truncated1997:
        traced = learner.scope == "all" and not traces1997.misfit(cell)
        return {"rule": "traces" if traced else "backward", "scope": learner.scope}
    if kind not in (Truncated1997Forward, RTRL, Elman, TruncatedBPTT):
        raise Unserved(f"learner={kind.__name__}")
    forward = {
        "every": learner.update_every or 0,
        "decay": learner.decay,
        "decay_steps": learner.decay_steps,
        "scope": "none",
    }
    if kind is Truncated1997Forward:
        return {**forward, "rule": "traces"}
    if kind is RTRL:
        return {**forward, "rule": "sensitivities", "forced": learner.teacher_forcing}
    if learner.horizon != 1:
        raise Unserved(f"learner.horizon={learner.horizon}")
    return {**forward, "rule": "one_step"}


def plan(
    cell: Any, head: Any, learner: Any, made: Any, symbols: bool
) -> tuple[Plan | ChunkerPlan, dict]:
    """The plan of a kernel, and the numbers it takes: see Engine.run.

    Raises:
        Unserved: With what stands against it.
    """
    check_cell(cell)
    shown = readout(head)
    kind, numbers = optimizer(made)
    if type(learner) in (SequenceChunker, ChunkerLevels):
        return chunker(cell, head, learner, made, symbols), {"every": 1, "numbers": numbers}
    found = {"every": 0, "decay": 1.0, "decay_steps": 100, "forced": False, **rule(learner, cell)}
    numbers += [float(head.prime_offset), float(found["decay"]), float(found["decay_steps"])]
    grows = found.get("grows", [])
    numbers += grows
    planned = Plan(
        found["rule"], found["scope"], kind, shown, symbols, found["forced"], bool(grows)
    )
    return planned, {"every": found["every"], "numbers": numbers}


# ---- chunkers

# arguments of a cell -> their values in one without gates
WITHOUT_GATES = {
    "input_gate": None,
    "forget_gate": "closed",
    "refine_gate": None,
    "reset_gate": None,
    "output_gate": None,
    "output_activation": keras.activations.linear,
    "normaliser": None,
    "feedback": "cells",
    "candidate_recurrent": "full",
}


def chunker(cell: Any, head: Any, learner: Any, made: Any, symbols: bool) -> ChunkerPlan:
    """The plan for a chunker; cell, head and optimizer are those that kernels know.

    Raises:
        Unserved: A cell with gates, and what else the kernel of a chunker does not have.
    """
    of = f"with learner={type(learner).__name__}"
    for name, plain in WITHOUT_GATES.items():
        if getattr(cell, name) != plain:
            raise Unserved(f"cell.{name} other than {_shown(plain)} {of}")
    kinds = []
    for name, function in (
        ("cell.candidate_activation", cell.candidate_activation),
        ("head.activation", head.activation),
    ):
        if HEADS.get(function) not in KINDS:
            raise Unserved(f"{name}={_named(function)} {of}")
        kinds.append(KINDS[HEADS[function]])
    if head.prime_offset:
        raise Unserved(f"head.prime_offset={head.prime_offset} {of}")
    if type(made) is not keras.optimizers.SGD or (made.momentum and made.nesterov):
        nesterov = " with nesterov" if type(made) is keras.optimizers.SGD else ""
        raise Unserved(f"optimizer={type(made).__name__}{nesterov} {of}")
    if isinstance(made._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        raise Unserved(f"optimizer.learning_rate, a schedule, {of}")
    rule, settings = _settings(learner, made.momentum)
    return ChunkerPlan(rule, settings, learner.horizon, (kinds[0], kinds[1]), symbols)


def _settings(learner: Any, momentum: float) -> tuple[str, PairSettings | LevelSettings]:
    f32, threshold = np.float32, learner.threshold
    if type(learner) is ChunkerLevels:
        enough = f32(1 - learner.improvement)
        grows = learner.levels, learner.window, learner.patience, enough
        return "levels", LevelSettings(f32(threshold), f32(1 - threshold), f32(momentum), *grows)
    judged = f32(learner.distill_weight), learner.judge == "system"
    return "pair", PairSettings(f32(threshold), f32(1 - threshold), f32(momentum), *judged)


def _shown(value: Any) -> str:
    return _named(value) if callable(value) else repr(value)
