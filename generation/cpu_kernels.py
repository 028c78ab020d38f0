"""Kernels of the CPU for a few rows at a time, compiled by Numba (LLVM) at their first use."""

import functools

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Sums may be reordered, so that they use vector registers; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}
CACHE_LINE = 64
ROWS_AHEAD = 8
"""Rows of a weight between the one that is used and the one that is asked for."""


@functools.cache
def use_wide_vectors() -> None:
    """Let Numba use all of a 512-bit vector register; by itself LLVM halves them on AVX-512."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f") and numba.config.CPU_FEATURES is None:
        numba.config.CPU_NAME = llvmlite.binding.get_host_cpu_name()
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


@intrinsic
def prefetch(typing_context, array, row, column):
    """Ask the memory for array[row, column] and its cache line, without waiting for it."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        values = context.make_array(kind)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, kind, values, arguments[1:])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        # To read, into the nearest cache, data.
        how = [ir.Constant(number, value) for value in (0, 3, 1)]
        builder.call(function, [builder.bitcast(pointer, byte), *how])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


@numba.njit(fastmath=FAST, cache=True)
def dot(x, row):
    """Product of x, (D,) float32, and a row of a weight, (D,) float32 or int8."""
    s = np.float32(0)
    for j in range(row.size):
        s += x[j] * np.float32(row[j])
    return s


@numba.njit(fastmath=FAST, inline="always")
def multiply_tile(x, weight, out, b, i):
    """Write x weight^T of rows b to b + 3 of x and i to i + 3 of the weight to out.

    16 sums stay in registers, and 8 numbers are read for 16 products.
    """
    x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
    w0, w1, w2, w3 = weight[i], weight[i + 1], weight[i + 2], weight[i + 3]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0)
    for j in range(w0.size):
        a0, a1, a2, a3 = x0[j], x1[j], x2[j], x3[j]
        b0, b1, b2, b3 = np.float32(w0[j]), np.float32(w1[j]), np.float32(w2[j]), np.float32(w3[j])
        s00, s01, s02, s03 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2, s03 + a0 * b3
        s10, s11, s12, s13 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2, s13 + a1 * b3
        s20, s21, s22, s23 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2, s23 + a2 * b3
        s30, s31, s32, s33 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2, s33 + a3 * b3
    out[b, i], out[b, i + 1], out[b, i + 2], out[b, i + 3] = s00, s01, s02, s03
    out[b + 1, i], out[b + 1, i + 1], out[b + 1, i + 2], out[b + 1, i + 3] = s10, s11, s12, s13
    out[b + 2, i], out[b + 2, i + 1], out[b + 2, i + 2], out[b + 2, i + 3] = s20, s21, s22, s23
    out[b + 3, i], out[b + 3, i + 1], out[b + 3, i + 2], out[b + 3, i + 3] = s30, s31, s32, s33


@numba.njit(parallel=True, fastmath=FAST, cache=True)
def multiply(x, weight, out):
    """Write x weight^T, for x (B, D) float32 and weight (N, D) float32 or int8, to out (B, N).

    Four rows of the weight are read at a time, for four rows of x together where there are. Then a
    tile takes so long that the processor does not read ahead by itself: `prefetch` does it.
    """
    (batch, n), dim = out.shape, weight.shape[1]
    line = CACHE_LINE // weight.itemsize
    for tile in numba.prange((n + 3) // 4):
        begin = 4 * np.int64(tile)  # else unsigned, and a float beside signed numbers
        end = min(begin + 4, n)
        fours = batch - batch % 4 if end - begin == 4 else 0
        if fours:
            for i in range(begin + ROWS_AHEAD, min(end + ROWS_AHEAD, n)):
                for j in range(0, dim, line):
                    prefetch(weight, i, j)
        for b in range(0, fours, 4):
            multiply_tile(x, weight, out, b, begin)
        for b in range(fours, batch):
            for i in range(begin, end):
                out[b, i] = dot(x[b], weight[i])


@numba.njit(fastmath=FAST, cache=True)
def attend_to(q, keys, values, out):
    """Write softmax(q keys^T / sqrt(C)) values to out; q and out are (C,), the others (n, C)."""
    p = np.empty(len(keys), np.float32)
    for t in range(len(keys)):
        p[t] = dot(q, keys[t])
    p = np.exp((p - p.max()) * np.float32(1 / np.sqrt(q.size)))
    p /= p.sum()
    out[:] = 0
    for t in range(len(values)):
        for c in range(q.size):
            out[c] += p[t] * values[t, c]


@numba.njit(parallel=True, cache=True)
def attend(q, keys, values, first_rows, positions, out):
    """Attend from q, (B, H, C), to positions 0..p of its text, p given, into out.

    keys and values are a layer's cache, (B K L, C); first_rows, (B, K), says where each text and
    key head begins in it.
    """
    batch, n_heads, _ = q.shape
    groups = n_heads // first_rows.shape[1]
    for i in numba.prange(batch * n_heads):
        b, h = divmod(np.int64(i), n_heads)
        begin = first_rows[b, h // groups]
        end = begin + positions[b] + 1
        attend_to(q[b, h], keys[begin:end], values[begin:end], out[b, h])
