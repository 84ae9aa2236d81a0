"""Products of matrices in register tiles: a few rows by 16 columns.

    c[r] = keep c[r] + sum_k x[r, k] w[k]

where w[k] and c[r] are vectors of 16 lanes and k runs over two ranges. Arrays are given by
addresses (see `address`) and steps, in numbers, from one row to the next. Nothing is checked.

A weight that is not there is -0.0. It adds nothing, unless x is infinite or NaN: 0 inf = NaN. Where
`wild` finds such numbers, `product` is asked to leave these weights out, which takes longer.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from lstmlab.native.simd import FLAGS, FLOAT, INT32, INT64

LANES = 16
VECTOR = ir.VectorType(FLOAT, LANES)
# Rows of a tile at most: with AVX-512 there are 32 registers of 16 lanes, else 16 of 8.
MOST = 12 if llvm.get_host_cpu_features().get("avx512f") else 6

NAMES = ["x", "x_step", "w", "w_step", "begin", "end", "begin2", "end2", "c", "c_step", "keep"]


@intrinsic
def address(typing: Any, array: Any, at: Any) -> Any:
    """The address of number `at` of a float32 array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(array)(context, builder, arguments[0]).data
        place = context.cast(builder, arguments[1], at, types.int64)
        return builder.ptrtoint(builder.gep(data, [place]), INT64)

    return types.int64(array, at), code


@intrinsic
def tile(
    typing: Any, rows: Any, x: Any, x_step: Any, w: Any, w_step: Any, begin: Any, end: Any,
    begin2: Any, end2: Any, c: Any, c_step: Any, keep: Any,
) -> Any:  # fmt: skip
    """The product for 1 to MOST rows, one vector wide. The function around it is not inlined."""
    kinds = (rows, x, x_step, w, w_step, begin, end, begin2, end2, c, c_step, keep)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # else every product in a kernel would be compiled by itself
        builder.function.attributes.add("noinline")
        count, *given = _whole(context, builder, arguments, kinds)
        after = builder.append_basic_block("after")
        switch = builder.switch(count, after)
        for n in range(1, MOST + 1):
            block = builder.append_basic_block(f"rows{n}")
            switch.add_case(ir.Constant(INT64, n), block)
            builder.position_at_end(block)
            _multiply(builder, n, 1, dict(zip(NAMES, given, strict=True)))
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.none(*kinds), code


@intrinsic(prefer_literal=True)
def beside(
    typing: Any, columns: Any, x: Any, x_step: Any, w: Any, w_step: Any, begin: Any, end: Any,
    begin2: Any, end2: Any, c: Any, c_step: Any, keep: Any,
) -> Any:  # fmt: skip
    """The product for one row, a literal number of vectors wide: their sums do not wait."""
    kinds = (columns, x, x_step, w, w_step, begin, end, begin2, end2, c, c_step, keep)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = _whole(context, builder, arguments[1:], kinds[1:])
        _multiply(builder, 1, columns.literal_value, dict(zip(NAMES, given, strict=True)))
        return context.get_dummy_value()

    return types.none(*kinds), code


@intrinsic
def careful(
    typing: Any, x: Any, w: Any, begin: Any, end: Any, begin2: Any, end2: Any, c: Any, keep: Any
) -> Any:
    """The product for one row, one vector wide, without the weights that are not there."""
    kinds = (x, w, begin, end, begin2, end2, c, keep)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        x, w, *ranges, c, keep = _whole(context, builder, arguments, kinds)
        given = [x, _int(0), w, _int(0), *ranges, c, _int(0), keep]
        _multiply(builder, 1, 1, dict(zip(NAMES, given, strict=True)), leave_out=True)
        return context.get_dummy_value()

    return types.none(*kinds), code


@intrinsic
def _odd(typing: Any, array: Any, at: Any) -> Any:
    """1 if one of the 16 numbers of a float32 array from `at` on is infinite or NaN, else 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(array)(context, builder, arguments[0]).data
        place = builder.gep(data, [context.cast(builder, arguments[1], at, types.int64)])
        numbers = builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4)
        nothing = builder.fsub(numbers, numbers)
        odd = builder.bitcast(builder.fcmp_unordered("uno", nothing, nothing), ir.IntType(LANES))
        return builder.zext(builder.icmp_unsigned("!=", odd, ir.Constant(odd.type, 0)), INT64)

    return types.int64(array, at), code


@njit
def wild(array, at, step, rows, count):  # type: ignore[no-untyped-def]
    """Whether some of `count` numbers in some of the rows are infinite or NaN."""
    found, whole = 0, count // LANES * LANES
    for _ in range(rows):
        for k in range(0, whole, LANES):
            found |= _odd(array, at + k)  # type: ignore[call-arg]
        for k in range(whole, count):
            found |= 0 if array[at + k] - array[at + k] == 0 else 1
        at += step
    return found != 0


@njit
def product(x, x_step, w, begin, end, begin2, end2, c, c_step, rows, keep, leave_out):  # type: ignore[no-untyped-def]
    """The product for any number of rows, one vector wide; leave_out: where x may be wild."""
    if leave_out:
        for _ in range(rows):
            careful(x, w, begin, end, begin2, end2, c, keep)  # type: ignore[call-arg]
            x += 4 * x_step
            c += 4 * c_step
        return
    groups = (rows + MOST - 1) // MOST
    for group in range(groups):
        n = (rows + groups - group - 1) // (groups - group)
        tile(n, x, x_step, w, 0, begin, end, begin2, end2, c, c_step, keep)  # type: ignore[call-arg]
        rows -= n
        x += 4 * n * x_step
        c += 4 * n * c_step


def _whole(context: Any, builder: Any, arguments: Any, kinds: Any) -> list:
    pairs = zip(arguments, kinds, strict=True)
    return [context.cast(builder, value, kind, types.int64) for value, kind in pairs]


def _multiply(
    builder: Any, rows: int, columns: int, n: dict[str, Any], leave_out: bool = False
) -> None:
    """Write the product of `rows` rows of x and `columns` vectors of w; n: what NAMES are.

    leave_out: whether weights of -0.0 are left out.
    """
    grid = [(r, v) for r in range(rows) for v in range(columns)]

    def vector(base: Any, numbers: Any, vectors: int = 0) -> Any:
        at = builder.add(builder.mul(numbers, _int(4)), _int(4 * LANES * vectors))
        return builder.inttoptr(builder.add(base, at), VECTOR.as_pointer())

    into = [vector(n["c"], builder.mul(n["c_step"], _int(r)), v) for r, v in grid]
    of_row = [
        builder.inttoptr(
            builder.add(n["x"], builder.mul(n["x_step"], _int(4 * r))), FLOAT.as_pointer()
        )
        for r in range(rows)
    ]
    of_column = [
        builder.bitcast(vector(n["w"], builder.mul(n["w_step"], _int(v))), VECTOR.as_pointer())
        for v in range(columns)
    ]
    sums = [cgutils.alloca_once(builder, VECTOR) for _ in grid]
    with builder.if_else(builder.icmp_signed("!=", n["keep"], _int(0))) as (then, otherwise):
        with then:
            for total, place in zip(sums, into, strict=True):
                builder.store(builder.load(place, align=4), total)
        with otherwise:
            for total in sums:
                builder.store(ir.Constant(VECTOR, [0.0] * LANES), total)
    whole = ir.VectorType(INT32, LANES)
    none = ir.Constant(whole, [-(2**31)] * LANES)  # the bits of -0.0
    for begin, end in (("begin", "end"), ("begin2", "end2")):
        with cgutils.for_range_slice(builder, n[begin], n[end], _int(1), INT64) as (k, _):
            weights = [builder.load(builder.gep(one, [k]), align=4) for one in of_column]
            numbers = [builder.load(builder.gep(row, [k]), align=4) for row in of_row]
            spread = [_everywhere(builder, number) for number in numbers]
            for total, (r, v) in zip(sums, grid, strict=True):
                before = builder.load(total)
                product = builder.fmul(spread[r], weights[v], flags=FLAGS)
                after = builder.fadd(before, product, flags=FLAGS)
                if leave_out:
                    bits = builder.bitcast(weights[v], whole)
                    after = builder.select(builder.icmp_signed("==", bits, none), before, after)
                builder.store(after, total)
    for total, place in zip(sums, into, strict=True):
        builder.store(builder.load(total), place, align=4)


def _int(number: int) -> Any:
    return ir.Constant(INT64, number)


def _everywhere(builder: Any, number: Any) -> Any:
    empty = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(INT32, LANES), None))
