"""Rotary embedding (arXiv:2104.09864) and causal attention, without any (T, T).

A block of BLOCK queries is held against the keys that it may see, from the first of its document
on: S = Q K^T is (BLOCK, T) at most, and the softmax of a row is whole, so nothing is rescaled.
Rotation by the angles of a position and the scale C^-0.5 are applied as Q and K are copied out of
(B T, H C) and (B T, K C); no head is ever transposed. For the gradient only the logarithm of each
row's sum, l, is kept (FlashAttention, arXiv:2205.14135):

    P = exp(S - l)    dV += P^T dO    dS = P (dO V^T - rowsum(dO O))    dQ = dS K    dK += dS^T Q

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
    product,
    product_transposed,
    share,
    transposed_product,
    vector,
)
from model.native.rows import copy, dot, exp, exp_in_place, fast, fill, largest, scale

DOCUMENTS = 1
"""Flag: attention stays within a document; the document numbers are an input."""
BLOCK = 64


@fast
def rotate_row(a, b, x, y, cos, sin, factor, sign):
    """(a, b) <- factor (x cos - sign y sin, y cos + sign x sin)."""
    for c in range(a.size):
        p, q = cos[c] * factor, sin[c] * sign * factor
        a[c] = x[c] * p - y[c] * q
        b[c] = y[c] * p + x[c] * q


@fast
def rotate(out, out_step, x, x_step, cos, sin, time, half, factor, sign):
    """Rotate `time` rows of C = 2 half numbers from one address to another; steps in numbers."""
    for t in range(time):
        source, target = x + FLOAT * t * x_step, out + FLOAT * t * out_step
        rotate_row(
            floats(target, half), floats(target + FLOAT * half, half),
            floats(source, half), floats(source + FLOAT * half, half),
            cos[t * half : (t + 1) * half], sin[t * half : (t + 1) * half], factor, sign,
        )  # fmt: skip


@fast
def find_starts(starts, segments):
    """Where the document of each position begins."""
    begin = 0
    for t in range(starts.size):
        if t > 0 and segments[t] != segments[t - 1]:
            begin = t
        starts[t] = begin


@fast
def softmax(S, first, rows, n, key, starts, lse, inverse):
    """S <- exp(S - max) of what each query may see, 0 elsewhere; their logs and inverse sums."""
    for r in range(rows):
        row = S[r * n : (r + 1) * n]
        low, high = starts[first + r] - key, first + r - key + 1
        seen = row[low:high]
        m = largest(seen)
        total = exp_in_place(seen, m)
        fill(row[:low], ZERO)
        fill(row[high:], ZERO)
        inverse[r] = ONE / total
        lse[first + r] = m + np.float32(np.log(total))


@fast
def score_row(s, dp, log_sum, d):
    """dp <- P = exp(s - log_sum), s <- dS = P (dp - d)."""
    for j in range(s.size):
        p = exp(s[j] - log_sum)
        s[j] = p * (dp[j] - d)
        dp[j] = p


@fast
def score_gradient(S, P, first, rows, n, key, starts, lse, out, dout, step, size):
    """S: Q K^T -> dS, and P: dO V^T -> P, of a block of queries."""
    for r in range(rows):
        low, high = starts[first + r] - key, first + r - key + 1
        place = FLOAT * r * step
        d = dot(floats(out + place, size), floats(dout + place, size))
        s, p = S[r * n : (r + 1) * n], P[r * n : (r + 1) * n]
        score_row(s[low:high], p[low:high], lse[first + r], d)
        fill(s[:low], ZERO)
        fill(s[high:], ZERO)
        fill(p[:low], ZERO)
        fill(p[high:], ZERO)


def forward(context, part, parts):
    """q (B T, H C), k, v (B T, K C), cos, sin (T, C/2), [documents (B T)] -> o (B T, H C), l."""
    width, kv_width, time, half = (
        extent(context, 0, 1), extent(context, 1, 1), extent(context, 3, 0), extent(context, 3, 1),
    )  # fmt: skip
    size, documents = 2 * half, flag(context)
    batch, heads, groups = extent(context, 0, 0) // time, width // size, width // kv_width
    cos, sin = vector(context, 3, time * half), vector(context, 4, time * half)
    lses = vector(context, 6 + documents, batch * heads * time)
    queries, keys = np.empty(time * size, np.float32), np.empty(time * size, np.float32)
    S, inverse = np.empty(BLOCK * time, np.float32), np.empty(BLOCK, np.float32)
    starts = np.zeros(time, np.int64)
    begin, end = share(batch * heads, part, parts)
    for item in range(begin, end):
        b, head = item // heads, item % heads
        place = FLOAT * (b * time * width + head * size)
        kv_place = FLOAT * (b * time * kv_width + head // groups * size)
        rotate(
            queries.ctypes.data, size, address(context, 0) + place, width, cos, sin, time, half,
            np.float32(1 / np.sqrt(size)), ONE,
        )  # fmt: skip
        rotate(
            keys.ctypes.data, size, address(context, 1) + kv_place, kv_width, cos, sin, time, half,
            ONE, ONE,
        )  # fmt: skip
        if documents:
            find_starts(starts, integers(context, 5, batch * time)[b * time : (b + 1) * time])
        lse = lses[item * time : (item + 1) * time]
        for first in range(0, time, BLOCK):
            rows, key = min(BLOCK, time - first), starts[first]
            n = first + rows - key
            product_transposed(
                rows, n, size, queries.ctypes.data + FLOAT * first * size, size,
                keys.ctypes.data + FLOAT * key * size, size, S.ctypes.data, n, ZERO,
            )  # fmt: skip
            softmax(S, first, rows, n, key, starts, lse, inverse)
            out = address(context, 5 + documents) + place + FLOAT * first * width
            values = address(context, 2) + kv_place + FLOAT * key * kv_width
            product(rows, size, n, S.ctypes.data, n, values, kv_width, out, width, ZERO)
            for r in range(rows):
                scale(floats(out + FLOAT * r * width, size), inverse[r])
    queries[0], keys[0], S[0] = ZERO, ZERO, ZERO  # their memory lives until here


def backward(context, part, parts):
    """q, k, v, cos, sin, [documents], o, l, do -> dq, dk, dv; shapes as in `forward`."""
    width, kv_width, time, half = (
        extent(context, 0, 1), extent(context, 1, 1), extent(context, 3, 0), extent(context, 3, 1),
    )  # fmt: skip
    size, documents = 2 * half, flag(context)
    batch, kv_heads, groups = extent(context, 0, 0) // time, kv_width // size, width // kv_width
    cos, sin = vector(context, 3, time * half), vector(context, 4, time * half)
    lses = vector(context, 6 + documents, batch * kv_heads * groups * time)
    scratch = np.empty(5 * time * size + 2 * BLOCK * time, np.float32)
    starts = np.zeros(time, np.int64)
    begin, end = share(batch * kv_heads, part, parts)
    for item in range(begin, end):
        b, kv_head = item // kv_heads, item % kv_heads
        if documents:
            find_starts(starts, integers(context, 5, batch * time)[b * time : (b + 1) * time])
        kv_place = FLOAT * (b * time * kv_width + kv_head * size)
        keys, dkeys = (
            scratch[time * size : 2 * time * size],
            scratch[2 * time * size : 3 * time * size],
        )
        dvalues = scratch[3 * time * size : 4 * time * size]
        rotate(
            keys.ctypes.data, size, address(context, 1) + kv_place, kv_width, cos, sin, time, half,
            ONE, ONE,
        )  # fmt: skip
        fill(dkeys, ZERO)
        fill(dvalues, ZERO)
        for group in range(groups):
            head = kv_head * groups + group
            place = FLOAT * (b * time * width + head * size)
            lse = lses[(b * kv_heads * groups + head) * time :][:time]
            head_gradient(
                context, place, kv_place, width, kv_width, time, half, cos, sin, starts, lse,
                scratch, documents,
            )  # fmt: skip
        rotate(
            address(context, 9 + documents) + kv_place, kv_width, dkeys.ctypes.data, size, cos, sin,
            time, half, ONE, -ONE,
        )  # fmt: skip
        for t in range(time):
            dv = floats(address(context, 10 + documents) + kv_place + FLOAT * t * kv_width, size)
            copy(dv, dvalues[t * size : (t + 1) * size])
    scratch[0] = ZERO  # its memory lives until here


@fast
def head_gradient(
    context, place, kv_place, width, kv_width, time, half, cos, sin, starts, lse, scratch, documents
):
    """dQ of one head, and what it adds to dK, not yet rotated back, and to dV."""
    size = 2 * half
    factor, area = np.float32(1 / np.sqrt(size)), FLOAT * time * size
    queries = scratch.ctypes.data
    keys, dkeys, dvalues, dqueries = (
        queries + area, queries + 2 * area, queries + 3 * area, queries + 4 * area,
    )  # fmt: skip
    S = scratch[5 * time * size : 5 * time * size + BLOCK * time]
    P = scratch[5 * time * size + BLOCK * time :]
    rotate(queries, size, address(context, 0) + place, width, cos, sin, time, half, factor, ONE)
    for first in range(0, time, BLOCK):
        rows, key = min(BLOCK, time - first), starts[first]
        n, begin = first + rows - key, FLOAT * first * size
        out = address(context, 5 + documents) + place + FLOAT * first * width
        dout = address(context, 7 + documents) + place + FLOAT * first * width
        values = address(context, 2) + kv_place + FLOAT * key * kv_width
        k, s, p = keys + FLOAT * key * size, S.ctypes.data, P.ctypes.data
        product_transposed(rows, n, size, queries + begin, size, k, size, s, n, ZERO)
        product_transposed(rows, n, size, dout, width, values, kv_width, p, n, ZERO)
        score_gradient(S, P, first, rows, n, key, starts, lse, out, dout, width, size)
        dv = dvalues + FLOAT * key * size
        transposed_product(n, size, rows, p, n, dout, width, dv, size, ONE)
        dk = dkeys + FLOAT * key * size
        transposed_product(n, size, rows, s, n, queries + begin, size, dk, size, ONE)
        product(rows, size, n, s, n, k, size, dqueries + begin, size, ZERO)
    dq = address(context, 8 + documents) + place
    rotate(dq, width, dqueries, size, cos, sin, time, half, factor, -ONE)
