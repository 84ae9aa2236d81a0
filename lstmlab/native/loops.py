"""The loops of a kernel: over sequences, their steps, and back.

A kernel goes from one step with an error to the next; between them nothing asks whether there is
one. Everything that it is given was checked before (see `engine`).
"""

from __future__ import annotations

from typing import NamedTuple

from lstmlab.native import growth
from lstmlab.native.layout import Layout
from lstmlab.native.phases import Phases
from lstmlab.native.rules import OneStep, Rule
from lstmlab.native.writing import (
    LANES,
    Lines,
    Names,
    Readout,
    change,
    few_change,
    indent,
    readout,
    readout_gradient,
    sums,
)

SEQUENCES, STREAM, PIECES = range(3)  # what units are: see Engine.run
ARGUMENTS = (
    "x, codes, steps, place, target, weight, begins, passed, theta_flat, grad_flat, slots_flat, "
    "powers_flat, memory_flat, carried_flat, tape_flat, kept_flat, told_flat, told_at, now_flat, "
    "prediction, rates, numbers, every, batch, phase, through, stop"
)


class Plan(NamedTuple):
    """What a kernel is to do.

    Attributes:
        rule: A name in RULES.
        scope: What 'backward' cuts: 'none', 'all' or 'gates' (learners/truncated1997.py).
        optimizer: A name in writing.OPTIMIZERS.
        head: The readout.
        symbols: Whether inputs are symbols, one of F lines being 1 at each step.
        forced: Whether outputs are set to their targets after each step (teacher forcing).
        grows: Whether the cells join later, see `growth`.
    """

    rule: str
    scope: str
    optimizer: str
    head: Readout
    symbols: bool
    forced: bool = False
    grows: bool = False


class Loops:
    """Writes the loops around what a rule does.

    Args:
        plan: Of the kernel.
        layout, rule, names, phases: Of its cell and head.
        symbols: Whether sums take inputs as symbols.
    """

    def __init__(
        self, plan: Plan, layout: Layout, rule: Rule, names: Names, phases: Phases, symbols: bool
    ):
        self.plan, self.layout, self.rule = plan, layout, rule
        self.names, self.phases, self.symbols = names, phases, symbols
        self.back = plan.rule == "backward"

    def _if_grows(self, lines: Lines) -> Lines:
        return lines if self.plan.grows else []

    def constants(self) -> Lines:
        layout = self.layout
        weights = layout.of_cell + layout.of_head
        tables = self.rule.tables().items()
        return [
            f"LANES, BLOCKS, WEIGHTS = {LANES}, {layout.blocks}, {weights}",
            f"STREAM = {STREAM}",
            *(f"{name} = np.array({values}, np.int64)" for name, values in tables),
        ]

    def function(self) -> Lines:
        head = [
            "@njit(nogil=True, cache=True, error_model='numpy')",
            f"def kernel({', '.join([ARGUMENTS, *self._if_grows([growth.ARGUMENTS])])}):",
        ]
        body = [*self._prepared(), "done = 0", "control = flush_subnormals()"]
        body += ["for n in range(place.shape[1]):", *indent([*self._sequence(), "done += 1"])]
        return [*head, *indent([*body, "restore(control)", "return done"])]

    def _prepared(self) -> Lines:
        layout = self.layout
        views = (
            "theta",
            "grad",
            "slots",
            "powers",
            "memory",
            "carried",
            "tape",
            "kept",
            "told",
            "now_all",
        )
        flats = {"now_all": "now_flat"}
        lines = [f"{name} = vec({flats.get(name, name + '_flat')}, LANES)" for name in views]
        memory = max(layout.memory[1], 1)
        stacks = {
            "net": max(layout.nets, layout.outputs),
            "dnet": layout.nets,
            "new": memory,
            "keep": max(self.phases.kept * layout.blocks, 1),
            "dold": layout.width - layout.features,
            "dnew": layout.width - layout.features,
            "dstate": layout.units,
            "of_after": memory,
            "of_output": layout.units,
            "delta": layout.outputs,
            "z": layout.width,
            "slope": max(getattr(self.rule, "slopes", 0) * layout.blocks, 1),
        }
        lines += [f"{name} = stack({size}, LANES)" for name, size in stacks.items()]
        one = layout.start("one")
        lines += [
            "zero = spread(f32(0.0), LANES)",
            "one = spread(f32(1.0), LANES)",
            f"now = now_all[:{2 * layout.outputs}]",
            f"weighted = now_all[{2 * layout.outputs}:{2 * layout.outputs + 1}]",
            f"touched_now = now_flat[{2 * layout.outputs + 1}]",
            f"fresh_now = now_flat[{2 * layout.outputs + 2}]",
            f"factor_now = now_flat[{2 * layout.outputs + 3}]",
            f"line_now = now_flat[{2 * layout.outputs + 4}]",
            f"touched_all = now_all[{2 * layout.outputs + 1}:]",
            "momentum, second, epsilon = f32(numbers[0]), f32(numbers[1]), f32(numbers[2])",
            "prime_offset, decay, decay_steps = f32(numbers[3]), numbers[4], numbers[5]",
            "at = np.zeros(LANES, np.int64)",
            "shown = np.zeros(LANES, np.int64)",
            "sym = np.zeros(LANES, np.int64)",
            "factor = one",
            "rates_all = vec(rates, LANES)",
            f"z[{one}] = one",
            *self._if_grows(growth.prepared()),
        ]
        first, count = layout.memory
        lines += [f"for c in range({count}):", f"    z[{first} + c] = memory[c]"]
        return lines

    def _sequence(self) -> Lines:
        first, count = self.layout.memory
        begin = [
            "if stop[0]:",
            "    break",
            "for l in range(LANES):",
            "    at[l] = 0",
            "    fresh_now[l] = begins[l, n]",
            "    if begins[l, n]:",
            "        passed[l] = 0",
            *indent(self._if_grows(growth.begun()), 2),
            "fresh = touched_all[1]",
            f"for c in range({count}):",
            f"    z[{first} + c] = chosen(fresh, zero, z[{first} + c])",
            *self.rule.begin(),
            "rate = rates_all[n]",
            "pending, flush = False, steps",
            "t, events = 0, 0",
        ]
        if self.back:
            begin += [f"for c in range({count}):", f"    tape[{first} + c] = z[{first} + c]"]
        walk = [
            "until = flush",
            "for l in range(LANES):",
            "    until = min(until, place[l, n, at[l]])",
            "if until >= steps and not through:",
            "    break",
            "last = min(until, steps - 1)",
            "for u in range(t, last + 1):",
            *indent(self._step()),
            "t = last + 1",
            "if t >= steps or stop[0]:",
            "    break",
        ]
        if self.back:
            back = self._way_back()
        else:
            back = []
        return [*begin, "while True:", *indent(walk), *back, *self._end(), *self._carry_on()]

    def _step(self) -> Lines:
        layout = self.layout
        lines: Lines = []
        if self.back:
            lines += [
                f"zu, zn, ku = u * {layout.width}, (u + 1) * {layout.width}, u * "
                f"{self.phases.kept * layout.blocks}"
            ]
            lines += [f"tape[zu + {layout.start('one')}] = one"]
        lines += self._inputs("u")
        for stage in range(self.rule.last + 1):
            for group in layout.stages.get(stage, []):
                lines += sums(group, self.names, self.symbols)
            lines += self.rule.over_blocks(self.phases.lines(stage, self.names.keep))
        lines += self.rule.after_blocks(self.phases)
        lines += ["if u == until:", *indent(self._event())]
        if not self.back:
            first, count = layout.memory
            lines += [f"for c in range({count}):", f"    z[{first} + c] = new[c]"]
        return lines

    def _inputs(self, u: str) -> Lines:
        features = self.layout.features
        if self.plan.symbols:
            lines = ["for l in range(LANES):", f"    sym[l] = codes[l, n, {u}]"]
            if not self.symbols:
                lines += [f"for c in range({features}):", "    for l in range(LANES):"]
                lines += ["        line_now[l] = f32(sym[l] == c)", "    z[c] = touched_all[3]"]
            return lines
        at = f"(n * steps + {u}) * {features} + c"
        return [f"for c in range({features}):", f"    {self.names.z}c] = fetch(x, {at}, LANES)"]

    def _event(self) -> Lines:
        """A step at which some lane has an error, or at which weights are to change."""
        layout, plan = self.layout, self.plan
        outputs = layout.outputs
        read = [
            "some = False",
            "for l in range(LANES):",
            "    shown[l] = -1",
            f"    now_flat[{2 * outputs}, l] = f32(0.0)",
            "    if place[l, n, at[l]] == u:",
            "        some = True",
            "        shown[l] = at[l]",
            f"        now_flat[{2 * outputs}, l] = weight[l, n, at[l]]",
            "        touched_now[l] = f32(1.0)",
            f"        for k in range({outputs}):",
            f"            now_flat[{outputs} + k, l] = target[l, n, at[l], k]",
            "        at[l] += 1",
            "if some:",
        ]
        learns = self.rule.learns
        body = readout(layout, plan.head, self.names, self.symbols, learns, plan.grows)
        body += self._if_grows(growth.noted())
        body += [
            "for l in range(LANES):",
            "    if shown[l] >= 0:",
            f"        for k in range({outputs}):",
            "            prediction[l, n, shown[l], k] = now_flat[k, l]",
        ]
        if learns:
            body += [f"for c in range({layout.units}):", "    of_output[c] = zero"]
            body += readout_gradient(layout, self.names, self.symbols, "of_output")
            body += self.rule.at_readout(self.phases)
            if self.back:
                body += [f"for c in range({layout.units}):"]
                body += [f"    told[events * {layout.units} + c] = of_output[c]"]
                body += ["told_at[events] = u", "events += 1"]
            body += ["pending = True"]
            body += ["if every > 0:", "    flush = (u // every + 1) * every - 1"]
            if plan.forced:
                body += self._forced()
        lines = read + indent(body)
        if learns:
            piece = self._change("u // every * every", within=True)
            lines += ["if pending and u == flush:", *indent(piece)]
            lines += ["    pending, flush = False, steps"]
        return lines

    def _forced(self) -> Lines:
        """Teacher forcing: the outputs become their targets, and depend on no weight."""
        first, outputs = self.layout.output_units[0], self.layout.outputs
        return [
            f"for r in range({outputs}):",
            f"    new[{first} + r] = chosen(weighted[0], now[{outputs} + r], new[{first} + r])",
            f"    for p in range({self.layout.of_cell}):",
            f"        m = p * {self.layout.memory[1]} + {first} + r",
            "        carried[m] = chosen(weighted[0], zero, carried[m])",
        ]

    def _change(self, piece: str, within: bool = False) -> Lines:
        """A change of the weights.

        Args:
            piece: The steps before those that it is made of.
            within: Whether it is made within a sequence, at once where `every` is 1.
        """
        decayed = [
            "if decay != 1.0:",
            "    for l in range(LANES):",
            f"        factor_now[l] = decay ** ((passed[l] + {piece}) // decay_steps)",
            "    factor = touched_all[2]",
        ]
        weights = self.layout.of_cell + self.layout.of_head
        changed = change(self.plan.optimizer, weights)
        if within and (few := few_change(self.plan.optimizer, self.layout, self.symbols)):
            changed = ["if every == 1:", *indent(few), "else:", *indent(changed)]
        return [
            *decayed,
            "touched = touched_all[0]",
            *(growth.held(self.layout) if self.plan.grows else []),
            *changed,
            "for l in range(LANES):",
            "    touched_now[l] = f32(0.0)",
        ]

    def _way_back(self) -> Lines:
        layout = self.layout
        kept = self.phases.kept * layout.blocks
        assert isinstance(self.rule, OneStep)
        body = [
            f"zu, ku = u * {layout.width}, u * {kept}",
            "if e >= 0 and told_at[e] == u:",
            f"    for c in range({layout.units}):",
            f"        of_after[c] = of_after[c] + told[e * {layout.units} + c]",
            "    e -= 1",
        ]
        if self.symbols:
            body += self._inputs("u")
        body += self.rule.way_back(self.phases, self.names)
        body += [f"for c in range({layout.memory[1]}):", "    of_after[c] = dold[c]"]
        return [
            f"for c in range({layout.memory[1]}):",
            "    of_after[c] = zero",
            "e = events - 1",
            "if events > 0:",
            "    for u in range(told_at[e], -1, -1):",
            *indent(body, 2),
        ]

    def _end(self) -> Lines:
        """The change after a sequence, a batch of them, or a piece of a stream."""
        if not self.rule.learns:
            return []
        return [
            "if every > 0:",
            "    if pending:",
            *indent(self._change("(t - 1) // every * every"), 2),
            "elif through == STREAM:",
            "    if pending:",
            *indent(self._change("0"), 2),
            "elif (n + 1 + phase) % batch == 0:",
            "    for l in range(LANES):",
            "        touched_now[l] = f32(1.0)",
            *indent(self._change("0")),
            *self._grown(),
        ]

    def _grown(self) -> Lines:
        if not self.plan.grows:
            return []
        return ["if (n + 1 + phase) % batch == 0:", *indent(growth.decided(self.layout))]

    def _carry_on(self) -> Lines:
        first, count = self.layout.memory
        lines = ["for l in range(LANES):", "    passed[l] += steps"]
        lines += [f"for c in range({count}):"]
        source = f"tape[t * {self.layout.width} + {first} + c]" if self.back else f"z[{first} + c]"
        if self.back:
            lines += [f"    z[{first} + c] = {source}"]
            lines += [f"for c in range({count}):"]
        return [*lines, f"    memory[c] = z[{first} + c]"]
