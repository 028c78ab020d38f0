"""Vectors of LANES float32 numbers as values of compiled code, for loops over short rows.

What LLVM makes of a loop over a row first asks whether the arrays overlap, then takes several
vectors at a time, and the rest by another loop: of a row of some vectors, that is most of the time.
A `Vector` is loaded from an address, has +, - and *, with numbers too, and is stored. Every
processor has registers for it: one or two or four.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, overload, register_model

from model.native.calls import FLOAT

LANES = 16
VECTOR = ir.VectorType(ir.FloatType(), LANES)
WHOLE = ir.VectorType(ir.IntType(32), LANES)
EXPONENT_BIAS, MANTISSA_BITS = 127, 23


class Vector(types.Type):
    """The type of LANES float32 numbers."""

    def __init__(self):
        super().__init__(name=f"{LANES} x float32")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is held as LLVM's."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


vector = Vector()


def spread_number(builder, number, kind=VECTOR):
    """LLVM's vector of one number."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(WHOLE, [0] * LANES))


def llvm_function(builder, name: str, result, *kinds):
    """LLVM's own function of this name."""
    return get_or_insert_function(builder.module, ir.FunctionType(result, kinds), name)


@intrinsic
def load(typing_context, place):
    """The vector at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], VECTOR.as_pointer()), align=FLOAT)

    return vector(types.int64), generate


@intrinsic
def store(typing_context, place, x):
    """Write a vector to an address."""

    def generate(context, builder, signature, arguments):
        target = builder.inttoptr(arguments[0], VECTOR.as_pointer())
        builder.store(arguments[1], target, align=FLOAT)
        return context.get_dummy_value()

    return types.void(types.int64, vector), generate


@intrinsic
def spread(typing_context, number):
    """The vector of one number."""

    def generate(context, builder, signature, arguments):
        return spread_number(builder, arguments[0])

    return vector(types.float32), generate


def _arithmetic(symbol, instruction: str) -> None:
    """Give vectors an operator, with each other and with numbers."""

    @intrinsic
    def operate(typing_context, x, y):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments)

        return vector(vector, vector), generate

    @overload(symbol, inline="always")
    def of_vectors(x, y):
        if x == vector and y == vector:
            return lambda x, y: operate(x, y)
        if x == vector and y == types.float32:
            return lambda x, y: operate(x, spread(y))
        if x == types.float32 and y == vector:
            return lambda x, y: operate(spread(x), y)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _chooser(sign: str):
    """An intrinsic of numbers or vectors: x where `x sign y`, else y."""

    @intrinsic
    def choose(typing_context, x, y):
        def generate(context, builder, signature, arguments):
            x, y = (
                spread_number(builder, number) if kind != number.type else number
                for number in arguments
            )
            return builder.select(builder.fcmp_ordered(sign, x, y), x, y)

        kind = VECTOR if vector in (x, y) else ir.FloatType()
        return (vector if vector in (x, y) else x)(x, y), generate

    return choose


# Of NaN and y they take y; of x and NaN, NaN.
larger, smaller = _chooser(">"), _chooser("<")


@intrinsic
def floor(typing_context, x):
    """The largest whole number that is not above x, a number or a vector."""

    def generate(context, builder, signature, arguments):
        kind = arguments[0].type
        suffix = f"v{LANES}f32" if kind == VECTOR else "f32"
        return builder.call(llvm_function(builder, f"llvm.floor.{suffix}", kind, kind), arguments)

    return x(x), generate


@intrinsic
def power_of_two(typing_context, n):
    """2^n for whole numbers n from -126 to 127 as float32: a number or a vector."""

    def generate(context, builder, signature, arguments):
        kind = arguments[0].type
        whole, lanes = (WHOLE, LANES) if kind == VECTOR else (ir.IntType(32), None)
        bias, bits = (
            ir.Constant(whole, [number] * lanes if lanes else number)
            for number in (EXPONENT_BIAS, MANTISSA_BITS)
        )
        exponent = builder.add(builder.fptosi(arguments[0], whole), bias)
        return builder.bitcast(builder.shl(exponent, bits), kind)

    return n(n), generate


@intrinsic
def within(typing_context, x, low, high, other):
    """A vector's lanes from `low` to `high` - 1; in all others is another number."""

    def generate(context, builder, signature, arguments):
        x, low, high, other = arguments
        lanes = ir.Constant(WHOLE, list(range(LANES)))
        low, high = (
            spread_number(builder, builder.trunc(bound, ir.IntType(32)), WHOLE)
            for bound in (low, high)
        )
        inside = builder.and_(
            builder.icmp_signed(">=", lanes, low), builder.icmp_signed("<", lanes, high)
        )
        return builder.select(inside, x, spread_number(builder, other))

    return vector(vector, types.int64, types.int64, types.float32), generate


@intrinsic
def lanes_sum(typing_context, x):
    """The sum of a vector's lanes, in any order."""

    def generate(context, builder, signature, arguments):
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = llvm_function(builder, name, ir.FloatType(), ir.FloatType(), VECTOR)
        zero = ir.Constant(ir.FloatType(), 0.0)
        return builder.call(function, [zero, arguments[0]], fastmath=["reassoc"])

    return types.float32(vector), generate


@intrinsic
def lanes_largest(typing_context, x):
    """The largest of a vector's lanes; NaN may count or not."""

    def generate(context, builder, signature, arguments):
        x, undefined = arguments[0], ir.Constant(VECTOR, ir.Undefined)
        width = LANES // 2
        while width > 0:
            # Lane i and lane i + width, at half the width in each round.
            turned = ir.Constant(WHOLE, [(i + width) % LANES for i in range(LANES)])
            other = builder.shuffle_vector(x, undefined, turned)
            x = builder.select(builder.fcmp_ordered(">", x, other), x, other)
            width //= 2
        return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))

    return types.float32(vector), generate
