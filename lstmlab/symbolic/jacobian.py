"""The one-step Jacobian of a GatedCell in symbols: the chain rule, carried forward through its equations."""

from collections.abc import Iterable

import keras

from lstmlab.symbolic.symbols import (
    LETTERS,
    Block,
    Factor,
    Term,
    before,
    check,
    coupled,
    is_linear,
    multiplier,
    over_cells,
    peephole,
    read_out,
    reads,
    symbol,
)

Derivative = dict[str, list[Term]]  # of one value, to each part of the step before


def jacobian(cell) -> dict[tuple[str, str], Block]:
    """{(value of the step, part of the step before): Block}, every derivative of one step in symbols.

    Values: cell_state, output (unless it is the state), each gate that is fed back, normaliser and stabiliser. Parts of the
    step before: those of them that the states of the cell hold. Dropout is off. The cell need not be built.
    Raises ValueError as `equations`.
    """
    check(cell)
    derivation, sizes = _Derivation(cell), parts(cell)
    values = {
        "cell_state": cell.units,
        **({} if cell.is_own_output else {"output": cell.units}),
        **sizes,
    }
    return {
        (value, part): Block(
            symbol(cell, value),
            before(symbol(cell, part)),
            (rows, columns),
            tuple(derivation.of[value].get(part, [])),
        )
        for value, rows in values.items()
        for part, columns in sizes.items()
    }


def parts(cell) -> dict[str, int]:
    """{name: size} of what the states hold, cell_state first; an output that is the state is called cell_state."""
    fed_back = cell.gates if cell.hidden_size > cell.units else ()
    sizes = (
        {"cell_state": cell.units} if cell.is_own_output or "cell_state" in cell.state_names else {}
    )
    sizes |= {} if cell.is_own_output else {"output": cell.units}
    sizes |= dict.fromkeys(fed_back, cell.blocks)
    return sizes | {
        name: cell.blocks for name in ("normaliser", "stabiliser") if name in cell.state_names
    }


class _Derivation:
    """of: {named value: its Derivative}, filled in the order of computing."""

    def __init__(self, cell):
        self.cell = cell
        self.nets = {
            name: self._net(name) for name, gate in cell.own.items() if gate.peephole != "current"
        }
        self.of = {
            name: chain([self._slope(name)], derivative) for name, derivative in self.nets.items()
        }
        self._refine()
        self._normalise()
        for name, gate in coupled(cell).items():
            own = (
                self.of[gate.to]
                if not gate.shift
                else chain([self._slope(gate.to, name)], self.nets[gate.to])
            )
            self.of[name] = chain([], own, sign=-1 if gate.complement else 1)
        self.of["candidate"] = chain([self._slope("candidate")], self._net_of_candidate())
        self.of["cell_state"] = self._state()
        if cell.normaliser == "state":
            self.of["normaliser"] = self._sum(
                "normaliser", "n_{t-1}", multiplier(cell, "forget_gate")
            )
        for name in set(cell.own) - set(self.nets):
            self.of[name] = chain([self._slope(name)], plus(self._net(name), self._looks(name)))
        self.of["output"] = self._output()

    def _slope(self, name: str, called: str | None = None) -> Factor | None:
        """Of the net's activation; called: the gate that has it in its equation, if another."""
        cell = self.cell
        activation = cell.candidate_activation if name == "candidate" else cell.own[name].activation
        return None if is_linear(activation) else Factor(f"{LETTERS[called or name]}'_t")

    def _reads(self, name: str, factors: Iterable[Factor] = ()) -> Derivative:
        """R of what the net reads back, from the left; factors: what stands to the right of R."""
        normalised = (
            Factor(rf"\mathcal{{N}}'_{LETTERS[name]}", False)
            if self.cell.layer_normalization
            else None
        )
        found: Derivative = {}
        for weights, source in reads(self.cell, name):
            part = "cell_state" if self.cell.is_own_output and source == "output" else source
            found[part] = [Term(1, _given(normalised, Factor(weights, False), *factors), (name,))]
        return found

    def _net(self, name: str) -> Derivative:
        """(1) of GatedCell, without a peephole that sees the new state."""
        gate = self.cell.own.get(name)
        if gate is None or gate.peephole != "previous":
            return self._reads(name)
        return plus(
            self._reads(name),
            {"cell_state": [Term(1, (Factor(peephole(self.cell, name), False),), (name,))]},
        )

    def _looks(self, name: str) -> Derivative:
        return chain(
            [Factor(peephole(self.cell, name), False)], self.of["cell_state"], through=name
        )

    def _net_of_candidate(self) -> Derivative:
        """(4) of GatedCell: with a reset gate q, R (q y) or q (R y + c), both factors of the product move."""
        cell = self.cell
        if cell.reset_gate is None:
            return self._net("candidate")
        q, of_q = (
            Factor(over_cells(cell, multiplier(cell, "reset_gate"))),
            self._spread(self.of["reset_gate"]),
        )
        if cell.reset_after:
            return plus(
                chain([q], self._reads("candidate")),
                chain([Factor("p_t")], of_q, through="candidate"),
            )
        [(weights, _)] = reads(cell, "candidate")
        normalised = Factor(r"\mathcal{N}'_g", False) if cell.layer_normalization else None
        moved = chain(
            [normalised, Factor(weights, False), Factor("y_{t-1}")], of_q, through="candidate"
        )
        return plus(self._reads("candidate", [q]), moved)

    def _refine(self) -> None:
        """(3) of GatedCell."""
        if self.cell.refine_gate is not None:
            by_f, by_r = (
                Factor(r"2 r_t + 2 (1 - 2 r_t) \odot f_t"),
                Factor(r"2 f_t \odot (1 - f_t)"),
            )
            self.of["forget_gate"] = plus(
                chain([by_f], self.of["forget_gate"]), chain([by_r], self.of["refine_gate"])
            )

    def _normalise(self) -> None:
        cell = self.cell
        if cell.normaliser is None:
            return
        i, f = Factor(r"\bar{i}_t"), Factor(r"\bar{f}_t")
        of_log = {
            name: chain(
                [None if _exponential(cell.own[name]) else Factor(rf"(\log {LETTERS[name]})'_t")],
                self.nets[name],
            )
            for name in ("input_gate", "forget_gate")
        }
        if cell.normaliser == "gates":  # i / (i + f): its logarithm moves by what f is
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
        kappa, mu = Factor(r"\kappa_t"), Factor(r"\mu_t")
        self.of["input_gate"] = chain([i, kappa], behind, sign=-1)
        self.of["forget_gate"] = chain([f, mu], behind)
        self.of["stabiliser"] = plus(
            chain([kappa], carried), chain([Factor(r"1 - \kappa_t")], of_log["input_gate"])
        )

    def _state(self) -> Derivative:
        """(5) of GatedCell: the product rule on e s_tm1 and on i g."""
        cell = self.cell
        g = self._gated("input_gate", "g_t", self.of["candidate"])
        if cell.forget_gate == "closed":
            return g
        kept = (
            Factor(over_cells(cell, multiplier(cell, "forget_gate")))
            if "forget_gate" in cell.gates
            else Factor("I", False)
        )
        carousel: Derivative = {"cell_state": [Term(1, (kept,), ())]}
        moved = (
            chain([Factor("s_{t-1}")], self._spread(self.of["forget_gate"]))
            if "forget_gate" in cell.gates
            else {}
        )
        return plus(carousel, moved, g)

    def _sum(self, part: str, old: str, kept: str) -> Derivative:
        """n_t of normaliser='state', per block."""
        carousel: Derivative = {part: [Term(1, (Factor(kept),), ())]}
        return plus(carousel, chain([Factor(old)], self.of["forget_gate"]), self.of["input_gate"])

    def _output(self) -> Derivative:
        """(7) of GatedCell, and what stands before it."""
        cell, derivative = self.cell, self.of["cell_state"]
        if cell.normaliser == "state":
            n = over_cells(cell, "n_t")
            moved = chain(
                [Factor(rf"\frac{{z_t}}{{{n}}}")], self._spread(self.of["normaliser"]), sign=-1
            )
            derivative = plus(chain([Factor(rf"\frac{{1}}{{{n}}}")], derivative), moved)
        if cell.layer_normalization:
            derivative = chain([Factor(r"\mathcal{N}'_s", False)], derivative)
        value = read_out(cell)
        if is_linear(cell.output_activation):
            return self._gated("output_gate", value, derivative)
        return self._gated(
            "output_gate", f"h({value})", chain([Factor(f"h'({value})")], derivative)
        )

    def _gated(self, gate: str, value: str, derivative: Derivative) -> Derivative:
        """Of gate * value, from the value's derivative."""
        if getattr(self.cell, gate) == "closed":
            return {}
        if gate not in self.cell.gates:
            return derivative
        opened = Factor(over_cells(self.cell, multiplier(self.cell, gate)))
        return plus(
            chain([opened], derivative), chain([Factor(value)], self._spread(self.of[gate]))
        )

    def _spread(self, derivative: Derivative) -> Derivative:
        return chain([Factor("E", False)], derivative) if self.cell.block_size > 1 else derivative


def chain(
    factors: Iterable[Factor | None],
    derivative: Derivative,
    through: str | None = None,
    sign: int = 1,
) -> Derivative:
    """Factors from the left on every term; through: the net that it passes on the way."""
    more = () if through is None else (through,)
    return {
        part: [
            Term(sign * term.sign, (*_given(*factors), *term.factors), (*term.path, *more))
            for term in terms
        ]
        for part, terms in derivative.items()
    }


def plus(*derivatives: Derivative) -> Derivative:
    """Their sum, term after term."""
    found: Derivative = {}
    for derivative in derivatives:
        for part, terms in derivative.items():
            found[part] = [*found.get(part, []), *terms]
    return found


def _given(*factors: Factor | None) -> tuple[Factor, ...]:
    return tuple(factor for factor in factors if factor is not None)


def _exponential(gate) -> bool:
    """Whether the slope of the gate's logarithm is 1."""
    return gate.activation is keras.activations.exponential
