"""Products of a few rows with int8 weights, x W^T, written in LLVM's vectors for Numba to compile.

LANES rows of W are first laid side by side in a strip, which stays in the nearest cache: a lane of
its vectors belongs to a row of W. So one load of weights serves several rows of x, and a block of
32 columns is summed in whole numbers and scaled once for all lanes: out += (scale_x scale_W) sum.
The order of a sum is the same however many rows x has.

The form of x decides how sums are made. As bytes without a sign, x + 128, four products are made
and added by one instruction, VNNI, with four bytes of W in a lane; 128 times the sum of W is taken
away. As int16, a lane has two columns of W as int16, and LLVM makes multiply-add instructions.
"""

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from generation.cpu_tiles import COLUMNS, FLOAT, INT, LONG, Emitter, has_wide_vectors

BLOCK = 32
"""Weights that share a scale."""
LANES = 16
"""Rows of W in a strip."""
WORD = 4
"""Bytes of a lane."""
WORDS = BLOCK // WORD
"""Lanes that a block of a row takes as bytes."""
OFFSET = 128
"""Added to a number that is to have no sign."""
LARGEST, TINY = 127, float(np.finfo(np.float32).tiny)
"""The largest whole number, and the smallest scale: any divides zeros."""
CACHE_LINE = 64
BYTE, SHORT, HALF = ir.IntType(8), ir.IntType(16), ir.HalfType()
VECTOR, BYTES, SHORTS, FLOATS, HALVES = (
    ir.VectorType(kind, LANES * n)
    for kind, n in ((INT, 1), (BYTE, 4), (SHORT, 2), (FLOAT, 1), (HALF, 1))
)


def has_dot_product() -> bool:
    """Whether code is compiled for a processor with VNNI, for the vectors that are used."""
    features = numba.config.CPU_FEATURES
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return ("+avx512vnni" if has_wide_vectors() else "+avxvnni") in features.split(",")


def strip_width(x: types.Array) -> int:
    """int32 numbers of a block of a strip for whole numbers of this type.

    They are vectors of words, one of what sums begin with, and one of scales.
    """
    return LANES * (WORDS * (2 if x.dtype.signed else 1) + 2)


class StripEmitter(Emitter):
    """Writes the instructions of strips: one that is made, or one that is multiplied."""

    def __init__(self, context, builder, kinds, operands):
        """The second of the operands is x, a pair of whole numbers and scales."""
        super().__init__(context, builder, kinds, operands)
        self.signed = kinds[1][0].dtype.signed
        self.words = strip_width(kinds[1][0]) // LANES - 2

    def add_dot(self, total, x, weights):
        """total + the sum of x times weights in each lane; all are (LANES,) int32."""
        if self.signed:
            x, weights = (
                self.builder.sext(self.builder.bitcast(v, SHORTS), ir.VectorType(INT, 2 * LANES))
                for v in (x, weights)
            )
            products = self.builder.mul(x, weights)
            even, odd = (self.lanes(products, range(k, 2 * LANES, 2)) for k in (0, 1))
            return self.builder.add(total, self.builder.add(even, odd))
        width = LANES if has_wide_vectors() else LANES // 2
        name, kind = f"x86.avx512.vpdpbusd.{INT.width * width}", ir.VectorType(INT, width)
        found = [
            self.call(name, kind, *(self.lanes(v, places) for v in (total, x, weights)))
            for places in (range(i, i + width) for i in range(0, LANES, width))
        ]
        return self.lanes(found[0], range(LANES), found[-1])

    def side_by_side(self, rows: list) -> list:
        """LANES rows of a block, (32,) int8, as WORDS vectors: vector i has word i of each row.

        Two rows fill a vector, and WORDS vectors make two squares of words. These are transposed:
        words whose places differ in one bit change places, bit by bit.
        """
        rows = [self.builder.bitcast(row, ir.VectorType(INT, WORDS)) for row in rows]
        vectors = [self.lanes(rows[i], range(LANES), rows[i + WORDS]) for i in range(WORDS)]
        for bit in (1, 2, 4):
            low = [LANES + lane - bit if lane & bit else lane for lane in range(LANES)]
            high = [LANES + lane if lane & bit else lane + bit for lane in range(LANES)]
            for i in (i for i in range(WORDS) if not i & bit):
                a, b = vectors[i], vectors[i + bit]
                vectors[i], vectors[i + bit] = self.lanes(a, low, b), self.lanes(a, high, b)
        return vectors

    def shorts(self, vector) -> list:
        """Lanes of four bytes as two vectors of lanes of two int16, the first bytes and the last.

        A byte becomes the upper half of an int16 and is shifted down with its sign.
        """
        vector, found = self.builder.bitcast(vector, BYTES), []
        for first in (0, 2):
            places = (WORD * lane + first + k for lane in range(LANES) for k in range(2))
            pairs = [p for place in places for p in (WORD * LANES, place)]
            upper = self.lanes(vector, pairs, ir.Constant(BYTES, None))
            upper = self.builder.bitcast(upper, SHORTS)
            shift = ir.Constant(SHORTS, [8] * SHORTS.count)
            found.append(self.builder.bitcast(self.builder.ashr(upper, shift), VECTOR))
        return found

    def make(self, first_row) -> None:
        """Emit a strip of LANES rows of W, from first_row on; the last row fills it up.

        The arrays are the strip, (D/32, `strip_width`) int32, x and its scales, of which only the
        types are used, W (N, D) int8 and its scales (N, D/32), the bits of float16.
        """
        builder = self.builder
        last = builder.sub(cgutils.unpack_tuple(builder, self.arrays[3].shape)[0], LONG(1))
        places = [builder.add(first_row, LONG(i)) for i in range(LANES)]
        places = [builder.select(builder.icmp_signed("<", p, last), p, last) for p in places]
        rows = [self.row(3, place) for place in places]
        scales = [self.row(4, place, HALF) for place in places]
        # Rows lie one behind the other, so those of the next strip are asked for in one walk.
        behind = self.row(3, builder.add(first_row, LONG(LANES)))
        with cgutils.for_range(builder, self.widths[4]) as loop:
            begin = builder.mul(loop.index, LONG(LANES * BLOCK))
            for line in range(0, LANES * BLOCK, CACHE_LINE):
                self.prefetch(builder.gep(behind, [builder.add(begin, LONG(line))]))
            place = builder.mul(loop.index, LONG(BLOCK))
            words = self.side_by_side([self.load(row, place, BYTE, BLOCK) for row in rows])
            begin = zeros = ir.Constant(VECTOR, None)
            if self.signed:
                words = [half for word in words for half in self.shorts(word)]
            else:
                offset = builder.bitcast(ir.Constant(BYTES, [OFFSET] * BYTES.count), VECTOR)
                for word in words:
                    begin = self.add_dot(begin, offset, word)
                begin = builder.sub(zeros, begin)
            factors = ir.Constant(HALVES, ir.Undefined)
            for i, pointer in enumerate(scales):
                scale = builder.load(builder.gep(pointer, [loop.index]), align=2)
                factors = builder.insert_element(factors, scale, INT(i))
            factors = builder.bitcast(builder.fpext(factors, FLOATS), VECTOR)
            block = self.row(0, loop.index)
            for i, vector in enumerate([*words, begin, factors]):
                self.store(vector, block, LONG(i * LANES))

    def multiply(self, first_x, first_row, columns: int) -> None:
        """Emit out = x W^T; the arrays are out (B, N), x (B, D), its scales (B, D/32), a strip."""
        builder = self.builder
        xs, scales = (self.rows(i, first_x, columns) for i in (1, 2))
        sums = self.sums(LANES, columns)
        with cgutils.for_range(builder, self.widths[2]) as loop:
            block, begin = self.row(3, loop.index), builder.mul(loop.index, LONG(BLOCK))
            totals = [self.load(block, LONG(self.words * LANES), INT, LANES)] * columns
            for word in range(self.words):
                weights = self.load(block, LONG(word * LANES), INT, LANES)
                place = builder.add(begin, LONG(word * BLOCK // self.words))
                for column, pointer in enumerate(xs):
                    pointer = builder.bitcast(builder.gep(pointer, [place]), INT.as_pointer())
                    x = self.spread(builder.load(pointer, align=1), LANES)
                    totals[column] = self.add_dot(totals[column], x, weights)
            factors = self.load(block, LONG((self.words + 1) * LANES), INT, LANES)
            factors = builder.bitcast(factors, FLOATS)
            for total, sum_, pointer in zip(totals, sums, scales):
                scale = self.spread(builder.load(builder.gep(pointer, [loop.index])), LANES)
                whole = builder.sitofp(total, FLOATS)
                self.add_product(sum_, whole, builder.fmul(scale, factors))
        left = builder.sub(self.widths[0], first_row)
        for total, pointer in zip(sums, self.rows(0, first_x, columns)):
            self.store_first(builder.load(total), builder.gep(pointer, [first_row]), left)


@intrinsic
def round_blocks(typing_context, whole, scales, x):
    """Write rows of x, (n, 32), as whole numbers from -127 to 127, and their scales, (n, 1).

    Whole numbers without a sign are written plus OFFSET. The largest of a row is found in the bits
    of its numbers, which are in the same order; so the scale of what is no number is none either.
    """

    def generate(context, builder, signature, arguments):
        emit = Emitter(context, builder, signature.args, arguments)
        kind, offset = (SHORT, 0) if whole.dtype.signed else (BYTE, OFFSET)
        floats, numbers, kind = (ir.VectorType(k, BLOCK) for k in (FLOAT, INT, kind))
        n = cgutils.unpack_tuple(builder, emit.arrays[2].shape)[0]
        with cgutils.for_range(builder, n) as loop:
            values = emit.load(emit.row(2, loop.index), LONG(0), FLOAT, BLOCK)
            positive = ir.Constant(numbers, [0x7FFFFFFF] * BLOCK)
            bits = builder.and_(builder.bitcast(values, numbers), positive)
            largest = emit.call(f"vector.reduce.umax.v{BLOCK}i32", INT, bits)
            scale = builder.fdiv(builder.bitcast(largest, FLOAT), FLOAT(LARGEST))
            none = builder.fcmp_ordered("<", scale, FLOAT(TINY))
            scale = builder.select(none, FLOAT(TINY), scale)
            steps = builder.fdiv(values, emit.spread(scale, BLOCK))
            steps = builder.fptosi(emit.call(f"rint.v{BLOCK}f32", floats, steps), numbers)
            steps = builder.add(steps, ir.Constant(numbers, [offset] * BLOCK))
            emit.store(builder.trunc(steps, kind), emit.row(0, loop.index), LONG(0))
            builder.store(scale, emit.row(1, loop.index))
        return context.get_dummy_value()

    return types.void(whole, scales, x), generate


@intrinsic
def make_strip(typing_context, strip, x, weight, first_row):
    """Write LANES rows of a weight, from first_row on, to a strip, in the form for x.

    x and the weight are pairs of whole numbers and scales.
    """

    def generate(context, builder, signature, arguments):
        StripEmitter(context, builder, signature.args[:3], arguments[:3]).make(arguments[3])
        return context.get_dummy_value()

    return types.void(strip, x, weight, first_row), generate


def multiplier(kinds, columns: int):
    """The signature and the code generator of a product with so many rows of x.

    Where registers are few, they are read two at a time.
    """

    def generate(context, builder, signature, arguments):
        step = columns if has_wide_vectors() else min(columns, 2)
        *operands, first_x, first_row = arguments
        emit = StripEmitter(context, builder, signature.args[:3], operands)
        for column in range(0, columns, step):
            emit.multiply(builder.add(first_x, LONG(column)), first_row, step)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@intrinsic
def multiply_strip(typing_context, out, x, strip, first_x, first_row):
    """out = x W^T for COLUMNS rows of x and the rows of W in a strip, which begin at first_row."""
    return multiplier((out, x, strip, first_x, first_row), COLUMNS)


@intrinsic
def multiply_strip_by_one(typing_context, out, x, strip, first_x, first_row):
    """The same for one row of x."""
    return multiplier((out, x, strip, first_x, first_row), 1)
