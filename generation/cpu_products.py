"""Products of the CPU's decode step, x W^T of a few rows x, compiled by Numba at their first use.

A weight is float32, (N, D), or a pair of int8: (N, D) and the bits of its scales, (N, D/32). A
product is called by all threads with the number of its `part` and of all `parts`, and computes its
own columns of the result.
"""

import numpy as np
from numba import carray, njit, types
from numba.extending import overload

from generation.cpu_strips import (
    BLOCK,
    CACHE_LINE,
    LANES,
    has_dot_product,
    make_strip,
    multiply_strip,
    multiply_strip_by_one,
    round_blocks,
    strip_width,
)
from generation.cpu_tiles import COLUMNS, ROWS, dot, prefetch, tile, tile_of_one
from model.native.calls import byte_pointer, floats, halves

ROWS_AHEAD = 8
"""Rows of a weight between those that are used and those that are asked for."""


@njit
def aligned(rows, columns, dtype):
    """An empty matrix that begins with a cache line: a vector then lies in one and not in two."""
    lines = np.empty(rows * columns + CACHE_LINE, dtype)
    begin = -lines.ctypes.data % CACHE_LINE // lines.itemsize
    return lines[begin : begin + rows * columns].reshape(rows, columns)


@njit(cache=True)
def quantised(x, kind):
    """x, (B, D), as whole numbers of a kind, and scales of its blocks, (B, D/32)."""
    whole = aligned(*x.shape, kind)
    scales = np.empty((x.size // BLOCK, 1), np.float32)
    round_blocks(whole.reshape(-1, BLOCK), scales, x.reshape(-1, BLOCK))
    return whole, scales.reshape(len(x), -1)


def prepared(x, weight):
    """x, (B, D), in the form in which a weight multiplies it."""


@overload(prepared)
def _prepared(x, weight):
    if isinstance(weight, types.Array):
        return lambda x, weight: x
    kind = np.uint8 if has_dot_product() else np.int16
    return lambda x, weight: quantised(x, kind)


def matrix_of(weight):
    """The numbers of a weight, (N, D)."""


@overload(matrix_of)
def _matrix_of(weight):
    if isinstance(weight, types.Array):
        return lambda weight: weight
    return lambda weight: weight[0]


def weight_at(values, scales, rows, columns, kind):
    """The weight, (N, D), whose numbers and scales lie at addresses; `kind` has its type."""


@overload(weight_at)
def _weight_at(values, scales, rows, columns, kind):
    if isinstance(kind, types.Array):
        return lambda values, scales, rows, columns, kind: floats(values, rows * columns).reshape(
            rows, columns
        )

    def pair(values, scales, rows, columns, kind):
        whole = carray(byte_pointer(values), (rows, columns), np.int8)
        return whole, halves(scales, rows * columns // BLOCK).reshape(rows, columns // BLOCK)

    return pair


def share(weight, part, parts):
    """The beginning and the end of a part's rows of a weight, in whole tiles but for the last."""


@overload(share)
def _share(weight, part, parts):
    rows = ROWS if isinstance(weight, types.Array) else LANES

    def implementation(weight, part, parts):
        n = len(matrix_of(weight))
        tiles = (n + rows - 1) // rows
        return min(part * tiles // parts * rows, n), min((part + 1) * tiles // parts * rows, n)

    return implementation


def multiply_rows(x, weight, out, begin, end):
    """Write x W^T, for a prepared x, to the columns of out, (B, N), from begin to end."""


@overload(multiply_rows)
def _multiply_rows(x, weight, out, begin, end):
    if isinstance(weight, types.Array):
        return multiply_float_rows
    width = strip_width(x[0])

    def multiply_int8_rows(x, weight, out, begin, end):
        batch = len(out)
        strip = aligned(weight[1].shape[1], width, np.int32)
        for i in range(begin, end, LANES):
            make_strip(strip, x, weight, i)
            for b in range(0, batch - COLUMNS + 1, COLUMNS):
                multiply_strip(out, x, strip, b, i)
            for b in range(batch - batch % COLUMNS, batch):
                multiply_strip_by_one(out, x, strip, b, i)

    return multiply_int8_rows


def multiply_float_rows(x, weight, out, begin, end):
    """The form of float32.

    Where a tile reads many rows of x, the processor does not read ahead by itself: `prefetch`
    does it.
    """
    batch, dim = len(out), weight.shape[1]
    line = CACHE_LINE // weight.itemsize
    whole = end - (end - begin) % ROWS
    for i in range(begin, whole, ROWS):
        if batch >= COLUMNS:
            for row in range(i + ROWS_AHEAD, min(i + ROWS_AHEAD + ROWS, end)):
                for j in range(0, dim, line):
                    prefetch(weight, row, j)
        for b in range(0, batch - COLUMNS + 1, COLUMNS):
            tile(out, x, weight, b, i)
        for b in range(batch - batch % COLUMNS, batch):
            tile_of_one(out, x, weight, b, i)
    for i in range(whole, end):
        for b in range(batch):
            dot(out, x, weight, b, i)


@njit(cache=True)
def multiply(x, weight, bias, out, part, parts):
    """Write x W^T + bias, for a prepared x, to a part's columns of out, (B, N).

    A bias of no length stands for none.
    """
    begin, end = share(weight, part, parts)
    multiply_rows(x, weight, out, begin, end)
    if bias.size:
        for b in range(len(out)):
            for i in range(begin, end):
                out[b, i] += bias[i]
