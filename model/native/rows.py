"""Arithmetic on one row of numbers, written so that LLVM turns it into vector instructions.

Each function walks arrays from 0 on: a loop whose first index might be negative stays scalar. Sums
may be reordered; NaN and infinity keep their meaning, so no assumption is made that there are none.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from model.native.calls import FLOAT, ONE, ZERO, floats
from model.native.vectors import floor, larger, power_of_two, smaller

FAST = {"reassoc", "contract", "nsz", "arcp"}
fast = njit(fastmath=FAST, error_model="numpy")
HALF = np.float32(0.5)
LOG2E = np.float32(1.4426950408889634)
# ln 2 in two parts, so that n ln 2 is exact in the first.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# exp(r) = 1 + r + r^2 p(r) for |r| <= ln 2 / 2: the minimax polynomial of Cephes (S. Moshier).
P0, P1, P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
P3, P4, P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
LOWEST, HIGHEST = np.float32(-87.3), np.float32(88.0)


@intrinsic
def float_of_bits(typing_context, bits):
    """The float32 that the bits of an int32 are."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@fast
def exp(x):
    """e^x = 2^n e^r with n = round(x / ln 2), to two units in the last place; a number or a vector.

    Below -87.3 it is 1e-38, above 88 it is 2e38; a NaN stays one.
    """
    x = smaller(HIGHEST, larger(LOWEST, x))
    n = floor(x * LOG2E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    return (p * r * r + r + ONE) * power_of_two(n)


@intrinsic
def rank(typing_context, x):
    """An int32 that orders as the float32 x does; the largest integers are those of NaN."""

    def generate(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], ir.IntType(32))
        sign = builder.ashr(bits, ir.Constant(ir.IntType(32), 31))
        return builder.xor(bits, builder.and_(sign, ir.Constant(ir.IntType(32), 0x7FFFFFFF)))

    return types.int32(types.float32), generate


@fast
def largest(x):
    """The largest of x, by its rank: without assumptions on NaN LLVM reorders only integers."""
    m = rank(x[0])
    for j in range(x.size):
        m = max(m, rank(x[j]))
    return float_of_bits(m) if m >= 0 else float_of_bits(m ^ np.int32(0x7FFFFFFF))


@fast
def exp_in_place(x, m):
    """x <- exp(x - m); returns the sum."""
    total = ZERO
    for j in range(x.size):
        e = exp(x[j] - m)
        x[j] = e
        total += e
    return total


@fast
def dot(a, b):
    """sum_j a_j b_j."""
    total = ZERO
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@fast
def square_sum(x):
    """sum_j x_j^2."""
    total = ZERO
    for j in range(x.size):
        total += x[j] * x[j]
    return total


@fast
def scale(x, factor):
    """x <- factor x."""
    for j in range(x.size):
        x[j] *= factor


@fast
def scale_into(y, x, factor):
    """y <- factor x."""
    for j in range(y.size):
        y[j] = x[j] * factor


@fast
def add_scaled(y, x, factor):
    """y <- y + factor x."""
    for j in range(y.size):
        y[j] += x[j] * factor


@fast
def add(x, y):
    """x <- x + y."""
    for j in range(x.size):
        x[j] += y[j]


@fast
def fill(x, value):
    """x <- value."""
    for j in range(x.size):
        x[j] = value


@fast
def copy(x, y):
    """x <- y."""
    for j in range(x.size):
        x[j] = y[j]


@fast
def copy_rows(out, out_step, x, x_step, rows, size):
    """Copy rows of `size` numbers from one address to another; steps in numbers."""
    for t in range(rows):
        copy(floats(out + FLOAT * t * out_step, size), floats(x + FLOAT * t * x_step, size))
