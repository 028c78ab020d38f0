"""Products of small matrices, whose result is held in registers: oneDNN pays for them by copying.

A tile of C is `tile_rows` rows of one to `tile_vectors` vectors of LANES numbers. It is summed over
the whole depth in registers, each number of A times vectors of B:

    C[i, :] += A[i, k] B[k, :]

so of B only rows are read; a factor that comes transposed is turned once (`turn`) and read often.
Where a matrix ends within a tile or a vector, the rest is computed too and means nothing: memory of
A's rows, of B's columns and of C is there up to the next multiple. The code is written in LLVM's
vectors, which every processor has registers for: one or two or four for each.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from model.native.calls import FLOAT
from model.native.rows import fast
from model.native.vectors import LANES, VECTOR, llvm_function, spread_number

LINE = 64
"""Bytes of a cache line."""
INDEX = ir.IntType(64)


def _tile_shape(context) -> tuple[int, int]:
    """Rows and vectors of the largest tile that leaves registers for its factors."""
    wide = "+avx512f" in context.codegen().magic_tuple()[2]
    return (8, 3) if wide else (6, 1)


def _constant(axis: int):
    @intrinsic
    def constant(typing_context):
        def generate(context, builder, signature, arguments):
            return context.get_constant(types.int64, _tile_shape(context)[axis])

        return types.int64(), generate

    return constant


tile_rows, tile_vectors = _constant(0), _constant(1)


@fast
def up(size, multiple):
    """The least multiple that is not below a size."""
    return (size + multiple - 1) // multiple * multiple


@fast
def line(place):
    """The first cache line that does not begin before an address."""
    return up(place, LINE)


@fast
def lines(memory):
    """The first cache line that begins in an array."""
    return line(memory.ctypes.data)


def _number(value: int):
    return ir.Constant(INDEX, value)


def _at(builder, base, numbers, kind):
    """A pointer to the float32 that many numbers behind an address."""
    offset = builder.mul(numbers, ir.Constant(INDEX, FLOAT))
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


def _tile(vectors: int, transposed: bool):
    """An intrinsic that computes a tile of C = A B + beta C, or A^T B + beta C.

    Its arguments are the depth, at least 1; for A, B and C the address and the numbers from one row
    to the next; for B also those from one vector to the next; and beta, 0 or 1.
    """

    @intrinsic
    def tile(typing_context, depth, a, a_step, b, b_step, b_next, c, c_step, beta):
        def generate(context, builder, signature, arguments):
            rows, columns = range(_tile_shape(context)[0]), range(vectors)
            _emit_tile(builder, rows, columns, transposed, *arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), generate

    return tile


def _emit_tile(
    builder, rows, columns, transposed, depth, a, a_step, b, b_step, b_next, c, c_step, beta
):
    """Emit a tile of so many rows and vectors: sums that begin as 0 or C, a loop over k, C."""
    fma = llvm_function(builder, f"llvm.fma.v{LANES}f32", VECTOR, *[VECTOR] * 3)
    c_rows = [builder.mul(c_step, _number(i)) for i in rows]
    places = [
        [_at(builder, c, builder.add(c_row, _number(LANES * j)), VECTOR) for j in columns]
        for c_row in c_rows
    ]
    a_rows = [_number(i) if transposed else builder.mul(a_step, _number(i)) for i in rows]
    a_next = a_step if transposed else _number(1)
    b_columns = [builder.mul(b_next, _number(j)) for j in columns]

    empty, old = builder.block, builder.append_basic_block("old")
    loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("==", beta, _number(0)), loop, old)
    builder.position_at_end(old)
    before = [[builder.load(place, align=FLOAT) for place in row] for row in places]
    builder.branch(loop)

    builder.position_at_end(loop)
    k = builder.phi(INDEX)
    sums = [[builder.phi(VECTOR) for _ in columns] for _ in rows]
    a_k, b_k = builder.mul(k, a_next), builder.mul(k, b_step)
    right = [
        builder.load(_at(builder, b, builder.add(b_k, column), VECTOR), align=FLOAT)
        for column in b_columns
    ]
    following = builder.add(k, _number(1))
    for block, number in ((empty, _number(0)), (old, _number(0)), (loop, following)):
        k.add_incoming(number, block)
    for i in rows:
        place = _at(builder, a, builder.add(a_k, a_rows[i]), ir.FloatType())
        left = spread_number(builder, builder.load(place, align=FLOAT))
        for j in columns:
            total = builder.call(fma, (left, right[j], sums[i][j]))
            sums[i][j].add_incoming(ir.Constant(VECTOR, [0.0] * LANES), empty)
            sums[i][j].add_incoming(before[i][j], old)
            sums[i][j].add_incoming(total, loop)
            before[i][j] = total
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)

    builder.position_at_end(done)
    for totals, row in zip(before, places):
        for total, place in zip(totals, row):
            builder.store(total, place, align=FLOAT)


_tile_1, _tile_2, _tile_3 = (_tile(vectors, False) for vectors in (1, 2, 3))
_turned_1, _turned_2, _turned_3 = (_tile(vectors, True) for vectors in (1, 2, 3))


@intrinsic
def turn_square(typing_context, source, source_step, target, target_step):
    """Transpose LANES x LANES numbers from one address to another; steps in numbers."""

    def generate(context, builder, signature, arguments):
        source, source_step, target, target_step = arguments
        rows = [
            builder.load(
                _at(builder, source, builder.mul(source_step, _number(i)), VECTOR), align=4
            )
            for i in range(LANES)
        ]
        # Each round swaps the off-diagonal quarters of squares of 2, 4, 8, 16 numbers.
        width = 1
        while width < LANES:
            lower = [c if not c & width else LANES + c - width for c in range(LANES)]
            upper = [c + width if not c & width else LANES + c for c in range(LANES)]
            masks = [
                ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask) for mask in (lower, upper)
            ]
            for i in range(LANES):
                if not i & width:
                    pair = rows[i], rows[i + width]
                    rows[i] = builder.shuffle_vector(*pair, masks[0])
                    rows[i + width] = builder.shuffle_vector(*pair, masks[1])
            width *= 2
        for i in range(LANES):
            place = _at(builder, target, builder.mul(target_step, _number(i)), VECTOR)
            builder.store(rows[i], place, align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@fast
def tile(vectors, transposed, depth, a, a_step, b, b_step, b_next, c, c_step, beta):
    """The tile of so many vectors."""
    if transposed:
        if vectors == 1:
            _turned_1(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
        elif vectors == 2:
            _turned_2(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
        else:
            _turned_3(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
    elif vectors == 1:
        _tile_1(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
    elif vectors == 2:
        _tile_2(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
    else:
        _tile_3(depth, a, a_step, b, b_step, b_next, c, c_step, beta)
