"""Eligibility traces of the rule of 1997 for a GatedCell: what a step adds, and what they mean."""

from typing import Any, NamedTuple

import tensorflow as tf

from lstmlab.cells.gates import Coupled, squashing_config
from lstmlab.cells.recurrence import split, within_blocks
from lstmlab.typing import Tensor


class Layout(NamedTuple):
    """What the pre-activations of a cell see, in columns, and which of them have traces.

    traced: Gates and candidate that act on the state. direct: Gates that act on the output past the
    state. columns: {part: size} of z: inputs, hidden, previous state, constant, current
    state; only direct gates see the last. width: Columns before it.
    """

    traced: list[str]
    direct: list[str]
    columns: dict[str, int]
    width: int


def layout(cell: Any) -> Layout:
    """The Layout of a built GatedCell."""
    traced = _onto_state(cell)
    direct = ["output_gate"] if "output_gate" in cell.own else []
    if isinstance(cell.output_gate, Coupled):
        direct = list(cell.own)
    looks = {gate.peephole for gate in cell.own.values()}
    columns = {
        "inputs": cell.kernel.shape[0],
        "hidden": cell.hidden_size if cell.recurrence.products else 0,
        "previous": cell.units if "previous" in looks else 0,
        "constant": 1,
    }
    width = sum(columns.values())
    return Layout(
        traced, direct, {**columns, "current": cell.units if "current" in looks else 0}, width
    )


def _onto_state(cell: Any) -> list[str]:
    """What acts on the state: all but the output gate, unless another gate is coupled to it."""
    coupled = [gate.to for gate in (cell.input_gate, cell.forget_gate) if isinstance(gate, Coupled)]
    return [name for name in cell.nets if name != "output_gate" or name in coupled]


def misfit(cell: Any) -> str | None:
    """The switch of a GatedCell that the traces do not serve, as setting=value, or None."""
    if cell.reset_gate is not None:
        return f"cell.reset_gate={cell.reset_gate!r}"
    if cell.layer_normalization:
        return "cell.layer_normalization=True"
    if cell.normaliser == "state":
        return "cell.normaliser='state'"
    for name in _onto_state(cell):
        activation = cell.candidate_activation if name == "candidate" else cell.own[name].activation
        if _mixes(activation):
            setting = "candidate_activation" if name == "candidate" else f"{name}.activation"
            shown = squashing_config(activation)
            return f"cell.{setting}={shown!r}, which takes several pre-activations together"
    return None


def _mixes(activation: Any) -> bool:
    """Whether a value depends on other pre-activations than its own, as with a softmax."""
    with tf.init_scope():
        one, other = (
            float(activation(tf.constant([[0.3, second]]))[0, 0]) for second in (-0.7, 0.9)
        )
    return one != other


class Step(NamedTuple):
    """What one step computes: output, states, and what its traces need.

    seen: z [B, columns]. carousel: e_t [B, n]. slopes: D_a [B, n] of every traced
    gate. tape: Of the way from state s_t [B, n] and pre-activations nets {gate: [B, size]} to the
    output.
    """

    output: Any
    states: list
    seen: Any
    carousel: Any
    slopes: list
    tape: tf.GradientTape
    state: Any
    nets: dict


def take(cell: Any, layout: Layout, x_t: Tensor, states: list) -> Step:
    """Take one step of the cell, with the derivatives of its state s_t = e_t s_tm1 + i_t g_t.

    D_a = g_t d i_t / d net_a + s_tm1 d e_t / d net_a for the gates, i_t d g_t / d net_g for the
    candidate: what eqs. 25 and 27 add. A gate acts on every cell of its block. Each value depends
    only on the pre-activations of its own block, so that one way back serves all of them.
    """
    nets: dict[str, Tensor] = {}
    arisen: dict[str, Tensor] = {}

    def net(inputs: Tensor, hidden: Tensor) -> tuple:
        fresh, waiting = cell.net(inputs, hidden)
        nets.update(fresh)
        tape.watch(list(nets.values()))
        return fresh, waiting

    def touch(name: str, value: Tensor) -> Tensor:
        if name == "cell_state":  # what lies behind it is in the traces
            value = tf.stop_gradient(value)
            tape.watch(value)
        arisen[name] = value
        return value

    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        values, after = cell.step(x_t, states, see=tf.stop_gradient, touch=touch, net=net)
    past = dict(zip(cell.state_names, states, strict=True))
    s_tm1 = past.get("cell_state", past["hidden"][:, : cell.units])

    def wide(gate: Tensor) -> Tensor:
        return gate if cell.block_size == 1 else tf.repeat(gate, cell.block_size, axis=1)

    gates = [name for name in layout.traced if name != "candidate"]
    slopes: dict = {}
    for acting, on in (("input_gate", values["candidate"]), ("forget_gate", s_tm1)):
        if acting in cell.gates and gates:
            rates = tape.gradient(arisen[acting], [nets[name] for name in gates])
            for name, rate in zip(gates, rates, strict=True):
                if rate is not None:
                    slopes[name] = (
                        slopes[name] + wide(rate) * on if name in slopes else wide(rate) * on
                    )
    slope = tape.gradient(arisen["candidate"], nets["candidate"])
    if "input_gate" in cell.gates:
        slope = wide(arisen["input_gate"]) * slope
    slopes["candidate"] = tf.zeros_like(slope) if cell.input_gate == "closed" else slope
    carousel = cell.state_factor(values)
    parts = {
        "inputs": x_t,
        "hidden": past["hidden"],
        "previous": s_tm1,
        "constant": tf.ones_like(x_t[:, :1]),
    }
    parts["current"] = arisen["cell_state"]
    seen = tf.concat([parts[name] for name, size in layout.columns.items() if size], axis=1)
    return Step(
        values["output"],
        after,
        seen,
        carousel,
        [slopes[n] for n in layout.traced],
        tape,
        arisen["cell_state"],
        nets,
    )


def to_weights(cell: Any, layout: Layout, rows: dict) -> list:
    """Return the gradients of cell.trainable_variables from those of dense rows.

    rows: {gate: [its size, columns]}, with which the pre-activations are net_a = rows_a z.
    """
    parts = {name: split(row, layout.columns) for name, row in rows.items()}

    def columns_of(part: str, nets: Any) -> Any:
        return tf.concat([tf.transpose(parts[name][part]) for name in nets], axis=1)

    found = {id(cell.kernel): columns_of("inputs", cell.nets)}
    if cell.bias is not None:
        found[id(cell.bias)] = columns_of("constant", cell._biased)[0]
    if cell.peepholes:
        when = [cell.own[name].peephole for name in cell.peepholes]
        own = tf.repeat(tf.eye(cell.blocks, dtype=cell.peephole.dtype), cell.block_size, axis=0)
        found[id(cell.peephole)] = tf.stack(
            [
                tf.reduce_sum(tf.transpose(parts[n][w]) * own, axis=1)
                for n, w in zip(cell.peepholes, when, strict=True)
            ]
        )
    for product in cell.recurrence.products:
        weight, of_nets = getattr(cell, product.weight), columns_of("hidden", product.nets)
        if product.kind in ("full", "cells"):
            of_weight = of_nets[: weight.shape[0]]
        elif product.kind == "gates":
            of_weight = of_nets[cell.units :]
        else:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weight.value)
                nets = cell.recurrence(
                    product,
                    tf.convert_to_tensor(weight.value),
                    tf.eye(cell.hidden_size, dtype=weight.dtype),
                )
            of_weight = tape.gradient(nets, weight.value, output_gradients=of_nets)
        found[id(weight)] = of_weight
    return [found[id(weight)] for weight in cell.trainable_variables]


def summed(cell: Any, layout: Layout, of_traces: Tensor, of_direct: dict) -> dict:
    """Return the dense rows of `to_weights` from sums over time.

    of_traces: [gates * n, width]. of_direct: Of the direct gates.
    """
    per_cell = tf.reshape(of_traces, (len(layout.traced), cell.units, layout.width))
    rows = {}
    beyond = sum(layout.columns.values()) - layout.width
    for name, row in zip(layout.traced, tf.unstack(per_cell), strict=True):
        size = cell.nets[name]
        own = row if size == cell.units else tf.transpose(within_blocks(tf.transpose(row), size))
        rows[name] = tf.pad(own, [(0, 0), (0, beyond)])
    for name, row in of_direct.items():
        rows[name] = rows[name] + row if name in rows else row
    return rows
