"""Operands of products rounded to bfloat16: the upper half of a float32, ties to even.

A kernel that multiplies in bfloat16 first rounds its operands, its first inputs, each once, into an
output that nobody looks at, which leaves that memory to MindSpore's pool. What it sums and gives is
float32, and so are the weights themselves.
"""

import numpy as np

from model.native.calls import (
    COUNT,
    FLOAT,
    HALF,
    KERNEL,
    PARTS,
    address,
    extent,
    flag,
    float_bits,
    halves,
    launch,
    number_pointer,
    share,
)
from model.native.rows import fast

BEFORE_LAST, ROUNDED = 8, 16
"""Flags: the copies are the last but one output; the second times the number of operands."""
PADDING = 32
"""A rounded operand begins at a multiple of so many numbers: a cache line."""
UPPER, LAST, JUST_BELOW = np.uint32(16), np.uint32(1), np.uint32(0x7FFF)
ABSOLUTE, INFINITY, NAN = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000), np.uint16(0x7FC0)


def padded(size: int) -> int:
    """The memory of a rounded operand, in bfloat16 numbers."""
    return -(-size // PADDING) * PADDING


_padded = fast(padded)


@fast
def round_bits(y, x):
    """y, bits of bfloat16 <- x, bits of float32."""
    for j in range(y.size):
        bits = x[j]
        rounded = np.uint16((bits + JUST_BELOW + ((bits >> UPPER) & LAST)) >> UPPER)
        y[j] = NAN if bits & ABSOLUTE > INFINITY else rounded


@fast
def rounded_operands(context):
    """How many operands are rounded; 0: products are in float32."""
    return flag(context) // ROUNDED


@fast
def width(context):
    """Bytes of a number of an operand."""
    return HALF if rounded_operands(context) else FLOAT


@fast
def operand(context, i):
    """Where operand i begins: the input, or the rounded copy."""
    if not rounded_operands(context):
        return address(context, i)
    before = (flag(context) & BEFORE_LAST) // BEFORE_LAST
    place = address(context, context[COUNT] - 1 - before)
    for j in range(i):
        place += HALF * _padded(extent(context, j, 0) * extent(context, j, 1))
    return place


def round_operands(context, part, parts):
    """A part of each operand."""
    for i in range(rounded_operands(context)):
        size = extent(context, i, 0) * extent(context, i, 1)
        begin, end = share(size, part, parts)
        rounded = halves(operand(context, i), size)
        round_bits(rounded[begin:end], float_bits(address(context, i), size)[begin:end])


def round_first(context):
    """Driver of the stages `round_operands` and the product."""
    parts = number_pointer(context[KERNEL])[PARTS]
    launch(context, 0, parts)
    launch(context, 1, parts)
