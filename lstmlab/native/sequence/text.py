"""The text of the two kernels, but for what they do with a block of cells: see `writing`.

A kernel runs over some rows of the batch, from `low` to `high`, and keeps no lock of Python. Sizes
are its arguments, so that one compiled kernel serves layers of every size.
"""

AHEAD = 256  # rows of a block of which the gradient of the weights is summed
STRIDE = AHEAD + 16  # of one of its columns, and no power of 2
HEAD = f"""
import numpy as np
from numba import njit

from lstmlab.native.functions import exp, log, logistic, positive, softplus, tanh
from lstmlab.native.sequence.products import MOST, address, beside, product, wild
from lstmlab.native.simd import (
    above, flush_subnormals, least, magnitude, most, only, restore, spread, vec,
)

f32 = np.float32
LANES = 16
AHEAD, STRIDE = {AHEAD}, {STRIDE}
"""

FORWARD = """
@njit(nogil=True, cache=True, error_model="numpy")
def kernel(
    x, valid, counts, weights, second_weights, elements_, reads, second_reads, of_units,
    source_, second_, keep_, states_, out, low, high, kept, backwards, uniform,
):
    mode = flush_subnormals()
    batch, steps, features = x.shape
    rows, units = high - low, out.shape[2]
    masks, every = valid.size > 0, out.shape[1] > 1
    width, tiles = source_.shape[2], keep_.shape[2] // (SLOTS * LANES)
    inputs = weights.shape[1] - features - 1
    depth, span = weights.shape[1], keep_.shape[2]
    elements = vec(elements_, 16)
    source = vec(source_.reshape(source_.shape[0], batch, width // 16, 16), 16)
    keep = vec(keep_.reshape(keep_.shape[0], batch, span // 16, 16), 16)
    states = vec(states_.reshape(states_.shape[0], batch, tiles * STATES, 16), 16)
    seconds = second_.shape[2]
    source_flat, second_flat = source_.reshape(-1), second_.reshape(-1)
    second = vec(second_.reshape(second_.shape[0], batch, seconds // 16, 16), 16)
    # rarely so, and to look at every step takes time
    parts = tiles * STATES * 16
    watch = (
        HEADS
        or wild(x.reshape(-1), low * steps * features, 0, 1, rows * steps * features)
        or wild(source_flat, low * width, width, rows, inputs)
        or wild(states_.reshape(-1), low * parts, parts, rows, parts)
    )
    for t in range(steps):
        now, then, at = t, t + 1, t
        if not kept:
            now, then, at = t & 1, 1 - (t & 1), 0
        shown = steps - 1 - t if backwards else t
        for b in range(low, high):
            if masks and not valid[b, t]:
                for f in range(features):
                    source_[now, b, inputs + f] = f32(0)
            else:
                for f in range(features):
                    source_[now, b, inputs + f] = x[b, shown, f]
            source_[now, b, inputs + features] = f32(1)
        row, into = (now * batch + low) * width, (at * batch + low) * span
        odd = watch and wild(source_flat, row, width, rows, depth)
        #TWO
        for g in range(tiles):
            if uniform and rows <= 3 and not odd:
                for r in range(rows):
                    beside(
                        COLUMNS, address(source_, row + r * width), 0,
                        address(weights, g * COLUMNS * depth * 16), depth * 16,
                        reads[g, 0], reads[g, 1], inputs, depth,
                        address(keep_, into + r * span + g * SLOTS * 16), 0, 0,
                    )
            elif not TWO:
                for v in range(COLUMNS):
                    j = g * COLUMNS + v
                    product(
                        address(source_, row), width, address(weights, j * depth * 16),
                        reads[j, 0], reads[j, 1], inputs, depth,
                        address(keep_, into + (g * SLOTS + v) * 16), span, rows, 0, odd,
                    )
            for b in range(low, high):
                if masks and not valid[b, t]:
                    #MASKED
                    continue
                #CELL
        if every or t == steps - 1:
            to = t if every else 0
            for b in range(low, high):
                if masks and not counts[b, t]:
                    for u in range(units):
                        out[b, to, u] = f32(0)
                elif CELLS == 1:
                    for u in range(units):
                        out[b, to, u] = source_[then, b, u]
                else:
                    for u in range(units):
                        out[b, to, u] = source_[then, b, of_units[u]]
    restore(mode)
"""

FORWARD_TWO = """        for j in range(COLUMNS * tiles):
            product(
                address(source_, row), width, address(weights, j * depth * 16),
                reads[j, 0], reads[j, 1], inputs, depth,
                address(keep_, into + j * 16), span, rows, 0, odd,
            )
        for g in range(tiles):
            for b in range(low, high):
                #FIRST
        first = (at * batch + low) * seconds
        odd = watch and wild(second_flat, first, seconds, rows, seconds)
        for j in range(CELLS * tiles):
            product(
                address(second_, first), seconds,
                address(second_weights, j * seconds * 16),
                second_reads[j, 0], second_reads[j, 1], 0, 0,
                address(keep_, into + (CANDIDATE * tiles + j) * 16), span, rows, 1, odd,
            )
"""

BACKWARD = '''
@njit(nogil=True, error_model="numpy")
def add_gradient(
    gradient, source, width, depth, delta, delta_width, column, columns, reads, inputs,
    batch, step, count, low, rows, turned, packed,
):
    """gradient += source' delta over `count` rows: those of the batch, of some steps.

    Blocks of rows are laid out anew: those of `source` as columns, and the columns of `delta` one
    behind another. A few columns of `source` stay in the nearest cache while `delta` goes by.
    """
    flat, source_flat = turned.reshape(-1), source.reshape(-1)
    vectors, into = vec(delta.reshape(-1, 16), 16), vec(packed, 16)
    groups, across = (depth + MOST - 1) // MOST, delta_width // 16
    for begin in range(0, count, AHEAD):
        n = min(AHEAD, count - begin)
        for part in range(0, depth, AHEAD):
            end = min(part + AHEAD, depth)
            t, b = step + begin // rows, begin % rows
            for q in range(n):
                at = (t * batch + low + b) * width
                for k in range(part, end):
                    flat[k * STRIDE + q] = source_flat[at + k]
                b += 1
                if b == rows:
                    t, b = t + 1, 0
        t, b = step + begin // rows, begin % rows
        for q in range(n):
            at = (t * batch + low + b) * across + column
            for j in range(columns):
                into[j * (AHEAD + 1) + q] = vectors[at + j]
            b += 1
            if b == rows:
                t, b = t + 1, 0
        for group in range(groups):
            k, end = depth * group // groups, depth * (group + 1) // groups
            for j in range(columns):
                if end > inputs or (k < reads[j, 1] and end > reads[j, 0]):
                    product(
                        address(turned, k * STRIDE), STRIDE,
                        address(packed, j * (AHEAD + 1) * 16), 0, n, 0, 0,
                        address(gradient, (j * depth + k) * 16), 16, end - k, 1, False,
                    )


@njit(nogil=True, cache=True, error_model="numpy")
def kernel(
    valid, counts, weights, second_weights, elements_, reads, second_reads, read_by, second_read_by,
    of_units, source_, second_, keep_, states_, of_out, of_hidden_, of_states_, of_second_,
    delta_, gradient, second_gradient, of_elements_, turned, packed, features, low, high,
):
    mode = flush_subnormals()
    steps, batch, wide = delta_.shape
    rows, units = high - low, of_out.shape[2]
    masks, every = valid.size > 0, of_out.shape[1] > 1
    width, tiles = source_.shape[2], wide // (COLUMNS * LANES)
    hidden, span, seconds = of_hidden_.shape[1], keep_.shape[2], of_second_.shape[1]
    depth = hidden + features + 1
    elements, of_elements = vec(elements_, 16), vec(of_elements_, 16)
    source = vec(source_.reshape(source_.shape[0], batch, width // 16, 16), 16)
    keep = vec(keep_.reshape(steps, batch, span // 16, 16), 16)
    states = vec(states_.reshape(states_.shape[0], batch, tiles * STATES, 16), 16)
    delta = vec(delta_.reshape(steps, batch, wide // 16, 16), 16)
    of_hidden = vec(of_hidden_.reshape(batch, hidden // 16, 16), 16)
    of_states = vec(of_states_.reshape(batch, tiles * STATES, 16), 16)
    of_second = vec(of_second_.reshape(of_second_.shape[0], seconds // 16, 16), 16)
    zero = spread(f32(0), 16)
    delta_flat = delta_.reshape(-1)
    together = max(1, AHEAD // max(rows, 1))
    for now in range(steps - 1, -1, -1):
        if now < steps - 1:
            row = ((now + 1) * batch + low) * wide
            odd = HEADS and wild(delta_flat, row, wide, rows, wide)
            for h in range(hidden // 16):
                product(
                    address(delta_, row), wide,
                    address(weights, h * wide * 16), read_by[h, 0], read_by[h, 1], 0, 0,
                    address(of_hidden_, low * hidden + h * 16), hidden, rows, 1, odd,
                )
        if every or now == steps - 1:
            at = now if every else 0
            for b in range(low, high):
                if masks and not counts[b, now]:
                    continue
                if CELLS == 1:
                    for u in range(units):
                        of_hidden_[b, u] += of_out[b, at, u]
                else:
                    for u in range(units):
                        of_hidden_[b, of_units[u]] += of_out[b, at, u]
        #TWO
        for g in range(tiles):
            for b in range(low, high):
                if masks and not valid[b, now]:
                    #MASKED
                    continue
                #CELL
        if now % together == 0:
            count = min(together, steps - now) * rows
            add_gradient(
                gradient, source_, width, depth, delta_, wide, 0, COLUMNS * tiles, reads,
                hidden, batch, now, count, low, rows, turned, packed,
            )
            if TWO:
                add_gradient(
                    second_gradient, second_, seconds, seconds, delta_, wide, CANDIDATE * tiles,
                    CELLS * tiles, second_reads, seconds, batch, now, count, low, rows,
                    turned, packed,
                )
    odd = HEADS and wild(delta_flat, low * wide, wide, rows, wide)
    for h in range(hidden // 16):
        product(
            address(delta_, low * wide), wide, address(weights, h * wide * 16),
            read_by[h, 0], read_by[h, 1], 0, 0,
            address(of_hidden_, low * hidden + h * 16), hidden, rows, 1, odd,
        )
    restore(mode)
'''

BACKWARD_TWO = """        for g in range(tiles):
            for b in range(low, high):
                if masks and not valid[b, now]:
                    #MASKED
                    continue
                #FIRST
        row = (now * batch + low) * wide + CANDIDATE * tiles * 16
        odd = HEADS and wild(delta_flat, row, wide, rows, CELLS * tiles * 16)
        for h in range(seconds // 16):
            product(
                address(delta_, row), wide,
                address(second_weights, h * CELLS * tiles * 256),
                second_read_by[h, 0], second_read_by[h, 1], 0, 0,
                address(of_second_, low * seconds + h * 16), seconds, rows, 0, odd,
            )
"""
