"""The numbers behind the symbols: what every factor of a Jacobian is at given steps, in NumPy."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from lstmlab.cells.gates import g1997, h1997
from lstmlab.cells.recurrence import split
from lstmlab.symbolic.symbols import (
    LETTERS,
    VALUES,
    before,
    coupled,
    multiplier,
    over_cells,
    peephole,
    read_out,
    reads,
)

EPSILON = 1e-5  # of layer normalisation, as in GatedCell


def _logistic(net):
    return np.exp(-np.logaddexp(0.0, -net))


def _bump(net):
    """Slope of the logistic function, in a form that keeps its digits where it is small."""
    return _logistic(net) * _logistic(-net)


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
    """The derivative of an activation at net, by its closed form. Raises ValueError for one that has none here."""
    if activation not in SLOPES:
        known = [function.__name__ for function in SLOPES]
        name = getattr(activation, "__name__", activation)
        raise ValueError(
            f"environment: expected one of {known}, or a `slope` that knows others. Received: activation={name!r}"
        )
    return SLOPES[activation](net)


def environment(cell, inputs, states, slope: Callable = slope) -> dict[str, np.ndarray]:
    """{symbol: values}: vectors [B, n or m], weight matrices [size, size] and, of layer normalisation, [B, size, size].

    cell: a built GatedCell; inputs [B, F]; states: those of the step before, in the order of `state_names`.
    slope: (activation, net [B, size]) -> its derivative there, for activations that `slope` of this module does not know.
    """
    nets: dict = {}
    waits: list = []

    def net(inputs, hidden):
        found, waiting = cell.net(inputs, hidden)
        nets.update(found)
        waits.append(waiting)
        return nets, waiting  # the step adds what the peepholes see to this very dictionary

    values, after = cell.step(inputs, states, net=net)
    if cell.reset_gate is not None:
        nets["candidate"] = cell._behind_reset_gate(nets, waits[0], states[0], values)
        if cell.reset_after:
            values["waiting"] = (
                waits[0] if cell.recurrent_bias is None else waits[0] + cell.recurrent_bias
            )
    past = {name: _numpy(state) for name, state in zip(cell.state_names, states, strict=True)}
    values = (
        {**_all_numpy(values), "stabiliser": _numpy(after[-1])}
        if "stabiliser" in past
        else _all_numpy(values)
    )
    step = _Step(cell, past, _all_numpy(nets), values, slope)
    return {
        **step.values(),
        **step.slopes(),
        **step.normalised(),
        **step.read_out(),
        **step.weights(),
    }


class _Step:
    """One step in numbers: the states before it, its net inputs with peepholes and reset gate, and its values."""

    def __init__(self, cell, past: dict, nets: dict, values: dict, slope: Callable):
        self.cell, self.past, self.nets, self.given, self.slope = cell, past, nets, values, slope
        self.spread = np.kron(np.eye(cell.blocks), np.ones((cell.block_size, 1)))

    def values(self) -> dict:
        """Of the step and of the step before."""
        cell, past = self.cell, self.past
        y = past["hidden"][:, : cell.units]
        found = {
            "E": self.spread,
            "I": np.eye(cell.units),
            "y_{t-1}": y,
            "s_{t-1}": past.get("cell_state", y),
        }
        found |= {before(VALUES[name]): past[name] for name in VALUES if name in past}
        found |= {VALUES[name]: self.given[name] for name in VALUES if name in self.given} | {
            "g_t": self.given["candidate"]
        }
        if cell.reset_after:
            found["p_t"] = self.given["waiting"]
        return found | self._over_cells(
            {multiplier(cell, gate): self.given[gate] for gate in cell.gates}
        )

    def _over_cells(self, values: dict) -> dict:
        return {
            **values,
            **{
                over_cells(self.cell, name): value @ self.spread.T for name, value in values.items()
            },
        }

    def slopes(self) -> dict:
        """Of the activations, at their net inputs."""
        cell = self.cell
        found = {
            f"{LETTERS[name]}'_t": self.slope(gate.activation, self.nets[name])
            for name, gate in cell.own.items()
        }
        found["g'_t"] = self.slope(cell.candidate_activation, self.nets["candidate"])
        for name, gate in coupled(cell).items():
            if gate.shift:
                found[f"{LETTERS[name]}'_t"] = self.slope(
                    cell.own[gate.to].activation, self.nets[gate.to] - gate.shift
                )
        if cell.refine_gate is not None:
            f, r = (
                _numpy(
                    cell.forget_gate.activation(ops.convert_to_tensor(self.nets["forget_gate"]))
                ),
                self.given["refine_gate"],
            )
            found |= {
                r"2 r_t + 2 (1 - 2 r_t) \odot f_t": 2 * r + 2 * (1 - 2 * r) * f,
                r"2 f_t \odot (1 - f_t)": 2 * f * (1 - f),
            }
        return found

    def normalised(self) -> dict:
        """Logarithms of the gates and who sets the stabiliser."""
        cell, logs = self.cell, {}
        found: dict[str, np.ndarray] = {}
        if cell.normaliser is None:
            return {}
        for name in ("input_gate", "forget_gate"):
            logs[name] = _numpy(cell.own[name].log(ops.convert_to_tensor(self.nets[name])))
            found[rf"(\log {LETTERS[name]})'_t"] = _logistic(
                -self.nets[name]
            )  # of the logistic function; exp has slope 1
        if cell.normaliser == "state":
            stored = self.past["normaliser"] != 0
            carried = logs["forget_gate"] + self.past["stabiliser"] > logs["input_gate"]
            kappa, mu = (
                where.astype(logs["input_gate"].dtype)
                for where in (stored & carried, stored & ~carried)
            )
            found |= {r"\kappa_t": kappa, r"\mu_t": mu, r"1 - \kappa_t": 1 - kappa}
        return found

    def read_out(self) -> dict:
        """What the output activation is applied to, its value and its slope there."""
        cell, value = self.cell, self.given["cell_state"]
        found: dict[str, np.ndarray] = {}
        if cell.normaliser == "state":
            n = self.given["normaliser"] @ self.spread.T
            name, value = over_cells(cell, "n_t"), value / n
            found |= {
                "z_t": value,
                rf"\frac{{1}}{{{name}}}": 1 / n,
                rf"\frac{{z_t}}{{{name}}}": value / n,
            }
        if cell.layer_normalization:
            gain = _numpy(cell.state_gain)
            found[r"\mathcal{N}'_s"] = _of_normalisation(value, gain)
            value = _standard(value)[0] * gain + _numpy(cell.state_offset)
        name = read_out(cell)
        opened = _numpy(cell.output_activation(ops.convert_to_tensor(value)))
        return {
            **found,
            name: value,
            f"h({name})": opened,
            f"h'({name})": self.slope(cell.output_activation, value),
        }

    def weights(self) -> dict:
        """Matrices [size of the net, size of what it reads], and of layer normalisation [B, size of the net, all nets]."""
        cell, found = self.cell, {}
        for name in cell.peepholes:
            rows = _numpy(cell.peephole)[cell.peepholes.index(name)]
            found[peephole(cell, name)] = (rows[:, None] * self.spread).T
        matrices = {alone: self._matrices(alone) for alone in (False, True)}
        for net in cell.nets:
            alone = net in matrices[True]
            for weights, source in reads(cell, net):
                rows = (
                    np.concatenate(list(matrices[alone].values()))
                    if cell.layer_normalization
                    else matrices[alone][net]
                )
                found[weights] = rows[:, self._columns(source)]
            if cell.layer_normalization and net in matrices[alone]:
                found[rf"\mathcal{{N}}'_{LETTERS[net]}"] = self._normalisation(
                    net, matrices[alone], alone
                )
        return found

    def _columns(self, source: str) -> slice:
        """Where a value stands among the hidden ones."""
        n, m = self.cell.units, self.cell.blocks
        start = 0 if source == "output" else n + m * list(self.cell.gates).index(source)
        return slice(start, start + (n if source == "output" else m))

    def _matrices(self, alone: bool) -> dict:
        """{net: R [size, hidden]}: what each hidden value by itself contributes."""
        cell, each = self.cell, np.eye(self.cell.hidden_size)
        found: dict[str, np.ndarray] = {}
        for product in cell.recurrence.products:
            if product.alone == alone:
                weight = _numpy(getattr(cell, product.weight))
                read = cell.recurrence(
                    product,
                    ops.convert_to_tensor(weight),
                    ops.convert_to_tensor(each, weight.dtype),
                )
                for name, value in split(read, product.nets).items():
                    found[name] = found.get(name, 0) + _numpy(value).T
        return found

    def _normalisation(self, net: str, matrices: dict, alone: bool) -> np.ndarray:
        """The rows of one net of the derivative of layer normalisation, at what all nets read back."""
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


def _numpy(value) -> np.ndarray:
    return ops.convert_to_numpy(value)


def _all_numpy(values: dict) -> dict:
    return {name: _numpy(value) for name, value in values.items()}
