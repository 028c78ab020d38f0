"""Tiles of the products of a few rows, x W^T, written in LLVM's vectors for Numba to compile.

A tile reads ROWS rows of W once for up to COLUMNS rows of x and keeps their sums in registers.
LLVM would choose the order of a sum anew for each loop; here a sum has the same lanes in the same
order in every tile, so a text's logits do not depend, in any bit, on how many texts are read
beside it. The vectors are LLVM's own and no processor's: it compiles them for AVX-512, AVX2 or any
other.
"""

import functools

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS = 4
"""Rows of W in a tile, and rows of x that it reads at a time."""
BLOCK = 32
"""Weights that share a scale in int8."""
BYTE, SHORT, INT, LONG = map(ir.IntType, (8, 16, 32, 64))
FLOAT, HALF = ir.FloatType(), ir.HalfType()


@functools.cache
def use_wide_vectors() -> None:
    """Let Numba use all of a 512-bit vector register; by itself LLVM halves them on AVX-512."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f") and numba.config.CPU_FEATURES is None:
        numba.config.CPU_NAME = llvmlite.binding.get_host_cpu_name()
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


def has_wide_vectors() -> bool:
    """Whether code is compiled for 32 registers of 512 bits, and not for 16 of 256."""
    return "+avx512f" in (numba.config.CPU_FEATURES or "")


class Emitter:
    """Writes the instructions of one tile: the parts that float32 and int8 share."""

    def __init__(self, context, builder, kinds, arguments):
        """`arguments` are out, x and W, arrays or pairs of them, and the first rows of x and W."""
        self.builder = builder
        self.first_x, self.first_row = arguments[-2:]
        operands = []
        for kind, value in zip(kinds[:3], arguments):
            if isinstance(kind, types.Array):
                operands.append((kind, value))
            else:
                parts = cgutils.unpack_tuple(builder, value)
                operands += zip(kind, parts)
        self.arrays = [context.make_array(kind)(context, builder, a) for kind, a in operands]
        self.widths = [cgutils.unpack_tuple(builder, array.shape)[1] for array in self.arrays]

    def rows(self, index: int, first, n: int, element=None) -> list:
        """Pointers to the beginning of `n` rows of an array, from row `first`."""
        data = self.arrays[index].data
        data = data if element is None else self.builder.bitcast(data, element.as_pointer())
        places = [self.builder.add(first, LONG(row)) for row in range(n)]
        return [self.builder.gep(data, [self.builder.mul(p, self.widths[index])]) for p in places]

    def load(self, pointer, place, element, lanes: int):
        """A vector from `place` on; only an element's own alignment is relied on."""
        pointer = self.builder.gep(pointer, [place])
        pointer = self.builder.bitcast(pointer, ir.VectorType(element, lanes).as_pointer())
        return self.builder.load(pointer, align=element.width // 8 if element != FLOAT else 4)

    def sums(self, lanes: int, n: int) -> list:
        """`n` vectors of zeros that live in registers."""
        zeros = ir.Constant(ir.VectorType(FLOAT, lanes), [0.0] * lanes)
        return [cgutils.alloca_once_value(self.builder, zeros) for _ in range(n)]

    def add_product(self, total, a, b) -> None:
        """total += a b, fused where the processor can."""
        kind = ir.FunctionType(a.type, [a.type] * 3)
        name = f"llvm.fmuladd.v{a.type.count}f32"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        self.builder.store(self.builder.call(function, [a, b, self.builder.load(total)]), total)

    def lanes(self, vector, places, other=None):
        """The lanes at `places` of a vector, or of two, one behind the other."""
        mask = ir.Constant(ir.VectorType(INT, len(places)), list(places))
        other = ir.Constant(vector.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(vector, other, mask)

    def spread(self, number, lanes: int):
        """A vector of equal lanes."""
        nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        return self.lanes(self.builder.insert_element(nothing, number, INT(0)), [0] * lanes)

    def write(self, sums: list, columns: int) -> None:
        """Write the lanes of each sum, added up, to the first array.

        The upper half of the lanes is added to the lower one until one is left, in two vectors at
        once as long as there are two: the halves of both fill one again.
        """
        vectors = [self.builder.load(total) for total in sums]
        width = vectors[0].type.count
        while width > 1:
            half, pairs = width // 2, list(zip(vectors[::2], vectors[1::2]))
            pairs = pairs or [(vectors[0], vectors[0])]
            n = vectors[0].type.count * (2 if len(vectors) > 1 else 1)
            low = [i for i in range(n) if i % width < half]
            high = [i for i in range(n) if i % width >= half]
            vectors = [
                self.builder.fadd(self.lanes(a, low, b), self.lanes(a, high, b)) for a, b in pairs
            ]
            width = half
        found = [(v, lane) for v in vectors for lane in range(v.type.count)]
        pointers, rows = self.rows(0, self.first_x, columns), len(sums) // columns
        for i, (vector, lane) in enumerate(found):
            column, row = divmod(i, rows)
            place = self.builder.gep(
                pointers[column], [self.builder.add(self.first_row, LONG(row))]
            )
            self.builder.store(self.builder.extract_element(vector, INT(lane)), place)


def float_sums(emit: Emitter, rows: int, columns: int) -> None:
    """Emit out = x W^T of a tile; the arrays are out (B, N), x (B, D) and W (N, D).

    D is cut into vectors; what is left of it fills a last one up with zeros.
    """
    builder, lanes = emit.builder, 16 if has_wide_vectors() else 8
    xs, weights = emit.rows(1, emit.first_x, columns), emit.rows(2, emit.first_row, rows)
    sums = emit.sums(lanes, rows * columns)
    dim = emit.widths[1]

    def add(load) -> None:
        values = [load(pointer) for pointer in weights]
        for column, pointer in enumerate(xs):
            x = load(pointer)
            for row, value in enumerate(values):
                emit.add_product(sums[column * rows + row], x, value)

    with cgutils.for_range(builder, builder.udiv(dim, LONG(lanes))) as loop:
        place = builder.mul(loop.index, LONG(lanes))
        add(lambda pointer: emit.load(pointer, place, FLOAT, lanes))
    left = builder.urem(dim, LONG(lanes))
    with builder.if_then(builder.icmp_unsigned("!=", left, LONG(0)), likely=False):
        vector, numbers = ir.VectorType(FLOAT, lanes), ir.VectorType(LONG, lanes)
        counted = ir.Constant(numbers, list(range(lanes)))
        mask = builder.icmp_unsigned("<", counted, emit.spread(left, lanes))
        kind = ir.FunctionType(vector, [vector.as_pointer(), INT, mask.type, vector])
        name = f"llvm.masked.load.v{lanes}f32.p0"
        masked = cgutils.get_or_insert_function(builder.module, kind, name)
        place, zeros = builder.sub(dim, left), ir.Constant(vector, [0.0] * lanes)

        def load_left(pointer):
            pointer = builder.bitcast(builder.gep(pointer, [place]), vector.as_pointer())
            return builder.call(masked, [pointer, INT(4), mask, zeros])

        add(load_left)
    emit.write(sums, columns)


def int8_sums(emit: Emitter, rows: int, columns: int) -> None:
    """Emit the same of int8: out (B, N), x (B, D) int16, its scales (B, D/32), W (N, D) int8, its
    scales (N, D/32), the bits of float16.

    A block of 32 has 16 whole sums of two products each, exact in int32; LLVM makes multiply-add
    instructions of them. They are scaled once a block: out += (scale_x scale_W) sum. The scales are
    spread over the lanes before they are multiplied where that is less work, after it for one x.
    """
    builder, pairs = emit.builder, BLOCK // 2
    xs, x_scales = (emit.rows(i, emit.first_x, columns) for i in (1, 2))
    weights = emit.rows(3, emit.first_row, rows)
    scales = emit.rows(4, emit.first_row, rows, HALF)
    sums, wide = emit.sums(pairs, rows * columns), ir.VectorType(INT, BLOCK)
    with cgutils.for_range(builder, emit.widths[4]) as loop:
        place = builder.mul(loop.index, LONG(BLOCK))
        values = [builder.sext(emit.load(p, place, BYTE, BLOCK), wide) for p in weights]
        halves = [builder.load(builder.gep(p, [loop.index]), align=2) for p in scales]
        factors = [builder.fpext(half, FLOAT) for half in halves]
        if columns > 1:
            factors = [emit.spread(factor, pairs) for factor in factors]
        for column in range(columns):
            x = builder.sext(emit.load(xs[column], place, SHORT, BLOCK), wide)
            x_factor = builder.load(builder.gep(x_scales[column], [loop.index]))
            if columns > 1:
                x_factor = emit.spread(x_factor, pairs)
            for row, value in enumerate(values):
                products = builder.mul(value, x)
                even, odd = (emit.lanes(products, range(k, BLOCK, 2)) for k in (0, 1))
                whole = builder.sitofp(builder.add(even, odd), ir.VectorType(FLOAT, pairs))
                factor = builder.fmul(x_factor, factors[row])
                if columns == 1:
                    factor = emit.spread(factor, pairs)
                emit.add_product(sums[column * rows + row], whole, factor)
    emit.write(sums, columns)


def generator(kinds, rows: int, columns: int):
    """The signature and the code generator of a tile for arguments of these Numba types.

    Where registers are few, its columns are read two at a time.
    """
    emit_sums = float_sums if isinstance(kinds[2], types.Array) else int8_sums

    def generate(context, builder, signature, arguments):
        step = columns if has_wide_vectors() else min(columns, 2)
        *operands, first_x, first_row = arguments
        for column in range(0, columns, step):
            begin = builder.add(first_x, LONG(column))
            emit = Emitter(context, builder, signature.args, [*operands, begin, first_row])
            emit_sums(emit, rows, step)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@intrinsic
def tile(typing_context, out, x, weight, first_x, first_row):
    """out = x W^T for ROWS rows of x and of W.

    x and the weight are arrays of float32, or of int8 each a pair with its scales.
    """
    return generator((out, x, weight, first_x, first_row), ROWS, ROWS)


@intrinsic
def tile_of_one(typing_context, out, x, weight, first_x, first_row):
    """The same for one row of x and ROWS of W."""
    return generator((out, x, weight, first_x, first_row), ROWS, 1)


@intrinsic
def dot(typing_context, out, x, weight, first_x, first_row):
    """The same for one row of x and one of W."""
    return generator((out, x, weight, first_x, first_row), 1, 1)


@intrinsic
def prefetch(typing_context, array, row, column):
    """Ask the memory for array[row, column] and its cache line, without waiting for it."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        values = context.make_array(kind)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, kind, values, arguments[1:])
        byte = BYTE.as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, INT, INT, INT]),
            "llvm.prefetch.p0",
        )
        # To read, into the nearest cache, data.
        builder.call(function, [builder.bitcast(pointer, byte), INT(0), INT(3), INT(1)])
        return context.get_dummy_value()

    return types.void(array, row, column), generate
