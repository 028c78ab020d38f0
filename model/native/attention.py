"""Rotary embedding (arXiv:2104.09864) and causal attention, without any (T, T).

A block of BLOCK queries is held against the keys that it may see, from the first of its document
on: S = Q K^T is (BLOCK, T) at most, and the softmax of a row is whole, so nothing is rescaled.
Rotation by the angles of a position and the scale C^-0.5 are applied as a head's Q and K are copied
out of (B T, H C) and (B T, K C). For the gradient only the logarithm of each row's sum, l, is kept
(FlashAttention, arXiv:2205.14135):

    P = exp(S - l)    dV += P^T dO    dS = P (dO V^T - rowsum(dO O))    dQ = dS K    dK += dS^T Q

model/native/causal.py has the products, model/native/softmax.py what is between them.

Positions of one document are next to each other, in every row of the batch, and heads that share a
key head are next to each other too.
"""

import numpy as np

from model.native.calls import (
    FLOAT,
    ONE,
    ZERO,
    address,
    extent,
    flag,
    floats,
    integers,
    share,
    vector,
)
from model.native.causal import row_numbers, scores, turn, weighted, weighted_back
from model.native.rotary import rotate
from model.native.rows import copy_rows, fast, fill, scale_into
from model.native.softmax import score_gradient, softmax
from model.native.tiles import lines, tile_rows, up
from model.native.vectors import LANES

DOCUMENTS = 1
"""Flag: attention stays within a document; the document numbers are an input."""
BLOCK = 64


@fast
def find_starts(starts, segments):
    """Where the document of each position begins."""
    begin = 0
    for t in range(starts.size):
        if t > 0 and segments[t] != segments[t - 1]:
            begin = t
        starts[t] = begin


def forward(context, part, parts):
    """q (B T, H C), k, v (B T, K C), cos, sin (T, C/2), [documents (B T)] -> o (B T, H C), l."""
    width, kv_width, time, half = (
        extent(context, 0, 1), extent(context, 1, 1), extent(context, 3, 0), extent(context, 3, 1),
    )  # fmt: skip
    size, documents = 2 * half, flag(context)
    batch, heads, groups = extent(context, 0, 0) // time, width // size, width // kv_width
    cos, sin = address(context, 3), address(context, 4)
    lses = vector(context, 6 + documents, batch * heads * time)
    wide, step, few = up(size, LANES), row_numbers(time), BLOCK + tile_rows()
    area = up(time, LANES) * wide
    memory = np.empty(3 * area + few * (2 * wide + step) + LANES, np.float32)
    keys = lines(memory)
    turned, values = keys + FLOAT * area, keys + 2 * FLOAT * area
    queries = keys + 3 * FLOAT * area
    sums, S = queries + FLOAT * few * wide, queries + 2 * FLOAT * few * wide
    inverse, starts = np.empty(BLOCK, np.float32), np.zeros(time, np.int64)
    begin, end = share(batch * heads, part, parts)
    for item in range(begin, end):
        b, head = item // heads, item % heads
        place = FLOAT * (b * time * width + head * size)
        kv_place = FLOAT * (b * time * kv_width + head // groups * size)
        rotate(
            keys, wide, address(context, 1) + kv_place, kv_width, cos, sin, time, half, ONE, ONE
        )  # fmt: skip
        turn(turned, keys, time, wide)
        copy_rows(values, wide, address(context, 2) + kv_place, kv_width, time, size)
        if documents:
            find_starts(starts, integers(context, 5, batch * time)[b * time : (b + 1) * time])
        lse = lses[item * time : (item + 1) * time]
        for first in range(0, time, BLOCK):
            rows, key = min(BLOCK, time - first), starts[first] // LANES * LANES
            here = place + FLOAT * first * width
            rotate(
                queries, wide, address(context, 0) + here, width, cos + FLOAT * first * half,
                sin + FLOAT * first * half, rows, half, np.float32(1 / np.sqrt(size)), ONE,
            )  # fmt: skip
            scores(S, step, queries, turned, size, wide, first, key, rows, starts)
            softmax(S, step, first, rows, key, starts, lse, inverse)
            weighted(sums, S, step, values, wide, first, key, rows, starts)
            out = address(context, 5 + documents) + here
            for r in range(rows):
                y = floats(out + FLOAT * r * width, size)
                scale_into(y, floats(sums + FLOAT * r * wide, size), inverse[r])
    memory[0] = ZERO  # it lives until here


def backward(context, part, parts):
    """q, k, v, cos, sin, [documents], o, l, do -> dq, dk, dv; shapes as in `forward`."""
    width, kv_width, time, half = (
        extent(context, 0, 1), extent(context, 1, 1), extent(context, 3, 0), extent(context, 3, 1),
    )  # fmt: skip
    size, documents = 2 * half, flag(context)
    batch, kv_heads, groups = extent(context, 0, 0) // time, kv_width // size, width // kv_width
    cos, sin = address(context, 3), address(context, 4)
    lses = vector(context, 6 + documents, batch * kv_heads * groups * time)
    wide, few = up(size, LANES), BLOCK + tile_rows()
    area = (up(time, LANES) + LANES) * wide
    memory = np.empty(5 * area + few * (3 * wide + 2 * row_numbers(time)) + LANES, np.float32)
    keys = lines(memory)
    turned, turned_values = keys + FLOAT * area, keys + 2 * FLOAT * area
    dkeys, dvalues, block = (
        keys + 3 * FLOAT * area,
        keys + 4 * FLOAT * area,
        keys + 5 * FLOAT * area,
    )
    starts = np.zeros(time, np.int64)
    begin, end = share(batch * kv_heads, part, parts)
    for item in range(begin, end):
        b, kv_head = item // kv_heads, item % kv_heads
        if documents:
            find_starts(starts, integers(context, 5, batch * time)[b * time : (b + 1) * time])
        kv_place = FLOAT * (b * time * kv_width + kv_head * size)
        copy_rows(keys, wide, address(context, 2) + kv_place, kv_width, time, size)
        turn(turned_values, keys, time, wide)
        rotate(
            keys, wide, address(context, 1) + kv_place, kv_width, cos, sin, time, half, ONE, ONE
        )  # fmt: skip
        turn(turned, keys, time, wide)
        fill(floats(dkeys, area), ZERO)
        fill(floats(dvalues, area), ZERO)
        for group in range(groups):
            head = kv_head * groups + group
            place = FLOAT * (b * time * width + head * size)
            lse = lses[(b * kv_heads * groups + head) * time :][:time]
            head_gradient(
                context, place, width, time, half, cos, sin, starts, lse, keys, turned,
                turned_values, dkeys, dvalues, block,
            )  # fmt: skip
        rotate(
            address(context, 9 + documents) + kv_place, kv_width, dkeys, wide, cos, sin, time, half,
            ONE, -ONE,
        )  # fmt: skip
        copy_rows(
            address(context, 10 + documents) + kv_place, kv_width, dvalues, wide, time, size
        )  # fmt: skip
    memory[0] = ZERO  # it lives until here


@fast
def head_gradient(
    context, place, width, time, half, cos, sin, starts, lse, keys, turned, turned_values, dkeys,
    dvalues, block,
):  # fmt: skip
    """dQ of one head, and what it adds to dK, not yet rotated back, and to dV."""
    size, documents = 2 * half, flag(context)
    wide, step, few = up(size, LANES), row_numbers(time), BLOCK + tile_rows()
    factor = np.float32(1 / np.sqrt(size))
    queries, douts, dqueries = (
        block, block + FLOAT * few * wide, block + 2 * FLOAT * few * wide,
    )  # fmt: skip
    S = block + 3 * FLOAT * few * wide
    P = S + FLOAT * few * step
    for first in range(0, time, BLOCK):
        rows, key = min(BLOCK, time - first), starts[first] // LANES * LANES
        here, angle = place + FLOAT * first * width, FLOAT * first * half
        out, dout = address(context, 5 + documents) + here, address(context, 7 + documents) + here
        rotate(
            queries, wide, address(context, 0) + here, width, cos + angle, sin + angle, rows, half,
            factor, ONE,
        )  # fmt: skip
        copy_rows(douts, wide, dout, width, rows, size)
        scores(S, step, queries, turned, size, wide, first, key, rows, starts)
        scores(P, step, douts, turned_values, size, wide, first, key, rows, starts)
        score_gradient(S, P, step, first, rows, key, starts, lse, out, dout, width, size)
        weighted_back(dvalues, P, step, douts, wide, first, key, rows)
        weighted_back(dkeys, S, step, queries, wide, first, key, rows)
        weighted(dqueries, S, step, keys, wide, first, key, rows, starts)
        rotate(
            address(context, 8 + documents) + here, width, dqueries, wide, cos + angle, sin + angle,
            rows, half, factor, -ONE,
        )  # fmt: skip
