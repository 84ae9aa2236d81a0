"""The values of the symbols: what every factor of a Jacobian is at given steps, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from lstmlab.cells.gated import EPSILON
from lstmlab.cells.gates import GATES, g1997, h1997
from lstmlab.cells.recurrence import split
from lstmlab.errors import refusal
from lstmlab.symbolic.moves import MOVES
from lstmlab.symbolic.symbols import (
    VALUES,
    coupled,
    key_before,
    key_normalisation,
    key_over_cells,
    key_peephole,
    key_slope,
    key_weights,
    reads,
)


def _logistic(net: np.ndarray) -> np.ndarray:
    # 1 / (1 + e^-net), in a form that overflows on neither side
    return np.exp(-np.logaddexp(0.0, -net))


def _bump(net: np.ndarray) -> np.ndarray:
    """Slope of the logistic function, in a form that keeps its digits where it is small."""
    return _logistic(net) * _logistic(-net)


# tanh x = 2 sigma(2x) - 1, so that tanh, g1997 and h1997 have the slopes of sigma
SLOPES: dict[Callable, Callable] = {
    keras.activations.linear: np.ones_like,
    keras.activations.sigmoid: _bump,
    keras.activations.tanh: lambda net: 4 * _bump(2 * net),
    keras.activations.relu: lambda net: (net > 0).astype(net.dtype),
    keras.activations.exponential: np.exp,
    g1997: lambda net: 4 * _bump(net),
    h1997: lambda net: 2 * _bump(net),
}


def slope(activation: Callable, net: np.ndarray) -> np.ndarray:
    """The derivative of an activation at net, by its closed form.

    Raises:
        ValueError: For an activation that has none here.
    """
    if activation not in SLOPES:
        known = [function.__name__ for function in SLOPES]
        name = getattr(activation, "__name__", activation)
        expected = f"one of {known}, or a `slope` that knows others"
        raise refusal("symbol_values", expected, {"activation": name})
    return SLOPES[activation](net)


def symbol_values(
    cell: Any, inputs: Any, states: list, slope: Callable = slope
) -> dict[str, np.ndarray]:
    """The value of every factor at given steps.

    Args:
        cell: A built GatedCell.
        inputs: x_t [B, F].
        states: Those of the step before, in the order of `state_names`.
        slope: (activation, net [B, size]) -> its derivative there, for activations that `slope` of
            this module does not know.

    Returns:
        {key of a Factor: its value}: vectors [B, n or m], weight matrices [size, size] and, for
        layer normalisation, [B, size, size].
    """
    nets: dict = {}
    waits: list = []

    def net(inputs: Any, hidden: Any) -> tuple[dict, Any]:
        found, waiting = cell.net(inputs, hidden)
        nets.update(found)
        waits.append(waiting)
        return nets, waiting  # the step adds what the peepholes see to this very dictionary

    values, after = cell.step(inputs, states, net=net)
    # behind a reset gate, the step keeps this net to itself
    nets["candidate"] = cell._net_of_candidate(nets, waits[0], states[0], values)
    if cell.reset_after:
        bias = 0 if cell.recurrent_bias is None else cell.recurrent_bias
        values["waiting"] = waits[0] + bias

    past = {name: _numpy(state) for name, state in zip(cell.state_names, states, strict=True)}
    if "stabiliser" in past:
        values["stabiliser"] = after[-1]
    step = _Step(cell, past, _all_numpy(nets), _all_numpy(values), slope)
    return {
        **step.values(),
        **step.slopes(),
        **step.normalised(),
        **step.read_out(),
        **step.weights(),
    }


class _Step:
    """One step in numbers: the states before it, its pre-activations, and its values."""

    def __init__(self, cell: Any, past: dict, nets: dict, values: dict, slope: Callable):
        self.cell, self.past, self.nets, self.given, self.slope = cell, past, nets, values, slope
        # E [n, m]: row k has its 1 at the block of cell k
        self.spread = np.kron(np.eye(cell.blocks), np.ones((cell.block_size, 1)))

    def values(self) -> dict:
        """Those of the step and of the step before."""
        cell, past = self.cell, self.past
        y = past["hidden"][:, : cell.units]
        found = {"spread": self.spread, "identity": np.eye(cell.units), **self.given}
        found |= {key_before("output"): y, key_before("cell_state"): past.get("cell_state", y)}
        found |= {key_before(name): past[name] for name in VALUES if name in past}
        over = {key_over_cells(gate): self.given[gate] @ self.spread.T for gate in cell.gates}
        return found | over

    def slopes(self) -> dict:
        """Of the activations, at their pre-activations."""
        cell = self.cell
        found = {
            key_slope(name): self.slope(gate.activation, self.nets[name])
            for name, gate in cell.own.items()
        }
        found[key_slope("candidate")] = self.slope(
            cell.candidate_activation, self.nets["candidate"]
        )

        for name, gate in coupled(cell).items():
            if gate.shift:
                partner = cell.own[gate.to]
                found[key_slope(name)] = self.slope(
                    partner.activation, self.nets[gate.to] - gate.shift
                )

        for name, move in MOVES.items():
            if name in cell.gates:
                moved = GATES[name].moves
                # the slopes are at the gate before the move; the step gives it only as moved
                before = _called(cell.own[moved].activation, self.nets[moved])
                by_moved, by_mover = move.values(before, self.given[name])
                found |= {move.by_moved.key: by_moved, move.by_mover.key: by_mover}
        return found

    def normalised(self) -> dict:
        """Slopes of the gates' logarithms, and who sets the stabiliser."""
        cell, logs = self.cell, {}
        found: dict[str, np.ndarray] = {}
        if cell.normaliser is None:
            return {}

        for name in ("input_gate", "forget_gate"):
            logs[name] = _called(cell.own[name].log, self.nets[name])
            # Slope of log(logistic function); that of log(exp) is 1 and has no factor.
            found[key_slope(f"log {name}")] = _logistic(-self.nets[name])

        if cell.normaliser == "state":
            stored = self.past["normaliser"] != 0
            carried = logs["forget_gate"] + self.past["stabiliser"] > logs["input_gate"]
            kappa = (stored & carried).astype(logs["input_gate"].dtype)
            mu = (stored & ~carried).astype(kappa.dtype)
            found |= {"kappa": kappa, "mu": mu, "1 - kappa": 1 - kappa}
        return found

    def read_out(self) -> dict:
        """What the output activation is applied to, its value and its slope there."""
        cell, value = self.cell, self.given["cell_state"]
        found: dict[str, np.ndarray] = {}
        if cell.normaliser == "state":
            n = self.given["normaliser"] @ self.spread.T
            value = value / n  # (12)
            found |= {"one over normaliser": 1 / n, "quotient over normaliser": value / n}

        if cell.layer_normalization:
            gain = _numpy(cell.state_gain)
            found[key_normalisation("cell_state")] = _of_normalisation(value, gain)
            value = _standard(value)[0] * gain + _numpy(cell.state_offset)

        return {
            **found,
            "read-out": value,
            "squashed read-out": _called(cell.output_activation, value),
            key_slope("read-out"): self.slope(cell.output_activation, value),
        }

    def weights(self) -> dict:
        """Weight matrices, and the derivatives of layer normalisation.

        Matrices [size of the pre-activation, size of what it reads]; of layer normalisation
        [B, size of the pre-activation, all of them].
        """
        cell, found = self.cell, {}
        for row, name in enumerate(cell.peepholes):
            found[key_peephole(name)] = (_numpy(cell.peephole)[row][:, None] * self.spread).T

        matrices = {alone: self._matrices(alone) for alone in (False, True)}
        for net in cell.nets:
            alone = net in matrices[True]
            for _, source in reads(cell, net):
                rows = matrices[alone]
                # normalisation mixes all nets: each depends on what any of them reads
                whole = (
                    np.concatenate(list(rows.values())) if cell.layer_normalization else rows[net]
                )
                found[key_weights(net, source)] = whole[:, self._columns(source)]
            if cell.layer_normalization and net in matrices[alone]:
                found[key_normalisation(net)] = self._normalisation(net, matrices[alone], alone)
        return found

    def _columns(self, source: str) -> slice:
        """Where a value is among the hidden ones."""
        n, m = self.cell.units, self.cell.blocks
        if source == "output":
            return slice(0, n)
        start = n + m * list(self.cell.gates).index(source)
        return slice(start, start + m)

    def _matrices(self, alone: bool) -> dict:
        """{net: R [size, hidden]}: what each hidden value by itself contributes."""
        cell, each = self.cell, np.eye(self.cell.hidden_size)
        found: dict[str, np.ndarray] = {}
        for product in cell.recurrence.products:
            if product.alone == alone:
                weight = ops.convert_to_tensor(getattr(cell, product.weight))
                hidden = ops.convert_to_tensor(each, weight.dtype)
                read = cell.recurrence(product, weight, hidden)
                for name, value in split(read, product.nets).items():
                    # [hidden, size] -> [size, hidden]; with gates_to_gates two weights drive a net
                    found[name] = found.get(name, 0) + _numpy(value).T
        return found

    def _normalisation(self, net: str, matrices: dict, alone: bool) -> np.ndarray:
        """One pre-activation's rows of the derivative of layer normalisation, at what is read."""
        # with reset_after the gate multiplies behind the product, and so behind the normalisation
        gated = alone and not self.cell.reset_after
        hidden = self.past["hidden"] * (self.given["reset_gate"] @ self.spread.T if gated else 1)
        gain = _numpy(self.cell.candidate_recurrent_gain if alone else self.cell.recurrent_gain)
        whole = _of_normalisation(hidden @ np.concatenate(list(matrices.values())).T, gain)
        start = sum(len(rows) for rows in list(matrices.values())[: list(matrices).index(net)])
        return whole[:, start : start + len(matrices[net])]


def _standard(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean 0, variance 1 over the last axis, and the deviation that it was divided by."""
    deviation = np.sqrt(value.var(axis=-1, keepdims=True) + EPSILON)
    return (value - value.mean(axis=-1, keepdims=True)) / deviation, deviation


def _of_normalisation(value: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """[B, N, N]: diag(gain) (1 - 1/N - z z^T/N) / deviation, z the standardised value [B, N]."""
    z, deviation = _standard(value)
    shared = np.eye(z.shape[-1]) - 1 / z.shape[-1] - z[:, :, None] * z[:, None, :] / z.shape[-1]
    return gain[:, None] * shared / deviation[..., None]


def _numpy(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(value)


def _called(function: Callable, value: np.ndarray) -> np.ndarray:
    """A function of the backend on an array."""
    return _numpy(function(ops.convert_to_tensor(value)))


def _all_numpy(values: dict) -> dict:
    return {name: _numpy(value) for name, value in values.items()}
