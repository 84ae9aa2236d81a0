"""One block of a GatedCell as a straight-line program: the equations (1) to (12) of cells/gated.py.

The sums of (1) are made outside (see `layout`); a block takes them as its inputs. What it makes
stands in the order, and under the names, of `GatedCell.step`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from lstmlab.cells.gates import Coupled, g1997, h1997
from lstmlab.native.algebra import Program, Value

Named = dict[tuple[str, int], Value]  # {(name, place in the block): value}


class Block:
    """The program of one block.

    Attributes:
        program: All of its operations.
        nets: Pre-activations, by net and place: inputs of the program.
        before: What the step before left, by part and place: inputs.
        state: The new cell states s_t, in order.
        after: What the step leaves, by part and place: 'output', gates that are fed back, the
            states, and what later sums read: 'kept' (q_t y_tm1) and 'current' (s_t).
    """

    def __init__(self, cell: Any, cut: bool = False):
        """cut: whether what waits for the reset gate is filtered, as by see=stop_gradient."""
        self.cell, self.cells = cell, cell.block_size
        self.program = Program()
        self.nets: Named = {}
        self.before: Named = {}
        self.after: Named = {}

        opened = self._open()
        e_t, i_t = self._factor("forget_gate", opened), self._factor("input_gate", opened)
        self.state = []
        for k in range(self.cells):
            net_g = self._net("candidate", k)
            if cell.reset_gate is not None and cell.candidate_recurrent != "none":
                q_t = self._factor("reset_gate", opened)
                if cell.reset_after:
                    net_g = net_g + q_t * self._net("waiting", k)  # (4), reset_after
                else:
                    y_tm1 = self._before("hidden", k)
                    y_tm1 = self.program.make("cut", y_tm1) if cut else y_tm1
                    self.after["kept", k] = self._value(q_t * y_tm1)  # (4)
            g_t = activation(self.cell.candidate_activation)(self.program, net_g)  # (4)
            self.state.append(e_t * self._state_before(k) + i_t * g_t)  # (5)
        if cell.normaliser == "state":
            n_t = opened["forget_gate"] * self._before("normaliser", 0) + opened["input_gate"]
            self.after["normaliser", 0] = n_t  # (11)
            self.after["stabiliser", 0] = self.stabiliser

        if cell._looks_at_new_state:
            opened["output_gate"] = self._gate("output_gate")  # (6)
        o_t = self._factor("output_gate", opened)
        for k, s_t in enumerate(self.state):
            read = s_t / self.after["normaliser", 0] if cell.normaliser == "state" else s_t  # (12)
            y_t = o_t * activation(cell.output_activation)(self.program, read)
            self.after["output", k] = self._value(y_t)  # (7)
            if "cell_state" in cell.state_names:
                self.after["cell_state", k] = s_t
            if cell._looks_at_new_state:
                self.after["current", k] = s_t
        if cell.hidden_size > cell.units:
            for name in cell.gates:
                self.after[name, 0] = opened[name]  # (8)

    def _open(self) -> dict[str, Value]:
        """The gates that do not look at the new state, by (2), (3), (9) and (10)."""
        cell, make = self.cell, self.program.make
        own = {
            name: self._gate(name) for name, gate in cell.own.items() if gate.peephole != "current"
        }
        if cell.refine_gate is not None:
            f, r = own["forget_gate"], own["refine_gate"]
            own["forget_gate"] = 2.0 * r * f + (1.0 - 2.0 * r) * f * f  # (3)
        if cell.normaliser is not None:
            log_i, log_f = self._log("input_gate"), self._log("forget_gate")
            if cell.normaliser == "gates":
                i_t, f_t = make("logistic", log_i - log_f), make("logistic", log_f - log_i)  # (9)
            else:
                n_tm1, m_tm1 = self._before("normaliser", 0), self._before("stabiliser", 0)
                filled = make("above", make("magnitude", n_tm1), 0.0)
                carried = log_f + m_tm1
                m_t = make("only", 1.0 - filled, log_i)
                m_t = m_t + make("only", filled, make("most", carried, log_i))
                i_t = make("exp", log_i - m_t)
                f_t = make("exp", make("only", filled, carried - m_t))  # (10)
                self.stabiliser = m_t
            own |= {"input_gate": i_t, "forget_gate": f_t}
        for name, gate in cell.gates.items():
            if isinstance(gate, Coupled):
                partner, value = cell.own[gate.to], own[gate.to]
                if gate.shift:
                    net = self._net(gate.to, 0) - gate.shift
                    value = activation(partner.activation)(self.program, net)
                own[name] = 1.0 - value if gate.complement else value  # (2)
        return own

    def _gate(self, name: str) -> Value:
        return activation(self.cell.own[name].activation)(self.program, self._net(name, 0))  # (2)

    def _log(self, name: str) -> Value:
        net = self._net(name, 0)
        if self.cell.own[name].activation is keras.activations.exponential:
            return net
        return -self.program.make("softplus", -net)

    def _factor(self, name: str, opened: dict[str, Value]) -> Value:
        """The gate as a factor: its value, or the constant 1 or 0."""
        if name in opened:
            return opened[name]
        return self.program.constant(0.0 if getattr(self.cell, name) == "closed" else 1.0)

    def _net(self, name: str, k: int) -> Value:
        return self._named(self.nets, "net", name, k)

    def _before(self, part: str, k: int) -> Value:
        return self._named(self.before, "before", part, k)

    def _state_before(self, k: int) -> Value:
        return self._before("cell_state" if "cell_state" in self.cell.state_names else "hidden", k)

    def _named(self, among: Named, kind: str, name: str, k: int) -> Value:
        if (name, k) not in among:
            among[name, k] = self.program.input(kind, name, k)
        return among[name, k]

    def _value(self, value: Value) -> Value:
        return value


# ---- activations


def _scaled_tanh(outer: float) -> Callable:
    return lambda program, x: outer * program.make("tanh", 0.5 * x)


def _named_operation(name: str) -> Callable:
    return lambda program, x: program.make(name, x)


ACTIVATIONS: dict[Any, Callable[[Program, Value], Value]] = {
    keras.activations.linear: lambda program, x: x,
    keras.activations.sigmoid: _named_operation("logistic"),
    keras.activations.tanh: _named_operation("tanh"),
    keras.activations.exponential: _named_operation("exp"),
    keras.activations.softplus: _named_operation("softplus"),
    keras.activations.relu: _named_operation("positive"),
    keras.activations.hard_sigmoid: lambda program, x: program.make(
        "least", program.make("most", x / 6.0 + 0.5, 0.0), 1.0
    ),
    keras.activations.softsign: lambda program, x: x / (1.0 + program.make("magnitude", x)),
    keras.activations.silu: lambda program, x: x * program.make("logistic", x),
    g1997: _scaled_tanh(2.0),
    h1997: _scaled_tanh(1.0),
}


def activation(function: Any) -> Callable[[Program, Value], Value]:
    """The activation as an operation of a program. Raises KeyError for one that has none."""
    return ACTIVATIONS[function]
