"""Vec: a fixed number of float32 values, one per lane, as a type that Numba compiles to SIMD code.

In a compiled function, `vec(a, L)` views a float32 array whose last axis holds L lanes as an array
of vectors. + - * / act on two vectors, and on a vector and a number. `spread` makes a vector of one
number, `stack` an array of vectors in fast memory, and `gather` a vector of L numbers that lie
elsewhere.

No index is checked. Check shapes before a kernel is entered (see lstmlab.native.engine).
"""

import operator
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed, lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array, populate_array

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
# Products and sums may be fused; nothing is reordered, and a trial that explodes shows NaN.
FLAGS = ("contract",)
# Two bits of the control register of x86: subnormal results, and operands, are taken as 0.
FLUSH = 0x8040 if platform.machine() in ("x86_64", "AMD64") else 0


class Vec(types.Type):
    """The Numba type of a vector of float32 lanes."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__(name=f"float32x{lanes}")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vec):
        super().__init__(manager, kind, ir.VectorType(FLOAT, kind.lanes))


def _widened(context: Any, builder: Any, value: Any, kind: Any, lanes: int) -> Any:
    """A number in every lane; a vector as it is."""
    if isinstance(kind, Vec):
        return value
    number = context.cast(builder, value, kind, types.float32)
    empty = ir.Constant(ir.VectorType(FLOAT, lanes), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(INT32, 0))
    everywhere = ir.Constant(ir.VectorType(INT32, lanes), None)
    return builder.shuffle_vector(first, empty, everywhere)


def _result(a: Any, b: Any) -> Vec | None:
    """The type of an operation on a and b, or None if it is none of ours."""
    number = (types.Integer, types.Float)
    if isinstance(a, Vec) and (a == b or isinstance(b, number)):
        return a
    if isinstance(b, Vec) and isinstance(a, number):
        return b
    return None


def _define(function: Callable, emit: Callable) -> None:
    """Let a Python operator or function act on vectors; emit(builder, x, y) writes its code.

    Straight at Numba's tables: an `overload` would be compiled for every pair of types.
    """

    @infer_global(function)
    class _Typed(AbstractTemplate):
        metadata = {"target": "cpu"}  # tried before Numba's own, which are for any target

        def generic(self, args: tuple, kws: dict) -> Any:
            result = _result(*args) if len(args) == 2 and not kws else None
            return None if result is None else signature(result, *args)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = zip(arguments, signature.args, strict=True)
        lanes = signature.return_type.lanes
        x, y = (_widened(context, builder, value, kind, lanes) for value, kind in kinds)
        return emit(builder, x, y)

    for kinds in ((Vec, Vec), (Vec, types.Number), (types.Number, Vec)):
        lower_builtin(function, *kinds)(code)


def least(a: Any, b: Any) -> Any:
    """The smaller one in each lane; NaN if the first is NaN."""
    raise NotImplementedError("for compiled functions")


def most(a: Any, b: Any) -> Any:
    """The larger one in each lane; NaN if the first is NaN."""
    raise NotImplementedError("for compiled functions")


def above(a: Any, b: Any) -> Any:
    """1 in each lane where a > b, else 0."""
    raise NotImplementedError("for compiled functions")


def only(mask: Any, x: Any) -> Any:
    """x in each lane where the mask is not 0, else 0, also where x is infinite or NaN."""
    raise NotImplementedError("for compiled functions")


def _only(builder: Any, mask: Any, x: Any) -> Any:
    zero = ir.Constant(x.type, [0.0] * x.type.count)
    return builder.select(builder.fcmp_unordered("!=", mask, zero), x, zero)


def _above(builder: Any, x: Any, y: Any) -> Any:
    return builder.uitofp(builder.fcmp_ordered(">", x, y), x.type)


_define(operator.add, lambda builder, x, y: builder.fadd(x, y, flags=FLAGS))
_define(operator.sub, lambda builder, x, y: builder.fsub(x, y, flags=FLAGS))
_define(operator.mul, lambda builder, x, y: builder.fmul(x, y, flags=FLAGS))
_define(operator.truediv, lambda builder, x, y: builder.fdiv(x, y, flags=FLAGS))
_define(operator.iadd, lambda builder, x, y: builder.fadd(x, y, flags=FLAGS))
_define(operator.isub, lambda builder, x, y: builder.fsub(x, y, flags=FLAGS))
_define(operator.imul, lambda builder, x, y: builder.fmul(x, y, flags=FLAGS))
_define(least, lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), y, x))
_define(most, lambda builder, x, y: builder.select(builder.fcmp_ordered("<", x, y), y, x))
_define(above, _above)
_define(only, _only)


def _of_llvm(name: str, what: str) -> Callable:
    """A function of one vector that LLVM has under this name."""

    def function(typing: Any, x: Any) -> Any:
        if not isinstance(x, Vec):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = arguments[0].type
            called = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind]), f"llvm.{name}.v{x.lanes}f32"
            )
            return builder.call(called, arguments)

        return x(x), code

    function.__doc__ = what
    return intrinsic(function)


sqrt = _of_llvm("sqrt", "The square root in each lane.")
rounded = _of_llvm("rint", "The nearest whole number in each lane, the even one of two.")
magnitude = _of_llvm("fabs", "The magnitude in each lane.")


@intrinsic
def scaled(typing: Any, x: Any, power: Any) -> Any:
    """x * 2^power in each lane; power a vector of whole numbers from -126 to 127."""
    if not isinstance(x, Vec) or x != power:
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, exponent = arguments
        whole = builder.fptosi(exponent, ir.VectorType(INT32, x.lanes))
        bias = ir.Constant(whole.type, [127] * x.lanes)
        place = ir.Constant(whole.type, [23] * x.lanes)
        factor = builder.bitcast(builder.shl(builder.add(whole, bias), place), value.type)
        return builder.fmul(value, factor)

    return x(x, power), code


@intrinsic
def chosen(typing: Any, mask: Any, one: Any, other: Any) -> Any:
    """The number of `one` in each lane where mask is not 0, else that of `other`."""
    if not isinstance(mask, Vec) or mask != one or mask != other:
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(arguments[0].type, [0.0] * mask.lanes)
        return builder.select(builder.fcmp_unordered("!=", arguments[0], zero), *arguments[1:])

    return mask(mask, one, other), code


@intrinsic
def exponent(typing: Any, x: Any) -> Any:
    """The whole number p of x = m 2^p with m from 1 to 2, in each lane; x positive and normal."""
    if not isinstance(x, Vec):
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.VectorType(INT32, x.lanes)
        bits = builder.lshr(
            builder.bitcast(arguments[0], whole), ir.Constant(whole, [23] * x.lanes)
        )
        power = builder.sub(bits, ir.Constant(whole, [127] * x.lanes))
        return builder.sitofp(power, arguments[0].type)

    return x(x), code


@intrinsic
def mantissa(typing: Any, x: Any) -> Any:
    """The number m of x = m 2^p with m from 1 to 2, in each lane; x positive and normal."""
    if not isinstance(x, Vec):
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.VectorType(INT32, x.lanes)
        bits = builder.and_(
            builder.bitcast(arguments[0], whole), ir.Constant(whole, [0x007FFFFF] * x.lanes)
        )
        bits = builder.or_(bits, ir.Constant(whole, [0x3F800000] * x.lanes))
        return builder.bitcast(bits, arguments[0].type)

    return x(x), code


@intrinsic(prefer_literal=True)
def spread(typing: Any, x: Any, lanes: Any) -> Any:
    """The number x in every lane."""
    kind = Vec(lanes.literal_value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _widened(context, builder, arguments[0], signature.args[0], kind.lanes)

    return kind(x, lanes), code


@intrinsic(prefer_literal=True)
def vec(typing: Any, array: Any, lanes: Any) -> Any:
    """View a C-contiguous float32 array [..., L] as an array [...] of vectors."""
    count = lanes.literal_value
    kind = types.Array(Vec(count), array.ndim - 1, "C", aligned=False)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = make_array(array)(context, builder, arguments[0])
        view = make_array(kind)(context, builder)
        populate_array(
            view,
            data=builder.bitcast(source.data, view.data.type),
            shape=cgutils.unpack_tuple(builder, source.shape)[:-1],
            strides=cgutils.unpack_tuple(builder, source.strides)[:-1],
            itemsize=ir.Constant(INT64, 4 * count),
            meminfo=source.meminfo,
            parent=None,
        )
        return impl_ret_borrowed(context, builder, kind, view._getvalue())

    return kind(array, lanes), code


@intrinsic(prefer_literal=True)
def stack(typing: Any, size: Any, lanes: Any) -> Any:
    """An array of `size` vectors on the stack, for as long as the function runs."""
    kind = types.Array(Vec(lanes.literal_value), 1, "C", aligned=False)
    count = size.literal_value

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = cgutils.alloca_once(builder, ir.VectorType(FLOAT, kind.dtype.lanes), size=count)
        data.align = 64
        made = make_array(kind)(context, builder)
        width = ir.Constant(INT64, 4 * kind.dtype.lanes)
        shape = [ir.Constant(INT64, count)]
        populate_array(
            made, data=data, shape=shape, strides=[width], itemsize=width, meminfo=None, parent=None
        )
        return made._getvalue()

    return kind(size, lanes), code


@intrinsic(prefer_literal=True)
def fetch(typing: Any, addresses: Any, offset: Any, lanes: Any) -> Any:
    """The float32 number `offset` places behind the address of each lane; int64 [L]."""
    kind = Vec(lanes.literal_value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(addresses)(context, builder, arguments[0]).data
        place = context.cast(builder, arguments[1], offset, types.int64)
        found = ir.Constant(ir.VectorType(FLOAT, kind.lanes), ir.Undefined)
        for lane in range(kind.lanes):
            address = builder.load(builder.gep(data, [ir.Constant(INT64, lane)]))
            pointer = builder.inttoptr(address, FLOAT.as_pointer())
            number = builder.load(builder.gep(pointer, [place]), align=4)
            found = builder.insert_element(found, number, ir.Constant(INT32, lane))
        return found

    return kind(addresses, offset, lanes), code


@intrinsic(prefer_literal=True)
def gather(typing: Any, array: Any, row: Any, more: Any, lanes: Any) -> Any:
    """array[row + more[l], l] in each lane l, of a float32 array [., L] and int64 more [L]."""
    kind = Vec(lanes.literal_value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(array)(context, builder, arguments[0]).data
        steps = make_array(more)(context, builder, arguments[2]).data
        first = context.cast(builder, arguments[1], row, types.int64)
        found = ir.Constant(ir.VectorType(FLOAT, kind.lanes), ir.Undefined)
        for lane in range(kind.lanes):
            place = _lane_of(builder, steps, first, lane, kind.lanes)
            number = builder.load(builder.gep(data, [place]), align=4)
            found = builder.insert_element(found, number, ir.Constant(INT32, lane))
        return found

    return kind(array, row, more, lanes), code


@intrinsic(prefer_literal=True)
def add_at(typing: Any, array: Any, row: Any, more: Any, value: Any) -> Any:
    """Add the vector `value` to what `gather` reads."""
    lanes = value.lanes

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(array)(context, builder, arguments[0]).data
        steps = make_array(more)(context, builder, arguments[2]).data
        first = context.cast(builder, arguments[1], row, types.int64)
        for lane in range(lanes):
            place = builder.gep(data, [_lane_of(builder, steps, first, lane, lanes)])
            added = builder.extract_element(arguments[3], ir.Constant(INT32, lane))
            builder.store(builder.fadd(builder.load(place, align=4), added), place, align=4)
        return context.get_dummy_value()

    return types.none(array, row, more, value), code


def _lane_of(builder: Any, steps: Any, first: Any, lane: int, lanes: int) -> Any:
    step = builder.load(builder.gep(steps, [ir.Constant(INT64, lane)]))
    row = builder.mul(builder.add(first, step), ir.Constant(INT64, lanes))
    return builder.add(row, ir.Constant(INT64, lane))


@intrinsic
def flush_subnormals(typing: Any) -> Any:
    """Take numbers below 1.2e-38 as 0 from here on; what `restore` needs, int32.

    A trace that a forget gate above 1/2 shrinks ends at such numbers and stays there, and x86
    computes with them more slowly. Other processors are left as they are.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not FLUSH:
            return ir.Constant(INT32, 0)
        place = cgutils.alloca_once(builder, INT32)
        _control(builder, "st", place)
        before = builder.load(place)
        builder.store(builder.or_(before, ir.Constant(INT32, FLUSH)), place)
        _control(builder, "ld", place)
        return before

    return types.int32(), code


@intrinsic
def restore(typing: Any, before: Any) -> Any:
    """Undo `flush_subnormals`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if FLUSH:
            place = cgutils.alloca_once(builder, INT32)
            builder.store(arguments[0], place)
            _control(builder, "ld", place)
        return context.get_dummy_value()

    return types.none(types.int32), code


def _control(builder: Any, which: str, place: Any) -> None:
    """Store ('st') the control register of vectors, or load it ('ld')."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    name = f"llvm.x86.sse.{which}mxcsr"
    called = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.call(called, [builder.bitcast(place, byte)])
