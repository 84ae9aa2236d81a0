"""Layers with the same weights on two engines, and all that a call of them gives: for tests."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from lstmlab import Coupled, Gate, GatedRNN

TOLERANCE = 2e-5  # of the largest number of each kind

KINDS: dict[str, dict] = {
    "vanilla": {},
    "peephole": {"variant": "peephole"},
    "gru": {"variant": "gru"},
    "gru, reset after": {"variant": "gru_reset_after"},
    "slstm": {"variant": "slstm"},
    "blocks of 2, all fed back": {
        "block_size": 2,
        "feedback": "all",
        "input_gate": Gate(peephole="previous"),
        "output_gate": Gate(peephole="current"),
    },
    "two heads": {
        "heads": 2,
        "candidate_recurrent": "block_diagonal",
        "input_gate": Gate(recurrent="block_diagonal"),
        "forget_gate": Gate(recurrent="by_element"),
        "output_gate": Gate(recurrent="none"),
    },
}


class Call(NamedTuple):
    """How a pair of layers is called; `mask` is 'none', 'lengths', 'holes' or 'nothing'."""

    seed: int
    units: int
    batch: int
    steps: int
    features: int
    mask: str = "none"
    initial: bool = True
    scale: float = 0.5


def calls(even: bool = False, most: int = 40, long: bool = False) -> Any:
    """Calls of odd and even sizes; even: with an even number of units; long: up to 60 steps."""
    sizes = st.integers(1, most // 2).map(lambda n: 2 * n) if even else st.integers(1, most)
    return st.builds(
        Call,
        seed=st.integers(0, 2**32 - 1),
        units=sizes,
        batch=st.integers(1, 40),
        steps=st.integers(8, 60) if long else st.integers(1, 7),
        features=st.integers(1, 20),
        mask=st.sampled_from(["none", "none", "lengths", "holes", "nothing"]),
        initial=st.booleans(),
        scale=st.just(0.2) if long else st.sampled_from([0.2, 0.5]),
    )


FLAGS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("return_sequences", "go_backwards", "zero_output_for_mask")}
)


def pair(call: Call, **settings: Any) -> tuple[GatedRNN, GatedRNN]:
    """A layer of the engine native and one of the loop, with the same random weights."""
    rng = np.random.default_rng(call.seed)
    layers = [
        GatedRNN(call.units, engine=engine, return_state=True, **settings)
        for engine in ("native", "xla")
    ]
    for layer in layers:
        layer.build((call.batch, call.steps, call.features))
    # by the number of those that are summed, so that states and gradients do not explode: then two
    # ways of rounding part by more than they differ
    drawn = [
        call.scale * rng.normal(size=one.shape) / max(np.prod(one.shape[:-1]) / 4, 1) ** 0.5
        for one in layers[0].weights
    ]
    for layer in layers:
        layer.set_weights([one.astype("float32") for one in drawn])
    return layers[0], layers[1]


def masked(call: Call, rng: Any) -> Any:
    """The mask of a call [B, T]."""
    shape = call.batch, call.steps
    if call.mask == "none":
        return None
    if call.mask == "lengths":
        return np.arange(call.steps) < rng.integers(0, call.steps + 1, size=(call.batch, 1))
    return rng.random(shape) < (0.6 if call.mask == "holes" else 0.0)


def answers(layer: GatedRNN, call: Call) -> dict[str, np.ndarray]:
    """Outputs, states, and the gradients of a random function of them, by name."""
    rng = np.random.default_rng(call.seed + 1)

    def draw(*shape: int) -> Any:
        return tf.constant(rng.normal(size=shape).astype("float32"))

    x = draw(call.batch, call.steps, call.features)
    cell = layer.cell
    sizes = zip(cell.state_names, cell.state_size, strict=True)
    first = {name: draw(call.batch, size) for name, size in sizes}
    if "normaliser" in first:  # what is divided by
        first["normaliser"] = 1 + tf.abs(first["normaliser"])
    states = list(first.values()) if call.initial else None
    mask = masked(call, rng)
    watched = [x, *(states or ())]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        given = None if mask is None else tf.constant(mask)
        out, *final = layer(x, initial_state=states, mask=given)
        loss = sum(tf.reduce_sum(draw(*one.shape) * one) for one in (out, *final))
    weights = {weight.path: weight.value for weight in layer.trainable_weights}
    found = tape.gradient(loss, [*watched, *weights.values()], unconnected_gradients="zero")
    names = ["x", *(f"first {name}" for name in cell.state_names if call.initial)]
    names += [f"weight {number}" for number in range(len(weights))]
    named = dict(zip(names, found, strict=True))
    named |= {"output": out} | dict(zip(cell.state_names, final, strict=True))
    return {name: one.numpy() for name, one in named.items()}


def check(call: Call, **settings: Any) -> dict[str, np.ndarray]:
    """Hold the engine native against the loop; gives what native gave."""
    native, loop = pair(call, **settings)
    found, expected = answers(native, call), answers(loop, call)
    assert (native.engine_used, loop.engine_used) == ("native", "xla")
    for name, one in expected.items():
        bound = TOLERANCE * max(np.abs(one).max(initial=0), 1e-3)
        difference = np.abs(found[name] - one).max(initial=0)
        assert difference <= bound, f"{name}: {difference:.1e} of {np.abs(one).max():.1e}"
    return found


# ---- switches


ACTIVATIONS = ["sigmoid", "tanh", "linear", "softplus", "hard_sigmoid", "softsign", "relu", "silu"]
READS = ["full", "cells", "block_diagonal", "by_element", "none"]


def gates(name: str) -> Any:
    """A gate of any kind, or none."""
    peepholes = [None, "previous", *(["current"] if name == "output_gate" else [])]
    own = st.builds(
        Gate,
        activation=st.sampled_from(["sigmoid", "sigmoid", *ACTIVATIONS]),
        bias=st.sampled_from([0.0, 1.0, None]),
        peephole=st.sampled_from(peepholes),
        recurrent=st.sampled_from(READS),
    )
    others = [None, "closed"] if name != "reset_gate" else [None]
    coupled = st.builds(
        Coupled,
        to=st.sampled_from(["input_gate", "forget_gate"]),
        complement=st.booleans(),
        shift=st.sampled_from([0.0, 0.5]),
    )
    return st.one_of(own, own, own, st.sampled_from(others), coupled)


def switches() -> Any:
    """Arguments of GatedCell, not all of which it accepts together."""
    return st.fixed_dictionaries(
        {name: gates(name) for name in ("input_gate", "forget_gate", "output_gate")}
        | {
            "reset_gate": st.one_of(st.none(), st.none(), gates("reset_gate")),
            "refine_gate": st.sampled_from([None, None, Gate()]),
            "reset_after": st.booleans(),
            "block_size": st.sampled_from([1, 1, 2, 3]),
            "heads": st.sampled_from([1, 2]),
            "feedback": st.sampled_from(["cells", "cells", "all", "gates_to_gates", "none"]),
            "candidate_recurrent": st.sampled_from([*READS, "full"]),
            "candidate_activation": st.sampled_from(["tanh", "g1997", *ACTIVATIONS]),
            "output_activation": st.sampled_from(["tanh", "h1997", "linear"]),
            "candidate_bias": st.sampled_from([0.0, None]),
            "normaliser": st.sampled_from([None, None, "gates", "state"]),
        }
    )
