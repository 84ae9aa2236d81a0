"""What one network does in a step; its last h steps are run again with the present weights.

Inputs are kept as lists of those that are not 0: of symbols there is one. No index is checked.
"""

from typing import Any

import numpy as np
from numba import njit

from lstmlab.native.functions import logistic, tanh
from lstmlab.native.simd import vec
from lstmlab.native.writing import LANES

f32 = np.float32
# Functions of a kernel only. Counting references to every array of a network would take three
# quarters of the time, and doors for Python to every function most of that of compiling.
ALONE = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = njit(**ALONE)  # type: ignore[call-overload]  # options that Numba does not list
LINEAR, LOGISTIC, TANH, G1997, H1997 = range(5)  # see parts.KINDS


@inner
def forget(net: Any) -> None:
    """Forget all steps."""
    net.hidden[:] = f32(0.0)
    net.taken[0] = 0


@inner
def see(net: Any, x: Any, codes: Any, t: int) -> None:
    """Give the network its next input, x_t of inputs x [T, F] or of symbols [T]."""
    if len(codes):
        show_symbol(net, codes[t])
    else:
        show(net, x, t)


@inner
def show(net: Any, rows: Any, t: int) -> None:
    """Give the network rows[t] [F] as its next input."""
    _go_on(net)
    last, many = len(net.many) - 1, 0
    for f in range(rows.shape[1]):
        if rows[t, f] != 0:
            net.lines[last, many], net.value[last, many] = f, rows[t, f]
            many += 1
    net.many[last] = many


@inner
def show_symbol(net: Any, code: int) -> None:
    """Give the network the input of which the line `code` is 1."""
    _go_on(net)
    last = len(net.many) - 1
    net.lines[last, 0], net.value[last, 0], net.many[last] = code, f32(1.0), 1


@inner
def _go_on(net: Any) -> None:
    """The oldest step, if there are h, is over: what came of it is the state before the others."""
    last = len(net.many) - 1
    for n in range(net.hidden.shape[1]):
        net.hidden[0, n] = net.hidden[1, n]
    for i in range(last):
        net.many[i] = net.many[i + 1]
        for j in range(net.many[i]):
            net.lines[i, j], net.value[i, j] = net.lines[i + 1, j], net.value[i + 1, j]
    net.taken[0] = min(net.taken[0] + 1, last + 1)


@inner
def run(net: Any) -> None:
    """Run the last steps with the present weights."""
    steps = len(net.many)
    for i in range(steps - net.taken[0], steps):
        _sum(net.cell.now, net, i, i, net.hidden, i + 1)
        _squash(net.cell.kind, net.hidden, i + 1)


@inner
def read(net: Any, head: Any) -> None:
    """Let a readout answer to the last step."""
    steps = len(net.many)
    _sum(head.now, net, steps - 1, steps, head.output, 0)
    _squash(head.kind, head.output, 0)


@inner
def look(net: Any) -> None:
    """Run the last steps, and answer to the last of them."""
    run(net)
    read(net, net.head)


@inner
def ask(head: Any, first: int, y: Any, row: int, count: int, weight: Any) -> None:
    """Ask outputs, from `first` on, for y[row, :count]: slopes of weight/2 |y - o|^2."""
    for k in range(count):
        o = head.output[0, first + k]
        head.slopes[0, first + k] = weight * (o - y[row, k]) * _slope(head.kind, o)


@inner
def ask_network(net: Any, y: Any, row: int, weight: Any) -> None:
    """Ask a network for y[row], and take the error back to the cells of the last step."""
    ask(net.head, 0, y, row, y.shape[1], weight)
    net.error[:] = f32(0.0)
    hear(net, net.head)


@inner
def hear(net: Any, head: Any) -> None:
    """Add the error of a readout, taken back to the cells of the last step."""
    for j in range(net.error.shape[1]):
        net.error[0, j] += _dot(head.now.from_cells, j, head.slopes, 0)


@inner
def _go_back(net: Any) -> None:
    steps, units = len(net.many), net.error.shape[1]
    for i in range(steps - 1, steps - 1 - net.taken[0], -1):
        for j in range(units):
            net.slopes[i, j] = net.error[0, j] * _slope(net.cell.kind, net.hidden[i + 1, j])
        for j in range(units):
            net.error[0, j] = _dot(net.cell.now.from_cells, j, net.slopes, i)


@inner
def change(net: Any, rate: Any) -> None:
    """Take the error back through the last steps, and change the weights of cell and head."""
    _go_back(net)
    steps = len(net.many)
    for i in range(steps - net.taken[0], steps):
        _descend(net.cell.into, net, i, i, net.slopes, i, rate)
    change_head(net, net.head, rate)


@inner
def change_head(net: Any, head: Any, rate: Any) -> None:
    """Change the weights of a readout by what `ask` has found."""
    steps = len(net.many)
    _descend(head.into, net, steps - 1, steps, head.slopes, 0, rate)


@inner
def is_off(head: Any, y: Any, row: int, threshold: Any) -> bool:
    """Whether some output is off y[row] by more than the threshold."""
    many = 0
    for k in range(y.shape[1]):
        if abs(y[row, k] - head.output[0, k]) > threshold:
            many += 1
    return many > 0


@inner
def is_sure(head: Any, low: Any, high: Any) -> bool:
    """Whether no output lies between the two."""
    many = 0
    for k in range(head.slopes.shape[1]):
        if head.output[0, k] <= low or head.output[0, k] >= high:
            many += 1
    return many == head.slopes.shape[1]


@inner
def answer(head: Any, prediction: Any, row: int) -> None:
    for k in range(prediction.shape[1]):
        prediction[row, k] = head.output[0, k]


@inner
def slow_down(velocity: Any, momentum: Any) -> None:
    for k in range(len(velocity)):
        velocity[k] *= momentum


@inner
def move(theta: Any, velocity: Any) -> None:
    for k in range(len(velocity)):
        theta[k] += velocity[k]


# ---- sums


@inner
def _sum(of: Any, net: Any, step: int, before: int, into: Any, row: int) -> None:
    """W x + R y + b, into[row]: x of a step, y in hidden[before]."""
    # taken out of their tuples once: each time costs as much as ten sums
    from_inputs, from_cells, bias = of
    lines, value, hidden = net.lines, net.value, net.hidden
    for k in range(into.shape[1]):
        into[row, k] = f32(0.0)
    if len(from_inputs):
        for j in range(net.many[step]):
            _add(into, row, from_inputs, lines[step, j], value[step, j])
    for j in range(len(from_cells)):
        _add(into, row, from_cells, j, hidden[before, j])
    if len(bias):
        _add(into, row, bias, 0, f32(1.0))


@inner
def _descend(into: Any, net: Any, step: int, before: int, slopes: Any, row: int, rate: Any) -> None:
    """Subtract rate times the gradient of sums whose slopes are slopes[row]."""
    from_inputs, from_cells, bias = into
    lines, value, hidden = net.lines, net.value, net.hidden
    if len(from_inputs):
        for j in range(net.many[step]):
            _add(from_inputs, lines[step, j], slopes, row, -rate * value[step, j])
    for j in range(len(from_cells)):
        _add(from_cells, j, slopes, row, -rate * hidden[before, j])
    if len(bias):
        _add(bias, 0, slopes, row, -rate)


@inner
def _add(into: Any, i: int, rows: Any, j: int, factor: Any) -> None:
    for k in range(min(into.shape[1], rows.shape[1])):
        into[i, k] += factor * rows[j, k]


@njit(fastmath={"reassoc", "contract"}, **ALONE)  # type: ignore[call-overload]
def _dot(one: Any, i: int, other: Any, j: int) -> Any:
    total = f32(0.0)
    for k in range(one.shape[1]):
        total += one[i, k] * other[j, k]
    return total


# ---- activations


@inner
def _squash(kind: int, sums: Any, row: int) -> None:
    """Put the activation in place of the sums of a row."""
    vectors: Any = vec(sums.reshape(-1, LANES), LANES)  # type: ignore[call-arg]
    count = sums.shape[1] // LANES
    for k in range(row * count, (row + 1) * count):
        if kind == LOGISTIC:
            vectors[k] = logistic(vectors[k])
        elif kind == TANH:
            vectors[k] = tanh(vectors[k])
        elif kind == G1997:
            vectors[k] = f32(2.0) * tanh(f32(0.5) * vectors[k])
        elif kind == H1997:
            vectors[k] = tanh(f32(0.5) * vectors[k])


@inner
def _slope(kind: int, y: Any) -> Any:
    """The derivative of the activation where its value is y."""
    one = f32(1.0)
    if kind == LOGISTIC:
        return y * (one - y)
    if kind == TANH:
        return (one - y) * (one + y)
    if kind == G1997:
        return one - f32(0.25) * y * y
    if kind == H1997:
        return f32(0.5) * (one - y) * (one + y)
    return one
