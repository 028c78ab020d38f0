"""Kernels of the CPU for one new id of each of a few texts, compiled by Numba at their first use.

A weight is float32, (N, D), or a pair of int8: (N, D) and the bits of its scales, (N, D/32). Each
kernel is called by all threads with the number of its `part` and of all `parts`, and computes its
own; what all of them need is so little that each computes it for itself.
"""

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

from generation.cpu_tiles import BLOCK, ROWS, dot, prefetch, tile, tile_of_one

# Sums may be reordered, so that they use vector registers; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}
CACHE_LINE = 64
ROWS_AHEAD = 8
"""Rows of a weight between those that are used and those that are asked for."""
LARGEST = np.float32(127)
POSITIVE = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign."""
TINY = np.float32(np.finfo(np.float32).tiny)
LOG2_E, LN_2 = np.float32(np.log2(np.e)), np.float32(np.log(2))
EXP_RANGE = np.float32(87)
"""exp() of more is infinite in float32; of less than minus this, it is taken as that."""
TAYLOR = tuple(np.float32(1 / np.prod(np.arange(1, n + 1.0))) for n in range(7, 1, -1))


@njit(fastmath=FAST, inline="always")
def exp(x):
    """exp(x) to 2e-7 of it, for x up to 87: 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2."""
    x = max(x, -EXP_RANGE)
    n = np.rint(x * LOG2_E)
    r = x - n * LN_2
    p = TAYLOR[0]
    for k in range(1, len(TAYLOR)):
        p = p * r + TAYLOR[k]
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + np.float32(1)) * power


@njit
def aligned(rows, columns, dtype):
    """An empty matrix that begins with a cache line: a vector then lies in one and not in two."""
    lines = np.empty(rows * columns + CACHE_LINE // 2, dtype)
    begin = -lines.ctypes.data % CACHE_LINE // lines.itemsize
    return lines[begin : begin + rows * columns].reshape(rows, columns)


@njit(fastmath=FAST)
def quantise_block(x, whole):
    """Write x, (32,), as whole numbers from -127 to 127 to whole, and return their scale.

    The largest is found in the bits of the numbers, which are in the same order; so the scale of
    what is no number is none either.
    """
    bits, largest = x.view(np.int32), np.int32(0)
    for i in range(BLOCK):
        largest = max(largest, np.int32(bits[i] & POSITIVE))
    scale = max(np.int32(largest).view(np.float32) / LARGEST, TINY)
    for i in range(BLOCK):
        whole[i] = np.int16(np.int32(np.rint(x[i] / scale)))
    return scale


@njit(cache=True)
def quantised(x):
    """x, (B, D), as whole numbers, int16, and scales of its blocks, (B, D/32)."""
    batch, n = len(x), x.shape[1] // BLOCK
    whole = aligned(batch, x.shape[1], np.int16)
    scales = np.empty((batch, n), np.float32)
    for b in range(batch):
        for i in range(n):
            place = slice(i * BLOCK, (i + 1) * BLOCK)
            scales[b, i] = quantise_block(x[b, place], whole[b, place])
    return whole, scales


def prepared(x, weight):
    """x, (B, D), in the form in which a weight multiplies it."""


@overload(prepared)
def _prepared(x, weight):
    if isinstance(weight, types.Array):
        return lambda x, weight: x
    return lambda x, weight: quantised(x)


def matrix_of(weight):
    """The numbers of a weight, (N, D)."""


@overload(matrix_of)
def _matrix_of(weight):
    if isinstance(weight, types.Array):
        return lambda weight: weight
    return lambda weight: weight[0]


@njit
def share(n, part, parts):
    """The beginning and the end of a part's rows out of n, in whole tiles but for the last."""
    tiles = (n + ROWS - 1) // ROWS
    return min(part * tiles // parts * ROWS, n), min((part + 1) * tiles // parts * ROWS, n)


@njit(cache=True)
def multiply(x, weight, bias, out, part, parts):
    """Write x W^T + bias, for a prepared x, to a part's columns of out, (B, N).

    A bias of no length stands for none. Where a tile reads many rows of x, the processor does not
    read ahead by itself: `prefetch` does it.
    """
    matrix = matrix_of(weight)
    batch, dim = len(out), matrix.shape[1]
    begin, end = share(len(matrix), part, parts)
    line = CACHE_LINE // matrix.itemsize
    whole = end - (end - begin) % ROWS
    for i in range(begin, whole, ROWS):
        for row in range(i + ROWS_AHEAD, min(i + ROWS_AHEAD + ROWS, end)):
            for j in range(0, dim, line):
                prefetch(matrix, row, j)
        for b in range(0, batch - ROWS + 1, ROWS):
            tile(out, x, weight, b, i)
        for b in range(batch - batch % ROWS, batch):
            tile_of_one(out, x, weight, b, i)
    for i in range(whole, end):
        for b in range(batch):
            dot(out, x, weight, b, i)
    if bias.size:
        for b in range(batch):
            for i in range(begin, end):
                out[b, i] += bias[i]


@njit(fastmath=FAST)
def normed(x, weight, eps):
    """RMSNorm of x, (B, D)."""
    out = aligned(*x.shape, np.float32)
    for b in range(len(x)):
        row, to, total = x[b], out[b], np.float32(0)
        for j in range(row.size):
            total += row[j] * row[j]
        scale = np.float32(1) / np.sqrt(total / np.float32(row.size) + eps)
        for j in range(row.size):
            to[j] = row[j] * scale * weight[j]
    return out


@njit(fastmath=FAST)
def rotate(x, cos, sin):
    """Rotate the pairs (x_i, x_{i + C/2}) of heads, (n, C), by a position's angles, (C/2,)."""
    half = cos.size
    for row in x:
        for i in range(half):
            a, b = row[i], row[half + i]
            row[i], row[half + i] = a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]


@njit(fastmath=FAST)
def attend_to(q, keys, values, out):
    """Write softmax(q keys^T / sqrt(C)) values to out; q and out are (C,), the others (n, C)."""
    p, size = np.empty(len(keys), np.float32), q.size
    for t in range(len(keys)):
        key, s = keys[t], np.float32(0)
        for c in range(size):
            s += q[c] * key[c]
        p[t] = s
    largest, scale, total = p.max(), np.float32(1 / np.sqrt(size)), np.float32(0)
    for t in range(p.size):
        p[t] = exp((p[t] - largest) * scale)
        total += p[t]
    out[:] = 0
    for t in range(len(values)):
        value, weight = values[t], p[t] / total
        for c in range(size):
            out[c] += weight * value[c]


@njit(cache=True)
def attend(q, keys, values, first_rows, positions, out, part, parts):
    """Attend from a part's heads of q, (B, H, C), to positions 0..p of its text, into out.

    keys and values are a layer's cache, (B K L, C); first_rows, (B, K), says where each text and
    key head begins in it, and positions, (B,), where each text stands.
    """
    batch, n_heads, _ = q.shape
    groups = n_heads // first_rows.shape[1]
    for i in range(part, batch * n_heads, parts):
        b, h = i // n_heads, i % n_heads
        begin = first_rows[b, h // groups]
        end = begin + positions[b] + 1
        attend_to(q[b, h], keys[begin:end], values[begin:end], out[b, h])


@njit(fastmath=FAST, cache=True)
def gate(a, b, begin, end):
    """Write silu(a) b to columns of a, both (B, F); with e = exp(-|a|), nothing overflows."""
    for i in range(len(a)):
        x, y = a[i, begin:end], b[i, begin:end]
        for j in range(x.size):
            e = exp(-abs(x[j]))
            x[j] = x[j] * y[j] * (np.float32(1) if x[j] >= 0 else e) / (np.float32(1) + e)


@njit
def add(x, change, part, parts):
    """Add a part's columns of change to those of x, both (B, N)."""
    begin, end = share(x.shape[1], part, parts)
    for b in range(len(x)):
        for i in range(begin, end):
            x[b, i] += change[b, i]


@njit
def store(k, v, keys, values, rows):
    """Write the new keys and values of a text, (K, C), to rows of a layer's cache."""
    for i in range(rows.size):
        keys[rows[i]], values[rows[i]] = k[i], v[i]


@njit(parallel=True, cache=True)
def attention_block(x, norm_weight, weights, biases, cache, place, eps, parts):
    """Add a block's attention to the residual stream x, (B, D), and its keys to the cache.

    Args:
        weights, biases: of queries, keys, values and output; a bias of no length is none.
        cache: keys and values of the layer, both (B K L, C).
        place: the first rows of texts and key heads in the cache, (B, K), positions, (B,), and
            cosines and sines, (T, C/2).
        parts: how many threads share each product.
    """
    (wq, wk, wv, wo), (bq, bk, bv, bo) = weights, biases
    (keys, values), (first_rows, positions, cos, sin) = cache, place
    batch, head_dim = len(x), keys.shape[1]
    kv_dim = head_dim * first_rows.shape[1]
    q, out = np.empty_like(x), aligned(batch, x.shape[1], np.float32)
    k, v = np.empty((batch, kv_dim), np.float32), np.empty((batch, kv_dim), np.float32)
    for part in prange(parts):
        h = prepared(normed(x, norm_weight, eps), wq)
        multiply(h, wq, bq, q, part, parts)
        multiply(h, wk, bk, k, part, parts)
        multiply(h, wv, bv, v, part, parts)
    q_heads, mixed = q.reshape(batch, -1, head_dim), out.reshape(batch, -1, head_dim)
    k_heads, v_heads = k.reshape(batch, -1, head_dim), v.reshape(batch, -1, head_dim)
    for b in range(batch):
        at = positions[b]
        rotate(q_heads[b], cos[at], sin[at])
        rotate(k_heads[b], cos[at], sin[at])
        store(k_heads[b], v_heads[b], keys, values, first_rows[b] + at)
    for part in prange(parts):
        attend(q_heads, keys, values, first_rows, positions, mixed, part, parts)
    for part in prange(parts):
        multiply(prepared(out, wo), wo, bo, q, part, parts)
        add(x, q, part, parts)


@njit(parallel=True, cache=True)
def feed_forward_block(x, norm_weight, weights, eps, parts):
    """Add a block's feed-forward, w2 (silu(w1 h) * w3 h), to the residual stream x, (B, D)."""
    w1, w2, w3 = weights
    none, out, width = np.empty(0, np.float32), np.empty_like(x), len(matrix_of(w1))
    a, b = aligned(len(x), width, np.float32), aligned(len(x), width, np.float32)
    for part in prange(parts):
        h = prepared(normed(x, norm_weight, eps), w1)
        multiply(h, w1, none, a, part, parts)
        multiply(h, w3, none, b, part, parts)
        begin, end = share(width, part, parts)
        gate(a, b, begin, end)
    for part in prange(parts):
        multiply(prepared(a, w2), w2, none, out, part, parts)
        add(x, out, part, parts)


@njit(parallel=True, cache=True)
def output_layer(x, norm_weight, weight, out, eps, parts):
    """Write logits, (B, V), of the residual stream after the last block, (B, D), to out."""
    none = np.empty(0, np.float32)
    for part in prange(parts):
        multiply(prepared(normed(x, norm_weight, eps), weight), weight, none, out, part, parts)
