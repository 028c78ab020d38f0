"""How kernels see their tensors, share their work among cores, and multiply matrices.

A kernel's body is a function of (context, part, parts): it does one of `parts` parts of the work,
and all parts run at once on MindSpore's own threads. `context` is a pointer to four numbers: how
many tensors there are (inputs, then outputs), where the list of their addresses is, where the list
of their shapes is, and where the kernel's description is. A kernel of several stages has a driver
beside its bodies, a function of (context) that starts them one after the other.

All matrices are row-major; addresses are int64, in bytes.
"""

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from model.native.symbols import BGEMM, LAUNCH, POOL, SGEMM

PLAIN, TRANSPOSED = np.int8(ord("N")), np.int8(ord("T"))
ZERO, ONE = np.float32(0), np.float32(1)
FLOAT, HALF = 4, 2
"""Bytes of a float32, and of a bfloat16, the upper half of one."""
COUNT, ADDRESSES, SHAPES, KERNEL, RUNNING, SCRATCH = range(6)
"""Places in a context; RUNNING is the number of parts of the stage that runs, and from SCRATCH on
they are the driver's."""
CONTEXT_NUMBERS = 8
PARTS, FLAG, DRIVER, FUNCTIONS = 0, 1, 2, 4
"""Places in a kernel's description, int64: how many parts its bodies have, a number of its own, its
driver's address or 0, and then a std::function for each body."""
FUNCTION_NUMBERS = 4
"""int64 numbers in a std::function of the GNU library: two of its own, its manager, its invoker."""

Numbers = types.CPointer(types.int64)
_GEMM = types.int32(
    types.int8, types.int8, types.int64, types.int64, types.int64, types.float32,
    types.int64, types.int64, types.int64, types.int64, types.float32, types.int64, types.int64,
)  # fmt: skip
_sgemm, _bgemm = types.ExternalFunction(SGEMM, _GEMM), types.ExternalFunction(BGEMM, _GEMM)
_launch = types.ExternalFunction(
    LAUNCH, types.int32(types.int64, types.int64, types.int64, types.int32)
)
_pool = types.ExternalFunction(POOL, types.int64())


def _caster(kind):
    """An intrinsic that takes an address, int64, for a pointer to `kind`."""

    @intrinsic
    def cast(typing_context, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(types.CPointer(kind)))

        return types.CPointer(kind)(types.int64), generate

    return cast


float_pointer, int_pointer = _caster(types.float32), _caster(types.int32)
number_pointer, double_pointer = _caster(types.int64), _caster(types.float64)
bits_pointer, half_pointer = _caster(types.uint32), _caster(types.uint16)
byte_pointer = _caster(types.int8)


@intrinsic
def address_of(typing_context, pointer):
    """The address, int64, that a pointer holds."""

    def generate(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    return types.int64(pointer), generate


def _caller(*kinds):
    """An intrinsic that calls the function of so many int64 at an address."""

    @intrinsic
    def call(typing_context, address, arguments):
        def generate(context, builder, signature, values):
            number = ir.IntType(64)
            function = ir.FunctionType(ir.VoidType(), [number] * len(kinds)).as_pointer()
            inputs = [builder.extract_value(values[1], i) for i in range(len(kinds))]
            builder.call(builder.inttoptr(values[0], function), inputs)
            return context.get_dummy_value()

        return types.void(types.int64, types.UniTuple(types.int64, len(kinds))), generate

    return call


call_driver, call_body = _caller("context"), _caller("context", "part", "parts")


@njit
def address(context, i):
    """Where tensor i begins."""
    return number_pointer(context[ADDRESSES])[i]


@njit
def extent(context, i, axis):
    """The length of an axis of tensor i."""
    return number_pointer(number_pointer(context[SHAPES])[i])[axis]


@njit
def flag(context):
    """The number that the kernel's description carries."""
    return number_pointer(context[KERNEL])[FLAG]


@njit
def floats(place, size):
    """The float32 array of one axis at an address."""
    return carray(float_pointer(place), (size,), np.float32)


@njit
def float_bits(place, size):
    """The bits of `floats`, uint32."""
    return carray(bits_pointer(place), (size,), np.uint32)


@njit
def halves(place, size):
    """The bits of the bfloat16 array of one axis at an address, uint16."""
    return carray(half_pointer(place), (size,), np.uint16)


@njit
def vector(context, i, size):
    """Tensor i, float32, seen as an array of one axis."""
    return floats(address(context, i), size)


@njit
def integers(context, i, size):
    """Tensor i, int32, seen as an array of one axis."""
    return carray(int_pointer(address(context, i)), (size,), np.int32)


@njit
def place(context, i, j):
    """Number j of tensor i, int64: an address in the buffer of gradients."""
    return number_pointer(address(context, i))[j]


@njit
def matrix(context, i):
    """Tensor i, float32 of two axes."""
    shape = (extent(context, i, 0), extent(context, i, 1))
    return carray(float_pointer(address(context, i)), shape, np.float32)


@njit
def share(size, part, parts):
    """First and last but one of those of `size` things that a part does."""
    return size * part // parts, size * (part + 1) // parts


@njit
def launch(context, stage, parts):
    """Run all parts of a stage, and wait for them."""
    context[RUNNING] = parts
    function = context[KERNEL] + 8 * (FUNCTIONS + FUNCTION_NUMBERS * stage)
    _launch(_pool(), function, address_of(context), np.int32(parts))


@njit
def product(m, n, k, a, lda, b, ldb, c, ldc, beta, half=0):
    """C (m, n) = A (m, k) B (k, n) + beta C; A and B are bfloat16 if `half` is not 0."""
    multiply(PLAIN, PLAIN, m, n, k, a, lda, b, ldb, c, ldc, beta, half)


@njit
def product_transposed(m, n, k, a, lda, b, ldb, c, ldc, beta, half=0):
    """C (m, n) = A (m, k) B^T + beta C, with B (n, k)."""
    multiply(PLAIN, TRANSPOSED, m, n, k, a, lda, b, ldb, c, ldc, beta, half)


@njit
def transposed_product(m, n, k, a, lda, b, ldb, c, ldc, beta, half=0):
    """C (m, n) = A^T B + beta C, with A (k, m) and B (k, n)."""
    multiply(TRANSPOSED, PLAIN, m, n, k, a, lda, b, ldb, c, ldc, beta, half)


@njit
def multiply(left, right, m, n, k, a, lda, b, ldb, c, ldc, beta, half):
    """oneDNN's product; sums and C are float32, whatever A and B are."""
    if half:
        _bgemm(left, right, m, n, k, ONE, a, lda, b, ldb, beta, c, ldc)
    else:
        _sgemm(left, right, m, n, k, ONE, a, lda, b, ldb, beta, c, ldc)
