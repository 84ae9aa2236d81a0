"""Write the source of a kernel: many trials, one in each lane, over a number of sequences.

`kernel` puts the parts together. What a learner does is in `rules`; the sums, the blocks and the
readout, which all share, are here. All sizes are literals in the text, so that the compiler knows
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lstmlab.native.layout import Group, Layout, Segment

LANES = 16
Lines = list[str]


def indent(lines: Iterable[str], by: int = 1) -> Lines:
    return ["    " * by + line for line in lines]


class Names(NamedTuple):
    """How a kernel writes what its rows read: the beginnings of index expressions."""

    z: str = "z["  # the columns
    output: str = "new["  # the memory after the step, whose first entries are the outputs
    keep: str = "keep["  # see `phases`


def place(segment: Segment, r: str = "r", c: str = "c", before: int = 0) -> str:
    """The number of column c of a segment, as row r reads it, less `before`."""
    text = f"{segment.start - before} + {c}"
    if segment.step:
        row = r if segment.per == 1 else f"({r} // {segment.per})"
        text += f" + {row} * {segment.step}"
    return text


def column(segment: Segment, names: Names, r: str = "r", c: str = "c") -> str:
    """Column c of a segment, as row r reads it."""
    if segment.part == "output":  # the readout sees the output of this step
        return f"{names.output}{c}]"
    return f"{names.z}{place(segment, r, c)}]"


def each(group: Group, names: Names, symbols: bool, r: str = "r") -> Iterable[tuple]:
    """(segment, its place in a row, how column c of it is written) for the parts of a row r.

    A segment of inputs that are symbols has no columns: the last is None.
    """
    offset = 0
    for segment in group.segments:
        text = None
        if not (symbols and segment.part == "inputs"):
            text = column(segment, names, r)
        yield segment, offset, text
        offset += segment.length


def sums(group: Group, names: Names, symbols: bool, into: str = "net") -> Lines:
    """net_a = sum_c row_a[c] z[c] for all rows of a group: (1)."""
    lines = [f"for r in range({group.size}):"]
    body = [f"w = {group.base} + r * {group.width}", "a = zero"]
    for segment, offset, text in each(group, names, symbols):
        if text is None:
            body.append(f"a = a + gather(theta_flat, w + {offset}, sym, LANES)")
        else:
            body.append(f"for c in range({segment.length}):")
            body.append(f"    a = a + theta[w + {offset} + c] * {text}")
    body.append(f"{into}[{group.net} + r] = a")
    return lines + indent(body)


def products(group: Group, names: Names, symbols: bool, factor: str) -> Lines:
    """gradient of row_a += factor[a] z for all rows of a group."""
    lines = [f"for r in range({group.size}):"]
    body = [f"w = {group.base} + r * {group.width}", f"d = {factor}[{group.net} + r]"]
    for segment, offset, text in each(group, names, symbols):
        if text is None:
            body.append(f"add_at(grad_flat, w + {offset}, sym, d)")
        else:
            body.append(f"for c in range({segment.length}):")
            body.append(f"    grad[w + {offset} + c] += d * {text}")
    return lines + indent(body)


def passed_back(
    layout: Layout, group: Group, parts: Iterable[str], factor: str, into: str
) -> Lines:
    """into[column] += sum_a row_a[c] factor[a], for the columns of these parts.

    `into` has no columns for the inputs.
    """
    body = []
    offset = 0
    for segment in group.segments:
        if segment.part in parts:
            at = f"{into}[{place(segment, before=layout.features)}]"
            body.append(f"for c in range({segment.length}):")
            body.append(f"    {at} = {at} + theta[w + {offset} + c] * d")
        offset += segment.length
    if not body:
        return []
    head = [f"w = {group.base} + r * {group.width}", f"d = {factor}[{group.net} + r]"]
    return [f"for r in range({group.size}):", *indent(head + body)]


# ---- the readout

ACTIVATED = {
    "linear": ("a", None),
    "sigmoid": ("logistic(a)", "p * (f32(1.0) - p)"),
    "tanh": ("tanh(a)", "f32(1.0) - p * p"),
    "g1997": ("f32(2.0) * tanh(f32(0.5) * a)", "f32(1.0) - f32(0.25) * p * p"),
    "h1997": ("tanh(f32(0.5) * a)", "f32(0.5) * (f32(1.0) - p * p)"),
}


class Readout(NamedTuple):
    """What a head computes: its activation by name, its loss, whether it has a prime offset."""

    activation: str
    loss: str
    offset: bool


def readout(
    layout: Layout,
    head: Readout,
    names: Names,
    symbols: bool,
    learns: bool,
    errs: bool = False,
) -> Lines:
    """The predictions now[k] of this step, and what they are told: delta[k] = dE/dnet_k.

    now: [predictions, targets], [2 K, L]; weighted: the weight of the error in each lane. `errs`:
    `error` is E before it is weighted, as Head.error has it; for a head with weights.
    """
    outputs = layout.outputs
    lines: Lines = ["error = zero"] if errs else []
    if layout.head is None:
        first = layout.output_units[0]
        lines += [f"for r in range({outputs}):", f"    now[r] = {names.output}{first} + r]"]
        if learns:
            lines.append(f"    delta[r] = weighted[0] * (now[r] - now[{outputs} + r])")
        return lines
    lines += sums(layout.head._replace(net=0), names, symbols, "now")
    if head.activation == "softmax":
        lines += ["most_now = now[0]", f"for r in range(1, {outputs}):"]
        lines += ["    most_now = most(most_now, now[r])", "total = zero"]
        lines += [f"for r in range({outputs}):", "    a = now[r] - most_now", "    p = exp(a)"]
        lines += ["    now[r] = p", "    total = total + p"]
        if errs:
            lines.append(f"    error = error - now[{outputs} + r] * a")
        lines += ["log_total = log(total)"] if errs else []
        lines += [f"for r in range({outputs}):", "    p = now[r] / total", "    now[r] = p"]
        if errs:
            lines.append(f"    error = error + now[{outputs} + r] * log_total")
        # targets are distributions: Keras, too, has this slope for all others
        told = f"p - now[{outputs} + r]"
    else:
        text, slope = ACTIVATED[head.activation]
        lines += [f"for r in range({outputs}):", "    a = now[r]", f"    p = {text}"]
        lines += ["    now[r] = p"]
        if errs:
            lines.append(f"    error = error + {_error(head, outputs)}")
        told = f"(p - now[{outputs} + r])"
        if head.loss == "squared" and slope is not None:
            told += f" * ({slope} + prime_offset)" if head.offset else f" * ({slope})"
    if learns:
        lines.append(f"    delta[r] = weighted[0] * ({told})")
    return lines


def _error(head: Readout, outputs: int) -> str:
    """The error of output p = f(a), softmax apart: from a, since p may be 0 or 1 by rounding."""
    y = f"now[{outputs} + r]"
    crossentropy = f"(softplus(a) - a * {y})"
    if head.loss != "squared":
        return crossentropy
    squared = f"f32(0.5) * (p - {y}) * (p - {y})"
    return f"{squared} + prime_offset * {crossentropy}" if head.offset else squared


def readout_gradient(layout: Layout, names: Names, symbols: bool, of_output: str) -> Lines:
    """The gradient of the readout's weights from delta; of_output[u] += dE/dy_u."""
    if layout.head is None:
        first = layout.output_units[0]
        return [f"for r in range({layout.outputs}):", f"    {of_output}[{first} + r] += delta[r]"]
    head = layout.head._replace(net=0)
    lines = products(head, names, symbols, "delta")
    lines += [f"for r in range({head.size}):", f"    w = {head.base} + r * {head.width}"]
    lines += ["    d = delta[r]", f"    for c in range({layout.units}):"]
    lines += [f"        {of_output}[c] += theta[w + c] * d"]
    return lines


# ---- the change of the weights

OPTIMIZERS = {
    # name: (numbers per weight that it keeps, the lines that change theta[p] by g)
    "none": (0, []),
    "sgd": (0, ["theta[p] = theta[p] - touched * (rate * g)"]),
    "momentum": (
        1,
        [
            "m = touched * (momentum * slots[p] - rate * g) + (one - touched) * slots[p]",
            "slots[p] = m",
            "theta[p] = theta[p] + touched * m",
        ],
    ),
    "nesterov": (
        1,
        [
            "m = touched * (momentum * slots[p] - rate * g) + (one - touched) * slots[p]",
            "slots[p] = m",
            "theta[p] = theta[p] + touched * (momentum * m - rate * g)",
        ],
    ),
    "rmsprop": (
        2,
        [
            "v = slots[p] + touched * ((one - momentum) * (g * g - slots[p]))",
            "slots[p] = v",
            "old, moved = slots[WEIGHTS + p], rate * g / sqrt(v + epsilon)",
            "m = touched * (second * old + moved) + (one - touched) * old",
            "slots[WEIGHTS + p] = m",
            "theta[p] = theta[p] - touched * m",
        ],
    ),
    "adam": (
        2,
        [
            "m = slots[p] + touched * ((g - slots[p]) * (one - momentum))",
            "v = slots[WEIGHTS + p] + touched * ((g * g - slots[WEIGHTS + p]) * (one - second))",
            "slots[p] = m",
            "slots[WEIGHTS + p] = v",
            "theta[p] = theta[p] - touched * (alpha * m / (sqrt(v) + epsilon))",
        ],
    ),
}


def change(optimizer: str, weights: int) -> Lines:
    """Change all weights by grad, in the lanes that were touched, and forget grad."""
    if optimizer == "none":
        return []
    lines: Lines = []
    if optimizer == "adam":
        # the powers of the two decay rates, by the number of changes so far in each lane
        lines += ["powers[0] = powers[0] * (one - touched + touched * momentum)"]
        lines += ["powers[1] = powers[1] * (one - touched + touched * second)"]
        lines += ["alpha = rate * sqrt(one - powers[1]) / (one - powers[0] + (one - touched))"]
    lines += [f"for p in range({weights}):", "    g = grad[p] * factor"]
    lines += ["    grad[p] = zero", *indent(OPTIMIZERS[optimizer][1])]
    return lines


def few_change(optimizer: str, layout: Layout, symbols: bool) -> Lines:
    """`change` after a single step, where that does less; [] where it would do as much.

    By plain gradient descent a weight without a gradient stays, and after one step those of a
    shortcut have none whose symbol was not shown.
    """
    head = layout.head
    inputs = [] if head is None else [part for part in head.segments if part.part == "inputs"]
    if optimizer != "sgd" or not symbols or head is None or not inputs:
        return []
    dense = ["g = grad[p] * factor", "grad[p] = zero", *OPTIMIZERS[optimizer][1]]
    body = [f"w = {head.base} + r * {head.width}"]
    offset = 0
    for segment in head.segments:
        if segment.part == "inputs":
            at = f"w + {offset}, sym"
            body += [f"g = gather(grad_flat, {at}, LANES)"]
            body += [f"add_at(grad_flat, {at}, zero - g)"]
            body += [f"add_at(theta_flat, {at}, zero - touched * (rate * (g * factor)))"]
        else:
            body += [f"for p in range(w + {offset}, w + {offset + segment.length}):"]
            body += indent(dense)
        offset += segment.length
    return [
        f"for p in range({layout.of_cell}):",
        *indent(dense),
        f"for r in range({head.size}):",
        *indent(body),
    ]
