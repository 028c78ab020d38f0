"""Tiles of the products of a few rows, x W^T, written in LLVM's vectors for Numba to compile.

A tile reads ROWS rows of W once for up to COLUMNS rows of x and keeps their sums in registers.
LLVM would choose the order of a sum anew for each loop; here a sum has the same lanes in the same
order in every tile, so a text's logits do not depend, in any bit, on how many texts are read
beside it. The vectors are LLVM's own and no processor's: it compiles them for AVX-512, AVX2 or any
other.
"""

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS, COLUMNS = 4, 4
"""Rows of W, and rows of x, in a tile."""
AHEAD = 1024
"""Floats of W between those that are used and those that are asked for."""
INT, LONG = ir.IntType(32), ir.IntType(64)
FLOAT = ir.FloatType()


def has_wide_vectors() -> bool:
    """Whether code is compiled for 32 registers of 512 bits, and not for 16 of 256."""
    return "+avx512f" in (numba.config.CPU_FEATURES or "")


def vector_lanes() -> int:
    """Floats in a vector register."""
    return 16 if has_wide_vectors() else 8


class Emitter:
    """Writes the instructions of a tile: the parts that float32 and int8 share."""

    def __init__(self, context, builder, kinds, operands):
        """`operands` are arrays, or pairs of them, of these Numba types; the first is written."""
        self.builder, flat = builder, []
        for kind, value in zip(kinds, operands):
            if isinstance(kind, types.Array):
                flat.append((kind, value))
            else:
                flat += zip(kind, cgutils.unpack_tuple(builder, value))
        self.arrays = [context.make_array(kind)(context, builder, a) for kind, a in flat]
        self.widths = [cgutils.unpack_tuple(builder, array.shape)[1] for array in self.arrays]

    def row(self, index: int, place, element=None):
        """A pointer to the beginning of a row of an array."""
        data = self.arrays[index].data
        data = data if element is None else self.builder.bitcast(data, element.as_pointer())
        return self.builder.gep(data, [self.builder.mul(place, self.widths[index])])

    def rows(self, index: int, first, n: int) -> list:
        """Pointers to the beginning of `n` rows of an array, from row `first`."""
        return [self.row(index, self.builder.add(first, LONG(row))) for row in range(n)]

    def load(self, pointer, place, element, lanes: int):
        """A vector from `place` on; only an element's own alignment is relied on."""
        pointer = self.builder.gep(pointer, [place])
        pointer = self.builder.bitcast(pointer, ir.VectorType(element, lanes).as_pointer())
        return self.builder.load(pointer, align=element.width // 8 if element != FLOAT else 4)

    def store(self, vector, pointer, place) -> None:
        """Write a vector to numbers from `place` on."""
        pointer = self.builder.bitcast(self.builder.gep(pointer, [place]), vector.type.as_pointer())
        self.builder.store(vector, pointer, align=4)

    def first_lanes(self, n, lanes: int):
        """A mask of the first n lanes, of all if n is not less."""
        counted = ir.Constant(ir.VectorType(LONG, lanes), list(range(lanes)))
        return self.builder.icmp_unsigned("<", counted, self.spread(n, lanes))

    def load_first(self, pointer, n, lanes: int):
        """A vector whose first n lanes are floats from `pointer` on; the others are 0."""
        kind, mask = ir.VectorType(FLOAT, lanes), self.first_lanes(n, lanes)
        pointer = self.builder.bitcast(pointer, kind.as_pointer())
        zeros = ir.Constant(kind, [0.0] * lanes)
        return self.call(f"masked.load.v{lanes}f32.p0", kind, pointer, INT(4), mask, zeros)

    def store_first(self, vector, pointer, n) -> None:
        """Write the first n lanes of a vector of floats, or all if it has no more."""
        lanes, nothing = vector.type.count, ir.VoidType()
        pointer = self.builder.bitcast(pointer, vector.type.as_pointer())
        mask = self.first_lanes(n, lanes)
        self.call(f"masked.store.v{lanes}f32.p0", nothing, vector, pointer, INT(4), mask)

    def prefetch(self, pointer) -> None:
        """Ask the memory for a cache line, to be read, into the nearest cache; do not wait."""
        self.call("prefetch.p0", ir.VoidType(), pointer, INT(0), INT(3), INT(1))

    def call(self, name: str, result, *arguments):
        """Call one of LLVM's own functions."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.builder.call(function, arguments)

    def sums(self, lanes: int, n: int) -> list:
        """`n` vectors of zeros that live in registers."""
        zeros = ir.Constant(ir.VectorType(FLOAT, lanes), [0.0] * lanes)
        return [cgutils.alloca_once_value(self.builder, zeros) for _ in range(n)]

    def add_product(self, total, a, b) -> None:
        """total += a b, fused where the processor can."""
        added = self.call(f"fmuladd.v{a.type.count}f32", a.type, a, b, self.builder.load(total))
        self.builder.store(added, total)

    def lanes(self, vector, places, other=None):
        """The lanes at `places` of a vector, or of two, one behind the other."""
        mask = ir.Constant(ir.VectorType(INT, len(places)), list(places))
        other = ir.Constant(vector.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(vector, other, mask)

    def spread(self, number, lanes: int):
        """A vector of equal lanes."""
        nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        return self.lanes(self.builder.insert_element(nothing, number, INT(0)), [0] * lanes)

    def write(self, sums: list, pointers: list) -> None:
        """Write the lanes of each sum, added up, to equally many numbers from each pointer on.

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
        for i, (vector, lane) in enumerate(found):
            column, row = divmod(i, len(sums) // len(pointers))
            place = self.builder.gep(pointers[column], [LONG(row)])
            self.builder.store(self.builder.extract_element(vector, INT(lane)), place)


def float_sums(emit: Emitter, first_x, first_row, rows: int, columns: int) -> None:
    """Emit out = x W^T of a tile; the arrays are out (B, N), x (B, D) and W (N, D).

    D is cut into vectors; what is left of it fills a last one up with zeros. A single row of x
    takes as long as the memory needs for W, and that gives most to a core that walks along one
    line: rows of W are then read one after the other, and asked for AHEAD of their use.
    """
    builder, lanes = emit.builder, vector_lanes()
    xs, weights = emit.rows(1, first_x, columns), emit.rows(2, first_row, rows)
    sums, dim = emit.sums(lanes, rows * columns), emit.widths[1]
    left = builder.urem(dim, LONG(lanes))

    def walk(weights, sums, ahead: bool) -> None:
        def add(load) -> None:
            values = [load(pointer) for pointer in weights]
            for column, pointer in enumerate(xs):
                x = load(pointer)
                for row, value in enumerate(values):
                    emit.add_product(sums[column * len(values) + row], x, value)

        with cgutils.for_range(builder, builder.udiv(dim, LONG(lanes))) as loop:
            place = builder.mul(loop.index, LONG(lanes))
            if ahead:
                emit.prefetch(builder.gep(weights[0], [builder.add(place, LONG(AHEAD))]))
            add(lambda pointer: emit.load(pointer, place, FLOAT, lanes))
        with builder.if_then(builder.icmp_unsigned("!=", left, LONG(0)), likely=False):
            place = builder.sub(dim, left)
            add(lambda pointer: emit.load_first(builder.gep(pointer, [place]), left, lanes))

    if columns == 1:
        for weight, total in zip(weights, sums):
            walk([weight], [total], ahead=True)
    else:
        walk(weights, sums, ahead=False)
    emit.write(sums, [builder.gep(row, [first_row]) for row in emit.rows(0, first_x, columns)])


def generator(kinds, rows: int, columns: int):
    """The signature and the code generator of a tile for arguments of these Numba types.

    Where registers are few, its columns are read two at a time.
    """

    def generate(context, builder, signature, arguments):
        step = columns if has_wide_vectors() else min(columns, 2)
        *operands, first_x, first_row = arguments
        emit = Emitter(context, builder, signature.args, operands)
        for column in range(0, columns, step):
            float_sums(emit, builder.add(first_x, LONG(column)), first_row, rows, step)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@intrinsic
def tile(typing_context, out, x, weight, first_x, first_row):
    """out = x W^T for COLUMNS rows of x and ROWS of W, all float32."""
    return generator((out, x, weight, first_x, first_row), ROWS, COLUMNS)


@intrinsic
def tile_of_one(typing_context, out, x, weight, first_x, first_row):
    """The same for one row of x and ROWS of W."""
    return generator((out, x, weight, first_x, first_row), ROWS, 1)


@intrinsic
def dot(typing_context, out, x, weight, first_x, first_row):
    """The same for one row of x and one of W."""
    return generator((out, x, weight, first_x, first_row), 1, 1)


@intrinsic
def weighted_sum(typing_context, out, weights, values):
    """out = weights values, of a row of weights, (1, n), and values, (n, C)."""

    def generate(context, builder, signature, arguments):
        emit, lanes = Emitter(context, builder, signature.args, arguments), vector_lanes()
        n, width = emit.widths[1:]
        (to, weight, value), (total,) = (
            (emit.row(i, LONG(0)) for i in range(3)),
            emit.sums(lanes, 1),
        )
        vectors = builder.udiv(builder.add(width, LONG(lanes - 1)), LONG(lanes))
        with cgutils.for_range(builder, vectors) as columns:
            begin = builder.mul(columns.index, LONG(lanes))
            left = builder.sub(width, begin)
            builder.store(ir.Constant(total.type.pointee, None), total)
            with cgutils.for_range(builder, n) as loop:
                place = builder.add(builder.mul(loop.index, width), begin)
                factor = builder.load(builder.gep(weight, [loop.index]))
                vector = emit.load_first(builder.gep(value, [place]), left, lanes)
                emit.add_product(total, emit.spread(factor, lanes), vector)
            emit.store_first(builder.load(total), builder.gep(to, [begin]), left)
        return context.get_dummy_value()

    return types.void(out, weights, values), generate


@intrinsic
def prefetch(typing_context, array, row, column):
    """Ask the memory for array[row, column] and its cache line, without waiting for it."""

    def generate(context, builder, signature, arguments):
        emit = Emitter(context, builder, signature.args[:1], arguments[:1])
        emit.prefetch(builder.gep(emit.row(0, arguments[1]), [arguments[2]]))
        return context.get_dummy_value()

    return types.void(array, row, column), generate
