"""The one-step Jacobian of a GatedCell in symbols.

The chain rule, carried forward through its equations. Its derivatives are partial: the step is a
function of its states, and one of them moves while the others are held. The total derivative of a
state with respect to the one before is in `total`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from lstmlab.cells.gates import GATES, LETTERS, Gate
from lstmlab.symbolic.moves import MOVES
from lstmlab.symbolic.symbols import (
    Derivative,
    Factor,
    Term,
    before,
    check,
    coupled,
    is_linear,
    key_before,
    key_normalisation,
    key_over_cells,
    key_peephole,
    key_slope,
    key_weights,
    multiplier,
    over_cells,
    peephole,
    read_out,
    reads,
    symbol,
)

ByPart = dict[str, list[Term]]  # the derivative of one value to each part of the step before
NEW_STATE = "new cell_state"  # s_t itself, where it is a variable beside those parts


def jacobian(cell: Any) -> dict[tuple[str, str], Derivative]:
    """Derive every partial derivative of one step in symbols. Dropout is off.

    Args:
        cell: A GatedCell; it need not be built.

    Returns:
        {(value of the step, part of the step before): Derivative}, with the other parts held.
        Values: cell_state, output (unless it is the state), each gate that is fed back, normaliser
        and stabiliser. Parts of the step before: those of them that the states of the cell hold.

    Raises:
        ValueError: As `equations`.
    """
    check(cell)
    derivation, sizes = _Derivation(cell), parts(cell)
    values = {
        "cell_state": cell.units,
        **({} if cell.is_own_output else {"output": cell.units}),
        **sizes,
    }

    return {
        (value, part): Derivative(
            symbol(cell, value),
            before(symbol(cell, part)),
            (rows, columns),
            tuple(derivation.of[value].get(part, [])),
        )
        for value, rows in values.items()
        for part, columns in sizes.items()
    }


def handed_on(cell: Any) -> dict[str, ByPart]:
    """Derive what a step hands on besides its state, with the new state s_t as a variable.

    Args:
        cell: A GatedCell; it need not be built.

    Returns:
        {output, each gate that is fed back, normaliser, stabiliser: its partial derivatives, by
        NEW_STATE (s_t, everything before this step held) and by the parts of the step before (s_t
        held)}; a derivative that is 0 is left out.

    Raises:
        ValueError: As `equations`.
    """
    check(cell)
    derivation = _Derivation(cell, of_state={NEW_STATE: [Term(1, (), ())]})
    return {name: derivation.of[name] for name in parts(cell) if name != "cell_state"}


def parts(cell: Any) -> dict[str, int]:
    """{name: size} of what the states hold, cell_state first.

    An output that is the state is called cell_state.
    """
    fed_back = cell.gates if cell.hidden_size > cell.units else ()
    # a closed forget gate keeps no state, unless a peephole looks at the old one
    sizes = (
        {"cell_state": cell.units} if cell.is_own_output or "cell_state" in cell.state_names else {}
    )
    sizes |= {} if cell.is_own_output else {"output": cell.units}
    sizes |= dict.fromkeys(fed_back, cell.blocks)
    return sizes | {
        name: cell.blocks for name in ("normaliser", "stabiliser") if name in cell.state_names
    }


class _Derivation:
    """of: {named value: its ByPart}, filled in the order of computing.

    of_state: The ByPart of s_t; None: derived like the others.
    """

    def __init__(self, cell: Any, of_state: ByPart | None = None):
        self.cell = cell
        self.nets = {
            name: self._net(name) for name, gate in cell.own.items() if gate.peephole != "current"
        }
        self.of = {
            name: chain([self._slope(name)], derivative) for name, derivative in self.nets.items()
        }
        self._move()
        self._normalise()

        # only now: a coupled gate follows the value with which its partner multiplies
        for name, gate in coupled(cell).items():
            own = (
                self.of[gate.to]
                if not gate.shift
                else chain([self._slope(gate.to, name)], self.nets[gate.to])
            )
            self.of[name] = chain([], own, sign=-1 if gate.complement else 1)

        self.of["candidate"] = chain([self._slope("candidate")], self._net_of_candidate())
        self.of["cell_state"] = self._state() if of_state is None else of_state
        if cell.normaliser == "state":
            self.of["normaliser"] = self._sum()
        # (6): the output gate that sees s_t, whose derivative is known only now
        for name in set(cell.own) - set(self.nets):
            self.of[name] = chain([self._slope(name)], plus(self._net(name), self._looks(name)))
        self.of["output"] = self._output()

    def _slope(self, name: str, called: str | None = None) -> Factor | None:
        """Slope of the activation; called: the gate that has it in its equation, if another."""
        cell = self.cell
        activation = cell.candidate_activation if name == "candidate" else cell.own[name].activation
        return (
            None
            if is_linear(activation)
            else Factor(key_slope(called or name), f"{LETTERS[called or name]}'_t")
        )

    def _reads(self, name: str, factors: Iterable[Factor] = ()) -> ByPart:
        """R of what is read back, from the left; factors: to the right of R."""
        normalised = self._normalisation(name)
        found: ByPart = {}
        for weights, source in reads(self.cell, name):
            # where the output is the state, `parts` has only the name cell_state
            part = "cell_state" if self.cell.is_own_output and source == "output" else source
            found[part] = [
                Term(1, _given(normalised, self._weights(name, source, weights), *factors), (name,))
            ]
        return found

    def _net(self, name: str) -> ByPart:
        """(1) of GatedCell, without a peephole that sees the new state."""
        gate = self.cell.own.get(name)
        if gate is None or gate.peephole != "previous":
            return self._reads(name)
        return plus(
            self._reads(name),
            {"cell_state": [Term(1, (self._peephole(name),), (name,))]},
        )

    def _looks(self, name: str) -> ByPart:
        return chain([self._peephole(name)], self.of["cell_state"], through=name)

    def _net_of_candidate(self) -> ByPart:
        """(4) of GatedCell.

        With a reset gate q, R (q y) or q (R y + c), both factors of the product move.
        """
        cell = self.cell
        if cell.reset_gate is None:
            return self._net("candidate")
        q, of_q = self._over_cells("reset_gate"), self._spread(self.of["reset_gate"])
        if cell.reset_after:
            return plus(
                chain([q], self._reads("candidate")),
                chain([Factor("waiting", "p_t")], of_q, through="candidate"),
            )

        [(latex, source)] = reads(cell, "candidate")
        weights = self._weights("candidate", source, latex)
        y_tm1 = Factor(key_before("output"), "y_{t-1}")
        moved = chain([self._normalisation("candidate"), weights, y_tm1], of_q, through="candidate")
        return plus(self._reads("candidate", [q]), moved)

    def _move(self) -> None:
        """(3) of GatedCell: the gates that another gate moves."""
        for name, move in MOVES.items():
            if name in self.cell.gates:
                moved = GATES[name].moves
                self.of[moved] = plus(
                    chain([move.by_moved], self.of[moved]), chain([move.by_mover], self.of[name])
                )

    def _normalise(self) -> None:
        cell = self.cell
        if cell.normaliser is None:
            return

        i, f = Factor("input_gate", r"\bar{i}_t"), Factor("forget_gate", r"\bar{f}_t")
        of_log = {}
        for name in ("input_gate", "forget_gate"):
            slope = Factor(key_slope(f"log {name}"), rf"(\log {LETTERS[name]})'_t")
            known = _exponential(cell.own[name])  # the slope is 1
            of_log[name] = chain([None if known else slope], self.nets[name])

        if cell.normaliser == "gates":  # (9), i / (i + f): its logarithm moves by what f is
            difference = plus(of_log["input_gate"], chain([], of_log["forget_gate"], sign=-1))
            self.of |= {
                "input_gate": chain([i, f], difference),
                "forget_gate": chain([i, f], difference, sign=-1),
            }
            return

        carried = plus(
            {"stabiliser": [Term(1, (), ("stabiliser",))]}, of_log["forget_gate"]
        )  # of log f_t + m_tm1
        behind = plus(carried, chain([], of_log["input_gate"], sign=-1))

        # (10): the gate that sets m_t is e^0 = 1, a constant: i moves only where f sets m_t
        # (kappa), f only where i does (mu); while nothing is stored f is held at 1, and mu is 0
        kappa, mu = Factor("kappa", r"\kappa_t"), Factor("mu", r"\mu_t")
        self.of["input_gate"] = chain([i, kappa], behind, sign=-1)
        self.of["forget_gate"] = chain([f, mu], behind)
        self.of["stabiliser"] = plus(
            chain([kappa], carried),
            chain([Factor("1 - kappa", r"1 - \kappa_t")], of_log["input_gate"]),
        )

    def _state(self) -> ByPart:
        """(5) of GatedCell: the product rule on e s_tm1 and on i g."""
        cell = self.cell
        g = self._gated("input_gate", Factor("candidate", "g_t"), self.of["candidate"])
        if cell.forget_gate == "closed":
            return g
        if "forget_gate" not in cell.gates:
            return plus({"cell_state": [Term(1, (Factor("identity", "I", False),), ())]}, g)
        carousel: ByPart = {"cell_state": [Term(1, (self._over_cells("forget_gate"),), ())]}
        s_tm1 = Factor(key_before("cell_state"), "s_{t-1}")
        return plus(carousel, chain([s_tm1], self._spread(self.of["forget_gate"])), g)

    def _sum(self) -> ByPart:
        """(11) of GatedCell: n_t of normaliser='state', per block."""
        kept = Factor("forget_gate", multiplier(self.cell, "forget_gate"))
        carousel: ByPart = {"normaliser": [Term(1, (kept,), ())]}
        n_tm1 = Factor(key_before("normaliser"), "n_{t-1}")
        return plus(carousel, chain([n_tm1], self.of["forget_gate"]), self.of["input_gate"])

    def _output(self) -> ByPart:
        """(7) of GatedCell, and what stands before it."""
        cell, derivative = self.cell, self.of["cell_state"]
        if cell.normaliser == "state":
            n = over_cells(cell, "n_t")
            # (12): d(s / n) = ds / n - (z / n) dn with z = s / n
            by_n = Factor("quotient over normaliser", rf"\frac{{z_t}}{{{n}}}")
            by_s = Factor("one over normaliser", rf"\frac{{1}}{{{n}}}")
            moved = chain([by_n], self._spread(self.of["normaliser"]), sign=-1)
            derivative = plus(chain([by_s], derivative), moved)
        if cell.layer_normalization:
            derivative = chain(
                [Factor(key_normalisation("cell_state"), r"\mathcal{N}'_s", False)], derivative
            )

        value = read_out(cell)
        if is_linear(cell.output_activation):
            return self._gated("output_gate", Factor("read-out", value), derivative)
        h, slope = (
            Factor("squashed read-out", f"h({value})"),
            Factor(key_slope("read-out"), f"h'({value})"),
        )
        return self._gated("output_gate", h, chain([slope], derivative))

    def _gated(self, gate: str, value: Factor, derivative: ByPart) -> ByPart:
        """Of gate * value, from the value's derivative."""
        if getattr(self.cell, gate) == "closed":
            return {}
        if gate not in self.cell.gates:
            return derivative
        return plus(
            chain([self._over_cells(gate)], derivative),
            chain([value], self._spread(self.of[gate])),
        )

    def _over_cells(self, gate: str) -> Factor:
        """The value by which a gate multiplies, given to each cell of its block."""
        return Factor(key_over_cells(gate), over_cells(self.cell, multiplier(self.cell, gate)))

    def _weights(self, net: str, source: str, latex: str) -> Factor:
        return Factor(key_weights(net, source), latex, False)

    def _peephole(self, net: str) -> Factor:
        return Factor(key_peephole(net), peephole(self.cell, net), False)

    def _normalisation(self, net: str) -> Factor | None:
        """The derivative of layer normalisation, where there is one."""
        if not self.cell.layer_normalization:
            return None
        return Factor(key_normalisation(net), rf"\mathcal{{N}}'_{LETTERS[net]}", False)

    def _spread(self, derivative: ByPart) -> ByPart:
        # E [n, m]: from blocks to cells
        return (
            chain([Factor("spread", "E", False)], derivative)
            if self.cell.block_size > 1
            else derivative
        )


def chain(
    factors: Iterable[Factor | None],
    derivative: ByPart,
    through: str | None = None,
    sign: int = 1,
) -> ByPart:
    """Factors from the left on every term; through: the pre-activation that it passes."""
    more = () if through is None else (through,)
    return {
        part: [
            Term(sign * term.sign, (*_given(*factors), *term.factors), (*term.path, *more))
            for term in terms
        ]
        for part, terms in derivative.items()
    }


def plus(*derivatives: ByPart) -> ByPart:
    """Their sum, term after term."""
    found: ByPart = {}
    for derivative in derivatives:
        for part, terms in derivative.items():
            found[part] = [*found.get(part, []), *terms]
    return found


def _given(*factors: Factor | None) -> tuple[Factor, ...]:
    return tuple(factor for factor in factors if factor is not None)


def _exponential(gate: Gate) -> bool:
    """Whether the slope of the gate's logarithm is 1."""
    return gate.activation is keras.activations.exponential
